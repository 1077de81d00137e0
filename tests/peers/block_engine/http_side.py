"""The HTTP half: JSON-RPC, the tip floor and its stream, and the chain's own JSON-RPC at /rpc."""

from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from tests.peers.block_engine.judge import PARAMS, Refused, decode
from tests.peers.block_engine.region import RETRY_KEY, Region

MOST_IDS = 5
# SOL, as Jito's documentation shows it of 2024-09-01.
FLOOR = {
    "landed_tips_25th_percentile": 6.001e-06, "landed_tips_50th_percentile": 1e-05,
    "landed_tips_75th_percentile": 3.62e-05, "landed_tips_95th_percentile": 0.00145,
    "landed_tips_99th_percentile": 0.01, "ema_landed_tips_50th_percentile": 9.836e-06,
}  # fmt: skip


class Http:
    """Serves one region.

    Attributes:
        floor: percentiles of landed tips, in SOL.
        new_dates: dates with "+00:00", as of 2026; else with "Z".
        as_strings: numbers are strings.
        streams: times that the tip stream was opened.
        floors_asked: times that the floor was asked for.
    """

    def __init__(self, region: Region) -> None:
        self._region = region
        self.floor = dict(FLOOR)
        self.new_dates = self.as_strings = False
        self.stream_period_s = 0.2
        # Frames that are sent in place of the floor, as they are; and whether nothing is sent, or nobody let in.
        self.stream_frames: list[str] = []
        self.stream_silent = self.stream_refused = False
        self.streams = self.floors_asked = 0

    def app(self) -> web.Application:
        made = web.Application()
        for path in ("bundles", "getBundleStatuses", "getInflightBundleStatuses", "getTipAccounts", "transactions"):
            made.router.add_post(f"/api/v1/{path}", self._call)
        made.router.add_get("/api/v1/bundles/tip_floor", self._tip_floor)
        made.router.add_get("/api/v1/bundles/tip_stream", self._tip_stream)
        made.router.add_post("/rpc", self._rpc)
        return made

    async def _call(self, request: web.Request) -> web.Response:
        ident: Any = None
        try:
            asked = await request.json()
            ident = asked.get("id")
            if uuid := request.headers.get("x-jito-auth", ""):
                self._region.uuids.append(("http", uuid))
            if self._region.faults.uuid not in ("", uuid):
                raise Refused("Unauthorized", -32600, 401)
            await self._region.trouble()
            self._region.count(request.remote or "", asked["method"])
            result, headers = await self._result(request, asked["method"], asked.get("params") or [])
        except Refused as refused:
            return _refusal(refused, ident)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return _refusal(Refused("Invalid params", PARAMS), ident)
        return web.json_response({"jsonrpc": "2.0", "result": result, "id": ident}, headers=headers)

    async def _result(self, request: web.Request, method: str, params: list[Any]) -> tuple[Any, dict[str, str]]:
        region = self._region
        context = {"slot": region.world.slot}
        if method == "sendBundle":
            return await region.submit(decode(params[0], _encoding(params))), {}
        if method == "sendTransaction":
            raw = decode([params[0]], _encoding(params))
            ident = await region.submit(raw)
            headers = {"x-bundle-id": ident} if request.query.get("bundleOnly") == "true" else {}
            return region.states[ident][3][0], headers
        if method == "getTipAccounts":
            return region.tip_accounts(), {}
        if method in ("getBundleStatuses", "getInflightBundleStatuses"):
            if len(params[0]) > MOST_IDS:
                raise Refused(f"exceeded maximum number of bundle ids, {MOST_IDS}")
            if method == "getInflightBundleStatuses":
                return {"context": context, "value": [region.inflight(one) for one in params[0]]}, {}
            found = [region.status(one) for one in params[0]]
            # Of an unknown one the documentation says null, and the engine says nothing.
            return {"context": context, "value": [one for one in found if one]}, {}
        raise Refused("Method not found", -32601, 404)

    def _tips(self) -> list[dict[str, Any]]:
        stamp = datetime.now(UTC).isoformat(timespec="seconds")
        told: dict[str, Any] = {"time": stamp if self.new_dates else stamp.replace("+00:00", "Z")}
        return [told | {name: str(value) if self.as_strings else value for name, value in self.floor.items()}]

    async def _tip_floor(self, request: web.Request) -> web.Response:
        self.floors_asked += 1
        return web.json_response(self._tips())

    async def _tip_stream(self, request: web.Request) -> web.StreamResponse:
        self.streams += 1
        if self.stream_refused:
            return web.Response(status=503)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        while not socket.closed:
            if self.stream_frames:
                await socket.send_str(self.stream_frames.pop(0))
            elif not self.stream_silent:
                await socket.send_json(self._tips())
            try:
                await socket.receive(timeout=self.stream_period_s)
            except TimeoutError:
                continue
        return socket

    async def _rpc(self, request: web.Request) -> web.Response:
        asked = await request.json()
        found = self._region.world.answer(asked["method"], asked.get("params") or [])
        reply = {"result": found} if found is not None else {"error": {"code": -32601, "message": "Method not found"}}
        return web.json_response({"jsonrpc": "2.0", "id": asked["id"], **reply})


def _encoding(params: list[Any]) -> str:
    # base58 is deprecated, and the default all the same.
    return str(params[1].get("encoding", "base58")) if len(params) > 1 and params[1] else "base58"


def _refusal(refused: Refused, ident: Any) -> web.Response:
    if not refused.code:
        return web.Response(status=refused.status, text=refused.message)
    data = {RETRY_KEY: refused.wait_ms} if refused.wait_ms is not None else None
    headers = {RETRY_KEY: str(refused.wait_ms)} if refused.wait_ms is not None else {}
    error = {"code": refused.code, "message": refused.message, "data": data}
    body = {"jsonrpc": "2.0", "error": error, "id": None if refused.nameless else ident}
    return web.json_response(body, status=refused.status, headers=headers)
