"""Peers for tests, as real processes on free ports."""

import json
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.peers.process import python, running
from tests.peers.systemd_bus import private_bus
from tests.peers.validator_admin import ask

_CALL_TIMEOUT = aiohttp.ClientTimeout(total=5)


@dataclass(frozen=True)
class ValidatorPeer:
    """A running validator peer."""

    process: Process
    rpc_url: str
    control_url: str
    ledger: Path
    log: Path
    ws_url: str = ""

    async def rpc(self, method: str, *params: Any) -> Any:
        """Call a JSON-RPC method and return the decoded answer object."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        async with (
            aiohttp.ClientSession(timeout=_CALL_TIMEOUT) as session,
            session.post(self.rpc_url, json=request) as answer,
        ):
            return await answer.json()

    async def admin(self, method: str, *params: Any) -> Any:
        """Call a method of the admin socket and return the decoded answer object."""
        return await ask(self.ledger, method, *params)

    async def faults(self, **wanted: Any) -> dict[str, Any]:
        """Set faults (null clears one) and return all that are set now."""
        async with (
            aiohttp.ClientSession(timeout=_CALL_TIMEOUT) as session,
            session.post(f"{self.control_url}/faults", json=wanted) as answer,
        ):
            answer.raise_for_status()
            shown: dict[str, Any] = await answer.json()
            return shown

    async def crash(self) -> None:
        """Make it panic and exit with 1."""
        async with aiohttp.ClientSession(timeout=_CALL_TIMEOUT) as session:
            try:
                await session.post(f"{self.control_url}/faults", json={"crash": True})
            except aiohttp.ClientConnectionError:
                await self.process.wait()


def _flags(options: Mapping[str, Any]) -> list[str]:
    flags: list[str] = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            flags.append(flag)
        elif value is not None and value is not False:
            flags += [flag, value if isinstance(value, str) else json.dumps(value)]
    return flags


@asynccontextmanager
async def validator_peer(*, ledger: Path | None = None, **options: Any) -> AsyncIterator[ValidatorPeer]:
    """Run a validator peer; options are its flags, with underscores (`latency_ms={"getSlot": 20}`)."""
    with tempfile.TemporaryDirectory(prefix="peer-ledger-") as fresh:
        home = ledger or Path(fresh)
        log = home / "validator.log"
        flags = _flags({"ledger": str(home), "rpc_port": 0, "control_port": 0, "log": str(log), **options})
        async with running(python("tests.peers.validator", *flags)) as (process, line):
            said = dict(word.split("=", 1) for word in line.split()[1:])
            yield ValidatorPeer(process, said["rpc"], said["control"], home, log, said.get("ws", ""))


@dataclass(frozen=True)
class SystemdPeer:
    """A running systemd peer: give `address` to the agent in place of the system bus."""

    process: Process
    address: str
    bus: Process


@asynccontextmanager
async def systemd_peer(
    units: Mapping[str, Sequence[str]], *, deny: Sequence[str] = (), **options: Any
) -> AsyncIterator[SystemdPeer]:
    """Run a systemd peer on a bus of its own; `units` maps a unit's name to its argument vector."""
    async with private_bus() as (bus, address):
        argv = ["--bus-address", address]
        for name, command in units.items():
            argv += ["--unit", f"{name}={json.dumps(list(command))}"]
        for name in deny:
            argv += ["--deny", name]
        async with running(python("tests.peers.systemd", *argv, *_flags(options))) as (process, _):
            yield SystemdPeer(process, address, bus)
