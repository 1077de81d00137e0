"""Findings: a batch is kept once and whole; pages are the newest first."""

import asyncio

import pytest
from solward.hosts.v1 import link_pb2
from sqlalchemy.ext.asyncio import AsyncEngine

from common.names import AGENT_LOG
from controlplane.store.events import EventRepository, Moment
from controlplane.store.hosts import HostRepository
from controlplane.store.marks import MarkRepository

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


async def numbers_of(store: EventRepository) -> list[int]:
    return [one.number for one in await store.after(0, 10_000)]


async def test_numbers_follow_each_other_whoever_stores(everywhere: list[EventRepository]) -> None:
    seen: list[int] = []

    async def read() -> None:
        # Whoever has seen a number has seen every one before it: no later look finds one that was missed.
        while len(seen) < TRIES * 20:
            seen.extend(one.number for one in await everywhere[0].after(seen[-1] if seen else 0, 10_000))
            await asyncio.sleep(0)

    async def write(one: EventRepository, sequence: int) -> None:
        for number in range(10):
            first = await one.add("h1", SPOOL, sequence * 10 + number + 1, found(5, 6))
            assert first
            # A batch that is refused takes no numbers.
            assert not await one.add("h1", SPOOL, sequence * 10 + number + 1, found(7))

    async with asyncio.timeout(60):
        await asyncio.gather(read(), *(write(one, place) for place, one in enumerate(everywhere)))
    assert seen == list(range(1, TRIES * 20 + 1))
    assert await numbers_of(everywhere[1]) == seen


async def test_numbers_are_given_once_though_events_go(store: EventRepository) -> None:
    assert await store.add("h1", SPOOL, 1, found(1, 2)) == 1
    await store.prune(3, 100)
    assert await store.add("h1", SPOOL, 2, found(9)) == 3
    assert await numbers_of(store) == [3]


async def test_lines_of_an_agents_log_are_no_findings_and_are_pruned_apart(store: EventRepository) -> None:
    lines = [link_pb2.Event(kind=AGENT_LOG, unix_ms=unix_ms, severity=HIGH) for unix_ms in range(1, 11)]
    await store.add("h1", SPOOL, 1, [*lines, *found(1, 2, 3)])
    assert [key[1] for key in await listed(store)] == [3, 2, 1]
    await store.prune(0, 4)
    assert [key[1] for key in await listed(store)] == [3, 2, 1]
    assert [one.event.unix_ms for one in await store.after(0, 99) if one.event.kind == AGENT_LOG] == [7, 8, 9, 10]


async def test_a_span_of_time_within_a_millisecond(store: EventRepository) -> None:
    await store.add("h1", SPOOL, 1, found(5, 7, 5))
    await store.add("h2", SPOOL, 1, found(5, severity=HIGH))

    async def between(
        first: Moment, end: Moment, *, newest_first: bool = False, named: list[str] | None = None, severity: int = 0
    ) -> list[int]:
        listed = await store.between(first, end, named=named, min_severity=severity, newest_first=newest_first, size=3)
        return [one.number for one in listed]

    assert await between(Moment(5), Moment(8)) == [1, 3, 4]
    assert await between(Moment(5), Moment(8), newest_first=True) == [2, 4, 3]
    assert await between(Moment(5, 3), Moment(7, 2)) == [3, 4]
    assert await between(Moment(5, 3), Moment(7, 3)) == [3, 4, 2]
    assert await between(Moment(5, 1), Moment(5, 4)) == [1, 3]
    assert await between(Moment(0), Moment(9), named=["sol-h2"]) == [4]
    assert await between(Moment(0), Moment(9), severity=HIGH) == [4]
    assert await between(Moment(0), Moment(9), named=[]) == []


async def test_marks_are_kept(engines: list[AsyncEngine]) -> None:
    marks, other = MarkRepository(engines[0]), MarkRepository(engines[1])
    assert await marks.get("reader") is None
    await marks.put("reader", 2**40)
    await marks.put("reader", 2**41)
    assert (await other.get("reader"), await other.get("another")) == (2**41, None)
