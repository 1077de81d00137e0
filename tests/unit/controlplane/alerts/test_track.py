"""The course of an alert, by example and against a slow reading of the same rules."""

from hypothesis import given
from hypothesis import strategies as st

from controlplane.alerts.rules import LinkTrigger, Rule
from controlplane.alerts.track import Change, Track

RULE = Rule(
    name="x", severity="error", summary="x", link=LinkTrigger(state="offline"),
    for_seconds=10, resolve_seconds=5, cooldown_seconds=60,
)  # fmt: skip
T, F, U = True, False, None


def course(*looks: tuple[int, bool | None]) -> list[tuple[int, Change]]:
    track = Track()
    changes = [(second, track.observe(RULE, holds, second * 1000)) for second, holds in looks]
    return [(second, change) for second, change in changes if change is not Change.NOTHING]


def test_it_fires_after_its_time_and_not_before() -> None:
    assert course((1, T), (10, T), (11, T), (12, T)) == [(11, Change.FIRED)]


def test_a_break_begins_the_time_anew() -> None:
    assert course((1, T), (9, F), (10, T), (19, T), (20, T)) == [(20, Change.FIRED)]


def test_what_nobody_could_see_does_not_count_towards_firing() -> None:
    assert course((1, T), (9, U), (10, T), (19, T)) == []


def test_it_is_resolved_after_a_quiet_while() -> None:
    fired = [(1, T), (11, T)]
    assert course(*fired, (12, F), (15, F), (16, F)) == [(11, Change.FIRED), (16, Change.RESOLVED)]
    assert course(*fired, (12, F), (13, T), (17, F), (18, F)) == [(11, Change.FIRED), (18, Change.RESOLVED)]


def test_while_the_monitor_is_blind_it_neither_ends_nor_stays_sure() -> None:
    looks = [(1, T), (11, T), (12, U), (100, U), (101, F), (104, F), (105, F)]
    expected = [(11, Change.FIRED), (12, Change.UNSURE), (101, Change.UNSURE), (105, Change.RESOLVED)]
    assert course(*looks) == expected


def test_within_the_cooldown_it_is_the_same_alert() -> None:
    track = Track()
    for second, holds in ((1, T), (11, T), (16, F), (20, T), (30, T)):
        track.observe(RULE, holds, second * 1000)
    assert (track.fire_ms, track.times) == (30_000, 2)
    for second, holds in ((40, F), (200, T), (210, T)):
        track.observe(RULE, holds, second * 1000)
    assert (track.fire_ms, track.times) == (210_000, 1)


@given(st.lists(st.tuples(st.integers(1, 9), st.sampled_from([T, F, U])), max_size=60))
def test_it_always_fires_before_it_is_resolved(steps: list[tuple[int, bool | None]]) -> None:
    track, now, firing = Track(), 0, False
    true_since: int | None = None
    for seconds, holds in steps:
        now += seconds * 1000
        if not firing:
            true_since = (true_since if true_since is not None else now) if holds else None
        change = track.observe(RULE, holds, now)
        assert not (change is Change.FIRED and firing)
        if change is Change.FIRED:
            assert true_since is not None
            assert now - true_since >= RULE.for_seconds * 1000
            firing = True
        elif change is Change.RESOLVED:
            assert firing
            assert holds is False
            firing, true_since = False, None
        elif not firing and true_since is not None:
            assert now - true_since < RULE.for_seconds * 1000
        assert bool(track.fire_ms) is firing
