"""A fleet whose figures are told in a test, and who writes them to receivers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from prometheus_client import REGISTRY
from prometheus_client.core import Metric
from solward.hosts.v1 import link_pb2

from common.clock import now_ms
from controlplane.telemetry.fleet_page import FleetPage
from controlplane.telemetry.ingest import Ingest
from controlplane.telemetry.prometheus import PageSource, Whole
from controlplane.telemetry.remote_write.running import RemoteWrite
from controlplane.telemetry.remote_write.settings import RemoteWriteSettings

CLUSTER = "test.internal"
Told = tuple[str, dict[str, str], float]


class Fleet(PageSource):
    """What is shown: hosts as a test lets them tell, and families beside them."""

    def __init__(self, native: bool = False) -> None:
        self.ingest = Ingest(120, native)
        self.page = FleetPage(self.ingest)
        self.families: list[Metric] = []
        self._sequence = 0

    async def read(self) -> Whole:
        """Copy it."""
        return Whole(self.page.read(), list(self.families))

    def tell(self, host: str, *told: Told, second: int | None = None, counts: bool = False) -> None:
        """Let a host send one second of samples, by default the present one."""
        self._sequence += 1
        self.ingest.open(host, link_pb2.Hello(spool_id=f"{self._sequence:032x}"))
        definitions = [
            link_pb2.SeriesDefinition(id=place, name=name, labels=labels, counts=counts)
            for place, (name, labels, _) in enumerate(told)
        ]
        batch = link_pb2.SampleBatch(
            sequence=1, unix_ms=now_ms() if second is None else second * 1000, definitions=definitions,
            series=range(len(told)), values=[value for *_, value in told],
        )  # fmt: skip
        self.ingest.samples(host, batch)

    def observe(self, host: str, method: str, seconds: list[float]) -> None:
        """Let a host's method have answered so."""
        self.tell(host, ("solana_rpc_latency_seconds", {"method": method}, seconds[0]))
        row = self.ingest.histograms.row(host, method)
        self.ingest.histograms.observe(np.full(len(seconds) - 1, row), np.array(seconds[1:]))


def settings(*receivers: dict[str, Any], **more: Any) -> RemoteWriteSettings:
    """Make settings; of receivers without a name, each gets one."""
    named = [{"name": f"r{number}"} | one for number, one in enumerate(receivers)]
    external = {"instance": "cp-1"}
    return RemoteWriteSettings.model_validate({"receivers": named, "external_labels": external, **more})


@asynccontextmanager
async def writing(fleet: Fleet, wanted: RemoteWriteSettings) -> AsyncIterator[RemoteWrite]:
    """Run the senders for the length of the block; pages are made by `write_now` alone."""
    made = RemoteWrite(wanted, fleet, CLUSTER)
    tasks = [asyncio.create_task(sender.run()) for sender in made.senders]
    try:
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def sent(made: RemoteWrite, seconds: float = 20.0) -> None:
    """Wait until nothing waits any more."""
    async with asyncio.timeout(seconds):
        while any(sender.waiting_s() or sender._queue for sender in made.senders):
            await asyncio.sleep(0.01)


def counted(outcome: str, receiver: str = "r0") -> float:
    """Give how many samples came to an end."""
    labels = {"receiver": receiver, "outcome": outcome}
    return REGISTRY.get_sample_value("solward_remote_write_samples_total", labels) or 0.0
