"""Run the peer as a program; faults are set over its control port."""

import argparse
import asyncio
import dataclasses
from typing import Any

from aiohttp import web

from tests.peers.block_engine.peer import Peer, block_engine
from tests.peers.block_engine.region import Faults

_NAMES = {one.name for one in dataclasses.fields(Faults)}


def control(peer: Peer) -> web.Application:
    """Serve POST /{region}/faults (a JSON object of them), /{region}/up, /{region}/down and GET /{region}/state."""

    async def faults(request: web.Request) -> web.Response:
        wished: dict[str, Any] = await request.json()
        if unknown := wished.keys() - _NAMES:
            return web.json_response({"unknown": sorted(unknown)}, status=400)
        for name, value in wished.items():
            setattr(peer[request.match_info["region"]].faults, name, value)
        return web.json_response({})

    async def move(request: web.Request) -> web.Response:
        served = peer[request.match_info["region"]]
        await (served.up() if request.match_info["way"] == "up" else served.down())
        return web.json_response({})

    async def state(request: web.Request) -> web.Response:
        region = peer[request.match_info["region"]].region
        received = [ident for ident, _ in region.received]
        told = {"received": received, "limited": region.limited, "streams": len(region.listeners)}
        return web.json_response(told | {"executed": peer.world.executed, "tips": peer.world.tips})

    app = web.Application()
    app.router.add_post("/{region}/faults", faults)
    app.router.add_post("/{region}/{way:up|down}", move)
    app.router.add_get("/{region}/state", state)
    return app


async def serve(wanted: argparse.Namespace) -> None:
    """Serve until cancelled."""
    pairs = [(wanted.grpc_port + place, wanted.http_port + place) for place in range(len(wanted.region))]
    peer = block_engine(*wanted.region, per_second=wanted.per_second, slot_s=wanted.slot_s, ports=pairs)
    async with peer as made:
        runner = web.AppRunner(control(made), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", wanted.control_port).start()
        print("ready", flush=True)
        try:
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="block-engine", description=__doc__)
    parser.add_argument("--region", action="append", help="may be given often; each has the next ports (default: ny)")
    parser.add_argument("--grpc-port", type=int, required=True)
    parser.add_argument("--http-port", type=int, required=True)
    parser.add_argument("--control-port", type=int, required=True)
    parser.add_argument("--per-second", type=float, default=1.0)
    parser.add_argument("--slot-s", type=float, default=0.4)
    wanted = parser.parse_args()
    wanted.region = wanted.region or ["ny"]
    asyncio.run(serve(wanted))


if __name__ == "__main__":
    main()
