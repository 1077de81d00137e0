"""Analysis: what is unusual is found on the host where it is, told, quiet once acknowledged, and scored."""

from collections.abc import Iterable

import numpy as np
import pytest
from solward.hosts.v1 import link_pb2

from controlplane.telemetry.analysis import KIND, TOLD_AGAIN_S, Analysis
from controlplane.telemetry.health_report import anomaly, health
from controlplane.telemetry.ingest import Ingest

METHODS = ("getBlock", "getHealth", "getSlot")
HOSTS = ("sol-1", "sol-2", "sol-3", "sol-4")
BEGAN_S = 1_700_000_000


class World:
    """A fleet whose seconds pass when they are told to."""

    def __init__(self, seed: int = 7) -> None:
        self.ingest = Ingest(900)
        self.told: list[tuple[str, link_pb2.Event]] = []
        self.analysis = Analysis(self.ingest, self._take, capacity=64, hosts=8)
        self.random = np.random.default_rng(seed)
        self.second = BEGAN_S
        self.sequence = 0
        for host in HOSTS:
            self.ingest.open(host, link_pb2.Hello(spool_id="a" * 32))

    async def _take(self, host: str, events: Iterable[link_pb2.Event]) -> None:
        self.told += [(host, event) for event in events]

    async def pass_seconds(
        self, seconds: int, *, slow: str = "", times: float = 1.0, failing: str = "", gone: str = ""
    ) -> None:
        for _ in range(seconds):
            self.second += 1
            self.sequence += 1
            for host in HOSTS:
                if host in self.ingest.feeds and host != gone:
                    self._send(host, times if host == slow else 1.0, failing == host)
            await self.analysis.tick(float(self.second))

    def _send(self, host: str, times: float, failing: bool) -> None:
        definitions, values = [], []
        for method in METHODS:
            latency = 0.005 * float(self.random.lognormal(0.0, 0.3)) * times
            series = [("solana_rpc_latency_seconds", {"method": method}, latency, False),
                      ("solana_rpc_requests", {"method": method}, 1.0, True)]  # fmt: skip
            if failing:
                error = {"method": method, "class": "timeout"}
                series = [*series[1:], ("solana_rpc_errors", error, 1.0, True)]
            for name, labels, value, counts in series:
                place = len(definitions)
                definitions.append(link_pb2.SeriesDefinition(id=place, name=name, labels=labels, counts=counts))
                values.append(value)
        batch = link_pb2.SampleBatch(
            sequence=self.sequence, unix_ms=self.second * 1000, definitions=definitions,
            series=range(len(values)), values=values,
        )  # fmt: skip
        self.ingest.samples(host, batch)

    async def learn(self) -> None:
        """Let the bank see what is usual for as long as it takes, without the rest of each second."""
        await self.pass_seconds(1)
        rows = len(HOSTS) * len(METHODS)
        for _ in range(2000):
            self.analysis._bank.update(np.log(0.005 * self.random.lognormal(0.0, 0.3, rows)))
        await self.pass_seconds(120)

    def scores(self) -> dict[str, float]:
        return {row.host.removeprefix("hosts/"): row.summary.score for row in health(self.analysis, "").hosts}


async def test_a_host_that_slows_down_is_found_told_and_scored() -> None:
    world = World()
    await world.learn()
    assert world.told == []
    calm = world.scores()
    assert min(calm.values()) > 85
    await world.pass_seconds(45, slow="sol-2", times=6.0)
    assert {host for host, _ in world.told} == {"sol-2"}
    event = world.told[0][1]
    assert event.kind == KIND
    assert "solana_rpc_latency_seconds{method=" in event.message
    found = anomaly(world.analysis, "sol-2")
    assert found is not None
    first = found.suspects[0]
    assert first.labels["method"] in METHODS
    # What stands for a level is a few seconds' median; it may have learned a little of the new one already.
    assert first.usual == pytest.approx(0.005, rel=0.5)
    assert first.value > 3 * first.usual
    assert abs(found.start_time.seconds - (BEGAN_S + 121)) < 15
    assert [anomaly(world.analysis, host) for host in ("sol-1", "sol-3")] == [None, None]
    scores = world.scores()
    assert scores["sol-2"] < min(calm.values()) - 10
    assert scores["sol-1"] == pytest.approx(calm["sol-1"], abs=6)
    fleet = health(world.analysis, "sol-2")
    assert [row.host for row in fleet.hosts] == ["hosts/sol-2"]
    assert fleet.fleet.worst == pytest.approx(scores["sol-2"], abs=1e-6)


async def test_what_is_acknowledged_is_quiet_while_it_lasts() -> None:
    world = World()
    await world.learn()
    await world.pass_seconds(30, slow="sol-3", times=6.0)
    before = len(world.told)
    assert before
    assert {key[0] for key in world.analysis.acknowledge("sol-3")} == {"solana_rpc_latency_seconds"}
    await world.pass_seconds(int(TOLD_AGAIN_S) + 10, slow="sol-3", times=6.0)
    assert len(world.told) == before
    assert world.analysis.standing("sol-3") is None
    assert world.analysis.acknowledge("nobody") == []


async def test_a_host_that_fails_every_call_has_next_to_no_score() -> None:
    world = World()
    await world.pass_seconds(120)
    await world.pass_seconds(40, failing="sol-4")
    row = next(row for row in health(world.analysis, "sol-4").hosts)
    assert row.summary.score == 0.0
    assert all(one.availability == 0.0 for one in row.methods)


async def test_silence_is_not_known_and_a_host_that_is_gone_is_forgotten() -> None:
    world = World()
    await world.pass_seconds(60)
    world.ingest.forget("sol-1")
    await world.pass_seconds(2)
    assert set(world.scores()) == set(HOSTS) - {"sol-1"}
    # Its rows are free for another.
    world.ingest.open("sol-1", link_pb2.Hello(spool_id="b" * 32))
    await world.pass_seconds(5)
    assert set(world.scores()) == set(HOSTS)


async def test_more_hosts_than_there_is_room_for_are_left_out_and_others_go_on() -> None:
    world = World()
    world.analysis = Analysis(world.ingest, world._take, capacity=6, hosts=2)
    await world.pass_seconds(5)
    assert len(world.scores()) == 2


def test_nothing_is_known_of_an_empty_fleet() -> None:
    found = health(World().analysis, "")
    assert not found.hosts
    assert not found.fleet.HasField("score")
