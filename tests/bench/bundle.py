"""How soon a WebSocket client has what a block engine said: from the agent's receipt, through real processes."""

import asyncio
import base64
import json
import ssl
import tempfile
import time
from datetime import datetime
from pathlib import Path

import aiohttp

from tests.bench.rows import Row, quantile, row
from tests.e2e.test_bundles import TOLD, fleet, until_streams
from tests.e2e.test_live import sign_in
from tests.peers.block_engine import Peer
from tests.support.bundles import tipping

BUNDLES, EVERY_S = 300, 0.1
LAST_S = 20.0
Took = dict[tuple[str, str], float]


async def run() -> list[Row]:
    """Measure."""
    with tempfile.TemporaryDirectory(prefix="solward-bench-") as folder:
        async with fleet(Path(folder), "ny") as (made, _, peer):
            await until_streams(peer)
            context = ssl.create_default_context(cafile=str(made.ca_file))
            connector = aiohttp.TCPConnector(ssl=context)
            async with aiohttp.ClientSession(f"https://localhost:{made.rest_port}", connector=connector) as session:
                took = await _measure(session, await sign_in(made, session), peer)
    ms = [seconds * 1000 for seconds in took.values()]
    detail = (
        f"{len(ms)} results of {BUNDLES} bundles, one each {EVERY_S * 1000:.0f} ms: from when the agent had it to when "
        f"the client had its frame; agent, control plane and gateway as processes; p50 {quantile(ms, 0.5):.1f} ms"
    )
    return [row("bundle_event_p99_ms", quantile(ms, 0.99), "ms", "<= 25", detail)]


async def _measure(session: aiohttp.ClientSession, token: str, peer: Peer) -> Took:
    took: Took = {}
    async with session.ws_connect("/api/rpc/ws", protocols=("solward.live.v1", f"bearer.{token}")) as socket:
        await socket.send_json({"subscribe": ["bundles"]})
        reading = asyncio.create_task(_read(socket, took))
        for _ in range(BUNDLES):
            await _submit(session, token, peer)
            await asyncio.sleep(EVERY_S)
        deadline = time.monotonic() + LAST_S
        while len(took) < 2 * BUNDLES and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    return took


async def _submit(session: aiohttp.ClientSession, token: str, peer: Peer) -> None:
    raw = tipping(1_000, blockhash=peer.world.blockhash())
    body = {"transactions": [base64.b64encode(raw).decode()]}
    headers = {"Authorization": f"Bearer {token}"}
    async with session.post("/api/jito/bundle/submit", json=body, headers=headers) as answer:
        if answer.status != 200:
            raise RuntimeError(await answer.text())


async def _read(socket: aiohttp.ClientWebSocketResponse, took: Took) -> None:
    async for message in socket:
        now, told = time.time(), json.loads(message.data)
        for bundle in told.get("bundles", {}).get("bundles", []):
            for event in bundle.get("events", []):
                if event["kind"] in TOLD:
                    at = datetime.fromisoformat(event["time"]).timestamp()
                    took.setdefault((bundle["name"], event["kind"]), now - at)
