"""A fleet: the control plane outside, and hosts whose agents run as an unprivileged service on the real bus."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import yaml

from agent.link.spool import Spool
from tests.fleet.machine import PYTHONPATH, Machine, machine
from tests.fleet.wire import Wire, wire_to
from tests.support.cluster import PASSWORD, UNIT, Cluster, cluster, seed_of
from tests.support.codes import Authenticator
from tests.support.ports import free_ports
from tests.support.programs import BIN, ROOT, run_program

AGENT, OTHER = "solward-agent.service", "other.service"
USER = "solward-agent"
STATE = "var/lib/solward-agent"
WATCHDOG_SECONDS = 4
EXPIRE_SECONDS = 10
ACTIONS = ("validator.start", "validator.stop", "validator.restart")
# A call that is confirmed may first have to wait half a minute for a code that is good.
SEEN_SECONDS = 60.0

_AGENT_UNIT = f"""[Unit]
Description=Solward agent
After=dbus.service
[Service]
Type=notify
User={USER}
Environment=PYTHONPATH={PYTHONPATH} PYTHONDONTWRITEBYTECODE=1
ExecStart=/usr/bin/python3 -m agent run
WatchdogSec={WATCHDOG_SECONDS}
Restart=always
RestartSec=1
StateDirectory=solward-agent
StateDirectoryMode=0700
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
[Install]
WantedBy=multi-user.target
"""
_VALIDATOR_UNIT = f"""[Unit]
Description=Validator
[Service]
User=sol
Environment=PYTHONPATH={PYTHONPATH} PYTHONDONTWRITEBYTECODE=1
StateDirectory=sol
ExecStart=/usr/bin/python3 -m tests.peers.validator --ledger /var/lib/sol --log /var/lib/sol/log --rpc-port {{port}}
[Install]
WantedBy=multi-user.target
"""
_OTHER_UNIT = """[Unit]
Description=A service that the agent has no business with
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
"""


class Account(NamedTuple):
    """What an agent's spool has taken in, and whether it gave any of it up."""

    spool_id: str
    batches: int
    samples: int
    dropped: int


@dataclass
class Host:
    """One host of the fleet."""

    machine: Machine
    wire: Wire

    @property
    def name(self) -> str:
        """Its name in the fleet."""
        return self.machine.name

    @property
    def _spool(self) -> Path:
        return self.machine.root / STATE / "spool.db"

    def keep_account(self) -> None:
        """Have the agent's own database count every batch that ever goes into it."""
        Spool(self._spool.parent, 1 << 20).close()
        with closing(sqlite3.connect(self._spool)) as database:
            database.executescript(
                "CREATE TABLE tally (batches INTEGER, samples INTEGER); INSERT INTO tally VALUES (0, 0);"
                "CREATE TRIGGER tallied AFTER INSERT ON batches BEGIN "
                "UPDATE tally SET batches = batches + 1, samples = samples + NEW.samples; END;"
            )

    def account(self) -> Account:
        """Read the account."""
        with closing(sqlite3.connect(f"file:{self._spool}?mode=ro", uri=True)) as database:
            meta = dict(database.execute("SELECT key, value FROM meta"))
            batches, samples = database.execute("SELECT batches, samples FROM tally").fetchone()
        return Account(meta["id"], batches, samples, int(meta["dropped"]))

    async def allow(self, **units: tuple[str, ...]) -> None:
        """Have root write the allowlist (units without ".service") and start the agent anew with it."""
        listed = {f"{unit}.service": list(actions) for unit, actions in units.items()}
        self.machine.write("/etc/solward/allowlist.yaml", yaml.safe_dump({"units": listed}))
        await self.machine.run("systemctl", "restart", AGENT)

    @contextmanager
    def _drop_in(self, unit: str, text: str) -> Iterator[None]:
        path = f"/etc/systemd/system/{unit}.d/test.conf"
        self.machine.write(path, text)
        try:
            yield
        finally:
            (self.machine.root / path.lstrip("/")).unlink(missing_ok=True)

    @asynccontextmanager
    async def changed_unit(self, text: str) -> AsyncIterator[None]:
        """Change the validator's unit with a drop-in for the length of a block."""
        try:
            with self._drop_in(UNIT, text):
                await self.machine.run("systemctl", "daemon-reload")
                yield
        finally:
            # A host that is off by now reads its units anew when it boots.
            await self.machine.run("systemctl", "daemon-reload", check=False)


@dataclass
class Fleet:
    """The control plane and its hosts."""

    plane: Cluster
    hosts: dict[str, Host] = field(default_factory=dict)
    _people: int = 0

    async def sign_in(self) -> None:
        """Sign a new administrator in, whose codes nobody has used yet."""
        self._people += 1
        name = f"admin{self._people}"
        argv = [str(BIN / "solward-controlplane"), "add-user", name, "--role", "admin", "--password-file", "-"]
        ran = await run_program(argv, self.plane.environment(), PASSWORD)
        assert ran.code == 0, ran
        self.plane.authenticator = Authenticator(seed_of(ran.out))
        await self.plane.ctl(
            "login", "--server", f"127.0.0.1:{self.plane.tls_port}", "--ca-file", str(self.plane.ca_file),
            "--user", name, answers=(PASSWORD, await self.plane.authenticator.code()),
        )  # fmt: skip

    async def act(self, verb: str, host: Host, *options: str) -> dict[str, Any]:
        """Start, stop or restart a host's validator; give the operation as it ended."""
        code = await self.plane.authenticator.code()
        argv = ("validator", verb, host.name, "--yes", "--output", "json", *options)
        ran = await self.plane.ctl(*argv, answers=(code,), check=False)
        assert ran.out.startswith("{"), ran
        operation: dict[str, Any] = json.loads(ran.out)
        assert (ran.code == 0) == (operation["state"] == "OPERATION_STATE_SUCCEEDED"), ran
        return operation

    async def until_known(self, host: Host) -> None:
        """Wait until the control plane knows a host's validator by the run that it is in: else an act is refused."""

        async def known() -> bool:
            unit = (await self.plane.ctl_json("validator", "status", host.name))["unit"]
            return bool(unit["invocationId"] == (await host.machine.show(UNIT, "InvocationID"))["InvocationID"])

        await until(known, f"the newest run of {host.name}'s validator is known")

    async def totals(self) -> tuple[int, int]:
        """Read how many batches and samples have arrived, each counted once."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.plane.metrics_port}/metrics") as page,
        ):
            lines = (await page.text()).splitlines()
        wanted = ('solward_ingest_batches_total{outcome="new"}', "solward_ingest_samples_total")
        values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        batches, samples = (int(float(values[name])) for name in wanted)
        return batches, samples

    async def nothing_lost(self) -> None:
        """Wait until all that any spool ever took in has arrived, each batch once, and none was dropped."""

        async def settled() -> bool:
            accounts = [host.account() for host in self.hosts.values()]
            assert not any(account.dropped for account in accounts), accounts
            return await self.totals() == (sum(a.batches for a in accounts), sum(a.samples for a in accounts))

        await until(settled, "everything that was measured arrived")


async def until(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = SEEN_SECONDS) -> None:
    """Wait until something holds."""
    try:
        async with asyncio.timeout(seconds):
            while not await condition():
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"not within {seconds:g} s: {what}") from None


def receipt_of(operation: dict[str, Any]) -> dict[str, Any]:
    """Find the agent's receipt in an operation."""
    receipt: dict[str, Any] = next(step for step in operation["steps"] if step["id"] == "act")["receipt"]
    return receipt


@asynccontextmanager
async def fleet(folder: Path, *names: str) -> AsyncIterator[Fleet]:
    """Run a control plane and boot hosts whose agents are enrolled and connected."""
    (folder / "plane").mkdir()
    async with AsyncExitStack() as stack:
        plane = await stack.enter_async_context(cluster(folder / "plane", command_expire_seconds=EXPIRE_SECONDS))
        made = Fleet(plane)
        await made.sign_in()
        for name in names:
            (folder / name).mkdir()
            wire = await stack.enter_async_context(wire_to(plane.mtls_port))
            host = Host(await stack.enter_async_context(machine(name, folder / name)), wire)
            await _install(host, plane)
            await host.machine.boot()
            await _enroll(host, plane)
            made.hosts[name] = host
        for name in names:
            await plane.until_connected(name)
        yield made


async def _install(host: Host, plane: Cluster) -> None:
    """Put on a fresh host what its root would: users, units, settings, the allowlist and the polkit rule."""
    root, port = host.machine.root, free_ports(1)[0]
    for user in (USER, "sol"):
        ran = await run_program(["chroot", str(root), "useradd", "--system", user], {"PATH": "/usr/sbin:/usr/bin"})
        assert ran.code == 0, ran
    units = {AGENT: _AGENT_UNIT, UNIT: _VALIDATOR_UNIT.format(port=port), OTHER: _OTHER_UNIT}
    for unit, text in units.items():
        host.machine.write(f"/etc/systemd/system/{unit}", text)
    wants = root / "etc/systemd/system/multi-user.target.wants"
    for unit in (UNIT, OTHER):
        (wants / unit).symlink_to(f"/etc/systemd/system/{unit}")
    rules = root / "etc/polkit-1/rules.d/50-solward-agent.rules"
    shutil.copyfile(ROOT / "packaging" / "polkit" / rules.name, rules)
    settings = {
        "server": "127.0.0.1",
        "mtls_port": host.wire.port,
        "tls_port": plane.tls_port,
        "rpc": {"url": f"http://127.0.0.1:{port}", "methods": [{"name": "getHealth"}, {"name": "getSlot"}]},
    }
    host.machine.write("/etc/solward/agent.yaml", yaml.safe_dump(settings))
    host.machine.write("/etc/solward/allowlist.yaml", yaml.safe_dump({"units": {UNIT: list(ACTIONS)}}))
    host.machine.write("/etc/solward/ca.pem", plane.ca_file.read_text())


async def _enroll(host: Host, plane: Cluster) -> None:
    """Join as the agent's own user, then start the service."""
    token = (await plane.ctl_json("hosts", "enroll", host.name))["token"]
    await host.machine.run("install", "-d", "-m", "700", "-o", USER, "-g", USER, f"/{STATE}")
    argv = ("/usr/bin/python3", "-m", "agent", "enroll", "--host", host.name, "--ca-file", "/etc/solward/ca.pem")
    await host.machine.run(*argv, user=USER, answer=token)
    host.keep_account()
    await host.machine.run("chown", "-R", f"{USER}:{USER}", f"/{STATE}")
    await host.machine.run("systemctl", "enable", "--quiet", "--now", AGENT)
