"""Regions as they are told: in the order in which a bundle would try them, with the reasons."""

import time

import pytest
from solward.hosts.v1 import link_pb2

from common.clock import now_ms
from controlplane.mev.landings import Landings
from controlplane.mev.regions import DEAF_SECONDS, choices, regions
from controlplane.telemetry.ingest import Ingest


@pytest.fixture
def ingest() -> Ingest:
    made = Ingest(60)
    made.open("sol-1", link_pb2.Hello(spool_id="a" * 32))
    return made


def told(ingest: Ingest, *rows: tuple[str, str, float], back_s: int = 0) -> None:
    """Tell of regions, as of so many seconds ago; to be told in the order of time."""
    definitions = [
        link_pb2.SeriesDefinition(id=place, name=name, labels={"region": region})
        for place, (name, region, _) in enumerate(rows)
    ]
    ingest.feeds["sol-1"].ring.forget_ids()
    batch = link_pb2.SampleBatch(
        sequence=ingest.feeds["sol-1"].sequence + 1, unix_ms=now_ms() - back_s * 1000, definitions=definitions,
        series=range(len(rows)), values=[value for _, _, value in rows],
    )  # fmt: skip
    ingest.samples("sol-1", batch)


RTTS = (("jito_region_rtt_seconds", "ny", 0.010), ("jito_region_rtt_seconds", "slc", 0.050))


def test_the_order_is_told_with_its_reasons(ingest: Ingest) -> None:
    told(ingest, *RTTS)
    rows = regions(ingest, ["sol-1", "gone"], Landings(), time.time())
    assert [(one.region, one.rank) for one in rows] == [("ny", 1), ("slc", 2)]
    assert rows[0].reasons[0] == "round trip 10 ms"
    assert rows[0].worth > rows[1].worth > 0
    assert not rows[0].HasField("leader_here")
    assert choices(ingest, "gone", Landings(), 0.0) == []


def test_an_agent_that_has_gone_tells_of_no_region(ingest: Ingest) -> None:
    told(ingest, *RTTS, ("jito_region_leader_slots", "slc", 4), ("jito_results_stream_up", "slc", 1.0))
    later = time.time() + DEAF_SECONDS + 1
    rows = regions(ingest, ["sol-1"], Landings(), later)
    assert [(one.region, one.rank, list(one.reasons)) for one in rows] == [
        (name, 0, ["its agent tells nothing"]) for name in ("ny", "slc")
    ]
    assert not any(one.stream_up or one.HasField("rtt_ms") or one.HasField("leader_here") for one in rows)
    assert choices(ingest, "sol-1", Landings(), later) == []


def test_a_leader_counts_while_its_turn_may_last(ingest: Ingest) -> None:
    told(ingest, *RTTS, ("jito_region_leader_slots", "slc", 4), back_s=2)
    told(ingest, *RTTS)
    first, second = regions(ingest, ["sol-1"], Landings(), time.time())
    # Four slots away, two seconds ago: it is its turn, and was for a slot.
    assert (first.region, first.leader_here, second.leader_here) == ("slc", True, False)
    assert "the next leader is here, in 0 slots" in first.reasons
    here, *elsewhere = choices(ingest, "sol-1", Landings(), time.time())
    assert (here.standing.slots, here.standing.left_ms) == (-1, 1_200)
    # Whoever would send it elsewhere waits for the same leader.
    assert [(one.standing.leader, one.standing.slots) for one in elsewhere] == [(False, -1)] * len(elsewhere)


def test_a_turn_that_is_over_counts_no_more(ingest: Ingest) -> None:
    told(ingest, ("jito_region_leader_slots", "slc", 1), back_s=4)
    told(ingest, *RTTS)
    rows = regions(ingest, ["sol-1"], Landings(), time.time())
    assert [one.region for one in rows] == ["ny", "slc"]
    assert not any(one.HasField("leader_here") for one in rows)


def test_a_region_left_alone_is_last(ingest: Ingest) -> None:
    told(ingest, *RTTS, ("jito_region_left_alone", "ny", 1.0))
    assert [one.region for one in choices(ingest, "sol-1", Landings(), 0.0)] == ["slc", "ny"]


def test_what_the_engine_lists_is_shown_beside_what_is_used(ingest: Ingest) -> None:
    told(
        ingest, *RTTS, ("jito_region_listed", "ny", 1.0), ("jito_region_listed", "slc", 0.0),
        ("jito_region_unknown", "tokyo", 1.0),
    )  # fmt: skip
    ny, slc, tokyo = regions(ingest, ["sol-1"], Landings(), time.time())
    assert (ny.listed, slc.listed, slc.reasons[-1]) == (True, False, "the block engine does not list it")
    assert (tokyo.region, tokyo.unknown, tokyo.rank) == ("tokyo", True, 0)
    assert [one.region for one in choices(ingest, "sol-1", Landings(), 0.0)] == ["ny", "slc"]
