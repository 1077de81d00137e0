"""A load generator of its own process: many agents' streams at 1 Hz, or a burst of a few.

Reads one JSON object from standard input, writes one to standard output.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import uvloop
from solward.hosts.v1 import link_pb2
from solward.hosts.v1.link_pb2_grpc import LinkServiceStub

from agent import PROTOCOL, VERSION
from common.clock import now_ms
from tests.bench.setup import Certified, mtls_channel


class Streamer:
    """One agent's stream."""

    def __init__(self, who: Certified, series: int, metric: str) -> None:
        self._who = who
        self._series = series
        self._metric = metric
        self.sent = 0
        self.acked = 0
        self.connected = asyncio.Event()
        self._sequence = 0

    async def run(self, port: int, ca_pem: str, begin: float, period_s: float, batches: int) -> None:
        """Send batches on a schedule and wait until all are acknowledged."""
        async with mtls_channel(port, ca_pem, self._who) as channel:
            call = LinkServiceStub(channel).Connect(self._messages(begin, period_s, batches))
            async for message in call:
                if message.HasField("welcome"):
                    self.connected.set()
                elif message.HasField("ack"):
                    self.acked = message.ack.sequence
                    if self.acked == batches:
                        return

    async def _messages(self, begin: float, period_s: float, batches: int) -> AsyncIterator[link_pb2.ConnectRequest]:
        hello = link_pb2.Hello(
            agent_version=VERSION, protocol=PROTOCOL, spool_id=self._who.uid, first_sequence=1, unix_ms=now_ms()
        )
        yield link_pb2.ConnectRequest(hello=hello)
        await self.connected.wait()
        for number in range(batches):
            await asyncio.sleep(max(0.0, begin + number * period_s - time.time()))
            yield self._batch()

    def _batch(self) -> link_pb2.ConnectRequest:
        self._sequence += 1
        batch = link_pb2.SampleBatch(sequence=self._sequence, unix_ms=now_ms())
        if self._sequence == 1:
            for number in range(self._series):
                # Twenty of an agent's series are latencies, as of twenty methods.
                name = self._metric if number < 20 else f"node_counter_{number}"
                batch.definitions.add(id=number, name=name, labels={"method": f"m{number}"})
        batch.series.extend(range(self._series))
        batch.values.extend([0.001 * self._sequence] * self._series)
        self.sent += self._series
        return link_pb2.ConnectRequest(samples=batch)


async def main(order: dict[str, Any]) -> dict[str, Any]:
    """Run every stream; give how many samples were sent and acknowledged, and how long it took."""
    agents = [
        Certified(who["uid"], who["name"], who["key"].encode(), who["certificate"].encode()) for who in order["agents"]
    ]
    streams = [Streamer(who, order["series"], "solana_rpc_latency_seconds") for who in agents]
    begin = time.time() + order["settle_s"]
    count = len(streams)
    async with asyncio.TaskGroup() as group:
        for index, stream in enumerate(streams):
            # Agents' seconds do not begin together.
            offset = index / count * order["period_s"]
            group.create_task(
                stream.run(order["port"], order["ca_pem"], begin + offset, order["period_s"], order["batches"])
            )
            await asyncio.sleep(0.005)
    took = time.time() - begin
    return {"sent": sum(stream.sent for stream in streams), "seconds": took}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(main(json.load(sys.stdin)))))
