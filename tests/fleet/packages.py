"""The packages as hosts get them: built once, installed by apt, and what they leave behind."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.fleet.base import STAMP
from tests.fleet.fleet import ACTIONS, AGENT, STATE, USER, Fleet, Host
from tests.fleet.machine import SOURCE, Machine, machine
from tests.fleet.wire import wire_to
from tests.support.cluster import UNIT, Cluster, cluster
from tests.support.programs import ROOT, run_program

DEBS = ROOT / "build" / "deb"
# A unit that needs nothing of the release that it runs on.
PLAIN_UNIT = """[Unit]
Description=Stands in for a validator
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
"""


class Built(NamedTuple):
    """Packages of one build, as a host sees them."""

    agent: str
    newer_agent: str


async def built() -> Built:
    """Build the packages if their sources have changed, and the agent's once more under a higher version."""
    (ROOT / "build").mkdir(exist_ok=True)
    with (ROOT / "build" / "deb.lock").open("w") as lock:
        # Another test process may be at it.
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        await _make("make", "--silent", "deb")
        # Not again while another test installs it.
        stamp, newer_stamp = DEBS / "stamp", DEBS / "newer" / "stamp"
        if not newer_stamp.is_file() or newer_stamp.read_text() != stamp.read_text():
            await _make("/usr/bin/python3", "tools/make_deb.py", "99.0.0", "build/deb/newer")
            newer_stamp.write_text(stamp.read_text())
    (agent,) = DEBS.glob("solward-agent_*.deb")
    (newer,) = (DEBS / "newer").glob("solward-agent_*.deb")
    return Built(*(f"{SOURCE}/{path.relative_to(ROOT)}" for path in (agent, newer)))


@asynccontextmanager
async def one_host(folder: Path, suite: str, unit: str, **settings: Any) -> AsyncIterator[tuple[Fleet, Host]]:
    """Run a control plane, and a host of a release with the agent's package installed and nothing configured."""
    packages = await built()
    (folder / "plane").mkdir()
    (folder / "sol-1").mkdir()
    async with AsyncExitStack() as stack:
        plane = await stack.enter_async_context(cluster(folder / "plane", **settings))
        wire = await stack.enter_async_context(wire_to(plane.mtls_port))
        made = await stack.enter_async_context(machine("sol-1", folder / "sol-1", suite))
        made.write(f"/etc/systemd/system/{UNIT}", unit)
        ran = await run_program(
            ["chroot", str(made.root), "useradd", "--system", "sol"], {"PATH": "/usr/sbin:/usr/bin"}
        )
        assert ran.code == 0, ran
        await made.boot()
        await made.run("systemctl", "enable", "--quiet", "--now", UNIT)
        fleet = Fleet(plane)
        await fleet.sign_in()
        host = fleet.hosts["sol-1"] = Host(made, wire)
        await apt(made, "install", packages.agent)
        yield fleet, host


async def _make(*argv: str) -> None:
    ran = await run_program(list(argv), os.environ)
    assert ran.code == 0, ran


async def apt(machine: Machine, *arguments: str) -> str:
    """Run apt in a host, which has no network to fetch from."""
    argv = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-y", *arguments)
    ran = await machine.run(*argv)
    return ran.out + ran.err


def configure(host: Host, plane: Cluster, **more: object) -> None:
    """Write what root would: settings and the allowlist."""
    settings = {"server": "127.0.0.1", "mtls_port": host.wire.port, "tls_port": plane.tls_port, **more}
    host.machine.write("/etc/solward/agent.yaml", yaml.safe_dump(settings))
    allowed = {"units": {UNIT: [*ACTIONS, "validator.vote"]}, "admin": ["startProgress", "startTime", "pid", "exit"]}
    host.machine.write("/etc/solward/allowlist.yaml", yaml.safe_dump(allowed))
    host.machine.write("/etc/solward/ca.pem", plane.ca_file.read_text())


async def enroll(host: Host, plane: Cluster) -> None:
    """Join with the packaged agent, as its own user, and start its service."""
    token = (await plane.ctl_json("hosts", "enroll", host.name))["token"]
    argv = ("solward-agent", "enroll", "--host", host.name, "--ca-file", "/etc/solward/ca.pem")
    await host.machine.run(*argv, user=USER, answer=token)
    host.keep_account()
    await host.machine.run("chown", "-R", f"{USER}:{USER}", f"/{STATE}")
    await host.machine.run("systemctl", "start", AGENT)
    await plane.until_connected(host.name)


# A name of no file and no process, which systemd has not collected yet: under cgroup v1 nothing tells it when to.
_FORGOTTEN = "not-found inactive dead"


async def traces(machine: Machine) -> list[str]:
    """List what is left of Solward on a host: files, users, groups, units."""
    argv = ("find", "/etc", "/usr", "/var/lib", "/var/cache", "/run", "/home", "-iname", "*solward*")
    listed = (await machine.run(*argv, check=False)).out.split()
    # The stamp of the root that this host began from is the tests' own.
    found = [path for path in listed if path != f"/{STAMP}"]
    for database in ("passwd", "group"):
        found += [line for line in (await machine.run("getent", database)).out.split() if "solward" in line]
    for listing in ("list-units", "list-unit-files"):
        ran = await machine.run("systemctl", listing, "--all", "--no-legend", "--plain", "solward*", check=False)
        found += [line for line in ran.out.splitlines() if _FORGOTTEN not in line]
    return found


def mode_of(machine: Machine, path: str) -> tuple[int, str]:
    """Give a file's mode and owner."""
    info = Path(machine.root, path.lstrip("/")).lstat()
    names = {line.split(":")[2]: line.split(":")[0] for line in (machine.root / "etc/passwd").read_text().splitlines()}
    return info.st_mode & 0o7777, names[str(info.st_uid)]
