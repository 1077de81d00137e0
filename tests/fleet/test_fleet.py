"""The agent as it will run: unprivileged on a real Debian, over the real bus, behind the real polkit."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.fleet.fleet import ACTIONS, AGENT, EXPIRE_SECONDS, OTHER, USER, Fleet, Host, fleet, receipt_of, until
from tests.support.cluster import UNIT

pytestmark = [pytest.mark.host, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

CUT_SECONDS = 22
# The control plane waits this long for a receipt after systemd's time is over.
RECEIPT_MARGIN_SECONDS = 30
# What recent_ms says of a second of which nothing arrived.
NOT_ASKED = -2


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def booted(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    async with fleet(tmp_path_factory.mktemp("fleet"), "sol-1", "sol-2") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def signed_in(booted: Fleet) -> Fleet:
    await booted.sign_in()
    return booted


async def unit_state(host: Host, unit: str = UNIT) -> dict[str, str]:
    return await host.machine.show(unit, "ActiveState", "InvocationID", "MainPID", "Result")


def reason(operation: dict[str, Any]) -> str:
    found: str = operation["error"]["details"][0]["reason"]
    return found


async def test_agents_run_unprivileged_and_connect(booted: Fleet) -> None:
    listed = {host["name"]: host for host in await booted.plane.ctl_json("hosts", "list")}
    for host in booted.hosts.values():
        assert listed[f"hosts/{host.name}"]["connected"]
        agent = await host.machine.show(AGENT, "MainPID", "User", "Type", "ActiveState", "SubState", "StatusText")
        assert (agent["Type"], agent["ActiveState"], agent["SubState"]) == ("notify", "active", "running")
        assert agent["StatusText"] == "connected"
        uid = (await host.machine.run("id", "-u", USER)).out.strip()
        status = (await host.machine.run("cat", f"/proc/{agent['MainPID']}/status")).out
        fields = dict(line.split(":", 1) for line in status.splitlines())
        assert set(fields["Uid"].split()) == {uid} != {"0"}
        assert int(fields["CapEff"], 16) == int(fields["CapPrm"], 16) == 0


async def test_restart_stop_and_start_reach_the_real_unit(signed_in: Fleet) -> None:
    host = signed_in.hosts["sol-1"]
    before = await unit_state(host)
    assert before["ActiveState"] == "active"

    restarted = await signed_in.act("restart", host)
    after = await unit_state(host)
    assert restarted["state"] == "OPERATION_STATE_SUCCEEDED"
    assert after["InvocationID"] != before["InvocationID"]
    receipt = receipt_of(restarted)
    assert receipt["before"]["invocationId"] == before["InvocationID"]
    assert receipt["after"]["invocationId"] == after["InvocationID"]
    assert str(receipt["after"]["mainPid"]) == after["MainPID"]

    stopped = await signed_in.act("stop", host)
    assert stopped["state"] == "OPERATION_STATE_SUCCEEDED"
    assert (await unit_state(host))["ActiveState"] == receipt_of(stopped)["after"]["activeState"] == "inactive"

    # Another person, since a code is good once and the next is half a minute away.
    await signed_in.sign_in()
    started = await signed_in.act("start", host)
    assert started["state"] == "OPERATION_STATE_SUCCEEDED"
    after = await unit_state(host)
    assert after["ActiveState"] == "active"
    assert receipt_of(started)["after"]["invocationId"] == after["InvocationID"]


async def test_polkit_refuses_a_unit_that_its_rule_does_not_name(signed_in: Fleet) -> None:
    host = signed_in.hosts["sol-2"]
    before = await unit_state(host, OTHER)
    await host.allow(other=ACTIONS)
    try:
        await signed_in.plane.until_connected(host.name)
        refused = await signed_in.act("restart", host)
        assert refused["state"] == "OPERATION_STATE_FAILED"
        assert receipt_of(refused)["result"] == "RECEIPT_RESULT_FAILED"
        assert receipt_of(refused)["reason"] == reason(refused) == "NOT_AUTHORIZED"
        assert await unit_state(host, OTHER) == before
    finally:
        await host.allow(sol=ACTIONS)


@pytest.mark.parametrize(
    "asked",
    [
        ("systemctl", "--no-ask-password", "restart", OTHER),
        ("systemctl", "--no-ask-password", "kill", UNIT),
        ("systemctl", "--no-ask-password", "mask", UNIT),
        ("systemctl", "--no-ask-password", "daemon-reload"),
        ("systemctl", "--no-ask-password", "poweroff"),
        ("systemd-run", "--no-ask-password", "--unit=sol2.service", "true"),
    ],
    ids=lambda asked: asked[2],
)
async def test_the_agents_user_may_do_nothing_else(booted: Fleet, asked: tuple[str, ...]) -> None:
    host = booted.hosts["sol-1"]
    before = await unit_state(host)
    ran = await host.machine.run(*asked, user=USER, check=False)
    assert ran.code != 0
    assert "denied" in ran.err.lower() or "authentication required" in ran.err.lower(), ran
    assert await unit_state(host) == before


async def test_the_allowlist_refuses_what_the_control_plane_asks_beyond_it(signed_in: Fleet) -> None:
    host = signed_in.hosts["sol-2"]
    before = await unit_state(host)
    # Asked for while the agent still allowed it, and delivered when root no longer does.
    host.wire.stall()
    asked = asyncio.create_task(signed_in.act("restart", host))
    try:
        operations = ("operations", "list", "--host", host.name)

        async def begun() -> bool:
            listed = await signed_in.plane.ctl_json(*operations)
            return bool(listed) and listed[0]["state"] == "OPERATION_STATE_RUNNING"

        await until(begun, "the operation began", EXPIRE_SECONDS)
        await host.allow(sol=("validator.start",))
        await host.wire.mend()
        refused = await asked
        assert refused["state"] == "OPERATION_STATE_FAILED"
        assert receipt_of(refused)["result"] == "RECEIPT_RESULT_REFUSED"
        assert reason(refused) == "NOT_ON_ALLOWLIST"
        assert await unit_state(host) == before
        # And once the control plane knows, it does not even ask.
        await signed_in.plane.until_connected(host.name)
        ran = await signed_in.plane.ctl("validator", "stop", host.name, "--plan", check=False)
        assert "ACTION_NOT_ALLOWED" in ran.err
    finally:
        await host.wire.mend()
        await host.allow(sol=ACTIONS)
        await asyncio.gather(asked, return_exceptions=True)


async def test_a_unit_that_dies_right_after_its_start_fails_the_operation(signed_in: Fleet) -> None:
    host = signed_in.hosts["sol-1"]
    try:
        async with host.changed_unit("[Service]\nExecStart=\nExecStart=/bin/sh -c 'sleep 0.4; exit 3'\n"):
            failed = await signed_in.act("restart", host)
        assert failed["state"] == "OPERATION_STATE_FAILED"
        receipt = receipt_of(failed)
        assert (receipt["reason"], receipt["after"]["activeState"]) == ("JOB_FAILED", "failed")
        assert receipt["after"]["exitStatus"] == 3
    finally:
        await host.machine.run("systemctl", "restart", UNIT)
        await signed_in.until_known(host)


async def test_an_agent_killed_while_the_unit_comes_up_does_not_restart_it_again(signed_in: Fleet) -> None:
    host = signed_in.hosts["sol-1"]
    before = await unit_state(host)
    slow = "/bin/sh -c 'sleep 6; systemd-notify --ready; exec sleep infinity'"
    try:
        async with host.changed_unit(f"[Service]\nType=notify\nNotifyAccess=all\nExecStart=\nExecStart={slow}\n"):
            asked = asyncio.create_task(signed_in.act("restart", host))

            async def coming_up() -> bool:
                assert not asked.done(), asked.result()
                return (await unit_state(host))["ActiveState"] == "activating"

            await until(coming_up, "the unit comes up")
            amid = await unit_state(host)
            await host.machine.run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", AGENT)
            done = await asked
            assert done["state"] == "OPERATION_STATE_SUCCEEDED"
            receipt = receipt_of(done)
            assert receipt["before"]["invocationId"] == before["InvocationID"]
            assert receipt["after"]["invocationId"] == amid["InvocationID"] != before["InvocationID"]
            assert (await unit_state(host))["InvocationID"] == amid["InvocationID"]
    finally:
        await host.machine.run("systemctl", "restart", UNIT)


async def test_a_link_cut_and_one_that_goes_silent_lose_nothing(booted: Fleet) -> None:
    cut, silent = booted.hosts.values()
    accounts = [host.account() for host in booted.hosts.values()]
    cut_at = time.monotonic()
    await cut.wire.cut()
    silent.wire.stall()
    begun = await booted.totals()
    await asyncio.sleep(CUT_SECONDS)
    waiting = sum(host.account().batches for host in booted.hosts.values()) - begun[0]
    assert waiting >= 2 * (CUT_SECONDS - 3)
    assert not (await booted.plane.ctl_json("hosts", "show", cut.name))["connected"]

    for host in (cut, silent):
        await host.wire.mend()
    for host in (cut, silent):
        await booted.plane.until_connected(host.name)
    await booted.nothing_lost()
    assert [host.account().spool_id for host in (cut, silent)] == [account.spool_id for account in accounts]
    for host in (cut, silent):
        assert (await booted.plane.ctl_json("hosts", "show", host.name)).get("droppedSamples", "0") == "0"
        rows = (await booted.plane.ctl_json("rpc", "latency", "--host", host.name, "--method", "getSlot"))["methods"]
        # Only what came since the cut: an agent that an earlier test killed was blind for a while, and rightly so.
        recent = rows[0]["recentMs"][-int(time.monotonic() - cut_at) :]
        gaps = [second for second, latency in enumerate(recent) if latency == NOT_ASKED]
        # Two clocks of one second each may miss a second of the other now and then; a cut misses many in a row.
        assert all(later - earlier > 1 for earlier, later in itertools.pairwise(gaps)), recent
        assert len(gaps) <= 3, recent


async def test_the_watchdog_ends_an_agent_that_hangs(booted: Fleet) -> None:
    host = booted.hosts["sol-1"]
    before = await host.machine.show(AGENT, "MainPID", "NRestarts")
    await host.machine.run("systemctl", "kill", "--kill-whom=main", "--signal=STOP", AGENT)

    async def anew() -> bool:
        now = await host.machine.show(AGENT, "MainPID", "NRestarts", "ActiveState", "SubState")
        return now["MainPID"] not in ("0", before["MainPID"]) and now["SubState"] == "running"

    await until(anew, "systemd started the agent anew")
    after = await host.machine.show(AGENT, "NRestarts")
    assert int(after["NRestarts"]) == int(before["NRestarts"]) + 1
    assert "Watchdog timeout" in await host.machine.journal(AGENT)
    await booted.plane.until_connected(host.name)
    await booted.nothing_lost()


async def test_a_restarted_agent_resumes_its_spool(booted: Fleet) -> None:
    host = booted.hosts["sol-2"]
    before = host.account()
    await host.machine.run("systemctl", "restart", AGENT)
    await booted.plane.until_connected(host.name)

    async def goes_on() -> bool:
        return host.account().batches > before.batches + 2

    await until(goes_on, "the agent measures again")
    assert host.account().spool_id == before.spool_id
    await booted.nothing_lost()


async def test_a_host_that_loses_power_amid_a_restart_is_never_called_done(signed_in: Fleet) -> None:
    host = signed_in.hosts["sol-2"]
    begun = time.monotonic()
    async with host.changed_unit("[Service]\nExecStop=/bin/sleep 60\nTimeoutStopSec=90\n"):
        asked = asyncio.create_task(signed_in.act("restart", host, "--timeout", "2"))
        try:

            async def stopping() -> bool:
                return (await unit_state(host))["ActiveState"] == "deactivating"

            await until(stopping, "systemd works on the restart")
        finally:
            await host.machine.cut_power()
        ended = await asked
    assert time.monotonic() - begun < EXPIRE_SECONDS + 2 + RECEIPT_MARGIN_SECONDS + 10
    assert ended["state"] == "OPERATION_STATE_PAUSED"
    assert reason(ended) == "RECEIPT_MISSING"

    await host.machine.boot()
    await signed_in.plane.until_connected(host.name)
    shown = await signed_in.plane.ctl_json("operations", "show", ended["name"])
    assert shown == ended
    await signed_in.nothing_lost()
    done = await signed_in.act("restart", host)
    assert done["state"] == "OPERATION_STATE_SUCCEEDED"
    assert json.dumps(receipt_of(done)).count((await unit_state(host))["InvocationID"]) == 1
