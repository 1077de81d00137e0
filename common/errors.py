"""Errors that a caller can act on: a gRPC code, a stable reason, words, and particulars (AIP-193)."""

from collections.abc import Mapping, Sequence

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

DOMAIN = "solward"
STATUS_KEY = "grpc-status-details-bin"


class SolwardError(Exception):
    """A refusal or failure with everything its caller needs to know.

    Args:
        code: the gRPC status code.
        reason: stable, UPPER_SNAKE, at most 63 characters.
        message: what was wrong and what would be right, for a person.
        metadata: every changing value of the message, for a program.
        violations: (field, description) pairs where fields of the request were wrong.
        retry_after_s: seconds after which the same call may succeed, where that is known.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: str,
        message: str,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[tuple[str, str]] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.retry_after_s = retry_after_s

    def status(self) -> status_pb2.Status:
        """Say the same as a google.rpc.Status with one ErrorInfo."""
        info = error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN, metadata=self.metadata)
        details = [_pack(info)]
        if self.violations:
            bad = error_details_pb2.BadRequest()
            for field, description in self.violations:
                bad.field_violations.add(field=field, description=description)
            details.append(_pack(bad))
        if self.retry_after_s is not None:
            retry = error_details_pb2.RetryInfo()
            retry.retry_delay.FromMilliseconds(round(self.retry_after_s * 1000))
            details.append(_pack(retry))
        return status_pb2.Status(code=code_number(self.code), message=self.message, details=details)


def wrong_field(field: str, what: str) -> SolwardError:
    """Make the error of a field that cannot be so: INVALID_FIELD; `what` goes on from the field's name."""
    return SolwardError(
        grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", f"{field} {what}", {"field": field}, ((field, what),)
    )


def code_number(code: grpc.StatusCode) -> int:
    """Give a status code its number on the wire."""
    number: int = code.value[0]
    return number


def status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    """Read the google.rpc.Status out of a failed call; a bare code and message where it carries none."""
    for key, value in error.trailing_metadata() or ():
        if key == STATUS_KEY and isinstance(value, bytes):
            return status_pb2.Status.FromString(value)
    return status_pb2.Status(code=code_number(error.code()), message=error.details() or "")


def info_of(status: status_pb2.Status) -> error_details_pb2.ErrorInfo:
    """Find the ErrorInfo of a status; an empty one where it has none."""
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        if detail.Unpack(info):
            break
    return info


def _pack(
    message: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.RetryInfo,
) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
