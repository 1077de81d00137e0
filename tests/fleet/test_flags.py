"""Flags of a real unit, changed through the packaged helper on a real systemd, and a listed job."""

import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fleet.fleet import ACTIONS, Fleet, Host, until
from tests.fleet.machine import PYTHONPATH
from tests.fleet.packages import configure, enroll, one_host
from tests.peers import ledger_tool, snapshots
from tests.peers.fixtures import validator_peer
from tests.support.cluster import UNIT
from tests.support.ports import free_ports

pytestmark = [pytest.mark.host, pytest.mark.timeout(900)]

CHANGEABLE = ["*", "entrypoint", "expected-shred-version", "log"]
PROGRAM = "/usr/local/bin/agave-validator"
_PROGRAM = """#!/usr/bin/python3
from tests.peers.agave_validator import main
raise SystemExit(main())
"""
_LEDGER_TOOL = f"""#!/usr/bin/python3 -I
import sys
sys.path[:0] = {PYTHONPATH.split(":")!r}
from tests.peers.ledger_tool import main
raise SystemExit(main(sys.argv[1:]))
"""
_UNIT = """[Unit]
Description=Validator
[Service]
User=sol
Environment=PYTHONPATH={path} PYTHONDONTWRITEBYTECODE=1 LEDGER=/var/lib/sol
Environment="PEER_FLAGS=--genesis {genesis} --leader-every 0"
StateDirectory=sol
ExecStart={program} --ledger ${{LEDGER}} --log "/var/lib/sol/100%% %N.log" --rpc-port {port} --rpc-threads 4
[Install]
WantedBy=multi-user.target
"""


async def change(fleet: Fleet, host: Host, *options: str, verb: str = "change") -> tuple[int, dict[str, Any], str]:
    argv = ("validator", "flags", verb, host.name, *options, "--yes", "-o", "json")
    ran = await fleet.plane.ctl(*argv, answers=(await fleet.plane.code(),), check=False)
    return ran.code, json.loads(ran.out) if ran.out.startswith("{") else {}, ran.err


async def command(host: Host) -> list[str]:
    """Read what the validator's process was started with."""
    pid = (await host.machine.show(UNIT, "MainPID"))["MainPID"]
    return (await host.machine.run("cat", f"/proc/{pid}/cmdline")).out.split("\0")[3:-1]


SAYS = "import os,sys; print('job', os.getuid(), sys.argv[1:])"
ALLOWED = {
    "units": {UNIT: [*ACTIONS, "validator.config", "validator.snapshot", "validator.ledger"]},
    "admin": ["startProgress", "startTime", "pid", "exit", "setRepairWhitelist"],
    "config": {UNIT: {"source": "unit", "program": PROGRAM, "flags": CHANGEABLE}},
    "ledger_tool": "/usr/local/bin/agave-ledger-tool",
    "jobs": {"who": {"argv": ["/usr/bin/python3", "-c", SAYS, "$(id)"]}},
}


@asynccontextmanager
async def flagged_host(folder: Path) -> AsyncIterator[tuple[Fleet, Host, list[str]]]:
    """Run a host whose validator starts by real flags; give what its process is told besides."""
    (port,) = free_ports(1)
    genesis = time.time() - 3600
    unit = _UNIT.format(path=PYTHONPATH, program=PROGRAM, port=port, genesis=genesis)
    async with (
        validator_peer(genesis=genesis) as outside,
        one_host(
            folder, "bookworm", unit, solana_rpc_url=outside.rpc_url, ready_seconds=30,
            require_second_factor=False,
            gates={"free_gigabytes": 0.01},
        ) as (fleet, host),
    ):  # fmt: skip
        host.machine.write(PROGRAM, _PROGRAM, 0o755)
        host.machine.write("/usr/local/bin/agave-ledger-tool", _LEDGER_TOOL, 0o755)
        drop_in = "[Service]\nEnvironment=LEDGER=/var/lib/sol\n"
        host.machine.write("/etc/systemd/system/solward-admin.service.d/v.conf", drop_in)
        rpc = {"url": f"http://127.0.0.1:{port}", "methods": [{"name": "getSlot"}]}
        configure(host, fleet.plane, rpc=rpc, validator={"ledger": "/var/lib/sol"})
        host.machine.write("/etc/solward/allowlist.yaml", yaml.safe_dump(ALLOWED))
        await host.machine.run("systemctl", "daemon-reload")
        await host.machine.run("systemctl", "restart", UNIT)
        sockets = ("solward-admin.socket", "solward-config.socket")
        await host.machine.run("systemctl", "enable", "--quiet", "--now", *sockets)
        await enroll(host, fleet.plane)
        yield fleet, host, ["--rpc-port", str(port), "--genesis", str(genesis), "--leader-every", "0"]


async def test_a_units_flags_are_changed_and_had_back(tmp_path: Path) -> None:
    async with flagged_host(tmp_path) as (fleet, host, rest):
        # The agent's own user may neither write the unit nor what is kept of it.
        for path in ("/etc/systemd/system/x", "/var/lib/solward-config/x"):
            assert (await host.machine.run("touch", path, user="solward-agent", check=False)).code != 0

        before = await command(host)
        assert before == ["--ledger", "/var/lib/sol", "--log", "/var/lib/sol/100% sol.log", *rest]
        code, done, said = await change(fleet, host, "--set", "rpc-threads=8", "--set", "entrypoint=a.example:8001")
        assert code == 0, (done, said, await host.machine.journal("solward-config"))
        assert await command(host) == before
        shown = await fleet.plane.ctl_json("validator", "flags", "show", host.name)
        assert [(each["name"], each["fixed"]) for each in shown["arguments"]] == [
            ("ledger", True), ("log", False), ("rpc-port", False), ("rpc-threads", False), ("entrypoint", False),
        ]  # fmt: skip
        drop_in = host.machine.root / f"etc/systemd/system/{UNIT}.d/90-solward-flags.conf"
        assert f'ExecStart={PROGRAM} --ledger "${{LEDGER}}" --log "/var/lib/sol/100%% sol.log" ' in drop_in.read_text()

        # A flag that ends the node: put back by itself, and the node is up with what it had.
        code, done, said = await change(fleet, host, "--set", "expected-shred-version=1")
        assert code == 1, said
        assert "was put back" in done["error"]["message"], (done, await host.machine.journal("solward-agent"))
        assert "shred-version" not in drop_in.read_text()
        code, done, said = await change(fleet, host, "--version", "1", verb="rollback")
        assert code == 0, (done, said)
        code, _, said = await change(fleet, host, "--set", "log=/tmp/$(reboot)")
        assert (code, "VALUE_WRONG" in said) == (2, True)
        await _jobs(host)
        await _snapshots(fleet, host)
        await _ledger(fleet, host)


async def _snapshots(fleet: Fleet, host: Host) -> None:
    """Archives of the validator's user are verified and kept by a job that the agent's own user may only start."""
    uid = int((await host.machine.run("id", "-u", "sol")).out)
    ledger = host.machine.root / "var/lib/sol"
    for path in (snapshots.write(ledger, 1000), snapshots.write(ledger, 1100, base=1000)):
        os.chown(path, uid, uid)
    assert (await host.machine.run("touch", "/var/lib/sol/x", user="solward-agent", check=False)).code != 0
    listed = await fleet.plane.ctl_json("controls", "snapshot", "list", host.name)
    assert [each["slot"] for each in listed["archives"]] == ["1100", "1000"]

    async def do(*arguments: str) -> dict[str, Any]:
        argv = ("controls", "snapshot", *arguments, host.name, "--yes", "-o", "json")
        ran = await fleet.plane.ctl(*argv, answers=(await fleet.plane.code(),), check=False)
        assert ran.out.startswith("{"), ran
        done: dict[str, Any] = json.loads(ran.out)
        return done

    verified = await do("verify")
    assert verified["state"] == "OPERATION_STATE_SUCCEEDED", (verified, await host.machine.journal("solward-agent"))
    refused = await do("create")
    # Root has not said yet that a job may write there.
    assert "Read-only file system" in refused["error"]["message"], refused
    drop_in = "[Service]\nReadWritePaths=/var/lib/sol\n"
    host.machine.write("/etc/systemd/system/solward-job@.service.d/where.conf", drop_in)
    await host.machine.run("systemctl", "daemon-reload")
    kept = await do("create")
    assert kept["state"] == "OPERATION_STATE_SUCCEEDED", kept
    assert (ledger / "solward-pins/1100" / snapshots.name(1000)).stat().st_nlink == 2


async def _ledger(fleet: Fleet, host: Host) -> None:
    """A ledger that only the validator's user may write is surveyed and mended by jobs."""
    await host.machine.run("systemctl", "stop", UNIT)
    folder = host.machine.root / "var/lib/sol"
    uid = int((await host.machine.run("id", "-u", "sol")).out)
    ledger_tool.write(folder, ledger_tool.chain(range(1090, 1111)), roots=range(1090, 1100), dead=[1105])
    for path in (folder / ledger_tool.FILE, folder / "rocksdb", *(folder / "rocksdb").iterdir()):
        os.chown(path, uid, uid)

    async def stopped() -> bool:
        status = await fleet.plane.ctl_json("validator", "status", host.name)
        return bool(status["unit"]["activeState"] == "inactive")

    await until(stopped, "the control plane knows that the validator is down")

    async def do(verb: str, *arguments: str) -> dict[str, Any]:
        argv = ("controls", "ledger", verb, host.name, "--from", "1090", "--to", "1110", *arguments)
        code = await fleet.plane.code()
        ran = await fleet.plane.ctl(*argv, "--yes", "-o", "json", answers=(code,), check=False)
        assert ran.out.startswith("{"), ran
        done: dict[str, Any] = json.loads(ran.out)
        assert done["state"] == "OPERATION_STATE_SUCCEEDED", (done, await host.machine.journal("solward-agent"))
        return done

    found = await do("survey")
    digest = next(step for step in found["steps"] if step["id"] == "act")["receipt"]["ledger"]["digest"]
    await do("repair", "--survey", digest)
    assert not ledger_tool.Store.load(folder).dead


async def _jobs(host: Host) -> None:
    """What root listed runs, as the validator's user and with no shell; nothing else does."""
    await host.machine.run("systemctl", "start", "solward-job@who.service")

    uid = (await host.machine.run("id", "-u", "sol")).out.strip()

    async def ran() -> bool:
        return f"job {uid} ['$(id)']" in await host.machine.journal("solward-job@who.service")

    await until(ran, "the job has run, as the validator's user and with no shell")
    await host.machine.run("systemctl", "start", "solward-job@none.service", check=False)

    async def refused() -> bool:
        return "root has not listed a job 'none'" in await host.machine.journal("solward-job@none.service")

    await until(refused, "a job that is not listed is refused")


async def test_the_units_of_debian_13_are_changed_too(tmp_path: Path) -> None:
    command = f'{PROGRAM} --ledger /x --log "/tmp/%N a" --cuda'
    plain = f"[Unit]\nDescription=Validator\n[Service]\nUser=sol\nExecStart={command}\n"
    async with one_host(tmp_path, "trixie", plain + "[Install]\nWantedBy=multi-user.target\n") as (fleet, host):
        host.machine.write(PROGRAM, "#!/usr/bin/python3\nimport time\ntime.sleep(3600)\n", 0o755)
        await host.machine.run("systemctl", "restart", UNIT)
        configure(host, fleet.plane)
        allowed = {
            "units": {UNIT: [*ACTIONS, "validator.config"]},
            "config": {UNIT: {"source": "unit", "program": "agave-validator", "flags": ["*"]}},
        }
        host.machine.write("/etc/solward/allowlist.yaml", yaml.safe_dump(allowed))
        await host.machine.run("systemctl", "enable", "--quiet", "--now", "solward-config.socket")
        await enroll(host, fleet.plane)
        # Nobody answers as to its version, so nothing can be added; what no version needs can be taken away.
        code, _, said = await change(fleet, host, "--set", "rpc-threads=8", "--no-restart")
        assert (code, "VERSION_UNKNOWN" in said) == (6, True), said
        code, done, said = await change(fleet, host, "--remove", "cuda", "--no-restart")
        assert code == 0, (done, said, await host.machine.journal("solward-config"))
        shown = (await host.machine.show(UNIT, "ExecStart"))["ExecStart"]
        assert f"argv[]={PROGRAM} --ledger /x --log /tmp/sol a ;" in shown
        code, done, said = await change(fleet, host, "--version", "1", "--no-restart", verb="rollback")
        assert code == 0, (done, said)
        assert "--cuda ;" in (await host.machine.show(UNIT, "ExecStart"))["ExecStart"]
