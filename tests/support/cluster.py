"""A cluster of real processes: one control plane, and any number of agents with validators beside them."""

import asyncio
import json
import os
import pwd
import re
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pyotp
import yaml

from tests.peers import ledger_tool
from tests.peers.fixtures import SystemdPeer, systemd_peer
from tests.support.codes import Authenticator
from tests.support.launcher import helper_argv, write_script
from tests.support.ports import free_ports
from tests.support.programs import BIN, Forked, Ran, run_program, start_program

PASSWORD = "a password for tests"
READY_S = 30.0
UNIT = "sol.service"
JOB = "solward-job@.service"
METHODS = ("getHealth", "getSlot", "getLatestBlockhash", "getAccountInfo", "getProgramAccounts", "getBlock")


class About(NamedTuple):
    """What is special about a host.

    Attributes:
        guarded: its agent knows the validator, so that gates are judged and it exits by itself.
        restart: Restart= of its unit.
        running: its validator runs from the start.
        changeable: flags that root lets be changed; the validator then starts from a script, by real flags.
        rpc: settings of its RPC probe besides the URL and the methods.
        jito: settings of its block engines; root then allows bundles of 50,000 lamports.
        geyser: settings of what its agent looks at for pipelines; root lets its plugins be loaded from their files.
        services: further units, by what they start; root lets them be restarted as consumers.
        job_delay_ms: so long systemd thinks about each job, so that it has a middle.
    """

    guarded: bool = False
    group: str = ""
    labels: Mapping[str, str] = MappingProxyType({})
    restart: str = "always"
    running: bool = True
    vote_account: str = ""
    voters: tuple[str, ...] = ()
    changeable: tuple[str, ...] = ()
    rpc: Mapping[str, Any] = MappingProxyType({})
    job_delay_ms: float = 0
    jito: Mapping[str, Any] = MappingProxyType({})
    geyser: Mapping[str, Any] = MappingProxyType({})
    services: Mapping[str, list[str]] = MappingProxyType({})


@dataclass
class HostProcess:
    """One host of the cluster: its systemd, its validator as a unit, and its agent."""

    name: str
    folder: Path
    systemd: SystemdPeer
    rpc_port: int
    control_port: int
    config: Path
    agent: Process | Forked | None = None
    helper: Process | Forked | None = None

    @property
    def script(self) -> Path:
        """The script that the validator starts from, where it does."""
        return self.folder / "validator.sh"

    @property
    def log(self) -> str:
        """What the agent logged."""
        return (self.folder / "agent.log").read_text()

    @property
    def starts(self) -> int:
        """How often the validator was started, by its own log."""
        return self.validator_log.count("Starting validator with")

    @property
    def validator_log(self) -> str:
        """What the validator logged."""
        path = self.folder / "validator.log"
        return path.read_text() if path.exists() else ""


@dataclass
class Cluster:
    """A running control plane with its first administrator signed in nowhere yet."""

    folder: Path
    mtls_port: int
    tls_port: int
    rest_port: int
    metrics_port: int
    authenticator: Authenticator
    stack: AsyncExitStack
    settings: dict[str, Any]
    server: Process | Forked | None = None
    agent_program: tuple[str, ...] = (str(BIN / "solward-agent"),)
    hosts: dict[str, HostProcess] = field(default_factory=dict)
    people: dict[str, Authenticator] = field(default_factory=dict)

    @property
    def ca_file(self) -> Path:
        """The certificate authority."""
        return self.folder / "cp" / "pki" / "ca.pem"

    @property
    def log(self) -> str:
        """What the control plane logged."""
        return (self.folder / "controlplane.log").read_text()

    def environment(self) -> dict[str, str]:
        """The environment of the cluster's programs."""
        own = {"SOLWARD_CONFIG": str(self.folder / "controlplane.yaml"), "XDG_CONFIG_HOME": str(self.folder / "config")}
        return {key: value for key, value in os.environ.items() if not key.startswith("SOLWARD_")} | own

    async def start_server(self) -> None:
        """Start the control plane and wait until it serves."""
        await self.begin_server()
        assert self.server
        await self.until_open(self.tls_port, self.server)
        if "gateway_dir" not in self.settings:
            await self.until_open(self.rest_port, self.server)

    async def begin_server(self) -> None:
        """Start the control plane."""
        with (self.folder / "controlplane.log").open("ab") as log:
            argv = [str(BIN / "solward-controlplane"), "serve"]
            self.server = await start_program(argv, self.environment(), log)

    async def until_open(self, port: int, process: Process | Forked) -> None:
        """Wait until a port takes connections."""
        async with asyncio.timeout(READY_S):
            while True:
                if process.returncode is not None:
                    raise RuntimeError(f"the control plane ended with {process.returncode}:\n{self.log}")
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.05)
                    continue
                writer.close()
                return

    async def stop_server(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the control plane; give its exit status."""
        assert self.server
        if self.server.returncode is None:
            self.server.send_signal(number)
        return await self.server.wait()

    async def ctl(self, *arguments: str, answers: tuple[str, ...] = (), check: bool = True) -> Ran:
        """Run ctl with lines on its standard input."""
        ran = await run_program(
            [str(BIN / "ctl"), *arguments], self.environment(), "".join(f"{line}\n" for line in answers)
        )
        if check and ran.code:
            raise RuntimeError(f"ctl {' '.join(arguments)} ended with {ran.code}:\n{ran.out}{ran.err}")
        return ran

    async def ctl_json(self, *arguments: str, answers: tuple[str, ...] = ()) -> Any:
        """Run ctl and read its JSON output."""
        return json.loads((await self.ctl(*arguments, "--output", "json", answers=answers)).out)

    async def code(self) -> str:
        """Give a code to confirm a call with: a code is good once, so this takes up to 30 s where one is asked for."""
        return await self.authenticator.code() if self.settings.get("require_second_factor", True) else ""

    async def sign_in(self) -> None:
        """Sign the administrator in."""
        await self.ctl(
            "login", "--server", f"127.0.0.1:{self.tls_port}", "--ca-file", str(self.ca_file), "--user", "admin",
            answers=(PASSWORD, await self.authenticator.code()),
        )  # fmt: skip

    async def add_person(self, name: str, role: str) -> None:
        """Add a user, who has not signed in."""
        argv = [str(BIN / "solward-controlplane"), "add-user", name, "--role", role, "--password-file", "-"]
        ran = await run_program(argv, self.environment(), PASSWORD)
        assert ran.code == 0, ran
        self.people[name] = Authenticator(seed_of(ran.out))

    async def sign_in_as(self, name: str) -> None:
        """Sign another person in, in a context of the same name."""
        await self.ctl(
            "--context", name, "login", "--server", f"127.0.0.1:{self.tls_port}", "--ca-file", str(self.ca_file),
            "--user", name, answers=(PASSWORD, await self.people[name].code()),
        )  # fmt: skip

    async def add_host(self, name: str, about: About | None = None, **validator: Any) -> HostProcess:
        """Add a host: private bus, systemd peer, validator peer as its unit, enrolled agent."""
        host = await self.prepare_host(name, about, **validator)
        if about is None or about.running:
            await self._until_it_runs(host, votes=about is not None and about.guarded)
        await self.enroll(host)
        await self.start_agent(host)
        await self.until_connected(name)
        return host

    async def prepare_host(self, name: str, about: About | None = None, **validator: Any) -> HostProcess:
        """Make a host without starting its agent; `validator` are flags of its validator peer."""
        about = about or About()
        folder = self.folder / name
        for name_of in ("ledger", "jobs", "job-results"):
            (folder / name_of).mkdir(parents=True)
        rpc_port, control_port = free_ports(2)
        argv = [
            sys.executable, "-m", "tests.peers.validator",
            "--ledger", str(folder / "ledger"), "--log", str(folder / "validator.log"),
            "--rpc-port", str(rpc_port), "--control-port", str(control_port),
        ]  # fmt: skip
        for option, value in validator.items():
            argv += [f"--{option.replace('_', '-')}", value if isinstance(value, str) else json.dumps(value)]
        if about.changeable:
            argv = write_script(folder, argv[3:])
        config = folder / "agent.yaml"
        job = [*self.agent_program, "--config", str(config), "job", "%i"]
        units = {UNIT: argv, JOB: job, **about.services}
        peer = await self.stack.enter_async_context(
            systemd_peer(units, start=about.running, restart=about.restart, job_delay_ms=about.job_delay_ms)
        )
        host = HostProcess(name, folder, peer, rpc_port, control_port, config)
        self._write_agent_files(host, about)
        self.hosts[name] = host
        return host

    def _write_agent_files(self, host: HostProcess, about: About) -> None:
        owner = pwd.getpwuid(os.geteuid()).pw_name
        settings = {
            "server": "127.0.0.1",
            "mtls_port": self.mtls_port,
            "tls_port": self.tls_port,
            "state_dir": str(host.folder / "state"),
            "allowlist": str(host.folder / "allowlist.yaml"),
            "allowlist_owner": owner,
            "bus_address": host.systemd.address,
            "jobs_dir": str(host.folder / "jobs"),
            "job_results_dir": str(host.folder / "job-results"),
            "rpc": {"url": f"http://127.0.0.1:{host.rpc_port}", "methods": [_method(name) for name in METHODS]}
            | dict(about.rpc),
        }
        if about.guarded:
            ledger = host.folder / "ledger"
            settings["validator"] = {
                "ledger": str(ledger), "admin_socket": str(ledger / "admin.rpc"), "vote_account": about.vote_account,
                "log": str(host.folder / "validator.log"), "config_socket": str(host.folder / "config.sock"),
            }  # fmt: skip
            settings["group"] = about.group
        settings["labels"] = dict(about.labels)
        for part in ("jito", "geyser"):
            if wanted := getattr(about, part):
                settings[part] = dict(wanted)
        host.config.write_text(yaml.safe_dump(settings))
        actions = [f"validator.{verb}" for verb in ("start", "stop", "restart", "vote", "config", "snapshot", "ledger")]
        allowed: dict[str, Any] = {
            "units": {UNIT: actions} | {unit: ["geyser.restart"] for unit in about.services},
            "voters": list(about.voters),
            "ledger_tool": str(ledger_tool.program(host.folder)),
        }
        if about.jito:
            allowed["bundles"] = {"max_tip_lamports": 50_000}
        if about.geyser:
            actions.append("geyser.plugin")
            plugins = about.geyser.get("plugins", {})
            allowed["plugins"] = {
                plugin.get("name", source): plugin["config"] for source, plugin in plugins.items() if "config" in plugin
            }
        if about.changeable:
            entry = {"source": str(host.script), "program": "agave-validator", "flags": list(about.changeable)}
            allowed["config"] = {UNIT: entry}
        (host.folder / "allowlist.yaml").write_text(yaml.safe_dump(allowed))

    async def enroll(self, host: HostProcess) -> None:
        """Make a join token and trade it for the host's identity."""
        token = (await self.ctl_json("hosts", "enroll", host.name))["token"]
        arguments = ("enroll", "--host", host.name, "--ca-file", str(self.ca_file))
        ran = await self.agent_command(host, *arguments, answer=token)
        if ran.code:
            raise RuntimeError(f"enroll ended with {ran.code}: {ran.err}")

    async def agent_command(self, host: HostProcess, *arguments: str, answer: str = "") -> Ran:
        """Run solward-agent to its end."""
        argv = [*self.agent_program, "--config", str(host.config), *arguments]
        return await run_program(argv, self.environment(), answer)

    async def start_agent(self, host: HostProcess) -> None:
        """Start a host's agent, and its config helper where there is one to be had."""
        if host.script.exists() and host.helper is None:
            argv = [*self.agent_program, "--config", str(host.config), *helper_argv(host.folder)]
            with (host.folder / "helper.log").open("ab") as log:
                host.helper = await start_program(argv, self.environment(), log)
        with (host.folder / "agent.log").open("ab") as log:
            argv = [*self.agent_program, "--config", str(host.config), "run"]
            host.agent = await start_program(argv, self.environment(), log)

    async def stop_agent(self, host: HostProcess, number: signal.Signals = signal.SIGTERM) -> int:
        """End a host's agent; give its exit status."""
        assert host.agent
        if host.agent.returncode is None:
            host.agent.send_signal(number)
        return await host.agent.wait()

    async def until_connected(self, name: str, wanted: bool = True) -> None:
        """Wait until the control plane sees a host's agent, and its validator."""
        async with asyncio.timeout(READY_S):
            while True:
                listed = await self.ctl_json("hosts", "show", name)
                seen = await self.ctl("validator", "status", name, check=False)
                if listed["connected"] is wanted and (seen.code == 0 or not wanted):
                    return
                await asyncio.sleep(0.1)

    async def _until_it_runs(self, host: HostProcess, *, votes: bool) -> None:
        """Wait until a host's validator has begun; with `votes` until its tower is there."""
        async with asyncio.timeout(READY_S):
            while not host.starts or (votes and "tower-vote" not in host.validator_log.partition("initialized")[2]):
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        """End every program."""
        for host in self.hosts.values():
            if host.agent:
                await self.stop_agent(host)
            if host.helper and host.helper.returncode is None:
                host.helper.terminate()
                await host.helper.wait()
        if self.server and self.server.returncode is None:
            await self.stop_server()


@asynccontextmanager
async def cluster(folder: Path, **settings: Any) -> AsyncIterator[Cluster]:
    """Install and run a control plane in a folder.

    Args:
        folder: where everything goes.
        settings: settings of the control plane besides its places.
    """
    folder.chmod(0o700)
    mtls, tls, rest, metrics = free_ports(4)
    wanted = {
        "data_dir": str(folder / "cp"),
        "mtls_listen": f"127.0.0.1:{mtls}",
        "tls_listen": f"127.0.0.1:{tls}",
        "gateway_listen": f"127.0.0.1:{rest}",
        "metrics_listen": f"127.0.0.1:{metrics}",
        "drain_seconds": 2,
    } | settings
    (folder / "controlplane.yaml").write_text(yaml.safe_dump(wanted))
    async with AsyncExitStack() as stack:
        made = Cluster(folder, mtls, tls, rest, metrics, Authenticator(pyotp.random_base32()), stack, wanted)
        argv = [str(BIN / "solward-controlplane"), "init", "--password-file", "-"]
        ran = await run_program(argv, made.environment(), PASSWORD)
        if ran.code:
            raise RuntimeError(f"init ended with {ran.code}: {ran.err}")
        made.authenticator = Authenticator(seed_of(ran.out))
        stack.push_async_callback(made.close)
        await made.start_server()
        yield made


def seed_of(shown: str) -> str:
    """Read the authenticator's key out of what init or add-user showed."""
    found = re.search(r"type its key: ([A-Z2-7]+)", shown)
    assert found, shown
    return found.group(1)


def _method(name: str) -> dict[str, Any]:
    account = "11111111111111111111111111111111"
    params: dict[str, list[Any]] = {
        "getAccountInfo": [account, {"encoding": "base64"}],
        "getProgramAccounts": [account, {"encoding": "base64", "dataSlice": {"offset": 0, "length": 0}}],
        "getBlock": [299_999_000, {"transactionDetails": "none", "maxSupportedTransactionVersion": 0}],
    }
    return {"name": name, "params": params.get(name, [])}
