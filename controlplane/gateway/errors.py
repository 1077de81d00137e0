"""Errors over HTTP: the status of each gRPC code, and one JSON body for all of them."""

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
from google.protobuf import any_pb2, json_format
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from common.errors import STATUS_KEY, SolwardError, code_number, status_of

HTTP_STATUS = {
    0: 200,  # OK
    1: 499,  # CANCELLED
    2: 500,  # UNKNOWN
    3: 400,  # INVALID_ARGUMENT
    4: 504,  # DEADLINE_EXCEEDED
    5: 404,  # NOT_FOUND
    6: 409,  # ALREADY_EXISTS
    7: 403,  # PERMISSION_DENIED
    8: 429,  # RESOURCE_EXHAUSTED
    9: 400,  # FAILED_PRECONDITION
    10: 409,  # ABORTED
    11: 400,  # OUT_OF_RANGE
    12: 501,  # UNIMPLEMENTED
    13: 500,  # INTERNAL
    14: 503,  # UNAVAILABLE
    15: 500,  # DATA_LOSS
    16: 401,  # UNAUTHENTICATED
}
# After how long who cannot be answered may come again, in seconds.
SOON_S = "1"
# What gRPC itself says with these codes names addresses and exceptions of the inside: reason and words instead.
_OWN_WORDS = {
    grpc.StatusCode.UNKNOWN: ("CONTROL_PLANE_FAILED", "the control plane failed to answer"),
    grpc.StatusCode.INTERNAL: ("CONTROL_PLANE_FAILED", "the control plane failed to answer"),
    grpc.StatusCode.UNAVAILABLE: ("CONTROL_PLANE_DOWN", "the control plane cannot be reached"),
    grpc.StatusCode.DEADLINE_EXCEEDED: (
        "CALL_TIMED_OUT",
        "the call took longer than its time-out: give it more with Grpc-Timeout",
    ),
}


class GatewayError(SolwardError):
    """A request that the gateway itself refuses.

    Args:
        code: the gRPC status code.
        reason: stable, UPPER_SNAKE.
        message: what was wrong and what would be right.
        http_status: where it is not the one of `code`.
        headers: to send with it.
        field: the field that was wrong, where there is one.
        closes: end the connection after it: what follows on it cannot be told apart, or is not worth waiting for.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: str,
        message: str,
        *,
        http_status: int | None = None,
        headers: Mapping[str, str] | None = None,
        field: str = "",
        closes: bool = False,
    ) -> None:
        violations: Sequence[tuple[str, str]] = [(field, message)] if field else ()
        super().__init__(code, reason, message, {"field": field} if field else None, violations)
        self.http_status = http_status or HTTP_STATUS[code_number(code)]
        self.headers = dict(headers or {})
        self.closes = closes


def bad_request(message: str, field: str = "") -> GatewayError:
    """Say that a request cannot be read as its RPC's message.

    Args:
        message: what was wrong and what would be right.
        field: which field, where it is one.
    """
    return GatewayError(grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_MALFORMED", message, field=field)


def not_http() -> GatewayError:
    """Say that a request cannot be read as HTTP."""
    words = "this is no request of HTTP/1.1: its first line, a header or its framing cannot be read"
    return GatewayError(grpc.StatusCode.INVALID_ARGUMENT, "HTTP_MALFORMED", words, closes=True)


def expectation() -> GatewayError:
    """Say that a request expects what no server does."""
    words = "Expect may say 100-continue, and nothing else: send the body at once"
    return GatewayError(grpc.StatusCode.INVALID_ARGUMENT, "EXPECTATION_UNKNOWN", words, http_status=417)


def failed() -> GatewayError:
    """Say that the gateway itself failed."""
    return GatewayError(grpc.StatusCode.INTERNAL, "GATEWAY_FAILED", "the gateway failed", closes=True)


def status_from(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    """Read the status of a failed call, in words that a client may see.

    Args:
        error: what the channel raised.
    """
    code = error.code()
    if any(key == STATUS_KEY for key, _ in error.trailing_metadata() or ()):
        return status_of(error)
    if code is grpc.StatusCode.CANCELLED:
        # Not by the client, who would not be there to read this: the control plane ended under the call.
        code = grpc.StatusCode.UNAVAILABLE
    own = _OWN_WORDS.get(code)
    return SolwardError(code, *own).status() if own else status_of(error)


def body_of(status: status_pb2.Status) -> dict[str, Any]:
    """Write a status as the JSON body of an error.

    Args:
        status: its details become objects with their "@type".
    """
    details = [_detail(detail) for detail in status.details]
    return {"code": status.code, "message": status.message, "details": details}


def headers_of(status: status_pb2.Status) -> dict[str, str]:
    """Give the headers that HTTP has for a status: when to try again, and how to sign in.

    Args:
        status: of a failed call.
    """
    headers: dict[str, str] = {}
    if status.code == code_number(grpc.StatusCode.UNAUTHENTICATED):
        headers["WWW-Authenticate"] = "Bearer"
    if status.code == code_number(grpc.StatusCode.UNAVAILABLE):
        # Whoever does not say when is asked again soon: a control plane that restarts is back in seconds.
        headers["Retry-After"] = SOON_S
    retry = error_details_pb2.RetryInfo()
    for detail in status.details:
        if detail.Is(retry.DESCRIPTOR) and _unpacks(detail, retry):
            headers["Retry-After"] = str(max(1, math.ceil(retry.retry_delay.ToTimedelta().total_seconds())))
    return headers


def _unpacks(detail: any_pb2.Any, into: error_details_pb2.RetryInfo) -> bool:
    try:
        return bool(detail.Unpack(into))
    except DecodeError:
        return False


def _detail(detail: any_pb2.Any) -> dict[str, Any]:
    try:
        return json_format.MessageToDict(detail)
    except (DecodeError, TypeError, ValueError, json_format.Error):
        # Of a type that this program does not know, or not of their type: passed on as they are.
        return {"@type": detail.type_url, "value": base64.b64encode(detail.value).decode()}
