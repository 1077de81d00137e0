"""The faults of the validator peer, set by flags at start or over a control port at run time."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from aiohttp import web

ALL = "*"


@dataclass
class Faults:
    """What the peer does wrong now. Keys of the per-method maps are method names, or "*" for all."""

    latency_ms: dict[str, float] = field(default_factory=dict)
    error_code: dict[str, int] = field(default_factory=dict)
    http_status: dict[str, int] = field(default_factory=dict)
    hang: list[str] = field(default_factory=list)
    behind_slots: int = 0
    delinquent_percent: float = 0.0
    makes_snapshots: bool = True
    exit_delay_s: float = 0.1
    # Subscriptions are taken and nothing is pushed.
    ws_silent: bool = False
    # Slots that it has no shreds of until a peer is asked; and those of them that no peer has either.
    missing: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    # Why a plugin does not start; and the method of the admin socket that ends the whole validator.
    plugin_fails: str = ""
    plugin_dies: str = ""

    def latency_s(self, method: str) -> float:
        """Seconds to hold the answer of a method."""
        return self.latency_ms.get(method, self.latency_ms.get(ALL, 0.0)) / 1000

    def code(self, method: str) -> int | None:
        """The JSON-RPC error to answer with, if any."""
        return self.error_code.get(method, self.error_code.get(ALL))

    def status(self, method: str) -> int | None:
        """The HTTP status to refuse with, if any."""
        return self.http_status.get(method, self.http_status.get(ALL))

    def hangs(self, method: str) -> bool:
        """Whether the method is never answered."""
        return method in self.hang or ALL in self.hang

    def as_json(self) -> dict[str, Any]:
        """The faults as the control port shows them."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def update(self, wanted: dict[str, Any]) -> None:
        """Set the named faults and leave the others; null clears one.

        A bare value for a per-method map means all methods; `hang` also takes true or false.

        Raises:
            ValueError: for a fault that does not exist; nothing is changed then.
        """
        names = {one.name for one in fields(self)}
        unknown = set(wanted) - names
        if unknown:
            raise ValueError(f"no such fault: {', '.join(sorted(unknown))}")
        fresh = Faults()
        for name, value in wanted.items():
            setattr(self, name, getattr(fresh, name) if value is None else _shape(name, value))


def _shape(name: str, value: Any) -> Any:
    if name in ("latency_ms", "error_code", "http_status"):
        return value if isinstance(value, dict) else {ALL: value}
    if name == "hang":
        if isinstance(value, bool):
            return [ALL] if value else []
        return [value] if isinstance(value, str) else list(value)
    return value


def control_app(faults: Faults, crash: Callable[[], None], seen: Callable[[], dict[str, Any]]) -> web.Application:
    """Build the control port: GET, POST and DELETE /faults; a POST with {"crash": true} kills the peer now.

    GET /seen shows what was done to the node since it started.
    """

    async def show(_: web.Request) -> web.Response:
        return web.json_response(faults.as_json())

    async def change(request: web.Request) -> web.Response:
        wanted = await request.json()
        if wanted.pop("crash", False):
            crash()
            os._exit(1)
        try:
            faults.update(wanted)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response(faults.as_json())

    async def clear(_: web.Request) -> web.Response:
        faults.update(dict.fromkeys(faults.as_json()))
        return web.json_response(faults.as_json())

    async def done(_: web.Request) -> web.Response:
        return web.json_response(seen())

    app = web.Application()
    app.add_routes([web.get("/faults", show), web.post("/faults", change), web.delete("/faults", clear)])
    app.add_routes([web.get("/seen", done)])
    return app
