"""`solward-agent admin-helper`: stands before a validator's admin socket and passes only what root listed.

The validator's own socket is for its user alone (mode 0600), and whoever may open it may do anything. So this helper
runs as that user, with everything else dropped, and the agent, as another user, speaks to it on a socket of its own.
"""

import asyncio
import json
import os
import socket
from pathlib import Path
from typing import Any

import structlog

from agent.allowlist import Allowlist
from agent.host.admin_rpc import UNKNOWN_METHOD, AdminError, AdminRpc
from common import sdnotify

log = structlog.get_logger(__name__)

MAX_REQUEST = 64 * 1024
# A client that says nothing for so long is let go.
IDLE_SECONDS = 30.0
MOST_CLIENTS = 16
# The first descriptor that systemd hands over (sd_listen_fds(3)).
_FIRST_FD = 3
_BAD_REQUEST, _NO_ANSWER, _PARSE_ERROR = -32600, -32000, -32700
# Methods whose parameter is a path that the validator opens: each must be a file that root listed.
_PATHS = frozenset({"addAuthorizedVoter"})


class Refused(Exception):
    """A request that is not passed on, with its JSON-RPC code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class AdminHelper:
    """Answers requests from the validator's socket if root's allowlist names their method."""

    def __init__(self, ledger: Path, allowlist: Allowlist) -> None:
        self._admin = AdminRpc(ledger / "admin.rpc")
        self._allowlist = allowlist
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
        """Answer one request; what is passed on is written anew, so that nobody reads it otherwise than we did."""
        ident: Any = None
        try:
            asked = _parsed(line)
            ident = asked.get("id")
            method, params = self._allowed(asked)
            return {"jsonrpc": "2.0", "result": await self._admin.call(method, *params), "id": ident}
        except Refused as refused:
            log.warning("request refused", why=str(refused))
            return _error(refused.code, str(refused), ident)
        except AdminError as error:
            return _error(error.code or _NO_ANSWER, error.message, ident)

    def _allowed(self, asked: dict[str, Any]) -> tuple[str, list[Any]]:
        method, params = asked.get("method"), asked.get("params", [])
        ident = asked.get("id")
        if asked.get("jsonrpc") != "2.0" or not isinstance(method, str) or not isinstance(params, list):
            raise Refused(_BAD_REQUEST, "Invalid request")
        if not isinstance(ident, str | int) or isinstance(ident, bool):
            raise Refused(_BAD_REQUEST, "Invalid request: id")
        if method not in self._allowlist.admin:
            raise Refused(UNKNOWN_METHOD, f"Method not found: {method[:64]} is not on this host's allowlist")
        if method in _PATHS and not set(map(str, params)) <= set(self._allowlist.voters):
            raise Refused(_BAD_REQUEST, "a path that is not on this host's allowlist")
        return method, params


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


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(line)
    except (ValueError, RecursionError):
        raise Refused(_PARSE_ERROR, "Parse error: one JSON object a line") from None
    if not isinstance(asked, dict):
        raise Refused(_BAD_REQUEST, "Invalid request: one JSON object a line")
    return asked


def _error(code: int, message: str, ident: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "error": {"code": code, "message": message}, "id": ident}
