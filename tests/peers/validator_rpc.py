"""The JSON-RPC side of the validator peer: the shapes of Agave's rpc/src/rpc.rs over HTTP POST."""

import asyncio
import base64
from collections.abc import Callable
from typing import Any

from aiohttp import web

from tests.peers.validator_faults import Faults
from tests.peers.validator_jsonrpc import RpcError, answer, method_names
from tests.peers.validator_state import FINALIZED_LAG, Node, b58decode, key_of

BODY_LIMIT = 51_200
HEALTH_DISTANCE = 128
DELINQUENT_DISTANCE = 128
_SKIPPED_SLOTS = 21_000_000
_TX_PER_SLOT = 1_500
_PEERS = tuple((key_of(f"vote{index}"), key_of(f"node{index}")) for index in range(19))
_JSON_TYPES = ("application/json", "application/json; charset=utf-8")
_LAGS = {"processed": 0, "confirmed": 1, "finalized": FINALIZED_LAG}


class Rpc:
    """Answers JSON-RPC calls from the state of a node and its faults."""

    def __init__(self, node: Node, faults: Faults) -> None:
        self._node = node
        self._faults = faults
        self._schedules: dict[int, dict[str, list[int]]] = {}
        self.methods: dict[str, Callable[[list[Any]], Any]] = {
            "getHealth": lambda _: self._health(),
            "getSlot": self._slot,
            "getBlockHeight": lambda params: self._slot(params) - _SKIPPED_SLOTS,
            "getTransactionCount": lambda params: self._slot(params) * _TX_PER_SLOT,
            "getIdentity": lambda _: {"identity": self._node.identity},
            "getGenesisHash": lambda _: "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d",
            "getVersion": lambda _: {"solana-core": self._node.version, "feature-set": 3604001754},
            "getEpochInfo": self._epoch_info,
            "getVoteAccounts": self._vote_accounts,
            "getLeaderSchedule": self._leader_schedule,
            "getHighestSnapshotSlot": lambda _: self._snapshots(),
            "getLatestBlockhash": self._latest_blockhash,
            "getAccountInfo": self._account_info,
            "getProgramAccounts": self._program_accounts,
            "getBlock": self._block,
            "getBlocks": self._blocks,
            "getMaxShredInsertSlot": lambda _: self.own_slot(),
            "getRecentPrioritizationFees": self._fees,
            "getRecentPerformanceSamples": self._performance,
            "getSignatureStatuses": self._signatures,
            "minimumLedgerSlot": lambda _: self._node.first_slot - 200_000,
            "getFirstAvailableBlock": lambda _: self._node.first_slot - 200_000,
        }

    def call(self, method: str, params: Any) -> Any:
        """Answer one call; raises RpcError as the real server would answer."""
        handler = self.methods.get(method)
        if handler is None:
            raise RpcError.of(-32601)
        code = self._faults.code(method)
        if code is not None:
            raise RpcError.of(code)
        if not isinstance(params, list | None):
            raise RpcError(-32602, "`params` should be an array")
        return handler(params or [])

    def own_slot(self) -> int:
        """The newest slot this node has processed."""
        return self._node.tip() - self._faults.behind_slots

    def _config(self, params: list[Any], index: int = 0) -> dict[str, Any]:
        config = params[index] if len(params) > index else None
        return config if isinstance(config, dict) else {}

    def _slot(self, params: list[Any], index: int = 0) -> int:
        config = self._config(params, index)
        slot = self.own_slot() - _LAGS.get(config.get("commitment", "finalized"), FINALIZED_LAG)
        if slot < config.get("minContextSlot", 0):
            message = "Minimum context slot has not been reached"
            raise RpcError(-32016, message, {"contextSlot": slot})
        return slot

    def _health(self) -> str:
        behind = self._faults.behind_slots
        if behind > HEALTH_DISTANCE:
            raise RpcError(-32005, f"Node is behind by {behind} slots", {"numSlotsBehind": behind})
        return "ok"

    def health_text(self) -> str:
        """The body of GET /health."""
        return "behind" if self._faults.behind_slots > HEALTH_DISTANCE else "ok"

    def _context(self, slot: int, value: Any) -> dict[str, Any]:
        return {"context": {"apiVersion": self._node.version, "slot": slot}, "value": value}

    def _epoch_info(self, params: list[Any]) -> dict[str, int]:
        slot = self._slot(params)
        epoch, index = divmod(slot, self._node.slots_in_epoch)
        return {
            "absoluteSlot": slot,
            "blockHeight": slot - _SKIPPED_SLOTS,
            "epoch": epoch,
            "slotIndex": index,
            "slotsInEpoch": self._node.slots_in_epoch,
            "transactionCount": slot * _TX_PER_SLOT,
        }

    def _vote_accounts(self, params: list[Any]) -> dict[str, list[dict[str, Any]]]:
        config, tip = self._config(params), self.own_slot()
        node = self._node
        accounts = [(node.vote_account, node.node_pubkey, node.last_vote)]
        late = round(len(_PEERS) * self._faults.delinquent_percent / 100)
        for index, (vote, peer) in enumerate(_PEERS):
            accounts.append((vote, peer, tip - 1 if index >= late else tip - 5_000))
        wanted = config.get("votePubkey")
        result: dict[str, list[dict[str, Any]]] = {"current": [], "delinquent": []}
        distance = config.get("delinquentSlotDistance", DELINQUENT_DISTANCE)
        for vote, peer, last in accounts:
            if wanted in (None, vote):
                group = "delinquent" if last <= tip - distance else "current"
                result[group].append(self._vote_account(vote, peer, last))
        return result

    def _vote_account(self, vote: str, peer: str, last: int) -> dict[str, Any]:
        epoch = last // self._node.slots_in_epoch
        earned = [[epoch - age, 6_000_000 - age * 1_000, 5_000_000 - age * 1_000] for age in (4, 3, 2, 1, 0)]
        return {
            "activatedStake": 12_345_678_000_000,
            "commission": 5,
            "epochCredits": earned,
            "epochVoteAccount": True,
            "inflationRewardsCommissionBps": 500,
            "lastVote": last,
            "nodePubkey": peer,
            "rootSlot": last - 31,
            "votePubkey": vote,
        }

    def _leader_schedule(self, params: list[Any]) -> dict[str, list[int]] | None:
        first = params[0] if params and isinstance(params[0], int) else None
        config = self._config(params, 0 if params and isinstance(params[0], dict) else 1)
        slot = self._slot([config]) if first is None else first
        epoch = slot // self._node.slots_in_epoch
        if abs(epoch - self._node.tip() // self._node.slots_in_epoch) > 1:
            return None
        if epoch not in self._schedules:
            self._schedules[epoch] = self._schedule()
        schedule = self._schedules[epoch]
        identity = config.get("identity")
        if identity is None:
            return {self._leader_key(key): slots for key, slots in schedule.items()}
        own = "" if identity == self._node.node_pubkey else identity
        return {identity: schedule[own]} if own in schedule else {}

    def _leader_key(self, key: str) -> str:
        return key or self._node.node_pubkey

    def _schedule(self) -> dict[str, list[int]]:
        """Deal an epoch in runs of four; the key "" stands for the owner of this node's vote account."""
        dealt: dict[str, list[int]] = {}
        every = self._node.leader_every
        for run in range(0, self._node.slots_in_epoch, 4):
            mine = every > 0 and run % every < 4
            leader = "" if mine else _PEERS[run // 4 % len(_PEERS)][1]
            dealt.setdefault(leader, []).extend(range(run, run + 4))
        return dealt

    def _snapshots(self) -> dict[str, int]:
        slot = self.own_slot() - FINALIZED_LAG
        return {"full": slot - slot % 100_000, "incremental": slot - slot % 200}

    def _latest_blockhash(self, params: list[Any]) -> dict[str, Any]:
        slot = self._slot(params)
        value = {"blockhash": key_of(f"hash{slot}"), "lastValidBlockHeight": slot - _SKIPPED_SLOTS + 150}
        return self._context(slot, value)

    def _account(self, key: str, config: dict[str, Any]) -> dict[str, Any]:
        data = b58decode(key) * 5
        piece = config.get("dataSlice")
        if piece:
            data = data[piece["offset"] : piece["offset"] + piece["length"]]
        return {
            "data": [base64.b64encode(data).decode(), config.get("encoding", "base64")],
            "executable": False,
            "lamports": 2_039_280,
            "owner": "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA",
            "rentEpoch": 18_446_744_073_709_551_615,
            "space": 165,
        }

    def _account_info(self, params: list[Any]) -> dict[str, Any]:
        key = _pubkey(params)
        return self._context(self._slot(params, 1), self._account(key, self._config(params, 1)))

    def _program_accounts(self, params: list[Any]) -> Any:
        program, config = _pubkey(params), self._config(params, 1)
        keys = [key_of(f"{program}{index}") for index in range(20)]
        accounts = [{"account": self._account(key, config), "pubkey": key} for key in keys]
        return self._context(self._slot(params, 1), accounts) if config.get("withContext") else accounts

    def _block(self, params: list[Any]) -> dict[str, Any]:
        if not params or not isinstance(params[0], int):
            raise RpcError(-32602, "Invalid params: invalid length 0, expected a tuple of size 2.")
        slot, config = params[0], self._config(params, 1)
        if slot > self._slot(params, 1):
            raise RpcError(-32004, f"Block not available for slot {slot}")
        if slot < self._node.first_slot - 200_000:
            first = self._node.first_slot - 200_000
            raise RpcError(-32001, f"Block {slot} cleaned up, does not exist on node. First available block: {first}")
        block: dict[str, Any] = {
            "blockHeight": slot - _SKIPPED_SLOTS,
            "blockTime": self._block_time(slot),
            "blockhash": key_of(f"hash{slot}"),
            "parentSlot": slot - 1,
            "previousBlockhash": key_of(f"hash{slot - 1}"),
        }
        detail = config.get("transactionDetails", "full")
        if detail == "signatures":
            block["signatures"] = [key_of(f"{slot}a{n}") + key_of(f"{slot}b{n}") for n in range(50)]
        elif detail in ("full", "accounts"):
            block["transactions"] = []
        if config.get("rewards", True):
            block["rewards"] = []
        return block

    def _blocks(self, params: list[Any]) -> list[int]:
        first, last = params[0], min(params[1], self._slot(params, 2))
        if last - first > 500_000:
            raise RpcError(-32602, "Slot range too large; max 500000")
        return [slot for slot in range(first, last + 1) if slot not in self._faults.missing]

    def _block_time(self, slot: int) -> int:
        since = (slot - self._node.first_slot) * self._node.slot_ms / 1000
        return int(self._node.start_time_ns / 1e9 + since)

    def _fees(self, _: list[Any]) -> list[dict[str, int]]:
        slot = self.own_slot() - 1
        return [{"prioritizationFee": old * 7 % 20 * 100, "slot": old} for old in range(slot - 149, slot + 1)]

    def _performance(self, params: list[Any]) -> list[dict[str, int]]:
        limit = params[0] if params and isinstance(params[0], int) else 720
        if limit > 720:
            raise RpcError(-32602, "Invalid limit; max 720")
        slots = round(60_000 / self._node.slot_ms)
        slot = self.own_slot()
        return [
            {
                "numNonVoteTransactions": slots * 600,
                "numSlots": slots,
                "numTransactions": slots * _TX_PER_SLOT,
                "samplePeriodSecs": 60,
                "slot": slot - age * slots,
            }
            for age in range(limit)
        ]

    def _signatures(self, params: list[Any]) -> dict[str, Any]:
        if not params or not isinstance(params[0], list):
            raise RpcError(-32602, "Invalid params: invalid length 0, expected a tuple of size 2.")
        if len(params[0]) > 256:
            raise RpcError(-32602, "Too many inputs provided; max 256")
        return self._context(self.own_slot(), [None] * len(params[0]))


def _pubkey(params: list[Any]) -> str:
    try:
        b58decode(params[0])
    except (IndexError, TypeError, ValueError, OverflowError) as error:
        raise RpcError(-32602, "Invalid param: Invalid") from error
    return str(params[0])


def rpc_app(rpc: Rpc, faults: Faults) -> web.Application:
    """Build the HTTP application: POST on any path, and GET /health."""

    async def post(request: web.Request) -> web.Response:
        if request.headers.get("Content-Type", "").lower() not in _JSON_TYPES:
            text = "Supplied content type is not allowed. Content-Type: application/json is required\n"
            return web.Response(status=415, text=text)
        body = await request.read()
        names = method_names(body)
        for method in names:
            if faults.hangs(method):
                await asyncio.Event().wait()
        held = max((faults.latency_s(method) for method in names), default=0.0)
        if held > 0:
            await asyncio.sleep(held)
        status = next((code for code in map(faults.status, names) if code), None)
        if status is not None:
            return web.Response(status=status, text=f"{status}\n")
        return web.Response(
            body=answer(body, rpc.call).encode(), headers={"Content-Type": "application/json; charset=utf-8"}
        )

    async def health(_: web.Request) -> web.Response:
        return web.Response(text=rpc.health_text())

    async def other(_: web.Request) -> web.Response:
        text = "Used HTTP Method is not allowed. POST or OPTIONS is required\n"
        return web.Response(status=405, text=text)

    app = web.Application(client_max_size=BODY_LIMIT)
    app.add_routes([web.get("/health", health), web.post("/{any:.*}", post), web.route("*", "/{any:.*}", other)])
    return app
