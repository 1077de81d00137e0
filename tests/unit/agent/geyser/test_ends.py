"""Ends of a stream, by what a server says."""

import grpc
import pytest

from agent.geyser.ends import of_status

Code = grpc.StatusCode


@pytest.mark.parametrize(
    ("code", "words", "kind", "lasting"),
    [
        (Code.INTERNAL, "lagged to receive geyser messages", "lagged", False),
        (Code.INTERNAL, "lagged to send an update", "lagged", False),
        (Code.OUT_OF_RANGE, "broadcast from 5 is not available, last available: 9", "slot_unavailable", False),
        (Code.INTERNAL, "from_slot is not supported", "slot_unavailable", False),
        (Code.INTERNAL, "startup", "starting", False),
        (Code.INTERNAL, "block is not available yet", "starting", False),
        (Code.INTERNAL, "something else", "other", False),
        (Code.INVALID_ARGUMENT, "failed to create filter: name too long", "filter_refused", True),
        (Code.UNAUTHENTICATED, "No valid auth token", "token_refused", True),
        (Code.RESOURCE_EXHAUSTED, "subscription limit exceeded", "limited", False),
        (Code.RESOURCE_EXHAUSTED, "CLIENT: Received message larger than max (70 vs. 64)", "too_large", False),
        (Code.UNAVAILABLE, "server is shutting down", "shutdown", False),
        (Code.UNAVAILABLE, "failed to connect to all addresses", "transport", False),
        (Code.UNIMPLEMENTED, "method disabled", "not_offered", True),
        (Code.CANCELLED, None, "ended", False),
        (Code.UNKNOWN, "", "other", False),
    ],
)
def test_each_end_has_its_word(code: grpc.StatusCode, words: str | None, kind: str, lasting: bool) -> None:
    end = of_status(code, words)
    assert (end.kind, end.lasting) == (kind, lasting)
    assert end.message.startswith(code.name)


def test_long_words_are_cut_and_stay_one_line() -> None:
    assert len(of_status(Code.INTERNAL, "a\nb" * 1000).message) < 400
    assert "\n" not in of_status(Code.INTERNAL, "a\nb").message
