"""Flags with real processes: shown, changed by a gated restart, put back, told at run time, and refused."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.peers.fixtures import validator_peer
from tests.peers.validator_admin import ask
from tests.peers.validator_state import key_of
from tests.support.cluster import About, Cluster, HostProcess, cluster

CHANGEABLE = (
    "*", "log", "geyser-plugin-config", "block-engine-url", "expected-shred-version", "private-rpc", "bind-address",
)  # fmt: skip


@asynccontextmanager
async def one(folder: Path, **settings: Any) -> AsyncIterator[tuple[Cluster, HostProcess]]:
    genesis = time.time() - 3600
    async with (
        validator_peer(genesis=genesis) as outside,
        cluster(folder, solana_rpc_url=outside.rpc_url, gates={"free_gigabytes": 0.01}, **settings) as fleet,
    ):
        await fleet.sign_in()
        about = About(guarded=True, changeable=CHANGEABLE)
        yield fleet, await fleet.add_host("sol-1", about, genesis=genesis, leader_every=0)


async def change(fleet: Cluster, *options: str, verb: str = "change") -> tuple[int, dict[str, Any], str]:
    """Change flags; give the exit code, the operation as it ended, and what was said on standard error."""
    argv = ("validator", "flags", verb, "sol-1", *options, "--yes", "-o", "json")
    ran = await fleet.ctl(*argv, answers=(await fleet.authenticator.code(),), check=False)
    return ran.code, json.loads(ran.out) if ran.out.startswith("{") else {}, ran.err


async def words(fleet: Cluster) -> list[str]:
    shown = await fleet.ctl_json("validator", "flags", "show", "sol-1")
    return [f"--{each['name']} {each.get('value', '')}".strip() for each in shown["arguments"]]


async def pid(fleet: Cluster) -> int:
    status: dict[str, Any] = await fleet.ctl_json("validator", "status", "sol-1")
    return int(status["unit"]["mainPid"])


def step(operation: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in operation["steps"] if each["id"] == name)
    return found


async def test_a_flag_is_changed_by_a_gated_restart_and_had_back(tmp_path: Path) -> None:
    async with one(tmp_path) as (fleet, host):
        before, text = await pid(fleet), host.script.read_text()
        plan = await fleet.ctl("validator", "flags", "change", "sol-1", "--set", "rpc-threads=8", "--plan")
        assert "- --rpc-threads 4" in plan.out
        assert "+ --rpc-threads 8" in plan.out
        assert host.script.read_text() == text

        code, done, said = await change(fleet, "--set", "rpc-threads=8", "--on", "private-rpc")
        assert code == 0, (done, said)
        assert step(done, "configure")["figures"] == {
            "diff": "- --rpc-threads 4\n+ --rpc-threads 8\n+ --private-rpc", "version": "2", "previous_version": "1",
            "etag": step(done, "configure")["figures"]["etag"], "at_next_start": "private-rpc rpc-threads", "told": "",
            "took_ms": step(done, "configure")["figures"]["took_ms"], "job_ms": "0.0",
        }  # fmt: skip
        assert step(done, "ready")["verdict"] == "VERDICT_PASS"
        assert step(done, "undo")["verdict"] == "VERDICT_UNSPECIFIED"
        assert await pid(fleet) != before
        assert host.script.read_text() == text.replace("--rpc-threads 4", "--rpc-threads 8 \\\n    --private-rpc")
        command = Path(f"/proc/{await pid(fleet)}/cmdline").read_bytes()
        assert b"tests.peers.validator" in command

        versions = await fleet.ctl_json("validator", "flags", "versions", "sol-1")
        assert [each["version"] for each in versions] == [2, 1]
        code, done, said = await change(fleet, "--version", "1", verb="rollback")
        assert code == 0, (done, said)
        assert host.script.read_text() == text

        # As they stand already: nothing to do, and no restart.
        running = await pid(fleet)
        code, _, said = await change(fleet, "--set", "rpc-threads=4")
        assert (code, "NOTHING_TO_CHANGE" in said) == (6, True)
        assert await pid(fleet) == running


async def test_flags_that_the_node_does_not_come_up_with_are_put_back(tmp_path: Path) -> None:
    async with one(tmp_path, ready_seconds=20) as (fleet, host):
        text = host.script.read_text()
        code, done, said = await change(fleet, "--set", "expected-shred-version=1")
        assert code == 1, said
        assert done["state"] == "OPERATION_STATE_FAILED"
        assert step(done, "undo")["verdict"] == "VERDICT_PASS", done
        assert "version 1 of the flags was put back, and the node has caught up" in done["error"]["message"]
        assert host.script.read_text() == text
        assert not [word for word in await words(fleet) if "shred-version" in word]
        status = await fleet.ctl_json("validator", "status", "sol-1")
        assert status["unit"]["activeState"] == "active"


async def test_a_node_that_the_restart_did_not_end_runs_on_and_only_its_flags_are_put_back(
    tmp_path: Path,
) -> None:
    async with one(tmp_path) as (fleet, host):
        text, running = host.script.read_text(), await pid(fleet)
        url = f"http://127.0.0.1:{host.control_port}/faults"
        async with aiohttp.ClientSession() as session, session.post(url, json={"hang": ["exit"]}) as reply:
            assert reply.status == 200
        code, done, said = await change(fleet, "--set", "rpc-threads=8")
        assert code == 1, said
        assert "the node runs on as it did and was not restarted" in done["error"]["message"], done
        assert host.script.read_text() == text
        assert await pid(fleet) == running
        # What was undone is on record like what was done: a receipt for each.
        export = tmp_path / "audit.jsonl"
        await fleet.ctl("audit", "export", "--out", str(export))
        assert export.read_text().count("signed_receipt") == 3


async def test_what_a_running_validator_can_be_told_needs_no_restart(tmp_path: Path) -> None:
    async with one(tmp_path) as (fleet, host):
        before, key = await pid(fleet), key_of("friend")
        code, done, said = await change(
            fleet, "--set", f"repair-whitelist={key}", "--set", "block-engine-url=https://ny.example.net"
        )
        assert code == 0, (done, said)
        assert [each["id"] for each in done["steps"]] == ["check", "configure"]
        assert step(done, "configure")["figures"]["told"] == "setBlockEngineConfig setRepairWhitelist"
        assert await pid(fleet) == before
        (listed,) = (await ask(host.folder / "ledger", "repairWhitelist"))["result"]["whitelist"]
        assert len(listed) == 32
        assert f"--repair-whitelist {key}" in await words(fleet)

        # Written for the next start alone, where that is what was asked for.
        code, done, _ = await change(fleet, "--set", "rpc-threads=2", "--no-restart")
        assert code == 0
        assert step(done, "configure")["figures"]["at_next_start"] == "rpc-threads"
        assert await pid(fleet) == before


REFUSED: list[tuple[tuple[str, ...], int, str]] = [
    (("--set", "rpc-threads=$(reboot)"), 2, "VALUE_WRONG"),
    (("--set", "rpc-threads=8;reboot"), 2, "VALUE_WRONG"),
    (("--set", "log=/tmp/a b"), 2, "VALUE_WRONG"),
    (("--set", "log=/tmp/%n/../../etc/passwd"), 2, "VALUE_WRONG"),
    (("--set", "bind-address=`id`"), 2, "VALUE_WRONG"),
    (("--set", "geyser-plugin-config=/x\nExecStartPre=/bin/sh"), 2, "VALUE_WRONG"),
    (("--on", "rpc-threads"), 2, "VALUE_WRONG"),
    (("--set", "no-such-flag=1"), 2, "FLAG_UNKNOWN"),
    (("--on", "cuda"), 2, "FLAG_REMOVED"),
    (("--set", "limit-blockstore-size=60000000"), 2, "FLAG_TOO_NEW"),
    (("--set", "identity=/home/sol/other.json"), 6, "FLAG_NOT_LISTED"),
    (("--remove", "ledger"), 6, "FLAG_NOT_LISTED"),
    (("--set", "rpc-threads=8", "--etag", "0" * 32), 6, "CONFIG_CHANGED"),
]


async def test_what_cannot_be_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    # Each is refused at once: there are more of them in a second than a person asks for.
    async with one(tmp_path, rate_limits={"write": "100/second"}) as (fleet, host):
        text, running = host.script.read_text(), await pid(fleet)
        for options, code, reason in REFUSED:
            ran = await fleet.ctl("validator", "flags", "change", "sol-1", *options, "--plan", check=False)
            assert (ran.code, reason in ran.err) == (code, True), (options, ran)
        # Somebody edited it by hand: what stands is what counts, and it is never overwritten unseen.
        seen = await fleet.ctl_json("validator", "flags", "show", "sol-1")
        host.script.write_text(text.replace("--rpc-threads 4", "--rpc-threads 16"))
        options = ("--set", "rpc-threads=8", "--etag", seen["etag"])
        ran = await fleet.ctl("validator", "flags", "change", "sol-1", *options, "--plan", check=False)
        assert (ran.code, "CONFIG_CHANGED" in ran.err) == (6, True), ran
        # A script that is more than one simple command is left alone.
        host.script.write_text(text.replace("--full-rpc-api", "--full-rpc-api; rm -rf /"))
        ran = await fleet.ctl("validator", "flags", "show", "sol-1", check=False)
        assert (ran.code, "SCRIPT_ODD" in ran.err) == (6, True), ran
        assert await pid(fleet) == running
