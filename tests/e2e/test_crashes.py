"""Programs that die in the middle of things: what was asked for is done once, never twice."""

import asyncio
import json
import resource
import signal
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import About, Cluster, HostProcess, cluster

# systemd thinks this long about each job, so that a restart has a middle.
JOB_MS = 1500
DONE_SECONDS = 60.0
SUCCEEDED = "OPERATION_STATE_SUCCEEDED"

pytestmark = pytest.mark.timeout(180)


@asynccontextmanager
async def one_host(folder: Path) -> AsyncIterator[tuple[Cluster, HostProcess]]:
    """Run a control plane, signed in to, with one host whose jobs take their time."""
    async with cluster(folder) as fleet:
        await fleet.sign_in()
        yield fleet, await fleet.add_host("sol-1", About(job_delay_ms=JOB_MS))


async def restart(fleet: Cluster) -> str:
    """Ask for a restart and do not wait; give the operation's name."""
    code = await fleet.authenticator.code()
    ran = await fleet.ctl("validator", "restart", "sol-1", "--yes", "--detach", answers=(code,))
    return ran.out.split()[-1]


async def until(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = DONE_SECONDS) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not await condition():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {seconds:g} s: {what}") from None


async def ended(fleet: Cluster, name: str) -> dict[str, Any]:
    """Wait for an operation's end."""
    found: dict[str, Any] = {}

    async def done() -> bool:
        found.update(await fleet.ctl_json("operations", "show", name))
        return bool(found["state"] != "OPERATION_STATE_RUNNING")

    await until(done, f"{name} ended")
    return found


async def until_job_is_queued(host: HostProcess) -> None:
    """Wait until the agent has noted the step, and a moment more, so that systemd has the job."""

    async def noted() -> bool:
        with closing(sqlite3.connect(host.folder / "state" / "journal.db")) as journal:
            return bool(journal.execute("SELECT count(*) FROM steps").fetchone()[0])

    await until(noted, "the agent began the step")
    await asyncio.sleep(JOB_MS / 3000)


async def settled_starts(host: HostProcess) -> int:
    """Count the starts once a second restart would have shown itself."""
    await asyncio.sleep(JOB_MS / 1000 + 1)
    return host.starts


@pytest.mark.parametrize("moment", ["asked", "queued"])
async def test_a_killed_control_plane_goes_on_and_does_it_once(tmp_path: Path, moment: str) -> None:
    async with one_host(tmp_path) as (fleet, host):
        name = await restart(fleet)
        if moment == "queued":
            await until_job_is_queued(host)
        assert host.starts == 1
        await fleet.stop_server(signal.SIGKILL)
        await fleet.start_server()
        operation = await ended(fleet, name)
        assert operation["state"] == SUCCEEDED, operation
        assert await settled_starts(host) == 2
        assert len(await fleet.ctl_json("operations", "list")) == 1


async def test_a_control_plane_that_is_stopped_drains_and_goes_on(tmp_path: Path) -> None:
    async with one_host(tmp_path) as (fleet, host):
        name = await restart(fleet)
        await until_job_is_queued(host)
        async with asyncio.timeout(fleet.settings["drain_seconds"] + 10):
            assert await fleet.stop_server(signal.SIGTERM) == 0
        assert '"draining"' in fleet.log
        assert "Traceback" not in fleet.log, fleet.log
        await fleet.start_server()
        assert (await ended(fleet, name))["state"] == SUCCEEDED
        assert await settled_starts(host) == 2


async def test_an_agent_killed_before_it_began_does_it_in_its_next_life(tmp_path: Path) -> None:
    async with one_host(tmp_path) as (fleet, host):
        assert host.agent
        # It has the command in its socket, and never reads it.
        host.agent.send_signal(signal.SIGSTOP)
        name = await restart(fleet)
        await asyncio.sleep(0.5)
        await fleet.stop_agent(host, signal.SIGKILL)
        assert host.starts == 1
        await fleet.start_agent(host)
        assert (await ended(fleet, name))["state"] == SUCCEEDED
        assert await settled_starts(host) == 2


@pytest.mark.parametrize("job", ["still queued", "done meanwhile"])
async def test_an_agent_killed_after_the_job_was_queued_does_not_do_it_again(tmp_path: Path, job: str) -> None:
    async with one_host(tmp_path) as (fleet, host):
        before = (await fleet.ctl_json("validator", "status", "sol-1"))["unit"]["invocationId"]
        name = await restart(fleet)
        await until_job_is_queued(host)
        await fleet.stop_agent(host, signal.SIGKILL)
        if job == "done meanwhile":
            await asyncio.sleep(JOB_MS / 1000 + 1)
        await fleet.start_agent(host)
        operation = await ended(fleet, name)
        assert operation["state"] == SUCCEEDED, operation
        assert await settled_starts(host) == 2
        receipt = next(step for step in operation["steps"] if step["id"] == "act")["receipt"]
        assert receipt["before"]["invocationId"] == before != receipt["after"]["invocationId"]


async def test_an_agent_whose_spool_cannot_be_written_keeps_controlling(tmp_path: Path) -> None:
    async with one_host(tmp_path) as (fleet, host):
        assert host.agent
        log = host.folder / "state" / "spool.db-wal"

        async def grown() -> bool:
            return log.exists() and log.stat().st_size > 150_000

        await until(grown, "the spool's log has grown past everything else that the agent writes")
        # A file may not grow further: to the agent, its disk is full.
        soft, hard = resource.prlimit(host.agent.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(host.agent.pid, resource.RLIMIT_FSIZE, (log.stat().st_size, hard))

        async def noticed() -> bool:
            return "the spool cannot be written" in host.log

        await until(noticed, "the agent saw that its disk is full")
        operation = await ended(fleet, await restart(fleet))
        assert operation["state"] == SUCCEEDED, operation
        assert await settled_starts(host) == 2
        before = await requests(fleet)
        await asyncio.sleep(3)
        # Telemetry goes on too, out of memory.
        assert await requests(fleet) >= before + 2

        resource.prlimit(host.agent.pid, resource.RLIMIT_FSIZE, (soft, hard))
        await asyncio.sleep(2)
        await fleet.stop_agent(host)
        await fleet.start_agent(host)
        await fleet.until_connected("sol-1")
        shown = await fleet.ctl_json("hosts", "show", "sol-1")
        assert shown.get("droppedSamples", "0") == "0"


async def requests(fleet: Cluster) -> int:
    """Count the calls that the control plane knows of, of one method within the last minutes."""
    ran = await fleet.ctl("rpc", "latency", "--host", "sol-1", "--method", "getSlot", "--window", "600", "-o", "json")
    return int(json.loads(ran.out)["methods"][0]["requests"])
