"""The systemd client against a manager on a real D-Bus daemon that really runs its units."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from agent.host.systemd import Systemd, SystemdError, UnitState
from tests.peers.fixtures import systemd_peer
from tests.peers.process import python, running, stop
from tests.peers.systemd_bus import private_bus

UNIT = "sol.service"
SLEEP = ["sleep", "600"]
LATE_DEATH = [sys.executable, "-c", "import time; time.sleep(0.15); raise SystemExit(3)"]


async def reason_of(call: object) -> tuple[str, str]:
    with pytest.raises(SystemdError) as caught:
        await call  # type: ignore[misc]
    return caught.value.reason, caught.value.message


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def until_active(systemd: Systemd, old: UnitState) -> UnitState:
    async with asyncio.timeout(5):
        while (state := await systemd.state(UNIT)).active_state != "active" or state.main_pid == old.main_pid:
            await asyncio.sleep(0.01)
    return state


async def test_start_stop_and_restart_change_the_real_process() -> None:
    async with systemd_peer({UNIT: SLEEP}) as peer:
        systemd = Systemd(peer.address)
        await systemd.connect()
        before = await systemd.state(UNIT)
        assert (before.load_state, before.active_state, before.sub_state) == ("loaded", "inactive", "dead")
        assert before.main_pid == 0

        clock = time.monotonic_ns() // 1000
        started = await systemd.start(UNIT, timeout_s=5)
        assert started.result == "done"
        assert (started.state.active_state, started.state.sub_state) == ("active", "running")
        assert alive(started.state.main_pid)
        assert clock <= started.state.started_monotonic_us <= time.monotonic_ns() // 1000
        assert len(started.state.invocation_id) == 32

        again = await systemd.restart(UNIT, timeout_s=5)
        assert again.state.main_pid not in (0, started.state.main_pid)
        assert again.state.invocation_id != started.state.invocation_id
        assert not alive(started.state.main_pid)

        ended = await systemd.stop(UNIT, timeout_s=5)
        assert (ended.state.active_state, ended.state.main_pid) == ("inactive", 0)
        assert (ended.state.invocation_id, ended.state.started_monotonic_us) == ("", 0)
        assert not alive(again.state.main_pid)
        await systemd.close()


async def test_starting_a_unit_that_runs_leaves_its_process_alone() -> None:
    async with systemd_peer({UNIT: SLEEP}) as peer:
        systemd = Systemd(peer.address)
        first = await systemd.start(UNIT, timeout_s=5)
        second = await systemd.start(UNIT, timeout_s=5)
        assert second.state == first.state
        await systemd.close()


async def test_a_killed_process_is_restarted_and_counted() -> None:
    async with systemd_peer({UNIT: SLEEP}, restart_s=0.05) as peer:
        systemd = Systemd(peer.address)
        first = (await systemd.start(UNIT, timeout_s=5)).state
        os.kill(first.main_pid, signal.SIGKILL)
        state = await until_active(systemd, first)
        assert (state.n_restarts, first.n_restarts) == (1, 0)
        assert state.invocation_id != first.invocation_id
        await systemd.close()


async def test_verify_accepts_only_a_process_that_stays() -> None:
    async with systemd_peer({UNIT: SLEEP, "late.service": LATE_DEATH}, restart="no") as peer:
        systemd = Systemd(peer.address)
        started = await systemd.start(UNIT, timeout_s=5)
        assert await systemd.verify(UNIT, "active", 0.3) == started.state
        assert (await reason_of(systemd.verify(UNIT, "inactive", 0.1)))[0] == "JOB_FAILED"

        assert (await systemd.start("late.service", timeout_s=5)).state.active_state == "active"
        reason, message = await reason_of(systemd.verify("late.service", "active", 0.4))
        assert reason == "JOB_FAILED"
        assert "failed/failed" in message and "exit status 3" in message
        assert (await systemd.verify("late.service", "inactive", 0.1)).result == "exit-code"
        await systemd.close()


async def test_verify_gives_up_on_a_unit_that_is_restarted_again_and_again() -> None:
    async with systemd_peer({UNIT: ["false"]}, restart_s=0.05) as peer:
        systemd = Systemd(peer.address)
        await systemd.start(UNIT, timeout_s=5)
        reason, message = await reason_of(systemd.verify(UNIT, "active", 0.5, deadline_s=1.0))
        assert reason == "JOB_TIMEOUT"
        assert "has not settled" in message
        await systemd.close()


async def test_an_unknown_unit_is_named() -> None:
    async with systemd_peer({UNIT: SLEEP}) as peer:
        systemd = Systemd(peer.address)
        for call in (systemd.state("no.service"), systemd.start("no.service", timeout_s=5)):
            reason, message = await reason_of(call)
            assert reason == "UNIT_NOT_FOUND"
            assert "no.service" in message
        await systemd.close()


@pytest.mark.parametrize("kind", ["interactive", "access"])
async def test_a_refusal_by_polkit_changes_nothing(kind: str) -> None:
    async with systemd_peer({UNIT: SLEEP}, deny=[UNIT], deny_error=kind) as peer:
        systemd = Systemd(peer.address)
        assert (await reason_of(systemd.start(UNIT, timeout_s=5)))[0] == "NOT_AUTHORIZED"
        assert (await systemd.state(UNIT)).active_state == "inactive"
        await systemd.close()


async def test_a_slow_job_meets_its_deadline() -> None:
    async with systemd_peer({UNIT: SLEEP}, job_delay_ms=5000) as peer:
        systemd = Systemd(peer.address)
        begun = time.monotonic()
        assert (await reason_of(systemd.start(UNIT, timeout_s=0.2)))[0] == "JOB_TIMEOUT"
        assert time.monotonic() - begun < 1
        await systemd.close()


@pytest.mark.parametrize("result", ["failed", "timeout", "canceled", "dependency", "skipped"])
async def test_a_job_that_ends_otherwise_than_done_has_failed(result: str) -> None:
    async with systemd_peer({UNIT: SLEEP}, job_result=result) as peer:
        systemd = Systemd(peer.address)
        reason, message = await reason_of(systemd.start(UNIT, timeout_s=5))
        assert reason == "JOB_FAILED"
        assert message.endswith(result)
        await systemd.close()


async def test_a_job_overtaken_by_another_was_canceled() -> None:
    async with systemd_peer({UNIT: SLEEP}, job_delay_ms=300) as peer:
        systemd = Systemd(peer.address)
        start = asyncio.create_task(systemd.start(UNIT, timeout_s=5))
        await asyncio.sleep(0.1)
        ended = await systemd.stop(UNIT, timeout_s=5)
        assert ended.state.active_state == "inactive"
        reason, message = await reason_of(start)
        assert (reason, message.endswith("canceled")) == ("JOB_FAILED", True)
        await systemd.close()


async def test_another_client_cannot_end_our_job_with_a_forged_signal() -> None:
    async with systemd_peer({UNIT: SLEEP}, job_delay_ms=500) as peer:
        systemd = Systemd(peer.address)
        job = asyncio.create_task(systemd.start(UNIT, timeout_s=5))
        await asyncio.sleep(0.2)
        argv = ["dbus-send", f"--bus={peer.address}", "--type=signal", "/org/freedesktop/systemd1",
                "org.freedesktop.systemd1.Manager.JobRemoved", "uint32:1",
                "objpath:/org/freedesktop/systemd1/job/1", f"string:{UNIT}", "string:failed"]  # fmt: skip
        sender = await asyncio.create_subprocess_exec(*argv)
        assert await sender.wait() == 0
        assert (await job).result == "done"
        await systemd.close()


async def test_no_bus_is_a_typed_error(tmp_path: Path) -> None:
    systemd = Systemd(f"unix:path={tmp_path}/none")
    assert (await reason_of(systemd.connect()))[0] == "BUS_UNAVAILABLE"


async def test_a_bus_without_systemd_is_a_typed_error() -> None:
    async with private_bus() as (_, address):
        systemd = Systemd(address)
        await systemd.connect()
        assert (await reason_of(systemd.state(UNIT)))[0] == "BUS_UNAVAILABLE"
        await systemd.close()


async def test_a_bus_that_drops_during_a_job_is_told_and_then_rejoined(tmp_path: Path) -> None:
    unit = f'{UNIT}=["sleep", "600"]'
    async with private_bus(tmp_path) as (bus, address):
        slow = python("tests.peers.systemd", "--bus-address", address, "--unit", unit, "--job-delay-ms", "9000")
        systemd = Systemd(address)
        async with running(slow):
            job = asyncio.create_task(systemd.start(UNIT, timeout_s=20))
            await asyncio.sleep(0.3)
            await stop(bus)
            assert (await reason_of(job))[0] == "BUS_UNAVAILABLE"
            assert (await reason_of(systemd.state(UNIT)))[0] == "BUS_UNAVAILABLE"
    quick = python("tests.peers.systemd", "--bus-address", address, "--unit", unit)
    async with private_bus(tmp_path), running(quick):
        assert (await systemd.start(UNIT, timeout_s=5)).state.active_state == "active"
    await systemd.close()


async def test_a_systemd_that_was_replaced_still_tells_the_end_of_jobs() -> None:
    async with private_bus() as (_, address):
        argv = python("tests.peers.systemd", "--bus-address", address, "--unit", f'{UNIT}=["sleep", "600"]')
        systemd = Systemd(address)
        for _ in range(2):
            async with running(argv):
                assert (await systemd.start(UNIT, timeout_s=5)).result == "done"
        await systemd.close()
