"""Scores are kept as samples, and only as the control plane itself made them."""

from pathlib import Path

import pytest
from solward.hosts.v1 import link_pb2

from controlplane.telemetry.ingest import Ingest
from controlplane.telemetry.kept_scores import FLEET, scores
from controlplane.telemetry.store.keeper import Keeper
from controlplane.telemetry.store.model import Aggregation
from tests.support.telemetry import MIDNIGHT
from tests.support.telemetry import World as StoreWorld
from tests.unit.controlplane.telemetry.test_analysis import METHODS
from tests.unit.controlplane.telemetry.test_analysis import World as FleetWorld


async def stored(world: StoreWorld, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    frame = await world.store.query_range(name, [], MIDNIGHT, MIDNIGHT + 60_000, 60_000, Aggregation("last"))
    return {key.labels: values[0] for key, values in zip(frame.series, frame.values.tolist(), strict=True)}


async def test_the_scores_of_methods_hosts_and_the_fleet_are_stored(tmp_path: Path) -> None:
    fleet, kept = FleetWorld(), StoreWorld(tmp_path)
    await fleet.learn()
    await fleet.pass_seconds(60, failing="sol-2")
    keeper = Keeper(kept.store)
    ingest = Ingest(900)
    ingest.keep(kept.store, keeper)
    found = list(scores(fleet.analysis))
    ingest.record(MIDNIGHT, found)
    assert await keeper.flush()
    methods = await stored(kept, "solana_rpc_health_score")
    hosts = await stored(kept, "solana_rpc_host_health_score")
    assert len(methods) == 4 * len(METHODS)
    assert hosts[("host", "sol-2"),] < 40 < 80 < hosts[("host", "sol-1"),]
    whole = await stored(kept, "solana_rpc_fleet_health_score")
    assert whole == {(("host", FLEET),): pytest.approx(sum(hosts.values()) / len(hosts))}
    await kept.store.close()


async def test_an_agent_cannot_have_scores_stored(tmp_path: Path) -> None:
    kept = StoreWorld(tmp_path)
    keeper = Keeper(kept.store)
    ingest = Ingest(900)
    ingest.keep(kept.store, keeper)
    ingest.open("sol-1", link_pb2.Hello(spool_id="a" * 32))
    names = ["solana_rpc_host_health_score", "solana_rpc_slot"]
    definitions = [link_pb2.SeriesDefinition(id=place, name=name) for place, name in enumerate(names)]
    ingest.samples("sol-1", link_pb2.SampleBatch(
        sequence=1, unix_ms=MIDNIGHT, definitions=definitions, series=[0, 1], values=[100.0, 5.0],
    ))  # fmt: skip
    assert await keeper.flush()
    assert await stored(kept, "solana_rpc_host_health_score") == {}
    assert await stored(kept, "solana_rpc_slot") == {(("host", "sol-1"),): 5.0}
    await kept.store.close()


def test_without_a_store_scores_are_let_go() -> None:
    ingest = Ingest(900)
    ingest.record(MIDNIGHT, [("sol-1", ("solana_rpc_host_health_score", ()), 50.0)])
    assert ingest.store is None
