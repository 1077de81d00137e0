"""From an agent's log line and a validator's to Loki, over Loki's absence and restarts, and back to `ctl logs`."""

import asyncio
import datetime as dt
import json
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from tests.peers.loki import LokiPeer
from tests.support.cluster import About, Cluster, HostProcess, cluster
from tests.support.ports import free_ports
from tests.support.programs import BIN

SOON_S = 40.0
# Longer than the breaker's first waits, so that it is seen to open and to try again.
AWAY_S = 12.0
TOKEN = "canary-of-a-token"


async def until(holds: Callable[[], Any], what: Callable[[], object]) -> None:
    try:
        async with asyncio.timeout(SOON_S):
            while not holds():
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(what()) from None


def messages(peer: LokiPeer) -> list[str]:
    return [line.text for line in peer.lines]


def panic(host: HostProcess, number: int) -> None:
    """Let the validator's log say something grave."""
    now = dt.datetime.now(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "000Z")
    with (host.folder / "validator.log").open("a") as log:
        log.write(f"[{now} ERROR solana_core] Too many open files, number {number}\n")


async def metric(made: Cluster, name: str) -> float:
    url = f"http://127.0.0.1:{made.metrics_port}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        lines = (await answer.text()).splitlines()
    return float(next(line for line in lines if line.startswith(name)).rpartition(" ")[2])


async def test_what_agents_and_validators_log_is_in_loki_and_asked_for_there(tmp_path: Path) -> None:
    peer = LokiPeer("fleet", f"Bearer {TOKEN}")
    async with peer.serving() as url, cluster(tmp_path, loki={"url": url, "tenant": "fleet", "token": TOKEN}) as made:
        await made.sign_in()
        host = await made.add_host("sol-1", About(guarded=True))
        await until(lambda: "agent runs" in messages(peer), lambda: (messages(peer), made.log[-2000:]))
        labels = [dict(stream) for stream in peer.streams]
        assert all(one.keys() == {"service_name", "cluster", "host", "level", "class"} for one in labels)
        panic(host, 1)
        await until(lambda: any("number 1" in text for text in messages(peer)), lambda: messages(peer))
        # The store's own answer and Loki's are one.
        found = await made.ctl("logs", "sol-1", "--severity", "critical", "--kind", "validator", "--grep", "number 1")
        assert "critical" in found.out
        assert "validator.too_many_files" in found.out
        assert peer.queries[-1].startswith(
            '{service_name="solward", cluster="solward.internal", host=~"sol-1", level=~'
        )
        lines = (await made.ctl("logs", "--kind", "agent.log", "--field", "logger=agent.app", "-o", "json")).out
        (entry,) = map(json.loads, lines.splitlines())
        assert (entry["host"], entry["event"]["message"]) == ("hosts/sol-1", "agent runs")
        nothing = await made.ctl("logs", "--grep", "never said")
        assert (nothing.out, "nothing found" in nothing.err) == ("", True)
        unknown = await made.ctl("logs", "sol-9", check=False)
        assert (unknown.code, "HOST_NOT_FOUND" in unknown.err) == (5, True)
        assert await metric(made, "solward_loki_pushed_total") >= len(peer.lines)
        assert await metric(made, "solward_loki_lag_seconds") < SOON_S
        # The alert is the finding's; what agents log raises none.
        assert {alert["rule"] for alert in await made.ctl_json("alerts")} <= {"critical_finding", "unit_unreadable"}
        assert TOKEN not in made.log + host.log


async def test_loki_is_away_and_everything_comes_once_and_in_order(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    peer = LokiPeer()
    loki = {"url": f"http://127.0.0.1:{port}"}
    async with cluster(tmp_path, loki=loki, require_second_factor=False) as made:
        await made.sign_in()
        host = await made.add_host("sol-1", About(guarded=True))
        async with peer.serving(port):
            await until(lambda: "agent runs" in messages(peer), lambda: made.log[-2000:])
        began = asyncio.get_running_loop().time()
        # Each restart of the agent is a line of its own; the control plane is killed meanwhile, too.
        for number in range(3):
            panic(host, number)
            await made.stop_agent(host)
            await made.start_agent(host)
            await made.until_connected("sol-1")
            if number == 1:
                await made.stop_server(signal.SIGKILL)
                await made.start_server()
                await made.until_connected("sol-1")
        await asyncio.sleep(max(0.0, AWAY_S - (asyncio.get_running_loop().time() - began)))
        status = await made.ctl("status", check=False)
        assert "Loki" in status.out + status.err, status
        away = await made.ctl("logs", check=False)
        assert (away.code, "LOGS_DOWN" in away.err) == (7, True)
        # Half there, it still takes nothing.
        peer.status = 503
        async with peer.serving(port):
            await asyncio.sleep(1)
            peer.status = 0
            wanted: Counter[str] = Counter()
            async with asyncio.timeout(SOON_S):
                while wanted["agent runs"] < 4:
                    kept = [json.loads(line) for line in (await _followed(made, 200)).splitlines()]
                    wanted = Counter(entry["event"]["message"] for entry in kept)
            assert wanted["agent runs"] == 4
            assert sum("number" in message for message in wanted) >= 1
            await until(lambda: Counter(messages(peer)) >= wanted, lambda: wanted - Counter(messages(peer)))
            # Let it catch up, and send nothing twice.
            await asyncio.sleep(2)
            at = {line.unix_ns for line in peer.lines}
            assert len(at) == len(peer.lines)
            assert {int(entry["unixNanos"]) for entry in kept} <= at
            assert peer.refusals == []
            for stream in peer.streams.values():
                assert [line.unix_ns for line in stream] == sorted(line.unix_ns for line in stream)
            await until(lambda: '"Loki takes logs again"' in made.log, lambda: made.log[-2000:])
            lines = (await made.ctl("logs", "-o", "json", "--limit", "1000")).out.splitlines()
            assert {json.loads(line)["unixNanos"] for line in lines} >= {entry["unixNanos"] for entry in kept}


async def test_without_loki_the_store_answers_and_a_follower_sees_lines_as_they_come(tmp_path: Path) -> None:
    async with cluster(tmp_path, require_second_factor=False) as made:
        await made.sign_in()
        host = await made.add_host("sol-1", About(guarded=True))
        while "agent runs" not in (await made.ctl("logs", "sol-1")).out:
            await asyncio.sleep(0.2)
        argv = [str(BIN / "ctl"), "logs", "--follow", "--severity", "critical"]
        process = await asyncio.create_subprocess_exec(
            *argv, env=made.environment(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        assert process.stdout
        try:
            async with asyncio.timeout(SOON_S):
                await asyncio.sleep(2)
                panic(host, 7)
                line = (await process.stdout.readline()).decode()
        finally:
            process.send_signal(signal.SIGINT)
            await process.communicate()
        assert "sol-1" in line
        assert "critical  validator.too_many_files" in line
        assert "number 7" in line
        assert process.returncode == 130


async def _followed(made: Cluster, backlog: int) -> str:
    """Take what the control plane itself has, as a follower gets it."""
    argv = [str(BIN / "ctl"), "logs", "-f", "-o", "json", "--limit", str(backlog)]
    process = await asyncio.create_subprocess_exec(
        *argv, env=made.environment(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    await asyncio.sleep(3)
    process.send_signal(signal.SIGINT)
    out, _ = await process.communicate()
    return out.decode()
