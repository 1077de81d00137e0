"""What plugins' pages say, by new names and old ones, and what changed between two looks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.geyser.plugin_metrics import Meter, Page, read
from tests.peers.plugin_metrics import PAGES, Figures

FIGURES = Figures(
    seen_slot=1_005, sent_slot=1_003, accounts=700, transactions=90, slots=11, failed=4, dropped=3, queue=17,
    blocks_failed=2, statuses_missed=5,
)  # fmt: skip


@pytest.mark.parametrize("style", ["yellowstone", "yellowstone_old"])
def test_yellowstone_is_read_by_each_of_its_spellings(style: str) -> None:
    page = read(PAGES[style](FIGURES).encode())
    assert page.known
    assert (page.newest_slot, page.seen_slot, page.queue) == (1_003, 1_005, 17)
    assert page.events == {"account": 700}
    # The reason "all" holds the others.
    assert page.failed == {"block": 2, "slot": 5}
    assert page.dropped == ({"account": 3} if style == "yellowstone" else {})


def test_the_kafka_plugin_is_read() -> None:
    page = read(PAGES["kafka"](FIGURES).encode())
    assert (page.newest_slot, page.queue) == (None, 19)
    assert page.events == {"account": 700, "slot": 11, "transaction": 90}
    assert page.failed == {"account": 4}


def test_a_page_of_somebody_else_is_not_known() -> None:
    assert not read(PAGES["stranger"](FIGURES).encode()).known


def test_figures_that_are_none_are_left_out() -> None:
    page = read(
        b'slot_status{status="processed"} NaN\nmessage_queue_size -1\nupload_slots_total{status="success"} +Inf\n'
    )
    assert page == Page()


def test_a_plugin_of_unknown_events_drops_something_else() -> None:
    page = read(b'yellowstone_grpc_geyser_event_dropped_total{event="ContactInfo"} 2\n')
    assert page.dropped == {"other": 2}


def test_changes_are_what_was_counted_in_between() -> None:
    meter, figures = Meter(), Figures(dropped=100, accounts=5)
    first = meter.see(read(PAGES["yellowstone"](figures).encode()), 10.0)
    # What was counted before the first look happened at nobody knows what time.
    assert (first.restarted, first.rates, first.dropped) == (False, {}, {})
    figures.dropped, figures.accounts, figures.seen_slot = 103, 1_005, 1_010
    change = meter.see(read(PAGES["yellowstone"](figures).encode()), 14.0)
    assert change.rates == {"account": 250, "slot": 2.5}
    assert change.dropped == {"account": 3}
    assert not any(change.failed.values())


def test_a_slot_that_goes_back_as_forks_do_is_no_restart() -> None:
    meter = Meter()
    meter.see(read(PAGES["yellowstone"](Figures(seen_slot=1_005)).encode()), 1.0)
    change = meter.see(read(PAGES["yellowstone"](Figures(seen_slot=1_003)).encode()), 2.0)
    assert (change.restarted, change.rates["slot"]) == (False, 0.0)
    gone = meter.see(read(PAGES["yellowstone"](Figures(seen_slot=0)).encode()), 3.0)
    assert gone.restarted


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), min_size=1, max_size=30))
def test_what_is_counted_over_restarts_is_what_happened_since_the_first_look(steps: list[tuple[int, bool]]) -> None:
    meter, figures = Meter(), Figures(accounts=1_000)
    meter.see(read(PAGES["kafka"](figures).encode()), 0.0)
    happened = counted = restarts = found = 0
    for place, (failed, restarts_now) in enumerate(steps, 1):
        if restarts_now:
            figures.begin_anew()
            restarts += 1
        figures.failed += failed
        figures.accounts += 1
        happened += failed
        change = meter.see(read(PAGES["kafka"](figures).encode()), float(place))
        counted += int(sum(change.failed.values()))
        found += change.restarted
        assert all(rate >= 0 for rate in change.rates.values())
        # So that the next restart shows.
        figures.accounts += 10
        meter.see(read(PAGES["kafka"](figures).encode()), place + 0.5)
    assert (counted, found) == (happened, restarts)
