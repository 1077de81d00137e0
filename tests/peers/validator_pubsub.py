"""The WebSocket side of the validator peer: slot subscriptions as Agave's rpc/src/rpc_pubsub.rs pushes them."""

import asyncio
import json
import time
from typing import Any

from aiohttp import WSMsgType, web

from tests.peers.validator_faults import Faults
from tests.peers.validator_rpc import Rpc
from tests.peers.validator_state import Node

METHODS = ("slotSubscribe", "slotsUpdatesSubscribe")


def pubsub_app(node: Node, rpc: Rpc, faults: Faults) -> web.Application:
    """Serve subscriptions; each socket has its own."""

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=4096)
        await socket.prepare(request)
        subscribed: dict[str, int] = {}
        pushing = asyncio.create_task(_push(socket, node, rpc, faults, subscribed))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await socket.send_str(json.dumps(_answer(json.loads(message.data), subscribed)))
        finally:
            pushing.cancel()
            await asyncio.gather(pushing, return_exceptions=True)
        return socket

    app = web.Application()
    app.router.add_get("/", serve)
    return app


def _answer(call: dict[str, Any], subscribed: dict[str, int]) -> dict[str, Any]:
    if call["method"] not in METHODS:
        return {"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": call["id"]}
    subscribed[call["method"]] = len(subscribed) + 1
    return {"jsonrpc": "2.0", "result": subscribed[call["method"]], "id": call["id"]}


async def _push(
    socket: web.WebSocketResponse, node: Node, rpc: Rpc, faults: Faults, subscribed: dict[str, int]
) -> None:
    seen = rpc.own_slot()
    while True:
        await asyncio.sleep(node.slot_ms / 1000 / 4)
        slot = rpc.own_slot()
        # Without --full-rpc-api subscriptions are taken, and nothing is ever pushed.
        if slot <= seen or not node.running() or faults.ws_silent:
            continue
        parent, seen = slot - 1, slot
        stamp = round(time.time() * 1000)
        for method, result in (
            ("slotsUpdates", {"type": "frozen", "slot": slot, "timestamp": stamp, "stats": {}}),
            ("slot", {"slot": slot, "parent": parent, "root": slot - 32}),
        ):
            if number := subscribed.get(f"{method}Subscribe"):
                params = {"result": result, "subscription": number}
                await socket.send_str(
                    json.dumps({"jsonrpc": "2.0", "method": f"{method}Notification", "params": params})
                )
