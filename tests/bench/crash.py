"""The crash matrix: each kind of operation, with the control plane, then its agent, killed at every step."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.crash_kinds import KINDS, Kind
from tests.bench.crash_run import VICTIMS, Ran
from tests.bench.crash_run import run as run_one
from tests.bench.crash_world import world
from tests.bench.rows import Row, quantile, row

WORLDS = 2


async def run() -> list[Row]:
    """Carry out the matrix, two kinds at a time, each in a cluster of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return rows(await carry_out(Path(folder), KINDS))


async def carry_out(folder: Path, kinds: tuple[Kind, ...]) -> list[Ran]:
    """Carry out some kinds; the first ones, which take longest, begin first."""
    waiting, ran = list(reversed(kinds)), list[Ran]()

    async def work(number: int) -> None:
        home = folder / str(number)
        home.mkdir()
        async with world(home) as made:
            while waiting:
                kind = waiting.pop()
                for victim in VICTIMS:
                    began = time.perf_counter()
                    ran.append(one := await run_one(made, kind, victim))
                    print(f"     {_line(one)} ({time.perf_counter() - began:.0f} s)", file=sys.stderr, flush=True)

    async with asyncio.TaskGroup() as group:
        for number in range(min(WORLDS, len(kinds))):
            group.create_task(work(number))
    return ran


def rows(ran: list[Ran]) -> list[Row]:
    """Make the figures of all runs."""
    kinds = list(dict.fromkeys(one.name.partition("/")[0] for one in ran))
    what = (
        f"{sum(one.kills for one in ran)} times SIGKILL in {len(ran)} runs, at each step of each operation once to the "
        f"control plane and once to the host's agent: {', '.join(kinds)}"
    )
    failed = [f"{one.name}: {one.trouble}" for one in ran if one.trouble]
    doubled = [what for one in ran for what in one.doubled]
    exceeded = sum(one.exceeded for one in ran)
    recoveries = [each for one in ran for each in one.recoveries_s]
    resumed = 100 * (len(ran) - len(failed)) / len(ran)
    moving = "from the new start of who was killed to the operation's next step; what that step takes is in it"
    return [
        row("crash_resumed_percent", resumed, "%", ">= 100", "; ".join([what, *failed])),
        row("crash_doubled", len(doubled), "effects", "<= 0", "; ".join([_COUNTED, *doubled])),
        row("crash_max_unavailable_exceeded", exceeded, "times", "<= 0", _AT_ONCE),
        row("crash_recovery_p50_s", quantile(recoveries, 0.5), "s", "<= 2", moving),
        row("crash_recovery_max_s", max(recoveries), "s", "<= 30", moving),
    ]


_COUNTED = (
    "starts and exits in the validator's log, changes of its voters at the node, jobs as started, flags, pins and "
    "archives on disk"
)
_AT_ONCE = "hosts that have their turn by the store, and validators that take no connection, looked at all the time"


def _line(one: Ran) -> str:
    said = [f"{one.kills} kills", one.trouble or "resumed", *one.doubled]
    return f"{one.name}: {', '.join(said + [f'{one.exceeded} times too many at once'] * bool(one.exceeded))}"
