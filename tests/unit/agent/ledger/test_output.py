"""What the tool writes is read strictly: a line that was not foreseen is refused, and never taken for a slot."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.ledger import output
from agent.ledger.child import ToolError, ToolReason, words
from agent.ledger.output import MAX_SLOT, BankHash, Made, Slot
from common.base58 import encode

BODY = "  num_shreds: 3, parent_slot: Some(4), next_slots: [6, 7], num_entries: 2, is_full: true"
EMPTY = '{"slots":{"total":0,"first":null,"last":null},"roots":{"total":0,"first":null,"last":null}}'


def printed(*lines: str, first: int = 0, last: int = MAX_SLOT, most: int = 10) -> list[Slot]:
    reader = output.Printed(first, last, most)
    for line in lines:
        reader.take(line)
    return reader.result()


def refused(call: Callable[[], object]) -> None:
    with pytest.raises(ToolError) as caught:
        call()
    assert caught.value.reason is ToolReason.TOOL_ODD_OUTPUT
    assert len(str(caught.value)) < 300


def test_slots_are_read() -> None:
    orphan = "  num_shreds: 0, parent_slot: None, next_slots: [], num_entries: 0, is_full: false"
    top = BODY.replace("4", str(MAX_SLOT - 1))
    lines = ("Slot 5 (root)", BODY, "Slot 6 (dead)", "Slot 7", orphan, f"Slot {MAX_SLOT}", top)
    assert printed(*lines, "Summary of Programs:") == [
        Slot(5, True, 4, 3, True),
        Slot(6, False, readable=False),
        Slot(7, False, None, 0, False),
        Slot(MAX_SLOT, False, MAX_SLOT - 1, 3, True),
    ]


def test_slot_0_is_its_own_parent() -> None:
    assert printed("Slot 0", BODY.replace("4", "0"), "Summary of Programs:") == [Slot(0, False, 0, 3, True)]


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("Slot 5", BODY),
        ("Summary of Programs:", "Summary of Programs:"),
        ("Summary of Programs:", "Slot 5"),
        (BODY,),
        ("Slot 5", BODY, BODY),
        ("Slot 5", "Slot 5", "Summary of Programs:"),
        ("Slot 6", "Slot 5", "Summary of Programs:"),
        ("Slot 05", "Summary of Programs:"),
        ("Slot 5 (rooted)", "Summary of Programs:"),
        ("Slot 5 ", "Summary of Programs:"),
        ("Slot \N{ARABIC-INDIC DIGIT FIVE}", "Summary of Programs:"),
        ("Slot 18446744073709551616", "Summary of Programs:"),
        ("Slot 5", BODY.replace("4", "5"), "Summary of Programs:"),
        ("Slot 5", BODY.replace("true", "True"), "Summary of Programs:"),
        ("Slot 5", BODY.replace("3", "99999999999999999999"), "Summary of Programs:"),
        ("Slot 5", "", "Summary of Programs:"),
    ],
)
def test_what_was_not_foreseen_is_refused(lines: tuple[str, ...]) -> None:
    refused(lambda: printed(*lines))


def test_a_slot_outside_of_what_was_asked_is_refused() -> None:
    refused(lambda: printed("Slot 5", first=6))
    refused(lambda: printed("Slot 5", last=4))
    refused(lambda: printed("Slot 5", BODY, "Slot 6", most=1))


@given(st.text(max_size=60))
def test_no_text_breaks_a_reader(text: str) -> None:
    printed, numbers = output.Printed(0, MAX_SLOT, 5), output.Numbers(0)
    others = (output.Repaired().take, output.Alive([1]).take, output.Archived().take, output.Version().take)
    for take in (printed.take, numbers.take, *others):
        try:
            take(text)
        except ToolError as error:
            assert error.reason is ToolReason.TOOL_ODD_OUTPUT
    assert words(text.encode()).isprintable()


def bounds(text: str) -> output.Bounds:
    lines = output.Json()
    for line in text.splitlines():
        lines.take(line)
    return lines.bounds()


def test_bounds_are_read() -> None:
    assert bounds(EMPTY).slots.last is None
    found = bounds(EMPTY.replace('"total":0,"first":null,"last":null', f'"total":2,"first":0,"last":{MAX_SLOT}', 1))
    assert (found.slots.first, found.slots.last, found.roots.last) == (0, MAX_SLOT, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "Ledger is empty",
        EMPTY[:-1],
        EMPTY.replace("0", "1", 1),
        EMPTY.replace("null", "5"),
        EMPTY.replace("0,", "-1,"),
        EMPTY.replace('"total":0,"first":null,"last":null', '"total":2,"first":9,"last":8'),
        EMPTY.replace('"total":0,"first":null,"last":null', '"total":2,"first":9,"last":18446744073709551616'),
        EMPTY + "\n" * 100 + "5",
    ],
)
def test_odd_bounds_are_refused(text: str) -> None:
    refused(lambda: bounds(text))


def test_dead_slots_ascend_and_are_not_too_many() -> None:
    numbers = output.Numbers(5)
    refused(lambda: numbers.take("4"))
    numbers.take("5")
    refused(lambda: numbers.take("5"))
    for slot in range(6, 5 + output.MAX_SLOTS):
        numbers.take(str(slot))
    refused(lambda: numbers.take("9000000"))
    assert len(numbers.slots) == output.MAX_SLOTS


def test_every_slot_must_be_said_to_be_done() -> None:
    alive = output.Alive([7, 8])
    alive.take("Slot 7 not longer marked dead")
    refused(lambda: alive.take("Slot 9 no longer marked dead"))
    refused(output.Alive([7]).end)
    refused(output.Repaired().result)


def test_words_are_bounded_and_clean() -> None:
    assert words(b"one\n\x1b[31mred\x1b[0m\x07 two\r\n\xff\n") == "one | red two | \N{REPLACEMENT CHARACTER}"
    assert len(words(b"x" * 10_000)) == 1000
    assert words(b"\n".join(b"%d" % n for n in range(20))) == "15 | 16 | 17 | 18 | 19"


HASH = encode(bytes(range(100, 132)))
FULL = f"Successfully created snapshot for slot 9, hash {HASH}: /out/snapshot"
INCREMENTAL = f"Successfully created incremental snapshot for slot 9, hash {HASH}, base slot: 5: /out/incremental"
SHREDS = "Shred version: 4084"


def made(*lines: str) -> Made:
    reader = output.Archived()
    for line in lines:
        reader.take(line)
    return reader.result()


def test_what_was_made_is_read() -> None:
    creating = "Creating a version 1.2.0 snapshot of slot 9"
    assert made(creating, FULL, SHREDS, "") == Made(9, HASH, None, Path("/out/snapshot"), 4084)
    assert made(creating, INCREMENTAL, SHREDS) == Made(9, HASH, 5, Path("/out/incremental"), 4084)
    assert made(FULL, "Capitalization change: -5 lamports", SHREDS).slot == 9


@pytest.mark.parametrize(
    "lines",
    [
        (),
        (FULL,),
        (SHREDS,),
        (FULL, FULL, SHREDS),
        (FULL, INCREMENTAL, SHREDS),
        (FULL, SHREDS, SHREDS),
        (FULL, "Shred version: 65536"),
        (FULL, "Shred version: -1"),
        (FULL, "Shred version: 05"),
        (FULL, "Shred version: \N{ARABIC-INDIC DIGIT FIVE}"),
        (FULL, SHREDS + " "),
        (" " + FULL, SHREDS),
        (FULL.replace("slot 9", "slot 09"), SHREDS),
        (FULL.replace("slot 9", "slot -9"), SHREDS),
        (FULL.replace("slot 9", "slot 18446744073709551616"), SHREDS),
        (FULL.replace("/out", "out"), SHREDS),
        (FULL.replace("/out/snapshot", ""), SHREDS),
        (FULL.replace("/out", "/o\x1b[31mut"), SHREDS),
        (FULL.replace("/out", "/o\u202eut"), SHREDS),
        (FULL.replace(HASH, HASH[:33]), SHREDS),
        (FULL.replace(HASH, "z" * 44), SHREDS),
        (FULL.replace(HASH, "0" * 44), SHREDS),
        (FULL.replace("created", "created minimized"), SHREDS),
        (INCREMENTAL.replace("incremental snapshot for", "snapshot for"), SHREDS),
        (INCREMENTAL.replace("slot: 5", "slot: 9"), SHREDS),
        (INCREMENTAL.replace("slot: 5", "slot: x"), SHREDS),
    ],
)
def test_what_was_not_made_is_refused(lines: tuple[str, ...]) -> None:
    refused(lambda: made(*lines))


@given(
    st.integers(0, MAX_SLOT),
    st.none() | st.integers(0, MAX_SLOT),
    st.binary(min_size=32, max_size=32),
    st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="/"), min_size=1).filter(
        lambda t: t != "."
    ),
    st.integers(0, 2**16 - 1),
)
def test_what_the_tool_says_is_what_is_read(
    slot: int, base: int | None, raw: bytes, name: str, shred_version: int
) -> None:
    said = encode(raw)
    line = f"Successfully created snapshot for slot {slot}, hash {said}: /out/{name}"
    if base is not None:
        of = f"slot {slot}, hash {said}, base slot: {base}"
        line = f"Successfully created incremental snapshot for {of}: /out/{name}"
    lines = (line, f"Shred version: {shred_version}")
    if base is not None and base >= slot:
        refused(lambda: made(*lines))
    else:
        assert made(*lines) == Made(slot, said, base, Path("/out") / name, shred_version)


@given(st.data())
def test_a_line_that_is_changed_somewhere_names_no_other_archive_of_the_same_words(data: st.DataObject) -> None:
    line = data.draw(st.sampled_from([FULL, INCREMENTAL]))
    place = data.draw(st.integers(0, len(line) - 1))
    changed = line[:place] + data.draw(st.characters()) + line[place + 1 :]
    try:
        found = made(changed, SHREDS)
    except ToolError as error:
        assert error.reason is ToolReason.TOOL_ODD_OUTPUT
        return
    base = "" if found.base is None else f", base slot: {found.base}"
    assert changed.endswith(f" slot {found.slot}, hash {found.bank_hash}{base}: {found.path}")


def bank_hash(text: str) -> BankHash:
    lines = output.Json()
    for line in text.splitlines():
        lines.take(line)
    return lines.bank_hash()


def test_a_bank_hash_is_read() -> None:
    assert bank_hash(f'{{\n  "slot": {MAX_SLOT},\n  "hash": "{HASH}"\n}}\n') == BankHash(MAX_SLOT, HASH)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"slot":5}',
        f'{{"slot":-1,"hash":"{HASH}"}}',
        f'{{"slot":18446744073709551616,"hash":"{HASH}"}}',
        f'{{"slot":"5","hash":"{HASH}"}}',
        '{"slot":5,"hash":""}',
        f'{{"slot":5,"hash":"{HASH}1"}}',
        f'{{"slot":5,"hash":"{HASH}"}} 5',
    ],
)
def test_an_odd_bank_hash_is_refused(text: str) -> None:
    refused(lambda: bank_hash(text))


def version(*lines: str) -> tuple[int, int, int]:
    reader = output.Version()
    for line in lines:
        reader.take(line)
    return reader.result()


def test_a_version_is_read() -> None:
    assert version("agave-ledger-tool 4.2.1 (src:00000000; feat:3746964731, client:JitoLabs)") == (4, 2, 1)
    assert version("agave-ledger-tool 4.3.0-beta.2 (src:devbuild; feat:1, client:Agave)") == (4, 3, 0)
    for lines in ((), ("4.2.1",), ("a 4.2",), ("a 4.2.1", "b 4.2.1"), ("a 4.2.x",), ("a 4.2.1234567",)):
        refused(lambda lines=lines: version(*lines))  # type: ignore[misc]
