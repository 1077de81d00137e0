"""The spool against a simple model, over restarts, and on a disk that is full."""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from solward.hosts.v1 import link_pb2

from agent.link import spool as module
from agent.link.spool import Spool
from agent.probes.base import Series

MEGABYTE = 1 << 20


def batch(count: int = 1, value: float = 1.0) -> link_pb2.ConnectRequest:
    return link_pb2.ConnectRequest(samples=link_pb2.SampleBatch(series=[0] * count, values=[value] * count))


def sequences(spool: Spool, after: int = 0) -> list[int]:
    return [request.samples.sequence for request in spool.after(after, 1_000_000)]


def fill_disk(spool: Spool) -> None:
    """Let the database grow no further, as on a full disk."""
    pages = spool._database.execute("PRAGMA page_count").fetchone()[0]
    spool._database.execute(f"PRAGMA max_page_count = {pages}")


def empty_disk(spool: Spool) -> None:
    spool._database.execute("PRAGMA max_page_count = 1000000")


class SpoolMachine(RuleBasedStateMachine):
    """Keeps beside the spool what it should hold: each batch's number and count of samples."""

    @initialize(max_bytes=st.sampled_from([2_000, 20_000, MEGABYTE]))
    def begin(self, max_bytes: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.max_bytes = max_bytes
        self.spool = Spool(Path(self.folder.name), max_bytes)
        self.id = self.spool.id
        self.held: dict[int, int] = {}
        self.given = self.taken = self.last = 0

    @rule(count=st.integers(1, 40))
    def append(self, count: int) -> None:
        number = self.spool.append(batch(count))
        assert number == self.last + 1
        self.last = number
        self.held[number] = count
        self.given += count
        # Whatever it gave up, it gave up the oldest and counted it.
        kept = self.spool.first_sequence
        for gone in [sequence for sequence in self.held if sequence < kept]:
            self.taken += self.held.pop(gone)
        assert self.spool.dropped_samples == self.taken

    @rule(part=st.floats(0, 1))
    def acknowledge(self, part: float) -> None:
        upto = round(self.last * part)
        self.spool.acknowledge(upto)
        self.held = {number: count for number, count in self.held.items() if number > upto}

    @rule()
    def restart(self) -> None:
        self.spool.close()
        self.spool = Spool(Path(self.folder.name), self.max_bytes)
        assert self.spool.id == self.id
        assert self.spool.dropped_samples == self.taken

    @rule()
    def make_room(self) -> None:
        self.spool.make_room()
        kept = self.spool.first_sequence
        for gone in [sequence for sequence in self.held if sequence < kept]:
            self.taken += self.held.pop(gone)
        assert self.spool.dropped_samples == self.taken

    @rule(part=st.floats(0, 1), limit=st.integers(1, 10))
    def read(self, part: float, limit: int) -> None:
        after = round(self.last * part)
        wanted = [number for number in sorted(self.held) if number > after][:limit]
        assert [request.samples.sequence for request in self.spool.after(after, limit)] == wanted

    @invariant()
    def holds_what_it_should(self) -> None:
        if not hasattr(self, "spool"):
            return
        found = self.spool.after(0, 1_000_000)
        assert {one.samples.sequence: len(one.samples.values) for one in found} == self.held
        assert self.spool.first_sequence == min(self.held, default=self.last + 1)
        assert self.spool._bytes == sum(len(one.SerializeToString()) for one in found) <= self.max_bytes

    def teardown(self) -> None:
        if hasattr(self, "spool"):
            self.spool.close()
            self.folder.cleanup()


TestSpool = SpoolMachine.TestCase
TestSpool.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_series_keep_their_ids_and_labels_over_a_restart(tmp_path: Path) -> None:
    odd = Series.of("solana_rpc_errors", method="getSlot", note="a=b\nc=d")
    spool = Spool(tmp_path, MEGABYTE)
    assert [spool.series_id(Series.of("up")), spool.series_id(odd), spool.series_id(Series.of("up"))] == [0, 1, 0]
    spool.close()
    again = Spool(tmp_path, MEGABYTE)
    assert again.series_id(odd) == 1
    assert dict(again.definition(1).labels) == {"method": "getSlot", "note": "a=b\nc=d"}
    assert again.series_id(Series.of("new")) == 2
    again.close()


def test_a_full_disk_keeps_order_and_heals(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 64 * MEGABYTE)
    first = spool.append(batch(1000))
    fill_disk(spool)
    numbers = [first, *(spool.append(batch(1000, n)) for n in range(50))]
    assert sequences(spool) == numbers == list(range(1, 52))
    assert len(spool._memory) > 0
    assert spool.dropped_samples == 0

    empty_disk(spool)
    numbers.append(spool.append(batch(1)))
    assert len(spool._memory) == 0
    spool.close()
    again = Spool(tmp_path, 64 * MEGABYTE)
    assert sequences(again) == numbers
    again.close()


def test_memory_is_bounded_and_what_goes_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMORY_BATCHES", 5)
    spool = Spool(tmp_path, 64 * MEGABYTE)
    fill_disk(spool)
    # Freed and half-used pages take the first few.
    while not spool._memory:
        spool.append(batch(1000))
    for _ in range(4):
        spool.append(batch(1000))
    assert spool.dropped_samples == 0
    for _ in range(3):
        spool.append(batch(7))
    assert (len(spool._memory), spool.dropped_samples) == (5, 3000)
    spool.close()


def test_a_full_disk_neither_uncounts_bytes_nor_invents_drops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path, 64 * MEGABYTE)
    for _ in range(10):
        spool.append(batch(100))
    held = spool._bytes
    monkeypatch.setattr(spool, "_database", ReadOnly(spool._database))
    for _ in range(3):
        spool.acknowledge(5)
    spool.make_room()
    assert (spool._bytes, spool.dropped_samples) == (held, 0)
    monkeypatch.undo()
    spool.acknowledge(5)
    assert sequences(spool) == [6, 7, 8, 9, 10]
    assert spool._bytes == sum(len(one.SerializeToString()) for one in spool.after(0, 100))
    spool.close()


class ReadOnly:
    """A database that answers questions and refuses every change."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def execute(self, statement: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        if not statement.startswith("SELECT"):
            raise sqlite3.OperationalError("database or disk is full")
        return self._database.execute(statement, values)


def test_a_series_first_seen_on_a_full_disk_is_known_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path, MEGABYTE)
    spool.series_id(Series.of("first"))
    monkeypatch.setattr(spool, "_database", ReadOnly(spool._database))
    assert spool.series_id(Series.of("second")) == 1
    spool.append(batch())
    monkeypatch.undo()
    spool.append(batch())
    spool.close()
    again = Spool(tmp_path, MEGABYTE)
    assert again.definition(1).name == "second"
    assert sequences(again) == [1, 2]
    again.close()


def test_numbers_go_on_past_what_a_life_with_a_full_disk_had_sent(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MEGABYTE)
    spool.acknowledge(150)
    assert spool.append(batch()) == 151
    spool.close()


@pytest.mark.parametrize("beyond", [2**64 - 1, 2**63, 1 + module.UNNOTED_BATCHES + 1])
def test_an_acknowledgement_that_cannot_be_right_is_ignored(tmp_path: Path, beyond: int) -> None:
    spool = Spool(tmp_path, MEGABYTE)
    spool.append(batch())
    spool.acknowledge(beyond)
    assert sequences(spool) == [1]
    assert spool.append(batch()) == 2
    spool.close()
    again = Spool(tmp_path, MEGABYTE)
    assert sequences(again) == [1, 2]
    assert again.append(batch()) == 3
    again.close()


def test_an_acknowledgement_within_a_years_batches_is_believed(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MEGABYTE)
    spool.append(batch())
    spool.acknowledge(1 + module.UNNOTED_BATCHES)
    assert sequences(spool) == []
    assert spool.append(batch()) == 2 + module.UNNOTED_BATCHES
    spool.close()


def test_on_a_full_disk_too_an_acknowledgement_that_cannot_be_right_frees_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 64 * MEGABYTE)
    fill_disk(spool)
    while not spool._memory:
        spool.append(batch(1000))
    held = sequences(spool)
    spool.acknowledge(2**64 - 1)
    assert sequences(spool) == held
    spool.close()


def test_a_spool_of_an_older_agent_is_read_on(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "spool.db")) as old:
        old.execute("CREATE TABLE series (id INTEGER PRIMARY KEY, name TEXT NOT NULL, labels TEXT NOT NULL)")
        old.execute("INSERT INTO series VALUES (0, 'solana_rpc_requests', '[]')")
        old.commit()
    spool = Spool(tmp_path, 1 << 20)
    assert spool.definition(0).name == "solana_rpc_requests"
    assert spool.series_id(Series.counting("x")) == 1
    assert spool.definition(1).counts
    spool.close()
