"""Ends are told in the order of sending, each once, and none later than the last that was sent before it."""

from hypothesis import given
from hypothesis import strategies as st
from solward.jito.v1 import jito_pb2 as pb

from controlplane.mev.order import InOrder


def bundle(number: int) -> pb.Bundle:
    return pb.Bundle(name=f"bundles/{number:064x}")


@given(st.permutations(range(12)))
def test_each_is_told_once_in_order_and_as_soon_as_can_be(ends: list[int]) -> None:
    order, told, over = InOrder(), [], set[int]()
    for number in range(12):
        order.sent(bundle(number))
    for number in ends:
        over.add(number)
        told += order.ended(bundle(number))
        # All up to the first that is still under way.
        first = next((one for one in range(12) if one not in over), 12)
        assert told == [bundle(one) for one in range(first)]


def test_a_quick_success_waits_for_the_failure_before_it() -> None:
    order = InOrder()
    slow, quick = bundle(1), bundle(2)
    order.sent(slow)
    order.sent(quick)
    assert order.ended(quick) == []
    assert order.ended(slow) == [slow, quick]
