"""What the agent relies on of systemd, held by a real systemd 252 and by the peer that stands in for it."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.host.systemd import Systemd, SystemdError
from tests.fleet.machine import machine
from tests.peers.fixtures import systemd_peer

# The first test that boots a host on a new machine also bootstraps its root, which takes minutes.
REAL = [pytest.mark.host, pytest.mark.timeout(600)]
GOOD, DYING = "good.service", "dying.service"
_DYING_SCRIPT = "import time; time.sleep(0.15); raise SystemExit(3)"


@asynccontextmanager
async def _peer(_folder: Path) -> AsyncIterator[Systemd]:
    units = {GOOD: ["sleep", "600"], DYING: [sys.executable, "-c", _DYING_SCRIPT]}
    async with systemd_peer(units, restart="no") as peer:
        yield Systemd(peer.address)


@asynccontextmanager
async def _real(folder: Path) -> AsyncIterator[Systemd]:
    async with machine("contract", folder) as host:
        for name, argv in ((GOOD, "/bin/sleep 600"), (DYING, f'/usr/bin/python3 -c "{_DYING_SCRIPT}"')):
            host.write(f"/etc/systemd/system/{name}", f"[Service]\nExecStart={argv}\n")
        await host.boot()
        yield Systemd(host.bus_address)


@pytest.fixture(params=[pytest.param(_peer, id="peer"), pytest.param(_real, id="real", marks=REAL)])
async def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Systemd]:
    async with request.param(tmp_path) as client:
        try:
            yield client
        finally:
            await client.close()


async def test_the_life_of_a_unit(systemd: Systemd) -> None:
    before = await systemd.state(GOOD)
    assert (before.load_state, before.active_state, before.sub_state, before.main_pid) == (
        "loaded",
        "inactive",
        "dead",
        0,
    )

    started = await systemd.start(GOOD, timeout_s=10)
    assert (started.result, started.state.active_state, started.state.sub_state) == ("done", "active", "running")
    assert started.state.main_pid > 0
    assert len(started.state.invocation_id) == 32
    assert await systemd.glance(GOOD) == ("active", started.state.invocation_id)

    again = await systemd.start(GOOD, timeout_s=10)
    assert again.state.invocation_id == started.state.invocation_id

    restarted = await systemd.restart(GOOD, timeout_s=10)
    assert restarted.state.main_pid not in (0, started.state.main_pid)
    assert restarted.state.invocation_id != started.state.invocation_id
    assert await systemd.verify(GOOD, "active", 0.3) == restarted.state

    stopped = await systemd.stop(GOOD, timeout_s=10)
    assert (stopped.state.active_state, stopped.state.main_pid) == ("inactive", 0)
    assert (await systemd.verify(GOOD, "inactive", 0.3)).active_state == "inactive"


async def test_a_job_that_is_done_is_no_proof_that_the_process_lives(systemd: Systemd) -> None:
    done = await systemd.start(DYING, timeout_s=10)
    assert (done.result, done.state.active_state) == ("done", "active")
    with pytest.raises(SystemdError) as caught:
        await systemd.verify(DYING, "active", 0.6)
    assert caught.value.reason == "JOB_FAILED"
    dead = await systemd.state(DYING)
    assert (dead.active_state, dead.result, dead.exec_main_status) == ("failed", "exit-code", 3)


async def test_a_unit_that_is_not_there(systemd: Systemd) -> None:
    for call in (systemd.state("nowhere.service"), systemd.restart("nowhere.service", timeout_s=10)):
        with pytest.raises(SystemdError) as caught:
            await call
        assert caught.value.reason == "UNIT_NOT_FOUND"
