"""Live topics from the agent to a WebSocket client, through real processes."""

import asyncio
import datetime as dt
import json
import ssl
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.cluster import PASSWORD, Cluster, cluster


def moment(text: str) -> float:
    """Read an RFC 3339 time."""
    return dt.datetime.fromisoformat(text[:19] + "+00:00").timestamp() + float("0" + text[19:].rstrip("Z"))


async def sign_in(made: Cluster, session: aiohttp.ClientSession) -> str:
    """Sign in over REST; gives the token."""
    body = {"username": "admin", "password": PASSWORD, "totpCode": await made.authenticator.code()}
    async with session.post("/auth/login", json=body) as response:
        assert response.status == 200, await response.text()
        return str((await response.json())["accessToken"])


async def frames(socket: aiohttp.ClientWebSocketResponse, topic: str, count: int) -> list[tuple[float, dict[str, Any]]]:
    """Read frames of a topic, with the time at which each came."""
    found: list[tuple[float, dict[str, Any]]] = []
    async with asyncio.timeout(count + 20):
        while len(found) < count:
            told = json.loads((await socket.receive()).data)
            assert "error" not in told, told
            if told.get("topic") == topic:
                found.append((dt.datetime.now(dt.UTC).timestamp(), told))
    return found


async def test_a_client_sees_a_hosts_numbers_every_second(tmp_path: Path) -> None:
    async with cluster(tmp_path) as made:
        await made.sign_in()
        await made.add_host("sol-1")
        context = ssl.create_default_context(cafile=str(made.ca_file))
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(f"https://localhost:{made.rest_port}", connector=connector) as session:
            token = await sign_in(made, session)
            protocols = ("solward.live.v1", f"bearer.{token}")
            async with session.ws_connect("/api/rpc/ws", protocols=protocols) as socket:
                topics = ["fleet", "hosts/sol-1/rpc", "hosts/sol-1/score", "alerts"]
                await socket.send_json({"subscribe": topics})
                assert json.loads((await socket.receive()).data) == {"subscribed": sorted(topics)}
                # The first may be of before the agent's first batch.
                seen = (await frames(socket, "hosts/sol-1/rpc", 10))[3:]
                for came, told in seen:
                    made_at, measured_at = moment(told["time"]), moment(told["rpc"]["sampleTime"])
                    assert came - made_at < 1.0
                    assert made_at - measured_at < 2.0 + 1.0
                    assert told["rpc"].get("ageSeconds", 0.0) < 2.0
                    assert {"getSlot", "getBlock"} <= {row["method"] for row in told["rpc"]["methods"]}
                times = [moment(told["time"]) for _, told in seen]
                assert all(0.7 < later - earlier < 1.3 for earlier, later in pairwise(times))
                measured = {told["rpc"]["sampleTime"] for _, told in seen}
                assert len(measured) >= len(seen) - 1
                ((_, fleet),) = await frames(socket, "fleet", 1)
                assert [row["host"] for row in fleet["fleet"]["hosts"]] == ["hosts/sol-1"]
            # Signed out, the socket would close, and the token opens no other.
            async with session.post("/auth/logout", headers={"Authorization": f"Bearer {token}"}, json={}) as response:
                assert response.status == 200
            async with session.get("/api/rpc/ws") as response:
                assert (response.status, response.headers["Upgrade"]) == (426, "websocket")
            try:
                await session.ws_connect("/api/rpc/ws", protocols=protocols)
            except aiohttp.WSServerHandshakeError as refused:
                assert refused.status == 401
            else:
                raise AssertionError("a token that is over opened a socket")
        assert token not in made.log


async def test_a_client_sees_an_operation_begin_and_end(tmp_path: Path) -> None:
    async with cluster(tmp_path, require_second_factor=False) as made:
        await made.sign_in()
        await made.add_host("sol-1")
        context = ssl.create_default_context(cafile=str(made.ca_file))
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(f"https://localhost:{made.rest_port}", connector=connector) as session:
            protocols = ("solward.live.v1", f"bearer.{await sign_in(made, session)}")
            async with session.ws_connect("/api/rpc/ws", protocols=protocols) as socket:
                await socket.send_json({"subscribe": ["operations"]})
                ((_, idle),) = await frames(socket, "operations", 1)
                assert idle["operations"] == {}
                restart = asyncio.create_task(made.ctl_json("validator", "restart", "sol-1", "--yes"))
                states: list[str] = []
                while states[-1:] != ["OPERATION_STATE_SUCCEEDED"]:
                    ((_, told),) = await frames(socket, "operations", 1)
                    for one in told["operations"].get("operations", []):
                        assert (one["kind"], one["host"]) == ("validator.restart", "hosts/sol-1")
                        assert told["operations"].get("openCount", 0) == (one["state"] == "OPERATION_STATE_RUNNING")
                        states.append(one["state"])
                assert states[0] == "OPERATION_STATE_RUNNING"
                assert (await restart)["state"] == states[-1]
