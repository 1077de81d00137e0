"""Which region a bundle goes to: nearer, freer and luckier never hurts, and who is left alone comes last."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.mev.choice import ELSEWHERE, Standing, rank, worth

STANDINGS = st.builds(
    Standing, st.just(""), st.none() | st.floats(0, 2_000), st.floats(0, 120), st.booleans(),
    st.none() | st.booleans(), st.none() | st.integers(0, 1_000), st.floats(0, 50), st.floats(50, 100),
)  # fmt: skip
MANY = st.lists(STANDINGS, min_size=1, max_size=8).map(
    lambda found: [one._replace(region=f"r{place}") for place, one in enumerate(found)]
)


@given(MANY)
def test_each_region_is_there_once_and_those_left_alone_are_last(standings: list[Standing]) -> None:
    ranked = rank(standings)
    assert sorted(one.region for one in ranked) == sorted(one.region for one in standings)
    alone = {one.region for one in standings if one.left_alone}
    flags = [one.region in alone for one in ranked]
    assert flags == sorted(flags)
    worths = [one.worth for one in ranked]
    assert all(0 <= one <= 1 for one in worths)
    assert worths == sorted(worths, reverse=True)
    assert all(one.reasons for one in ranked)


@given(MANY, st.data())
def test_who_comes_nearer_falls_behind_nobody(standings: list[Standing], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(standings) - 1))
    mine = standings[place]
    better = mine._replace(
        rtt_ms=data.draw(st.floats(0, mine.rtt_ms if mine.rtt_ms is not None else 400.0)),
        wait_s=data.draw(st.floats(0, mine.wait_s)), leader=mine.leader or None, left_alone=False,
    )  # fmt: skip

    def at(found: list[Standing]) -> int:
        return [one.region for one in rank(found)].index(mine.region)

    assert at([*standings[:place], better, *standings[place + 1 :]]) <= at(standings)


@given(STANDINGS, st.floats(0, 1), st.floats(0, 50))
def test_worth_never_falls_with_what_landed(one: Standing, usual: float, more: float) -> None:
    assert worth(one._replace(landed=one.landed + more, known=one.known + more), usual) >= worth(one, usual) - 1e-12


def test_a_leaders_region_wins_over_one_that_is_not_much_nearer() -> None:
    near, here = Standing("near", 10.0, leader=False), Standing("here", 95.0, leader=True, slots=3)
    assert [one.region for one in rank([near, here])] == ["here", "near"]
    assert [one.region for one in rank([near, here._replace(rtt_ms=105.0)])] == ["near", "here"]
    assert math.isclose(-400 * math.log(ELSEWHERE), 89.3, abs_tol=0.1)


@pytest.mark.parametrize(("standing", "words"), [
    (Standing("ny", 12.3, leader=True, slots=3), ("round trip 12 ms", "the next leader is here, in 3 slots",
                                                  "no bundle of late; taken as usual, 50%")),
    (Standing("ny", None, 1.24, left_alone=True, leader=False), (
        "left alone after failures", "no round trip is known", "its limit lets a call pass in 1.2 s",
        "the next leader is elsewhere", "no bundle of late; taken as usual, 50%")),
    (Standing("ny", 1.0, landed=3.0, known=4.0), ("round trip 1 ms", "landed 75% of about 4 of late")),
])  # fmt: skip
def test_the_reasons_are_told(standing: Standing, words: tuple[str, ...]) -> None:
    assert rank([standing])[0].reasons == words
