"""Time the JSON-RPC methods of a node, each once a period, and a fresh connection to it.

Series: `solana_rpc_latency_seconds{method}` from the first byte sent to the last received, for each call that
got a JSON-RPC answer (an error is an answer); `solana_rpc_requests{method}` = 1 for each call that ended;
`solana_rpc_errors{method,class}` = 1 with the class `transport`, `timeout`, `http_<status>`, `jsonrpc_<code>`
(`jsonrpc_other` for a code outside JSON-RPC's range), `too_large` or `invalid`; `solana_rpc_skipped{method}` = 1
when the last call was still in flight; and `solana_rpc_connect_seconds`, `solana_rpc_connect_errors{class}` or
`solana_rpc_connect_skipped`.
"""

import asyncio
import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final

import msgspec

from agent.probes.base import Series, Sink
from agent.probes.http1 import HttpTarget, InvalidAnswer, TooLarge

MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
_DECODE_WHOLE_BYTES: Final = 64 * 1024
_JSONRPC_CODES: Final = range(-32_800, -31_999)


@dataclass(frozen=True)
class RpcMethod:
    """A JSON-RPC method and the parameters to call it with."""

    name: str
    params: Sequence[Any] = ()


@dataclass(frozen=True)
class RpcTarget:
    """What to probe: the node's URL, the methods, seconds between two calls of one, and seconds to wait."""

    url: str
    methods: tuple[RpcMethod, ...]
    period_s: float = 1.0
    timeout_s: float = 5.0


class _Error(msgspec.Struct):
    code: int


class _Answer(msgspec.Struct):
    jsonrpc: str
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: _Error | None = None


_decode = msgspec.json.Decoder(_Answer).decode


def error_class(body: bytes) -> str | None:
    """Judge a response body: None for a result, else `jsonrpc_<code>` or `invalid`.

    Large bodies are only scanned, unless they hold the word "error", since parsing megabytes each second
    would cost more than all the rest of the probe.
    """
    if len(body) > _DECODE_WHOLE_BYTES and b'"error"' not in body:
        whole = body.startswith(b"{") and body.rstrip().endswith(b"}") and b'"result"' in body
        return None if whole else "invalid"
    try:
        answer = _decode(body)
    except (msgspec.DecodeError, RecursionError):
        return "invalid"
    if answer.error is not None:
        # A label's values must be few, whatever a server sends.
        return f"jsonrpc_{answer.error.code}" if answer.error.code in _JSONRPC_CODES else "jsonrpc_other"
    return "invalid" if answer.result is msgspec.UNSET or answer.jsonrpc != "2.0" else None


class _Call:
    """One method of the target: its encoded request and its series."""

    def __init__(self, http: HttpTarget, method: RpcMethod, timeout_s: float, sink: Sink) -> None:
        call = {"jsonrpc": "2.0", "id": 1, "method": method.name, "params": list(method.params)}
        self._http, self._timeout_s, self._sink = http, timeout_s, sink
        self._request = http.request(json.dumps(call, separators=(",", ":")).encode())
        self._method = method.name
        self._latency = Series.of("solana_rpc_latency_seconds", method=method.name)
        self._requests = Series.counting("solana_rpc_requests", method=method.name)
        self.skipped = Series.counting("solana_rpc_skipped", method=method.name)

    async def measure(self) -> None:
        """Make the call and record how it went."""
        failure = await self._outcome()
        self._sink.sample(self._requests, 1.0)
        if failure is not None:
            series = Series.counting("solana_rpc_errors", **{"method": self._method, "class": failure})
            self._sink.sample(series, 1.0)

    async def _outcome(self) -> str | None:
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._http.post(self._request, MAX_ANSWER_BYTES)
        except TimeoutError:
            return "timeout"
        except OSError:
            return "transport"
        except TooLarge:
            return "too_large"
        except InvalidAnswer:
            return "invalid"
        if answer.status != 200:
            return f"http_{answer.status}"
        failure = error_class(answer.body)
        if failure != "invalid":
            self._sink.sample(self._latency, answer.seconds)
        return failure


class _Connect:
    """Times a fresh connection to the target, on a socket of its own that is closed at once."""

    def __init__(self, http: HttpTarget, timeout_s: float, sink: Sink) -> None:
        self._http, self._timeout_s, self._sink = http, timeout_s, sink
        self._seconds = Series.of("solana_rpc_connect_seconds")
        self.skipped = Series.of("solana_rpc_connect_skipped")

    async def measure(self) -> None:
        """Connect and record how it went; the look-up of the name is not counted."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._http.resolve()
                begun = perf_counter()
                wire = await self._http.connect()
                self._sink.sample(self._seconds, perf_counter() - begun)
                wire.close()
        except TimeoutError:
            self._failed("timeout")
        except OSError:
            self._failed("transport")

    def _failed(self, kind: str) -> None:
        self._sink.sample(Series.counting("solana_rpc_connect_errors", **{"class": kind}), 1.0)


class RpcProbe:
    """Probes one node's JSON-RPC.

    Args:
        target: what to call, and when.
        tls: a context for https targets; by default the system's authorities are trusted.

    Raises:
        ValueError: for a URL that is not http or https.
    """

    name = "rpc"

    def __init__(self, target: RpcTarget, tls: ssl.SSLContext | None = None) -> None:
        HttpTarget(target.url, tls)  # so that a bad URL is refused now, and not in `run`
        self._target = target
        self._tls = tls

    async def run(self, sink: Sink) -> None:
        """Probe until cancelled."""
        target = self._target
        http = HttpTarget(target.url, self._tls)
        calls: list[_Call | _Connect] = [_Call(http, one, target.timeout_s, sink) for one in target.methods]
        calls.append(_Connect(http, target.timeout_s, sink))
        try:
            async with asyncio.TaskGroup() as group:
                await _in_turn(calls, target.period_s, group, sink)
        finally:
            http.close()


async def _in_turn(calls: Sequence[_Call | _Connect], period_s: float, group: asyncio.TaskGroup, sink: Sink) -> None:
    """Start each call once a period, evenly staggered, on a schedule that does not drift.

    A call that is still in flight is skipped and counted. After the process was suspended the turns that it
    missed are dropped.
    """
    loop = asyncio.get_running_loop()
    step = period_s / len(calls)
    running: list[asyncio.Task[None] | None] = [None] * len(calls)
    begun, turn = loop.time(), 0
    while True:
        wait = begun + turn * step - loop.time()
        if wait > 0:
            await asyncio.sleep(wait)
        elif wait < -period_s:
            turn += int(-wait / step)
        index = turn % len(calls)
        last = running[index]
        if last is None or last.done():
            running[index] = group.create_task(calls[index].measure())
        else:
            sink.sample(calls[index].skipped, 1.0)
        turn += 1
