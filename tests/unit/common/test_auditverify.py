"""The verifier: every kind of damage is named, with the first entry that it concerns."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from common import auditlog
from common.auditlines import Record
from common.auditlog import GENESIS, Checkpoint, Entry
from common.auditverify import Kind, Report, State, verify
from common.merkle import Tree, leaf_hash

KEY = b"k" * 32
SIGNING = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
PUBLIC = SIGNING.public_key()
ORIGIN = "solward.test/audit"


def build(
    count: int,
    every: int = 4,
    *,
    key: bytes = KEY,
    signing: Ed25519PrivateKey = SIGNING,
    says: Callable[[int], str] = "entry {}".format,
) -> list[Record]:
    """Make the export of an honest log: a checkpoint after every few entries, and one at the end."""
    records: list[Record] = []
    tree, chain = Tree(), GENESIS
    for sequence in range(1, count + 1):
        fields = {"principal": "alice", "reason": says(sequence), "allowed": True}
        entry = auditlog.seal(fields, sequence=sequence, time_ms=sequence, previous=chain, mac=auditlog.Mac(key))
        records.append(entry)
        chain = entry.hash
        tree.append(leaf_hash(entry.body.encode()))
        if sequence % every == 0 and sequence < count:
            records.append(point(tree, signing))
    return [*records, point(tree, signing)]


def point(tree: Tree, signing: Ed25519PrivateKey = SIGNING) -> Checkpoint:
    return auditlog.sign(signing, origin=ORIGIN, size=tree.size, root=tree.root(), time_ms=tree.size)


def check(records: Sequence[Record], **options: Any) -> Report:
    return verify(iter(records), public_key=PUBLIC, **options)


def found(records: Sequence[Record], **options: Any) -> tuple[Kind, int] | None:
    finding = check(records, **options).finding
    return None if finding is None else (finding.kind, finding.sequence)


def at(records: list[Record], sequence: int) -> int:
    """Find where an entry stands."""
    return next(index for index, one in enumerate(records) if isinstance(one, Entry) and one.sequence == sequence)


def edit(records: list[Record], number: int, /, **changes: Any) -> None:
    index = at(records, number)
    records[index] = records[index]._replace(**changes)


def rewrite(records: list[Record], first: int, drop: bool = False) -> list[Record]:
    """Change (or drop) an entry and recompute every hash after it, as someone without the keys can."""
    result: list[Record] = []
    chain, sequence = GENESIS, 1
    for record in records:
        if not isinstance(record, Entry):
            result.append(record)
            continue
        if record.sequence == first and drop:
            continue
        if record.sequence >= first:
            text = "innocent" if record.sequence == first else "as before"
            forged = auditlog.seal(
                {"reason": text}, sequence=sequence, time_ms=1, previous=chain, mac=auditlog.Mac(b"guessed")
            )
            record = forged._replace(mac=record.mac)
        result.append(record)
        chain = record.hash
        sequence += 1
    return result


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 16, 17])
def test_an_honest_log_verifies(count: int) -> None:
    report = check(build(count), mac_key=KEY)
    assert report.ok
    assert (report.entries, report.proved) == (count, count)
    assert report.checkpoints == max(1, (count + 3) // 4)


def test_an_edited_body_is_named() -> None:
    records = build(10)
    edit(records, 6, body=records[at(records, 6)].body.replace("entry 6", "entry X"))  # type: ignore[union-attr]
    assert found(records) == (Kind.EDITED, 6)


def test_an_edited_body_with_its_hash_recomputed_is_named_by_the_entry_behind_it() -> None:
    records = build(10)
    honest = records[at(records, 6)]
    assert isinstance(honest, Entry)
    previous = auditlog.previous_of(honest.body) or b""
    forged = auditlog.seal({"reason": "x"}, sequence=6, time_ms=1, previous=previous, mac=auditlog.Mac(b"no"))
    edit(records, 6, body=forged.body, hash=forged.hash)
    assert found(records) == (Kind.EDITED, 6)
    assert found(records, mac_key=KEY) == (Kind.EDITED, 6)


@pytest.mark.parametrize(
    "change",
    [{"hash": bytes(32)}, {"body": ""}, {"body": "[]"}, {"body": "\ud800"}, {"sequence": 60}],
)
def test_an_edited_column_is_named(change: dict[str, Any]) -> None:
    records = build(10)
    edit(records, 6, **change)
    assert found(records) == (Kind.EDITED, 6)


def test_an_edited_number_is_an_edit() -> None:
    records = build(10)
    edit(records, 6, body=records[at(records, 6)].body.replace('"sequence":6', '"sequence":8'))  # type: ignore[union-attr]
    assert found(records) == (Kind.EDITED, 6)


def test_an_edited_code_is_named_to_whoever_knows_the_key() -> None:
    records = build(10)
    edit(records, 6, mac=bytes(32))
    assert found(records, mac_key=KEY) == (Kind.EDITED, 6)
    assert found(records) is None


@pytest.mark.parametrize(("first", "count"), [(1, 1), (2, 1), (5, 3), (9, 1)])
@pytest.mark.parametrize("renumber", [False, True])
def test_missing_entries_are_named(first: int, count: int, renumber: bool) -> None:
    records = build(10)
    for _ in range(count):
        index = next(
            place
            for place, one in enumerate(records)
            if isinstance(one, Entry) and first <= (auditlog.sequence_of(one.body) or 0) < first + count
        )
        del records[index]
    if renumber:
        entries = (place for place, one in enumerate(records) if isinstance(one, Entry))
        for sequence, place in enumerate(entries, 1):
            records[place] = records[place]._replace(sequence=sequence)  # type: ignore[call-arg]
    assert found(records) == (Kind.MISSING, first)
    finding = check(records).finding
    assert finding is not None
    unsigned = ", and no signed record says that they were pruned" if first == 1 else ""
    assert finding.message == f"entries {first} to {first + count - 1} are missing{unsigned}"


@pytest.mark.parametrize("place", [1, 6, 10])
def test_an_inserted_row_is_named(place: int) -> None:
    records = build(10)
    forged = auditlog.seal({"reason": "x"}, sequence=place, time_ms=1, previous=b"p" * 32, mac=auditlog.Mac(b"no"))
    records.insert(at(records, place), forged)
    assert found(records) == (Kind.INSERTED, place)


def test_an_inserted_row_that_continues_the_chain_is_named() -> None:
    records = build(10)
    before = records[at(records, 5)]
    assert isinstance(before, Entry)
    forged = auditlog.seal({"reason": "x"}, sequence=6, time_ms=1, previous=before.hash, mac=auditlog.Mac(b"no"))
    records.insert(at(records, 6), forged)
    assert found(records) == (Kind.INSERTED, 6)
    assert found(records, mac_key=KEY) == (Kind.INSERTED, 6)


@pytest.mark.parametrize("number", [3, 999])
def test_a_row_whose_number_fits_nowhere_is_inserted(number: int) -> None:
    records = build(10)
    forged = auditlog.seal({"reason": "x"}, sequence=number, time_ms=1, previous=b"p" * 32, mac=auditlog.Mac(b"no"))
    records.insert(at(records, 7), forged)
    assert found(records) == (Kind.INSERTED, number)


def test_a_row_twice_is_inserted() -> None:
    records = build(10)
    records.insert(at(records, 8), records[at(records, 7)])
    records.insert(at(records, 3), records[at(records, 9)])
    assert found(records) == (Kind.INSERTED, 9)
    del records[at(records, 9)]
    assert found(records) == (Kind.INSERTED, 7)


@pytest.mark.parametrize("renumber", [False, True])
def test_swapped_entries_are_reordered(renumber: bool) -> None:
    records = build(10)
    one, two = at(records, 5), at(records, 7)
    records[one], records[two] = records[two], records[one]
    if renumber:
        records[one] = records[one]._replace(sequence=5)  # type: ignore[call-arg]
        records[two] = records[two]._replace(sequence=7)  # type: ignore[call-arg]
    assert found(records) == (Kind.REORDERED, 5)


def test_a_moved_entry_is_reordered() -> None:
    records = build(10)
    records.append(records.pop(at(records, 3)))
    assert found(records) == (Kind.REORDERED, 3)


@pytest.mark.parametrize("cut", [1, 2, 5])
def test_a_cut_tail_is_truncated_even_with_its_checkpoint(cut: int) -> None:
    records = build(10)
    held = records[-1]
    entries_left = 10 - cut
    short = [one for one in records[:-1] if not isinstance(one, Entry) or one.sequence <= entries_left]
    short = [one for one in short if isinstance(one, Entry) or one.size <= entries_left]
    assert found([*short, held]) == (Kind.TRUNCATED, entries_left + 1)
    assert found(short, held=held) == (Kind.TRUNCATED, entries_left + 1)


def test_an_export_without_its_last_checkpoint_is_truncated() -> None:
    assert found(build(10)[:-1]) == (Kind.TRUNCATED, 11)
    assert found([]) == (Kind.TRUNCATED, 1)


def test_an_older_backup_is_truncated_against_a_held_checkpoint() -> None:
    held = build(10)[-1]
    assert found(build(7)) is None
    assert found(build(7), held=held) == (Kind.TRUNCATED, 8)


def test_a_longer_log_agrees_with_a_held_checkpoint() -> None:
    for size in range(11):
        assert found(build(17), held=build(size)[-1]) is None


def test_another_history_is_forked_against_a_held_checkpoint() -> None:
    held = build(9)[-1]
    other = build(17, says=lambda sequence: f"entry {sequence if sequence < 6 else -sequence}")
    assert found(other) is None
    assert found(other, held=held) == (Kind.FORKED, 9)
    assert found(other, held=held, mac_key=KEY) == (Kind.FORKED, 9)


def test_two_checkpoints_over_one_size_are_forked() -> None:
    records = build(8)
    records.append(build(8, says="other {}".format)[-1])
    assert found(records) == (Kind.FORKED, 8)


def test_two_histories_spliced_are_forked_to_whoever_knows_the_key() -> None:
    one, other = build(8), build(8, says="other {}".format)
    spliced = [*one[: at(one, 6)], *other[at(other, 6) :]]
    assert found(spliced, mac_key=KEY) == (Kind.FORKED, 6)


@pytest.mark.parametrize("drop", [False, True])
def test_a_recomputed_chain_is_caught_by_the_next_checkpoint(drop: bool) -> None:
    records = rewrite(build(14), 6, drop)
    assert found(records) == (Kind.EDITED, 5)
    assert found(records, mac_key=KEY) == (Kind.EDITED, 6)


def test_a_recomputed_chain_is_an_edit_against_a_held_checkpoint_too() -> None:
    assert found(rewrite(build(14), 6), held=build(6)[-1]) == (Kind.EDITED, 5)


def test_a_false_signature_is_named() -> None:
    records = build(10)
    index = next(place for place, one in enumerate(records) if isinstance(one, Checkpoint) and one.size == 8)
    records[index] = records[index]._replace(root=bytes(32))  # type: ignore[call-arg]
    assert found(records) == (Kind.FORGED_CHECKPOINT, 5)


def test_a_checkpoint_of_another_log_is_forged() -> None:
    records = build(10)
    last = records[-1]
    assert isinstance(last, Checkpoint)
    records[-1] = auditlog.sign(SIGNING, origin="other", size=10, root=last.root, time_ms=1)
    assert found(records) == (Kind.FORGED_CHECKPOINT, 9)


def test_a_log_signed_with_another_key_is_foreign() -> None:
    stranger = Ed25519PrivateKey.generate()
    records = rewrite(build(10, signing=stranger), 3)
    assert found(records) == (Kind.FOREIGN_KEY, 1)
    records = build(10, signing=stranger)
    honest_name = PUBLIC.public_bytes_raw()
    lying = [one if isinstance(one, Entry) else one._replace(public_key=honest_name) for one in records]
    assert found(lying) == (Kind.FORGED_CHECKPOINT, 1)


def test_a_held_checkpoint_is_not_believed_unsigned() -> None:
    held = build(4)[-1]
    assert isinstance(held, Checkpoint)
    assert found(build(10), held=held._replace(size=5)) == (Kind.FORGED_CHECKPOINT, 1)
    assert found(build(10), held=build(4, signing=Ed25519PrivateKey.generate())[-1]) == (Kind.FOREIGN_KEY, 1)


def test_a_late_checkpoint_is_reordered() -> None:
    records = build(10)
    records.append(records.pop(at(records, 5) - 1))
    assert found(records) == (Kind.REORDERED, 4)


def test_an_early_or_doubled_checkpoint_is_no_harm() -> None:
    records = build(10)
    assert found([*records[-1:], *records, records[-1]]) is None


def test_a_verification_goes_on_where_one_ended() -> None:
    records = build(12)
    middle = at(records, 9)
    first = check(records[:middle])
    assert first.ok
    second = check(records[middle:], after=first.state, held=records[middle - 1])
    assert (second.ok, second.entries, second.proved) == (True, 4, 12)
    assert second.state == check(records).state
    assert found(records[middle + 1 :], after=first.state) == (Kind.MISSING, 9)
    other = build(12, says="other {}".format)
    assert found(other[middle:], after=first.state) == (Kind.FORKED, 9)
    with pytest.raises(ValueError, match="older"):
        check(records[middle:], after=first.state, held=build(3)[-1])
    assert State() == check(build(0)).state


@given(data=st.data(), count=st.integers(2, 20))
def test_no_single_change_goes_unseen(data: st.DataObject, count: int) -> None:
    records = build(count)
    index = data.draw(st.integers(0, len(records) - 1))
    action = data.draw(st.sampled_from(["drop", "double", "swap", "flip"]))
    record = records[index]
    if action == "drop" and (isinstance(record, Entry) or index == len(records) - 1):
        del records[index]
    elif action == "double" and isinstance(record, Entry):
        records.insert(data.draw(st.integers(0, len(records))), record)
    elif action == "swap" and index + 1 < len(records) and isinstance(record, Entry):
        if not isinstance(records[index + 1], Entry):
            return
        records[index], records[index + 1] = records[index + 1], records[index]
    elif action == "flip" and isinstance(record, Entry):
        place = data.draw(st.integers(0, len(record.body) - 1))
        flipped = chr(ord(record.body[place]) ^ 1)
        records[index] = record._replace(body=record.body[:place] + flipped + record.body[place + 1 :])
    else:
        return
    assert not check(records).ok
