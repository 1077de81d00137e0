"""Lines of a validator's log become messages, whatever they are cut into."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.logs.line import MAX_CHARS, MAX_LINES, Assembler, Line, panic_of, parse
from tests.peers.validator_log import datapoint

STAMP = "[2026-08-14T12:34:56.123456789Z INFO  solana_core::replay_stage] "


def assembled(*raw: str) -> list[Line]:
    assembler = Assembler()
    return [line for each in raw for line in assembler.feed(each)] + list(assembler.flush())


def test_a_line_falls_into_its_parts() -> None:
    line = parse(STAMP + "bank frozen: 5 hash: x")
    assert line == ("2026-08-14T12:34:56.123", "INFO", "solana_core::replay_stage", "bank frozen: 5 hash: x")
    assert line.unix_ms == 1_786_710_896_123


@pytest.mark.parametrize("level", ["ERROR", "WARN ", "INFO ", "DEBUG", "TRACE"])
def test_every_level_is_known(level: str) -> None:
    line = parse(f"[2026-08-14T12:34:56.000000000Z {level} a::b] x")
    assert line
    assert line.level == level.strip()


@pytest.mark.parametrize(
    "raw",
    ["", "[20", "stack backtrace:", "   0: rust_begin_unwind", "[2026-08-14 INFO x] y", "[2026-13-77T99:99:99] x"],
)
def test_what_bears_no_time_is_no_line(raw: str) -> None:
    assert parse(raw) is None


def test_an_impossible_date_has_no_time() -> None:
    line = parse("[2026-13-77T99:99:99.000000000Z INFO  a] x")
    assert line
    assert line.unix_ms is None


def test_a_panic_is_its_line_and_the_next() -> None:
    found = assembled("thread 'solReplayStage' (77) panicked at core/src/x.rs:1:2:", "no\tway", "stack backtrace:")
    assert panic_of(found[0].text) == ("solReplayStage", "core/src/x.rs:1:2", "no\tway")
    assert found[1].text == "stack backtrace:"


def test_a_panic_with_nothing_after_it_is_told_too() -> None:
    (found,) = assembled("thread 'x' panicked at a.rs:1:2:")
    assert panic_of(found.text) == ("x", "a.rs:1:2", "")


def test_a_datapoint_goes_on_until_its_quote_closes() -> None:
    text = datapoint("panic", {"message": 'a "quoted"\nsecond line\nthird', "one": 1})
    raw = (STAMP + text).split("\n")
    (found,) = assembled(*raw)
    assert found.text == text


def test_the_next_message_ends_one_that_is_still_open() -> None:
    found = assembled(STAMP + 'datapoint: panic message="never closed', STAMP + "next")
    assert [line.text for line in found] == ['datapoint: panic message="never closed', "next"]


def test_a_message_that_never_ends_is_cut() -> None:
    found = assembled(STAMP + 'datapoint: x message="', *["y" * 1000] * 1000)
    assert max(len(line.text) for line in found) <= MAX_CHARS * 2
    assert found[0].text.count("\n") <= MAX_LINES


@given(st.lists(st.text(st.characters(exclude_characters="\n"), max_size=60), max_size=12))
def test_nothing_that_is_written_breaks_it(raw: list[str]) -> None:
    for line in assembled(*raw, *[STAMP + text for text in raw]):
        assert isinstance(line.text, str)
