"""Readiness: after its start a node is watched until it has caught up, or cannot any more (facts: agave 3.4)."""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2 as pb

from controlplane.links.inspect import InspectError
from controlplane.operations.gates import PASS, Scene, health
from controlplane.operations.gating import Gating
from controlplane.operations.plan import UnitPlan

_POLL_S = 1.0


class Readiness(NamedTuple):
    """How the node stands: a verdict once there is one, and what was found."""

    verdict: pb.Verdict
    message: str
    figures: dict[str, str]


WAIT = pb.VERDICT_UNSPECIFIED


def ready(scene: Scene, identity: str, after: link_pb2.UnitState) -> Readiness:
    """Judge a started node.

    Args:
        identity: the key that it ran as before; empty: not known.
        after: its unit just after the start.
    """
    node = scene.node
    if identity and node.identity and node.identity != identity:
        return Readiness(pb.VERDICT_FAIL, f"IDENTITY_CHANGED: it ran as {identity} and runs as {node.identity}", {})
    if node.start_progress not in ("", "Running"):
        return Readiness(WAIT, f"start: {node.start_progress}", {})
    if node.pid and after.main_pid and node.pid != after.main_pid:
        return Readiness(WAIT, f"process {node.pid} answers the admin socket, and the unit's is {after.main_pid}", {})
    verdict, message, figures = health(scene)
    if verdict == PASS:
        return Readiness(PASS, message, figures)
    if node.health == "ok" and scene.outside.trouble:
        return Readiness(pb.VERDICT_INCONCLUSIVE, message, figures)
    return Readiness(WAIT, message, figures)


async def wait_until_ready(
    gating: Gating,
    plan: UnitPlan,
    identity: str,
    after: link_pb2.UnitState,
    within_s: float,
    still: Callable[[], str],
    tell: Callable[[str], None],
) -> Readiness:
    """Look at a started node again and again until it is ready, or it is clear that it will not be.

    Args:
        within_s: seconds after which it is given up.
        still: says what has become of the unit if it is no longer the run that was started; else "".
        tell: shown what it is at.
    """
    deadline = time.monotonic() + within_s
    while True:
        if gone := still():
            return Readiness(pb.VERDICT_FAIL, gone, {})
        try:
            found = ready(await gating.scene(plan), identity, after)
        except InspectError as error:
            found = Readiness(WAIT, f"{error.reason}: {error.message}", {})
        late = time.monotonic() >= deadline
        if found.verdict not in (WAIT, pb.VERDICT_INCONCLUSIVE) or (found.verdict != WAIT and late):
            return found
        if late:
            return Readiness(pb.VERDICT_FAIL, f"NOT_READY: not within {within_s:g} s; {found.message}", found.figures)
        tell(found.message)
        await asyncio.sleep(_POLL_S)
