"""What the crash matrix sees from outside while an operation is at work: files that change, hosts that are down."""

import asyncio
import socket
from collections.abc import Callable, Iterable
from pathlib import Path

from solward.operations.v1 import operations_pb2 as pb

from tests.bench.crash_world import Counts, World
from tests.support.cluster import HostProcess

LOOK_S = 0.03
# Which file it is, and which content it has.
Mark = tuple[int, int]


class Files:
    """Counts how often files of a host came, were replaced or rewritten, and went.

    Args:
        listed: gives the files.
    """

    def __init__(self, listed: Callable[[], Iterable[Path]]) -> None:
        self._listed = listed
        self._known = self._marks()
        self.made = self.gone = 0

    def look(self) -> None:
        """Compare with the look before."""
        now = self._marks()
        self.made += sum(self._known.get(path) != mark for path, mark in now.items())
        self.gone += len(self._known.keys() - now.keys())
        self._known = now

    def _marks(self) -> dict[Path, Mark]:
        found = {}
        for path in self._listed():
            try:
                about = path.stat()
            except FileNotFoundError:
                continue
            found[path] = (about.st_ino, about.st_mtime_ns)
        return found


class AtOnce:
    """Counts how often more were at work than allowed: each time that it begins, not each look."""

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._over = False
        self.most = self.exceeded = 0

    def look(self, now: int) -> None:
        """Take in how many are at work now."""
        over = now > self._allowed
        self.exceeded += over and not self._over
        self._over = over
        self.most = max(self.most, now)


class Watch:
    """Looks at a world again and again.

    Args:
        at_once: how many hosts may be at work, and down, at once.
    """

    def __init__(self, world: World, at_once: int) -> None:
        self._world = world
        self._files = {
            (name, what): files for name, host in world.cluster.hosts.items() for what, files in _files(host).items()
        }
        self.running, self.down = AtOnce(at_once), AtOnce(at_once)

    def counted(self) -> Counts:
        """Count what became of the files of each host."""
        made = {(name, f"{what} made"): files.made for (name, what), files in self._files.items()}
        return made | {(name, f"{what} gone"): files.gone for (name, what), files in self._files.items()}

    def look(self, uid: str) -> None:
        """Look once, while an operation is at work."""
        for files in self._files.values():
            files.look()
        targets = self._world.store.get(uid).targets
        self.running.look(sum(target.state == pb.TARGET_STATE_RUNNING for target in targets))
        self.down.look(sum(not _answers(host) for host in self._world.cluster.hosts.values()))

    async def until_cancelled(self, uid: str) -> None:
        """Look again and again."""
        while True:
            self.look(uid)
            await asyncio.sleep(LOOK_S)


def _files(host: HostProcess) -> dict[str, Files]:
    ledger = host.folder / "ledger"
    return {
        "flags": Files(lambda: [host.script]),
        "pin": Files(lambda: ledger.glob("solward-pins/[0-9]*")),
        "archive": Files(lambda: ledger.glob("*.tar.zst")),
    }


def _answers(host: HostProcess) -> bool:
    """Whether a host's validator takes connections."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", host.rpc_port)) == 0
