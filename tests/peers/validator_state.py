"""The state of the validator peer: its clock of slots, its identity, voters and start progress."""

import hashlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
FINALIZED_LAG = 32
START_PHASES: tuple[Any, ...] = (
    "Initializing",
    "SearchingForRpcService",
    {"DownloadingSnapshot": {"slot": 0, "rpc_addr": "127.0.0.1:8899"}},
    "CleaningAccounts",
    "LoadingLedger",
    "StartingServices",
    {"ProcessingLedger": {"slot": 0, "max_slot": 0}},
)
# The JSON-RPC service is one of those that "StartingServices" starts; before it the port is closed.
_RPC_FROM_PHASE = START_PHASES.index("StartingServices")


def b58encode(raw: bytes) -> str:
    """Encode bytes in the base58 of Solana's public keys."""
    number = int.from_bytes(raw, "big")
    digits = ""
    while number:
        number, digit = divmod(number, 58)
        digits = _ALPHABET[digit] + digits
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + digits


def b58decode(text: str) -> bytes:
    """Decode base58 into 32 bytes; raises ValueError for anything that is not a public key."""
    number = 0
    for char in text:
        number = number * 58 + _ALPHABET.index(char)
    return number.to_bytes(32, "big")


def key_of(seed: str) -> str:
    """Make a stable base58 key (or hash) of a text."""
    return b58encode(hashlib.sha256(seed.encode()).digest())


# The secret keys of the identities that this process has read, by their public keys in base58.
_secrets: dict[str, Ed25519PrivateKey] = {}


def read_keypair(path: str) -> str:
    """Read a keypair file (a JSON array of 64 integers) and return its public key in base58.

    Raises:
        OSError, ValueError: when the file cannot be read or holds no keypair.
    """
    raw = bytes(json.loads(Path(path).read_text()))
    if len(raw) != 64:
        raise ValueError("expected 64 bytes")
    key = b58encode(raw[32:])
    _secrets[key] = Ed25519PrivateKey.from_private_bytes(raw[:32])
    return key


def make_keypair(seed: str) -> str:
    """Make a stable keypair of a text and return its public key in base58."""
    secret = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed.encode()).digest())
    key = b58encode(secret.public_key().public_bytes_raw())
    _secrets[key] = secret
    return key


def write_keypair(path: Path, seed: str) -> str:
    """Write a stable keypair of a text into a file, as `solana-keygen` would; return its public key in base58."""
    key = make_keypair(seed)
    secret = _secrets[key]
    path.write_text(json.dumps([*secret.private_bytes_raw(), *secret.public_key().public_bytes_raw()]))
    return key


@dataclass
class Node:
    """One validator: what it is, and what its clock says now.

    Slots advance by one each `slot_ms` milliseconds from `first_slot`: from the start of the process by the
    monotonic clock, or from `genesis` (seconds since the epoch) by the wall clock, which several nodes may share.
    """

    ledger: Path
    identity: str
    vote_account: str
    slot_ms: float = 400.0
    first_slot: int = 300_000_000
    genesis: float = 0.0
    slots_in_epoch: int = 432_000
    leader_every: int = 4_000
    version: str = "4.2.1"
    slow_start_s: float = 0.0
    rpc_port: int = 0
    node_pubkey: str = ""
    replay_identity: str = ""
    voters: list[str] = field(default_factory=list)
    log_filter: str = "solana=info,agave=info"
    started: float = field(default_factory=time.monotonic)
    start_time_ns: int = field(default_factory=time.time_ns)
    last_vote: int = 0

    def __post_init__(self) -> None:
        self.node_pubkey = self.node_pubkey or self.identity
        self.replay_identity = self.identity
        self.last_vote = self.tip()

    def tip(self) -> int:
        """The slot of the cluster now."""
        seconds = time.time() - self.genesis if self.genesis else time.monotonic() - self.started
        return self.first_slot + int(seconds * 1000 / self.slot_ms)

    def voting(self) -> bool:
        """Whether a vote transaction would be made: some voter is loaded, and this node owns the vote account."""
        return bool(self.voters) and self.node_pubkey == self.replay_identity

    def phase(self) -> int:
        """The index into START_PHASES; its length when the node is running."""
        if self.slow_start_s <= 0:
            return len(START_PHASES)
        done = (time.monotonic() - self.started) / self.slow_start_s
        return min(len(START_PHASES), int(done * len(START_PHASES)))

    def running(self) -> bool:
        """Whether the node is fully built ("post-init" in the words of the validator)."""
        return self.phase() == len(START_PHASES)

    def serves_rpc(self) -> bool:
        """Whether start has come far enough for the JSON-RPC port to be open."""
        return self.phase() >= _RPC_FROM_PHASE

    def start_progress(self) -> Any:
        """The value of startProgress: a string, or an object with one member."""
        phase = self.phase()
        if phase == len(START_PHASES):
            return "Running"
        progress = START_PHASES[phase]
        if not isinstance(progress, dict):
            return progress
        name, body = next(iter(progress.items()))
        filled = {**body, "slot": self.first_slot}
        if "max_slot" in body:
            filled["max_slot"] = self.tip()
        return {name: filled}

    def tower_path(self, identity: str) -> Path:
        """Where the tower of an identity is kept."""
        return self.ledger / f"tower-1_9-{identity}.bin"

    def vote(self, slot: int) -> None:
        """Make a vote for a slot: the tower is written beside its name and renamed, as the real node does."""
        self.last_vote = slot
        path = self.tower_path(self.replay_identity)
        new = path.with_suffix(".bin.new")
        data = b58decode(self.replay_identity) + slot.to_bytes(8, "little")
        secret = _secrets.get(self.replay_identity)
        signature = secret.sign(data) if secret else bytes(64)
        new.write_bytes((1).to_bytes(4, "little") + signature + len(data).to_bytes(8, "little") + data)
        new.rename(path)
