"""The packages on real Debian hosts: installed, joined, upgraded while they run, and gone without a trace."""

import json
import time
from pathlib import Path

import pytest

from tests.fleet.fleet import _VALIDATOR_UNIT, AGENT, STATE, USER, receipt_of, until
from tests.fleet.machine import SOURCE, Machine, machine
from tests.fleet.packages import DEBS, PLAIN_UNIT, apt, built, configure, enroll, mode_of, one_host, traces
from tests.peers.fixtures import validator_peer
from tests.support.cluster import PASSWORD, UNIT
from tests.support.ports import free_ports
from tests.support.programs import ROOT, run_program

pytestmark = [pytest.mark.host, pytest.mark.timeout(900)]

MOST_EXPOSURE = 2.5
UNITS = (
    "solward-agent.service", "solward-admin.service", "solward-config.service", "solward-job@.service",
    "solward-controlplane.service", "solward-gateway.service",
)  # fmt: skip
_HEALTH = """
import ssl, urllib.request
context = ssl.create_default_context(cafile="/var/lib/solward-gateway/ca.pem")
print(urllib.request.urlopen("https://127.0.0.1:3000/health", context=context).read().decode())
"""


async def no_trace(host: Machine) -> None:
    """Wait until nothing is left; systemd lets go of a unit whose file is gone when it next tidies up."""
    left: list[str] = []

    async def clean() -> bool:
        left[:] = await traces(host)
        return not left

    try:
        await until(clean, "nothing is left")
    except AssertionError:
        raise AssertionError(f"left behind: {left}") from None


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
async def test_a_package_lives_and_goes_without_a_trace(tmp_path: Path, suite: str) -> None:
    async with one_host(tmp_path, suite, PLAIN_UNIT) as (fleet, host):
        # Enabled, and waiting for the host to join.
        state = await host.machine.show(AGENT, "UnitFileState", "ActiveState", "ConditionResult")
        assert state == {"UnitFileState": "enabled", "ActiveState": "inactive", "ConditionResult": "no"}
        for path, wanted in {
            f"/{STATE}": (0o700, USER),
            "/etc/solward": (0o755, "root"),
            "/etc/solward/allowlist.yaml": (0o644, "root"),
            "/etc/polkit-1/rules.d/50-solward-agent.rules": (0o644, "root"),
            "/usr/lib/solward/agent/solward-agent": (0o755, "root"),
        }.items():
            assert mode_of(host.machine, path) == wanted, path

        configure(host, fleet.plane)
        await enroll(host, fleet.plane)
        checked = await host.machine.run("solward-agent", "check", user=USER)
        assert sum(line.startswith("ok ") for line in checked.out.splitlines()) == 7, checked
        done = await fleet.act("restart", host)
        assert done["state"] == "OPERATION_STATE_SUCCEEDED", done
        assert receipt_of(done)["after"]["activeState"] == "active"

        before = await host.machine.show(AGENT, "MainPID")
        packages = await built()
        await apt(host.machine, "install", packages.newer_agent)
        after = await host.machine.show(AGENT, "MainPID", "ActiveState")
        assert after["MainPID"] not in (before["MainPID"], "0")
        await fleet.plane.until_connected(host.name)
        await fleet.nothing_lost()
        # What root had changed is as root left it.
        assert "validator.vote" in (host.machine.root / "etc/solward/allowlist.yaml").read_text()

        await apt(host.machine, "remove", "solward-agent")
        # By a pattern: to ask for a unit by its name is to load it.
        assert (await host.machine.run("systemctl", "list-units", "--no-legend", "--plain", "solward*")).out == ""
        assert (host.machine.root / STATE / "identity.json").exists()
        await host.machine.run("rm", "/etc/solward/ca.pem")
        await apt(host.machine, "purge", "solward-agent")
        await no_trace(host.machine)
        assert (await host.machine.run("systemctl", "is-active", UNIT)).out.strip() == "active"


async def test_the_validator_exits_by_itself_through_the_helper(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    genesis = time.time() - 3600
    unit = _VALIDATOR_UNIT.format(port=port).replace("--rpc-port", f"--genesis {genesis} --leader-every 0 --rpc-port")
    async with (
        validator_peer(genesis=genesis) as outside,
        one_host(tmp_path, "bookworm", unit, solana_rpc_url=outside.rpc_url, gates={"free_gigabytes": 0.01}) as (
            fleet,
            host,
        ),
    ):
        host.machine.write(
            "/etc/systemd/system/solward-admin.service.d/validator.conf", "[Service]\nEnvironment=LEDGER=/var/lib/sol\n"
        )
        configure(
            host, fleet.plane,
            rpc={"url": f"http://127.0.0.1:{port}", "methods": [{"name": "getSlot"}]},
            validator={"ledger": "/var/lib/sol"},
        )  # fmt: skip
        await host.machine.run("systemctl", "daemon-reload")
        await host.machine.run("systemctl", "enable", "--quiet", "--now", "solward-admin.socket")
        await enroll(host, fleet.plane)
        # The validator's own socket is shut to the agent's user; the helper's is open to it and to nobody else.
        assert (await host.machine.run("cat", "/var/lib/sol/admin.rpc", user=USER, check=False)).code != 0
        socket = await host.machine.run("stat", "--format", "%a %U %G", "/run/solward-admin/admin.sock")
        assert socket.out.split() == ["660", "root", USER]

        done = await fleet.act("restart", host)
        assert done["state"] == "OPERATION_STATE_SUCCEEDED", json.dumps(done)
        verdicts = {step["id"]: step["verdict"] for step in done["steps"]}
        assert set(verdicts.values()) == {"VERDICT_PASS"}, verdicts
        assert verdicts["gate-tower"] == verdicts["ready"] == "VERDICT_PASS"
        log = (host.machine.root / "var/lib/sol/log").read_text()
        assert log.count("Validator exiting...") == 1
        copy = next(step for step in done["steps"] if step["id"] == "act")["figures"]["tower_copy"]
        assert mode_of(host.machine, copy) == (0o600, USER)
        helper = await host.machine.show("solward-admin.service", "ActiveState", "User")
        assert helper == {"ActiveState": "active", "User": "sol"}


async def test_the_control_plane_runs_from_its_package_and_units_are_little_exposed(tmp_path: Path) -> None:
    await built()
    (package,) = DEBS.glob("solward-controlplane_*.deb")
    async with machine("control", tmp_path) as host:
        await host.boot()
        await apt(host, "install", f"{SOURCE}/{package.relative_to(ROOT)}")
        argv = ("solward-controlplane", "init", "--password-file", "-")
        await host.run(*argv, user="solward-controlplane", answer=PASSWORD)
        # Type=notify: this returns once it serves, in its sandbox.
        await host.run("systemctl", "start", "solward-controlplane")
        shown = await host.show("solward-controlplane", "ActiveState", "NRestarts")
        assert shown == {"ActiveState": "active", "NRestarts": "0"}, await host.journal("solward-controlplane")
        # The gateway apart: it has its own certificate, and no key of the authority's.
        settings = host.root / "etc/solward/controlplane.yaml"
        settings.write_text(settings.read_text() + "\ngateway_dir: /var/lib/solward-gateway\n")
        await host.run("systemctl", "restart", "solward-controlplane")
        await host.run("systemctl", "start", "solward-gateway")
        assert "SERVING" in (await host.run("python3", "-c", _HEALTH)).out, await host.journal("solward-gateway")
        assert mode_of(host, "/var/lib/solward-gateway/server.key") == (0o640, "solward-controlplane")
        refused = await host.run("cat", "/var/lib/solward-controlplane/pki/ca.key", user="solward-gateway", check=False)
        assert refused.code != 0
        for unit in UNITS:
            ran = await host.run(
                "systemd-analyze", "security", "--offline=true", "--no-pager", f"{SOURCE}/systemd/{unit}"
            )
            level = float(ran.out.strip().splitlines()[-1].split(":")[1].split()[0])
            assert level <= MOST_EXPOSURE, (unit, level)
        await apt(host, "purge", "solward-controlplane")
        await no_trace(host)


async def test_packages_have_no_errors_that_lintian_knows() -> None:
    await built()
    for path in sorted(DEBS.glob("*.deb")):
        ran = await run_program(["lintian", "--allow-root", "--fail-on", "error", str(path)], {"PATH": "/usr/bin:/bin"})
        assert ran.code == 0, ran.out
