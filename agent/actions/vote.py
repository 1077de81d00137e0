"""Voting on and off: authorized voters loaded or removed over the admin socket, and what proves it (agave 2.1)."""

import asyncio
import time
from typing import NamedTuple

from solward.hosts.v1 import link_pb2

from agent.actions.base import Outcome, Tell
from agent.actions.unit import DONE, FAILED, look_at, refuse_changed
from agent.host.admin_rpc import AdminError
from agent.host.node import Node
from agent.host.systemd import Systemd
from agent.permits import Refusal

_POLL_S = 0.25
# A node that votes writes its tower on every vote, about one a slot; after this long without, it does not vote.
QUIET_MS = 3_000


class Proof(NamedTuple):
    """Whether what was wanted shows, and by what."""

    holds: bool
    words: str


class VoteAct:
    """Turns voting on or off until the node's next start.

    Args:
        voters: keypair files that root named on this host; loaded when voting is turned on.
    """

    def __init__(
        self, systemd: Systemd, action: link_pb2.VoteAction, node: Node | None, voters: tuple[str, ...]
    ) -> None:
        self._systemd = systemd
        self._action = action
        self._node = node
        self._voters = voters

    async def look(self) -> link_pb2.UnitState:
        """Read the unit before; raise Refusal where systemd does not know it."""
        return await look_at(self._systemd, self._action.unit)

    async def precondition(self, now: link_pb2.UnitState) -> None:
        """Refuse if the node is another run than the caller saw, or could not vote for what it lacks."""
        refuse_changed(self._action.unit, "active", self._action.expected_invocation, now)
        if self._node is None:
            raise Refusal("VALIDATOR_UNKNOWN", "agent.yaml names no validator, so none can be asked")
        if not await self._node.admin.reachable():
            raise Refusal("ADMIN_UNREACHABLE", f"nobody answers at {self._node.admin.path}")
        if not self._action.enable:
            return
        if not self._voters:
            raise Refusal("VOTERS_NOT_LISTED", "root has listed no voters in /etc/solward/allowlist.yaml")
        report = await self._node.inspect()
        if report.vote_account_node and report.vote_account_node != report.identity:
            raise Refusal(
                "VOTE_ACCOUNT_OF_ANOTHER_NODE",
                f"vote account {report.vote_account} names node {report.vote_account_node}, and this one runs as "
                f"{report.identity}: it would make no vote",
            )

    def already_done(self, before: link_pb2.UnitState, now: link_pb2.UnitState) -> bool:
        """Never taken as done: to load or remove voters once more changes nothing."""
        return False

    async def see_through(self, now: link_pb2.UnitState) -> Outcome:
        """Do it again, which is harmless."""
        return await self.act(lambda _: None)

    async def act(self, tell: Tell) -> Outcome:
        """Load or remove the voters, then wait for proof."""
        node = self._node
        if node is None:
            return Outcome(FAILED, "VALIDATOR_UNKNOWN", "agent.yaml names no validator")
        try:
            await self._change(node)
        except AdminError as error:
            return Outcome(FAILED, error.reason, error.message, node=await node.inspect())
        tell("the node has taken it; waiting for proof")
        return await self._proved(node, time.time())

    async def _change(self, node: Node) -> None:
        if not self._action.enable:
            await node.admin.call("removeAllAuthorizedVoters")
            return
        for voter in self._voters:
            try:
                await node.admin.call("addAuthorizedVoter", voter)
            except AdminError as error:
                if "already present" not in error.message:
                    raise

    async def _proved(self, node: Node, changed_at: float) -> Outcome:
        deadline = time.monotonic() + self._action.proof_ms / 1000
        while True:
            report = await node.inspect()
            proof = self._proof(report, (time.time() - changed_at) * 1000)
            if proof.holds or time.monotonic() >= deadline:
                break
            await asyncio.sleep(_POLL_S)
        figures = {"proof": proof.words, "tower_age_ms": str(report.tower.age_ms)}
        after = await look_at(self._systemd, self._action.unit)
        if proof.holds:
            return Outcome(DONE, after=after, node=report, figures=figures)
        reason = "NO_VOTE_SEEN" if self._action.enable else "STILL_VOTING"
        return Outcome(FAILED, reason, proof.words, after, node=report, figures=figures)

    def _proof(self, report: link_pb2.NodeReport, since_ms: float) -> Proof:
        says = report.voting_enabled if report.HasField("voting_enabled") else None
        if says is not None and says != self._action.enable:
            return Proof(False, f"the node says that its voting is {'on' if says else 'off'}")
        word = "" if says is None else f"the node says that its voting is {'on' if says else 'off'}, and "
        if not report.tower.path:
            # A node that never voted has no tower; it cannot be told from one that keeps it elsewhere.
            return Proof(not self._action.enable and says is False, f"{word}there is no tower file")
        age_ms = report.tower.age_ms
        if self._action.enable:
            return Proof(age_ms < since_ms, f"{word}its tower was last written {age_ms} ms ago")
        quiet = age_ms >= QUIET_MS and since_ms >= QUIET_MS
        return Proof(quiet, f"{word}its tower has not been written for {age_ms} ms")
