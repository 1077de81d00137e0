"""Rollout: which hosts of an operation on many have their turn now, or what becomes of the whole.

Pure: the operation as it stands and what is down in, a decision out. It is asked again after every change, so that a
control plane that died finds its way from what is stored alone.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from solward.operations.v1 import operations_pb2 as pb

# How a target may end without having reached what was wanted.
NOT_PASSED = (pb.TARGET_STATE_FAILED, pb.TARGET_STATE_PAUSED)
WAITING, RUNNING = pb.TARGET_STATE_WAITING, pb.TARGET_STATE_RUNNING


class Decision(NamedTuple):
    """What is to happen now.

    Attributes:
        begin: hosts whose turn has come.
        state: what becomes of the operation; RUNNING: it goes on.
        reason: a stable code for it, where it does not go on or cannot now.
        message: the same for people.
    """

    begin: tuple[str, ...] = ()
    state: pb.OperationState = pb.OPERATION_STATE_RUNNING
    reason: str = ""
    message: str = ""


def decide(operation: pb.Operation, down: Mapping[str, str]) -> Decision:
    """Decide what is to happen now.

    Args:
        operation: as it stands, with its targets and rollout.
        down: hosts of it that are not available, each with the reason.
    """
    targets = operation.targets
    busy = any(target.state == RUNNING for target in targets)
    ending = _ending(operation)
    if ending is not None:
        # Whatever is at work is seen to its end first; a node is never left half way.
        return Decision() if busy else ending
    waiting = [target for target in targets if target.state == WAITING]
    if not waiting:
        return Decision() if busy else _end(targets)
    return _turns(operation, waiting, down)


def _ending(operation: pb.Operation) -> Decision | None:
    """Say what ends or pauses an operation before all its hosts had their turn; None: nothing."""
    if operation.wish == pb.WISH_ABORT:
        return Decision((), pb.OPERATION_STATE_ABORTED, "ABORTED", "a person ended it")
    unsure = [t for t in operation.targets if t.state == pb.TARGET_STATE_PAUSED and not t.accepted]
    if unsure:
        why = f"nobody can tell how it stands: {_listed(unsure)}"
        return Decision((), pb.OPERATION_STATE_PAUSED, "HOST_INCONCLUSIVE", why)
    failed = [t for t in operation.targets if t.state == pb.TARGET_STATE_FAILED and not t.accepted]
    policy = operation.rollout.on_failure
    allowed = operation.rollout.max_failures if policy == pb.FAILURE_POLICY_CONTINUE else 0
    if len(failed) > allowed:
        stops = policy == pb.FAILURE_POLICY_STOP
        state = pb.OPERATION_STATE_FAILED if stops else pb.OPERATION_STATE_PAUSED
        return Decision((), state, "HOST_FAILED", f"did not pass: {_listed(failed)}")
    if operation.wish == pb.WISH_PAUSE:
        return Decision((), pb.OPERATION_STATE_PAUSED, "PAUSED", "a person paused it")
    return None


def _end(targets: Sequence[pb.Target]) -> Decision:
    left = [target for target in targets if target.state in NOT_PASSED]
    if left:
        why = f"{len(left)} of {len(targets)} hosts did not pass: {_listed(left)}"
        return Decision((), pb.OPERATION_STATE_FAILED, "HOST_FAILED", why)
    return Decision((), pb.OPERATION_STATE_SUCCEEDED)


def _turns(operation: pb.Operation, waiting: Sequence[pb.Target], down: Mapping[str, str]) -> Decision:
    rollout = operation.rollout
    canaries = [t for t in operation.targets if t.canary and t.state in (WAITING, RUNNING)]
    candidates = [target for target in waiting if target.canary] if canaries else waiting
    most = 1 if canaries else rollout.max_unavailable or 1
    # A host that did not pass may run and not be well: it counts as away until a person has seen it.
    away = [t for t in operation.targets if t.state == RUNNING or (t.state in NOT_PASSED and not t.accepted)]
    gone = {t.host: t for t in operation.targets if t.host in down} | {t.host: t for t in away}
    groups = {t.group for t in away if t.group}
    begin: list[str] = []
    held: list[str] = []
    for target in candidates:
        after = {**gone, target.host: target}
        if why := _held(target, after, groups, most, rollout.max_stake_percent, down):
            held.append(why)
            if target.group in groups and target.group:
                # The next one may be of another group.
                continue
            break
        begin.append(target.host)
        gone = after
        groups.add(target.group)
    reason, message = held[0].split(": ", 1) if held and not begin else ("", "")
    return Decision(tuple(begin), reason=reason, message=message)


def _held(
    target: pb.Target, after: Mapping[str, pb.Target], groups: set[str], most: int, stake: float,
    down: Mapping[str, str],
) -> str:  # fmt: skip
    """Say what keeps a host from its turn, were it to go; empty if nothing does."""
    host = target.host.removeprefix("hosts/")
    if target.group and target.group in groups:
        return f"GROUP_AT_WORK: another host of group {target.group} is at work or did not pass, so {host} must wait"
    if len(after) > most:
        others = "; ".join(f"{name.removeprefix('hosts/')} {why}" for name, why in down.items() if name != target.host)
        return f"MAX_UNAVAILABLE: {len(after) - 1} of these hosts are at work or down already ({others or 'at work'})"
    share = sum(each.stake_percent for each in after.values())
    if stake and share > stake:
        return f"MAX_STAKE: with {host}, {share:.1f} % of the stake would be at work or down"
    return ""


def _listed(targets: Sequence[pb.Target]) -> str:
    return "; ".join(f"{target.host.removeprefix('hosts/')} ({target.message})" for target in targets[:5])
