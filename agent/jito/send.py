"""One try to send a bundle: by gRPC, or by JSON-RPC as the second way."""

import asyncio
import base64
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import grpc
import msgspec
from jito import bundle_pb2, packet_pb2, searcher_pb2

from agent.jito.channel import ours_alone
from agent.jito.region import Region
from agent.jito.verdicts import RETRY_AFTER_KEY, SendFailed, Verdict, of_grpc, of_json, unreachable
from agent.probes.http1 import HttpTarget
from agent.probes.http1_reader import InvalidAnswer, TooLarge
from common.breaker import BreakerOpen
from common.clock import now_ms

Way = Literal["grpc", "http"]
_MAX_ANSWER_BYTES = 64 * 1024


class Ack(NamedTuple):
    """A region has the bundle: the id that it gave, and when."""

    ident: str
    unix_ms: int
    waited_s: float


class _Error(msgspec.Struct):
    code: int
    message: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Answer(msgspec.Struct):
    result: str | None = None
    error: _Error | None = None


_decode = msgspec.json.Decoder(_Answer).decode


async def send(
    region: Region,
    transactions: Sequence[bytes],
    way: Way,
    timeout_s: float,
    begun: Callable[[], None],
    *,
    urgent: bool = True,
) -> Ack:
    """Send a bundle once, when the region's limit lets it.

    Args:
        timeout_s: seconds that the answer may take, once it is sent.
        begun: called when its turn has come, just before it goes.
        urgent: it goes before all that is not.

    Raises: SendFailed.
    """
    try:
        region.breaker.before()
    except BreakerOpen as error:
        raise SendFailed(unreachable(str(error), "no")) from None
    # Cancelled on the way, the breaker lets another pass in its own time.
    waited_s = await region.gate.enter(urgent=urgent)
    begun()
    try:
        ident = await (_by_grpc if way == "grpc" else _by_http)(region, transactions, timeout_s)
    except SendFailed as failed:
        _note(region, failed.verdict)
        raise
    region.breaker.succeeded()
    region.gate.limiter.answered()
    return Ack(ident, now_ms(), waited_s)


def _note(region: Region, verdict: Verdict) -> None:
    if verdict.reason in ("REGION_UNAVAILABLE", "REGION_SILENT"):
        region.breaker.failed()
        return
    # It answered.
    region.breaker.succeeded()
    if verdict.limited:
        region.over_limit(verdict.wait_s)
    elif verdict.reason == "AUTH_REFUSED":
        region.auth.refused()


async def _by_grpc(region: Region, transactions: Sequence[bytes], timeout_s: float) -> str:
    packets = [packet_pb2.Packet(data=raw, meta=packet_pb2.Meta(size=len(raw))) for raw in transactions]
    request = searcher_pb2.SendBundleRequest(bundle=bundle_pb2.Bundle(packets=packets))
    channel = region.channel.channel
    try:
        metadata = await region.auth.metadata()
    except grpc.aio.AioRpcError as error:
        # Nothing was sent yet, whatever became of the handshake.
        raise SendFailed(of_grpc(error)._replace(received="no")) from None
    try:
        with ours_alone():
            return (await region.searcher().SendBundle(request, metadata=metadata, timeout=timeout_s)).uuid
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            region.channel.renew(channel)
        raise SendFailed(of_grpc(error)) from None


async def _by_http(region: Region, transactions: Sequence[bytes], timeout_s: float) -> str:
    encoded = [base64.b64encode(raw).decode() for raw in transactions]
    # Without the options the engine takes the text for base58.
    params = [encoded, {"encoding": "base64"}]
    body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": "sendBundle", "params": params})
    return await _post(region.http, region.http.request(body), timeout_s)


async def _post(http: HttpTarget, request: bytes, timeout_s: float) -> str:
    try:
        async with asyncio.timeout(timeout_s):
            answer = await http.post(request, _MAX_ANSWER_BYTES)
    except TimeoutError:
        raise SendFailed(Verdict("REGION_SILENT", "no answer in time", True, received="maybe")) from None
    except ConnectionRefusedError as error:
        raise SendFailed(unreachable(str(error), "no")) from None
    except (OSError, InvalidAnswer, TooLarge) as error:
        raise SendFailed(unreachable(str(error), "maybe")) from None
    hint_ms = answer.retry_after_s * 1000 if answer.retry_after_s is not None else None
    try:
        # An error of HTTP holds JSON-RPC's own, which says more.
        said = _decode(answer.body)
    except (msgspec.DecodeError, RecursionError):
        raise SendFailed(of_json(answer.status, None, "", hint_ms)) from None
    if said.error:
        hint_ms = hint_ms if hint_ms is not None else _hint_of(said.error.data)
        raise SendFailed(of_json(answer.status, said.error.code, said.error.message, hint_ms))
    if answer.status != 200 or not said.result:
        raise SendFailed(of_json(answer.status, None, "", hint_ms))
    return said.result


def _hint_of(data: msgspec.Raw) -> float | None:
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None
    hint = found.get(RETRY_AFTER_KEY) if isinstance(found, dict) else None
    return float(hint) if isinstance(hint, int) and not isinstance(hint, bool) and 0 <= hint < 10**9 else None
