"""Flags of many hosts: a diff for each, one after the other, put back where a host fails, taken back as a whole."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_rolling import begin, ended, say, show, states
from tests.peers.fixtures import validator_peer
from tests.support.cluster import About, Cluster, cluster

NAMES = ("sol-1", "sol-2")
SUCCEEDED, PAUSED = "OPERATION_STATE_SUCCEEDED", "OPERATION_STATE_PAUSED"

pytestmark = pytest.mark.timeout(240)


@asynccontextmanager
async def two(folder: Path, **settings: Any) -> AsyncIterator[Cluster]:
    genesis = time.time() - 3600
    async with (
        validator_peer(genesis=genesis) as outside,
        cluster(folder, solana_rpc_url=outside.rpc_url, gates={"free_gigabytes": 0.01}, **settings) as made,
    ):
        await made.sign_in()
        about = About(guarded=True, changeable=("*", "expected-shred-version"))
        for name in NAMES:
            await made.add_host(name, about, genesis=genesis, leader_every=0)
        yield made


def scripts(made: Cluster) -> list[str]:
    return [made.hosts[name].script.read_text() for name in NAMES]


async def test_a_change_is_shown_for_each_host_applied_to_each_and_taken_back(tmp_path: Path) -> None:
    async with two(tmp_path) as made:
        before = scripts(made)
        plan = await made.ctl("controls", "config", "apply", *NAMES, "--set", "rpc-threads=8", "--plan")
        assert plan.out.count("+ --rpc-threads 8") == 2
        assert scripts(made) == before

        name = await begin(made, "config", "apply", *NAMES, "--set", "rpc-threads=8")
        done = await ended(made, name)
        assert done["state"] == SUCCEEDED, done
        assert all("--rpc-threads 8" in text for text in scripts(made))
        diff = await made.ctl("operations", "plan", name, "--diff")
        assert diff.out.split("\n")[:3] == ["sol-1", "  - --rpc-threads 4", "  + --rpc-threads 8"]

        again = await made.ctl("controls", "config", "apply", *NAMES, "--set", "rpc-threads=8", "--plan", check=False)
        assert (again.code, "stand as wished already" in again.err) == (6, True), again

        back = await begin(made, "config", "rollback", name)
        assert (await ended(made, back))["state"] == SUCCEEDED
        assert scripts(made) == before


async def test_a_host_that_fails_has_its_flags_put_back_and_the_other_is_left_alone(tmp_path: Path) -> None:
    async with two(tmp_path, ready_seconds=15) as made:
        before = scripts(made)
        # No cluster has this shred version: the node refuses to start.
        name = await begin(made, "config", "apply", *NAMES, "--set", "expected-shred-version=1")
        paused = await ended(made, name)
        assert paused["state"] == PAUSED, paused
        assert states(paused) == {"sol-1": "FAILED", "sol-2": "WAITING"}
        part = await show(made, paused["targets"][0]["operation"])
        assert next(step for step in part["steps"] if step["id"] == "undo")["verdict"] == "VERDICT_PASS"
        assert scripts(made) == before
        await say(made, "abort", name)
        assert (await ended(made, name))["state"] == "OPERATION_STATE_ABORTED"
        nothing = await made.ctl("controls", "config", "rollback", name, "--plan", check=False)
        assert (nothing.code, "left no host with other flags" in nothing.err) == (6, True), nothing
