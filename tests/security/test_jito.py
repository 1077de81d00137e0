"""Bundles: who may spend, who may see, and what never leaves."""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from solward.jito.v1 import jito_pb2 as pb

from tests.peers.chain import ChainPeer, chain_peer
from tests.security.test_reach import scoped
from tests.support.bundles import tipping
from tests.support.plane import Person, Plane, control_plane
from tests.support.stream import agent_stream, entries, refused

JITO = "solward.jito.v1.JitoService"


@pytest.fixture
async def chain() -> AsyncIterator[ChainPeer]:
    async with chain_peer() as made:
        yield made


@pytest.fixture
async def plane(tmp_path: Path, chain: ChainPeer) -> AsyncIterator[Plane]:
    """One that asks for no codes after the sign-in: what is tried here is another matter, and a code is good once."""
    async with control_plane(tmp_path, require_second_factor=False, solana_rpc_url=chain.url) as made:
        yield made


async def budget(plane: Plane, who: Person, lamports: int = 100_000) -> pb.Budget:
    return await plane.call(f"{JITO}/UpdateBudget", pb.UpdateBudgetRequest(daily_lamports=lamports), pb.Budget, who)


async def submit(plane: Plane, who: Person, host: str = "", **more: object) -> pb.Bundle:
    request = pb.SubmitBundleRequest(host=host, transactions=[tipping()], **more)  # type: ignore[arg-type]
    return await plane.call(f"{JITO}/SubmitBundle", request, pb.Bundle, who)


async def test_nothing_is_spent_before_an_administrator_says_how_much(plane: Plane) -> None:
    admin, operator, viewer = await plane.sign_in(), await plane.sign_in("operator"), await plane.sign_in("viewer")
    machine = await plane.add_machine(admin, "sol-1")
    assert (await refused(submit(plane, operator))).reason == "HOST_OFFLINE"
    async with agent_stream(plane, machine):
        await _nothing_is_spent(plane, admin, operator, viewer)


async def _nothing_is_spent(plane: Plane, admin: Person, operator: Person, viewer: Person) -> None:
    assert (await refused(submit(plane, operator))).reason == "BUDGET_EXHAUSTED"
    for who in (operator, viewer):
        assert (await refused(budget(plane, who))).reason == "PERMISSION_MISSING"
    assert (await budget(plane, admin)).daily_lamports == 100_000
    assert (await refused(submit(plane, viewer))).reason == "PERMISSION_MISSING"
    bundle = await submit(plane, operator)
    assert bundle.requester == operator.name
    assert (bundle.host, bundle.tip_lamports) == ("hosts/sol-1", 10_000)


async def test_the_audit_log_tells_who_spent_what_and_holds_no_transaction(plane: Plane) -> None:
    admin = await plane.sign_in()
    machine = await plane.add_machine(admin, "sol-1")
    await budget(plane, admin)
    raw = tipping()
    request = pb.SubmitBundleRequest(transactions=[raw], strategy="arb")
    async with agent_stream(plane, machine):
        bundle = await plane.call(f"{JITO}/SubmitBundle", request, pb.Bundle, admin)
    told = [one for one in await entries(plane) if "Bundle" in str(one.get("method"))]
    assert any(bundle.name in json.dumps(one) for one in told), told
    whole = json.dumps(await entries(plane))
    assert base64.b64encode(raw).decode()[:40] not in whole
    assert raw.hex()[:40] not in whole


async def test_who_reaches_one_host_sees_and_spends_there_only(plane: Plane) -> None:
    admin = await plane.sign_in()
    first, second = [await plane.add_machine(admin, name) for name in ("sol-1", "sol-2")]
    await budget(plane, admin)
    carol = await scoped(plane, admin, "hosts/sol-1")
    async with agent_stream(plane, first), agent_stream(plane, second):
        theirs, hers = await submit(plane, admin, "hosts/sol-2"), await submit(plane, carol, "hosts/sol-1")
    assert (await refused(submit(plane, carol, "hosts/sol-2"))).reason == "PERMISSION_MISSING"
    listed = await plane.call(f"{JITO}/ListBundles", pb.ListBundlesRequest(), pb.ListBundlesResponse, carol)
    assert [one.name for one in listed.bundles] == [hers.name]
    ask = pb.GetBundleRequest(bundle=theirs.name.partition("/")[2])
    # Neither is it told that there is one.
    assert (await refused(plane.call(f"{JITO}/GetBundle", ask, pb.Bundle, carol))).reason == "BUNDLE_NOT_FOUND"
    assert (await plane.call(f"{JITO}/GetBundle", ask, pb.Bundle, admin)).name == theirs.name
    # What others spend is no matter of who sees one host.
    assert (await refused(plane.call(f"{JITO}/GetSpend", pb.GetSpendRequest(), pb.Spend, carol))).reason == (
        "PERMISSION_MISSING"
    )


async def test_fees_and_tips_say_what_they_rest_on(plane: Plane, chain: ChainPeer) -> None:
    viewer = await plane.sign_in("viewer")
    chain.fees = [{"slot": slot, "prioritizationFee": slot * 10} for slot in range(150)]
    fees = await plane.call(f"{JITO}/GetPriorityFees", pb.GetPriorityFeesRequest(), pb.PriorityFees, viewer)
    assert (fees.slots, [level.level for level in fees.levels]) == (150, ["low", "medium", "high", "very_high"])
    assert "least price" in fees.caveat
    assert (await refused(plane.call(f"{JITO}/GetTips", pb.GetTipsRequest(), pb.Tips, viewer))).reason == "TIPS_UNKNOWN"
