"""Every message that means something is recognised, and says what to do."""

import re

import pytest

from agent.logs import catalogue, findings
from agent.logs.datapoint import Datapoint
from agent.logs.line import Line

# A message as it stands in a real log, and the finding that it is.
SAID = {
    "There is more than one node: duplicate running instances of the same validator node found": "identity_duplicate",
    "Unable to save tower to storage: No space left on device (os error 28)": "tower_not_saved",
    "Requested mandatory tower restore failed: no such file": "tower_not_loaded",
    "Rebuilding a new tower from the latest vote account due to failed tower restore": "tower_rebuilt",
    "Vote account node_pubkey mismatch: a (expected: b).  Unable to vote": "hot_spare",
    "The vote account's authorized voter x is not available.  Unable to vote": "voter_missing",
    "Haven't landed a vote, so skipping my leader slot": "votes_not_landing",
    "PARTITION DETECTED waiting to join heaviest fork: 7 last vote: 6": "minority_fork",
    "Optimistically confirmed slot 77 was not rooted, supermajority": "optimistic_slot_not_rooted",
    "We are attempting to dump a block that we produced. This indicates": "diverged",
    "health check: behind by 200 slots: me=1 latest=201": "behind",
    "Failed to contact cluster entrypoint x": "network_unreachable",
    "Unable to find any RPC peers. Consider checking system clock": "bootstrap_stalled",
    "snapshot hash mismatch: a b": "snapshot_corrupt",
    "Stopping SnapshotPackagerService! Fatal error while archiving snapshot package": "snapshot_archive_failed",
    "Failed to open Blockstore: IO error: While lock file /ledger/rocksdb/LOCK": "ledger_locked",
    "blockstore error: Io": "blockstore_error",
    "write failed: No space left on device (os error 28)": "disk_full",
    "accept: Too many open files (os error 24)": "too_many_files",
    "mmap: Cannot allocate memory (os error 12)": "no_memory",
    "  net.core.rmem_max: recommended=134217728, current=212992 too small": "host_limits",
    "PoH hashes/second rate is slower than the cluster target! mine 1, cluster 2": "cpu_too_slow",
    "the current configuration requires the following capabilities: net_raw": "capabilities_missing",
    "shred version mismatch: actual 1, expected 2": "wrong_cluster",
    "The channel to retransmit is full, node is resource starved!": "starved",
    "submit error: timed out": "metrics_not_sent",
    "Validator initialized": "initialized",
}


def line(text: str, level: str = "ERROR") -> Line:
    return Line("2026-08-14T12:34:56.123", level, "solana_core::x", text)


@pytest.mark.parametrize(("text", "what"), SAID.items())
def test_a_message_is_recognised(text: str, what: str) -> None:
    found = findings.of_line(line(text))
    assert found
    assert found.kind == f"validator.{what}"


def test_ordinary_messages_mean_nothing() -> None:
    for text in ("new fork:5 parent:4 root:1", "LEADER CHANGE at slot: 5 leader: x", "recommended=1 current=2", ""):
        assert findings.of_line(line(text)) is None


def test_every_finding_says_what_it_means_and_what_to_do() -> None:
    known = {finding for _, finding in findings.MESSAGES + findings.MANAGER_MESSAGES} | set(findings.POINTS.values())
    assert len(known) > 30
    for finding in known:
        assert re.fullmatch(r"validator\.[a-z_]+", finding.kind)
        assert finding.meaning
        assert finding.advice
        assert finding.area
        assert finding.severity
    assert len({finding.kind for finding in known}) == len(known)


def test_a_panic_without_level_is_critical() -> None:
    found = findings.of_line(Line("", "", "", "thread 'x' panicked at a.rs:1:2:\nwhy"))
    assert found
    assert (found.kind, found.severity) == ("validator.panic", findings.CRITICAL)


@pytest.mark.parametrize(
    ("fields", "diverged"),
    [
        ({"slot": 1.0, "duplicate_confirmed_hash": "a", "my_hash": "a"}, False),
        ({"slot": 1.0, "duplicate_confirmed_hash": "a", "my_hash": "b"}, True),
        ({"slot": 1.0}, False),
    ],
)
def test_a_duplicate_slot_is_divergence_only_if_the_hashes_differ(
    fields: dict[str, float | str], diverged: bool
) -> None:
    assert bool(findings.of_point(Datapoint("duplicate_slot", {}, fields))) is diverged


def test_rocksdb_is_well_until_it_says_otherwise() -> None:
    well: dict[str, float | str] = {"is_write_stopped": 0.0, "background_errors": 0.0}
    assert findings.of_point(Datapoint("blockstore_rocksdb_cfs", {}, well)) is None
    assert findings.of_point(Datapoint("blockstore_rocksdb_cfs", {}, well | {"background_errors": 2.0}))


def test_the_kernel_kills_by_a_name_that_is_cut() -> None:
    assert findings.of_kernel("Out of memory: Killed process 77 (agave-validator) total-vm:1kB")
    assert findings.of_kernel("Out of memory: Killed process 78 (postgres) total-vm:1kB") is None


def test_series_are_named_by_convention_and_once() -> None:
    readings = [reading for fields in catalogue.CATALOGUE.values() for reading in fields.values()]
    assert len({reading.name for reading in readings}) == len(readings)
    for reading in readings:
        assert re.fullmatch(r"solana_validator_[a-z0-9_]+", reading.name)
        if reading.scale != 1.0:
            assert reading.name.endswith(("_seconds", "_ratio"))


def test_units_are_those_of_the_name_and_labels_are_bounded() -> None:
    point = Datapoint("replay-slot-stats", {"host_id": "x"}, {"replay_total_elapsed": 150_000.0, "total_shreds": 9.0})
    found = {series.name: (value, series.labels, series.counts) for _, series, value in catalogue.readings(point)}
    assert found == {
        "solana_validator_replay_seconds": (0.15, (), False),
        "solana_validator_replayed_shreds": (9.0, (), True),
    }
    odd = Datapoint("blockstore_rocksdb_cfs", {"cf_name": 'x"\n' * 100}, {"background_errors": 1.0})
    assert [series.labels for _, series, _ in catalogue.readings(odd)] == [()]
    named = Datapoint("blockstore_rocksdb_cfs", {"cf_name": "data_shred"}, {"background_errors": 1.0})
    assert [series.labels for _, series, _ in catalogue.readings(named)] == [(("cf_name", "data_shred"),)]
