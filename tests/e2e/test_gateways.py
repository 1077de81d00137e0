"""Gateways apart: several on one port, none with a state of its own, and a control plane that restarts behind them."""

import asyncio
import signal
import ssl
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import yaml

from tests.support.cluster import BIN, PASSWORD, Cluster, cluster
from tests.support.ports import free_ports
from tests.support.programs import Forked, start_program

COUNT = 3


@asynccontextmanager
async def gateways(folder: Path) -> AsyncIterator[tuple[Cluster, list[Process | Forked], str]]:
    """A control plane and gateways apart that share a port; gives their URL too."""
    keys = folder / "keys"
    keys.mkdir()
    (port,) = free_ports(1)
    async with cluster(folder, gateway_dir=str(keys), require_second_factor=False) as made:
        await made.sign_in()
        settings = {
            "data_dir": made.settings["data_dir"], "gateway_dir": str(keys), "gateway_share_port": True,
            "gateway_listen": f"127.0.0.1:{port}", "gateway_target": f"127.0.0.1:{made.tls_port}",
        }  # fmt: skip
        (folder / "gateway.yaml").write_text(yaml.safe_dump(settings))
        environment = made.environment() | {"SOLWARD_CONFIG": str(folder / "gateway.yaml")}
        doors: list[Process | Forked] = []
        try:
            for number in range(COUNT):
                with (folder / f"gateway-{number}.log").open("wb") as log:
                    doors.append(await start_program([str(BIN / "solward-controlplane"), "gateway"], environment, log))
                await until_logged(folder / f"gateway-{number}.log", "gateway serves")
            yield made, doors, f"https://127.0.0.1:{port}"
        finally:
            for door in doors:
                if door.returncode is None:
                    door.send_signal(signal.SIGTERM)
                await door.wait()


async def until_logged(path: Path, words: str) -> None:
    async with asyncio.timeout(30):
        while words not in path.read_text():
            await asyncio.sleep(0.05)


async def ask(http: aiohttp.ClientSession, url: str) -> int:
    """Ask on a connection of its own, so that the kernel chooses anew who answers; 0: nobody did."""
    try:
        async with http.get(f"{url}/health", headers={"Connection": "close"}) as answer:
            await answer.read()
            return answer.status
    except (aiohttp.ClientError, OSError):
        return 0


def client(made: Cluster) -> aiohttp.ClientSession:
    tls = ssl.create_default_context(cafile=made.ca_file)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls, force_close=True), timeout=aiohttp.ClientTimeout(10)
    )


async def signed_in(made: Cluster, http: aiohttp.ClientSession, url: str) -> dict[str, str]:
    """Sign in; gives the header that shows it."""
    login = {"username": "admin", "password": PASSWORD, "totpCode": await made.authenticator.code()}
    async with http.post(f"{url}/auth/login", json=login) as answer:
        assert answer.status == 200, await answer.text()
        return {"Authorization": f"Bearer {(await answer.json())['accessToken']}"}


async def test_several_share_a_port_and_one_that_is_killed_is_not_missed(tmp_path: Path) -> None:
    async with gateways(tmp_path) as (made, doors, url), client(made) as http:
        assert Counter([await ask(http, url) for _ in range(30)]) == {200: 30}
        doors[0].send_signal(signal.SIGKILL)
        await doors[0].wait()
        assert Counter([await ask(http, url) for _ in range(30)]) == {200: 30}
        # One after the other goes in peace; the last one answers alone.
        doors[1].send_signal(signal.SIGTERM)
        assert await doors[1].wait() == 0
        assert Counter([await ask(http, url) for _ in range(30)]) == {200: 30}


async def test_a_session_is_good_at_each_of_them(tmp_path: Path) -> None:
    async with gateways(tmp_path) as (made, _, url), client(made) as http:
        headers = await signed_in(made, http, url)
        for _ in range(12):
            async with http.get(f"{url}/v1/hosts", headers=headers) as answer:
                assert answer.status == 200, await answer.text()


async def open_by_ticket(http: aiohttp.ClientSession, url: str, ticket: str) -> int:
    """Open events by a ticket, on a connection of its own; gives the status."""
    async with http.get(f"{url}/api/rpc/events", params={"topics": "fleet", "ticket": ticket}) as answer:
        if answer.status == 200:
            assert (await answer.content.readline()).startswith(b"data: ")
        return answer.status


async def test_a_ticket_is_good_once_at_whichever_of_them(tmp_path: Path) -> None:
    async with gateways(tmp_path) as (made, _, url), client(made) as http:
        headers = await signed_in(made, http, url)
        tickets = []
        # Few: each that is refused draws from the budget of guesses.
        for _ in range(2):
            async with http.post(f"{url}/api/rpc/tickets", headers=headers, json={}) as answer:
                assert answer.status == 200, await answer.text()
                tickets.append((await answer.json())["ticket"])
        for ticket in tickets:
            at_once = await asyncio.gather(*(open_by_ticket(http, url, ticket) for _ in range(2 * COUNT)))
            assert Counter(at_once) == {200: 1, 401: 2 * COUNT - 1}
        async with http.post(f"{url}/api/rpc/tickets", headers=headers, json={}) as answer:
            last = (await answer.json())["ticket"]
        async with http.post(f"{url}/auth/logout", headers=headers, json={}) as answer:
            assert answer.status == 200
        assert await open_by_ticket(http, url, last) == 401
        logged = made.log + "".join((tmp_path / f"gateway-{number}.log").read_text() for number in range(COUNT))
        assert not any(ticket in logged for ticket in [*tickets, last])


async def test_a_control_plane_that_restarts_under_load_is_told_of_and_found_again(tmp_path: Path) -> None:
    async with gateways(tmp_path) as (made, _, url), client(made) as http:
        seen: Counter[int] = Counter()
        stop = asyncio.Event()

        async def load() -> None:
            while not stop.is_set():
                seen[await ask(http, url)] += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(load())
            await asyncio.sleep(1)
            await made.stop_server(signal.SIGKILL)
            await asyncio.sleep(1)
            await made.start_server()
            async with asyncio.timeout(20):
                while await ask(http, url) != 200:
                    await asyncio.sleep(0.1)
            stop.set()
        # No connection was refused and none hung: while nobody is behind them they say so.
        assert seen.keys() == {200, 503}, seen
