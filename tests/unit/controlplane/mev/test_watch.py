"""Whether bundles fare as they are used to: told where something is wrong, and silent where it may be chance."""

from collections.abc import Iterable

import numpy as np
from prometheus_client import REGISTRY
from solward.hosts.v1 import link_pb2
from solward.jito.v1 import jito_pb2 as pb

from controlplane.mev.watch import BEFORE_LEAST, NEWEST, SHADOWED, Watch, partial
from controlplane.telemetry.ingest import Ingest

EXPIRED, FINAL = pb.BUNDLE_STATE_EXPIRED, pb.BUNDLE_STATE_FINALIZED


def bundle(state: pb.BundleState, *kinds: str, observed: bool = True, host: str = "hosts/sol-1") -> pb.Bundle:
    events = [pb.BundleEvent(kind=kind) for kind in ("sent", *kinds)]
    return pb.Bundle(name="bundles/x", host=host, state=state, observed=observed, events=events)


def kinds(watch: Watch, *ended: pb.Bundle) -> list[str]:
    return [event.kind for one in ended for event in watch.take(one, 5)]


def test_a_bundle_that_landed_in_part_is_told_at_once() -> None:
    assert kinds_of(partial(bundle(pb.BUNDLE_STATE_PARTIAL, "accepted"))) == ["jito.partial"]
    assert kinds_of(partial(bundle(EXPIRED))) == []


def test_silence_of_many_in_a_row_is_a_shadow_drop_where_it_could_have_been_heard() -> None:
    silent = [bundle(EXPIRED)] * SHADOWED
    assert kinds(Watch(), *silent[1:]) == []
    assert kinds(Watch(), *silent) == ["jito.shadow_drop"]
    assert kinds(Watch(), *silent[1:], bundle(EXPIRED, "state_auction_bid_rejected")) == []
    assert kinds(Watch(), *silent[1:], bundle(FINAL)) == []
    assert kinds(Watch(), *[bundle(EXPIRED, observed=False)] * SHADOWED) == []
    # Those of another host say nothing of this one.
    assert kinds(Watch(), *silent[1:], bundle(EXPIRED, host="hosts/sol-2")) == []


def test_a_collapse_is_told_and_a_slow_day_is_not() -> None:
    random = np.random.default_rng(3)

    def some(share: float, count: int) -> list[pb.Bundle]:
        return [
            bundle(FINAL, "accepted") if random.random() < share else bundle(EXPIRED, "state_auction_bid_rejected")
            for _ in range(count)
        ]

    assert "jito.acceptance_collapse" in kinds(Watch(), *some(0.6, 3 * BEFORE_LEAST), *some(0.05, NEWEST))
    told = sum("jito.acceptance_collapse" in kinds(Watch(), *some(0.3, 300)) for _ in range(20))
    assert told <= 1


def test_what_no_block_engine_received_counts_for_nothing() -> None:
    watch = Watch()
    assert kinds(watch, *[bundle(pb.BUNDLE_STATE_FAILED)] * 50) == []


def shown(host: str) -> dict[str, float]:
    names = ("jito_bundle_acceptance_rate", "jito_bundle_landing_rate")
    values = {name: REGISTRY.get_sample_value(name, {"host": host}) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def test_rates_of_a_host_that_is_cut_off_are_shown_no_more() -> None:
    ingest, watch = Ingest(60), Watch()
    ingest.forgetters.append(watch.forget)
    for host in ("gone", "stays"):
        watch.take(bundle(FINAL, "accepted", host=f"hosts/{host}"), 5)
    assert len(shown("gone")) == len(shown("stays")) == 2
    ingest.forget("gone")
    ingest.forget("never-there")
    assert (shown("gone"), len(shown("stays"))) == ({}, 2)
    # Its last bundles end later: they are judged, and not shown.
    silent = [watch.take(bundle(EXPIRED, host="hosts/gone"), 5, shown=False) for _ in range(SHADOWED)]
    assert kinds_of(silent[-1]) == ["jito.shadow_drop"]
    assert shown("gone") == {}
    # One of the same name that joins again begins anew.
    watch.forget("gone")
    watch.take(bundle(EXPIRED, host="hosts/gone"), 5)
    assert shown("gone") == {"jito_bundle_acceptance_rate": 0.0, "jito_bundle_landing_rate": 0.0}


def kinds_of(events: Iterable[link_pb2.Event]) -> list[str]:
    return [event.kind for event in events]
