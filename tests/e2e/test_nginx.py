"""A real nginx before two gateways, by the configuration of docs/gateway.md: everything passes, nobody is believed."""

import asyncio
import io
import json
import signal
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.gateways import Gateways, gateways, ticket
from tests.support.nginx import Nginx, nginx
from tests.support.ports import free_ports

# Loopback has many addresses: nginx has the first, and clients the others, so that they are told apart.
PROXY, CLIENT, OTHER = "127.0.0.1", "127.0.0.9", "127.0.0.10"
MEBIBYTE = 1 << 20


@asynccontextmanager
async def stand(folder: Path, **settings: Any) -> AsyncIterator[tuple[Gateways, Nginx, list[int]]]:
    """Run all of it; gives the gateways' ports too."""
    ports = free_ports(2)
    (folder / "nginx").mkdir()
    own = {"trusted_proxies": [f"{PROXY}/32"]}
    async with (
        gateways(folder, ports, own, **settings) as found,
        nginx(folder / "nginx", ports, found.made.ca_file) as front,
    ):
        yield found, front, ports


def client(found: Gateways, front: Nginx, address: str = CLIENT) -> aiohttp.ClientSession:
    tls = ssl.create_default_context(cafile=front.ca_file)
    return found.client(ssl=tls, local_addr=(address, 0))


async def reason(answer: aiohttp.ClientResponse) -> tuple[int, str]:
    return answer.status, (await answer.json())["details"][0]["reason"]


async def guess(http: aiohttp.ClientSession, url: str, **headers: str) -> int:
    """Ask with a token that is none; gives the status."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    async with http.get(f"{url}/auth/caller", headers={"Authorization": "Bearer x", **headers}) as answer:
        return answer.status


async def test_calls_sockets_events_and_large_bodies_pass(tmp_path: Path) -> None:
    async with stand(tmp_path) as (found, front, _), client(found, front) as http:
        headers = await found.sign_in(http, front.url)
        async with http.get(f"{front.url}/v1/hosts", headers=headers) as answer:
            assert (answer.status, answer.headers["X-Frame-Options"]) == (200, "DENY")
        first, second = [await ticket(http, front.url, headers) for _ in range(2)]
        origin = {"Origin": front.url}
        async with http.ws_connect(f"{front.url}/api/rpc/ws?ticket={first}", headers=origin) as socket:
            await socket.send_json({"subscribe": ["fleet"]})
            assert (await socket.receive_json(timeout=5)) == {"subscribed": ["fleet"]}
            assert (await socket.receive_json(timeout=5))["topic"] == "fleet"
        url = f"{front.url}/api/rpc/events?topics=fleet&ticket={second}"
        async with http.get(url, headers=origin) as events:
            assert (events.status, events.content_type) == (200, "text/event-stream")
            came = []
            while len(came) < 5:
                if (await asyncio.wait_for(events.content.readline(), 5)).startswith(b"data: "):
                    came.append(time.monotonic())
        # Each as it is made, and not several together once a buffer is full.
        # The first is the newest of a second that has begun.
        assert all(0.5 < later - earlier < 1.6 for earlier, later in pairwise(came[1:])), came
        await _bodies(http, front.url, headers)
        # Tickets are in no log, though the paths are; nginx writes of a stream once it sees that it ended.
        async with asyncio.timeout(5):
            while "GET /api/rpc/events" not in front.log:
                await asyncio.sleep(0.05)
        assert not any(one in front.log + found.log for one in (first, second))


async def _bodies(http: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> None:
    json_type = {"Content-Type": "application/json"}
    large, larger = (b"{" + b" " * (size - 2) + b"}" for size in (MEBIBYTE, MEBIBYTE + 1))
    async with http.post(f"{url}/api/rpc/tickets", headers=headers | json_type, data=io.BytesIO(large)) as answer:
        assert answer.status == 200, await answer.text()
    async with http.post(f"{url}/api/rpc/tickets", headers=headers | json_type, data=io.BytesIO(larger)) as answer:
        assert await reason(answer) == (413, "BODY_TOO_LARGE")
    # What is no WebSocket is not upgraded to, and does not arrive as a wish to.
    h2c = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAAP__"}
    async with http.get(f"{url}/v1/hosts", headers=headers | h2c) as answer:
        assert answer.status == 200


async def test_case_52_the_clients_own_address_reaches_limits_and_audit_and_no_other(tmp_path: Path) -> None:
    limits = {"credential": "4/minute"}
    async with stand(tmp_path, rate_limits=limits) as (found, front, ports), client(found, front) as http:
        headers = await found.sign_in(http, front.url)
        # One draw is the sign-in's. Whatever a client writes, it stays the one that it is.
        spoofs = ["203.0.113.7", "203.0.113.8, 198.51.100.1", PROXY, "junk", ""]
        statuses = [await guess(http, front.url, X_Forwarded_For=spoof, Forwarded="for=1.2.3.4") for spoof in spoofs]
        assert statuses == [401, 401, 401, 429, 429]
        async with client(found, front, OTHER) as other:
            assert await guess(other, front.url) == 401
        # Round nginx, straight to a gateway: not from the proxy, so it is not believed either.
        async with found.client(local_addr=(OTHER, 0)) as straight:
            direct = f"https://localhost:{ports[0]}"
            assert await guess(straight, direct, X_Forwarded_For="203.0.113.9") == 401
        method = "solward.auth.v1.AuthService/GetCaller"
        async with http.get(f"{front.url}/v1/auditEntries", params={"method": method}, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            kept = [json.loads(entry["body"]) for entry in (await answer.json())["entries"]]
        assert Counter((entry["peer"], entry["raw_peer"]) for entry in kept) == {
            (CLIENT, PROXY): 3, (OTHER, PROXY): 1, (OTHER, OTHER): 1,
        }  # fmt: skip


async def test_one_gateway_is_killed_and_nginx_goes_on_with_the_other(tmp_path: Path) -> None:
    async with stand(tmp_path) as (found, front, _), client(found, front) as http:
        headers = await found.sign_in(http, front.url)

        async def ask() -> int:
            async with http.get(f"{front.url}/v1/hosts", headers=headers) as answer:
                await answer.read()
                return answer.status

        async def listen() -> int:
            """Listen to events to their end."""
            url = f"{front.url}/api/rpc/events?topics=fleet"
            try:
                async with http.get(url, headers=headers, timeout=aiohttp.ClientTimeout(20)) as events:
                    assert (await events.content.readline()).startswith(b"data: ")
                    listening.release()
                    await events.content.read()
                    return events.status
            except aiohttp.ClientPayloadError:
                return 200

        assert Counter([await ask() for _ in range(10)]) == {200: 10}
        listening = asyncio.Semaphore(0)
        listeners = [asyncio.create_task(listen()) for _ in range(2)]
        for _ in listeners:
            await listening.acquire()
        found.doors[0].send_signal(signal.SIGKILL)
        await found.doors[0].wait()
        # Asked one after the other and many at once, nobody notices; who listened at the other one listens on.
        assert Counter([await ask() for _ in range(20)]) == {200: 20}
        assert Counter(await asyncio.gather(*(ask() for _ in range(20)))) == {200: 20}
        ended, left = await asyncio.wait(listeners, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        assert (len(ended), len(left)) == (1, 1)
        found.doors[1].send_signal(signal.SIGKILL)
        await found.doors[1].wait()
        async with http.get(f"{front.url}/v1/hosts", headers=headers) as answer:
            assert (await reason(answer), answer.headers["Retry-After"]) == ((503, "GATEWAY_DOWN"), "1")
        await asyncio.gather(*left)
