"""A real journal under the packaged agent: what the validator and systemd say, and everything that breaks reading."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.fleet.fleet import ACTIONS, AGENT, Fleet, Host, until
from tests.fleet.packages import PLAIN_UNIT, configure, enroll, one_host
from tests.support.cluster import UNIT
from tests.support.ports import free_ports

pytestmark = [pytest.mark.host, pytest.mark.timeout(900)]

# Says what its argument is: through the pipe of its unit, or as one message of a megabyte by journald's own protocol.
_WRITER = """
import socket, sys
stamp = b"[2026-08-14T12:34:56.123456789Z INFO  solana_metrics::metrics] datapoint: "
raw = {
    "points": b"".join(stamp + b"bank_frozen slot=%di hash=\\"x\\"\\n" % (412345678 + n) for n in range(50)),
    "huge": b"x" * (1 << 20) + b"\\n",
    "odd": b"\\xff\\xfe blockstore error: \\xff\\x00 Io\\n",
    "disk": b"write failed: No space left on device (os error 28)\\n",
    "files": b"accept: Too many open files (os error 24)\\n",
    "memory": b"mmap: Cannot allocate memory (os error 12)\\n",
}.get(sys.argv[1])
if raw:
    sys.stdout.buffer.write(raw)
else:
    journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    journal.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
    journal.sendto(b"MESSAGE=" + b"y" * 100_000 + b"\\n", "/run/systemd/journal/socket")
"""


async def says(host: Host, what: str) -> None:
    await host.machine.run("systemctl", "start", f"writer@{what}.service")


async def kinds(fleet: Fleet) -> set[str]:
    found: list[dict[str, Any]] = await fleet.plane.ctl_json("alerts", "events", "--limit", "200")
    return {each["event"]["kind"].removeprefix("validator.") for each in found}


async def until_found(fleet: Fleet, kind: str) -> None:
    async def seen() -> bool:
        return kind in await kinds(fleet)

    await until(seen, f"{kind} was found")


async def figure(fleet: Fleet, name: str) -> float:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{fleet.plane.metrics_port}/metrics") as page,
    ):
        lines = (await page.text()).splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


SAID = ("points", "huge", "native", "odd", "disk", "files", "memory")


@asynccontextmanager
async def logging_host(folder: Path, suite: str) -> AsyncIterator[tuple[Fleet, Host]]:
    """Run a host whose units log to the journal everything that a validator says, and everything that is odd."""
    (port,) = free_ports(1)
    unit = PLAIN_UNIT.replace("[Service]", "[Service]\nRestart=on-failure\nRestartSec=1")
    async with one_host(folder, suite, unit) as (fleet, host):
        host.machine.write("/opt/writer.py", _WRITER)
        writer = "[Service]\nType=oneshot\nExecStart=/usr/bin/python3 /opt/writer.py %i\n"
        host.machine.write("/etc/systemd/system/writer@.service", writer)
        rpc = {"url": f"http://127.0.0.1:{port}", "methods": [{"name": "getSlot"}]}
        configure(host, fleet.plane, rpc=rpc, validator={"ledger": "/var/lib/sol"})
        allowed = {"units": {UNIT: list(ACTIONS)} | {f"writer@{each}.service": [] for each in SAID}}
        host.machine.write("/etc/solward/allowlist.yaml", yaml.safe_dump(allowed))
        await host.machine.run("systemctl", "daemon-reload")
        await enroll(host, fleet.plane)
        yield fleet, host


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
async def test_the_journal_is_read_whatever_becomes_of_it(tmp_path: Path, suite: str) -> None:
    async with logging_host(tmp_path, suite) as (fleet, host):
        await says(host, "points")

        async def replaying() -> bool:
            return await figure(fleet, "solana_validator_frozen_slot{") == 412_345_727

        await until(replaying, "slots of the journal's datapoints")

        for each in ("huge", "native", "odd"):
            await says(host, each)
        await until_found(fleet, "blockstore_error")

        async def counted() -> bool:
            return await figure(fleet, 'solana_log_lines_total{host="sol-1",outcome="oversized"}') >= 2

        await until(counted, "lines too long to be shown were counted")

        # Rotated, and all that was read already thrown away under the reader.
        await host.machine.run("journalctl", "--rotate")
        await host.machine.run("journalctl", "--vacuum-time=1s")
        await says(host, "disk")
        await until_found(fleet, "disk_full")

        # Away for a while, and the entry that it had read last is gone when it comes back.
        await host.machine.run("systemctl", "stop", AGENT)
        await says(host, "memory")
        await asyncio.sleep(1.5)
        await host.machine.run("journalctl", "--rotate")
        await host.machine.run("journalctl", "--vacuum-time=1s")
        await says(host, "files")
        await host.machine.run("systemctl", "start", AGENT)
        await until_found(fleet, "too_many_files")

        # What systemd says of the unit when its process is killed.
        pid = (await host.machine.show(UNIT, "MainPID"))["MainPID"]
        await host.machine.run("sh", "-c", f"kill -KILL {pid}")
        await until_found(fleet, "process_exited")
        await until_found(fleet, "unit_failed")
        firing = {alert["detail"] for alert in await fleet.plane.ctl_json("alerts")}
        assert {"validator.disk_full", "validator.too_many_files", "validator.unit_failed"} <= firing

        # The reader of the journal is the agent's child, and goes with it.
        await host.machine.run("systemctl", "stop", AGENT)
        look = "for each in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $each; echo; done"
        running = (await host.machine.run("sh", "-c", look, check=False)).out
        assert not [line for line in running.splitlines() if line.startswith(("/usr/bin/journalctl", "journalctl"))]
