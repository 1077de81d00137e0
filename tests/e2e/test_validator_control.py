"""A validator that its agent knows: gates, its own exit, the start watched to its end, voting, and force."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.peers.fixtures import validator_peer
from tests.peers.validator_state import key_of, make_keypair, write_keypair
from tests.support.cluster import About, Cluster, HostProcess, cluster
from tests.support.programs import Ran

SUCCEEDED, FAILED = "OPERATION_STATE_SUCCEEDED", "OPERATION_STATE_FAILED"
VOTE_ACCOUNT = key_of("the vote account")
GATES = {"free_gigabytes": 0.1}

pytestmark = pytest.mark.timeout(180)


@asynccontextmanager
async def fleet(folder: Path, **settings: Any) -> AsyncIterator[tuple[Cluster, float]]:
    """Run a control plane that has an outside view of the cluster; give it and when the cluster began."""
    genesis = time.time() - 3600
    async with (
        validator_peer(genesis=genesis) as outside,
        cluster(folder, solana_rpc_url=outside.rpc_url, gates=GATES, ready_seconds=30, **settings) as made,
    ):
        await made.sign_in()
        yield made, genesis


async def act(made: Cluster, *arguments: str) -> tuple[Ran, dict[str, Any]]:
    """Do something to a validator with a code, and wait for its end."""
    code = await made.authenticator.code()
    ran = await made.ctl("validator", *arguments, "--yes", "-o", "json", answers=(code,), check=False)
    assert ran.out.startswith("{"), ran
    return ran, json.loads(ran.out)


def step(operation: dict[str, Any], ident: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in operation["steps"] if one["id"] == ident)
    return found


async def faults(host: HostProcess, **wanted: Any) -> None:
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{host.control_port}/faults"
        async with session.post(url, json=wanted) as answer:
            answer.raise_for_status()


def log_of(host: HostProcess) -> str:
    return (host.folder / "validator.log").read_text()


@pytest.mark.parametrize("restart", ["always", "on-failure", "no"])
async def test_restart_and_stop_come_out_right_under_every_restart_policy(tmp_path: Path, restart: str) -> None:
    async with fleet(tmp_path) as (made, genesis):
        host = await made.add_host("sol-1", About(guarded=True, restart=restart), genesis=genesis)
        before = await made.ctl_json("validator", "status", "sol-1")
        _, done = await act(made, "restart", "sol-1")
        assert done["state"] == SUCCEEDED, done
        gates = {one["id"]: one["verdict"] for one in done["steps"] if one["id"].startswith("gate-")}
        assert set(gates.values()) == {"VERDICT_PASS"}
        assert {"gate-leader", "gate-health", "gate-tower", "gate-exit", "gate-epoch", "gate-peers"} <= set(gates)
        after = await made.ctl_json("validator", "status", "sol-1")
        assert after["unit"]["invocationId"] != before["unit"]["invocationId"]
        assert step(done, "ready")["verdict"] == "VERDICT_PASS"
        # It left by itself, and its votes' memory was copied aside first.
        assert log_of(host).count("Validator exiting...") == 1
        copy = Path(step(done, "act")["figures"]["tower_copy"])
        assert copy.parent == host.folder / "state" / "towers"
        assert copy.stat().st_mode & 0o777 == 0o600

        _, stopped = await act(made, "stop", "sol-1")
        assert stopped["state"] == SUCCEEDED, stopped
        assert step(stopped, "act")["receipt"]["after"]["activeState"] in ("inactive", "failed")
        assert log_of(host).count("Validator exiting...") == 2
        _, started = await act(made, "start", "sol-1")
        assert started["state"] == SUCCEEDED, started
        assert step(started, "ready")["verdict"] == "VERDICT_PASS"


async def test_node_close_before_its_leader_slots_is_left_alone(tmp_path: Path) -> None:
    async with fleet(tmp_path) as (made, genesis):
        # It leads every 160 s, which is less than the ten minutes that are asked for.
        await made.add_host("sol-1", About(guarded=True), genesis=genesis, leader_every=400)
        before = await made.ctl_json("validator", "status", "sol-1")
        plan = await made.ctl_json("validator", "restart", "sol-1", "--plan")
        assert step(plan, "gate-leader")["verdict"] == "VERDICT_FAIL"
        ran, ended = await act(made, "restart", "sol-1")
        assert (ran.code, ended["state"]) == (1, FAILED)
        assert "leads in" in ended["error"]["message"]
        assert ended["error"]["details"][0]["reason"] == "GATE_LEADER_NOT_PASSED"
        assert (await made.ctl_json("validator", "status", "sol-1"))["unit"] == before["unit"]


async def test_gates_that_do_not_pass_yet_are_waited_for(tmp_path: Path) -> None:
    async with fleet(tmp_path) as (made, genesis):
        host = await made.add_host("sol-1", About(guarded=True), genesis=genesis)
        await faults(host, behind_slots=90)
        ran = await made.ctl(
            "validator", "restart", "sol-1", "--yes", "--detach", "--wait", "2",
            answers=(await made.authenticator.code(),),
        )  # fmt: skip
        name = ran.out.split()[-1]
        while not step(await made.ctl_json("operations", "show", name), "gate-health")["message"]:
            await asyncio.sleep(0.05)
        assert "behind" in step(await made.ctl_json("operations", "show", name), "gate-health")["message"]
        await faults(host, behind_slots=0)
        ended = await made.ctl_json("operations", "watch", name)
        assert ended["state"] == SUCCEEDED


async def test_node_that_does_not_exit_is_not_killed(tmp_path: Path) -> None:
    async with fleet(tmp_path) as (made, genesis):
        host = await made.add_host("sol-1", About(guarded=True), genesis=genesis)
        before = await made.ctl_json("validator", "status", "sol-1")
        await faults(host, exit_delay_s=3600)
        _, ended = await act(made, "restart", "sol-1", "--timeout", "2")
        assert ended["state"] == FAILED
        assert ended["error"]["details"][0]["reason"] == "EXIT_TIMEOUT"
        assert (await made.ctl_json("validator", "status", "sol-1"))["unit"]["mainPid"] == before["unit"]["mainPid"]


async def test_control_plane_killed_while_the_node_exits_goes_on_with_what_the_gates_saw(tmp_path: Path) -> None:
    async with fleet(tmp_path) as (made, genesis):
        host = await made.add_host("sol-1", About(guarded=True), genesis=genesis)
        await faults(host, exit_delay_s=4)
        code = await made.authenticator.code()
        ran = await made.ctl("validator", "restart", "sol-1", "--yes", "--detach", answers=(code,))
        name = ran.out.split()[-1]
        while "asked to exit" not in step(await made.ctl_json("operations", "show", name), "act")["message"]:
            await asyncio.sleep(0.05)
        await made.stop_server(signal.SIGKILL)
        await made.start_server()
        ended = await made.ctl_json("operations", "watch", name)
        assert ended["state"] == SUCCEEDED, ended
        assert log_of(host).count("Validator exiting...") == 1


async def test_force_is_another_persons_word(tmp_path: Path) -> None:
    async with fleet(tmp_path) as (made, genesis):
        host = await made.add_host("sol-1", About(guarded=True), genesis=genesis)
        await faults(host, exit_delay_s=3600, behind_slots=9000)
        await made.add_person("bob", "operator")
        ran = await made.ctl(
            "validator", "restart", "sol-1", "--yes", "--force", "--detach", "--timeout", "2",
            answers=(await made.authenticator.code(),),
        )  # fmt: skip
        name = ran.out.split()[-1]
        assert f"ctl operations approve {name}" in ran.err
        own = await made.ctl(
            "operations", "approve", name, "--yes", answers=(await made.authenticator.code(),), check=False
        )
        assert own.code == 4
        assert "OWN_REQUEST" in own.err
        shown = await made.ctl_json("operations", "show", name)
        assert (shown["state"], shown["approvals"]) == ("OPERATION_STATE_AWAITING_APPROVAL", [])

        await made.sign_in_as("bob")
        await made.ctl("--context", "bob", "operations", "approve", name, "--yes",
                       answers=(await made.people["bob"].code(),))  # fmt: skip
        ended = await made.ctl_json("operations", "watch", name)
        assert ended["approvals"][0]["approver"] == "bob"
        assert step(ended, "gate-health")["verdict"] == "VERDICT_FAIL"
        # Gates were passed over, and systemd ended what would not exit; the new run is healthy.
        assert step(ended, "act")["verdict"] == "VERDICT_PASS", ended
        assert ended["state"] == SUCCEEDED, ended
        entries = await made.ctl_json("audit", "list", "--limit", "200")
        assert any("bob" in json.dumps(entry) and "approvers" in json.dumps(entry) for entry in entries)


async def test_voting_is_turned_off_and_on_with_proof(tmp_path: Path) -> None:
    voter = tmp_path / "voter.json"
    identity = write_keypair(voter, "voter of sol-1")
    assert identity == make_keypair("voter of sol-1")
    (tmp_path / "cp").mkdir()
    async with fleet(tmp_path / "cp") as (made, genesis):
        host = await made.add_host(
            "sol-1",
            About(guarded=True, vote_account=VOTE_ACCOUNT, voters=(str(voter),)),
            genesis=genesis, identity=str(voter), vote_account=VOTE_ACCOUNT,
        )  # fmt: skip
        _, off = await act(made, "vote", "off", "sol-1")
        assert off["state"] == SUCCEEDED, off
        assert "voting is off" in step(off, "act")["figures"]["proof"]
        node = await made.ctl_json("validator", "node", "sol-1")
        assert (node["votingEnabled"], node["identity"]) == (False, identity)
        _, on = await act(made, "vote", "on", "sol-1")
        assert on["state"] == SUCCEEDED, on
        assert step(on, "gate-sole-voter")["verdict"] == "VERDICT_PASS"
        assert (await made.ctl_json("validator", "node", "sol-1"))["votingEnabled"]
        # A node whose voting nobody sees is not said to vote: here the votes' file stays as it was.
        await faults(host, hang=["addAuthorizedVoter"])
        _, failed = await act(made, "vote", "on", "sol-1")
        assert failed["error"]["details"][0]["reason"] == "ADMIN_TIMEOUT"


async def test_a_node_is_not_started_while_another_votes_in_its_place(tmp_path: Path) -> None:
    about = About(guarded=True, group="main", vote_account=VOTE_ACCOUNT)
    async with fleet(tmp_path) as (made, genesis):
        await made.add_host("sol-1", about, genesis=genesis, vote_account=VOTE_ACCOUNT)
        _, stopped = await act(made, "stop", "sol-1")
        assert stopped["state"] == SUCCEEDED, stopped
        await made.add_host("sol-2", about, genesis=genesis, vote_account=VOTE_ACCOUNT)
        _, ended = await act(made, "start", "sol-1")
        assert ended["error"]["details"][0]["reason"] == "GATE_IDENTITY_NOT_PASSED"
        assert "sol-2" in ended["error"]["message"]


async def test_two_hosts_of_a_group_are_never_down_together(tmp_path: Path) -> None:
    async with fleet(tmp_path) as (made, genesis):
        await made.add_host("sol-1", About(guarded=True, group="main"), genesis=genesis)
        await made.add_host("sol-2", About(guarded=True, group="main"), genesis=genesis)
        _, stopped = await act(made, "stop", "sol-1")
        assert stopped["state"] == SUCCEEDED
        _, ended = await act(made, "restart", "sol-2")
        assert ended["error"]["details"][0]["reason"] == "GATE_PEERS_NOT_PASSED"
        assert "sol-1" in ended["error"]["message"]
