"""A pipeline that mends itself, and an operator who restarts the same validator meanwhile: never both at once."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_geyser_stream import PLUGIN, until
from tests.peers.fixtures import ValidatorPeer, validator_peer
from tests.peers.validator_admin import ask
from tests.support.cluster import About, Cluster, HostProcess, cluster

NAME, FOR_S, PATIENCE_S = "GeyserGrpc", 5, 60.0
pytestmark = pytest.mark.timeout(300)


@dataclass
class Race:
    """A validator with a plugin and a pipeline that loads it again; an operator, and a node outside of the fleet."""

    made: Cluster
    host: HostProcess
    outside: ValidatorPeer

    async def drop_plugin(self) -> None:
        """Have the plugin leave the validator, as one does that died."""
        assert (await ask(self.host.folder / "ledger", "unloadPlugin", NAME))["result"] is None

    async def recovery(self) -> dict[str, Any]:
        shown: dict[str, Any] = (await self.made.ctl_json("geyser", "explain", "main"))["recovery"]
        return shown

    async def until_it_says(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not holds(found := await self.recovery()):
                    await asyncio.sleep(0.2)
                return found
        except TimeoutError:
            raise AssertionError(found) from None

    async def restart(self, *arguments: str) -> str:
        """Restart the validator as the operator; give the operation's name, or why it was refused."""
        argv = ["--context", "ben", "validator", "restart", "sol-1", "--yes", "--detach", *arguments]
        ran = await self.made.ctl(*argv, check=False)
        return ran.out.split()[-1] if ran.code == 0 else ran.err

    async def ended(self, name: str) -> dict[str, Any]:
        await self.made.ctl("operations", "watch", name, check=False)
        found: dict[str, Any] = await self.made.ctl_json("operations", "show", name)
        return found

    async def flows(self) -> None:
        await until(self.made, "plugin", lambda one: one["flow"] == "FLOW_OK")
        assert (await ask(self.host.folder / "ledger", "listPlugins"))["result"] == [NAME]

    async def operations(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self.made.ctl_json("operations", "list")
        return sorted(found, key=lambda one: str(one["createTime"]))

    async def receipts(self) -> dict[str, str]:
        """Read from the audit log what was done, by operation."""
        entries = await self.made.ctl_json("audit", "list", "--limit", "500")
        return {one["operation"]: one["code"] for one in entries if one.get("receipt")}


@asynccontextmanager
async def race(folder: Path, **validator: Any) -> AsyncIterator[Race]:
    (folder / "lib.so").write_bytes(b"\x7fELF")
    config = folder / "ys.json"
    config.write_text(json.dumps({"libpath": "lib.so", "name": NAME}))
    recovery = {
        "cures": [{"hop": "plugin", "for_seconds": FOR_S, "steps": ["load_plugin"]}],
        "settle_seconds": 5, "back_off_seconds": 5, "budget_per_hour": 10,
    }  # fmt: skip
    clock = {"genesis": time.time() - 3_600}
    async with (
        validator_peer(**clock) as outside,
        cluster(
            folder, geyser={"pipelines": {"main": {"hops": PLUGIN, "recovery": recovery}}},
            require_second_factor=False, solana_rpc_url=outside.rpc_url, gates={"free_gigabytes": 0.1},
            ready_seconds=30,
        ) as made,
    ):  # fmt: skip
        await made.add_person("ben", "operator")
        await made.sign_in_as("ben")
        # The last to sign in is who every other call is by.
        await made.sign_in()
        plugins = {"plugins": {"ys": {"name": NAME, "config": str(config)}}}
        about = About(guarded=True, rpc={"references": [outside.rpc_url]}, geyser=plugins)
        host = await made.add_host(
            "sol-1", about, geyser_plugin_config=str(config), leader_every=0, **clock, **validator
        )
        stand = Race(made, host, outside)
        await stand.flows()
        await made.ctl("geyser", "recovery", "main", "on", "--yes")
        yield stand


def one_at_a_time(operations: list[dict[str, Any]]) -> None:
    """Hold that each operation ended before the next began."""
    for before, after in pairwise(operations):
        assert before["endTime"] <= after["createTime"], (before, after)


async def test_a_restart_that_is_under_way_is_waited_for_and_costs_no_try(tmp_path: Path) -> None:
    async with race(tmp_path) as stand:
        # A gate of a restart, and of no plugin's: it holds the host while it waits.
        await stand.outside.faults(delinquent_percent=50)
        await stand.drop_plugin()
        await stand.until_it_says(lambda one: "is given time" in one["message"])
        theirs = await stand.restart("--wait", "120")
        said = await stand.until_it_says(lambda one: "waits: " in one["message"])
        assert said["message"] == f"plugin: load_plugin waits: {theirs} has been at work on hosts/sol-1"
        # Longer than the rule asks for, and nothing is begun.
        await asyncio.sleep(FOR_S + 2)
        assert [one["name"] for one in await stand.operations()] == [theirs]
        await stand.outside.faults(delinquent_percent=0)
        assert (await stand.ended(theirs))["state"] == "OPERATION_STATE_SUCCEEDED"
        # The validator was started with the plugin: there is nothing left to be mended.
        await stand.flows()
        await asyncio.sleep(FOR_S + 2)
        assert [one["name"] for one in await stand.operations()] == [theirs]
        assert (await stand.recovery()).get("attemptsLastHour", 0) == 0
        assert (await stand.receipts())[theirs] == "DONE"


async def test_a_restart_waits_for_the_recovery_that_is_at_work(tmp_path: Path) -> None:
    async with race(tmp_path, latency_ms={"loadPlugin": 5_000}) as stand:
        await stand.drop_plugin()
        said = await stand.until_it_says(lambda one: one["message"].endswith("is at work"))
        ours = said["operation"]
        refused = await stand.restart()
        assert "HOST_BUSY" in refused
        assert ours in refused
        assert (await stand.ended(ours))["state"] == "OPERATION_STATE_SUCCEEDED"
        await stand.flows()
        theirs = await stand.restart()
        assert (await stand.ended(theirs))["state"] == "OPERATION_STATE_SUCCEEDED"
        await stand.flows()
        done = await stand.operations()
        assert [one["name"] for one in done] == [ours, theirs]
        one_at_a_time(done)
        assert (await stand.recovery())["attemptsLastHour"] == 1
        receipts = await stand.receipts()
        assert (receipts[ours], receipts[theirs]) == ("DONE", "DONE")


async def test_both_begin_at_the_same_moment(tmp_path: Path) -> None:
    async with race(tmp_path) as stand:
        tries = 0
        for early_s in (1.0, 0.7, 0.4):
            await stand.drop_plugin()
            await until(stand.made, "plugin", lambda one: one["flow"] == "FLOW_DOWN")
            await asyncio.sleep(FOR_S - early_s)
            theirs = await stand.restart("--wait", "30")
            while not re.fullmatch(r"operations/\w+", theirs):
                assert "HOST_BUSY" in theirs
                await asyncio.sleep(0.3)
                theirs = await stand.restart("--wait", "30")
            assert (await stand.ended(theirs))["state"] == "OPERATION_STATE_SUCCEEDED"
            await stand.flows()
            # Past the pause after a try, too.
            await asyncio.sleep(3 * FOR_S)
        done = await stand.operations()
        one_at_a_time(done)
        ours = [one for one in done if one["kind"] == "geyser.load_plugin"]
        tries = len(ours)
        assert all(one["state"] == "OPERATION_STATE_SUCCEEDED" for one in ours), ours
        assert (await stand.recovery()).get("attemptsLastHour", 0) == tries
        receipts = await stand.receipts()
        assert {receipts[one["name"]] for one in done} == {"DONE"}
        assert len(done) == 3 + tries


async def test_nothing_is_mended_in_the_name_of_who_is_kept_out_by_now(tmp_path: Path) -> None:
    async with race(tmp_path) as stand:
        made = stand.made
        await made.add_person("ana", "admin")
        await made.sign_in_as("ana")
        await made.ctl("--context", "ana", "geyser", "recovery", "main", "on", "--yes")
        await made.ctl("context", "use", "default")
        await made.ctl("access", "set", "ana", "--disabled")
        await stand.drop_plugin()
        said = await stand.until_it_says(lambda one: "is not done" in one["message"])
        assert "USER_DISABLED: users/ana may not sign in" in said["message"]
        assert said["setBy"] == "ana"
        assert await stand.operations() == []
        await asyncio.sleep(FOR_S)
        alerts = [one for one in await made.ctl_json("alerts") if one["rule"] == "pipeline_recovery_refused"]
        assert len(alerts) == 1, alerts
        told = (await made.ctl("logs", "--kind", "geyser.recovery_refused", "-o", "json")).out.splitlines()
        assert len(told) <= 1, told
        await made.ctl("geyser", "recovery", "main", "on", "--yes")
        await stand.flows()
        (done,) = await stand.operations()
        assert (done["kind"], done["requester"]) == ("geyser.load_plugin", "admin")
