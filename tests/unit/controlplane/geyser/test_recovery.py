"""When a pipeline mends itself: given time, one thing at a time, with pauses that double, and within its budget."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from solward.geyser.v1 import geyser_pb2 as pb

from controlplane.geyser.recovery import HOUR_MS, Faults, decide
from controlplane.geyser.settings import CureSettings, RecoverySettings
from controlplane.store.recoveries import Try

RECOVERY = RecoverySettings(
    cures=(CureSettings(hop="plugin", steps=("reload_plugin", "load_plugin", "restart_validator"), for_seconds=30),),
    budget_per_hour=3, settle_seconds=20, back_off_seconds=40,
)  # fmt: skip
OK, DOWN, UNKNOWN = pb.FLOW_OK, pb.FLOW_DOWN, pb.FLOW_UNKNOWN
NOW = 10 * HOUR_MS


def faults(*flows: tuple[pb.Flow, int]) -> Faults:
    found = Faults()
    for flow, at in flows:
        found.see(RECOVERY.cures, {"plugin": flow}, at)
    return found


def tried(*begun: int) -> list[Try]:
    steps = RECOVERY.cures[0].steps
    return [Try(str(number), "plugin", steps[number], at) for number, at in enumerate(begun)]


def test_a_fault_is_given_its_time() -> None:
    seen = faults((OK, NOW - 60_000), (DOWN, NOW - 29_000))
    assert decide(RECOVERY, seen, [], NOW).step is None
    assert decide(RECOVERY, seen, [], NOW + 1000).step == "reload_plugin"


def test_what_is_not_known_to_be_at_fault_is_left_alone_and_counts_anew() -> None:
    assert decide(RECOVERY, faults((DOWN, NOW - 90_000), (UNKNOWN, NOW)), [], NOW).step is None
    again = faults((DOWN, NOW - 90_000), (UNKNOWN, NOW - 10_000), (DOWN, NOW - 5000))
    assert decide(RECOVERY, again, [], NOW).step is None


def test_each_step_has_one_try_and_then_a_person_must_look() -> None:
    seen = faults((OK, NOW - HOUR_MS), (DOWN, NOW - HOUR_MS + 1000))
    one = tried(NOW - 600_000)
    assert decide(RECOVERY, seen, one, NOW).step == "load_plugin"
    two = tried(NOW - 900_000, NOW - 600_000)
    assert decide(RECOVERY, seen, two, NOW).step == "restart_validator"
    more = RECOVERY.model_copy(update={"budget_per_hour": 10})
    three = tried(NOW - 1_200_000, NOW - 900_000, NOW - 600_000)
    assert "a person must look" in decide(more, seen, three, NOW).message


def test_two_cures_of_one_hop_have_their_own_steps() -> None:
    slow = CureSettings(hop="plugin", flaws=("stalled",), steps=("reload_plugin",), for_seconds=5)
    gone = CureSettings(hop="plugin", flaws=("down",), steps=("load_plugin",), for_seconds=5)
    both = RECOVERY.model_copy(update={"cures": (slow, gone)})
    seen = Faults()
    for flow, at in ((OK, NOW - 400_000), (pb.FLOW_STALLED, NOW - 390_000), (DOWN, NOW - 200_000)):
        seen.see(both.cures, {"plugin": flow}, at)
    # The reload has lost it: what brings it back has not been tried.
    assert decide(both, seen, tried(NOW - 300_000), NOW).step == "load_plugin"
    lost = [Try("0", "plugin", "reload_plugin", NOW - 300_000), Try("1", "plugin", "load_plugin", NOW - 150_000)]
    assert "a person must look" in decide(both, seen, lost, NOW).message


def test_a_hop_that_flowed_in_between_begins_with_the_first_step() -> None:
    seen = faults((OK, NOW - 300_000), (DOWN, NOW - 200_000))
    assert decide(RECOVERY, seen, tried(NOW - 600_000), NOW).step == "reload_plugin"


def test_pauses_double() -> None:
    seen = faults((OK, NOW - HOUR_MS), (DOWN, NOW - HOUR_MS + 1000))
    # 20 s to show and 40 s of pause; then 20 s and 80 s.
    assert decide(RECOVERY, seen, tried(NOW - 59_000), NOW).step is None
    assert decide(RECOVERY, seen, tried(NOW - 60_000), NOW).step == "load_plugin"
    assert decide(RECOVERY, seen, tried(NOW - 200_000, NOW - 99_000), NOW).step is None
    assert decide(RECOVERY, seen, tried(NOW - 200_000, NOW - 100_000), NOW).step == "restart_validator"


def test_the_budget_holds_also_where_the_hop_flows_now_and_then() -> None:
    seen = faults((OK, NOW - 120_000), (DOWN, NOW - 60_000))
    decision = decide(RECOVERY, seen, tried(NOW - 3_000_000, NOW - 2_000_000, NOW - 1_000_000), NOW)
    assert decision.step is None
    assert "budget of 3 tries an hour is used up" in decision.message


def test_what_was_tried_in_vain_is_not_tried_again_because_time_has_passed() -> None:
    seen = faults((OK, NOW - 4 * HOUR_MS), (DOWN, NOW - 4 * HOUR_MS + 1000))
    long_ago = tried(NOW - 4 * HOUR_MS + 60_000, NOW - 3 * HOUR_MS, NOW - 2 * HOUR_MS)
    assert "a person must look" in decide(RECOVERY, seen, long_ago, NOW).message
    # Who turns it on again has looked.
    seen.asked_ms = NOW - 60_000
    assert decide(RECOVERY, seen, long_ago, NOW).step == "reload_plugin"
    # The budget is of the hour, whoever has looked.
    assert "budget" in decide(RECOVERY, seen, tried(NOW - 3_000_000, NOW - 2_000_000, NOW - 1_000_000), NOW).message


def test_after_a_restart_of_ours_every_try_that_is_known_counts() -> None:
    seen = faults((DOWN, NOW - 60_000))
    assert decide(RECOVERY, seen, tried(NOW - 3_000_000), NOW).step == "load_plugin"


@given(st.lists(st.tuples(st.sampled_from([OK, DOWN, UNKNOWN]), st.integers(1, 120)), max_size=200))
def test_however_it_fares_the_budget_and_the_pauses_hold(course: list[tuple[pb.Flow, int]]) -> None:
    seen, tries, now = Faults(), list[Try](), NOW
    for flow, seconds in course:
        now += seconds * 1000
        seen.see(RECOVERY.cures, {"plugin": flow}, now)
        lately = [one for one in tries if one.begun_ms >= now - HOUR_MS]
        if step := decide(RECOVERY, seen, lately, now).step:
            assert flow == DOWN
            tries.append(Try(str(len(tries)), "plugin", step, now))
    for one in tries:
        hour = [other for other in tries if one.begun_ms <= other.begun_ms < one.begun_ms + HOUR_MS]
        assert len(hour) <= RECOVERY.budget_per_hour
    pauses = [later.begun_ms - earlier.begun_ms for earlier, later in pairwise(tries)]
    assert all(pause >= 60_000 for pause in pauses)
