"""Groups from look to look: when a rebalance is counted."""

import pytest

from agent.geyser.kafka.groups import Group, GroupLook, State


def look(state: State, *members: str, topic: str = "t") -> GroupLook:
    return GroupLook(state, frozenset(members), {topic: {0}} if members else {}, {})


@pytest.mark.parametrize(("looks", "counted"), [
    ([look("stable", "a")], 0),
    ([look("stable", "a"), look("stable", "a")], 0),
    ([look("stable", "a"), look("rebalancing", "a"), look("rebalancing", "a", "b"), look("stable", "a", "b")], 1),
    ([look("stable", "a"), look("stable", "a", "b")], 1),
    ([look("stable", "a"), look("rebalancing", "a"), look("stable", "a"), look("rebalancing", "a")], 2),
    ([look("empty"), look("stable", "a")], 1),
    ([look("stable", "a"), look("empty")], 0),
    ([look("stable", "a"), look("unknown"), look("stable", "a")], 0),
    ([look("stable", "a"), look("unknown"), look("stable", "b")], 1),
    ([look("stable", "a"), look("dead"), look("stable", "b")], 1),
])  # fmt: skip
def test_rebalances_are_counted_once(looks: list[GroupLook], counted: int) -> None:
    group = Group()
    assert sum(group.take(one) for one in looks) == counted


def test_what_members_read_is_known_through_a_rebalance_and_forgotten_with_the_members() -> None:
    group = Group()
    group.take(look("stable", "a"))
    group.take(GroupLook("rebalancing", frozenset({"a"})))
    assert (group.assigned, group.works) == ({"t": {0}}, True)
    group.take(look("empty"))
    assert (group.assigned, group.works) == ({}, False)


@pytest.mark.parametrize(
    ("state", "up"), [("stable", 1), ("rebalancing", 0.5), ("empty", 0), ("dead", 0), ("unknown", None)]
)
def test_up_says_whether_somebody_reads(state: State, up: float | None) -> None:
    assert look(state, "a").up == up
