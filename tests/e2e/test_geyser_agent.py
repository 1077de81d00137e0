"""An agent beside a Kafka cluster and a database: what it tells of them reaches who asks the control plane."""

import asyncio
from pathlib import Path

import yaml

from tests.e2e.test_rest import Rest
from tests.support.cluster import PASSWORD, cluster
from tests.support.kafka import kafka
from tests.support.postgres import postgres


async def test_lag_and_freshness_reach_the_control_plane(tmp_path: Path) -> None:
    url = tmp_path / "accounts-db.url"
    url.touch(0o600)
    with kafka() as broker, postgres() as database:
        broker.create("solana.slots", partitions=2)
        broker.produce("solana.slots", {0: 5, 1: 5})
        broker.commit("indexer", "solana.slots", {0: 2, 1: 5})
        database.sql("CREATE TABLE slot (slot bigint PRIMARY KEY, updated_on timestamp NOT NULL)")
        database.sql("INSERT INTO slot VALUES (7, now() AT TIME ZONE 'utc')")
        url.write_text(database.url().replace("+asyncpg", ""))
        async with cluster(tmp_path) as plane:
            await plane.sign_in()
            host = await plane.prepare_host("sol-1")
            settings = yaml.safe_load(host.config.read_text())
            settings["geyser"] = {
                "kafka": {"main": {"brokers": [broker.address], "period_seconds": 1}},
                "sinks": {"db": {"postgresql": {"url_file": str(url), "period_seconds": 1}}},
            }
            host.config.write_text(yaml.safe_dump(settings))
            await plane.enroll(host)
            assert "ok    geyser: main, db can be asked" in (await plane.agent_command(host, "check")).out
            await plane.start_agent(host)
            for metric, labels, value in (
                ("geyser_kafka_lag_messages", "group=indexer, host=sol-1, source=main, topic=solana.slots", "3"),
                ("geyser_sink_newest_slot", "host=sol-1, source=db, table=slot", "7"),
            ):
                async with asyncio.timeout(30):
                    while not [
                        line
                        for line in (await plane.ctl("metrics", "query", metric)).out.splitlines()
                        if line.startswith(labels) and line.removeprefix(labels).split()[0] == value
                    ]:
                        await asyncio.sleep(0.5)
            asked = ("geyser", "lag", "--partitions", "--group", "indexer", "--topic", "solana.slots")
            found = await plane.ctl_json(*asked)
            assert [(row.get("partition", 0), row["lagMessages"]) for row in found["partitions"]] == [
                (0, 3.0),
                (1, 0.0),
            ]
            assert (found["host"], found["source"], found["lagMessages"]) == ("hosts/sol-1", "main", 3.0)
            shown = (await plane.ctl(*asked, "--limit", "1")).out.splitlines()
            assert shown[1].split()[:2] == ["0", "3"]
            assert shown[2].startswith("3 messages in all, 1 partitions left out; looked at ")
            for more, reason in (
                (("--source", "other"), "GROUP_NOT_FOUND"), (("--host", "sol-1", "--source", "other"), "KAFKA_UNKNOWN"),
            ):  # fmt: skip
                assert reason in (await plane.ctl(*asked, *more, check=False)).err
            nobody = await plane.ctl(*asked[:-1], "none", "--host", "sol-1", "--source", "main", check=False)
            assert "GROUP_UNKNOWN" in nobody.err
            async with Rest(plane.rest_port, plane.ca_file) as rest:
                code = await plane.authenticator.code()
                signed_in = {"username": "admin", "password": PASSWORD, "totpCode": code}
                rest.bearer = (await rest.post("/auth/login", signed_in))[1]["accessToken"]
                path = "/api/geyser/partition-lags?group=indexer&topic=solana.slots&limit=1"
                (told,) = await rest.lines(path)
                assert ([one["lagMessages"] for one in told["partitions"]], told["leftOut"]) == ([3], 1)
            assert await plane.stop_agent(host) == 0
