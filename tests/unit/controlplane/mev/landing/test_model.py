"""The model: monotone whatever it learnt, sure in measure, and the same after it was saved."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.mev.landing.features import Context, crowd_ramps, known
from controlplane.mev.landing.hunters import SLOTS
from controlplane.mev.landing.model import Model
from controlplane.mev.tips import LEAST_TIP, Floor, rank

FLOOR = Floor(0.0, (6_001, 10_000, 36_196, 1_447_905, 10_007_999), 9_836)
CONTEXT = Context("backrun", 2_000_000)
TIPS = np.geomspace(LEAST_TIP, 1_900_000, 64)


def _context(random: np.random.Generator) -> Context:
    def maybe(value: float) -> float | None:
        return value if random.random() < 0.8 else None

    return Context(
        strategy=str(random.choice(["", "backrun", "arbitrage", "never seen"])),
        profit=int(np.exp(random.uniform(0, 34))), compute_units=int(random.integers(0, 7_000_000)),
        transactions=int(random.integers(1, 6)), rtt_ms=maybe(random.uniform(0, 1e5)),
        left_ms=maybe(random.uniform(-1e6, 1e6)), slots_to_leader=int(random.integers(0, 500)),
        same_region=bool(random.random() < 0.5), leader_runs_jito=bool(random.random() < 0.5),
        blockhash_age_s=maybe(random.uniform(0, 1e4)),
    )  # fmt: skip


def _floor(random: np.random.Generator) -> Floor:
    tips = np.sort(np.exp(random.uniform(0, 25, 5))).astype(int).tolist()
    return Floor(0.0, tuple(tips), int(np.exp(random.uniform(0, 20))))


def _taught(seed: int, outcomes: int, landed: float = 0.5) -> Model:
    random, model = np.random.default_rng(seed), Model()
    for _ in range(outcomes):
        tip = int(np.exp(random.uniform(np.log(LEAST_TIP), 20)))
        model.learn(_context(random), _floor(random), tip, bool(random.random() < landed))
    return model


def test_chances_never_fall_with_the_tip_in_ten_thousand_contexts() -> None:
    random = np.random.default_rng(5)
    models = [Model(), _taught(1, 400), _taught(2, 400, 0.0), _taught(3, 400, 1.0)]
    for at in range(10_000):
        tips = np.sort(np.exp(random.uniform(np.log(LEAST_TIP), 30, 40)))
        model, context, floor = models[at % 4], _context(random), _floor(random)
        chances = model.chances(context, floor, tips)
        assert np.all(np.diff(chances) >= -1e-12)
        assert np.all((chances >= 0) & (chances <= 1))
        told = model.forecast(context, floor, float(tips[at % 40]))
        assert 0 <= told.low <= told.chance <= told.high <= 1


@pytest.mark.parametrize("landed", [True, False])
def test_outcomes_move_chances_their_way_and_make_them_surer(landed: bool) -> None:
    model = Model()
    before = model.forecast(CONTEXT, FLOOR, 100_000)
    for _ in range(60):
        model.learn(CONTEXT, FLOOR, 100_000, landed)
    after = model.forecast(CONTEXT, FLOOR, 100_000)
    assert (after.chance > before.chance) == landed
    assert after.high - after.low < before.high - before.low
    assert after.low < after.chance < after.high
    assert model.learnt == 60


def test_the_start_is_hopeful_and_unsure() -> None:
    start = Model().forecast(CONTEXT, FLOOR, 1_400_000)
    assert start.chance > 0.4
    assert start.high - start.low > 0.3


def test_a_chance_is_its_ceiling_less_those_who_bid_more() -> None:
    model = _taught(4, 50)
    top = model.forecast(CONTEXT, FLOOR, 10**12)
    assert top.chance == pytest.approx(top.ceiling, rel=1e-3)
    low = model.forecast(CONTEXT, FLOOR, LEAST_TIP)
    assert low.crowd > top.crowd
    assert low.hunters > top.hunters


def test_a_strategy_is_known_by_itself() -> None:
    model = Model()
    for _ in range(300):
        model.learn(Context("hard", 2_000_000), FLOOR, 300_000, landed=False)
        model.learn(Context("easy", 2_000_000), FLOOR, 300_000, landed=True)
    hard, easy = (model.forecast(Context(name, 2_000_000), FLOOR, 300_000).chance for name in ("hard", "easy"))
    assert hard < 0.2
    assert easy > 0.5


def test_of_a_break_the_quick_experts_are_heard() -> None:
    model = Model()
    random = np.random.default_rng(6)
    for at in range(1_200):
        model.learn(CONTEXT, FLOOR, 300_000, bool(random.random() < (0.8 if at < 600 else 0.1)))
    assert model.forecast(CONTEXT, FLOOR, 300_000).chance < 0.25


def test_more_strategies_than_there_is_room_for_share_what_is_learnt() -> None:
    model = Model()
    for at in range(SLOTS + 5):
        model.learn(Context(f"s{at}", 2_000_000), FLOOR, 300_000, landed=False)
    assert model.forecast(Context("s12", 2_000_000), FLOOR, 300_000) == model.forecast(
        Context("other", 2_000_000), FLOOR, 300_000
    )
    Model().load(model.save())


def test_what_was_learnt_is_the_same_after_it_was_saved() -> None:
    model, other = _taught(7, 200), Model()
    saved = model.save()
    other.load(saved)
    assert other.save() == saved
    assert len(saved) < 128 * 1024
    assert other.learnt == 200
    assert np.array_equal(model.chances(CONTEXT, FLOOR, TIPS), other.chances(CONTEXT, FLOOR, TIPS))
    for one in (model, other):
        one.learn(CONTEXT, FLOOR, 50_000, landed=True)
    assert model.save() == other.save()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda saved: b"", "0 bytes"),
        (lambda saved: b"NOPE" + saved[4:], "not the bytes of a saved model"),
        (lambda saved: saved[:4] + b"\x00\x09" + saved[6:], "of version 9; this is version 2"),
        (lambda saved: saved[:4] + b"\x00\x01" + saved[6:], "of version 1; this is version 2"),
        (lambda saved: saved[:-1], "missing or changed"),
        (lambda saved: saved[:-1] + bytes([saved[-1] ^ 1]), "missing or changed"),
        (lambda saved: saved + b"\x00" * 5_000_000, "bytes, of"),
    ],
)
def test_other_bytes_are_refused_and_change_nothing(spoil, words: str) -> None:  # type: ignore[no-untyped-def]
    model = _taught(8, 30)
    before = model.save()
    with pytest.raises(ValueError, match=words):
        model.load(spoil(before))
    assert model.save() == before


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_are_more_than_refused(body: bytes, headed: bool) -> None:
    import struct
    import zlib

    first = len(body) // 2
    told = struct.pack(">4sHIII", b"SWLM", 2, first, len(body) - first, zlib.crc32(body)) + body if headed else body
    with pytest.raises(ValueError, match="model: "):
        Model().load(told)


def test_ranks_are_those_of_the_percentiles() -> None:
    told = known(CONTEXT, FLOOR)
    tips = np.array([1_000.0, 6_001, 20_000, 36_196, 500_000, 10_007_999, 5e7])
    ranks = 1 - crowd_ramps(tips, told)[0]
    assert ranks == pytest.approx([rank(FLOOR, tip) for tip in tips], abs=1e-4)
