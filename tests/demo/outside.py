"""The demo's view from outside the fleet: one RPC in front of a validator and of the chain that bundles land on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

_OF_THE_CHAIN = ("getEpochInfo", "isBlockhashValid", "getLatestBlockhash", "getSignatureStatuses", "simulateBundle")


@asynccontextmanager
async def outside_rpc(validator: str, chain: str) -> AsyncIterator[str]:
    """Serve it; gives its URL.

    Args:
        validator: answers what is asked of the cluster.
        chain: answers what is asked of transactions.
    """
    async with aiohttp.ClientSession() as session:

        async def answer(request: web.Request) -> web.Response:
            asked = await request.json()
            url = chain if isinstance(asked, dict) and asked.get("method") in _OF_THE_CHAIN else validator
            async with session.post(url, json=asked) as reply:
                return web.json_response(await reply.json(), status=reply.status)

        app = web.Application()
        app.router.add_post("/", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()
