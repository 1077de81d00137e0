"""Verification: the agent's own next report of the unit must agree with its receipt; it is waited for to come back."""

import asyncio
from types import SimpleNamespace

import pytest
from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2 as pb

from controlplane.links.registry import KnownHost, Links
from controlplane.operations import unit
from controlplane.operations.plan import UnitPlan
from controlplane.operations.unit import UnitWorkflow

PLAN = UnitPlan("validator.restart", "a" * 32, "sol-1", "sol.service", "active/running", b"", 300)
AFTER = link_pb2.UnitState(unit="sol.service", active_state="active", invocation_id="new")


class Steps:
    """Keeps nothing but the receipt that is there already."""

    async def begin(self, _uid: str, _step: str) -> None:
        return

    async def get(self, _uid: str, _step: str) -> pb.Step:
        return pb.Step(receipt=link_pb2.Receipt(after=AFTER))

    async def end(self, _uid: str, _step: str, verdict: pb.Verdict, _message: str, **_figures: str) -> int:
        return int(verdict)


async def verified(monkeypatch: pytest.MonkeyPatch, back_s: float, begin_within_s: float, invocation: str) -> int:
    """Verify, with an agent that comes back after a while."""
    monkeypatch.setattr(unit, "REPORT_SECONDS", 0.05)
    links = Links()
    workflow = UnitWorkflow.__new__(UnitWorkflow)
    workflow.__dict__.update(_steps=Steps(), _links=links, _begin_within_s=begin_within_s)

    async def come_back() -> None:
        await asyncio.sleep(back_s)
        state = link_pb2.UnitState(unit="sol.service", active_state="active", invocation_id=invocation)
        host = KnownHost(PLAN.host_uid, "sol-1", link=SimpleNamespace())  # type: ignore[arg-type]
        host.units["sol.service"] = link_pb2.UnitReport(state=state)
        links._hosts[PLAN.host_uid] = host
        await links.changed()

    coming = asyncio.create_task(come_back())
    verdict = await workflow._verify("b" * 32, PLAN)
    coming.cancel()
    return verdict


@pytest.mark.parametrize(
    ("back_s", "begin_within_s", "invocation", "verdict"),
    [
        (0.0, 5, "new", pb.VERDICT_PASS),
        (0.3, 5, "new", pb.VERDICT_PASS),
        (0.3, 5, "old", pb.VERDICT_INCONCLUSIVE),
        (9.0, 0.1, "new", pb.VERDICT_INCONCLUSIVE),
    ],
)
async def test_an_agent_that_is_not_back_yet_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, back_s: float, begin_within_s: float, invocation: str, verdict: int
) -> None:
    assert await verified(monkeypatch, back_s, begin_within_s, invocation) == verdict
