"""From a line in a validator's log to somebody who looks after it, with real processes."""

import asyncio
import json
import os
import signal
import time
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

from tests.support.cluster import About, Cluster, HostProcess, cluster
from tests.support.programs import BIN

SOON_S = 15.0


def error(text: str) -> str:
    return f"[{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime())}.123456789Z ERROR solana_core::x] {text}"


def write(host: HostProcess, *lines: str) -> None:
    with (host.folder / "validator.log").open("a") as log:
        log.writelines(f"{line}\n" for line in lines)


async def until_firing(fleet: Cluster, *rules: str) -> list[dict[str, Any]]:
    async with asyncio.timeout(SOON_S):
        while True:
            found: list[dict[str, Any]] = await fleet.ctl_json("alerts")
            if {alert["rule"] for alert in found} >= set(rules):
                return found
            await asyncio.sleep(0.1)


async def events(fleet: Cluster, *arguments: str) -> list[str]:
    return [found["event"]["kind"] for found in await fleet.ctl_json("alerts", "events", *arguments)]


async def test_a_panic_in_the_log_is_told_looked_after_and_silenced(tmp_path: Path) -> None:
    async with cluster(tmp_path) as fleet:
        await fleet.sign_in()
        host = await fleet.add_host("sol-1", About(guarded=True))
        watch = await asyncio.create_subprocess_exec(
            str(BIN / "ctl"), "alerts", "--watch", "-o", "json", env=fleet.environment(), stdout=PIPE
        )
        assert watch.stdout
        await asyncio.sleep(1.5)
        write(
            host,
            "thread 'solReplayStage' panicked at core/src/x.rs:1:2:",
            "lost http://me:secret@h/",
            "stack backtrace:",
        )
        async with asyncio.timeout(SOON_S):
            (told,) = json.loads(await watch.stdout.readline())["alerts"]
        assert (told["rule"], told["detail"], told["severity"]) == (
            "critical_finding", "validator.panic", "SEVERITY_CRITICAL",
        )  # fmt: skip
        assert "secret" not in json.dumps(told)
        assert await events(fleet) == ["validator.panic"]
        assert await events(fleet, "--host", "sol-1", "--severity", "critical") == ["validator.panic"]

        ident = told["name"].removeprefix("alerts/")[:8]
        acknowledged = await fleet.ctl_json("alerts", "ack", ident, "--comment", "mine")
        assert (acknowledged["acknowledgedBy"], acknowledged["comment"]) == ("admin", "mine")
        await fleet.ctl("alerts", "silence", "--rule", "critical_finding", "--for", "1h", "--reason", "known")
        (silence,) = await fleet.ctl_json("alerts", "silences")
        (quiet,) = await fleet.ctl_json("alerts")
        assert quiet["silence"] == silence["name"]
        assert "critical_finding" in (await fleet.ctl("alerts", "silences")).out
        await fleet.ctl("alerts", "unsilence", silence["name"])
        assert await fleet.ctl_json("alerts", "silences") == []

        shown = await fleet.ctl("alerts", "show", ident)
        assert "a thread panicked; the validator exits" in shown.out
        assert "acknowledged by admin" in shown.out
        watch.terminate()
        await watch.wait()
        audited = (await fleet.ctl("audit", "list", "--limit", "50")).out
        assert "AcknowledgeAlert" in audited
        assert "CreateSilence" in audited


async def test_alerts_and_findings_outlive_every_process(tmp_path: Path) -> None:
    async with cluster(tmp_path) as fleet:
        await fleet.sign_in()
        host = await fleet.add_host("sol-1", About(guarded=True))
        await asyncio.sleep(2)
        write(host, error("blockstore error: Io"))
        (alert,) = await until_firing(fleet, "error_finding")

        await fleet.stop_server(signal.SIGKILL)
        # What happens while the control plane is away waits in the agent's spool; while both are away, in the log.
        write(host, error("write failed: No space left on device (os error 28)"))
        await asyncio.sleep(2)
        await fleet.stop_agent(host, signal.SIGKILL)
        write(host, error("accept: Too many open files (os error 24)"))
        await fleet.start_server()
        await fleet.start_agent(host)
        await fleet.until_connected("sol-1")
        found = await until_firing(fleet, "error_finding", "critical_finding")
        assert alert["name"] in {each["name"] for each in found}
        async with asyncio.timeout(SOON_S):
            while len(seen := await events(fleet)) < 3:
                await asyncio.sleep(0.1)
        assert sorted(seen) == ["validator.blockstore_error", "validator.disk_full", "validator.too_many_files"]


async def test_a_validator_that_dies_is_told_apart_from_an_agent_that_does(tmp_path: Path) -> None:
    down = {"name": "validator_down", "severity": "critical", "summary": "down", "for_seconds": 1, "resolve_seconds": 1}
    offline = {"name": "agent_offline", "severity": "error", "subject": "monitor", "summary": "offline"}
    rules = [
        down | {"series": {"series": "solana_validator_active", "below": 1}},
        offline | {"for_seconds": 2, "during_operations": True, "link": {"state": "offline"}, "resolve_seconds": 1},
    ]
    async with cluster(tmp_path, alerts={"rules": rules}) as fleet:
        await fleet.sign_in()
        dead = await fleet.add_host("sol-1", About(guarded=True, restart="no"))
        blind = await fleet.add_host("sol-2", About(guarded=True))
        await asyncio.sleep(2)
        status = await fleet.ctl_json("validator", "status", "sol-1")
        os.kill(status["unit"]["mainPid"], signal.SIGKILL)
        await fleet.stop_agent(blind, signal.SIGKILL)
        found = await until_firing(fleet, "validator_down", "agent_offline")
        assert {(alert["host"], alert["rule"], alert["subject"]) for alert in found} == {
            ("hosts/sol-1", "validator_down", "ALERT_SUBJECT_VALIDATOR"),
            ("hosts/sol-2", "agent_offline", "ALERT_SUBJECT_MONITOR"),
        }
        assert dead.agent
        await fleet.start_agent(blind)
        async with asyncio.timeout(SOON_S):
            while {alert["rule"] for alert in await fleet.ctl_json("alerts")} != {"validator_down"}:
                await asyncio.sleep(0.1)
        resolved = await fleet.ctl_json("alerts", "--all")
        assert {alert["state"] for alert in resolved} == {"ALERT_STATE_FIRING", "ALERT_STATE_RESOLVED"}
