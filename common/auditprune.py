"""Prune records: signed statements that the audit log's oldest entries were taken out on purpose.

What such a record says of the entries that are gone is all that the rest needs to be verified: the hash that the chain
goes on from, and the compact range of the Merkle tree over them.
"""

import base64
import json
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from common.auditlog import rfc3339
from common.merkle import Tree

POLICY = "policy"
_HEADER = "solward-audit-prune-v1"


class Prune(NamedTuple):
    """A signed statement that the entries up to a size were taken out.

    Args:
        origin: names the log.
        first: the first entry that this record took out; the ones before were taken out earlier.
        size: the last entry that it took out, so how many are gone in all.
        root: the Merkle tree head over everything that is gone.
        chain: the hash of entry `size`, which the next entry follows.
        peaks: the compact range over everything that is gone, as `common.merkle.Tree` takes it.
        by: who took them out: a user, or `POLICY` for the retention that is set.
        time_ms: when, milliseconds since the epoch.
        signature: Ed25519 over `text()`.
        public_key: the raw public key, 32 bytes.
    """

    origin: str
    first: int
    size: int
    root: bytes
    chain: bytes
    peaks: tuple[bytes, ...]
    by: str
    time_ms: int
    signature: bytes
    public_key: bytes

    @property
    def removed(self) -> int:
        """How many entries this record took out."""
        return self.size - self.first + 1

    def text(self) -> bytes:
        """Give the canonical text that is signed."""
        lines = (
            _HEADER, self.origin, f"{self.first} {self.size}", _base64(self.root), _base64(self.chain),
            " ".join(map(_base64, self.peaks)), json.dumps(self.by), rfc3339(self.time_ms),
        )  # fmt: skip
        return ("\n".join(lines) + "\n").encode()

    def signed_by(self, key: Ed25519PublicKey) -> bool:
        """Say whether the signature is the key's."""
        try:
            key.verify(self.signature, self.text())
        except InvalidSignature:
            return False
        return True

    def tree(self) -> Tree | None:
        """Give the tree over what is gone; None where the record contradicts itself."""
        if not 0 < self.first <= self.size:
            return None
        try:
            tree = Tree(self.size, self.peaks)
        except ValueError:
            return None
        return tree if tree.root() == self.root else None


def sign_prune(
    key: Ed25519PrivateKey, *, origin: str, first: int, tree: Tree, chain: bytes, by: str, time_ms: int
) -> Prune:
    """Sign that entries are taken out.

    Args:
        key: the log's signing key.
        origin: names the log; one line.
        first: the first of them.
        tree: the tree over all that are gone then.
        chain: the hash of the last of them.
        by: who takes them out.
        time_ms: milliseconds since the epoch.
    """
    public = key.public_key().public_bytes_raw()
    blank = Prune(origin, first, tree.size, tree.root(), chain, tuple(tree.peaks), by, time_ms, b"", public)
    return blank._replace(signature=key.sign(blank.text()))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
