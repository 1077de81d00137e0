"""What can be done is done, what cannot is said, and nothing that the node boots from is ever purged."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.ledger.output import MAX_SLOT
from agent.ledger.remedy import Plan, PlanRefused, Step, Verb, Verdict, plan
from agent.ledger.survey import Class, Survey, survey
from tests.peers import ledger_tool as peer
from tests.unit.agent.ledger.worlds import BASE, SPAN, ledgers, near

SNAPSHOTS = st.one_of(st.none(), st.integers(BASE - 10, BASE + SPAN + 10))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("remedy")


def look(folder: Path, slots: peer.Slots, roots: set[int], dead: set[int] | None = None, last: int = 30) -> Survey:
    return survey(near(folder, (slots, roots, dead or set())), 10, last)


def steps(made: Plan) -> list[tuple[Verb, int, int, tuple[int, ...]]]:
    return [(step.verb, step.first, step.last, step.slots) for step in made.steps]


def left(made: Plan) -> list[tuple[int, int, Class, Verdict]]:
    return [(each.first, each.last, each.cls, each.verdict) for each in made.left]


def refusal(found: Survey, snapshot: int | None, purge_from: int) -> str:
    with pytest.raises(PlanRefused) as caught:
        plan(found, snapshot, purge_from)
    return caught.value.reason


def test_a_whole_ledger_needs_nothing(folder: Path) -> None:
    made = plan(look(folder, peer.chain(range(10, 31)), set(range(10, 25))), 20)
    assert (made.steps, made.left) == ((), ())


def test_lost_root_markers_are_one_command_a_chain(folder: Path) -> None:
    slots = {**peer.chain(range(10, 13)), **peer.chain(range(16, 31), 14)}
    made = plan(look(folder, slots, {12, 20, 24}), 20)
    # 13 and 14 are holes: the chain ends above them, for the tool would mark 14 as well.
    assert steps(made) == [
        (Verb.REPAIR_ROOTS, 16, 24, (16, 17, 18, 19, 21, 22, 23)),
        (Verb.REPAIR_ROOTS, 10, 12, (10, 11)),
    ]
    assert left(made) == [(13, 14, Class.HOLE, Verdict.NOT_REPAIRABLE)]


def test_the_root_of_lost_markers_may_be_above_the_range(folder: Path) -> None:
    slots = peer.chain(range(10, 40))
    assert steps(plan(look(folder, slots, {31}), 20)) == [(Verb.REPAIR_ROOTS, 10, 31, tuple(range(10, 31)))]
    far = plan(look(folder, slots, {35}), 20)
    assert (steps(far), left(far)) == ([], [(10, 30, Class.FULL, Verdict.UNPROVEN)])


def test_a_fork_that_was_let_go_is_not_marked(folder: Path) -> None:
    slots = {**peer.chain(range(10, 13)), **peer.chain([13], 11), **peer.chain(range(14, 31), 12)}
    made = plan(look(folder, slots, {*range(10, 13), *range(14, 25)}), 20)
    assert (steps(made), left(made)) == ([], [(13, 13, Class.FULL, Verdict.UNPROVEN)])


def test_dead_slots_come_alive_above_the_snapshot_only(folder: Path) -> None:
    found = look(folder, peer.chain(range(10, 31)), {*range(10, 20)} - {12}, {12, 20, 21, 27})
    assert steps(plan(found, 20)) == [(Verb.REMOVE_DEAD, 21, 27, (21, 27))]
    assert left(plan(found, 20)) == [(slot, slot, Class.DEAD, Verdict.NOT_REPAIRABLE) for slot in (12, 20)]
    assert steps(plan(found, None)) == []


def test_no_marker_is_repaired_over_a_dead_slot(folder: Path) -> None:
    found = look(folder, peer.chain(range(10, 31)), {25}, {20})
    assert steps(plan(found, 22))[0] == (Verb.REPAIR_ROOTS, 21, 25, (21, 22, 23, 24))


def test_what_is_above_the_root_is_for_the_node(folder: Path) -> None:
    slots = {**peer.chain(range(10, 16)), **peer.chain([17], 16, full=False), **peer.chain([25], 24)}
    made = plan(look(folder, slots, set(range(10, 13))), 12)
    assert left(made) == [
        (16, 16, Class.HOLE, Verdict.NODE_REPAIRS),
        (17, 17, Class.PARTIAL, Verdict.NODE_REPAIRS),
        (18, 24, Class.HOLE, Verdict.NODE_REPAIRS),
        (26, 30, Class.UNSEEN, Verdict.NODE_REPAIRS),
    ]
    # A node that boots from a newer snapshot begins above it.
    assert left(plan(look(folder, slots, set(range(10, 13))), 23))[3:5] == [
        (18, 23, Class.HOLE, Verdict.NOT_REPAIRABLE),
        (24, 24, Class.HOLE, Verdict.NODE_REPAIRS),
    ]


def test_what_only_a_purge_could_bring_back_says_so(folder: Path) -> None:
    slots = {**peer.chain(range(12, 31)), **peer.chain([15, 25], 14, full=False), **peer.chain([27], readable=False)}
    made = plan(look(folder, slots, {*range(12, 31)} - {27}), 20)
    why = {each.first: each.why for each in made.left}
    assert "older than what the ledger keeps" in why[10]
    assert "Bigtable" in why[15]
    assert "purge" not in why[15]
    assert "a purge from there on" in why[25]
    assert "a purge from there on" in why[27]
    assert {each.verdict for each in made.left} == {Verdict.NOT_REPAIRABLE}


def test_a_purge_is_made_where_asked_for_and_comes_last(folder: Path) -> None:
    found = look(folder, peer.chain(range(10, 29)), {20, 25, 26}, {22, 27})
    made = plan(found, 20, 24)
    assert steps(made) == [
        (Verb.REPAIR_ROOTS, 10, 20, tuple(range(10, 20))),
        (Verb.REMOVE_DEAD, 22, 22, (22,)),
        (Verb.PURGE, 24, 28, ()),
    ]
    assert "2 of them are rooted" in made.steps[-1].why
    assert all(each.first < 24 or each.first > 28 for each in made.left)


def test_a_purge_that_is_refused(folder: Path) -> None:
    found = look(folder, peer.chain(range(10, 29)), {20})
    assert refusal(found, 20, 20) == "AT_OR_BELOW_SNAPSHOT"
    assert refusal(found, 20, 11) == "AT_OR_BELOW_SNAPSHOT"
    assert refusal(found, None, 25) == "NO_SNAPSHOT"
    assert refusal(found, 20, 31) == "PURGE_OUT_OF_RANGE"
    assert refusal(look(folder, peer.chain(range(10, 29)), {20}, last=27), 20, 25) == "TAIL_NOT_SURVEYED"
    # Nothing is there to purge.
    assert [step.verb for step in plan(found, 20, 29).steps] == [Verb.REPAIR_ROOTS]


def test_an_altered_plan_is_refused(folder: Path) -> None:
    made = plan(look(folder, peer.chain(range(10, 29)), {20}), 20, 25)
    made.check()
    low = Step(Verb.PURGE, 15, 28, (), "")
    altered = msgspec.structs.replace(made, steps=(low,))
    for each, reason in ((altered, "PLAN_ALTERED"), (altered.sealed(), "AT_OR_BELOW_SNAPSHOT")):
        with pytest.raises(PlanRefused) as caught:
            each.check()
        assert caught.value.reason == reason


def test_the_last_slot_that_there_can_be(folder: Path) -> None:
    slots = peer.chain(range(MAX_SLOT - 5, MAX_SLOT + 1))
    tool = near(folder, (slots, {MAX_SLOT}, {MAX_SLOT - 4}))
    made = plan(survey(tool, MAX_SLOT - 5, MAX_SLOT), MAX_SLOT - 5, MAX_SLOT - 1)
    assert steps(made) == [
        (Verb.REMOVE_DEAD, MAX_SLOT - 4, MAX_SLOT - 4, (MAX_SLOT - 4,)),
        (Verb.PURGE, MAX_SLOT - 1, MAX_SLOT, ()),
    ]
    assert msgspec.json.decode(msgspec.json.encode(made), type=Plan) == made


@given(ledgers(), SNAPSHOTS, st.one_of(st.none(), st.integers(BASE - 5, BASE + SPAN + 5)))
def test_no_plan_purges_at_or_below_the_snapshot(
    folder: Path, world: tuple[peer.Slots, set[int], set[int]], snapshot: int | None, purge_from: int | None
) -> None:
    found = survey(near(folder, world), BASE - 5, BASE + SPAN + 5)
    try:
        made = plan(found, snapshot, purge_from)
    except PlanRefused:
        assert purge_from is not None
        assert snapshot is None or purge_from <= snapshot
        return
    changed: list[int] = []
    for step in made.steps:
        if step.verb is not Verb.REPAIR_ROOTS:
            assert snapshot is not None
            assert snapshot < step.first <= step.last
        changed += step.slots or range(step.first, step.last + 1)
    left_slots = [slot for each in made.left for slot in range(each.first, each.last + 1)]
    # No slot is changed twice, and none is both changed and given up.
    assert len({*changed, *left_slots}) == len(changed) + len(left_slots)
    # Of the rest there is nothing to say.
    for slot, cls in found.each():
        if slot not in {*changed, *left_slots}:
            assert cls in (Class.ROOTED, Class.FULL, Class.SKIPPED)


@given(ledgers(), SNAPSHOTS)
def test_the_digest_is_of_what_was_found_and_of_nothing_else(
    folder: Path, world: tuple[peer.Slots, set[int], set[int]], snapshot: int | None
) -> None:
    def again() -> Plan:
        return plan(survey(near(folder, world), BASE, BASE + SPAN), snapshot)

    made = again()
    assert made == again()
    assert len(made.digest) == 64
    assert msgspec.json.decode(msgspec.json.encode(made), type=Plan).sealed() == made
    other = plan(survey(near(folder, world), BASE, BASE + SPAN), (snapshot or 0) + 1)
    assert other.digest != made.digest
