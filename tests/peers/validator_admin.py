"""The admin socket of the validator peer, as validator/src/admin_rpc_service.rs of Agave 4.2 speaks it."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.peers.validator_faults import Faults
from tests.peers.validator_jsonrpc import RpcError, answer, dumps, expect, method_names, take_message
from tests.peers.validator_log import Log
from tests.peers.validator_plugins import Plugins
from tests.peers.validator_state import Node, b58decode, read_keypair

_MODULE = "agave_validator::admin_rpc_service"
_SWAP_S = 0.06
_REPAIR_S = 0.3


class Admin:
    """Serves `<ledger>/admin.rpc`; `stop` is set when a client asked the node to exit."""

    def __init__(self, node: Node, faults: Faults, log: Log, plugins: Plugins) -> None:
        self._node, self._faults, self._log = node, faults, log
        self._tasks: set[asyncio.Task[None]] = set()
        self.stop = asyncio.Event()
        self._whitelist: list[list[int]] = []
        self._calls: Counter[str] = Counter()
        self._voters_changed = 0
        self.path = node.ledger / "admin.rpc"
        self.methods: dict[str, Callable[[Any], Any]] = {
            "exit": self._exit,
            "pid": lambda params: expect(params) or os.getpid(),
            "startTime": self._start_time,
            "startProgress": lambda params: expect(params) or node.start_progress(),
            "rpcAddress": lambda params: expect(params) or f"127.0.0.1:{node.rpc_port}",
            "contactInfo": self._contact_info,
            "setLogFilter": self._set_log_filter,
            "addAuthorizedVoter": self._add_voter,
            "removeAllAuthorizedVoters": self._remove_voters,
            "setIdentity": self._set_identity,
            "isGeneratingSnapshots": self._is_generating_snapshots,
            "validatorAdmissionTicketStatus": self._ticket_status,
            "repairWhitelist": lambda params: expect(params) or {"whitelist": self._whitelist},
            "setRepairWhitelist": self._set_whitelist,
            "repairShredFromPeer": self._repair_shred,
            "setBlockEngineConfig": self._set_block_engine,
            **plugins.methods,
        }

    async def serve(self) -> asyncio.Server:
        """Bind the socket for its owner alone, after deleting one that a dead process left."""
        self.path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(self._connection, str(self.path))
        finally:
            os.umask(before)
        self._log.line("INFO", _MODULE, "started admin rpc service!")
        return server

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        buffer = bytearray()
        try:
            while chunk := await reader.read(65_536):
                buffer += chunk
                while (message := take_message(buffer)) is not None:
                    self._spawn(self._reply(message, writer))
        except ConnectionError as error:
            self._log.line("DEBUG", "ipc", f"connection lost: {error}")
        finally:
            writer.close()

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reply(self, message: bytes, writer: asyncio.StreamWriter) -> None:
        for method in method_names(message):
            if method in self._faults.hang:
                await asyncio.Event().wait()
            await asyncio.sleep(self._faults.latency_ms.get(method, 0.0) / 1000)
        text = answer(message, self._call)
        if text and not writer.is_closing():
            writer.write(text.encode() + b"\n")
            await writer.drain()

    def _call(self, method: str, params: Any) -> Any:
        handler = self.methods.get(method)
        if handler is None:
            raise RpcError.of(-32601)
        if method in self._faults.error_code:
            raise RpcError.of(self._faults.error_code[method])
        self._calls[method] += 1
        return handler(params)

    def seen(self) -> dict[str, Any]:
        """Count the calls of each method, and how often a call left other voters than before."""
        return {"calls": dict(self._calls), "voters_changed": self._voters_changed}

    def _post_init(self, text: str = "Retry once validator start up is complete") -> None:
        if not self._node.running():
            raise RpcError(-32602, text)

    def _exit(self, params: Any) -> None:
        expect(params)
        self._log.line("DEBUG", _MODULE, "exit admin rpc request received")
        self._spawn(self._leave())

    async def _leave(self) -> None:
        await asyncio.sleep(self._faults.exit_delay_s)
        self._log.line("WARN", _MODULE, "validator exit requested")
        self.stop.set()

    def _repair_shred(self, params: Any) -> None:
        # An Option<Pubkey>: null, or a key as text.
        named = isinstance(params, list) and params[:1] != [None]
        _, slot, _ = expect(params if named else ["", *params[1:]], str, int, int)
        self._post_init()
        self._spawn(self._repaired(slot))

    async def _repaired(self, slot: int) -> None:
        await asyncio.sleep(_REPAIR_S)
        if slot in self._faults.missing and slot not in self._faults.lost:
            self._faults.missing.remove(slot)

    def _start_time(self, params: Any) -> dict[str, int]:
        expect(params)
        seconds, nanos = divmod(self._node.start_time_ns, 1_000_000_000)
        return {"secs_since_epoch": seconds, "nanos_since_epoch": nanos}

    def _contact_info(self, params: Any) -> dict[str, Any]:
        expect(params)
        self._post_init()
        rpc = self._node.rpc_port
        ports = {"gossip": 8001, "tvu": 8002, "serve_repair_quic": 8013, "tpu": 8003, "tpu_forwards": 8004,
                 "tpu_vote": 8005, "rpc": rpc, "rpc_pubsub": rpc + 1, "serve_repair": 8012}  # fmt: skip
        info: dict[str, Any] = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
        started_ms = self._node.start_time_ns // 1_000_000
        return {
            "id": self._node.identity,
            **info,
            "last_updated_timestamp": started_ms,
            "shred_version": 50093,
        }

    def _set_log_filter(self, params: Any) -> None:
        self._node.log_filter = expect(params, str)[0]

    def _add_voter(self, params: Any) -> None:
        path = expect(params, str)[0]
        try:
            voter = read_keypair(path)
        except (OSError, ValueError, TypeError) as error:
            raise RpcError(-32602, _io_text(error)) from error
        if voter in self._node.voters:
            raise RpcError(-32602, "Authorized voter already present")
        self._node.voters.append(voter)
        self._voters_changed += 1

    def _remove_voters(self, params: Any) -> None:
        expect(params)
        self._voters_changed += bool(self._node.voters)
        self._node.voters.clear()

    def _set_identity(self, params: Any) -> None:
        path, require_tower, _ = expect(params, str, bool, bool)
        try:
            identity = read_keypair(path)
        except (OSError, ValueError, TypeError) as error:
            text = f"Failed to read identity keypair from {path}: {_io_text(error)}"
            raise RpcError(-32602, text) from error
        self._post_init()
        if require_tower and not self._node.tower_path(identity).exists():
            reason = "IO Error: No such file or directory (os error 2)"
            raise RpcError(-32602, f"Unable to load tower file for identity {identity}: {reason}")
        self._node.identity = identity
        self._log.line("WARN", _MODULE, f"Identity set to {identity}")
        self._spawn(self._swap(identity))

    async def _swap(self, identity: str) -> None:
        # The network sees the new key at once; the replay thread, which votes, sees it at its next fork reset.
        await asyncio.sleep(_SWAP_S)
        old, self._node.replay_identity = self._node.replay_identity, identity
        self._log.line("WARN", "solana_core::replay_stage", f"Identity changed from {old} to {identity}")
        self._log.point("validator-set_identity", old_id=old, new_id=identity, version=self._node.version)

    def _set_whitelist(self, params: Any) -> None:
        # Keys are arrays of 32 numbers on this socket.
        keys = expect(params, list)[0]
        if not all(isinstance(key, list) and len(key) == 32 for key in keys):
            raise RpcError(-32602, "Invalid params: invalid length, expected an array of length 32.")
        self._post_init()
        self._whitelist = keys

    def _set_block_engine(self, params: Any) -> None:
        # Two parameters up to 2.3, three from 3.0.
        old = self._node.version < "3"
        url = expect(params, str, bool)[0] if old else expect(params, str, bool, bool)[0]
        self._post_init()
        if not url:
            raise RpcError(-32602, "failed to set block engine config. see logs for details.")

    def _is_generating_snapshots(self, params: Any) -> bool:
        expect(params)
        self._post_init("snapshot_controller unavailable")
        return self._faults.makes_snapshots

    def _ticket_status(self, params: Any) -> dict[str, Any]:
        expect(params)
        self._post_init()
        return {
            "vote_account": list(b58decode(self._node.vote_account)),
            "voting_enabled": bool(self._node.voters),
            "current_epoch": self._node.tip() // self._node.slots_in_epoch,
            "vat_active": False,
            "in_current_epoch_vat": False,
            "current_epoch_vote_account_stake": 12_345_678_000_000,
            "current_epoch_vote_accounts": 20,
            "next_epoch_vat_failure_reason": None,
        }

    async def close(self, server: asyncio.Server) -> None:
        """Stop serving, end the work in hand, and remove the socket, as an orderly stop does."""
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.path.unlink(missing_ok=True)


def _io_text(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno:
        return f"{error.strerror} (os error {error.errno})"
    return str(error)


async def ask(ledger: Path, method: str, *params: Any, timeout_s: float = 2.0) -> Any:
    """Call an admin method of the peer in a ledger directory and return the decoded answer object."""
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_unix_connection(str(ledger / "admin.rpc"))
        try:
            request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
            writer.write(dumps(request).encode())
            return json.loads(await reader.readline())
        finally:
            writer.close()
            await writer.wait_closed()
