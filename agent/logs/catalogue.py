"""Which datapoints become series, under which names.

Names of datapoints and fields are those of Agave and Jito-Solana 3.1 to 4.2; what a version does not write gives no
series. Times become seconds, percentages ratios. `counts` are summed within a second, the rest is the last value.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from agent.logs.datapoint import Datapoint
from agent.probes.base import Series

# How often the point itself was seen.
SEEN = ""
_MS, _US, _PERCENT = 1e-3, 1e-6, 1e-2
# Labels beside these are the product of nobody's choice, so that a name cannot bear a million series.
_TAGS = {"blockstore_rocksdb_cfs": "cf_name", "banking_stage_scheduler_slot_counts": "id", "retransmit-stage": "is_xdp"}
_LABEL = re.compile(r"[A-Za-z0-9_.-]{1,48}")


class Reading(NamedTuple):
    """What a field is as a series."""

    name: str
    counts: bool
    scale: float


def _last(name: str, scale: float = 1.0) -> Reading:
    return Reading(f"solana_validator_{name}", counts=False, scale=scale)


def _sum(name: str, scale: float = 1.0) -> Reading:
    return Reading(f"solana_validator_{name}", counts=True, scale=scale)


def _each(prefix: str, fields: str) -> dict[str, Reading]:
    return {field: _last(f"{prefix}_{field.replace('-', '_')}") for field in fields.split()}


def _summed(prefix: str, fields: str) -> dict[str, Reading]:
    return {field: _sum(f"{prefix}_{field.replace('-', '_').removesuffix('_delta')}") for field in fields.split()}


CATALOGUE: dict[str, dict[str, Reading]] = {
    # Replay, votes and roots.
    "bank_frozen": {"slot": _last("frozen_slot"), SEEN: _sum("frozen_banks")},
    "tower-vote": {"latest": _last("tower_vote_slot"), "root": _last("tower_root_slot")},
    "refresh_vote": {"last_voted_slot": _last("refreshed_vote_slot"), SEEN: _sum("refreshed_votes")},
    "optimistic_slot": {"slot": _last("optimistic_slot")},
    "optimistic_slot_not_rooted": {SEEN: _sum("optimistic_slots_not_rooted")},
    "bank-forks_set_root": {
        "slot": _last("root_slot"), "elapsed_ms": _last("set_root_seconds", _MS), "total_banks": _last("banks"),
        "tx_count": _sum("rooted_transactions"), "total_snapshot_ms": _last("set_root_snapshot_seconds", _MS),
    },
    "replay-slot-stats": {
        "replay_total_elapsed": _last("replay_seconds", _US),
        "execute_batches_us": _last("replay_execute_seconds", _US),
        "fetch_entries_time": _last("replay_fetch_seconds", _US), "total_transactions": _sum("replayed_transactions"),
        "total_entries": _sum("replayed_entries"), "total_shreds": _sum("replayed_shreds"),
    },
    "replay_stage-threshold-failure": {SEEN: _sum("vote_threshold_failures")},
    "replay_stage-partition-start": {SEEN: _sum("partitions")},
    "replay_stage-partition-resolved": {"partition_duration_ms": _last("partition_seconds", _MS)},
    "replay-stage-mark_dead_slot": {SEEN: _sum("dead_slots")},
    "duplicate_slot": {SEEN: _sum("duplicate_slots")},
    "event_handler_slot_tracking": {
        "slot": _last("votor_slot"), "vote_notarize": _sum("votor_notarize_votes"),
        "vote_skip": _sum("votor_skip_votes"), "finalized": _last("votor_finalized"),
    },
    "event_handler_sent_vote_count": {"count": _sum("votor_sent_votes")},
    # Shreds: turbine, repair, signatures.
    "shred_insert_is_full": {
        "slot": _last("full_slot"), "total_time_ms": _last("full_slot_seconds", _MS),
        "num_repaired": _sum("repaired_shreds"), "num_recovered": _sum("recovered_shreds"), SEEN: _sum("full_slots"),
    },
    "repair_service-my_requests": {
        "repair-total": _sum("repair_requests"), "shred-count": _sum("repair_shred_requests"),
        "highest-shred-count": _sum("repair_highest_shred_requests"), "orphan-count": _sum("repair_orphan_requests"),
    },
    "retransmit-stage": _summed("retransmit", "num_shreds num_nodes num_addrs_failed"),
    "shred_sigverify": _summed("shred_sigverify", "num_packets num_discards_pre num_discards_post num_duplicates"),
    # Own leader duty.
    "replay_stage-new_leader": {"slot": _last("leader_change_slot")},
    "replay_stage-my_leader_slot": {"slot": _last("my_leader_slot"), SEEN: _sum("my_leader_slots")},
    "replay_stage-skip_leader_slot": {SEEN: _sum("skipped_leader_slots")},
    "blocks_produced": {
        "num_blocks_on_fork": _last("produced_blocks_on_fork"),
        "num_dropped_blocks_on_fork": _last("produced_blocks_dropped"),
    },
    "leader-slot-start-to-cleared-elapsed-ms": {"elapsed": _last("leader_slot_seconds", _MS)},
    "banking_stage_scheduler_slot_counts": _summed(
        "scheduler", "num_received num_buffered num_scheduled num_finished num_dropped_on_capacity"
    ),
    # Start, identity, snapshots.
    "validator-new": {"elapsed_ms": _last("boot_seconds", _MS), SEEN: _sum("boots")},
    "validator-set_identity": {SEEN: _sum("identity_changes")},
    "snapshot_bank": {"slot": _last("snapshot_bank_slot"), "total_us": _last("snapshot_bank_seconds", _US)},
    "archive-snapshot-package": {
        "slot": _last("snapshot_archive_slot"), "duration_ms": _last("snapshot_archive_seconds", _MS),
        "full-snapshot-archive-size": _last("snapshot_full_archive_bytes"),
        "incremental-snapshot-archive-size": _last("snapshot_incremental_archive_bytes"),
    },
    "snapshot_packager_service": {
        "handling_time_us": _last("snapshot_packager_seconds", _US),
        "archive_time_us": _last("snapshot_packager_archive_seconds", _US),
    },
    "bank_from_snapshot_archives": {SEEN: _sum("boots_from_archives")},
    "bank_from_snapshot_dir": {SEEN: _sum("boots_from_state")},
    "bootstrap-snapshot-download": {
        "total_time_secs": _last("snapshot_download_seconds"),
        "download_abort_count": _last("snapshot_download_aborts"),
    },
    "wfsm_gossip": _each("wait_for_supermajority", "online_stake offline_stake"),
    # Network, host, disk.
    "cluster_info_stats": _each("gossip", "table_size num_nodes num_nodes_staked tvu_peers num_pubkeys"),
    "net-stats-validator": _summed(
        "net", "rcvbuf_errors_delta in_errors_delta rx_drops_delta rx_fifo_delta tx_drops_delta"
    ),
    "memory-stats": {
        "avail_percent": _last("memory_available_ratio", _PERCENT), "used_bytes": _last("memory_used_bytes"),
        "swap_free_percent": _last("swap_free_ratio", _PERCENT),
    },
    "cpu-stats": {
        "average_load_one_minute": _last("load1"), "average_load_five_minutes": _last("load5"),
        "average_load_fifteen_minutes": _last("load15"),
    },
    "disk-stats": {
        "time_io_ms": _sum("disk_io_seconds", _MS), "io_in_progress": _last("disk_io_in_progress"),
        "time_io_weighted_ms": _sum("disk_io_weighted_seconds", _MS),
    },
    "jemalloc_stats": {
        f"{kind}_bytes": _last(f"jemalloc_{kind}_bytes")
        for kind in ("allocated", "active", "resident", "retained", "dirty")
    },
    "blockstore_rocksdb_cfs": {
        "total_sst_files_size": _last("rocksdb_sst_bytes"), "is_write_stopped": _last("rocksdb_write_stopped"),
        "actual_delayed_write_rate": _last("rocksdb_delayed_write_rate"),
        "compaction_pending": _last("rocksdb_compaction_pending"),
        "background_errors": _last("rocksdb_background_errors"),
    },
    "quic_streamer_tpu": _each("quic_tpu", "active_connections active_streams"),
    "quic_streamer_tpu_forwards": _each("quic_tpu_forwards", "active_connections active_streams"),
    "quic_streamer_tpu_vote": _each("quic_tpu_vote", "active_connections active_streams"),
    # MEV links.
    "block_engine_stage-stats": _summed("block_engine", "num_bundles num_bundle_packets num_packets num_empty_packets"),
    "block_engine_stage-connected": {SEEN: _sum("block_engine_connects")},
    "block_engine_stage-proxy_error": {SEEN: _sum("block_engine_errors")},
    "relayer_stage-stats": _summed("relayer", "num_heartbeats num_packets num_empty_packets"),
    "relayer_stage-proxy_error": {SEEN: _sum("relayer_errors")},
    # The metrics themselves, and the crash.
    "metrics": {"points_lost": _sum("metrics_points_lost")},
    "panic": {SEEN: _sum("panics")},
}  # fmt: skip

COUNTS = frozenset(reading.name for fields in CATALOGUE.values() for reading in fields.values() if reading.counts)


def readings(point: Datapoint) -> Iterator[tuple[Reading, Series, float]]:
    """Give the series of a datapoint with their values, in the units of their names."""
    fields = CATALOGUE.get(point.name)
    if fields is None:
        return
    labels = _labels(point)
    for field, reading in fields.items():
        value = 1.0 if field == SEEN else point.fields.get(field)
        if isinstance(value, float):
            yield reading, Series(reading.name, labels, reading.counts), value * reading.scale


def _labels(point: Datapoint) -> tuple[tuple[str, str], ...]:
    tag = _TAGS.get(point.name, "")
    value = point.tags.get(tag, "")
    return ((tag, value),) if _LABEL.fullmatch(value) else ()
