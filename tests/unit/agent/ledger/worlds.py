"""Ledgers of every shape, and the tool on one of them within this process."""

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path

from hypothesis import strategies as st

from agent.ledger import child
from agent.ledger.child import Take, ToolError, ToolReason
from agent.ledger.tool import LedgerTool
from tests.peers import ledger_tool as peer

BASE = 100
SPAN = 24


class Died(BaseException):
    """A power cut, where the tool and what runs it are one process."""


class NearTool(LedgerTool):
    """Runs the peer in this process: hundreds of examples start no process."""

    def _run(self, words: Sequence[str], take: Take, seconds: float, needs: Path = Path()) -> bytes:
        if self.stop():
            raise ToolError(ToolReason.STOPPED, "stopped")
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = peer.main(["-l", str(self.ledger), *words])
        if code:
            raise ToolError(ToolReason.TOOL_FAILED, child.words(err.getvalue().encode()))
        for line in out.getvalue().splitlines():
            take(line)
        return err.getvalue().encode()


@st.composite
def ledgers(draw: st.DrawFn) -> tuple[peer.Slots, set[int], set[int]]:
    """Give slots with parents that may be anything below, root markers and dead marks that need not make sense."""
    slots: peer.Slots = {}
    for slot in draw(st.sets(st.integers(BASE, BASE + SPAN))):
        kind = draw(st.sampled_from(["full", "full", "full", "partial", "placeholder", "unreadable"]))
        if kind == "placeholder":
            slots[slot] = peer.placeholder()
            continue
        parent = draw(st.one_of(st.just(slot - 1), st.integers(BASE - 5, slot - 1)))
        slots[slot] = {"parent": parent, "full": kind == "full", "shreds": 4, "readable": kind != "unreadable"}
    some = st.sets(st.sampled_from(sorted(slots))) if slots else st.just(set())
    return slots, draw(some), draw(st.one_of(st.just(set()), some, st.sets(st.integers(BASE - 5, BASE + SPAN + 5))))


def near(folder: Path, world: tuple[peer.Slots, set[int], set[int]]) -> NearTool:
    """Write a ledger, and give the tool on it."""
    slots, roots, dead = world
    return NearTool(Path("/near"), peer.write(folder, slots, roots=roots, dead=dead))
