"""Live topics as server-sent events, for clients that only listen: one GET, and a frame is one event."""

import asyncio
import json
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

from controlplane.gateway import headers
from controlplane.gateway.live_access import Pass
from controlplane.gateway.live_socket import CLOSED, Owner, Socket

PATH = "/api/rpc/events"
# What a listener may send: nothing is asked for, but some send the end of their request late.
MOST_BYTES = 4_096


class EventSocket(Socket):
    """A client that is sent events; what it sends is not listened to."""

    __slots__ = ("_came",)

    @staticmethod
    def written(text: str) -> bytes:
        """Write a frame as an event; JSON in one line needs no other framing."""
        return b"data: " + text.encode() + b"\n\n"

    def __init__(self, transport: asyncio.Transport, access: Pass, owner: Owner, left: float) -> None:
        super().__init__(transport, access, owner, left)
        self._came = 0

    def greet(self, head: bytes) -> None:
        """Send the head of the answer, after which events come."""
        self._transport.write(head)

    def ping(self) -> None:
        """Send a comment; one that is there need not answer, and on one that is gone the kernel gives up."""
        if not self._transport.is_closing():
            self.heard = asyncio.get_running_loop().time()
            self._transport.write(b": still here\n\n")

    def close(self, code: int, words: str, *, deaf: bool = False) -> None:
        """Say why, and end."""
        if not self._transport.is_closing():
            CLOSED.labels(str(code)).inc()
            said = json.dumps({"code": code, "message": words}, separators=(",", ":"))
            self._transport.write(b"event: end\ndata: " + said.encode() + b"\n\n")
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Ignore it: there is nothing that it could ask for, and whoever sends much of it is cut off."""
        self._came += len(data)
        if self._came > MOST_BYTES:
            self.abort()


async def head_of(request: web.Request, more: dict[str, Any]) -> bytes:
    """Write the head of an answer that ends with its connection.

    Args:
        request: what is answered.
        more: headers besides those of every response.
    """
    response = web.Response(headers=CIMultiDict(more))
    await headers.harden(request, response)
    response.headers["Content-Type"], response.headers["Connection"] = "text/event-stream; charset=utf-8", "close"
    lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in response.headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()
