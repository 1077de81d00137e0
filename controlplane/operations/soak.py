"""Soak: a host that has caught up is watched for a while before another one has its turn."""

import asyncio
from collections.abc import Awaitable, Callable

from solward.operations.v1 import operations_pb2 as pb

from controlplane.links.inspect import InspectError
from controlplane.operations.gates import PASS, health
from controlplane.operations.gating import Gating
from controlplane.operations.plan import UnitPlan

# About so many looks in a soak, at least and at most so many seconds apart.
LOOKS = 20
SHORTEST_S, LONGEST_S = 1.0, 30.0
OFFLINE = "its agent is not connected"


class Looks:
    """What came of the looks so far."""

    def __init__(self) -> None:
        self.good = 0
        self.bad: list[str] = []
        self.unseen = 0

    def add(self, trouble: str) -> None:
        """Add one look; an empty text is a good one."""
        if trouble:
            self.bad.append(trouble)
        else:
            self.good += 1

    def add_unseen(self) -> None:
        """Add a look that nobody could take."""
        self.bad.append(OFFLINE)
        self.unseen += 1

    def verdict(self) -> tuple[pb.Verdict, str]:
        """Conclude: a host that is well now and then is one that nobody can tell about."""
        whole = self.good + len(self.bad)
        if not self.bad:
            return PASS, f"well at each of {whole} looks"
        if self.unseen == whole:
            return pb.VERDICT_INCONCLUSIVE, f"HOST_OFFLINE: not seen at any of {whole} looks; {OFFLINE}"
        if not self.good:
            return pb.VERDICT_FAIL, f"UNHEALTHY: not well at any of {whole} looks; {self.bad[-1]}"
        why = f"FLAPS: not well at {len(self.bad)} of {whole} looks; {self.bad[-1]}"
        return pb.VERDICT_INCONCLUSIVE, why


async def soak(
    gating: Gating,
    plan: UnitPlan,
    gone: Callable[[], str],
    connected: Callable[[], Awaitable[bool]],
    aborted: Callable[[], Awaitable[bool]],
    tell: Callable[[str], None],
) -> tuple[pb.Verdict, str]:
    """Watch a host.

    Args:
        gone: says what has become of the run that was started; empty while it goes on.
        connected: whether its agent is; one that only restarts is waited for.
        aborted: whether a person has ended the operation, which ends the watch.
        tell: shown what it is at.
    """
    looks, left_s = Looks(), float(plan.soak_s)
    pause_s = min(max(left_s / LOOKS, SHORTEST_S), LONGEST_S)
    while True:
        if why := gone():
            return pb.VERDICT_FAIL, why
        if await aborted():
            return pb.VERDICT_INCONCLUSIVE, "ABORTED: a person ended the watch"
        if await connected():
            looks.add(await _look(gating, plan))
        else:
            looks.add_unseen()
        if left_s <= 0:
            return looks.verdict()
        tell(f"{left_s:.0f} s left" + (f"; {looks.bad[-1]}" if looks.bad else ""))
        await asyncio.sleep(min(left_s, pause_s))
        left_s -= pause_s


async def _look(gating: Gating, plan: UnitPlan) -> str:
    if not plan.ready:
        return ""
    try:
        verdict, message, _ = health(await gating.scene(plan))
    except InspectError as error:
        return f"{error.reason}: {error.message}"
    return "" if verdict == PASS else message
