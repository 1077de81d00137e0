"""JSON-RPC 2.0, a request a line, on a Unix socket that systemd opened: what this host's helpers speak."""

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import structlog

from common import sdnotify

log = structlog.get_logger(__name__)

MAX_REQUEST = 64 * 1024
# A client that says nothing for so long is let go.
IDLE_SECONDS = 30.0
MOST_CLIENTS = 16
# The first descriptor that systemd hands over (sd_listen_fds(3)).
_FIRST_FD = 3
# NO_ANSWER: whoever stands behind the helper does not answer; REFUSED: the helper itself will not do it, and says why;
# NOT_LISTED: root of the host does not list it.
BAD_REQUEST, NO_ANSWER, REFUSED, NOT_LISTED, PARSE_ERROR = -32600, -32000, -32001, -32002, -32700


class Refused(Exception):
    """A request that is not carried out, with its JSON-RPC code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class LineRpc:
    """Serves one handler, which gives a method's result or raises Refused."""

    def __init__(self, handle: Callable[[str, list[Any]], Awaitable[Any]]) -> None:
        self._handle = handle
        self._clients = asyncio.Semaphore(MOST_CLIENTS)

    async def serve(self, listener: socket.socket) -> None:
        """Serve until cancelled."""
        server = await asyncio.start_unix_server(self._client, sock=listener, limit=MAX_REQUEST)
        sdnotify.notify("READY=1")
        async with server, asyncio.TaskGroup() as group:
            group.create_task(sdnotify.watchdog())
            await server.serve_forever()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with self._clients:
                while line := await self._line(reader):
                    writer.write(json.dumps(await self.answer(line)).encode() + b"\n")
                    await writer.drain()
        except (OSError, ValueError, TimeoutError) as error:
            log.info("a client was let go", why=type(error).__name__)
        finally:
            writer.close()

    async def _line(self, reader: asyncio.StreamReader) -> bytes:
        async with asyncio.timeout(IDLE_SECONDS):
            return await reader.readline()

    async def answer(self, line: bytes) -> dict[str, Any]:
        """Answer one request."""
        ident: Any = None
        try:
            asked = _parsed(line)
            ident = asked.get("id")
            method, params = _call(asked)
            return {"jsonrpc": "2.0", "result": await self._handle(method, params), "id": ident}
        except Refused as refused:
            log.warning("request refused", why=str(refused))
            return {"jsonrpc": "2.0", "error": {"code": refused.code, "message": str(refused)}, "id": ident}


def listening_socket(path: Path | None) -> socket.socket:
    """Take the socket that systemd opened for us, or open one at a path, for owner and group.

    Raises: OSError; ValueError where there is neither.
    """
    if os.environ.get("LISTEN_PID") == str(os.getpid()) and os.environ.get("LISTEN_FDS") == "1":
        return socket.socket(fileno=_FIRST_FD)
    if path is None:
        raise ValueError("start it by its socket unit, or give --socket")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        before = os.umask(0o117)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        listener.listen()
    except BaseException:
        listener.close()
        raise
    return listener


def _call(asked: dict[str, Any]) -> tuple[str, list[Any]]:
    method, params, ident = asked.get("method"), asked.get("params", []), asked.get("id")
    if asked.get("jsonrpc") != "2.0" or not isinstance(method, str) or not isinstance(params, list):
        raise Refused(BAD_REQUEST, "Invalid request")
    if not isinstance(ident, str | int) or isinstance(ident, bool):
        raise Refused(BAD_REQUEST, "Invalid request: id")
    return method, params


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(line)
    except (ValueError, RecursionError):
        raise Refused(PARSE_ERROR, "Parse error: one JSON object a line") from None
    if not isinstance(asked, dict):
        raise Refused(BAD_REQUEST, "Invalid request: one JSON object a line")
    return asked
