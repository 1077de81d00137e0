"""Plans for many hosts: their order, their hash, and what is refused before anything begins."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solward.controls.v1 import controls_pb2
from solward.operations.v1 import operations_pb2 as pb

from common.errors import SolwardError
from controlplane.links.registry import Links
from controlplane.operations.fleet_plan import ROLLING, FleetPlan, TargetPlan, in_order, restored, stored
from controlplane.operations.fleet_planner import FleetPlanner
from controlplane.store.hosts import ACTIVE, REVOKED, HostRow

NOBODY = Links()


def row(name: str, state: str = ACTIVE, group: str = "", labels: str = "{}") -> HostRow:
    return HostRow(name * 32, name, state, "", "", "", 0.0, 0, 0, group, labels)


class Hosts:
    """A fleet's rows."""

    def __init__(self, *rows: HostRow) -> None:
        self.rows = rows

    async def active(self) -> list[HostRow]:
        return [row for row in self.rows if row.state == ACTIVE]

    async def by_name(self, name: str) -> HostRow | None:
        return next((row for row in self.rows if row.name == name), None)


class Outside:
    """A cluster whose stakes are known, or not."""

    def __init__(self, stakes: dict[str, int] | None = None) -> None:
        self.known = stakes or {}

    async def stakes(self) -> dict[str, int]:
        return self.known


FLEET = Hosts(
    row("a", group="main", labels='{"ring": "one"}'), row("b", group="main", labels='{"ring": "two"}'),
    row("c", labels='{"ring": "one", "x": "y"}'), row("d", state=REVOKED),
)  # fmt: skip


def planner(outside: Outside | None = None) -> FleetPlanner:
    return FleetPlanner(FLEET, NOBODY, None, outside or Outside())  # type: ignore[arg-type]


def selector(**fields: object) -> controls_pb2.Selector:
    return controls_pb2.Selector(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (selector(all=True), "abc"),
        (selector(group="main"), "ab"),
        (selector(labels={"ring": "one"}), "ac"),
        (selector(group="main", labels={"ring": "one"}), "a"),
        (selector(hosts=["hosts/c", "hosts/a"]), "ca"),
    ],
)
async def test_who_is_meant(wanted: controls_pb2.Selector, found: str) -> None:
    assert "".join(row.name for row in await planner().select(wanted)) == found


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (selector(), "SELECTOR_WRONG"),
        (selector(all=True, group="main"), "SELECTOR_WRONG"),
        (selector(all=True, hosts=["hosts/a"]), "SELECTOR_WRONG"),
        (selector(hosts=["hosts/a"], labels={"ring": "one"}), "SELECTOR_WRONG"),
        (selector(hosts=["hosts/a", "hosts/a"]), "SELECTOR_WRONG"),
        (selector(group="other"), "NO_HOSTS"),
        (selector(labels={"ring": "three"}), "NO_HOSTS"),
        (selector(hosts=["hosts/d"]), "HOST_NOT_ACTIVE"),
        (selector(hosts=["hosts/z"]), "HOST_NOT_FOUND"),
    ],
)
async def test_who_cannot_be_meant(wanted: controls_pb2.Selector, reason: str) -> None:
    with pytest.raises(SolwardError) as error:
        await planner().select(wanted)
    assert error.value.reason == reason


@pytest.mark.parametrize(
    ("rollout", "reason"),
    [
        (pb.Rollout(max_stake_percent=math.nan), "ROLLOUT_WRONG"),
        (pb.Rollout(max_failures=1), "ROLLOUT_WRONG"),
        (pb.Rollout(max_stake_percent=10), "STAKE_UNKNOWN"),
    ],
)
async def test_limits_that_cannot_be_kept(rollout: pb.Rollout, reason: str) -> None:
    with pytest.raises(SolwardError) as error:
        await planner().rolling(await FLEET.active(), rollout, force=False, named=False)
    assert error.value.reason == reason


async def test_a_host_that_cannot_be_acted_on_is_shown_with_the_reason() -> None:
    plan = await planner().rolling(await FLEET.active(), pb.Rollout(), force=False, named=False)
    assert [each.refused.partition(":")[0] for each in plan.targets] == ["HOST_OFFLINE"] * 3
    shown = plan.operation("ana", "why")
    assert all(target.message for target in shown.targets)


def test_the_least_stake_comes_first_unless_hosts_were_named() -> None:
    targets = [TargetPlan("u", name, "sol.service", stake=stake) for name, stake in (("a", 5), ("b", 1), ("c", 0))]
    assert [each.host for each in in_order(targets, named=False)] == ["c", "b", "a"]
    assert [each.host for each in in_order(targets, named=True)] == ["a", "b", "c"]


TARGETS = st.builds(
    TargetPlan, st.text("ab", min_size=1, max_size=2), st.text("xy", min_size=1, max_size=2), st.just("sol.service"),
    group=st.sampled_from(["", "g"]), stake=st.integers(0, 9), config=st.binary(max_size=2), restarts=st.booleans(),
    diff=st.just(()), refused=st.just(""),
)  # fmt: skip
PLANS = st.builds(
    FleetPlan, st.just(ROLLING), st.lists(TARGETS, max_size=3).map(tuple), st.binary(max_size=2), st.booleans(),
    st.booleans(),
)  # fmt: skip


@given(PLANS, PLANS)
def test_plans_that_differ_in_what_is_done_have_other_hashes(one: FleetPlan, other: FleetPlan) -> None:
    def meaning(plan: FleetPlan) -> object:
        return plan._replace(targets=tuple(each._replace(stake=0) for each in plan.targets))

    assert (one.hash == other.hash) == (meaning(one) == meaning(other))


@given(PLANS)
def test_a_plan_is_read_as_it_was_stored(plan: FleetPlan) -> None:
    assert restored(stored(plan)) == plan
