"""Run the peer as a program; faults are set over its control port."""

import argparse
import asyncio
import dataclasses
from typing import Any

from aiohttp import web

from tests.peers.yellowstone.node import Faults
from tests.peers.yellowstone.peer import Peer, yellowstone

_NAMES = {one.name for one in dataclasses.fields(Faults)}


def control(peer: Peer) -> web.Application:
    """Serve POST /faults (a JSON object of them), /up and /down, GET /state, and GET /late: the slots' delays."""

    async def faults(request: web.Request) -> web.Response:
        wished: dict[str, Any] = await request.json()
        if unknown := wished.keys() - _NAMES:
            return web.json_response({"unknown": sorted(unknown)}, status=400)
        for name, value in wished.items():
            setattr(peer.faults, name, tuple(value) if name in ("end", "refuse") and value else value)
        return web.json_response({})

    async def move(request: web.Request) -> web.Response:
        await (peer.up() if request.match_info["way"] == "up" else peer.down())
        return web.json_response({})

    async def state(_: web.Request) -> web.Response:
        service = peer.service
        told = {"slot": peer.node.slot.number, "streams": len(service.subscribers), "opened": service.opened}
        return web.json_response(told)

    async def late(_: web.Request) -> web.Response:
        node = peer.node
        both = node.pushed_at.keys() & node.streamed_at.keys()
        return web.json_response({slot: node.streamed_at[slot] - node.pushed_at[slot] for slot in sorted(both)})

    app = web.Application()
    app.router.add_post("/faults", faults)
    app.router.add_post("/{way:up|down}", move)
    app.router.add_get("/state", state)
    app.router.add_get("/late", late)
    return app


async def serve(wanted: argparse.Namespace) -> None:
    """Serve until cancelled."""
    made = yellowstone(slot_ms=wanted.slot_ms, token=wanted.token, port=wanted.port, ws_port=wanted.ws_port)
    async with made as peer:
        peer.faults.delay_ms = wanted.delay_ms
        runner = web.AppRunner(control(peer), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", wanted.control_port).start()
        print(f"ready {peer.url} {peer.ws_url} http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
        try:
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="yellowstone", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="of gRPC; 0 picks a free one, here as below")
    parser.add_argument("--ws-port", type=int, default=0, help="of the node's subscriptions")
    parser.add_argument("--control-port", type=int, default=0)
    parser.add_argument("--token", default="")
    parser.add_argument("--slot-ms", type=float, default=400.0)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
