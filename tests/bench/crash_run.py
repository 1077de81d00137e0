"""The crash matrix's killer: carries out an operation while somebody is killed at each of its steps."""

import asyncio
import re
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from solward.operations.v1 import operations_pb2 as pb

from tests.bench.crash_kinds import Kind
from tests.bench.crash_watch import Watch
from tests.bench.crash_world import ENDED, Counts, World

RUN_SECONDS = 240.0
LOOK_S = 0.002
# A run in which fewer were killed says nothing.
KILLS = 2
# Steps that an agent carries out: what they say meanwhile shows how far it is.
AT_WORK = ("act", "configure")

# Name, how it stands, what it says.
Stand = tuple[str, str, str]
Progress = tuple[Stand, ...]


class Victim(NamedTuple):
    """Who is killed.

    Attributes:
        kill: kills it, and starts it again.
        middle_s: a step that lasts so long is killed once more in its middle.
    """

    kill: Callable[[World, Kind, pb.Operation], Awaitable[None]]
    middle_s: float


class Ran(NamedTuple):
    """How one run went.

    Attributes:
        trouble: why it did not come through; empty if it did.
        doubled: what was done more often than was asked, one line each.
        exceeded: how often more hosts were at work, or down, than was allowed.
        recoveries_s: from the new start of who was killed to the operation moving again, each time.
    """

    name: str
    kills: int
    trouble: str
    doubled: list[str]
    exceeded: int
    recoveries_s: list[float]


async def kill_plane(world: World, _kind: Kind, _operation: pb.Operation) -> None:
    """Kill the control plane, and start it again; it may go on with its work before it serves."""
    await world.cluster.stop_server(signal.SIGKILL)
    await world.cluster.begin_server()


async def kill_agent(world: World, kind: Kind, operation: pb.Operation) -> None:
    """Kill the agent of the host whose turn it is, and start it again."""
    host = world.cluster.hosts[turn(operation) or kind.hosts[0]]
    await world.cluster.stop_agent(host, signal.SIGKILL)
    await world.cluster.start_agent(host)


# The control plane takes seconds to come back: to kill it in the middle, too, would take hours.
VICTIMS = {"control plane": Victim(kill_plane, float("inf")), "agent": Victim(kill_agent, 0.9)}


async def run(world: World, kind: Kind, victim: str) -> Ran:
    """Do an operation of a kind once, while its victim is killed at every step."""
    await kind.scene(world)
    before, watch = await world.counted(), Watch(world, kind.at_once)
    uid, asked = await world.ask(*kind.ask(world))
    looks = asyncio.create_task(watch.until_cancelled(uid))
    try:
        operation, kills, recoveries = await _killing(world, kind, uid, VICTIMS[victim])
        # It may never have had its answer: the operation is on record all the same.
        await asked
        await _let_go(world, uid)
        await world.settle()
    finally:
        looks.cancel()
        with suppress(asyncio.CancelledError):
            await looks
    watch.look(uid)
    done = {key: count - before[key] for key, count in (await world.counted()).items()} | watch.counted()
    doubled, missing = compare(done, kind)
    why = trouble(operation, kills) or ", ".join(missing)
    exceeded = watch.running.exceeded + watch.down.exceeded
    return Ran(f"{kind.name}/{victim}", kills, why, doubled, exceeded, recoveries)


async def _killing(world: World, kind: Kind, uid: str, victim: Victim) -> tuple[pb.Operation, int, list[float]]:
    """Kill at each moment of an operation until it has ended."""
    moments, kills, back, recoveries = Moments(victim.middle_s), 0, 0.0, list[float]()
    deadline = time.monotonic() + RUN_SECONDS
    while (operation := world.store.get(uid)).state not in ENDED and time.monotonic() < deadline:
        now = progress(operation, world.store.parts(operation))
        # Before its first step it may not be set going yet; a kill then is answered by NEVER_BEGUN.
        if not begun(operation) or not moments.take(now):
            await asyncio.sleep(LOOK_S)
            continue
        if back and moments.new:
            recoveries.append(time.monotonic() - back)
        await victim.kill(world, kind, operation)
        kills, back = kills + 1, time.monotonic()
    if back:
        recoveries.append(time.monotonic() - back)
    return operation, kills, recoveries


class Moments:
    """The moments at which to kill: each progress as it is first seen, and its middle where it lasts.

    Attributes:
        new: whether the moment that was taken last is the first of its progress.
    """

    def __init__(self, middle_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._middle_s = middle_s
        self._clock = clock
        # When a progress was first seen; nothing once its middle is over, too.
        self._seen: dict[Progress, float | None] = {}
        self.new = False

    def take(self, now: Progress) -> bool:
        """Whether this is a moment to kill."""
        self.new = now not in self._seen
        if self.new:
            self._seen[now] = self._clock()
            return True
        since = self._seen[now]
        if since is None or self._clock() - since < self._middle_s:
            return False
        self._seen[now] = None
        return True


def begun(operation: pb.Operation) -> bool:
    """Whether any step, or any host's turn, has begun."""
    waiting = all(target.state == pb.TARGET_STATE_WAITING for target in operation.targets)
    return any(step.HasField("start_time") for step in operation.steps) or bool(operation.targets and not waiting)


def progress(operation: pb.Operation, parts: Sequence[pb.Operation] = ()) -> Progress:
    """Say how far an operation is: its hosts, and the steps of it and of its parts.

    Gates count as one step, since one look judges them all.
    """
    hosts = tuple((target.host, str(target.state), "") for target in operation.targets)
    return hosts + tuple(stand for each in (operation, *parts) for stand in _steps(each))


def _steps(operation: pb.Operation) -> list[Stand]:
    gates = [step for step in operation.steps if step.id.startswith("gate-")]
    others = [step for step in operation.steps if not step.id.startswith("gate-")]
    begun_gates = any(step.HasField("start_time") for step in gates)
    judged = all(step.verdict != pb.VERDICT_UNSPECIFIED for step in gates)
    return [("gates", f"{begun_gates} {judged}", ""), *map(_stand, others)]


def _stand(step: pb.Step) -> Stand:
    state = f"{step.HasField('start_time')} {step.verdict}"
    at_work = step.id in AT_WORK and step.verdict == pb.VERDICT_UNSPECIFIED
    # Without its figures, which change with every look.
    return step.id, state, re.sub(r"[\d.]+", "#", step.message) if at_work else ""


def turn(operation: pb.Operation) -> str:
    """Name the host whose turn it is, or comes next; empty for an operation on one host."""
    for state in (pb.TARGET_STATE_RUNNING, pb.TARGET_STATE_WAITING):
        for target in operation.targets:
            if target.state == state:
                return target.host.removeprefix("hosts/")
    return operation.targets[-1].host.removeprefix("hosts/") if operation.targets else ""


def compare(done: Counts, kind: Kind) -> tuple[list[str], list[str]]:
    """Compare what was done with what was asked: gives what was done too often, and what too seldom."""
    doubled, missing = [], []
    for (host, what), count in sorted(done.items()):
        mine = host in kind.hosts
        asked = kind.once.get(what, 0) if mine else 0
        most = asked + (kind.besides.get(what, 0) if mine else 0)
        doubled += [f"{kind.name}: {what} on {host}"] * max(0, count - most)
        if count < asked:
            missing.append(f"{what} on {host} {count} times, asked for {asked}")
    return doubled, missing


def trouble(operation: pb.Operation, kills: int) -> str:
    """Say why a run has not come through; empty if it has."""
    if operation.state != pb.OPERATION_STATE_SUCCEEDED:
        targets = [f"{target.host} {target.message}" for target in operation.targets if target.message]
        return "; ".join(filter(None, [pb.OperationState.Name(operation.state), operation.error.message, *targets]))
    return "" if kills >= KILLS else f"only {kills} kills"


async def _let_go(world: World, uid: str) -> None:
    """End an operation that did not come to its end, so that the hosts are free for the next."""
    operation = world.store.get(uid)
    if operation.state == pb.OPERATION_STATE_SUCCEEDED or operation.HasField("end_time"):
        return
    await world.cluster.ctl("operations", "abort", operation.name, check=False)
    await world.until_ended(uid)
