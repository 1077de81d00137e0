"""Explanations: a counter that moves a method is named, with its lag; silence where nothing does."""

import asyncio

import numpy as np
import pytest
from solward.hosts.v1 import link_pb2
from solward.rpc.v1 import rpc_pb2 as pb

from controlplane.telemetry import explanations as module
from controlplane.telemetry.explain_report import explanations
from controlplane.telemetry.explanations import KEPT_S, WINDOW_SECONDS, Explanations
from controlplane.telemetry.ingest import Ingest
from ctl.views.rpc_explain import explained

BEGAN_S = 1_700_000_000
LAG = 3
SERIES = (
    ("solana_rpc_latency_seconds", {"method": "getBlock"}, False),
    ("solana_rpc_latency_seconds", {"method": "getSlot"}, False),
    ("node_softnet_times_squeezed_total", {}, False),
    ("node_network_receive_bytes_total", {"device": "eth0"}, False),
    ("solana_rpc_errors", {"method": "getBlock", "class": "timeout"}, True),
)


class World:
    """One host, whose getBlock is slow some seconds after its network processing was squeezed."""

    def __init__(self, *, moved: float) -> None:
        self.ingest = Ingest(WINDOW_SECONDS)
        self.explanations = Explanations(self.ingest)
        self.random = np.random.default_rng(11)
        self.second = BEGAN_S
        self.moved = moved
        self.squeezes = [0.0] * LAG
        self.totals = [1e6, 5e13]
        self.ingest.open("sol-1", link_pb2.Hello(spool_id="a" * 32))

    def pass_seconds(self, count: int) -> None:
        for _ in range(count):
            self.second += 1
            squeezed = float(self.random.poisson(40))
            self.squeezes.append(squeezed)
            self.totals[0] += squeezed
            self.totals[1] += float(self.random.normal(2e7, 1e6))
            block = 0.02 * float(self.random.lognormal(0.0, 0.2)) * (1 + self.moved * self.squeezes[-1 - LAG])
            values = [block, 0.001 * float(self.random.lognormal(0.0, 0.2)), *self.totals]
            failed = self.random.random() < 0.01
            definitions = [
                link_pb2.SeriesDefinition(id=place, name=name, labels=labels, counts=counts)
                for place, (name, labels, counts) in enumerate(SERIES)
            ]
            batch = link_pb2.SampleBatch(
                sequence=self.second - BEGAN_S, unix_ms=self.second * 1000, definitions=definitions,
                series=range(4 + failed), values=values + [1.0] * failed,
            )  # fmt: skip
            self.ingest.samples("sol-1", batch)

    async def look(self) -> pb.HostExplanations:
        await self.explanations.look("sol-1", float(self.second))
        return explanations(self.explanations, ["sol-1"]).hosts[0]


async def test_the_counter_that_moves_a_method_is_named_with_its_lag() -> None:
    world = World(moved=0.05)
    world.pass_seconds(WINDOW_SECONDS)
    row = await world.look()
    assert [(one.method, one.counter, one.lag_seconds) for one in row.explanations] == [
        ("getBlock", "node_softnet_times_squeezed_total", LAG)
    ]
    assert row.explanations[0].rho > 0.3
    line = explained(row).splitlines()[1]
    assert "getBlock latency[/] rises 3 s after node_softnet_times_squeezed_total: rho 0." in line


async def test_silence_where_nothing_moves_with_anything() -> None:
    world = World(moved=0.0)
    world.pass_seconds(WINDOW_SECONDS)
    row = await world.look()
    assert list(row.explanations) == []
    assert (row.looks, row.seconds) == (1, WINDOW_SECONDS)
    assert "nothing moves" in explained(row)


async def test_a_finding_is_kept_for_an_hour_with_its_looks() -> None:
    world = World(moved=0.05)
    world.pass_seconds(WINDOW_SECONDS)
    first = (await world.look()).explanations[0]
    world.pass_seconds(60)
    again = (await world.look()).explanations[0]
    assert (again.looks, again.first_time) == (2, first.first_time)
    assert again.last_time.seconds == first.last_time.seconds + 60
    world.moved = 0.0
    world.pass_seconds(WINDOW_SECONDS)
    row = await world.look()
    assert [one.looks for one in row.explanations] == [2]
    world.second += int(KEPT_S)
    assert list((await world.look()).explanations) == []


async def test_a_host_that_has_just_come_says_how_little_there_is() -> None:
    world = World(moved=0.05)
    world.pass_seconds(100)
    row = await world.look()
    assert (list(row.explanations), row.seconds) == ([], 100)
    assert "there are 100" in explained(row)


async def test_a_host_that_is_forgotten_has_no_explanations() -> None:
    world = World(moved=0.05)
    world.pass_seconds(300)
    await world.look()
    world.ingest.forget("sol-1")
    await world.explanations.look("sol-1", float(world.second))
    assert list(explanations(world.explanations, ["sol-1"]).hosts) == []


async def test_each_host_is_looked_at_in_its_turn_and_a_new_one_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PERIOD_S", 0.3)
    monkeypatch.setattr(module, "IDLE_S", 0.01)
    world = World(moved=0.0)
    world.pass_seconds(250)
    running = asyncio.create_task(world.explanations.run())
    await asyncio.sleep(0.1)
    world.ingest.open("sol-2", link_pb2.Hello(spool_id="b" * 32))
    await asyncio.sleep(0.1)
    looks = {row.host: row.looks for row in explanations(world.explanations, ["sol-1", "sol-2"]).hosts}
    assert looks == {"hosts/sol-1": 1, "hosts/sol-2": 1}
    await asyncio.sleep(0.4)
    assert explanations(world.explanations, ["sol-1"]).hosts[0].looks >= 2
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
