"""`python -m tests.bench.ws_plain PORT KEY CHAIN BYTES`: aiohttp alone, which sends everybody a frame a second."""

import asyncio
import datetime as dt
import json
import ssl
import sys

import uvloop
from aiohttp import web


async def main() -> None:
    """Serve until ended."""
    port, key, chain, size = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    sockets: set[web.WebSocketResponse] = set()

    async def serve(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        sockets.add(ws)
        async for _ in ws:
            pass
        sockets.discard(ws)
        return ws

    app = web.Application()
    app.router.add_get("/api/rpc/ws", serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(chain, key)
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls, backlog=4096).start()
    while True:
        await asyncio.sleep(1.0)
        time = dt.datetime.now(dt.UTC).isoformat().replace("+00:00", "Z")
        frame = json.dumps({"time": time, "padding": "x" * (size - 60)}, separators=(",", ":"))
        await asyncio.gather(*(ws.send_str(frame) for ws in sockets), return_exceptions=True)


if __name__ == "__main__":
    uvloop.run(main())
