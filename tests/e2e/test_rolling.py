"""Many hosts, one after the other: who may be at work together, what a failure stops, and what a person may say."""

import asyncio
import itertools
import json
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from solward.operations.v1 import operations_pb2 as pb

from ctl.exits import UNREACHABLE
from tests.peers.fixtures import validator_peer
from tests.support.cluster import About, Cluster, HostProcess, cluster

ENDED = (pb.OPERATION_STATE_SUCCEEDED, pb.OPERATION_STATE_FAILED, pb.OPERATION_STATE_PAUSED)
DONE = ("OPERATION_STATE_SUCCEEDED", "OPERATION_STATE_FAILED", "OPERATION_STATE_ABORTED", "OPERATION_STATE_PAUSED")
NAMES = ("sol-1", "sol-2", "sol-3")

pytestmark = pytest.mark.timeout(360)


@asynccontextmanager
async def fleet(
    folder: Path, *names: str, groups: tuple[str, ...] = (), slow_start_s: float = 0, **settings: Any
) -> AsyncIterator[Cluster]:
    """Run a control plane with an outside view and some guarded hosts, signed in to."""
    genesis = time.time() - 3600
    async with (
        validator_peer(genesis=genesis) as outside,
        cluster(folder, solana_rpc_url=outside.rpc_url, gates={"free_gigabytes": 0.1}, **settings) as made,
    ):
        await made.sign_in()
        for index, name in enumerate(names):
            group = groups[index] if groups else ""
            about = About(guarded=True, group=group, labels={"ring": "one" if index < 2 else "two"})
            await made.add_host(name, about, genesis=genesis, slow_start_s=slow_start_s)
        yield made


async def begin(made: Cluster, *arguments: str) -> str:
    """Begin something and do not wait; give the operation's name."""
    code = await made.authenticator.code()
    ran = await made.ctl("controls", *arguments, "--yes", "--detach", answers=(code,))
    return ran.out.split()[-1]


async def say(made: Cluster, *arguments: str) -> dict[str, Any]:
    """Steer an operation, with a code."""
    code = await made.authenticator.code()
    ran = await made.ctl("operations", *arguments, "-o", "json", answers=(code,))
    found: dict[str, Any] = json.loads(ran.out)
    return found


async def show(made: Cluster, name: str) -> dict[str, Any]:
    found: dict[str, Any] = await made.ctl_json("operations", "show", name)
    return found


async def look(made: Cluster, name: str) -> dict[str, Any] | None:
    """Show an operation; None while the control plane, or what it needs, is away and says so."""
    ran = await made.ctl("operations", "show", name, "-o", "json", check=False)
    assert ran.code in (0, UNREACHABLE), ran
    found: dict[str, Any] | None = json.loads(ran.out) if ran.code == 0 else None
    return found


async def until(made: Cluster, name: str, holds: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
    try:
        async with asyncio.timeout(180):
            while (found := await look(made, name)) is None or not holds(found):
                # Each look is a ctl of its own, which takes of the machine what the fleet needs.
                await asyncio.sleep(0.25)
            return found
    except TimeoutError:
        raise AssertionError(f"{what}: {await show(made, name)}") from None


async def ended(made: Cluster, name: str) -> dict[str, Any]:
    return await until(made, name, lambda operation: operation["state"] in DONE, "it ended")


def states(operation: dict[str, Any]) -> dict[str, str]:
    return {
        target["host"].removeprefix("hosts/"): target["state"].removeprefix("TARGET_STATE_")
        for target in operation["targets"]
    }


async def faults(host: HostProcess, **wanted: Any) -> None:
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{host.control_port}/faults"
        async with session.post(url, json=wanted) as answer:
            answer.raise_for_status()


async def at_work(made: Cluster, name: str, seen: list[int]) -> None:
    """Note how many hosts are down or at work, again and again."""
    while True:
        operation = await show(made, name)
        seen.append(sum(state == "RUNNING" for state in states(operation).values()))
        await asyncio.sleep(0.05)


async def test_hosts_have_their_turn_one_after_the_other(tmp_path: Path) -> None:
    async with fleet(tmp_path, *NAMES) as made:
        plan = await made.ctl_json("controls", "restart", "--all", "--soak", "2", "--plan")
        assert [target["host"] for target in plan["targets"]] == [f"hosts/{name}" for name in NAMES]
        before = {name: host.starts for name, host in made.hosts.items()}
        name = await begin(made, "restart", "--all", "--soak", "2", "--canaries", "1", "--reason", "a new kernel")
        seen: list[int] = []
        watch = asyncio.create_task(at_work(made, name, seen))
        done = await ended(made, name)
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        assert done["state"] == "OPERATION_STATE_SUCCEEDED", done
        assert set(states(done).values()) == {"SUCCEEDED"}
        assert max(seen) == 1
        assert {host: made.hosts[host].starts - before[host] for host in NAMES} == dict.fromkeys(NAMES, 1)
        # One after the other, each watched to the end of its soak.
        turns = [(target["startTime"], target["endTime"]) for target in done["targets"]]
        assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(turns))
        part = await show(made, done["targets"][0]["operation"])
        assert part["parent"] == name
        assert part["reason"] == "a new kernel"
        soak = next(step for step in part["steps"] if step["id"] == "soak")
        assert soak["verdict"] == "VERDICT_PASS"
        assert "well at each of" in soak["message"]
        # The part's receipts are on record like those of an operation on its own.
        entries = await made.ctl_json("audit", "list", "--limit", "200")
        assert sum(entry.get("method") == "controls.restart" for entry in map(json.loads, map(json.dumps, entries)))


async def test_hosts_are_selected_by_group_and_label_and_two_of_a_group_are_never_at_work_at_once(
    tmp_path: Path,
) -> None:
    async with fleet(tmp_path, *NAMES, groups=("main", "main", "other")) as made:
        ring = await made.ctl_json("controls", "restart", "--label", "ring=one", "--plan")
        assert [target["host"] for target in ring["targets"]] == ["hosts/sol-1", "hosts/sol-2"]
        one = await made.ctl_json("controls", "restart", "--group", "other", "--plan")
        assert [target["host"] for target in one["targets"]] == ["hosts/sol-3"]
        none = await made.ctl("controls", "restart", "--label", "ring=three", "--plan", check=False)
        assert (none.code, "matches no active host" in none.err) == (2, True), none
        both = await made.ctl("controls", "restart", "sol-1", "--group", "main", "--plan", check=False)
        assert both.code == 2

        name = await begin(made, "restart", "--all", "--max-unavailable", "3")
        together: set[frozenset[str]] = set()
        while (operation := await show(made, name))["state"] not in DONE:
            together.add(frozenset(host for host, state in states(operation).items() if state == "RUNNING"))
        assert operation["state"] == "OPERATION_STATE_SUCCEEDED", operation
        assert any("sol-3" in hosts and len(hosts) == 2 for hosts in together), together
        assert not any({"sol-1", "sol-2"} <= hosts for hosts in together), together


async def test_a_host_that_never_comes_back_pauses_it_and_no_other_has_its_turn(tmp_path: Path) -> None:
    async with fleet(tmp_path, *NAMES, ready_seconds=6, slow_start_s=2) as made:
        first, before = made.hosts["sol-1"], made.hosts["sol-1"].starts
        name = await begin(made, "restart", *NAMES, "--wait", "1")
        # Started again, it never catches up.
        await until(made, name, lambda _: first.starts > before, "it was started again")
        await faults(first, behind_slots=5000)
        paused = await ended(made, name)
        assert paused["state"] == "OPERATION_STATE_PAUSED", paused
        assert states(paused) == {"sol-1": "FAILED", "sol-2": "WAITING", "sol-3": "WAITING"}
        assert "NOT_READY" in paused["targets"][0]["message"]
        untouched = {host: made.hosts[host].starts for host in ("sol-2", "sol-3")}
        # Neither a restart of the control plane nor time makes it go on by itself.
        await made.stop_server(signal.SIGKILL)
        await made.start_server()
        for host in NAMES:
            await made.until_connected(host)
        await asyncio.sleep(3)
        assert states(await show(made, name)) == states(paused)
        assert {host: made.hosts[host].starts for host in untouched} == untouched
        # A person mends the host and tries it again: it goes on with the others.
        await faults(first, behind_slots=0)
        await say(made, "retry", name, "--host", "sol-1", "--detach")
        done = await ended(made, name)
        assert done["state"] == "OPERATION_STATE_SUCCEEDED", done
        assert done["targets"][0]["attempts"] == 2


async def test_pause_resume_and_abort(tmp_path: Path) -> None:
    async with fleet(tmp_path, *NAMES) as made:
        name = await begin(made, "restart", *NAMES, "--soak", "3")
        await until(made, name, lambda operation: "RUNNING" in states(operation).values(), "the first has its turn")
        await made.ctl("operations", "pause", name)
        paused = await ended(made, name)
        assert paused["state"] == "OPERATION_STATE_PAUSED"
        assert states(paused) == {"sol-1": "SUCCEEDED", "sol-2": "WAITING", "sol-3": "WAITING"}
        again = await made.ctl("operations", "pause", name, check=False)
        assert (again.code, "not at work" in again.err) == (6, True), again

        await say(made, "resume", name)
        await until(made, name, lambda operation: states(operation)["sol-2"] == "RUNNING", "the second has its turn")
        await made.ctl("operations", "abort", name)
        aborted = await ended(made, name)
        assert aborted["state"] == "OPERATION_STATE_ABORTED"
        assert states(aborted)["sol-3"] == "SKIPPED"
        # What had begun on the second came to an end that is known.
        second = await show(made, aborted["targets"][1]["operation"])
        assert second["state"] in ("OPERATION_STATE_SUCCEEDED", "OPERATION_STATE_ABORTED", "OPERATION_STATE_PAUSED")
        status = await made.ctl_json("validator", "status", "sol-2")
        assert status["unit"]["activeState"] == "active"
        late = await made.ctl("operations", "abort", name, check=False)
        assert (late.code, "ended already" in late.err) == (6, True), late


async def test_a_plan_that_was_shown_is_the_one_that_is_carried_out(tmp_path: Path) -> None:
    async with fleet(tmp_path, "sol-1", "sol-2") as made:
        plan = await made.ctl_json("controls", "restart", "--all", "--plan")
        other = await made.ctl_json("controls", "restart", "--all", "--max-unavailable", "2", "--plan")
        assert plan["planHash"] != other["planHash"]
        await made.stop_agent(made.hosts["sol-2"])
        await made.until_connected("sol-2", wanted=False)
        refused = await made.ctl("controls", "restart", "--all", "--yes", check=False)
        assert refused.code == 6, refused
        assert "sol-2: HOST_OFFLINE" in refused.err


def stored(made: Cluster, name: str) -> pb.Operation:
    """Read an operation where the control plane keeps it, whether that lives or not."""
    with closing(sqlite3.connect(made.folder / "cp" / "solward.db", timeout=10)) as store:
        row = store.execute("SELECT record FROM operations WHERE uid = ?", (name.partition("/")[2],)).fetchone()
    return pb.Operation.FromString(row[0])


def progress(operation: pb.Operation) -> list[tuple[int, int]]:
    return [(target.state, target.steps_passed) for target in operation.targets]


async def test_a_control_plane_killed_at_every_step_restarts_each_host_once(tmp_path: Path) -> None:
    async with cluster(tmp_path) as made:
        await made.sign_in()
        for host in NAMES:
            await made.add_host(host)
        before = {host: made.hosts[host].starts for host in NAMES}
        name = await begin(made, "restart", *NAMES, "--soak", "1")
        kills, seen = 0, progress(stored(made, name))
        async with asyncio.timeout(200):
            while (operation := stored(made, name)).state not in ENDED:
                assert sum(state == pb.TARGET_STATE_RUNNING for state, _ in progress(operation)) <= 1
                if progress(operation) == seen:
                    await asyncio.sleep(0.01)
                    continue
                seen = progress(operation)
                await made.stop_server(signal.SIGKILL)
                await made.start_server()
                kills += 1
        assert operation.state == pb.OPERATION_STATE_SUCCEEDED, operation
        assert {host: made.hosts[host].starts - before[host] for host in NAMES} == dict.fromkeys(NAMES, 1)
        assert kills >= 2 * len(NAMES)
