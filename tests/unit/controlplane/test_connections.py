"""How connections stand, as an operator and Prometheus see it."""

import asyncio
from pathlib import Path

import aiohttp
from solward.metrics.v1 import metrics_pb2 as pb

from tests.support.plane import control_plane
from tests.support.redis import redis
from tests.support.stream import refused

METHOD = "solward.metrics.v1.MetricsService/ListConnections"


async def test_a_dead_redis_is_seen_in_the_list_and_in_the_metrics(tmp_path: Path) -> None:
    with redis() as server:
        async with control_plane(tmp_path, redis_url=server.url) as plane:
            viewer = await plane.sign_in("viewer")
            asked = pb.ListConnectionsRequest()
            listed = await plane.call(METHOD, asked, pb.ListConnectionsResponse, viewer)
            assert ("Redis", pb.BREAKER_STATE_CLOSED) in [(one.name, one.state) for one in listed.connections]
            await asyncio.to_thread(server.kill)
            async with aiohttp.ClientSession() as http, asyncio.timeout(20):
                url = f"http://127.0.0.1:{plane.app.metrics_port}/metrics"
                page = ""
                while 'solward_breaker_state{name="Redis",state="closed"} 0.0' not in page:
                    plane.app.identities.principals.forget()
                    refusal = await refused(plane.call(METHOD, asked, pb.ListConnectionsResponse, viewer))
                    assert refusal.reason == "REDIS_DOWN"
                    page = await (await http.get(url)).text()
