"""Many agents at once, and agents of another age."""

import asyncio
import collections
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from solward.hosts.v1 import hosts_pb2

from agent.link.auto import FIRST_WAIT_S, LONGEST_WAIT_S, AutoLink
from tests.support.plane import Plane, control_plane
from tests.support.stream import agent_stream, hello, refused

AGENTS = 60


def waits(rounds: int) -> list[float]:
    """Give how long an agent waits before each of its next attempts."""
    link: Any = object.__new__(AutoLink)
    link._failures = 0
    return [link._wait_s("UNAVAILABLE") for _ in range(rounds)]


def test_case_56_a_thousand_agents_come_back_spread_out_and_within_two_minutes() -> None:
    fleet = [waits(8) for _ in range(1000)]
    for attempt in range(8):
        taken = [series[attempt] for series in fleet]
        assert FIRST_WAIT_S <= min(taken) <= max(taken) <= LONGEST_WAIT_S
        # No tenth of the window takes much more than its share.
        width = (max(taken) - min(taken)) / 10
        shares = collections.Counter(int((wait - min(taken)) / width) for wait in taken)
        assert max(shares.values()) < 200
    assert max(sum(series[:5]) for series in fleet) < 120


async def test_case_56_a_storm_of_agents_is_let_in_while_people_are_answered(tmp_path: Path) -> None:
    async with control_plane(tmp_path, require_second_factor=False) as plane, AsyncExitStack() as stack:
        admin = await plane.sign_in()
        machines = [await plane.add_machine(admin) for _ in range(AGENTS)]
        loop = asyncio.get_running_loop()
        answered: list[float] = []

        async def ask() -> None:
            while True:
                began = loop.time()
                await connected(plane, admin)
                answered.append(loop.time() - began)

        asking = asyncio.create_task(ask())
        async with asyncio.timeout(60):
            opened = (stack.enter_async_context(agent_stream(plane, machine)) for machine in machines)
            streams = await asyncio.gather(*opened)
        asking.cancel()
        assert len(streams) == AGENTS
        assert await connected(plane, admin) == AGENTS
        assert max(answered, default=0.0) < 5


async def connected(plane: Plane, admin: Any) -> int:
    request = hosts_pb2.ListHostsRequest(page_size=1000)
    listed = await plane.call("solward.hosts.v1.HostsService/ListHosts", request, hosts_pb2.ListHostsResponse, admin)
    return sum(host.connected for host in listed.hosts)


@pytest.mark.parametrize(("protocol", "version"), [(0, "0.0.1"), (99, "9.9.9")])
async def test_case_60_agents_too_old_or_too_new_are_refused_by_name(
    tmp_path: Path, protocol: int, version: str
) -> None:
    async with control_plane(tmp_path) as plane:
        machine = await plane.add_machine(await plane.sign_in())

        async def connect() -> None:
            async with agent_stream(plane, machine, hello(protocol=protocol, agent_version=version)):
                pass

        refusal = await refused(connect())
        assert (refusal.code.name, refusal.reason) == ("FAILED_PRECONDITION", "PROTOCOL_UNSUPPORTED")
        assert f"agent {version} speaks protocol {protocol}; this server speaks" in refusal.message
        assert "upgrade the older side" in refusal.message
