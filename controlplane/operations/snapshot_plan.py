"""Plans for a host's snapshots: each is one job on that host, and its steps name what it would do."""

import grpc
from solward.hosts.v1 import link_pb2

from common.errors import SolwardError, wrong_field
from common.names import host_name
from controlplane.links.registry import Links
from controlplane.operations.plan import SNAPSHOT, UnitPlan, allowed_validator, refuse_running, refuse_without_tool
from controlplane.store.hosts import HostRow

CREATE, VERIFY, PRUNE, UNPIN = "snapshot.create", "snapshot.verify", "snapshot.prune", "snapshot.unpin"
MAKE, DEEP = "snapshot.make", "snapshot.deep"
# Links and removals take moments; waiting for the next archive is added to it.
SHORT_S = 120
VERIFY_S = TOOL_S = 6 * 3600
# More archives than these are not named one by one in a plan.
NAMED = 20


def create(host: HostRow, links: Links, found: link_pb2.SnapshotsReport, archive: str, wait_s: int) -> UnitPlan:
    """Plan to keep a snapshot.

    Args:
        archive: its file name; empty: the newest complete pair.
        wait_s: how long to wait for the next archive that the node makes; 0: the newest that is there.

    Raises: SolwardError SNAPSHOT_NOT_FOUND, and as `plan.plan_unit`.
    """
    action = link_pb2.SnapshotAction(verb=link_pb2.SNAPSHOT_VERB_PIN, archive=archive)
    if archive and wait_s:
        raise wrong_field("wait_seconds", "cannot be given with an archive, which is there already")
    if wait_s:
        action.next = True
        return _plan(CREATE, host, links, action, SHORT_S + wait_s, ["wait for the next archive, and keep it"])
    if archive:
        _named(host, found, archive)
        return _plan(CREATE, host, links, action, SHORT_S, [f"keep {archive}"])
    pair = _newest_pair(host, found)
    words = [f"keep {each.name}, or what is newer by then" for each in pair]
    return _plan(CREATE, host, links, action, SHORT_S, words)


def verify(
    host: HostRow, links: Links, found: link_pb2.SnapshotsReport, archive: str, bytes_per_second: int, timeout_s: int
) -> UnitPlan:
    """Plan to read an archive whole; raises SolwardError as `create`."""
    chosen = _named(host, found, archive) if archive else _newest_pair(host, found)[-1]
    action = link_pb2.SnapshotAction(
        verb=link_pb2.SNAPSHOT_VERB_VERIFY, archive=chosen.name, bytes_per_second=bytes_per_second
    )
    size = f"{chosen.size / 1e9:.1f} GB"
    return _plan(VERIFY, host, links, action, timeout_s or VERIFY_S, [f"read {chosen.name} whole, {size}"])


def make(host: HostRow, links: Links, slot: int, *, incremental: bool) -> UnitPlan:
    """Plan to make an archive of the ledger of a node that is down.

    Args:
        slot: of which; 0: of the newest root.
        incremental: an incremental one, on the newest full archive.

    Raises: SolwardError NODE_RUNS, and as `plan.plan_unit`.
    """
    action = link_pb2.SnapshotAction(verb=link_pb2.SNAPSHOT_VERB_MAKE, make_slot=slot, incremental=incremental)
    what = "an incremental archive" if incremental else "a full archive"
    plan = _plan(MAKE, host, links, action, TOOL_S, [f"make {what} of {f'slot {slot}' if slot else 'the newest root'}"])
    refuse_without_tool(SNAPSHOT, host, links)
    refuse_running(host, plan, "its ledger is open for writing")
    return plan


def deep(host: HostRow, links: Links, found: link_pb2.SnapshotsReport, archive: str, timeout_s: int) -> UnitPlan:
    """Plan to load an archive as a boot does; raises SolwardError NODE_RUNS, and as `create`."""
    chosen = _named(host, found, archive) if archive else _newest_pair(host, found)[-1]
    action = link_pb2.SnapshotAction(verb=link_pb2.SNAPSHOT_VERB_DEEP, archive=chosen.name)
    plan = _plan(DEEP, host, links, action, timeout_s or TOOL_S, [f"load {chosen.name}, and compare every hash"])
    refuse_without_tool(SNAPSHOT, host, links)
    refuse_running(host, plan, "a deep check takes the memory and the disk of a second one")
    return plan


def prune(host: HostRow, links: Links, found: link_pb2.SnapshotsReport, policy: link_pb2.PrunePolicy) -> UnitPlan:
    """Plan to remove archives; raises SolwardError NOTHING_TO_CHANGE, and as `create`."""
    if not found.prune:
        raise SolwardError(
            grpc.StatusCode.FAILED_PRECONDITION, "NOTHING_TO_CHANGE", "there is nothing to remove by this policy",
            {"host": host_name(host.name)},
        )  # fmt: skip
    action = link_pb2.SnapshotAction(verb=link_pb2.SNAPSHOT_VERB_PRUNE, policy=policy, plan_digest=found.prune_digest)
    freed = sum(entry.size for entry in found.prune) / 1e9
    lines = [f"- {entry.name} ({entry.why})" for entry in found.prune[:NAMED]]
    if len(found.prune) > NAMED:
        lines.append(f"- and {len(found.prune) - NAMED} more")
    return _plan(PRUNE, host, links, action, SHORT_S, [*lines, f"{freed:.1f} GB in all"])


def unpin(host: HostRow, links: Links, found: link_pb2.SnapshotsReport, slot: int) -> UnitPlan:
    """Plan to let a pin go; raises SolwardError SNAPSHOT_NOT_FOUND, and as `create`."""
    pin = next((each for each in found.pins if each.slot == slot), None)
    if pin is None:
        raise _not_found(host, f"no snapshot is kept for slot {slot}")
    action = link_pb2.SnapshotAction(verb=link_pb2.SNAPSHOT_VERB_UNPIN, pin_slot=slot)
    return _plan(UNPIN, host, links, action, SHORT_S, [f"- {name}" for name in pin.archives])


def _plan(
    kind: str, host: HostRow, links: Links, action: link_pb2.SnapshotAction, timeout_s: int, lines: list[str]
) -> UnitPlan:
    report = allowed_validator(SNAPSHOT, host, links)
    action.unit = report.state.unit
    action.timeout_ms = timeout_s * 1000
    request = link_pb2.ActionRequest(snapshot=action).SerializeToString(deterministic=True)
    state = f"{report.state.active_state}/{report.state.sub_state}"
    return UnitPlan(kind, host.uid, host.name, report.state.unit, state, request, timeout_s, diff=tuple(lines))


def _newest_pair(host: HostRow, found: link_pb2.SnapshotsReport) -> list[link_pb2.SnapshotArchive]:
    """Find what a node could boot from: the newest full archive, and the newest incremental one on it."""
    usable = [each for each in found.archives if each.size and not each.bad]
    full = max((each for each in usable if not each.HasField("base")), key=lambda each: each.slot, default=None)
    if full is None:
        raise _not_found(host, "there is no full archive, or none that was not found bad")
    on_it = [each for each in usable if each.HasField("base") and each.base == full.slot]
    return [full, *([max(on_it, key=lambda each: each.slot)] if on_it else [])]


def _named(host: HostRow, found: link_pb2.SnapshotsReport, archive: str) -> link_pb2.SnapshotArchive:
    chosen = next((each for each in found.archives if each.name == archive), None)
    if chosen is None:
        raise _not_found(host, f"there is no archive {archive}")
    return chosen


def _not_found(host: HostRow, what: str) -> SolwardError:
    name = host_name(host.name)
    return SolwardError(
        grpc.StatusCode.NOT_FOUND, "SNAPSHOT_NOT_FOUND", f"on {name} {what}: see ctl controls snapshot list",
        {"host": name},
    )  # fmt: skip
