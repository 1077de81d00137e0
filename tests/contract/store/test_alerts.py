"""Alerts and silences: each as it last stood, and pages of them."""

import asyncio

import pytest
from solward.alerts.v1 import alerts_pb2 as pb
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.store.alerts import AlertRepository

TRIES = 9
FIRING, RESOLVED = pb.ALERT_STATE_FIRING, pb.ALERT_STATE_RESOLVED


@pytest.fixture
def everywhere(engines: list[AsyncEngine]) -> list[AlertRepository]:
    """The alerts as several control planes see them."""
    return [AlertRepository(engines[number % len(engines)]) for number in range(TRIES)]


@pytest.fixture
def store(everywhere: list[AlertRepository]) -> AlertRepository:
    return everywhere[0]


def alert(name: str, fire_ms: int, state: pb.AlertState = FIRING, host: str = "hosts/a", summary: str = "") -> pb.Alert:
    made = pb.Alert(name=f"alerts/{name}", host=host, state=state, summary=summary)
    made.fire_time.FromMilliseconds(fire_ms)
    return made


def silence(name: str, end_ms: int, reason: str = "") -> pb.Silence:
    made = pb.Silence(name=f"silences/{name}", reason=reason)
    made.end_time.FromMilliseconds(end_ms)
    return made


async def test_alert_is_as_it_was_last_saved(store: AlertRepository) -> None:
    first = alert("1", 2**40, summary="☀ 𝄞\0" * 100_000)
    await store.save(first)
    assert await store.get("alerts/1") == first
    assert await store.firing() == [first]
    resolved = alert("1", 2**40, RESOLVED)
    await store.save(resolved)
    assert await store.get("alerts/1") == resolved
    assert await store.get("alerts/2") is None
    assert await store.firing() == []


async def test_alert_that_is_first_saved_side_by_side_is_kept_once(everywhere: list[AlertRepository]) -> None:
    saved = [alert("1", number) for number in range(TRIES)]
    await asyncio.gather(*(one.save(each) for one, each in zip(everywhere, saved, strict=True)))
    (kept,) = await everywhere[0].firing()
    assert kept in saved
    assert [key for key, _ in await everywhere[1].page("", resolved=True, after=None, size=9)] == [
        (1, kept.fire_time.ToMilliseconds(), "alerts/1")
    ]


async def test_pages_begin_with_what_fires_and_then_the_newest(store: AlertRepository) -> None:
    for name, fire_ms, state in (
        ("a", 1, FIRING), ("b", 9, RESOLVED), ("c", 3, FIRING), ("d", 3, FIRING),
        ("e", 7, RESOLVED), ("f", 7, RESOLVED), ("g", 2, FIRING),
    ):  # fmt: skip
        await store.save(alert(name, fire_ms, state, "hosts/b" if name in "bg" else "hosts/a"))
    assert [one.name[-1] for one in await store.firing()][2:] == ["g", "a"]

    async def listed(host: str, *, resolved: bool) -> str:
        seen, after = "", None
        while page := await store.page(host, resolved=resolved, after=after, size=2):
            seen += "".join(one.name[-1] for _, one in page)
            after = page[-1][0]
        return seen

    assert await listed("", resolved=True) == "dcgabfe"
    assert await listed("", resolved=False) == "dcga"
    assert await listed("hosts/b", resolved=True) == "gb"
    assert await listed("hosts/c", resolved=True) == ""


async def test_prune_lets_go_of_what_is_old_and_resolved(store: AlertRepository) -> None:
    for name, fire_ms, state in (("a", 1, FIRING), ("b", 1, RESOLVED), ("c", 5, RESOLVED)):
        await store.save(alert(name, fire_ms, state))
    await store.prune(5)
    assert [one.name for _, one in await store.page("", resolved=True, after=None, size=9)] == ["alerts/a", "alerts/c"]


async def test_silences_hold_until_they_end(everywhere: list[AlertRepository]) -> None:
    store = everywhere[0]
    await asyncio.gather(*(one.save_silence(silence("1", 10, "Grund ☀")) for one in everywhere))
    await store.save_silence(silence("2", 2**41))
    assert sorted(one.name for one in await store.silences(9)) == ["silences/1", "silences/2"]
    assert await store.silences(10) == [silence("2", 2**41)]
    await store.save_silence(silence("2", 11))
    assert await store.silences(11) == []
