"""One JSON-RPC method of a node: called, timed, judged, and left alone where the node does not offer it."""

import asyncio
import json
import random
from time import monotonic
from typing import Any, Final

import msgspec

from agent.probes.base import Series, Sink
from agent.probes.http1 import Answer, HttpTarget
from agent.probes.http1_reader import InvalidAnswer, TooLarge
from agent.probes.rpc_methods import NOT_OFFERED, SLOT_DEPTH, RpcMethod, filled, fine_codes, params_of, wants_slot

MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
_DECODE_WHOLE_BYTES: Final = 64 * 1024
_JSONRPC_CODES: Final = range(-32_800, -31_999)
# A node that is told to start with more methods is asked again for those it did not offer.
_OFFERED_AGAIN_S: Final = 600.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 120.0
_NOT_OFFERED: Final = frozenset(f"jsonrpc_{code}" for code in NOT_OFFERED)
# Proxies put HTTP's 429 into a JSON-RPC error as well.
_TOO_MANY: Final = frozenset({"http_429", "jsonrpc_429"})


class _Error(msgspec.Struct):
    code: int


class _Answer(msgspec.Struct):
    jsonrpc: str
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: _Error | None = None


class _Slot(msgspec.Struct):
    result: int


_decode = msgspec.json.Decoder(_Answer).decode
_decode_slot = msgspec.json.Decoder(_Slot).decode


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
        known = answer.error.code in _JSONRPC_CODES or answer.error.code == 429
        return f"jsonrpc_{answer.error.code}" if known else "jsonrpc_other"
    return "invalid" if answer.result is msgspec.UNSET or answer.jsonrpc != "2.0" else None


async def exchange(http: HttpTarget, request: bytes, timeout_s: float, limit: int) -> tuple[str | None, Answer | None]:
    """Make one call.

    Args:
        http: the node.
        request: what `http.request` made.
        timeout_s: seconds that it may take.
        limit: the most bytes of an answer that are held.

    Returns: the class of the failure, if it failed, and what was answered, if anything was.
    """
    try:
        async with asyncio.timeout(timeout_s):
            answer = await http.post(request, limit)
    except TimeoutError:
        return "timeout", None
    except OSError:
        return "transport", None
    except TooLarge:
        return "too_large", None
    except InvalidAnswer:
        return "invalid", None
    return (f"http_{answer.status}" if answer.status != 200 else error_class(answer.body)), answer


def slot_of(body: bytes) -> int | None:
    """Read the slot that getSlot answered; None where it is no number."""
    try:
        return _decode_slot(body).result
    except msgspec.DecodeError:
        return None


_NODE_SLOT = Series.of("solana_rpc_slot")


class NodeState:
    """What the calls of one node share: its newest slot, and whether it asked for fewer calls.

    Args:
        tells_slot: record the slot that getSlot answers: nobody else does.
    """

    def __init__(self, *, tells_slot: bool = False) -> None:
        self.slot = 0
        self.tells_slot = tells_slot
        self._quiet_until = 0.0
        self._pause_s = _FIRST_PAUSE_S

    @property
    def quiet(self) -> bool:
        """Whether the node is left alone now."""
        return monotonic() < self._quiet_until

    def throttled(self, retry_after_s: float | None) -> None:
        """Leave the node alone: as long as it says, else longer each time."""
        if self.quiet:
            return
        wait_s = self._pause_s if retry_after_s is None else min(retry_after_s, _LONGEST_PAUSE_S)
        self._pause_s = min(_LONGEST_PAUSE_S, self._pause_s * 2)
        self._quiet_until = monotonic() + wait_s * random.uniform(1.0, 1.2)  # noqa: S311

    def answered(self) -> None:
        """The node takes calls again."""
        self._pause_s = _FIRST_PAUSE_S


class Call:
    """One method of a node.

    Args:
        http: the node.
        method: what is called.
        timeout_s: seconds to wait, unless the method has its own.
        node: shared by all calls of the node.
        sink: where readings go.

    Raises:
        ValueError: the method is not probed, or not so.
    """

    def __init__(self, http: HttpTarget, method: RpcMethod, timeout_s: float, node: NodeState, sink: Sink) -> None:
        self.name, self.period_s = method.name, method.period_seconds
        self._http, self._node, self._sink = http, node, sink
        self._timeout_s = method.timeout_seconds or timeout_s
        self._params = params_of(method.name, method.params, method.commitment)
        self._fine = frozenset(f"jsonrpc_{code}" for code in fine_codes(method.name))
        self._request = None if wants_slot(self._params) else self._encode(self._params)
        self._offered_again = 0.0
        self._latency = Series.of("solana_rpc_latency_seconds", method=method.name)
        self._requests = Series.counting("solana_rpc_requests", method=method.name)
        self._skipped = Series.counting("solana_rpc_skipped", method=method.name)
        self._not_offered = Series.of("solana_rpc_not_offered", method=method.name)

    def skip(self) -> None:
        """Count a turn that was not taken."""
        self._sink.sample(self._skipped, 1.0)

    async def measure(self) -> None:
        """Make the call, unless it cannot or should not be made now, and record how it went."""
        if monotonic() < self._offered_again:
            self._sink.sample(self._not_offered, 1.0)
            return
        if self._node.quiet or (self._request is None and not self._node.slot):
            self.skip()
            return
        failure = await self._outcome()
        if failure in _NOT_OFFERED and failure not in self._fine:
            # Not a failure of the node: it was started without this method.
            self._offered_again = monotonic() + _OFFERED_AGAIN_S
            self._sink.sample(self._not_offered, 1.0)
            return
        self._sink.sample(self._requests, 1.0)
        if failure is not None and failure not in self._fine:
            series = Series.counting("solana_rpc_errors", **{"method": self.name, "class": failure})
            self._sink.sample(series, 1.0)

    async def _outcome(self) -> str | None:
        request = self._request or self._encode(filled(self._params, max(0, self._node.slot - SLOT_DEPTH)))
        failure, answer = await exchange(self._http, request, self._timeout_s, MAX_ANSWER_BYTES)
        if answer is None:
            return failure
        if failure in _TOO_MANY:
            self._node.throttled(answer.retry_after_s)
        elif answer.status == 200 and failure != "invalid":
            self._node.answered()
            if failure not in _NOT_OFFERED:
                self._sink.sample(self._latency, answer.seconds)
            if failure is None and self.name == "getSlot":
                self._node.slot = slot_of(answer.body) or 0
                if self._node.tells_slot and self._node.slot:
                    self._sink.sample(_NODE_SLOT, float(self._node.slot))
        return failure

    def _encode(self, params: list[Any]) -> bytes:
        call = {"jsonrpc": "2.0", "id": 1, "method": self.name, "params": params}
        return self._http.request(json.dumps(call, separators=(",", ":")).encode())
