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


class Load:
    """Clients of every kind at once, and what they met."""

    def __init__(self, http: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> None:
        self.http = http
        self.url = url
        self.headers = headers
        self.stop = asyncio.Event()
        # By kind of client: how calls were answered, and when the newest frame came.
        self.seen: Counter[int] = Counter()
        self.hasty: list[str] = []
        self.frames: dict[str, float] = {}

    async def call(self, method: str, path: str) -> None:
        """Call again and again, each on a connection of its own."""
        body = {"json": {}} if method == "POST" else {}
        while not self.stop.is_set():
            async with self.http.request(method, self.url + path, headers=self.headers, **body) as answer:
                await answer.read()
                self.seen[answer.status] += 1
                if answer.status == 503 and "Retry-After" not in answer.headers:
                    self.hasty.append(path)

    async def watch(self, name: str) -> None:
        """Hold a WebSocket, and open it anew when it ends."""
        while not self.stop.is_set():
            try:
                async with self.http.ws_connect(f"{self.url}/api/rpc/ws", headers=self.headers) as socket:
                    await socket.send_json({"subscribe": ["fleet"]})
                    async for message in socket:
                        if "topic" in message.json():
                            self.came(name)
            except aiohttp.WSServerHandshakeError as refused:
                self.seen[refused.status] += 1
                await asyncio.sleep(0.2)

    async def listen(self, name: str, path: str) -> None:
        """Hold a stream of events, and ask for it anew when it ends."""
        patience = aiohttp.ClientTimeout(total=None)
        while not self.stop.is_set():
            headers = self.headers | {"Accept": "text/event-stream"}
            async with self.http.get(self.url + path, headers=headers, timeout=patience) as answer:
                if answer.status != 200:
                    self.seen[answer.status] += 1
                    await asyncio.sleep(0.2)
                async for line in answer.content:
                    if line.startswith((b'data: {"topic"', b'data: {"result"')):
                        self.came(name)

    def came(self, name: str) -> None:
        self.frames[name] = asyncio.get_running_loop().time()

    async def until_all_hear(self, kinds: int) -> None:
        """Wait until each of those who hold something open has heard of it since now."""
        now = asyncio.get_running_loop().time()
        async with asyncio.timeout(30):
            while len([at for at in self.frames.values() if at > now]) < kinds:
                await asyncio.sleep(0.1)


async def test_a_control_plane_that_restarts_under_load_is_told_of_and_found_again(tmp_path: Path) -> None:
    ports, url = shared()
    budgets = dict.fromkeys(("credential", "stream", "read", "write", "address"), "10000/second")
    events, lines = "/api/rpc/events?topics=fleet", "/v1/topics:watch?topics=fleet"
    async with gateways(tmp_path, ports, rate_limits=budgets) as found, found.client() as http:
        load = Load(http, url, await found.sign_in(http, url))
        tasks = [
            *(asyncio.create_task(load.call("GET", path)) for path in ("/health", "/v1/hosts") * 2),
            asyncio.create_task(load.call("POST", "/solward.hosts.v1.HostsService/ListHosts")),
            asyncio.create_task(load.call("POST", "/api/rpc/tickets")),
            *(asyncio.create_task(load.watch(f"socket {number}")) for number in range(10)),
            *(asyncio.create_task(load.listen(f"events {number}", events)) for number in range(10)),
            *(asyncio.create_task(load.listen(f"lines {number}", lines)) for number in range(3)),
        ]  # fmt: skip
        try:
            await load.until_all_hear(23)
            for number in (signal.SIGKILL, signal.SIGTERM):
                await found.made.stop_server(number)
                await asyncio.sleep(1)
                await found.made.start_server()
                # Nobody does anything about it.
                await load.until_all_hear(23)
            async with asyncio.timeout(20):
                while await ask(http, url) != 200:
                    await asyncio.sleep(0.1)
            # No connection was refused and none hung: while nobody is behind them they say so.
            assert load.seen.keys() == {200, 503}, load.seen
            load.seen.clear()
            await asyncio.sleep(1)
            assert load.seen.keys() == {200}, load.seen
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert [one for one in ended if not isinstance(one, asyncio.CancelledError)] == []
        assert load.hasty == []
