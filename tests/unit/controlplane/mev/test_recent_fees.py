"""Recent fees: asked seldom, whoever asks."""

from typing import Any

import pytest

from common.errors import SolwardError
from controlplane.mev.recent_fees import KEPT_S, MOST_A_SECOND, RecentFees
from controlplane.operations.outside import OutsideTrouble


class Node:
    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.down = False

    async def call(self, method: str, accounts: list[str]) -> Any:
        assert method == "getRecentPrioritizationFees"
        self.asked.append(accounts)
        if self.down:
            raise OutsideTrouble("away")
        return [{"slot": len(self.asked), "prioritizationFee": 1}]


async def test_the_same_is_asked_once_in_a_while() -> None:
    node, now = Node(), [0.0]
    fees = RecentFees(node, lambda: now[0])  # type: ignore[arg-type]
    first = await fees.of(["b", "a"])
    assert await fees.of(["a", "b"]) == first
    assert node.asked == [["a", "b"]]
    now[0] = KEPT_S
    assert await fees.of(["a", "b"]) != first


async def test_all_callers_together_ask_seldom_and_a_node_that_is_away_is_asked_no_oftener() -> None:
    node, now = Node(), [0.0]
    node.down = True
    fees = RecentFees(node, lambda: now[0])  # type: ignore[arg-type]
    for number in range(MOST_A_SECOND):
        with pytest.raises(OutsideTrouble):
            await fees.of([str(number)])
    with pytest.raises(SolwardError) as caught:
        await fees.of(["more"])
    assert (caught.value.reason, caught.value.retry_after_s) == ("RATE_LIMITED", 1.0)
    assert len(node.asked) == MOST_A_SECOND
    node.down, now[0] = False, 1.0
    assert await fees.of(["more"])
