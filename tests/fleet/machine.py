"""A real host: its own root over the shared one, its own systemd, bus and users; power that can be cut."""

import asyncio
import contextlib
import os
import signal
import sysconfig
import uuid
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.fleet.base import base_root
from tests.support.programs import ROOT, Ran, run_program

BOOT_SECONDS = 30.0
# Where the host sees this repository and its packages, both read-only.
SOURCE, PACKAGES = "/opt/solward", "/opt/packages"
PYTHONPATH = f"{SOURCE}:{SOURCE}/gen:{PACKAGES}"
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": PYTHONPATH, "LANG": "C.UTF-8"}


class Machine:
    """A host that can be booted, spoken to as root, and switched off."""

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.root = root
        self._process: Process | None = None
        self._leader = 0
        self._cgroup = Path()

    async def boot(self) -> None:
        """Switch it on and wait for multi-user.target."""
        name = f"{self.name}-{uuid.uuid4().hex[:8]}"
        self._cgroup = _cgroups() / name
        argv = [
            # In a control group of its own: two hosts in one would take each other's processes for their own.
            "/bin/sh", "-c", 'mkdir "$0" && echo $$ > "$0/cgroup.procs"; exec "$@"', str(self._cgroup),
            # If the tests die, so does the host, in peace.
            "setpriv", "--pdeathsig", "TERM",
            "systemd-nspawn", "--quiet", "--register=no", "--keep-unit",
            f"--machine={name}", f"--directory={self.root}", f"--bind-ro={ROOT}:{SOURCE}",
            f"--bind-ro={sysconfig.get_path('purelib')}:{PACKAGES}", "--boot",
        ]  # fmt: skip
        with self._console.open("ab") as console:
            self._process = await asyncio.create_subprocess_exec(*argv, stdin=DEVNULL, stdout=console, stderr=console)
        try:
            async with asyncio.timeout(BOOT_SECONDS):
                while not await self._is_up(self._process):
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise RuntimeError(f"{self.name} did not boot:\n{self._console.read_text()}") from None

    @property
    def _console(self) -> Path:
        return self.root.with_name(f"{self.name}.console")

    async def _is_up(self, process: Process) -> bool:
        if process.returncode is not None:
            raise RuntimeError(f"{self.name} did not boot:\n{self._console.read_text()}")
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if not children:
            return False
        self._leader = int(children[0])
        return (await self.run("systemctl", "is-active", "--quiet", "multi-user.target", check=False)).code == 0

    @property
    def bus_address(self) -> str:
        """The host's system bus, as reached from outside of it."""
        return f"unix:path=/proc/{self._leader}/root/run/dbus/system_bus_socket"

    async def power_off(self) -> None:
        """Switch it off in peace."""
        if self._process and self._process.returncode is None:
            await self.run("systemctl", "poweroff", "--no-block", check=False)
            try:
                async with asyncio.timeout(BOOT_SECONDS):
                    await self._process.wait()
            except TimeoutError:
                await self.cut_power()

    def _leave_cgroup(self) -> None:
        """Remove its control groups, which are empty once it is off."""
        for folder, _, _ in os.walk(self._cgroup, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()

    async def cut_power(self) -> None:
        """Take the power away: every process of the host is gone at once."""
        assert self._process
        # The kernel kills the others with their PID 1, and systemd-nspawn sees the host gone.
        os.kill(self._leader, signal.SIGKILL)
        await self._process.wait()

    async def run(self, *argv: str, user: str = "", answer: str = "", check: bool = True) -> Ran:
        """Run a program in the host, as root or as another user."""
        inside = ["runuser", "-u", user, "--", *argv] if user else list(argv)
        enter = ["nsenter", "--target", str(self._leader), "--all", "--wdns=/"]
        ran = await run_program([*enter, *inside], _ENVIRONMENT, answer)
        if check and ran.code:
            raise RuntimeError(f"{self.name}: {' '.join(argv)} ended with {ran.code}:\n{ran.out}{ran.err}")
        return ran

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file of root's in the host."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    async def show(self, unit: str, *properties: str) -> dict[str, str]:
        """Ask systemd itself for properties of a unit."""
        ran = await self.run("systemctl", "show", unit, *(f"--property={name}" for name in properties))
        return dict(line.split("=", 1) for line in ran.out.splitlines())

    async def journal(self, unit: str) -> str:
        """Read all that the journal holds of a unit."""
        return (await self.run("journalctl", "--unit", unit, "--output", "cat", "--no-pager")).out


def _cgroups() -> Path:
    """Give the folder of this process's control group, in the hierarchy that systemd works with."""
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    for controllers, path in ((each[1], each[2]) for each in lines):
        if controllers == "name=systemd":
            return Path("/sys/fs/cgroup/systemd") / path.lstrip("/")
    return Path("/sys/fs/cgroup") / lines[-1][2].lstrip("/")


@asynccontextmanager
async def machine(name: str, folder: Path, suite: str = "bookworm") -> AsyncIterator[Machine]:
    """Make a host that is still off; whatever it writes is gone at the end.

    Args:
        name: its name.
        folder: an empty folder for its root.
        suite: the release of Debian that it runs.
    """
    base = await base_root(suite)
    # In memory, since a disk that is itself an overlay (a container's) cannot carry another.
    await _mount("-t", "tmpfs", "-o", "size=1g,mode=755", "tmpfs", str(folder))
    try:
        upper, work, root = (folder / part for part in ("upper", "work", "root"))
        for part in (upper, work, root):
            part.mkdir()
        await _mount("-t", "overlay", "-o", f"lowerdir={base},upperdir={upper},workdir={work}", "overlay", str(root))
        try:
            (root / "etc" / "hostname").write_text(f"{name}\n")
            made = Machine(name, root)
            try:
                yield made
            finally:
                await made.power_off()
                made._leave_cgroup()
        finally:
            await run_program(["umount", "--lazy", str(root)], os.environ)
    finally:
        await run_program(["umount", "--lazy", str(folder)], os.environ)


async def _mount(*arguments: str) -> None:
    ran = await run_program(["mount", *arguments], os.environ)
    if ran.code:
        raise RuntimeError(f"mount {' '.join(arguments)} ended with {ran.code}: {ran.err}")
