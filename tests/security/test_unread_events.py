"""Two thousand listeners to events that never read: bounded memory, a quick end, and nobody else the later for it."""

import asyncio
import datetime as dt
import json
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import quantiles

import psutil
import pytest
import yaml

from controlplane.gateway.live_socket import BEHIND_S
from tests.support.cluster import BIN
from tests.support.live import Samples, viewer
from tests.support.plane import Plane, control_plane
from tests.support.ports import free_ports
from tests.support.programs import start_program

CLIENTS, PEOPLE, VANISH = 2_000, 10, 500
# A frame of so many hosts is 20 KB.
HOSTS = 120
MEGABYTE = 1 << 20
# Of one that never reads: what is unsent, one frame beyond it, its TLS, and what the allocator does not give back.
MOST_BYTES = 192 * 1024
pytestmark = pytest.mark.timeout(180)


@asynccontextmanager
async def gateway_apart(folder: Path) -> AsyncIterator[tuple[Plane, int, psutil.Process]]:
    """A control plane here, and its gateway as a process of its own, whose memory is nobody else's."""
    (port,) = free_ports(1)
    (folder / "keys").mkdir()
    own = {"gateway_dir": folder / "keys", "server_names": ["localhost"]}
    async with control_plane(folder, require_second_factor=False, **own) as plane:
        settings = {
            "data_dir": str(folder / "cp"), "gateway_dir": str(folder / "keys"), "server_names": ["localhost"],
            "gateway_listen": f"127.0.0.1:{port}", "gateway_target": f"127.0.0.1:{plane.app.servers.tls_port}",
        }  # fmt: skip
        (folder / "gateway.yaml").write_text(yaml.safe_dump(settings))
        with (folder / "gateway.log").open("wb") as log:
            argv = [str(BIN / "solward-controlplane"), "gateway"]
            door = await start_program(argv, dict(os.environ) | {"SOLWARD_CONFIG": str(folder / "gateway.yaml")}, log)
        try:
            async with asyncio.timeout(30):
                while "gateway serves" not in (folder / "gateway.log").read_text():
                    await asyncio.sleep(0.05)
            plane.app.gateway_port = port
            yield plane, port, psutil.Process(door.pid)
        finally:
            door.terminate()
            await door.wait()


def listen(context: ssl.SSLContext, port: int, token: str, place: int) -> ssl.SSLSocket:
    """Ask for events, and read nothing but the first bytes of the answer."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    # One address may hold 256 connections.
    plain.bind((f"127.0.1.{1 + place % PEOPLE}", 0))
    plain.settimeout(60)
    plain.connect(("127.0.0.1", port))
    one = context.wrap_socket(plain, server_hostname="localhost")
    head = f"GET /api/rpc/events?topics=fleet HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
    one.sendall(head.encode())
    assert one.recv(12) == b"HTTP/1.1 200"
    return one


def vanish(one: ssl.SSLSocket) -> None:
    """Go without a word, as a client does whose machine was reset."""
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()


async def feed(plane: Plane) -> None:
    hosts = [Samples(plane.app.watching.ingest, f"h{number}-{'x' * 40}") for number in range(HOSTS)]
    while True:
        for host in hosts:
            host.send()
        await asyncio.sleep(1.0)


async def watch(plane: Plane, token: str, delays: list[float]) -> None:
    """Read as one should, and note how late each frame comes."""
    async with viewer(plane, token) as other:
        await other.say(subscribe=["fleet"])
        while True:
            told = await other.next("fleet", within_s=5)
            made = dt.datetime.fromisoformat(told["time"][:26].rstrip("Z")).replace(tzinfo=dt.UTC)
            delays.append((dt.datetime.now(dt.UTC) - made).total_seconds())
            assert len(json.dumps(told)) > 10_000


async def test_case_50_listeners_that_never_read_are_ended_and_cost_little(tmp_path: Path) -> None:
    async with gateway_apart(tmp_path) as (plane, port, door):
        tokens = [(await plane.sign_in("viewer")).token for _ in range(PEOPLE + 1)]
        delays: list[float] = []
        tasks = [asyncio.create_task(feed(plane)), asyncio.create_task(watch(plane, tokens[-1], delays))]
        async with asyncio.timeout(20):
            while len(delays) < 3:
                await asyncio.sleep(0.1)
        idle_fds, idle = door.num_fds(), door.memory_info().rss
        context = ssl.create_default_context(cadata=plane.installation.ca.pem)
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(8) as pool:
            made = await asyncio.gather(
                *(
                    loop.run_in_executor(pool, listen, context, port, tokens[place % PEOPLE], place)
                    for place in range(CLIENTS)
                )
            )
            # Some are behind already by then, and none is kept longer than it may be.
            most, before = door.memory_info().rss, len(delays)
            for one in made[-VANISH:]:
                await loop.run_in_executor(pool, vanish, one)
        began = loop.time()
        while door.num_fds() > idle_fds + 2:
            most = max(most, door.memory_info().rss)
            # What the kernels keep is filled first, within a few frames.
            assert loop.time() - began < BEHIND_S + 30, f"{door.num_fds() - idle_fds} are held still"
            await asyncio.sleep(0.2)
        await asyncio.sleep(1)
        for task in tasks:
            assert not task.done(), task.exception()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for one in made:
            one.close()
        grown = (most - idle) / CLIENTS
        assert grown < MOST_BYTES, f"{grown / 1024:.0f} KB each, {most / MEGABYTE:.0f} MB in all"
        late = quantiles(delays[before:], n=10)[-1]
        print(f"{grown / 1024:.0f} KB each, ended after {loop.time() - began:.0f} s, others {late * 1000:.0f} ms late")
        assert late < 0.5, delays[before:]
