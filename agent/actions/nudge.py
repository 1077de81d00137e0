"""A nudge: a running node is told to ask its peers for shreds of slots above its root (repairShredFromPeer).

The node never says what came of it, so it is watched which slots it has confirmed afterwards.
"""

import asyncio
import time
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from solward.hosts.v1 import link_pb2

from agent.actions.base import Outcome, Tell
from agent.actions.unit import DONE, FAILED, look_at, refuse_changed
from agent.host.admin_rpc import AdminError
from agent.host.node import Node
from agent.host.node_rpc import RpcError
from agent.host.systemd import Systemd
from agent.permits import Refusal

POLL_S = 0.5
NOT_SERVED = -32601
# What a control plane may ask for at the most: each slot and shred is a call, and nothing else is done meanwhile.
MOST_SLOTS, MOST_SHREDS, LONGEST_WATCH_MS = 512, 32, 600_000
AT_OR_BELOW_ROOT, CONFIRMED, MISSING = "at_or_below_root", "confirmed", "missing"
NOT_SEEN_YET, UNKNOWN = "not_seen_yet", "unknown"


class View(NamedTuple):
    """What a node says of its slots.

    Attributes:
        root: its newest finalized slot.
        tip: the newest slot that it has a shred of; None where its RPC does not say.
        confirmed: those of the range that it has; None where its RPC does not say.
    """

    root: int
    tip: int | None
    confirmed: frozenset[int] | None

    def state(self, slot: int) -> str:
        """Say how a slot stands."""
        if self.confirmed is not None and slot in self.confirmed:
            return CONFIRMED
        if slot <= self.root:
            return AT_OR_BELOW_ROOT
        if self.tip is not None and slot > self.tip:
            return NOT_SEEN_YET
        return UNKNOWN if self.confirmed is None else MISSING


class NudgeAct:
    """One nudge.

    Args:
        node: the validator; None where the agent's settings name none.
    """

    def __init__(self, systemd: Systemd, action: link_pb2.NudgeAction, node: Node | None) -> None:
        self._systemd = systemd
        self._action = action
        self._node = node
        self._slots = range(action.first_slot, action.last_slot + 1)

    async def look(self) -> link_pb2.UnitState:
        """Read the unit before; raise Refusal where systemd does not know it."""
        return await look_at(self._systemd, self._action.unit)

    async def precondition(self, now: link_pb2.UnitState) -> None:
        """Refuse what is too much, and if the node is another run than the caller saw, or cannot be asked."""
        self._refuse_too_much()
        refuse_changed(self._action.unit, "active", self._action.expected_invocation, now)
        if self._node is None:
            raise Refusal("VALIDATOR_UNKNOWN", "agent.yaml names no validator, so none can be asked")
        if not await self._node.admin.reachable():
            raise Refusal("ADMIN_UNREACHABLE", f"nobody answers at {self._node.admin.path}")

    def _refuse_too_much(self) -> None:
        asked = self._action
        slots, shreds, watch_ms = asked.last_slot - asked.first_slot + 1, len(asked.shreds), asked.watch_ms
        if not 1 <= slots <= MOST_SLOTS or shreds > MOST_SHREDS or not 0 <= watch_ms <= LONGEST_WATCH_MS:
            raise Refusal(
                "RANGE_WRONG",
                f"{slots} slots, {shreds} shreds of each, watched for {watch_ms} ms: at the most {MOST_SLOTS} slots, "
                f"{MOST_SHREDS} shreds and {LONGEST_WATCH_MS} ms may be asked for",
            )

    def already_done(self, before: link_pb2.UnitState, now: link_pb2.UnitState) -> bool:
        """Never taken as done: to ask once more is harmless."""
        return False

    async def see_through(self, now: link_pb2.UnitState) -> Outcome:
        """Do it again."""
        return await self.act(lambda _: None)

    async def act(self, tell: Tell) -> Outcome:
        """Ask for what is missing, and watch whether it comes."""
        if self._node is None:
            return Outcome(FAILED, "VALIDATOR_UNKNOWN", "agent.yaml names no validator")
        try:
            before = await self._view(self._node)
            wanted = [slot for slot in self._slots if before.state(slot) in (MISSING, UNKNOWN)]
            await self._ask(self._node, wanted, tell)
            after = await self._watched(self._node, wanted, tell) if wanted else before
        except (AdminError, RpcError) as error:
            return Outcome(FAILED, error.reason, error.message)
        except (TypeError, ValueError) as error:
            return Outcome(FAILED, "RPC_GARBLED", f"the node said of its slots what cannot be: {error}")
        left = [slot for slot in wanted if after.state(slot) != CONFIRMED]
        # A slot that its leader skipped never comes: that is no failure of what was asked.
        words = _words(wanted, left, after)
        figures = {"asked": str(len(wanted)), "came": str(len(wanted) - len(left)), "root": str(after.root)}
        return Outcome(DONE, message=words, ledger=self._report(before, after), figures=figures)

    async def _ask(self, node: Node, slots: list[int], tell: Tell) -> None:
        if slots:
            tell(f"asking for {len(slots)} slots")
        for slot in slots:
            for shred in self._action.shreds:
                # No peer is named: the node takes up to ten that are known to have the slot, by stake.
                await node.admin.call("repairShredFromPeer", None, slot, shred)

    async def _watched(self, node: Node, slots: list[int], tell: Tell) -> View:
        deadline = time.monotonic() + self._action.watch_ms / 1000
        while True:
            view = await self._view(node)
            left = [slot for slot in slots if view.state(slot) in (MISSING, NOT_SEEN_YET)]
            if not left or view.confirmed is None or time.monotonic() >= deadline:
                return view
            tell(f"{len(slots) - len(left)} of {len(slots)} slots have come")
            await asyncio.sleep(POLL_S)

    async def _view(self, node: Node) -> View:
        root = int(await node.rpc.call("getSlot", {"commitment": "finalized"}))
        tip = await _if_served(node, "getMaxShredInsertSlot")
        span = self._slots.start, self._slots.stop - 1
        listed = await _if_served(node, "getBlocks", *span, {"commitment": "confirmed"})
        confirmed = None if not isinstance(listed, list) else frozenset(int(slot) for slot in listed)
        return View(root, tip if isinstance(tip, int) else None, confirmed)

    def _report(self, before: View, after: View) -> link_pb2.LedgerReport:
        return link_pb2.LedgerReport(runs=_runs((slot, before.state(slot), after.state(slot)) for slot in self._slots))


async def _if_served(node: Node, method: str, *params: object) -> object:
    """Call what a node serves with --full-rpc-api alone; None where it does not."""
    try:
        return await node.rpc.call(method, *params)
    except RpcError as error:
        if error.code == NOT_SERVED:
            return None
        raise


def _runs(each: Iterator[tuple[int, str, str]]) -> Iterator[link_pb2.SlotRun]:
    for (state, after), group in groupby(each, lambda one: one[1:]):
        slots = [slot for slot, *_ in group]
        yield link_pb2.SlotRun(first=slots[0], last=slots[-1], state=state, after=after)


def _words(wanted: list[int], left: list[int], after: View) -> str:
    if not wanted:
        return "nothing that it could be asked for is missing"
    if after.confirmed is None:
        return (
            f"asked for {len(wanted)} slots; whether they came the node does not say (it runs without --full-rpc-api)"
        )
    return f"{len(wanted) - len(left)} of {len(wanted)} slots that were missing have come"
