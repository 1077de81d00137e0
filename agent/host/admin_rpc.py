"""The validator's admin socket: JSON-RPC 2.0 on a Unix socket that only its own user may open (facts: agave 1.1).

A fresh connection for each call: the server answers a connection's calls out of order, and a call that hangs
must not hold another up.
"""

import asyncio
import json
from itertools import count
from pathlib import Path
from typing import Any

from agent.line_rpc import NO_ANSWER, NOT_LISTED
from common.semver import Version

CALL_SECONDS = 5.0
MAX_ANSWER = 4 * 1024 * 1024
UNKNOWN_METHOD, BAD_PARAMS = -32601, -32602

_ids = count(1)


class AdminError(Exception):
    """A call that did not succeed; `reason` is stable, the message is for people."""

    def __init__(self, reason: str, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.code = code


class AdminRpc:
    """Calls the admin socket of one validator.

    Args:
        path: the socket, `<ledger>/admin.rpc` or that of the helper that stands before it.
    """

    def __init__(self, path: Path, *, call_s: float = CALL_SECONDS) -> None:
        self.path = path
        self._call_s = call_s

    async def call(self, method: str, *params: Any, within_s: float | None = None) -> Any:
        """Call a method and give its result.

        Args:
            within_s: seconds that it may take, where that is not the usual.

        Raises: AdminError ADMIN_UNREACHABLE, ADMIN_TIMEOUT, ADMIN_METHOD_UNKNOWN (another version, or not let
            through by the helper), NOT_ON_ALLOWLIST (the helper, by root's list), ADMIN_NOT_READY (the node is still
            starting), ADMIN_REFUSED, ADMIN_GARBLED.
        """
        limit_s = self._call_s if within_s is None else within_s
        try:
            async with asyncio.timeout(limit_s):
                return await self._exchange(method, params)
        except TimeoutError:
            raise AdminError("ADMIN_TIMEOUT", f"the admin socket did not answer {method} in {limit_s:g} s") from None
        except OSError as error:
            why = error.strerror or str(error)
            raise AdminError("ADMIN_UNREACHABLE", f"the admin socket {self.path} cannot be used: {why}") from None

    async def _exchange(self, method: str, params: tuple[Any, ...]) -> Any:
        ident = next(_ids)
        reader, writer = await asyncio.open_unix_connection(str(self.path), limit=MAX_ANSWER)
        try:
            asked = {"jsonrpc": "2.0", "id": ident, "method": method, "params": list(params)}
            writer.write(json.dumps(asked).encode() + b"\n")
            await writer.drain()
            while True:
                line = await reader.readline()
                if not line:
                    raise AdminError("ADMIN_GARBLED", f"the admin socket closed without an answer to {method}")
                answer = _decoded(line)
                # What answers somebody else's call is not ours to read.
                if answer.get("id") == ident:
                    return _result(method, answer)
        except ValueError:
            raise AdminError("ADMIN_GARBLED", f"the answer to {method} is over {MAX_ANSWER} bytes") from None
        finally:
            writer.close()

    async def reachable(self) -> bool:
        """Whether anybody answers."""
        try:
            await self.call("startTime")
        except AdminError as error:
            return error.reason not in ("ADMIN_UNREACHABLE", "ADMIN_TIMEOUT", "ADMIN_GARBLED")
        return True


def set_identity_params(version: Version | None, path: str, *, require_tower: bool) -> list[Any]:
    """Give `setIdentity` its parameters: two up to 4.1, three from 4.2; arity is strict both ways (agave 0)."""
    return [path, require_tower] if version and version < Version(4, 2, 0) else [path, require_tower, True]


def _decoded(line: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        raise AdminError("ADMIN_GARBLED", "the admin socket answered with what is not JSON") from None
    if not isinstance(answer, dict):
        raise AdminError("ADMIN_GARBLED", "the admin socket answered with what is not an object")
    return answer


def _result(method: str, answer: dict[str, Any]) -> Any:
    error = answer.get("error")
    if not isinstance(error, dict):
        return answer.get("result")
    code, message = error.get("code"), str(error.get("message", ""))[:500]
    if code == UNKNOWN_METHOD:
        reason = "ADMIN_METHOD_UNKNOWN"
    elif code == NO_ANSWER:
        # The helper's word: it is there, and the validator behind it is not.
        reason = "ADMIN_UNREACHABLE"
    elif code == NOT_LISTED:
        reason = "NOT_ON_ALLOWLIST"
    elif "start up is complete" in message or "snapshot_controller unavailable" in message:
        reason = "ADMIN_NOT_READY"
    else:
        reason = "ADMIN_REFUSED"
    raise AdminError(reason, f"{method}: {message}", code if isinstance(code, int) else 0)
