"""A Geyser pipeline, whole: a node, a Kafka broker, a consumer that is a unit, a PostgreSQL table; and its faults."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.authorities import task
from tests.support.cluster import About, Cluster, HostProcess, cluster
from tests.support.kafka import KafkaServer
from tests.support.pipeline import GROUP, HOST, SETTINGS, TOPIC, UNIT, feed, stores
from tests.support.postgres import PostgresServer

PATIENCE_S = 60.0
pytestmark = pytest.mark.timeout(240)


@dataclass
class Pipeline:
    """The pipeline, and what a test may do to it."""

    made: Cluster
    host: HostProcess
    broker: KafkaServer
    database: PostgresServer

    async def look(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.made.ctl_json("geyser", "explain", "slots")
        return found

    async def until(self, wanted: dict[str, str], at_fault: str = "") -> dict[str, Any]:
        """Wait until hops flow as wanted, and one is named."""
        found: dict[str, Any] = {}
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    found = await self.look()
                    flows = {hop["name"]: hop["flow"].removeprefix("FLOW_") for hop in found["hops"]}
                    if wanted.items() <= flows.items() and at_fault in ("", found["slowHop"]):
                        return found
                    await asyncio.sleep(0.5)
        except TimeoutError:
            raise AssertionError(found) from None


@asynccontextmanager
async def pipeline(folder: Path) -> AsyncIterator[Pipeline]:
    """Run all of it."""
    with stores(folder) as kept:
        async with cluster(folder, require_second_factor=False, geyser=SETTINGS) as made:
            await made.sign_in()
            about = About(geyser=kept.looked_at(), services={UNIT: kept.consumer(folder)})
            host = await made.add_host(HOST, about)
            async with task(feed(host, kept.broker)):
                yield Pipeline(made, host, kept.broker, kept.database)


FLOWS = {"node": "OK", "topic": "OK", "indexer": "OK", "rows": "OK"}


async def test_each_fault_is_named_where_it_is(tmp_path: Path) -> None:
    async with pipeline(tmp_path) as line:
        good = await line.until(FLOWS)
        assert good["flow"] == "FLOW_OK"
        assert good["behindSeconds"] < 15, good
        assert good["message"].startswith("everything flows; ")
        listed = await line.made.ctl("geyser", "pipelines")
        assert [one for one in listed.out.splitlines() if one.split()[:2] == ["slots", "ok"]], listed.out
        (group,) = await line.made.ctl_json("geyser", "lag", "--group", GROUP)
        assert (group["topic"], group["members"], group["state"]) == (TOPIC, 1, "stable")

        (tmp_path / "hang").touch()
        found = await line.until({"indexer": "STALLED", "rows": "STARVED"}, "indexer")
        assert "partitions get messages and commit none" in found["message"]
        # It is off: nothing is done by itself.
        assert found["recovery"].get("enabled", False) is False
        (tmp_path / "hang").unlink()
        await line.until(FLOWS)

        await asyncio.to_thread(line.database.stop)
        found = await line.until({"rows": "DOWN"}, "rows")
        assert found["message"] == "sink rows: it does not answer"
        await asyncio.to_thread(line.database.start)

        await asyncio.to_thread(line.broker.stop)
        await line.until({"topic": "DOWN"}, "topic")


async def test_a_consumer_that_hangs_is_restarted_once_it_is_let(tmp_path: Path) -> None:
    async with pipeline(tmp_path) as line:
        await line.until(FLOWS)
        await line.made.ctl("geyser", "recovery", "slots", "on", "--yes")
        (tmp_path / "hang").touch()
        await line.until({"indexer": "STALLED"}, "indexer")
        async with asyncio.timeout(PATIENCE_S):
            # Not before: a busy machine may see it flow for a moment that it does not.
            while not (await line.look())["recovery"]["operation"]:
                await asyncio.sleep(0.5)
        found = await line.until(FLOWS)
        assert found["recovery"]["attemptsLastHour"] == 1
        (operation,) = [
            one for one in await line.made.ctl_json("operations", "list") if one["kind"] == "geyser.restart"
        ]
        assert operation["state"] == "OPERATION_STATE_SUCCEEDED"
        assert operation["requester"] == "admin"
        assert "partitions get messages and commit none" in operation["reason"]
        assert operation["name"] == found["recovery"]["operation"]
        audit = await line.made.ctl("audit", "list", "--output", "json")
        assert operation["name"] in audit.out
        alerts = await line.made.ctl_json("alerts")
        assert [one for one in alerts if one["rule"] == "pipeline_recovery"], alerts
