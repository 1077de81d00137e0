"""The crash matrix's world: a cluster of three hosts on which every kind of operation can be done, and counted."""

import asyncio
import re
import shlex
import sqlite3
import time
from asyncio import Task
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from solward.operations.v1 import operations_pb2 as pb

from common.errors import info_of
from tests.peers.fixtures import validator_peer
from tests.peers.validator_state import key_of, write_keypair
from tests.support.cluster import UNIT, About, Cluster, HostProcess, cluster
from tests.support.programs import BIN, Ran

# Restart= of each host's unit.
POLICIES = {"sol-1": "on-failure", "sol-2": "always", "sol-3": "no"}
NAMES = tuple(POLICIES)
ENDED = (
    pb.OPERATION_STATE_SUCCEEDED, pb.OPERATION_STATE_FAILED, pb.OPERATION_STATE_ABORTED, pb.OPERATION_STATE_PAUSED,
)  # fmt: skip
# What is done takes its time, so that it has a middle to be killed in.
JOB_MS, EXIT_S, START_S = 400, 0.6, 0.7
DO_SECONDS = 90.0
BACK_S = 3.0

# What was done: how often, by host and by what.
Counts = dict[tuple[str, str], int]


class Store:
    """Operations where the control plane keeps them, to be read whether it lives or not."""

    def __init__(self, path: Path) -> None:
        self._store = sqlite3.connect(path, timeout=10, isolation_level=None)

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    def get(self, uid: str) -> pb.Operation:
        """Read one."""
        (row,) = self._rows("SELECT record FROM operations WHERE uid = ?", uid)
        return pb.Operation.FromString(row[0])

    def parts(self, whole: pb.Operation) -> list[pb.Operation]:
        """Read the operations that one consists of, as far as they are stored.

        One that a kill kept from being set going is left out: the one in its place would be another moment to kill at,
        and so on for ever.
        """
        rows = self._rows("SELECT record FROM operations ORDER BY created_ms")
        parts = [each for (record,) in rows if (each := pb.Operation.FromString(record)).parent == whole.name]
        return [each for each in parts if info_of(each.error).reason != "NEVER_BEGUN"]

    def asked(self) -> set[str]:
        """List what people asked for: operations that are no part of another."""
        rows = self._rows("SELECT uid, record FROM operations")
        return {uid for uid, record in rows if not pb.Operation.FromString(record).parent}

    def _rows(self, statement: str, *values: str) -> list[tuple[Any, ...]]:
        return self._store.execute(statement, values).fetchall()


@dataclass
class World:
    """A cluster, and what was last done in it.

    Attributes:
        runs: where each start of an agent's program is noted.
        last: the name of the last operation.
    """

    cluster: Cluster
    store: Store
    runs: Path
    last: str = ""
    _fresh: int = 4

    @property
    def host(self) -> HostProcess:
        """The host of operations on one."""
        return self.cluster.hosts[NAMES[0]]

    def fresh(self) -> int:
        """Give a number that was not given before."""
        self._fresh += 1
        return self._fresh

    async def ask(self, *words: str) -> tuple[str, Task[Ran]]:
        """Ask for an operation; give its uid once it is stored, and the ctl, which may still wait for its answer."""
        before = self.store.asked()
        asked = asyncio.create_task(self.cluster.ctl(*words, "--yes", "--detach", check=False))
        while True:
            answered = asked.done()
            if new := self.store.asked() - before:
                (uid,) = new
                self.last = f"operations/{uid}"
                return uid, asked
            if answered:
                raise RuntimeError(f"ctl {shlex.join(words)} began nothing: {asked.result()}")
            await asyncio.sleep(0.01)

    async def do(self, *words: str) -> None:
        """Have something done, undisturbed."""
        uid, asked = await self.ask(*words)
        operation = await self.until_ended(uid)
        await asked
        if operation.state != pb.OPERATION_STATE_SUCCEEDED:
            raise RuntimeError(f"ctl {shlex.join(words)} was not done: {operation}")

    async def until_ended(self, uid: str) -> pb.Operation:
        """Wait until an operation has ended, or waits for a person."""
        async with asyncio.timeout(DO_SECONDS):
            while (operation := self.store.get(uid)).state not in ENDED:
                await asyncio.sleep(0.1)
        return operation

    async def settle(self) -> None:
        """Wait until everybody is back, and what would be done twice has been."""
        assert self.cluster.server
        await self.cluster.until_open(self.cluster.tls_port, self.cluster.server)
        await asyncio.gather(*(self._back(host) for host in self.cluster.hosts.values()))
        await asyncio.sleep(JOB_MS / 1000 + EXIT_S + 1)

    async def _back(self, host: HostProcess) -> None:
        """Have an agent connected; one that has found nobody for a while would wait for half a minute."""
        try:
            async with asyncio.timeout(BACK_S):
                await self.cluster.until_connected(host.name)
        except TimeoutError:
            await self.cluster.stop_agent(host)
            await self.cluster.start_agent(host)
            await self.cluster.until_connected(host.name)

    async def counted(self) -> Counts:
        """Count what was really done on each host, where it was done."""
        found: Counts = {}
        for name, host in self.cluster.hosts.items():
            log = (host.folder / "validator.log").read_text()
            versions = len(list((host.folder / "versions" / UNIT).glob("[0-9]*.json")))
            found |= {
                (name, "start"): log.count("Starting validator with"),
                (name, "exit"): log.count("Validator exiting..."),
                # The first change keeps two: what stood before, too.
                (name, "version"): max(0, versions - 1),
                (name, "job"): self._job_runs(host),
                (name, "voters"): await _voters_changed(host),
            }
        return found

    def _job_runs(self, host: HostProcess) -> int:
        started = re.compile(rf"--config {re.escape(str(host.config))} job ")
        return len(started.findall(self.runs.read_text()))


async def _voters_changed(host: HostProcess) -> int:
    """Ask the node itself; one that is down has forgotten it."""
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{host.control_port}/seen") as answer,
        ):
            return int((await answer.json())["voters_changed"])
    except aiohttp.ClientConnectionError:
        return 0


def uid_of(name: str) -> str:
    """Take the uid out of an operation's name."""
    return name.partition("/")[2]


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    """Run a control plane with an outside view and three guarded hosts, signed in to."""
    genesis = time.time() - 3600
    async with (
        validator_peer(genesis=genesis) as outside,
        cluster(
            folder,
            solana_rpc_url=outside.rpc_url,
            gates={"free_gigabytes": 0.01},
            ready_seconds=60,
            # A code is good once, and there is one in 30 s: the matrix would wait for codes most of its time.
            require_second_factor=False,
            access_token_seconds=3600,
        ) as made,
    ):
        runs = folder / "agent-runs"
        runs.touch()
        made.agent_program = (str(_noting(folder, runs)),)
        await made.sign_in()
        for name in NAMES:
            await _add_host(made, name, genesis)
        with closing(Store(folder / "cp" / "solward.db")) as store:
            yield World(made, store, runs)


async def _add_host(made: Cluster, name: str, genesis: float) -> None:
    """Add a host on which everything is allowed, whose node votes and never leads."""
    voter, account = made.folder / f"{name}.json", key_of(f"vote account of {name}")
    write_keypair(voter, f"voter of {name}")
    about = About(
        guarded=True, restart=POLICIES[name], vote_account=account, voters=(str(voter),), changeable=("*",),
        job_delay_ms=JOB_MS,
    )  # fmt: skip
    await made.add_host(
        name, about, genesis=genesis, leader_every=0, identity=str(voter), vote_account=account, exit_delay_s=EXIT_S,
        slow_start_s=START_S,
    )  # fmt: skip


def _noting(folder: Path, runs: Path) -> Path:
    """Write a program that is the agent's and notes each of its starts; what jobs say goes into a file."""
    program = folder / "noting-agent"
    aside = f'case "$*" in *" job "*) exec >> {folder / "jobs.log"} 2>&1;; esac'
    program.write_text(f'#!/bin/sh\necho "$*" >> {runs}\n{aside}\nexec {BIN / "solward-agent"} "$@"\n')
    program.chmod(0o700)
    return program
