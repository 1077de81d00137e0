"""Argument vectors as flags: read, changed, compared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.flags import catalogue
from common.flags.arguments import Argument, Change, Word, WrongFlag, change, difference, read, refused_at_start
from common.flags.catalogue import CATALOGUE, wrong_value
from common.semver import Version
from tests.peers.validator_state import key_of

V42 = Version(4, 2, 1)
STOOD = "--identity /k/id.json --ledger /l --known-validator {a} --known-validator {b} --rpc-threads 4 --full-rpc-api"


def stood(text: str = STOOD) -> list[Argument]:
    return read([Word(word, word, "$" in word) for word in text.format(a=key_of("a"), b=key_of("b")).split()])


def said(arguments: list[Argument]) -> list[str]:
    return [str(argument) for argument in arguments]


def test_a_vector_is_read() -> None:
    assert said(stood("--a=1 --b 2 --full-rpc-api --c --d run x --")) == [
        "--a 1", "--b 2", "--full-rpc-api", "--c", "--d run", "x", "--",
    ]  # fmt: skip
    assert [each.fixed for each in stood("--log $LOG --rpc-port ${{PORT}} --ledger /l")] == [True, True, False]


@given(
    st.lists(st.sampled_from(["--full-rpc-api", "--rpc-threads", "--x", "8", "a", "--y=1", "--", "-z"]), max_size=12)
)
def test_nothing_is_lost_in_reading(words: list[str]) -> None:
    raw = [word for argument in read([Word(word, word) for word in words]) for word in argument.raw]
    assert raw == words


def test_a_change_is_made_in_place() -> None:
    changed = change(stood(), [Change("rpc-threads", ("8",)), Change("no-port-check")], V42)
    assert said(changed)[-3:] == ["--rpc-threads 8", "--full-rpc-api", "--no-port-check"]
    assert difference(stood(), changed) == ["- --rpc-threads 4", "+ --rpc-threads 8", "+ --no-port-check"]


def test_what_stays_keeps_its_words() -> None:
    before = stood()
    wanted = Change("known-validator", (key_of("b"), key_of("c")))
    changed = change(before, [wanted], V42)
    assert difference(before, changed) == [f"- --known-validator {key_of('a')}", f"+ --known-validator {key_of('c')}"]
    assert changed[2].raw == before[3].raw
    assert changed[3].raw == ()


def test_a_flag_is_taken_away_also_one_that_the_version_refuses() -> None:
    before = stood("--ledger /l --cuda")
    assert refused_at_start(before, V42) == ["cuda"]
    assert said(change(before, [Change("cuda", remove=True)], V42)) == ["--ledger /l"]
    assert said(change(before, [Change("cuda", remove=True)], None)) == ["--ledger /l"]


def test_what_stands_as_wished_is_left_as_it_is() -> None:
    before = stood()
    assert change(before, [Change("rpc-threads", ("4",)), Change("full-rpc-api")], V42) == before


@pytest.mark.parametrize(
    ("wish", "version", "reason"),
    [
        (Change("no-such"), V42, "FLAG_UNKNOWN"),
        (Change("cuda"), V42, "FLAG_REMOVED"),
        (Change("limit-ledger-size", ("60000000",)), Version(4, 3, 0), "FLAG_REMOVED"),
        (Change("public-tvu-address", ("1.2.3.4:1",)), Version(3, 1, 14), "FLAG_TOO_NEW"),
        (Change("rpc-threads", ("8",)), None, "VERSION_UNKNOWN"),
        (Change("rpc-threads"), V42, "VALUE_WRONG"),
        (Change("rpc-threads", ("1", "2")), V42, "VALUE_WRONG"),
        (Change("full-rpc-api", ("yes",)), V42, "VALUE_WRONG"),
        (Change("log", ("/x",)), V42, "FLAG_FIXED"),
    ],
)
def test_what_cannot_be_is_refused(wish: Change, version: Version | None, reason: str) -> None:
    with pytest.raises(WrongFlag) as caught:
        change(stood("--log $LOG --ledger /l"), [wish], version)
    assert caught.value.reason == reason
    assert caught.value.name == wish.name


def test_one_flag_is_changed_once() -> None:
    with pytest.raises(WrongFlag) as caught:
        change(stood(), [Change("rpc-threads", ("1",)), Change("rpc-threads", ("2",))], V42)
    assert caught.value.reason == "FLAG_TWICE"


GOOD = {
    "rpc-threads": "8", "ledger": "/mnt/ledger", "known-validator": key_of("a"), "entrypoint": "e.x.example:8001",
    "block-engine-url": "https://ny.example.net", "rpc-port": "8899", "dynamic-port-range": "8000-8026",
    "wal-recovery-mode": "point_in_time", "expected-genesis-hash": "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d",
}  # fmt: skip
BAD = [
    "",
    " ",
    "a b",
    "$(reboot)",
    "`id`",
    "%n",
    "x;y",
    "x\ny",
    "'",
    '"',
    "\\",
    "-x",
    "../x",
    "/a/../b",
    "x" * 2000,
    "é",
]


@pytest.mark.parametrize(("name", "value"), GOOD.items())
def test_good_values_are_taken(name: str, value: str) -> None:
    assert wrong_value(CATALOGUE[name], value) == ""


@pytest.mark.parametrize("value", BAD)
def test_values_that_could_be_anything_else_are_not(value: str) -> None:
    for flag in CATALOGUE.values():
        assert wrong_value(flag, value), (flag.name, value)


@given(st.text(max_size=40))
def test_no_value_that_is_taken_means_anything_to_a_shell_or_a_unit(value: str) -> None:
    for flag in CATALOGUE.values():
        if not wrong_value(flag, value):
            assert not set(value) & set(" \t\n'\"\\$`;|&<>()*?{}!#%~")
            assert not value.startswith("-")


def test_ports_and_numbers_have_bounds() -> None:
    assert "at least" in wrong_value(CATALOGUE["dynamic-port-range"], "8000-8010")
    assert wrong_value(CATALOGUE["rpc-port"], "65536")
    assert wrong_value(CATALOGUE["block-production-num-workers"], "65")
    assert wrong_value(CATALOGUE["entrypoint"], "x:99999")


def test_the_catalogue_is_consistent() -> None:
    assert len(CATALOGUE) == len(catalogue._ALL)
    for flag in CATALOGUE.values():
        assert flag.since < flag.until
        assert (flag.kind == "choice") == bool(flag.choices)
