"""The outermost link: one status for whatever went wrong, and nothing internal in it."""

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc.aio import AbortError
from sqlalchemy.exc import InterfaceError
from structlog.testing import capture_logs

from common.errors import STATUS_KEY, SolwardError, info_of
from controlplane.guard.errors import Errors
from tests.support.calls import FakeContext, call

NO = SolwardError(
    grpc.StatusCode.NOT_FOUND, "GONE", "it is gone", {"what": "it"}, (("name", "is gone"),), retry_after_s=1.5
)


async def test_errors_sends_one_status_with_all_its_details() -> None:
    made, context = call(), FakeContext()
    made.context = context  # type: ignore[assignment]
    with pytest.raises(AbortError):
        await Errors().leave(made, NO)
    assert context.aborted
    code, words, trailing = context.aborted
    assert (code, words) == (grpc.StatusCode.NOT_FOUND, "it is gone")
    ((key, packed),) = trailing
    assert key == STATUS_KEY
    status = status_pb2.Status.FromString(packed)
    assert (status.code, status.message) == (5, "it is gone")
    assert info_of(status) == error_details_pb2.ErrorInfo(reason="GONE", domain="solward", metadata={"what": "it"})
    kinds = [detail.TypeName() for detail in status.details]
    assert kinds == ["google.rpc.ErrorInfo", "google.rpc.BadRequest", "google.rpc.RetryInfo"]


async def test_errors_logs_what_nobody_foresaw_and_says_nothing_of_it() -> None:
    made, context = call(), FakeContext()
    made.context = context  # type: ignore[assignment]
    with capture_logs() as logs, pytest.raises(AbortError):
        await Errors().leave(made, ValueError("the password is hunter2"))
    assert context.aborted
    assert context.aborted[0] is grpc.StatusCode.INTERNAL
    assert "hunter2" not in repr(context.aborted)
    assert made.id in context.aborted[1]
    assert (logs[0]["call"], logs[0]["log_level"]) == (made.id, "error")


async def test_errors_says_that_the_database_is_away_and_not_that_the_call_was_bad() -> None:
    made, context = call(), FakeContext()
    made.context = context  # type: ignore[assignment]
    with capture_logs() as logs, pytest.raises(AbortError):
        await Errors().leave(made, InterfaceError(None, None, ValueError("Connection refused")))
    assert context.aborted
    code, words, ((_, packed),) = context.aborted
    assert (code, info_of(status_pb2.Status.FromString(packed)).reason) == (
        grpc.StatusCode.UNAVAILABLE, "DATABASE_DOWN",
    )  # fmt: skip
    assert "refused" not in words
    assert (logs[0]["call"], logs[0]["log_level"]) == (made.id, "warning")


@pytest.mark.parametrize("quiet", [None, AbortError(), GeneratorExit()])
async def test_errors_leaves_alone_what_is_no_error_of_ours(quiet: BaseException | None) -> None:
    made, context = call(), FakeContext()
    made.context = context  # type: ignore[assignment]
    await Errors().leave(made, quiet)
    assert context.aborted is None
