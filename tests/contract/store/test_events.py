"""Findings: a batch is kept once and whole; pages are the newest first."""

import asyncio

import pytest
from solward.hosts.v1 import link_pb2
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.store.events import EventRepository
from controlplane.store.hosts import HostRepository

TRIES = 9
SPOOL = "5" * 32
LOW, HIGH = link_pb2.SEVERITY_INFO, link_pb2.SEVERITY_CRITICAL


@pytest.fixture
async def everywhere(engines: list[AsyncEngine]) -> list[EventRepository]:
    """The findings of two hosts, as several control planes see them."""
    hosts = HostRepository(engines[0])
    for uid in ("h1", "h2"):
        await hosts.replace(uid, f"sol-{uid}", 1)
    return [EventRepository(engines[number % len(engines)]) for number in range(TRIES)]


@pytest.fixture
def store(everywhere: list[EventRepository]) -> EventRepository:
    return everywhere[0]


def found(*times: int, severity: link_pb2.Severity = LOW, message: str = "") -> list[link_pb2.Event]:
    return [link_pb2.Event(kind="k", unix_ms=unix_ms, severity=severity, message=message) for unix_ms in times]


async def listed(
    store: EventRepository, host_uid: str = "", severity: link_pb2.Severity = LOW
) -> list[tuple[str, int, int, int]]:
    seen: list[tuple[str, int, int, int]] = []
    before = None
    while page := await store.page(host_uid, severity, before, 2):
        seen += [(host, *key) for key, host, _ in page]
        before = page[-1][0]
    return seen


async def test_batch_is_kept_once_however_often_it_comes(everywhere: list[EventRepository]) -> None:
    batch = found(*range(50))
    kept = await asyncio.gather(*(one.add("h1", SPOOL, 1, batch) for one in everywhere))
    assert len(list(filter(None, kept))) == 1
    assert len(await listed(everywhere[0])) == 50
    # Another spool's or host's of the same number is another batch.
    assert await everywhere[0].add("h1", "6" * 32, 1, batch)
    assert await everywhere[0].add("h2", SPOOL, 1, batch)
    assert not await everywhere[1].add("h2", SPOOL, 1, found(7, 8))
    assert len(await everywhere[1].page("h2", LOW, None, 99)) == 50


async def test_batch_is_kept_whole_or_not_at_all(store: EventRepository) -> None:
    assert await store.add("h1", SPOOL, 1, found(5))
    assert not await store.add("h1", SPOOL, 1, found(1, 2, 3))
    assert not await store.add("unknown", SPOOL, 1, found(1, 2, 3))
    assert await listed(store) == [("sol-h1", 5, 1, 0)]


async def test_finding_comes_back_as_it_was(store: EventRepository) -> None:
    (event,) = found(2**42, severity=HIGH, message="☀ 𝄞\0" * 100_000)
    event.attributes["schlüssel"] = "東京"
    assert await store.add("h1", SPOOL, 2**62, [event])
    assert await store.page("", LOW, None, 9) == [((2**42, 2**62, 0), "sol-h1", event)]


async def test_pages_are_the_newest_first(store: EventRepository) -> None:
    await store.add("h1", SPOOL, 1, found(5, 7, 5))
    await store.add("h1", SPOOL, 2, found(5, severity=HIGH))
    await store.add("h2", SPOOL, 3, found(6, 4, severity=HIGH))
    newest_first = [
        ("sol-h1", 7, 1, 1), ("sol-h2", 6, 3, 0), ("sol-h1", 5, 2, 0),
        ("sol-h1", 5, 1, 2), ("sol-h1", 5, 1, 0), ("sol-h2", 4, 3, 1),
    ]  # fmt: skip
    assert await listed(store) == newest_first
    assert await listed(store, "h2") == [newest_first[1], newest_first[5]]
    assert await listed(store, severity=HIGH) == [newest_first[1], newest_first[2], newest_first[5]]
    assert await listed(store, "h3") == []


async def test_key_that_was_made_up_is_only_a_place_to_begin(store: EventRepository) -> None:
    await store.add("h1", SPOOL, 1, found(5, 7))
    most = 2**63 - 1
    assert len(await store.page("", LOW, (most, most, most), 9)) == 2
    assert len(await store.page("", LOW, (7, 1, most), 9)) == 2
    assert await store.page("", LOW, (-most, -most, -most), 9) == []


async def test_prune_lets_go_of_the_old_and_of_each_hosts_oldest(everywhere: list[EventRepository]) -> None:
    store = everywhere[0]
    await store.add("h1", SPOOL, 1, found(*range(1, 11)))
    await store.add("h2", SPOOL, 1, found(2, 9))
    await asyncio.gather(*(one.prune(3, 4) for one in everywhere))
    assert [unix_ms for _, unix_ms, _, _ in await listed(store, "h1")] == [10, 9, 8, 7]
    assert [unix_ms for _, unix_ms, _, _ in await listed(store, "h2")] == [9]
