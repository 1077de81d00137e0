"""Messages that mean something: what each is, how grave, and what to do about it.

The texts are those of Agave and Jito-Solana 3.1 to 4.2, of systemd and of the kernel.
"""

from typing import NamedTuple

from solward.hosts.v1 import link_pb2

from agent.logs.datapoint import Datapoint
from agent.logs.line import Line, panic_of

INFO, WARNING, ERROR, CRITICAL = (
    link_pb2.SEVERITY_INFO, link_pb2.SEVERITY_WARNING, link_pb2.SEVERITY_ERROR, link_pb2.SEVERITY_CRITICAL,
)  # fmt: skip


class Finding(NamedTuple):
    """One kind of trouble.

    Attributes:
        kind: its stable name, "validator.<what>".
        severity: how grave it is for this validator.
        area: what it touches, for example "consensus" or "disk".
        meaning: what happened, in a sentence.
        advice: what a person should do.
    """

    kind: str
    severity: link_pb2.Severity
    area: str
    meaning: str
    advice: str


def _finding(what: str, severity: link_pb2.Severity, area: str, meaning: str, advice: str) -> Finding:
    return Finding(f"validator.{what}", severity, area, meaning, advice)


_IDENTITY = _finding(
    "identity_duplicate", CRITICAL, "identity", "another node runs with this identity; this one exits",
    "find the other node and make sure which one may vote before either is started again",
)  # fmt: skip
_TOWER_SAVE = _finding(
    "tower_not_saved", CRITICAL, "consensus", "the tower could not be written; the validator exits",
    "look at free space and permissions of the tower's folder; start again only with the tower whole",
)  # fmt: skip
_TOWER_LOAD = _finding(
    "tower_not_loaded", CRITICAL, "consensus", "the tower that --require-tower asks for could not be read",
    "bring the newest tower of this identity here; to start without it risks votes against its lockouts",
)  # fmt: skip
_TOWER_REBUILT = _finding(
    "tower_rebuilt", WARNING, "consensus", "lockouts were made anew from the vote account or the bank forks",
    "make sure that no newer tower of this identity lies on another host",
)  # fmt: skip
_SPARE = _finding("hot_spare", INFO, "identity", "the vote account names another node", "none, if this host is a spare")
_VOTER = _finding(
    "voter_missing", ERROR, "voting", "the key that may vote is not loaded",
    "check the authorized voter of this epoch, and load it (ctl validator vote on)",
)  # fmt: skip
_NO_VOTES = _finding(
    "votes_not_landing", WARNING, "voting", "no vote has landed, so own leader slots are passed over",
    "normal for a moment after a start; else check the identity's balance and its votes",
)  # fmt: skip
_FORK = _finding(
    "minority_fork", ERROR, "consensus", "this node is on a fork that the cluster leaves, or is locked out",
    "compare its bank hash with other nodes; do not restart it in haste",
)  # fmt: skip
_NOT_ROOTED = _finding(
    "optimistic_slot_not_rooted", ERROR, "consensus", "a confirmed slot was not rooted",
    "compare with other nodes and with the cluster's own channels",
)  # fmt: skip
_DIVERGED = _finding(
    "diverged", CRITICAL, "divergence", "this node's bank hash differs from the cluster's; it gives up",
    "keep the log, take a snapshot from elsewhere, and report it; a restart alone repeats it",
)  # fmt: skip
_BEHIND = _finding(
    "behind", WARNING, "lag", "the node is behind the cluster", "look at replay time, repair and disk"
)  # fmt: skip
_NETWORK = _finding(
    "network_unreachable",
    ERROR,
    "network",
    "peers or entrypoints do not answer",
    "check the ports, the firewall and the route",
)
_BOOTSTRAP = _finding(
    "bootstrap_stalled", ERROR, "bootstrap", "no snapshot can be had from peers",
    "check --known-validator and --entrypoint, the clock, and the network",
)  # fmt: skip
_SNAPSHOT = _finding(
    "snapshot_corrupt", CRITICAL, "snapshot", "the snapshot or the accounts do not add up",
    "start from another archive; keep this one for a look",
)  # fmt: skip
_PACKAGER = _finding(
    "snapshot_archive_failed", CRITICAL, "snapshot", "an archive could not be written, which stops the whole validator",
    "look at free space and the disk of the snapshots' folder",
)  # fmt: skip
_LOCKED = _finding(
    "ledger_locked", CRITICAL, "ledger", "another process holds the ledger", "find it and let it end"
)  # fmt: skip
_ROCKSDB = _finding(
    "blockstore_error", ERROR, "disk", "the blockstore met an error", "look at the disk and the kernel's log"
)
_DISK_FULL = _finding(
    "disk_full", CRITICAL, "disk", "no space is left on a device", "free space now; the validator is about to end"
)
_FILES = _finding(
    "too_many_files", CRITICAL, "limits", "the limit of open files is reached", "LimitNOFILE=1000000 in the unit"
)
_MEMORY = _finding(
    "no_memory", CRITICAL, "memory", "memory could not be had", "look at what else runs here, and at vm.max_map_count"
)
_OOM = _finding(
    "oom_killed",
    CRITICAL,
    "memory",
    "the kernel killed it for want of memory",
    "look at memory growth and at what else runs here",
)
_LIMITS = _finding(
    "host_limits", CRITICAL, "host", "a limit of the host is too low, so the start is refused",
    "raise nofile and sysctl net.core.rmem_max, wmem_max, vm.max_map_count; only the first is named",
)  # fmt: skip
_SLOW_CPU = _finding(
    "cpu_too_slow",
    CRITICAL,
    "cpu",
    "proof of history is slower than the cluster's; the start is refused",
    "check the CPU governor and what else runs",
)
_CAPABILITIES = _finding(
    "capabilities_missing", CRITICAL, "host", "XDP needs capabilities that the unit does not give",
    "add them to the unit (AmbientCapabilities), or --no-xdp",
)  # fmt: skip
_CLUSTER = _finding(
    "wrong_cluster", CRITICAL, "configuration", "genesis, shred version or bank hash are not the ones expected",
    "check --expected-* and the restart instructions of the cluster",
)  # fmt: skip
_STARVED = _finding(
    "starved", ERROR, "cpu", "a queue inside the validator is full, or replay stands still", "look at CPU and disk"
)
_METRICS = _finding(
    "metrics_not_sent", INFO, "metrics", "metrics could not be sent", "none: the validator itself is well"
)
_PANIC = _finding(
    "panic",
    CRITICAL,
    "crash",
    "a thread panicked; the validator exits",
    "keep the log; look the message up before a restart",
)
_UNIT_FAILED = _finding(
    "unit_failed", ERROR, "unit", "systemd counts the unit as failed", "ctl validator status, then its log"
)
_UNIT_EXITED = _finding(
    "process_exited",
    WARNING,
    "unit",
    "the unit's main process ended",
    "see why it ended: its exit code and the lines before it",
)
_ADMIN_UP = _finding("initialized", INFO, "start", "the validator is up", "none")
_TOWER_ERROR = _finding(
    "tower_trouble", ERROR, "consensus", "the tower met trouble", "do not restart before the tower is looked at"
)
_SKIPPED = _finding(
    "leader_slot_skipped",
    WARNING,
    "leader",
    "an own leader slot was passed over",
    "look at votes, replay time and the fork",
)
_PARTITION = _finding(
    "partition", ERROR, "consensus", "this node sees the cluster parted", "compare its forks with other nodes"
)
_BLOCK_ENGINE = _finding(
    "block_engine_lost",
    WARNING,
    "mev",
    "the stream to the block engine or relayer broke",
    "it is tried again by itself; if it goes on, check the URL and the region",
)

# Every substring that tells a finding, the more particular first.
MESSAGES: tuple[tuple[str, Finding], ...] = (
    ("duplicate running instances of the same validator node", _IDENTITY),
    ("Unable to save tower to storage", _TOWER_SAVE),
    ("Requested mandatory tower restore failed", _TOWER_LOAD),
    ("Unable to load new tower when attempting", _TOWER_LOAD),
    ("Rebuilding a new tower from the latest vote account", _TOWER_REBUILT),
    ("Creating a new tower from bankforks", _TOWER_REBUILT),
    ("Vote account node_pubkey mismatch", _SPARE),
    ("is not available.  Unable to vote", _VOTER),
    ("has no authorized voter for epoch", _VOTER),
    ("Haven't landed a vote, so skipping my leader slot", _NO_VOTES),
    ("PARTITION DETECTED waiting to join heaviest fork", _FORK),
    ("Couldn't vote on heaviest fork", _FORK),
    ("was not rooted", _NOT_ROOTED),
    ("We are attempting to dump a block that we produced", _DIVERGED),
    ("We have tried to repair duplicate slot", _DIVERGED),
    ("health check: behind by", _BEHIND),
    ("No repair peers have frozen slot", _NETWORK),
    ("unable to determine the validator's public IP address", _NETWORK),
    ("Failed to contact cluster entrypoint", _NETWORK),
    ("Unable to find any RPC peers", _BOOTSTRAP),
    ("Consider checking system clock", _BOOTSTRAP),
    ("The snapshot download is too slow", _BOOTSTRAP),
    ("snapshot hash mismatch", _SNAPSHOT),
    ("snapshot slot mismatch", _SNAPSHOT),
    ("capitalization mismatch", _SNAPSHOT),
    ("accounts lattice hashes do not match", _SNAPSHOT),
    ("Stopping SnapshotPackagerService! Fatal error while archiving", _PACKAGER),
    ("Failed to open Blockstore", _LOCKED),
    ("/rocksdb/LOCK", _LOCKED),
    ("No space left on device", _DISK_FULL),
    ("Too many open files", _FILES),
    ("Cannot allocate memory", _MEMORY),
    ("blockstore error:", _ROCKSDB),
    ("unable to increase the nofile limit", _LIMITS),
    ("OS network limit test failed", _LIMITS),
    ("PoH hashes/second rate is slower than the cluster target", _SLOW_CPU),
    ("the current configuration requires the following capabilities", _CAPABILITIES),
    ("shred version mismatch", _CLUSTER),
    ("genesis hash mismatch", _CLUSTER),
    ("bank hash mismatch", _CLUSTER),
    ("is full, node is resource starved!", _STARVED),
    ("Replay is stuck", _STARVED),
    ("Max submission rate", _METRICS),
    ("submit error", _METRICS),
    ("Validator initialized", _ADMIN_UP),
)
# Of systemd (PID 1) about the unit, and of the kernel about anything.
MANAGER_MESSAGES: tuple[tuple[str, Finding], ...] = (
    ("killed by the OOM killer", _OOM),
    ("Failed with result", _UNIT_FAILED),
    ("Main process exited", _UNIT_EXITED),
)
_KERNEL_OOM = "Out of memory: Killed process"
_VALIDATOR_NAMES = ("(agave-validato", "(solana-validat", "(fdctl", "(frankendancer")

# Datapoints that are a finding by themselves, or may be.
POINTS: dict[str, Finding] = {
    "duplicate_slot": _DIVERGED,
    "blockstore_rocksdb_cfs": _ROCKSDB,
    "panic": _PANIC,
    "tower_error": _TOWER_ERROR,
    "tower_warn": _TOWER_REBUILT,
    "vote_history_error": _TOWER_ERROR,
    "replay_stage-skip_leader_slot": _SKIPPED,
    "replay_stage-partition-start": _PARTITION,
    "optimistic_slot_not_rooted": _NOT_ROOTED,
    "bank_hash_mismatch": _DIVERGED,
    "block_engine_stage-proxy_error": _BLOCK_ENGINE,
    "relayer_stage-proxy_error": _BLOCK_ENGINE,
}


def of_line(line: Line) -> Finding | None:
    """Give what a message of the validator means; None where it means nothing in particular."""
    text = line.text
    if not line.level and panic_of(text):
        return _PANIC
    for words, finding in MESSAGES:
        if words in text:
            return finding
    return _LIMITS if "recommended=" in text and "too small" in text else None


def of_point(point: Datapoint) -> Finding | None:
    """Give what a datapoint means by itself; None where it is a figure like others."""
    if point.name == "duplicate_slot":
        confirmed, mine = point.fields.get("duplicate_confirmed_hash"), point.fields.get("my_hash")
        return _DIVERGED if confirmed and mine and confirmed != mine else None
    if point.name == "blockstore_rocksdb_cfs":
        bad = any(point.fields.get(field) not in (None, 0.0) for field in ("background_errors", "is_write_stopped"))
        return _ROCKSDB if bad else None
    return POINTS.get(point.name)


def of_manager(text: str) -> Finding | None:
    """Give what systemd says of the unit."""
    return next((finding for words, finding in MANAGER_MESSAGES if words in text), None)


def of_kernel(text: str) -> Finding | None:
    """Give what the kernel says of a validator; a process's name is cut to 15 characters there."""
    return _OOM if _KERNEL_OOM in text and any(name in text for name in _VALIDATOR_NAMES) else None
