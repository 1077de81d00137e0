"""The metrics pages of Geyser plugins: Yellowstone's by its new names and its old ones, and the Kafka plugin's.

Run it with `python -m tests.peers.plugin_metrics --style kafka`; it prints `ready http://127.0.0.1:PORT`. POST /set
takes a JSON object of the figures to change, POST /fault one of the words of `FAULTS`.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields

from aiohttp import web

STYLES = ("yellowstone", "yellowstone_old", "kafka", "stranger")
FAULTS = ("", "garbage", "huge", "hang", "status", "drip")
HUGE_MB = 100


@dataclass
class Figures:
    """What a plugin counts."""

    seen_slot: int = 1_000
    sent_slot: int = 1_000
    accounts: int = 0
    transactions: int = 0
    slots: int = 0
    failed: int = 0
    dropped: int = 0
    queue: int = 0
    blocks_failed: int = 0
    statuses_missed: int = 0

    def begin_anew(self) -> None:
        """Count from nothing, as a plugin does that was loaded anew."""
        for one in fields(self):
            setattr(self, one.name, 0)


def _yellowstone(figures: Figures, *, old: bool) -> str:
    new, accounts = ("", "geyser_") if old else ("yellowstone_grpc_geyser_", "yellowstone_grpc_geyser_")
    size = f"{accounts}account_update_data_size_kib"
    return f"""\
# HELP {new}slot_status Latest received slot from Geyser
# TYPE {new}slot_status gauge
{new}slot_status{{status="processed"}} {figures.seen_slot}
{new}slot_status{{status="finalized"}} {figures.seen_slot - 32}
{new}slot_status_plugin{{status="processed"}} {figures.sent_slot}
{new}message_queue_size {figures.queue}
{new}invalid_full_blocks_total{{reason="all"}} {figures.blocks_failed}
{new}invalid_full_blocks_total{{reason="missed slot"}} {figures.blocks_failed}
{new}missed_status_message_total{{status="confirmed"}} {figures.statuses_missed}
{"" if old else f'{new}event_dropped_total{{event="Account"}} {figures.dropped}'}
# TYPE {size} histogram
{size}_bucket{{le="5"}} {figures.accounts}
{size}_bucket{{le="+Inf"}} {figures.accounts}
{size}_sum {figures.accounts * 0.5}
{size}_count {figures.accounts}
"""


def _kafka(figures: Figures) -> str:
    return f"""\
upload_accounts_total{{status="success"}} {figures.accounts}
upload_accounts_total{{status="failed"}} {figures.failed}
upload_slots_total{{status="success"}} {figures.slots}
upload_transactions_total{{status="success"}} {figures.transactions}
kafka_stats{{broker="kafka-1:9092/1",metric="outbuf_msg_cnt"}} {figures.queue}
kafka_stats{{broker="kafka-2:9092/2",metric="waitresp_msg_cnt"}} 2
kafka_stats{{broker="kafka-2:9092/2",metric="int_latency.p99"}} 900
version{{key="version",value="say \\"hi\\""}} 1
"""


PAGES: dict[str, Callable[[Figures], str]] = {
    "yellowstone": lambda figures: _yellowstone(figures, old=False),
    "yellowstone_old": lambda figures: _yellowstone(figures, old=True),
    "kafka": _kafka,
    "stranger": lambda _: "go_goroutines 7\n",
}


class Peer:
    """One plugin's page."""

    def __init__(self, style: str) -> None:
        self._style = style
        self.figures = Figures()
        self.fault = ""
        self.looks = 0
        self.url = ""

    async def page(self, request: web.Request) -> web.StreamResponse:
        self.looks += 1
        if self.fault == "hang":
            await asyncio.Event().wait()
        if self.fault == "status":
            return web.Response(status=503, text="not now")
        if self.fault == "garbage":
            return web.Response(body=b"<html>\xff\xfe not metrics {{{")
        if self.fault in ("huge", "drip"):
            return await self._long(request)
        return web.Response(text=PAGES[self._style](self.figures))

    async def _long(self, request: web.Request) -> web.StreamResponse:
        """Send a page without end, or as slowly as can be; it has no length in its head."""
        answer = web.StreamResponse()
        await answer.prepare(request)
        piece = b"a_name 1\n" * (116_508 if self.fault == "huge" else 1)
        for _ in range(HUGE_MB):
            await answer.write(piece)
            await asyncio.sleep(0.2 if self.fault == "drip" else 0)
        return answer

    async def set(self, request: web.Request) -> web.Response:
        for name, value in (await request.json()).items():
            if name not in {one.name for one in fields(Figures)}:
                return web.json_response({"unknown": name}, status=400)
            setattr(self.figures, name, value)
        return web.json_response({})

    async def break_(self, request: web.Request) -> web.Response:
        self.fault = (await request.text()).strip()
        return web.json_response({}, status=200 if self.fault in FAULTS else 400)


@asynccontextmanager
async def plugin_metrics(style: str = "yellowstone", port: int = 0) -> AsyncIterator[Peer]:
    """Serve a plugin's page."""
    peer = Peer(style)
    app = web.Application()
    app.add_routes([web.get("/metrics", peer.page), web.post("/set", peer.set), web.post("/fault", peer.break_)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        peer.url = f"http://127.0.0.1:{runner.addresses[0][1]}/metrics"
        yield peer
    finally:
        await runner.cleanup()


async def serve(style: str, port: int) -> None:
    """Serve until cancelled."""
    async with plugin_metrics(style, port) as peer:
        print(f"ready {peer.url.removesuffix('/metrics')}", flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="plugin-metrics", description=__doc__)
    parser.add_argument("--style", choices=STYLES, default="yellowstone")
    parser.add_argument("--port", type=int, default=0)
    wanted = parser.parse_args()
    asyncio.run(serve(wanted.style, wanted.port))


if __name__ == "__main__":
    main()
