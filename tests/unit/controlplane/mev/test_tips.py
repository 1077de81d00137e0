"""Tips as the block engine tells them, in every form in which it does."""

import itertools
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.mev.tips import SHARES, Floor, congestion, quantile, rank, read_floor

TOLD = {
    "time": "2024-09-01T12:58:00Z", "landed_tips_25th_percentile": 6.001e-06, "landed_tips_50th_percentile": 1e-05,
    "landed_tips_75th_percentile": "3.6196e-05", "landed_tips_95th_percentile": 0.001447905,
    "landed_tips_99th_percentile": 0.010007999, "ema_landed_tips_50th_percentile": 9.836e-06,
}  # fmt: skip
FLOOR = Floor(1725195480.0, (6_001, 10_000, 36_196, 1_447_905, 10_007_999), 9_836)
floors = st.lists(st.integers(0, 10**10), min_size=5, max_size=5).map(
    lambda tips: Floor(0.0, tuple(sorted(tips)), 0)  # type: ignore[arg-type]
)


def test_amounts_of_sol_become_lamports_whatever_their_form() -> None:
    assert read_floor(json.dumps([TOLD])) == FLOOR
    for text in ("2024-09-01T12:58:00+00:00", "2024-09-01T12:58:00.000Z", "2024-09-01T12:58:00"):
        assert read_floor(json.dumps([TOLD | {"time": text}])) == FLOOR


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (b"<html>", "no JSON"),
        (b"[" * 60_000, "no JSON"),
        (b"x" * 70_000, "more than"),
        (json.dumps(TOLD), "not an array of one object"),
        (json.dumps([]), "not an array of one object"),
        (json.dumps([TOLD | {"time": 5}]), "time: no date"),
        (json.dumps([TOLD | {"time": "yesterday"}]), "time: no date"),
        (json.dumps([TOLD | {"landed_tips_50th_percentile": True}]), "landed_tips_50th_percentile: no amount"),
        (json.dumps([TOLD | {"landed_tips_95th_percentile": -1}]), "landed_tips_95th_percentile: no amount"),
        (json.dumps([TOLD | {"landed_tips_99th_percentile": "1e999"}]), "landed_tips_99th_percentile: no amount"),
        (json.dumps([TOLD | {"landed_tips_99th_percentile": 1e9}]), "landed_tips_99th_percentile: no amount"),
        (json.dumps([{"time": TOLD["time"]}]), "landed_tips_25th_percentile: no amount"),
    ],
)
def test_what_is_no_tip_floor_is_refused_by_name(told: str | bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_floor(told)


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_no_message_is_more_than_refused(told: str | bytes) -> None:
    try:
        read_floor(told)
    except ValueError as error:
        assert str(error)


def test_the_percentiles_are_met_and_the_tail_is_heavy() -> None:
    for share, tip in zip(SHARES, FLOOR.tips, strict=True):
        assert quantile(FLOOR, share) == pytest.approx(max(1_000, tip), rel=1e-9)
        assert rank(FLOOR, tip) == pytest.approx(share, abs=1e-6)
    assert quantile(FLOOR, 0.999) > 3 * FLOOR.tips[-1]


@given(floors, st.lists(st.floats(0, 0.9999), min_size=2, max_size=20))
def test_more_of_the_others_is_never_a_smaller_tip(floor: Floor, shares: list[float]) -> None:
    tips = [quantile(floor, share) for share in sorted(shares)]
    assert all(math.isfinite(tip) and tip >= 999.99 for tip in tips)
    assert all(left <= right * (1 + 1e-12) for left, right in itertools.pairwise(tips))


def test_congestion_is_against_what_is_usual() -> None:
    quiet, busy = FLOOR, FLOOR._replace(tips=(10_000, 30_000, 50_000, 2_000_000, 20_000_000))
    assert congestion([]) == congestion([busy]) == 1.0
    assert congestion([quiet] * 9 + [busy]) == 3.0
    assert congestion([busy] * 9 + [quiet]) == pytest.approx(1 / 3)
