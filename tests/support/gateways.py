"""Gateways apart, as processes of their own before one control plane."""

import asyncio
import signal
import ssl
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.support.cluster import BIN, PASSWORD, Cluster, cluster
from tests.support.programs import Forked, start_program


@dataclass
class Gateways:
    """A control plane and the gateways before it.

    Attributes:
        made: the control plane.
        doors: the gateways' processes.
        folder: where everything is.
    """

    made: Cluster
    doors: list[Process | Forked]
    folder: Path

    @property
    def log(self) -> str:
        """What all of them logged."""
        return "".join(_log(self.folder, number).read_text() for number in range(len(self.doors))) + self.made.log

    def client(self, **connector: Any) -> aiohttp.ClientSession:
        """Make a client whose requests each have a connection of their own.

        Args:
            connector: of the connector; by default the gateways' own certificate is trusted.
        """
        tls = ssl.create_default_context(cafile=self.made.ca_file)
        options: dict[str, Any] = {"ssl": tls, "force_close": True} | connector
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(**options), timeout=aiohttp.ClientTimeout(10))

    async def sign_in(self, http: aiohttp.ClientSession, url: str) -> dict[str, str]:
        """Sign in; gives the header that shows it."""
        login = {"username": "admin", "password": PASSWORD, "totpCode": await self.made.authenticator.code()}
        async with http.post(f"{url}/auth/login", json=login) as answer:
            assert answer.status == 200, await answer.text()
            return {"Authorization": f"Bearer {(await answer.json())['accessToken']}"}


async def ticket(http: aiohttp.ClientSession, url: str, headers: Mapping[str, str]) -> str:
    """Make a ticket for the live door."""
    async with http.post(f"{url}/api/rpc/tickets", headers=headers, json={}) as answer:
        assert answer.status == 200, await answer.text()
        return str((await answer.json())["ticket"])


@asynccontextmanager
async def gateways(
    folder: Path, ports: Sequence[int], of_gateways: Mapping[str, Any] | None = None, **settings: Any
) -> AsyncIterator[Gateways]:
    """Run a control plane and gateways apart.

    Args:
        folder: where everything goes.
        ports: of each gateway; one that is there twice is shared.
        of_gateways: settings of the gateways besides their places.
        settings: settings of the control plane.
    """
    keys = folder / "keys"
    keys.mkdir()
    async with cluster(folder, gateway_dir=str(keys), require_second_factor=False, **settings) as made:
        await made.sign_in()
        found = Gateways(made, [], folder)
        try:
            for number, port in enumerate(ports):
                path = folder / f"gateway-{number}.yaml"
                own = {
                    "data_dir": made.settings["data_dir"], "gateway_dir": str(keys), "gateway_share_port": True,
                    "gateway_listen": f"127.0.0.1:{port}", "gateway_target": f"127.0.0.1:{made.tls_port}",
                }  # fmt: skip
                path.write_text(yaml.safe_dump(own | dict(of_gateways or {})))
                environment = made.environment() | {"SOLWARD_CONFIG": str(path)}
                with _log(folder, number).open("wb") as log:
                    argv = [str(BIN / "solward-controlplane"), "gateway"]
                    found.doors.append(await start_program(argv, environment, log))
                await _until_logged(_log(folder, number), "gateway serves")
            yield found
        finally:
            for door in found.doors:
                if door.returncode is None:
                    door.send_signal(signal.SIGTERM)
                await door.wait()


def _log(folder: Path, number: int) -> Path:
    return folder / f"gateway-{number}.log"


async def _until_logged(path: Path, words: str) -> None:
    async with asyncio.timeout(30):
        while words not in path.read_text():
            await asyncio.sleep(0.05)
