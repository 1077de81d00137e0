"""Snapshots with real processes: listed, verified by a job, kept, pruned by a plan, and found again after crashes."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_rolling import ended, until
from tests.peers import snapshots as peer
from tests.support.cluster import About, Cluster, HostProcess, cluster

SUCCEEDED, FAILED = "OPERATION_STATE_SUCCEEDED", "OPERATION_STATE_FAILED"
FULL, ON_IT = peer.SLOT - 1000, peer.SLOT

pytestmark = pytest.mark.timeout(180)


@asynccontextmanager
async def one(folder: Path) -> AsyncIterator[tuple[Cluster, HostProcess, Path]]:
    """Run a control plane and one host with a full archive and an incremental one on it."""
    async with cluster(folder, require_second_factor=False) as made:
        await made.sign_in()
        host = await made.add_host("sol-1", About(guarded=True), genesis=time.time() - 3600)
        ledger = host.folder / "ledger"
        peer.write(ledger, FULL)
        peer.write(ledger, ON_IT, base=FULL)
        yield made, host, ledger


async def do(made: Cluster, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Do something to snapshots and wait; give the exit code, the operation, and what was said."""
    argv = ("controls", "snapshot", *arguments, "--yes", "-o", "json")
    ran = await made.ctl(*argv, answers=(await made.code(),), check=False)
    return ran.code, json.loads(ran.out) if ran.out.startswith("{") else {}, ran.err


def act(operation: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(step for step in operation["steps"] if step["id"] == "act")
    return found


async def test_archives_are_listed_verified_kept_and_pruned(tmp_path: Path) -> None:
    async with one(tmp_path) as (made, host, ledger):
        (ledger / "snapshot-12-nonsense.tar.zst").write_bytes(b"x")
        listed = await made.ctl_json("controls", "snapshot", "list")
        assert [(each["slot"], each["sha256"]) for each in listed["archives"]] == [(str(ON_IT), ""), (str(FULL), "")]
        assert list(listed["oddities"]) == ["snapshot-12-nonsense.tar.zst"]

        code, done, said = await do(made, "verify", "--archive", peer.name(FULL))
        assert (code, done["state"]) == (0, SUCCEEDED), (done, said)
        checks = {check["id"]: check["verdict"] for check in act(done)["receipt"]["checks"]}
        assert checks == {"name": "pass", "file": "pass", "content": "pass", "unchanged": "pass"}
        digest = act(done)["figures"]["sha256"]
        # The validator's own log has the last word on the name.
        with (host.folder / "validator.log").open("a") as log:
            log.write(
                f"bank frozen: {FULL} hash: H capitalization: 1, accounts_lt_hash checksum: {'4' * 43}, stats: x\n"
            )
        code, done, _ = await do(made, "verify", "--archive", peer.name(FULL))
        assert code == 1
        assert act(done)["message"].startswith("HASH_MISMATCH: "), done
        listed = await made.ctl_json("controls", "snapshot", "list")
        assert listed["archives"][1]["sha256"] == ""
        with (host.folder / "validator.log").open("a") as log:
            log.write(
                f"bank frozen: {FULL} hash: H, accounts_lt_hash checksum: {peer.hash_of(f'None {FULL}')}, stats: x\n"
            )
        code, done, _ = await do(made, "verify", "--archive", peer.name(FULL))
        assert code == 0, done
        listed = await made.ctl_json("controls", "snapshot", "list")
        assert listed["archives"][1]["sha256"] == digest

        code, done, said = await do(made, "create")
        assert code == 0, (done, said)
        pins = host.folder / "ledger" / "solward-pins" / str(ON_IT)
        assert os.path.samefile(pins / peer.name(FULL), ledger / peer.name(FULL))
        assert (await made.ctl_json("controls", "snapshot", "list"))["pins"][0]["slot"] == str(ON_IT)

        for slot in (FULL + 10, FULL + 20):
            peer.write(ledger, slot, base=FULL)
        plan = await made.ctl("controls", "snapshot", "prune", "--keep-incremental", "1", "--plan")
        assert plan.out.count("SURPLUS_INCREMENTAL") == 2
        code, done, said = await do(made, "prune", "--keep-incremental", "1")
        assert code == 0, (done, said)
        assert act(done)["figures"]["removed"] == "2"
        assert {path.name for path in ledger.glob("*.tar.zst")} >= {peer.name(FULL), peer.name(ON_IT, FULL)}
        assert not (ledger / peer.name(FULL + 10, FULL)).exists()

        code, _, said = await do(made, "unpin", "--slot", str(ON_IT))
        assert code == 0, said
        assert not pins.exists()
        code, _, said = await do(made, "prune", "--keep-incremental", "1")
        assert (code, "nothing to remove" in said) == (6, True)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("truncated", "ARCHIVE_TRUNCATED"), ("corrupt", "ARCHIVE_CORRUPT"), ("renamed", "SLOT_MISMATCH")],
)
async def test_an_archive_that_is_not_whole_fails_and_is_not_kept(tmp_path: Path, fault: str, reason: str) -> None:
    async with one(tmp_path) as (made, _, ledger):
        good = (ledger / peer.name(ON_IT, FULL)).read_bytes()
        bad = {
            "truncated": good[:-200],
            "corrupt": good[:40] + bytes(200) + good[240:],
            "renamed": peer.content(ON_IT - 5),
        }[fault]
        (ledger / peer.name(ON_IT, FULL)).write_bytes(bad)
        code, done, _ = await do(made, "verify")
        assert (code, done["state"]) == (1, FAILED), done
        assert act(done)["message"].startswith(f"{reason}: "), done
        # What is known to be bad is shown so, and passed over when the newest pair is kept.
        listed = await made.ctl_json("controls", "snapshot", "list")
        assert [each["bad"] for each in listed["archives"]] == [True, False]
        plan = await made.ctl("controls", "snapshot", "create", "--plan")
        assert peer.name(ON_IT, FULL) not in plan.out
        code, done, said = await do(made, "create")
        assert code == 0, (done, said)
        assert act(done)["figures"]["slot"] == str(FULL)


async def test_the_next_archive_is_waited_for(tmp_path: Path) -> None:
    async with one(tmp_path) as (made, _, ledger):
        code = await made.code()
        ran = await made.ctl("controls", "snapshot", "create", "--next", "1", "--yes", "--detach", answers=(code,))
        name = ran.out.split()[-1]
        await until(made, name, lambda operation: "waiting for" in act(operation)["message"], "it waits")
        peer.write(ledger, ON_IT + 100, base=FULL)
        done = await ended(made, name)
        assert done["state"] == SUCCEEDED, done
        assert act(done)["figures"]["slot"] == str(ON_IT + 100)


async def test_a_plan_that_is_not_true_any_more_removes_nothing(tmp_path: Path) -> None:
    async with one(tmp_path) as (made, _, ledger):
        peer.write(ledger, FULL + 10, base=FULL)
        plan = await made.ctl_json("controls", "snapshot", "prune", "--keep-incremental", "1", "--plan")
        peer.write(ledger, ON_IT + 50, base=FULL)
        other = await made.ctl_json("controls", "snapshot", "prune", "--keep-incremental", "1", "--plan")
        assert plan["planHash"] != other["planHash"]


async def test_a_job_outlives_its_agent_and_the_control_plane(tmp_path: Path) -> None:
    async with one(tmp_path) as (made, host, ledger):
        # Big enough to be read for some seconds at 1 MB/s.
        members = [*peer.state(FULL), *peer.accounts(FULL, count=6, size=1_500_000)]
        (ledger / peer.name(FULL)).write_bytes(peer.content(FULL, members=members))
        code = await made.code()
        ran = await made.ctl(
            "controls", "snapshot", "verify", "--archive", peer.name(FULL), "--limit", "1", "--yes", "--detach",
            answers=(code,),
        )  # fmt: skip
        name = ran.out.split()[-1]
        await until(made, name, lambda operation: "MB/s" in act(operation)["message"], "it is read")
        await asyncio.gather(made.stop_agent(host, signal.SIGKILL), made.stop_server(signal.SIGKILL))
        await made.start_server()
        await made.start_agent(host)
        done = await ended(made, name)
        assert done["state"] == SUCCEEDED, done
        assert act(done)["figures"]["bytes"] == str((ledger / peer.name(FULL)).stat().st_size)
        # One job, begun once.
        assert len(list((host.folder / "jobs").glob("*.json"))) == 1


async def test_a_person_ends_a_job(tmp_path: Path) -> None:
    async with one(tmp_path) as (made, host, _):
        code = await made.code()
        ran = await made.ctl("controls", "snapshot", "create", "--next", "5", "--yes", "--detach", answers=(code,))
        name = ran.out.split()[-1]
        await until(made, name, lambda operation: "waiting for" in act(operation)["message"], "it waits")
        await made.ctl("operations", "abort", name)
        done = await ended(made, name)
        assert done["state"] == "OPERATION_STATE_ABORTED", done
        assert "JOB_STOPPED" in done["error"]["message"]
        ident = next((host.folder / "jobs").glob("*.json")).stem
        with pytest.raises(AssertionError, match="no process"):
            pid_of(ident)


async def test_a_job_that_is_killed_says_so(tmp_path: Path) -> None:
    async with one(tmp_path) as (made, host, ledger):
        members = [*peer.state(FULL), *peer.accounts(FULL, count=6, size=1_500_000)]
        (ledger / peer.name(FULL)).write_bytes(peer.content(FULL, members=members))
        code = await made.code()
        ran = await made.ctl(
            "controls", "snapshot", "verify", "--archive", peer.name(FULL), "--limit", "1", "--yes", "--detach",
            answers=(code,),
        )  # fmt: skip
        name = ran.out.split()[-1]
        await until(made, name, lambda operation: "MB/s" in act(operation)["message"], "it is read")
        ident = next((host.folder / "jobs").glob("*.json")).stem
        os.kill(pid_of(ident), signal.SIGKILL)
        done = await ended(made, name)
        assert done["state"] == FAILED
        assert act(done)["message"].startswith("JOB_DIED: "), done


def pid_of(ident: str) -> int:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                argv = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if ident.encode() in argv and b"job" in argv:
                return int(entry.name)
    raise AssertionError(f"no process runs the job {ident}")
