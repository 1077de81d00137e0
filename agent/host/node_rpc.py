"""The validator's own JSON-RPC over HTTP, for facts that an action needs (the probe times it; this one reads it)."""

import asyncio
import json
from typing import Any

from agent.probes.http1 import HttpTarget
from agent.probes.http1_reader import InvalidAnswer, TooLarge

CALL_SECONDS = 5.0
MAX_ANSWER = 16 * 1024 * 1024


class RpcError(Exception):
    """A call that did not succeed; `reason` is stable, the message is for people."""

    def __init__(self, reason: str, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.code = code


class NodeRpc:
    """Calls the JSON-RPC of one node.

    Args:
        url: http or https.
        call_s: seconds that one call may take.
    """

    def __init__(self, url: str, *, call_s: float = CALL_SECONDS) -> None:
        self._http = HttpTarget(url)
        self._call_s = call_s

    async def call(self, method: str, *params: Any) -> Any:
        """Call a method and give its result.

        Raises: RpcError RPC_UNREACHABLE, RPC_TIMEOUT, RPC_GARBLED, RPC_HTTP or RPC_REFUSED (with JSON-RPC's code).
        """
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        try:
            async with asyncio.timeout(self._call_s):
                answer = await self._http.post(self._http.request(body), MAX_ANSWER)
        except TimeoutError:
            raise RpcError("RPC_TIMEOUT", f"{method} was not answered in {self._call_s:g} s") from None
        except OSError as error:
            raise RpcError("RPC_UNREACHABLE", f"{method}: {error.strerror or error}") from None
        except (InvalidAnswer, TooLarge) as error:
            raise RpcError("RPC_GARBLED", f"{method}: {error}") from None
        if answer.status != 200:
            raise RpcError("RPC_HTTP", f"{method}: HTTP {answer.status}")
        return _result(method, answer.body)

    def close(self) -> None:
        """Close the kept connections."""
        self._http.close()


def _result(method: str, body: bytes) -> Any:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise RpcError("RPC_GARBLED", f"{method}: the answer is not JSON") from None
    if not isinstance(answer, dict):
        raise RpcError("RPC_GARBLED", f"{method}: the answer is not an object")
    error = answer.get("error")
    if isinstance(error, dict):
        code = error.get("code")
        message = str(error.get("message", ""))[:500]
        raise RpcError("RPC_REFUSED", f"{method}: {message}", code if isinstance(code, int) else 0)
    return answer.get("result")
