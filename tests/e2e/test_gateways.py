"""Gateways apart: several on one port, none with a state of its own, and a control plane that restarts behind them."""

import asyncio
import signal
from collections import Counter
from pathlib import Path

import aiohttp

from tests.support.gateways import gateways, ticket
from tests.support.ports import free_ports

COUNT = 3


def shared() -> tuple[list[int], str]:
    """Give a port that gateways share, for each of them, and its URL."""
    (port,) = free_ports(1)
    return [port] * COUNT, f"https://127.0.0.1:{port}"


async def ask(http: aiohttp.ClientSession, url: str) -> int:
    """Ask on a connection of its own, so that the kernel chooses anew who answers; 0: nobody did."""
    try:
        async with http.get(f"{url}/health", headers={"Connection": "close"}) as answer:
            await answer.read()
            return answer.status
    except (aiohttp.ClientError, OSError):
        return 0


async def test_several_share_a_port_and_one_that_is_killed_is_not_missed(tmp_path: Path) -> None:
    ports, url = shared()
    async with gateways(tmp_path, ports) as found, found.client() as http:
        assert Counter([await ask(http, url) for _ in range(30)]) == {200: 30}
        found.doors[0].send_signal(signal.SIGKILL)
        await found.doors[0].wait()
        assert Counter([await ask(http, url) for _ in range(30)]) == {200: 30}
        # One after the other goes in peace; the last one answers alone.
        found.doors[1].send_signal(signal.SIGTERM)
        assert await found.doors[1].wait() == 0
        assert Counter([await ask(http, url) for _ in range(30)]) == {200: 30}


async def test_a_session_is_good_at_each_of_them(tmp_path: Path) -> None:
    ports, url = shared()
    async with gateways(tmp_path, ports) as found, found.client() as http:
        headers = await found.sign_in(http, url)
        for _ in range(12):
            async with http.get(f"{url}/v1/hosts", headers=headers) as answer:
                assert answer.status == 200, await answer.text()


async def open_by_ticket(http: aiohttp.ClientSession, url: str, one: str) -> int:
    """Open events by a ticket, on a connection of its own; gives the status."""
    async with http.get(f"{url}/api/rpc/events", params={"topics": "fleet", "ticket": one}) as answer:
        if answer.status == 200:
            assert (await answer.content.readline()).startswith(b"data: ")
        return answer.status


async def test_a_ticket_is_good_once_at_whichever_of_them(tmp_path: Path) -> None:
    ports = free_ports(2)
    one, other = (f"https://127.0.0.1:{port}" for port in ports)
    async with gateways(tmp_path, ports) as found, found.client() as http:
        headers = await found.sign_in(http, one)
        # Few: each that is refused draws from the budget of guesses.
        tickets = [await ticket(http, url, headers) for url in (one, other)]
        assert await open_by_ticket(http, other, tickets[0]) == 200
        assert await open_by_ticket(http, one, tickets[0]) == 401
        at_once = await asyncio.gather(*(open_by_ticket(http, url, tickets[1]) for url in (one, other) * COUNT))
        assert Counter(at_once) == {200: 1, 401: 2 * COUNT - 1}
        tickets.append(await ticket(http, one, headers))
        async with http.post(f"{one}/auth/logout", headers=headers, json={}) as answer:
            assert answer.status == 200
        assert await open_by_ticket(http, other, tickets[2]) == 401
        assert not any(text in found.log for text in tickets)


async def test_a_control_plane_that_restarts_under_load_is_told_of_and_found_again(tmp_path: Path) -> None:
    ports, url = shared()
    async with gateways(tmp_path, ports) as found, found.client() as http:
        seen: Counter[int] = Counter()
        stop = asyncio.Event()

        async def load() -> None:
            while not stop.is_set():
                seen[await ask(http, url)] += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(load())
            await asyncio.sleep(1)
            await found.made.stop_server(signal.SIGKILL)
            await asyncio.sleep(1)
            await found.made.start_server()
            async with asyncio.timeout(20):
                while await ask(http, url) != 200:
                    await asyncio.sleep(0.1)
            stop.set()
        # No connection was refused and none hung: while nobody is behind them they say so.
        assert seen.keys() == {200, 503}, seen
