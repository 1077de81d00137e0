"""The log probe: figures, findings, and what happens when the log cannot be read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from agent.host.journald import Chunk, Entry, JournalError
from agent.logs.clean import MAX_MESSAGE, clean
from agent.probes import validator_log as module
from agent.probes.validator_log import Digest, LogProbe, Source
from common.clock import now_ms
from tests.peers.validator_log import datapoint
from tests.support.sink import Kept

STAMP = "[2026-08-14T12:34:56.123456789Z INFO  solana_metrics::metrics] "


def entries(*messages: str | None, origin: str = "unit", age_ms: int = 0) -> list[Entry]:
    return [Entry(now_ms() - age_ms, origin, message) for message in messages]


def digested(*messages: str | None, points: bool = True, age_ms: int = 0) -> Kept:
    sink = Kept()
    digest = Digest(sink, points=points)
    digest.take(entries(*messages, age_ms=age_ms))
    digest.tick()
    return sink


def test_datapoints_become_series_and_counts_are_summed() -> None:
    shreds = STAMP + datapoint("shred_insert_is_full", {"slot": 5, "num_repaired": 2, "total_time_ms": 380})
    sink = digested(shreds, shreds, STAMP + "new fork:5 parent:4 root:1")
    assert sink.of("solana_validator_repaired_shreds") == [4.0]
    assert sink.of("solana_validator_full_slots") == [2.0]
    assert sink.of("solana_validator_full_slot") == [5.0, 5.0]
    assert sink.of("solana_validator_full_slot_seconds") == [0.38, 0.38]
    assert sink.of("solana_log_lines", outcome="read") == [3.0]
    assert sink.of("solana_log_datapoints") == [2.0]


def test_what_the_validator_sends_by_itself_is_not_counted_again() -> None:
    sink = digested(STAMP + datapoint("bank_frozen", {"slot": 5}), STAMP + "Validator initialized", points=False)
    assert sink.of("solana_validator_frozen_slot") == []
    assert sink.kinds == ["validator.initialized"]


def test_lines_too_long_are_counted() -> None:
    assert digested(None, None).of("solana_log_lines", outcome="oversized") == [2.0]


def test_what_is_read_late_gives_findings_and_no_samples() -> None:
    point = STAMP + datapoint("bank_frozen", {"slot": 5})
    sink = digested(point, STAMP + "blockstore error: Io", age_ms=120_000)
    assert sink.of("solana_validator_frozen_slot") == []
    assert sink.of("solana_log_lines", outcome="late") == [2.0]
    assert sink.kinds == ["validator.blockstore_error"]
    assert sink.of("solana_log_lag_seconds")[0] == pytest.approx(120, abs=1)


def test_a_panic_over_two_lines_is_one_finding_with_its_words() -> None:
    sink = digested("thread 'solReplayStage' panicked at a.rs:1:2:", "no way", "stack backtrace:")
    assert sink.kinds == ["validator.panic"]
    assert "no way" in sink.events[0].message
    assert sink.events[0].unix_ms == pytest.approx(now_ms(), abs=1000)


def test_a_finding_bears_the_time_of_its_line() -> None:
    (event,) = digested(STAMP + "Validator initialized").events
    assert event.unix_ms == 1_786_710_896_123


def test_the_same_finding_again_is_counted_and_told_later(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000
    monkeypatch.setattr(module, "now_ms", lambda: now)
    sink = Kept()
    digest = Digest(sink, points=True)
    for _ in range(500):
        digest.take([Entry(now, "unit", STAMP + "blockstore error: Io")])
    digest.tick()
    assert [event.times for event in sink.events] == [1]
    now += module.REPEAT_MS
    digest.tick()
    digest.tick()
    assert [event.times for event in sink.events] == [1, 499]


def test_systemd_and_the_kernel_have_their_own_words() -> None:
    sink = Kept()
    digest = Digest(sink, points=True)
    digest.take(entries("sol.service: Failed with result 'oom-kill'.", origin="manager"))
    digest.take(entries("Out of memory: Killed process 7 (agave-validator) total-vm:1kB", origin="kernel"))
    # Words of the validator that another says are no finding.
    digest.take(entries("No space left on device", origin="kernel"))
    assert sink.kinds == ["validator.unit_failed", "validator.oom_killed"]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("http://user:secret@host/x?token=abc&y=1", "http://…@host/x?token=…&y=…".replace("…@", "…")),
        ("no URL at all", "no URL at all"),
        ("x" * 5000, "x" * MAX_MESSAGE),
    ],
)
def test_secrets_in_urls_do_not_travel(said: str, kept: str) -> None:
    assert clean(said) == kept
    assert "secret" not in clean(said)


async def test_it_goes_on_where_it_was_after_every_break(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_S", (0.005, 0.01))
    asked: list[str] = []

    async def follow(position: str) -> AsyncIterator[Chunk]:
        asked.append(position)
        if len(asked) == 2:
            raise JournalError("JOURNAL_FORBIDDEN", "no")
        if len(asked) == 4:
            raise JournalError("JOURNAL_CURSOR_REFUSED", "no")
        yield Chunk(entries(STAMP + "x"), f"position {len(asked)}")
        if len(asked) == 6:
            await asyncio.Event().wait()
        raise JournalError("JOURNAL_ENDED", "over")

    sink = Kept()
    task = asyncio.create_task(LogProbe(Source("journal", follow), "noted", points=True).run(sink))
    await asyncio.sleep(0.5)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert asked == ["noted", "position 1", "position 1", "position 3", "", "position 5"]
    assert sink.positions == {"journal": "position 6"}


async def test_a_log_that_is_not_there_yet_is_read_from_its_first_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_S", (0.005, 0.01))
    asked: list[str] = []

    async def follow(position: str) -> AsyncIterator[Chunk]:
        asked.append(position)
        if len(asked) == 1:
            raise JournalError("LOG_MISSING", "no")
        yield Chunk(entries(STAMP + "x"), "7:1")
        await asyncio.Event().wait()

    task = asyncio.create_task(LogProbe(Source("/v.log", follow), "", points=True).run(Kept()))
    await asyncio.sleep(0.1)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert asked == ["", "0:0"]
