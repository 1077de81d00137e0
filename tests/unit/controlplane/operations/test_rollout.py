"""Rollout: whose turn it is, and what becomes of the whole; held to its limits over every course of things."""

from hypothesis import given
from hypothesis import strategies as st
from solward.operations.v1 import operations_pb2 as pb

from controlplane.operations.rollout import NOT_PASSED, Decision, decide

WAITING, RUNNING = pb.TARGET_STATE_WAITING, pb.TARGET_STATE_RUNNING
PASSED, FAILED, UNSURE = pb.TARGET_STATE_SUCCEEDED, pb.TARGET_STATE_FAILED, pb.TARGET_STATE_PAUSED
GOES_ON, PAUSED = pb.OPERATION_STATE_RUNNING, pb.OPERATION_STATE_PAUSED


def target(name: str, state: int = WAITING, **fields: object) -> pb.Target:
    return pb.Target(host=f"hosts/{name}", state=state, **fields)  # type: ignore[arg-type]


def operation(*targets: pb.Target, wish: int = 0, **rollout: object) -> pb.Operation:
    return pb.Operation(targets=targets, wish=wish, rollout=pb.Rollout(**rollout))  # type: ignore[arg-type]


def begun(decision: Decision) -> list[str]:
    return [host.removeprefix("hosts/") for host in decision.begin]


def test_one_at_a_time_unless_more_is_allowed() -> None:
    hosts = [target("a"), target("b"), target("c")]
    assert begun(decide(operation(*hosts), {})) == ["a"]
    assert begun(decide(operation(*hosts, max_unavailable=2), {})) == ["a", "b"]
    assert begun(decide(operation(target("a", RUNNING), target("b"), max_unavailable=1), {})) == []


def test_canaries_come_first_and_one_at_a_time() -> None:
    hosts = [target("a", canary=True), target("b", canary=True), target("c")]
    assert begun(decide(operation(*hosts, max_unavailable=3), {})) == ["a"]
    hosts[0].state = PASSED
    assert begun(decide(operation(*hosts, max_unavailable=3), {})) == ["b"]
    hosts[1].state = PASSED
    assert begun(decide(operation(*hosts, max_unavailable=3), {})) == ["c"]


def test_a_host_that_is_down_already_counts() -> None:
    found = decide(operation(target("a"), target("b", PASSED)), {"hosts/b": "is offline"})
    assert (found.begin, found.state, found.reason) == ((), GOES_ON, "MAX_UNAVAILABLE")
    assert "b is offline" in found.message
    # The one that is down may itself have its turn: nothing more is lost by that.
    assert begun(decide(operation(target("a"), target("b")), {"hosts/a": "is failed"})) == ["a"]


def test_share_of_stake() -> None:
    hosts = [target("a", stake_percent=20), target("b", stake_percent=40), target("c", stake_percent=40)]
    assert begun(decide(operation(*hosts, max_unavailable=3, max_stake_percent=60), {})) == ["a", "b"]
    found = decide(operation(*hosts, max_unavailable=3, max_stake_percent=50), {"hosts/c": "is offline"})
    assert (found.begin, found.reason) == ((), "MAX_STAKE")


def test_two_of_a_group_are_never_at_work_and_another_group_need_not_wait() -> None:
    hosts = [target("a", group="x"), target("b", group="x"), target("c", group="y")]
    assert begun(decide(operation(*hosts, max_unavailable=3), {})) == ["a", "c"]
    hosts[0].state = RUNNING
    hosts[2].state = PASSED
    found = decide(operation(*hosts, max_unavailable=3), {})
    assert (found.begin, found.reason) == ((), "GROUP_AT_WORK")


def test_what_a_failure_does() -> None:
    hosts = [target("a", FAILED, message="JOB_FAILED"), target("b")]
    assert decide(operation(*hosts), {}).state == PAUSED
    stop = decide(operation(*hosts, on_failure=pb.FAILURE_POLICY_STOP), {})
    assert (stop.state, stop.reason) == (pb.OPERATION_STATE_FAILED, "HOST_FAILED")
    goes_on = operation(*hosts, on_failure=pb.FAILURE_POLICY_CONTINUE, max_failures=1)
    # The one that failed may run and not be well: with one away already, no other may go.
    assert decide(goes_on, {}).reason == "MAX_UNAVAILABLE"
    goes_on.rollout.max_unavailable = 2
    assert begun(decide(goes_on, {})) == ["b"]
    goes_on.targets[0].group = goes_on.targets[1].group = "x"
    assert decide(goes_on, {}).reason == "GROUP_AT_WORK"
    goes_on.targets[1].state = FAILED
    assert decide(goes_on, {}).state == PAUSED
    # Whatever is at work is waited for before it pauses.
    busy = decide(operation(target("a", FAILED), target("b", RUNNING)), {})
    assert (busy.begin, busy.state) == ((), GOES_ON)


def test_a_host_that_nobody_can_tell_about_pauses_it_until_a_person_accepts_it() -> None:
    hosts = [target("a", UNSURE), target("b")]
    policy = {"on_failure": pb.FAILURE_POLICY_CONTINUE, "max_failures": 9}
    assert decide(operation(*hosts, **policy), {}).reason == "HOST_INCONCLUSIVE"
    hosts[0].accepted = True
    assert begun(decide(operation(*hosts), {})) == ["b"]
    hosts[1].state = PASSED
    assert decide(operation(*hosts), {}).state == pb.OPERATION_STATE_FAILED


def test_wishes() -> None:
    assert decide(operation(target("a"), wish=pb.WISH_PAUSE), {}).state == PAUSED
    assert decide(operation(target("a"), wish=pb.WISH_ABORT), {}).state == pb.OPERATION_STATE_ABORTED
    assert decide(operation(target("a", RUNNING), wish=pb.WISH_ABORT), {}).state == GOES_ON


HOSTS = st.lists(
    st.tuples(
        st.sampled_from(["", "", "x", "y"]),
        st.integers(0, 40),
        st.sampled_from([PASSED, PASSED, PASSED, FAILED, UNSURE]),
        st.booleans(),
    ),
    min_size=1, max_size=12,
)  # fmt: skip


@given(
    hosts=HOSTS,
    most=st.integers(0, 4),
    stake=st.sampled_from([0, 40, 70]),
    canaries=st.integers(0, 3),
    order=st.randoms(use_true_random=False),
)
def test_over_any_course_the_limits_hold_and_it_comes_to_an_end(hosts, most, stake, canaries, order) -> None:  # type: ignore[no-untyped-def]
    """Play an operation: hosts end as drawn, go down as drawn, and a person accepts whatever did not pass."""
    whole = sum(each[1] for each in hosts) or 1
    targets = [
        target(f"h{i}", group=group, stake_percent=100 * share / whole, canary=i < canaries)
        for i, (group, share, _, _) in enumerate(hosts)
    ]
    running = operation(*targets, max_unavailable=most, max_stake_percent=stake)
    down: dict[str, str] = {}
    for _ in range(20 * len(hosts)):
        decision = decide(running, down)
        for host in decision.begin:
            next(t for t in running.targets if t.host == host).state = RUNNING
        busy = [t for t in running.targets if t.state == RUNNING]
        _hold(running, busy, down, max(1, most), stake, fresh=decision.begin)
        if decision.state == PAUSED:
            for each in running.targets:
                each.accepted = each.accepted or each.state in NOT_PASSED
        elif decision.state != GOES_ON:
            break
        elif busy:
            ending = order.choice(busy)
            index = int(ending.host.removeprefix("hosts/h"))
            ending.state = hosts[index][2]
            if hosts[index][3]:
                down[ending.host] = "is failed"
        else:
            # Nothing can go for what is down: somebody brings a host back, or allows its stake.
            assert decision.reason
            if not down:
                assert decision.reason == "MAX_STAKE"
                return
            down.pop(next(iter(down)))
    else:
        raise AssertionError("it came to no end")
    assert not [t for t in running.targets if t.state in (WAITING, RUNNING)]


def _hold(
    running: pb.Operation, busy: list[pb.Target], down: dict[str, str], most: int, stake: int, fresh: tuple[str, ...]
) -> None:
    groups = [t.group for t in busy if t.group]
    assert len(groups) == len(set(groups))
    if not fresh:
        return
    gone = {t.host for t in busy} | set(down)
    assert len(gone) <= most
    if stake:
        assert sum(t.stake_percent for t in running.targets if t.host in gone) <= stake + 1e-9
    if any(t.canary and t.state in (WAITING, RUNNING) for t in running.targets):
        assert all(t.canary for t in busy)
        assert len(busy) == 1
