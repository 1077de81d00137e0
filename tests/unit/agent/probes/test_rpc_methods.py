"""The methods that are probed: what they are called with, and what is refused."""

from typing import Any

import aiohttp
import pytest

from agent.probes.rpc_methods import (
    SAFE,
    SLOT,
    UNSAFE,
    RpcMethod,
    check_methods,
    filled,
    fine_codes,
    params_of,
    wants_slot,
)
from tests.peers.fixtures import validator_peer


async def ask(url: str, name: str, params: list[Any]) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session:
        call = {"jsonrpc": "2.0", "id": 1, "method": name, "params": params}
        async with session.post(url, json=call) as answer:
            found: dict[str, Any] = await answer.json()
            return found


async def test_a_node_takes_every_safe_method_that_it_offers_as_it_is_called() -> None:
    refused = {}
    async with validator_peer() as peer:
        slot = (await ask(peer.rpc_url, "getSlot", []))["result"]
        for name in SAFE:
            answer = await ask(peer.rpc_url, name, filled(params_of(name, None, ""), slot - 64))
            if "error" in answer:
                refused[name] = answer["error"]["code"]
    assert {code for name, code in refused.items() if code not in fine_codes(name)} <= {-32601}
    assert len(refused) < len(SAFE) / 2


@pytest.mark.parametrize(
    ("name", "params", "commitment", "made"),
    [
        ("getSlot", None, "", []),
        ("getSlot", None, "processed", [{"commitment": "processed"}]),
        ("getAccountInfo", ("key",), "confirmed", ["key", {"commitment": "confirmed"}]),
        ("getBlock", (SLOT, {"rewards": True}), "confirmed", [SLOT, {"rewards": True, "commitment": "confirmed"}]),
        ("getBlocks", None, "finalized", [SLOT, SLOT, {"commitment": "finalized"}]),
        ("someNewMethod", (1, 2), "", [1, 2]),
    ],
)
def test_a_commitment_goes_where_the_method_takes_it(name: str, params: Any, commitment: str, made: list[Any]) -> None:
    assert params_of(name, params, commitment) == made


def test_defaults_are_not_changed_by_a_call() -> None:
    before = repr(SAFE)
    params_of("getAccountInfo", None, "processed")
    params_of("getLeaderSchedule", None, "processed")
    assert repr(SAFE) == before


@pytest.mark.parametrize(
    ("methods", "says"),
    [
        ((RpcMethod("sendTransaction"),), "not probed"),
        ((RpcMethod("getHealth", commitment="processed"),), "takes no commitment"),
        ((RpcMethod("getAccountInfo", ("key", "text"), commitment="processed"),), "parameter 2 must be an object"),
        ((RpcMethod("getBlock"),), "list getSlot too"),
        ((RpcMethod("getSlot"), RpcMethod("getSlot")), "listed twice"),
        (tuple(RpcMethod(name, period_seconds=0.5) for name in list(SAFE)[:26]), "lengthen a period_seconds"),
    ],
)
def test_what_cannot_be_probed_is_refused_with_what_would_be_right(methods: tuple[RpcMethod, ...], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check_methods(methods, 50)


def test_all_safe_methods_fit_into_the_budget() -> None:
    check_methods([RpcMethod(name) for name in SAFE], 50)
    assert not UNSAFE & SAFE.keys()


def test_a_slot_is_put_in_its_place() -> None:
    assert wants_slot([SLOT, 4])
    assert not wants_slot([4])
    assert filled([SLOT, 4, {"a": SLOT}], 7) == [7, 4, {"a": SLOT}]
