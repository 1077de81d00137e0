"""Ledgers with real processes: surveyed, mended as the survey said, and the node stopped and started around it."""

import asyncio
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_rolling import ended, fleet, until
from tests.e2e.test_snapshots import FAILED, SUCCEEDED, act
from tests.e2e.test_validator_control import faults
from tests.peers import ledger_tool as tool
from tests.peers import snapshots
from tests.support.cluster import About, Cluster, HostProcess

BOOT = snapshots.SLOT
FIRST, LAST = BOOT - 10, BOOT + 20
RANGE = ("--from", str(FIRST), "--to", str(LAST))

pytestmark = pytest.mark.timeout(360)


def write(ledger: Path, **how: Any) -> None:
    """Write a ledger with two lost root markers, a hole, a dead slot above the snapshot, and one that is not full."""
    slots = tool.chain(range(FIRST - 5, BOOT - 4)) | tool.chain(range(BOOT - 2, LAST + 1), parent=BOOT - 3)
    slots[BOOT + 15]["full"] = False
    roots = [slot for slot in slots if slot <= BOOT + 5 and slot not in (BOOT + 1, BOOT + 2)]
    tool.write(ledger, slots, roots=roots, dead=[BOOT + 10], **how)


@asynccontextmanager
async def one(folder: Path, *, running: bool = True, **how: Any) -> AsyncIterator[tuple[Cluster, HostProcess, Path]]:
    """Run a control plane and one host with a snapshot and a ledger that wants mending."""
    async with fleet(folder, require_second_factor=False) as made:
        host = await made.add_host("sol-1", About(guarded=True, running=running), genesis=time.time() - 3600)
        ledger = host.folder / "ledger"
        snapshots.write(ledger, BOOT)
        write(ledger, **how)
        yield made, host, ledger


async def do(made: Cluster, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Do something with a second factor and wait; give the exit code, the operation, and what was said."""
    argv = (*arguments, "--yes", "--detach")
    ran = await made.ctl(*argv, answers=(await made.code(),), check=False)
    if ran.code:
        return ran.code, {}, ran.err
    done = await ended(made, ran.out.split()[-1])
    return 0, done, (await made.ctl("operations", "show", done["name"])).out


def step(operation: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(step for step in operation["steps"] if step["id"] == name)
    return found


async def active(made: Cluster) -> str:
    state: str = (await made.ctl_json("validator", "status", "sol-1"))["unit"]["activeState"]
    return state


async def test_what_a_survey_showed_is_what_is_done(tmp_path: Path) -> None:
    async with one(tmp_path, running=False) as (made, _, ledger):
        code, done, said = await do(made, "controls", "ledger", "survey", "sol-1", *RANGE)
        assert (code, done["state"]) == (0, SUCCEEDED), (done, said)
        report = act(done)["receipt"]["ledger"]
        states = {(int(run["first"]), int(run["last"])): run["state"] for run in report["runs"]}
        assert states[BOOT + 1, BOOT + 2] == "full"
        assert states[BOOT - 4, BOOT - 3] == "hole"
        assert states[BOOT + 10, BOOT + 10] == "dead"
        assert states[BOOT + 15, BOOT + 15] == "partial"
        assert [each["verb"] for each in report["steps"]] == ["repair_roots", "remove_dead"]
        assert {each["verdict"] for each in report["left"]} == {"not_repairable", "node_repairs"}
        assert report["digest"] in said
        assert f"{BOOT - 4}-{BOOT - 3} hole" in said

        plan = await made.ctl("controls", "ledger", "repair", "sol-1", *RANGE, "--survey", report["digest"], "--plan")
        # It is down already: it is neither stopped nor started.
        assert "Stop" not in plan.out, plan.out
        code, done, said = await do(
            made, "controls", "ledger", "repair", "sol-1", *RANGE, "--survey", report["digest"]
        )  # fmt: skip
        assert (code, done["state"]) == (0, SUCCEEDED), (done, said)
        after = step(done, "repair")["receipt"]["ledger"]
        assert all(each["done"] for each in after["steps"])
        changed = {int(run["first"]): (run["state"], run["after"]) for run in after["runs"]}
        assert changed[BOOT + 1] == ("full", "rooted")
        assert changed[BOOT + 10] == ("dead", "full")
        assert changed[BOOT - 4] == ("hole", "hole")
        store = tool.Store.load(ledger)
        assert {BOOT + 1, BOOT + 2} <= store.roots
        assert not store.dead
        assert await active(made) == "inactive"


async def test_a_running_node_is_stopped_mended_and_started(tmp_path: Path) -> None:
    async with one(tmp_path) as (made, host, ledger):
        before = host.starts
        for needs_it_down in (
            ("ledger", "survey", "sol-1", *RANGE),
            ("snapshot", "create", "sol-1", "--from-ledger"),
            ("snapshot", "verify", "sol-1", "--deep"),
        ):
            refused = await made.ctl("controls", *needs_it_down, "--plan", check=False)
            assert (refused.code, "stop it first" in refused.err) == (6, True), refused
        code, done, said = await do(made, "controls", "ledger", "repair", "sol-1", *RANGE)
        assert (code, done["state"]) == (0, SUCCEEDED), (done, said)
        assert [each["id"] for each in done["steps"]] == ["stop", "repair", "start"]
        assert not tool.Store.load(ledger).dead
        assert host.starts == before + 1
        assert await active(made) == "active"
        parts = [await made.ctl_json("operations", "show", each["figures"]["operation"]) for each in done["steps"]]
        assert [part["kind"] for part in parts] == ["validator.stop", "ledger.repair", "validator.start"]
        assert {part["parent"] for part in parts} == {done["name"]}


async def test_a_node_is_started_again_also_where_the_repair_fails_and_it_can_be_retried(tmp_path: Path) -> None:
    fault = {"command": "remove-dead-slot", "code": 1, "stderr": "Error: IO error: No space left on device"}
    async with one(tmp_path, fault=fault) as (made, host, ledger):
        code, done, said = await do(made, "controls", "ledger", "repair", "sol-1", *RANGE)
        assert (code, done["state"]) == (0, FAILED), (done, said)
        assert "No space left" in done["error"]["message"]
        assert step(done, "start")["verdict"] == "VERDICT_PASS"
        assert await active(made) == "active"
        before = host.starts

        tool.fault(ledger)
        await made.ctl("operations", "retry", done["name"], answers=(await made.code(),))
        done = await ended(made, done["name"])
        assert done["state"] == SUCCEEDED, done
        assert not tool.Store.load(ledger).dead
        assert host.starts == before + 1


async def test_a_running_node_asks_its_peers_for_what_is_missing(tmp_path: Path) -> None:
    async with one(tmp_path) as (made, host, _):
        status = await made.ctl_json("validator", "node", "sol-1")
        tip, root = int(status["slot"]), int(status["slot"]) - 40
        missing = [tip - 12, tip - 11, tip - 8, root - 20]
        await faults(host, missing=missing, lost=[tip - 8])
        span = ("--from", str(root - 20), "--to", str(tip + 10_000))
        code, _, said = await do(made, "controls", "ledger", "nudge", "sol-1", *span)
        assert (code, "--to must not be before --from" in said) == (2, True), said
        span = ("--from", str(root - 20), "--to", str(tip), "--watch", "4")
        code, done, said = await do(made, "controls", "ledger", "nudge", "sol-1", *span)
        assert (code, done["state"]) == (0, SUCCEEDED), (done, said)
        states = {
            slot: (run["state"], run["after"])
            for run in act(done)["receipt"]["ledger"]["runs"]
            for slot in range(int(run["first"]), int(run["last"]) + 1)
        }
        assert states[root - 20][0] == "at_or_below_root"
        assert states[tip - 12] == states[tip - 11] == ("missing", "confirmed")
        assert states[tip - 8] == ("missing", "missing")
        assert states[tip - 14] == ("confirmed", "confirmed")
        # The newest slot of the range may not have come yet when it was looked at, and is then missing, too.
        assert re.search(r"[23] of [34] slots that were missing have come", said), said


async def test_archives_are_made_of_a_node_that_is_down_and_checked_to_the_last_account(tmp_path: Path) -> None:
    async with one(tmp_path, running=False) as (made, _, ledger):
        # The tool's peer reads archives of its own kind.
        (ledger / snapshots.name(BOOT)).unlink()
        tool.archive(ledger, BOOT)
        mixed = await made.ctl("controls", "snapshot", "create", "sol-1", "--incremental", "--plan", check=False)
        assert (mixed.code, "need --from-ledger" in mixed.err) == (2, True), mixed
        code, done, said = await do(
            made, "controls", "snapshot", "create", "sol-1", "--from-ledger", "--slot", str(BOOT + 4)
        )  # fmt: skip
        assert (code, done["state"]) == (0, SUCCEEDED), (done, said)
        archive = act(done)["figures"]["archive"]
        assert (ledger / archive).exists()
        code, done, said = await do(made, "controls", "snapshot", "verify", "sol-1", "--archive", archive, "--deep")
        assert (code, done["state"]) == (0, SUCCEEDED), (done, said)
        assert act(done)["receipt"]["checks"][0]["id"] == "deep"
        assert tool.bank_hash(BOOT + 4) in said


async def begin(made: Cluster) -> str:
    code = await made.code()
    ran = await made.ctl("controls", "ledger", "repair", "sol-1", *RANGE, "--yes", "--detach", answers=(code,))
    return ran.out.split()[-1]


def mending(operation: dict[str, Any]) -> bool:
    return "slots" in step(operation, "repair").get("message", "")


async def test_a_repair_that_is_ended_starts_the_node_again(tmp_path: Path) -> None:
    async with one(tmp_path, fault={"command": "print", "slow_s": 60}) as (made, _, ledger):
        name = await begin(made)
        await until(made, name, mending, "it looks at the ledger")
        await made.ctl("operations", "abort", name)
        done = await ended(made, name)
        assert done["state"] == "OPERATION_STATE_ABORTED", done
        assert "STOPPED" in done["error"]["message"]
        assert step(done, "start")["verdict"] == "VERDICT_PASS"
        assert await active(made) == "active"
        assert tool.Store.load(ledger).dead == {BOOT + 10}


async def test_a_repair_outlives_agent_and_control_plane(tmp_path: Path) -> None:
    async with one(tmp_path, fault={"command": "print", "slow_s": 6}) as (made, host, ledger):
        before = host.starts
        name = await begin(made)
        await until(made, name, mending, "it looks at the ledger")
        await asyncio.gather(made.stop_agent(host, signal.SIGKILL), made.stop_server(signal.SIGKILL))
        await made.start_server()
        await made.start_agent(host)
        done = await ended(made, name)
        assert done["state"] == SUCCEEDED, done
        assert not tool.Store.load(ledger).dead
        assert host.starts == before + 1
        assert len(list((host.folder / "jobs").glob("*.json"))) == 1
