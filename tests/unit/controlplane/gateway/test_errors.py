"""Errors of calls over HTTP: whose they are, and when to come again."""

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from common.errors import STATUS_KEY
from controlplane.gateway import errors


def failed(code: grpc.StatusCode, status: status_pb2.Status | None = None) -> grpc.aio.AioRpcError:
    trailing = grpc.aio.Metadata(*([(STATUS_KEY, status.SerializeToString())] if status else []))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details="RST_STREAM by 10.0.0.1")


@pytest.mark.parametrize(
    ("code", "told"),
    [(grpc.StatusCode.UNAVAILABLE, 14), (grpc.StatusCode.CANCELLED, 14), (grpc.StatusCode.INTERNAL, 13)],
)
def test_what_grpc_says_of_itself_is_told_without_its_words(code: grpc.StatusCode, told: int) -> None:
    # A call that the client gave up has nobody to answer: one that was cancelled ended with the control plane.
    status = errors.status_from(failed(code))
    assert status.code == told
    assert "10.0.0.1" not in status.message


def test_what_the_server_says_of_a_cancelled_call_stays_what_it_is() -> None:
    said = status_pb2.Status(code=1, message="cancelled by its operator")
    assert errors.status_from(failed(grpc.StatusCode.CANCELLED, said)) == said


def test_who_cannot_be_answered_is_told_when_to_come_again() -> None:
    assert errors.headers_of(status_pb2.Status(code=14)) == {"Retry-After": "1"}
    asked = status_pb2.Status(code=14)
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(6_500)
    asked.details.add().Pack(retry)
    assert errors.headers_of(asked) == {"Retry-After": "7"}
    assert errors.headers_of(status_pb2.Status(code=13)) == {}
