"""The crash matrix's table: which kinds of operation there are, and what one of each does, counted where it is done."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.bench.crash_world import NAMES, World
from tests.peers import ledger_tool as ledgers
from tests.peers import snapshots as archives

ONE = NAMES[:1]
FULL, ON_IT = archives.SLOT - 1000, archives.SLOT
SURPLUS = (FULL + 10, FULL + 20)
SNAPSHOT = ("controls", "snapshot")


class Kind(NamedTuple):
    """A kind of operation.

    Attributes:
        name: for people.
        scene: makes it possible, as often as it is called.
        ask: the words with which ctl is asked for it.
        once: what one operation does on each of its hosts, by the names of the counts (`World.counted` and
            `Watch.counted`); what is not named is not done, and neither is anything on another host.
        hosts: on which it is done.
        besides: what systemd may do of itself while no agent lives to ask it.
        at_once: how many of them may be at work, or down, at once.
    """

    name: str
    scene: Callable[[World], Awaitable[None]]
    ask: Callable[[World], tuple[str, ...]]
    once: Mapping[str, int]
    hosts: tuple[str, ...] = ONE
    besides: Mapping[str, int] = {}
    at_once: int = 1


def _words(*words: str) -> Callable[[World], tuple[str, ...]]:
    return lambda _: words


async def _up(world: World) -> None:
    """Have every validator run."""
    for name in NAMES:
        status = await world.cluster.ctl_json("validator", "status", name)
        if status["unit"]["activeState"] != "active":
            await world.do("validator", "start", name)


async def _down(world: World) -> None:
    """Have the first validator stopped."""
    status = await world.cluster.ctl_json("validator", "status", ONE[0])
    if status["unit"]["activeState"] == "active":
        await world.do("validator", "stop", ONE[0])


async def _votes(world: World, wanted: bool) -> None:
    await _up(world)
    node = await world.cluster.ctl_json("validator", "node", ONE[0])
    if node["votingEnabled"] is not wanted:
        await world.do("validator", "vote", "on" if wanted else "off", ONE[0])


async def _voting(world: World) -> None:
    await _votes(world, True)


async def _silent(world: World) -> None:
    await _votes(world, False)


def _set(*command: str) -> Callable[[World], tuple[str, ...]]:
    """Set a flag to what it never was before."""
    return lambda world: (*command, "--set", f"rpc-threads={world.fresh()}")


async def _changed(world: World) -> None:
    """Have flags changed on many hosts, to be taken back."""
    await _up(world)
    await world.do(*_set("controls", "config", "apply", *NAMES[:2])(world))


def _pins(world: World) -> Path:
    return world.host.folder / "ledger" / "solward-pins"


async def _archives(world: World) -> None:
    """Have a full archive that is read for some seconds, an incremental one on it, and no pin."""
    ledger = world.host.folder / "ledger"
    if not (ledger / archives.name(FULL)).exists():
        members = [*archives.state(FULL), *archives.accounts(FULL, count=4, size=1_500_000)]
        archives.write(ledger, FULL, raw=archives.content(FULL, members=members))
        archives.write(ledger, ON_IT, base=FULL)
    if (_pins(world) / str(ON_IT)).exists():
        await world.do(*SNAPSHOT, "unpin", *ONE, "--slot", str(ON_IT))


async def _pinned(world: World) -> None:
    """Have the newest pair pinned."""
    await _archives(world)
    await world.do(*SNAPSHOT, "create", *ONE)


async def _surplus(world: World) -> None:
    """Have archives that nobody needs."""
    await _archives(world)
    for slot in SURPLUS:
        archives.write(world.host.folder / "ledger", slot, base=FULL)


async def _broken(world: World) -> None:
    """Have a ledger with a dead slot, and a tool that takes its time."""
    await _archives(world)
    slots = ledgers.chain(range(ON_IT - 5, ON_IT + 5))
    slow = {"command": "print", "slow_s": 2}
    ledgers.write(world.host.folder / "ledger", slots, roots=range(ON_IT - 5, ON_IT + 1), dead=[ON_IT + 3], fault=slow)


async def _broken_down(world: World) -> None:
    await _broken(world)
    await _down(world)


async def _broken_up(world: World) -> None:
    await _broken(world)
    await _up(world)


RANGE = ("--from", str(ON_IT - 5), "--to", str(ON_IT + 4))
RESTARTED = {"start": 1, "exit": 1}
WRITTEN = {"flags made": 1, "version": 1}
KINDS = (
    Kind("restart of 3", _up, _words("controls", "restart", *NAMES, "--soak", "1"), RESTARTED, NAMES),
    Kind("config apply", _up, _set("controls", "config", "apply", *NAMES[:2]), RESTARTED | WRITTEN, NAMES[:2]),
    Kind(
        "config rollback", _changed, lambda world: ("controls", "config", "rollback", world.last), RESTARTED | WRITTEN,
        NAMES[:2],
    ),
    Kind("ledger repair", _broken_up, _words("controls", "ledger", "repair", *ONE, *RANGE), RESTARTED | {"job": 1}),
    Kind("ledger survey", _broken_down, _words("controls", "ledger", "survey", *ONE, *RANGE), {"job": 1}),
    Kind("restart", _up, _words("validator", "restart", *ONE), RESTARTED),
    Kind("flags", _up, _set("validator", "flags", "change", *ONE), RESTARTED | WRITTEN),
    Kind("stop", _up, _words("validator", "stop", *ONE), {"exit": 1}),
    # Between its exit and the stop of its unit, Restart=always brings it up once more.
    Kind(
        "stop of Restart=always", _up, _words("validator", "stop", NAMES[1]), {"exit": 1}, NAMES[1:2],
        besides={"start": 1, "exit": 1},
    ),
    Kind("start", _down, _words("validator", "start", *ONE), {"start": 1}),
    Kind("vote off", _voting, _words("validator", "vote", "off", *ONE), {"voters": 1}),
    Kind("vote on", _silent, _words("validator", "vote", "on", *ONE), {"voters": 1}),
    Kind(
        "snapshot verify", _archives,
        _words(*SNAPSHOT, "verify", *ONE, "--archive", archives.name(FULL), "--limit", "1"), {"job": 1},
    ),
    Kind("snapshot create", _archives, _words(*SNAPSHOT, "create", *ONE), {"job": 1, "pin made": 1}),
    Kind("snapshot unpin", _pinned, _words(*SNAPSHOT, "unpin", *ONE, "--slot", str(ON_IT)), {"job": 1, "pin gone": 1}),
    Kind(
        "snapshot prune", _surplus, _words(*SNAPSHOT, "prune", *ONE, "--keep-incremental", "1"),
        {"job": 1, "archive gone": len(SURPLUS)},
    ),
)  # fmt: skip
