"""The JSON-RPC methods that are safe to call: with which parameters, and what a healthy node may answer.

Shapes of Agave's rpc/src/rpc.rs; codes of rpc-client-api/src/custom_error.rs.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final, NamedTuple

import msgspec

# In place of a parameter: a slot that the node finalized a moment ago.
SLOT: Final = "$slot"
# What a node is asked at most unless the settings say otherwise.
MAX_CALLS_PER_SECOND: Final = 50.0
# How far below the newest slot that is.
SLOT_DEPTH: Final = 64
# The node does not offer it: unknown (or --full-rpc-api is off), no history is kept, the key is in no index.
NOT_OFFERED: Final = frozenset({-32601, -32010, -32011})
_SYSTEM: Final = "11111111111111111111111111111111"
_VOTES: Final = "Vote111111111111111111111111111111111111111"


class RpcMethod(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One JSON-RPC method to be measured.

    `params` are by default those that suit it; "$slot" among them stands for a slot that was finalized a moment ago.
    """

    name: Annotated[str, msgspec.Meta(pattern="^[a-zA-Z][a-zA-Z0-9]{0,63}$")]
    params: tuple[Any, ...] | None = None
    period_seconds: Annotated[float, msgspec.Meta(ge=0.1, le=3600)] = 1.0
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=60)] | None = None
    commitment: Annotated[str, msgspec.Meta(pattern="^(|processed|confirmed|finalized)$")] = ""


class Safe(NamedTuple):
    """How a method is called unless the settings say otherwise.

    Attributes:
        params: what it is called with.
        commitment_at: the index of the object that may hold a commitment; None: it takes none.
        fine: error codes that a healthy node gives as well.
    """

    params: tuple[Any, ...] = ()
    commitment_at: int | None = None
    fine: frozenset[int] = frozenset()


_COMMITTED = Safe(commitment_at=0)
# A slot may have been skipped by its leader.
_OF_A_SLOT = frozenset({-32007, -32009})

SAFE: Final[dict[str, Safe]] = {
    "getHealth": Safe(),
    "getSlot": _COMMITTED,
    "getBlockHeight": _COMMITTED,
    "getTransactionCount": _COMMITTED,
    "getIdentity": Safe(),
    "getGenesisHash": Safe(),
    "getVersion": Safe(),
    "getEpochInfo": _COMMITTED,
    "getEpochSchedule": Safe(),
    "getVoteAccounts": _COMMITTED,
    "getLeaderSchedule": Safe((None, {}), 1),
    "getBlockProduction": _COMMITTED,
    "getClusterNodes": Safe(),
    "getHighestSnapshotSlot": Safe(fine=frozenset({-32008})),
    "minimumLedgerSlot": Safe(),
    "getFirstAvailableBlock": Safe(),
    "getMaxRetransmitSlot": Safe(),
    "getMaxShredInsertSlot": Safe(),
    "getSlotLeader": _COMMITTED,
    "getSlotLeaders": Safe((SLOT, 4)),
    "getLatestBlockhash": _COMMITTED,
    "getSignatureStatuses": Safe((["1" * 64],)),
    "getBalance": Safe((_SYSTEM,), 1),
    "getAccountInfo": Safe((_SYSTEM, {"encoding": "base64"}), 1),
    "getMultipleAccounts": Safe(([_SYSTEM, _VOTES], {"encoding": "base64"}), 1),
    "getProgramAccounts": Safe((_SYSTEM, {"encoding": "base64", "dataSlice": {"offset": 0, "length": 0}}), 1),
    "getBlock": Safe(
        (SLOT, {"transactionDetails": "none", "rewards": False, "maxSupportedTransactionVersion": 0}), 1, _OF_A_SLOT
    ),
    "getBlocks": Safe((SLOT, SLOT), 2),
    "getBlockTime": Safe((SLOT,), fine=_OF_A_SLOT),
    "getBlockCommitment": Safe((SLOT,)),
    "getRecentPrioritizationFees": Safe(([],)),
    "getRecentPerformanceSamples": Safe((1,)),
    "getMinimumBalanceForRentExemption": Safe((165,), 1),
    "getInflationRate": Safe(),
    "getSupply": Safe(({"excludeNonCirculatingAccountsList": True},), 0),
}

# These change something, or ask the cluster to.
UNSAFE: Final = frozenset({"sendTransaction", "requestAirdrop"})


def params_of(name: str, params: Sequence[Any] | None, commitment: str) -> list[Any]:
    """Give the parameters of a call; SLOT stands where a recent slot is to go.

    Args:
        name: the method.
        params: of the settings; None: the method's own.
        commitment: processed, confirmed or finalized; empty: the node's default, which is finalized.

    Raises:
        ValueError: the method is not probed, or takes no commitment.
    """
    if name in UNSAFE:
        raise ValueError(f"{name} is not probed: it changes what is on chain")
    safe = SAFE.get(name, Safe())
    made = list(safe.params if params is None else params)
    if not commitment:
        return made
    if safe.commitment_at is None:
        raise ValueError(f"{name} takes no commitment")
    made += [{}] * (safe.commitment_at + 1 - len(made))
    if not isinstance(made[safe.commitment_at], dict):
        raise ValueError(f"{name}: parameter {safe.commitment_at + 1} must be an object to hold a commitment")
    made[safe.commitment_at] = {**made[safe.commitment_at], "commitment": commitment}
    return made


def fine_codes(name: str) -> frozenset[int]:
    """Give the error codes that say nothing against the node."""
    return SAFE.get(name, Safe()).fine


def wants_slot(params: Sequence[Any]) -> bool:
    """Whether a call can be made only once a recent slot is known."""
    return SLOT in params


def filled(params: Sequence[Any], slot: int) -> list[Any]:
    """Put a recent slot in its place."""
    return [slot if param == SLOT else param for param in params]


def check_methods(methods: Sequence[RpcMethod], most_per_second: float) -> None:
    """Refuse with ValueError what cannot be probed, names twice, or would cost the node more than its budget."""
    names = [one.name for one in methods]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} is listed twice")
    for one in methods:
        if wants_slot(params_of(one.name, one.params, one.commitment)) and "getSlot" not in names:
            raise ValueError(f"{one.name} is asked about a recent slot: list getSlot too")
    wanted = sum(1 / one.period_seconds for one in methods)
    if wanted > most_per_second:
        raise ValueError(
            f"the methods ask for {wanted:g} calls a second, and the node's budget is {most_per_second:g}: "
            "lengthen a period_seconds, or raise max_calls_per_second"
        )
