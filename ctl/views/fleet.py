"""The view of an operation on many hosts: a line for each, with how far it has come, and the time left."""

import time

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text
from solward.operations.v1 import operations_pb2 as pb

from ctl.output import cell, safe

_MARKS = {
    pb.TARGET_STATE_SUCCEEDED: ("✓", "green"),
    pb.TARGET_STATE_FAILED: ("✗", "red"),
    pb.TARGET_STATE_PAUSED: ("?", "yellow"),
    pb.TARGET_STATE_SKIPPED: ("-", "dim"),
    pb.TARGET_STATE_WAITING: ("·", "dim"),
}
_ENDED = (pb.TARGET_STATE_SUCCEEDED, pb.TARGET_STATE_FAILED, pb.TARGET_STATE_PAUSED)
_POLICIES = {
    pb.FAILURE_POLICY_STOP: "a failed host ends it",
    pb.FAILURE_POLICY_CONTINUE: "goes on while no more than {} hosts fail",
}
# While it is watched: so many hosts whose turn is past or still to come are shown beside those at work.
NEAR = 8


def fleet_view(operation: pb.Operation, *, brief: bool = False) -> RenderableType:
    """Draw the hosts of an operation.

    Args:
        brief: leave out those far from their turn, so that a large fleet fits on a screen.
    """
    table = Table(box=None, show_header=False, pad_edge=False)
    shown = _near(operation) if brief else list(operation.targets)
    for target in shown:
        table.add_row(
            _mark(target), cell(target.host.removeprefix("hosts/")), _bar(target), _stake(target), _said(target)
        )
        for line in target.diff if operation.state == pb.OPERATION_STATE_PLANNED else ():
            table.add_row("", "", "", "", Text(safe(line), style="green" if line.startswith("+") else "red"))
    more = len(operation.targets) - len(shown)
    rest = [Text(f"and {more} more: ctl operations show", style="dim")] if more else []
    return Group(Text(_how(operation), style="dim"), table, *rest, *_summary(operation))


def time_left_s(operation: pb.Operation, now_s: float) -> float | None:
    """Guess how long the rest will take, from how long hosts took so far; None before one has ended."""
    took = [_seconds(target) for target in operation.targets if target.state == pb.TARGET_STATE_SUCCEEDED]
    if not took:
        return None
    mean = sum(took) / len(took)
    left = 0.0
    for target in operation.targets:
        if target.state == pb.TARGET_STATE_WAITING:
            left += mean
        elif target.state == pb.TARGET_STATE_RUNNING:
            left += max(0.0, mean - (now_s - target.start_time.ToMilliseconds() / 1000))
    return left / max(1, operation.rollout.max_unavailable)


def _near(operation: pb.Operation) -> list[pb.Target]:
    targets = list(operation.targets)
    notable = (pb.TARGET_STATE_RUNNING, pb.TARGET_STATE_FAILED, pb.TARGET_STATE_PAUSED)
    done = [i for i, t in enumerate(targets) if t.state == pb.TARGET_STATE_SUCCEEDED][-NEAR:]
    waiting = [i for i, t in enumerate(targets) if t.state == pb.TARGET_STATE_WAITING][:NEAR]
    near = {*done, *waiting, *(i for i, t in enumerate(targets) if t.state in notable)}
    return [targets[i] for i in sorted(near)] or targets[:NEAR]


def _mark(target: pb.Target) -> RenderableType:
    if target.state == pb.TARGET_STATE_RUNNING:
        return Spinner("dots")
    mark, style = _MARKS.get(target.state, ("·", "dim"))
    return Text(mark, style=style)


def _bar(target: pb.Target) -> RenderableType:
    if target.state in (pb.TARGET_STATE_WAITING, pb.TARGET_STATE_SKIPPED):
        return Text("canary" if target.canary else "", style="dim")
    return ProgressBar(total=max(1, target.steps), completed=target.steps_passed, width=16)


def _stake(target: pb.Target) -> Text:
    return Text(f"{target.stake_percent:.1f} %" if target.stake_percent else "", style="dim")


def _said(target: pb.Target) -> Text:
    took = f"{_seconds(target):.1f} s  " if target.state in _ENDED and target.HasField("start_time") else ""
    again = f"turn {target.attempts}  " if target.attempts > 1 else ""
    state = "skipped" if target.state == pb.TARGET_STATE_SKIPPED and not target.message else ""
    style = "red" if target.state == pb.TARGET_STATE_FAILED else "dim"
    return Text(f"{took}{again}{safe(target.message)}{state}", style=style)


def _how(operation: pb.Operation) -> str:
    rollout = operation.rollout
    words = [f"{len(operation.targets)} hosts, at most {rollout.max_unavailable or 1} at work or down at once"]
    if rollout.max_stake_percent:
        words.append(f"at most {rollout.max_stake_percent:g} % of their stake")
    if rollout.canaries:
        words.append(f"{rollout.canaries} first, one at a time")
    if rollout.soak_seconds:
        words.append(f"each watched for {rollout.soak_seconds} s")
    words.append(_POLICIES.get(rollout.on_failure, "a failed host pauses it").format(rollout.max_failures))
    return "; ".join(words)


def _summary(operation: pb.Operation) -> list[Text]:
    if operation.state == pb.OPERATION_STATE_PLANNED:
        return []
    done = sum(target.state in _ENDED for target in operation.targets)
    words = f"{done} of {len(operation.targets)} hosts"
    left = time_left_s(operation, time.time()) if operation.state == pb.OPERATION_STATE_RUNNING else None
    if left is not None:
        words += f", about {_duration(left)} left"
    return [Text(words)]


def _seconds(target: pb.Target) -> float:
    return (target.end_time.ToMilliseconds() - target.start_time.ToMilliseconds()) / 1000


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
