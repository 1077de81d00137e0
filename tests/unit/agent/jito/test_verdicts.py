"""What an error of a block engine means, on either wire, and the wait that it asks for, wherever that stands."""

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.jito.verdicts import of_grpc, of_json

CODE = grpc.StatusCode


def failed(code: grpc.StatusCode, words: str, **trailing: str) -> grpc.aio.AioRpcError:
    metadata = grpc.aio.Metadata(*((key.replace("_", "-"), value) for key, value in trailing.items()))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), metadata, details=words)


@pytest.mark.parametrize(("code", "words", "reason", "retry", "received"), [
    (CODE.UNAVAILABLE, "upstream connect error or disconnect/reset before headers", "REGION_UNAVAILABLE", True,
     "maybe"),
    (CODE.UNAVAILABLE, "failed to connect to all addresses", "REGION_UNAVAILABLE", True, "no"),
    (CODE.DEADLINE_EXCEEDED, "", "REGION_SILENT", True, "maybe"),
    (CODE.UNAUTHENTICATED, "the access token is over", "AUTH_REFUSED", True, "no"),
    (CODE.UNAUTHENTICATED, "the token is invalid", "AUTH_REFUSED", True, "no"),
    (CODE.RESOURCE_EXHAUSTED, "", "RATE_LIMITED", True, "no"),
    (CODE.RESOURCE_EXHAUSTED, "exceeded maximum concurrent bundle result connections limit of 20", "STREAMS_FULL", True,
     "no"),
    (CODE.RESOURCE_EXHAUSTED, "too many open connections", "STREAMS_FULL", True, "no"),
    (CODE.INTERNAL, "Bundle Dropped, no connected leader up soon", "NO_LEADER_SOON", True, "no"),
    (CODE.INVALID_ARGUMENT, "bundle contains an already processed transaction", "ALREADY_PROCESSED", False, "yes"),
    (CODE.INVALID_ARGUMENT, "Blockhash not found", "BLOCKHASH_EXPIRED", False, "no"),
    (CODE.INTERNAL, "boom", "ENGINE_ERROR", True, "maybe"),
    (CODE.INVALID_ARGUMENT, "what nobody has met", "BUNDLE_REFUSED", False, "no"),
])  # fmt: skip
def test_over_grpc(code: grpc.StatusCode, words: str, reason: str, retry: bool, received: str) -> None:
    verdict = of_grpc(failed(code, words))
    assert (verdict.reason, verdict.retry, verdict.received) == (reason, retry, received)
    assert verdict.limited == (reason == "RATE_LIMITED")


@pytest.mark.parametrize(("status", "code", "words", "reason", "retry"), [
    (429, -32097, "Network congested. Endpoint is globally rate limited.", "GLOBALLY_RATE_LIMITED", True),
    (429, None, "", "RATE_LIMITED", True),
    (200, -32097, "", "RATE_LIMITED", True),
    (400, -32602, "what nobody has met", "BUNDLE_REFUSED", False),
    (500, -32603, "boom", "ENGINE_ERROR", True),
    (503, None, "", "REGION_UNAVAILABLE", True),
    (403, None, "", "AUTH_REFUSED", True),
])  # fmt: skip
def test_over_http(status: int, code: int | None, words: str, reason: str, retry: bool) -> None:
    verdict = of_json(status, code, words, None)
    assert (verdict.reason, verdict.retry) == (reason, retry)


def test_the_wait_is_found_wherever_it_stands() -> None:
    words = "Rate limit exceeded. Limit: 1 per second for txn requests. Retry after 1606ms"
    assert of_grpc(failed(CODE.RESOURCE_EXHAUSTED, words)).wait_s == 1.606
    assert of_grpc(failed(CODE.RESOURCE_EXHAUSTED, words, x_wait_to_retry_ms="2500")).wait_s == 2.5
    assert of_grpc(failed(CODE.RESOURCE_EXHAUSTED, "", x_wait_to_retry_ms="soon")).wait_s is None
    assert of_json(429, -32097, words, None).wait_s == 1.606
    assert of_json(429, -32097, words, 90.0).wait_s == 0.09


@given(st.text(max_size=600), st.sampled_from(list(CODE)), st.text(max_size=20))
def test_whatever_an_engine_says_there_is_a_verdict(words: str, code: grpc.StatusCode, hint: str) -> None:
    for verdict in (of_grpc(failed(code, words, x_wait_to_retry_ms=hint)), of_json(500, 1, words, None)):
        assert verdict.reason.isupper()
        assert len(verdict.message) <= 300
        assert verdict.wait_s is None or 0 <= verdict.wait_s < 10**6
