"""One action on one unit: its preconditions, its outcome, and when an earlier attempt has done it."""

from pathlib import Path

import pytest
from solward.hosts.v1 import link_pb2

from agent.actions.unit import UnitAct, to_wire
from agent.host.systemd import Reason, SystemdError
from agent.permits import Refusal
from tests.unit.agent.fakes import UNIT, FakeSystemd, unit_state

START, STOP, RESTART = link_pb2.UNIT_VERB_START, link_pb2.UNIT_VERB_STOP, link_pb2.UNIT_VERB_RESTART


def act_on(systemd: FakeSystemd, verb: link_pb2.UnitVerb = RESTART, **fields: object) -> UnitAct:
    action = link_pb2.UnitAction(unit=UNIT, verb=verb, timeout_ms=1000, settle_ms=20)
    action.MergeFrom(link_pb2.UnitAction(**fields))  # type: ignore[arg-type]
    return UnitAct(systemd, action, None, Path())


async def test_a_unit_that_systemd_does_not_know_is_refused() -> None:
    with pytest.raises(Refusal) as refused:
        await act_on(FakeSystemd(), unit="other.service").look()
    assert refused.value.reason == "UNIT_NOT_FOUND"


async def test_only_the_invocation_that_was_seen_may_be_acted_on() -> None:
    systemd = FakeSystemd()
    now = await act_on(systemd).look()
    await act_on(systemd).precondition(now)
    await act_on(systemd, expected_invocation=now.invocation_id).precondition(now)
    with pytest.raises(Refusal) as refused:
        await act_on(systemd, expected_invocation="cd" * 16).precondition(now)
    assert refused.value.reason == "INVOCATION_CHANGED"


async def test_only_the_state_that_was_seen_may_be_acted_on() -> None:
    systemd = FakeSystemd()
    now = await act_on(systemd).look()
    await act_on(systemd, expected_active_state="active").precondition(now)
    with pytest.raises(Refusal) as refused:
        await act_on(systemd, expected_active_state="inactive").precondition(now)
    assert refused.value.reason == "STATE_CHANGED"


@pytest.mark.parametrize(
    ("verb", "now", "done"),
    [
        (START, unit_state(), True),
        (START, unit_state("failed"), False),
        (STOP, unit_state(), False),
        (STOP, unit_state("inactive"), True),
        (STOP, unit_state("failed"), True),
        (RESTART, unit_state(), False),
        (RESTART, unit_state(invocation="cd" * 16), True),
        (RESTART, unit_state("inactive"), False),
        (RESTART, unit_state("activating", invocation_id="cd" * 16), True),
        (RESTART, unit_state("deactivating", invocation_id="ab" * 16), False),
        (RESTART, unit_state("failed", invocation_id="cd" * 16), True),
        (RESTART, unit_state("failed", invocation_id="ab" * 16), False),
    ],
)
def test_what_an_earlier_attempt_has_done(verb: link_pb2.UnitVerb, now: object, done: bool) -> None:
    before = to_wire(unit_state())
    assert act_on(FakeSystemd(), verb).already_done(before, to_wire(now)) is done  # type: ignore[arg-type]


@pytest.mark.parametrize("reason", ["NOT_AUTHORIZED", "JOB_FAILED", "JOB_TIMEOUT", "BUS_UNAVAILABLE"])
async def test_a_job_that_fails_says_why_and_how_the_unit_stands(reason: Reason) -> None:
    systemd = FakeSystemd()

    def fail(_verb: str) -> None:
        raise SystemdError(reason, "in words")

    systemd.on_job = fail
    outcome = await act_on(systemd).act(lambda _: None)
    assert (outcome.result, outcome.reason, outcome.message) == (link_pb2.RECEIPT_RESULT_FAILED, reason, "in words")
    assert outcome.after is not None
    assert outcome.after.invocation_id == unit_state().invocation_id


async def test_a_unit_that_dies_while_it_is_watched_fails_though_the_job_was_done() -> None:
    systemd = FakeSystemd()
    told: list[str] = []

    def die(message: str) -> None:
        told.append(message)
        if "watching" in message:
            systemd.units[UNIT] = unit_state("failed", exec_main_status=3, result="exit-code")

    outcome = await act_on(systemd).act(die)
    assert (outcome.result, outcome.reason) == (link_pb2.RECEIPT_RESULT_FAILED, "JOB_FAILED")
    assert outcome.after is not None
    assert (outcome.after.active_state, outcome.after.exit_status, outcome.after.result) == ("failed", 3, "exit-code")
    assert told == [f"systemd works on {UNIT}", "job done after 10 ms; watching that it stays so"]


async def test_not_knowing_how_the_unit_stands_is_said_by_leaving_it_out() -> None:
    systemd = FakeSystemd()

    def vanish(_verb: str) -> None:
        del systemd.units[UNIT]
        raise SystemdError("BUS_UNAVAILABLE", "the bus dropped")

    systemd.on_job = vanish
    assert (await act_on(systemd).act(lambda _: None)).after is None
