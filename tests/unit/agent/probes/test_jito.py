"""What the agent tells of the block engine: figures each second, and results at once."""

import asyncio
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import quantiles

from solward.hosts.v1 import link_pb2

from agent.jito.results import Result
from agent.jito.transactions import read_bundle
from agent.link.batcher import Batcher
from agent.link.spool import Spool
from agent.probes.base import Series
from agent.probes.jito import JitoProbe, as_event
from tests.peers.block_engine import block_engine
from tests.unit.agent.jito.stand import Stand, make_engine


class Kept:
    def __init__(self) -> None:
        self.values: dict[Series, float] = {}
        self.counts: Counter[Series] = Counter()
        self.events: list[link_pb2.Event] = []
        self.urgent: list[bool] = []

    def sample(self, series: Series, value: float) -> None:
        if series.counts:
            self.counts[series] += int(value)
        else:
            self.values[series] = value

    def event(self, event: link_pb2.Event, *, urgent: bool = False) -> None:
        self.events.append(event)
        self.urgent.append(urgent)

    def position(self, source: str, value: str) -> None:
        raise AssertionError("the probe reads no source")


async def test_the_probe_tells_of_regions_sends_results_and_relays() -> None:
    async with block_engine("ny", "slc") as peer:
        engine, kept = make_engine(peer), Kept()
        await peer["slc"].down()
        peer["ny"].faults.foreign = 1
        relays = {"here": peer["ny"].json_rpc, "gone": peer["slc"].json_rpc}
        probe = JitoProbe(engine, relays)
        stand, task = Stand(peer, engine), asyncio.create_task(probe.run(kept))
        await stand.until(lambda: engine.streams["ny"].up and engine.regions["ny"].rtt_s)
        raw = stand.bundle()
        await stand.submit(raw, "ny")
        await stand.until(lambda: "finalized" in stand.outcomes(read_bundle(raw).ident))
        await stand.until(lambda: kept.counts[Series.counting("jito_relay_errors", relay="gone")])
        refused = Series.counting("jito_region_errors", region="slc", **{"class": "region_unavailable"})
        await stand.until(lambda: kept.counts[refused], 20.0)
        probe.tell(kept)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

        assert kept.values[Series.of("jito_results_stream_up", region="ny")] == 1
        assert kept.values[Series.of("jito_results_stream_up", region="slc")] == 0
        assert 0 < kept.values[Series.of("jito_region_rtt_seconds", region="ny")] < 0.5
        assert abs(kept.values[Series.of("jito_region_uplink_seconds", region="ny")]) < 0.5
        assert 0 <= kept.values[Series.of("jito_limiter_wait_seconds", region="ny")] < 1
        assert 0 < kept.values[Series.of("jito_relay_connect_seconds", relay="here")] < 0.5
        assert Series.of("jito_region_rtt_seconds", region="slc") not in kept.values
        assert kept.counts[Series.counting("jito_sends", region="ny", outcome="acknowledged")] == 1
        assert kept.counts[Series.counting("jito_bundle_results", region="ny", outcome="processed")] == 1
        assert kept.counts[Series.counting("jito_foreign_results", region="ny")] > 0
        assert [event.attributes["outcome"] for event in kept.events] == ["accepted", "processed", "finalized"]
        assert all(kept.urgent)


def test_an_event_says_what_the_engine_said() -> None:
    result = Result("ab" * 32, "ny", "state_auction_bid_rejected", 5, bid_lamports=0, message="why")
    event = as_event(result)
    assert (event.kind, event.unix_ms, event.severity) == ("jito.bundle", 5, link_pb2.SEVERITY_INFO)
    assert dict(event.attributes) == {
        "bundle": "ab" * 32, "region": "ny", "outcome": "state_auction_bid_rejected", "bid_lamports": "0",
        "message": "why",
    }  # fmt: skip
    assert as_event(Result("ab", "ny", "processed", 5, 7, "v")).attributes["slot"] == "7"


async def test_a_result_is_spooled_at_once_and_the_second_goes_on(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as worker:
        spool, spooled = Spool(tmp_path, 1 << 20), asyncio.Event()
        batcher = Batcher(spool, worker, spooled.set)
        task = asyncio.create_task(batcher.run())
        await asyncio.sleep(0)
        took = []
        for number in range(100):
            spooled.clear()
            batcher.sample(Series.of("a"), number)
            begun = time.perf_counter()
            batcher.event(as_event(Result(str(number), "ny", "processed", 5)), urgent=True)
            await spooled.wait()
            took.append(time.perf_counter() - begun)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await batcher.close_second()
        batches = spool.after(0, 1000)
        told = [event.attributes["bundle"] for one in batches for event in one.events.events]
        values = [value for one in batches for value in one.samples.values]
        spool.close()
    assert told == [str(number) for number in range(100)]
    assert values == list(range(100))
    print(f"spooled after {quantiles(took, n=100)[49] * 1000:.2f} ms (median), {max(took) * 1000:.2f} ms (most)")
    assert quantiles(took, n=100)[49] < 0.025


async def test_a_burst_of_results_is_kept_whole_and_one_without_end_is_counted(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as worker:
        spool = Spool(tmp_path, 1 << 20)
        batcher = Batcher(spool, worker, lambda: None)
        for number in range(1_003):
            batcher.event(as_event(Result(str(number), "ny", "processed", 5)), urgent=True)
        await batcher.close_second()
        batches = spool.after(0, 1000)
        spool.close()
    assert sum(len(one.events.events) for one in batches) == 1_000
    assert [list(one.samples.values) for one in batches if one.HasField("samples")] == [[1.0, 1.0, 1.0]]
