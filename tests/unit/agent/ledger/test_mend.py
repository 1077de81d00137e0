"""A plan ends alike, however often it is begun again; and it is not begun where the node has run since."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.ledger.child import Limits, ToolError, ToolReason
from agent.ledger.mend import Change, Outcome, carry_out
from agent.ledger.remedy import Plan, PlanRefused, Verb, plan
from agent.ledger.survey import Class, survey
from agent.ledger.tool import LedgerTool, never
from tests.peers import ledger_tool as peer
from tests.peers import ledger_world
from tests.unit.agent.ledger.worlds import BASE, SPAN, Died, ledgers, near

SLOTS = peer.chain(range(10, 29))
ROOTS, DEAD = {20, 25, 26}, {22, 27}


@pytest.fixture
def tool(tmp_path: Path) -> LedgerTool:
    ledger = peer.write(tmp_path / "ledger", SLOTS, roots=ROOTS, dead=DEAD)
    return LedgerTool(peer.program(tmp_path), ledger, Limits(20, 20, 5))


def made(tool: LedgerTool) -> Plan:
    return plan(survey(tool, 8, 30), 20, 24)


def mend(what: Plan, tool: LedgerTool) -> Outcome:
    return carry_out(what, tool, lambda _: None, never)


def state(ledger: Path) -> str:
    return (ledger / peer.FILE).read_text()


def test_the_steps_are_done_and_told(tool: LedgerTool) -> None:
    told: list[str] = []
    outcome = carry_out(made(tool), tool, told.append, never)
    assert told == [
        "step 1 of 3: REPAIR_ROOTS, slots 10 to 20",
        "10 root markers written",
        "step 2 of 3: REMOVE_DEAD, slots 22 to 22",
        "1 slots are dead no more",
        "step 3 of 3: PURGE, slots 24 to 28",
        "purged up to slot 28",
        "looking at the ledger again",
    ]
    assert outcome.done
    assert outcome.changes == (
        Change(8, 9, Class.BELOW_LOWEST, Class.BELOW_LOWEST),
        Change(10, 19, Class.FULL, Class.ROOTED),
        Change(20, 20, Class.ROOTED, Class.ROOTED),
        Change(21, 21, Class.FULL, Class.FULL),
        Change(22, 22, Class.DEAD, Class.FULL),
        Change(23, 23, Class.FULL, Class.FULL),
        Change(24, 24, Class.FULL, Class.UNSEEN),
        Change(25, 26, Class.ROOTED, Class.UNSEEN),
        Change(27, 27, Class.DEAD, Class.UNSEEN),
        Change(28, 28, Class.FULL, Class.UNSEEN),
        Change(29, 30, Class.UNSEEN, Class.UNSEEN),
    )


def test_a_second_time_does_nothing(tool: LedgerTool) -> None:
    what = made(tool)
    first = mend(what, tool)
    before = state(tool.ledger)
    again = mend(what, tool)
    assert [did.words for did in again.did] == [
        "0 root markers written",
        "0 slots are dead no more",
        "nothing was left to purge",
    ]
    assert (again.changes, again.after, again.done) == (first.changes, first.after, True)
    assert state(tool.ledger) == before


def test_a_real_death_in_each_step_is_got_over(tool: LedgerTool) -> None:
    what = made(tool)
    for command, after in (("repair-roots", 4), ("remove-dead-slot", 1), ("purge", 3)):
        peer.fault(tool.ledger, command=command, die_after=after)
        with pytest.raises(ToolError) as caught:
            mend(what, tool)
        assert "signal 9" in str(caught.value)
    assert mend(what, tool).done


def test_a_stop_between_steps_is_got_over(tool: LedgerTool) -> None:
    what = made(tool)
    told: list[str] = []
    with pytest.raises(ToolError) as caught:
        carry_out(what, tool, told.append, lambda: len(told) >= 2)
    assert caught.value.reason is ToolReason.STOPPED
    assert "step 2" in told[-1]
    assert mend(what, tool).done


def test_a_running_node_is_not_written_under(tool: LedgerTool) -> None:
    what, before = made(tool), state(tool.ledger)
    with peer.locked(tool.ledger), pytest.raises(ToolError) as caught:
        mend(what, tool)
    assert caught.value.reason is ToolReason.LEDGER_LOCKED
    assert state(tool.ledger) == before


@pytest.mark.parametrize(("slots", "roots"), [(peer.chain(range(10, 30)), ROOTS), (SLOTS, {*ROOTS, 28})])
def test_a_plan_from_before_the_node_ran_is_refused(tool: LedgerTool, slots: peer.Slots, roots: set[int]) -> None:
    what = made(tool)
    peer.write(tool.ledger, slots, roots=roots, dead=DEAD)
    before = state(tool.ledger)
    with pytest.raises(PlanRefused) as caught:
        mend(what, tool)
    assert caught.value.reason == "PLAN_STALE"
    assert state(tool.ledger) == before


def test_what_the_tool_did_not_do_is_seen(tool: LedgerTool) -> None:
    # Some failures of a purge are a line in the tool's log, and nothing else.
    peer.fault(tool.ledger, command="purge", odd="", code=0)
    outcome = mend(made(tool), tool)
    assert [did.done for did in outcome.did] == [True, True, False]
    assert not outcome.done


def test_a_plan_of_nothing_only_looks(tool: LedgerTool) -> None:
    peer.write(tool.ledger, SLOTS, roots=range(10, 29))
    with peer.locked(tool.ledger):
        outcome = mend(plan(survey(tool, 8, 30), 20), tool)
    assert (outcome.did, outcome.done) == ((), True)
    assert all(change.before is change.after for change in outcome.changes)


def test_a_plan_altered_on_its_way_is_refused(tool: LedgerTool) -> None:
    what = made(tool)
    what = type(what)(**{name: getattr(what, name) for name in what.__struct_fields__ if name != "digest"}, digest="0")
    with pytest.raises(PlanRefused):
        mend(what, tool)


def once(call: Callable[[], object]) -> bool:
    """Do it; gives whether it came to its end."""
    try:
        call()
    except Died:
        return False
    return True


@settings(max_examples=60)
@given(
    world=ledgers(),
    snapshot=st.integers(BASE - 3, BASE + SPAN),
    ahead=st.integers(1, 10),
    purge=st.booleans(),
    deaths=st.lists(st.integers(1, 6), max_size=4),
)
def test_deaths_at_any_slot_change_nothing_of_the_end(
    tmp_path_factory: pytest.TempPathFactory,
    world: tuple[peer.Slots, set[int], set[int]],
    snapshot: int,
    ahead: int,
    purge: bool,
    deaths: list[int],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger_world, "die", _die)
        smooth, rough = (near(tmp_path_factory.mktemp(name), world) for name in ("smooth", "rough"))
        start = min(snapshot + ahead, BASE + SPAN + 5) if purge else None
        what = plan(survey(smooth, BASE - 5, BASE + SPAN + 5), snapshot, start)
        outcome = mend(what, smooth)
        for after in deaths:
            peer.fault(rough.ledger, die_after=after)
            once(lambda: mend(what, rough))
        peer.fault(rough.ledger)
        end = mend(what, rough)
    assert state(rough.ledger) == state(smooth.ledger)
    assert (end.changes, end.after) == (outcome.changes, outcome.after)
    assert outcome.done
    assert end.done
    _check(what, outcome, world)


def _die() -> None:
    raise Died


def _check(what: Plan, outcome: Outcome, world: tuple[peer.Slots, set[int], set[int]]) -> None:
    """Nothing changed but what a step names."""
    named = {slot for step in what.steps for slot in step.slots}
    purged = [step for step in what.steps if step.verb is Verb.PURGE]
    for change in outcome.changes:
        for slot in range(change.first, change.last + 1):
            gone = any(step.first <= slot <= step.last for step in purged)
            # Of a slot without a meta it is the ones around it that say what it is.
            if slot in world[0] and not gone and slot not in named:
                assert change.before is change.after
