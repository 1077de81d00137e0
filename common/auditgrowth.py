"""Whether a log may have become what its newest checkpoint says: only ever longer, with the same key and history."""

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from common.auditlog import Checkpoint
from common.auditverify import Finding, Kind
from common.merkle import verify_consistency

_KEY_BYTES = 32


def trouble(key: bytes, held: Checkpoint | None, new: Checkpoint, proof: Sequence[bytes]) -> Finding | None:
    """Say what is wrong with a checkpoint that one is told of, or None.

    Args:
        key: the log's public key, as it was pinned; empty at first sight, where the checkpoint's own is believed.
        held: the checkpoint that was believed before.
        new: the one that is offered.
        proof: the RFC 6962 consistency proof between the two.
    """
    first = (held.size if held else 0) + 1
    pinned = key or new.public_key
    if len(new.public_key) != _KEY_BYTES or new.public_key != pinned:
        return Finding(Kind.FOREIGN_KEY, first, "the audit log is signed with another key than before")
    if not new.signed_by(Ed25519PublicKey.from_public_bytes(pinned)):
        message = "the audit log's checkpoint does not carry the signature of its key"
        return Finding(Kind.FORGED_CHECKPOINT, first, message)
    if held is None:
        return None
    if new.origin != held.origin:
        return Finding(Kind.FORKED, first, f"the checkpoint is of another log, {new.origin!r}")
    if new.size < held.size:
        message = f"the audit log has {new.size} entries, but {held.size} were signed before: it was cut short"
        return Finding(Kind.TRUNCATED, new.size + 1, message)
    if new.size == held.size and new.root != held.root:
        message = f"the audit log of {held.size} entries is another than the one signed before"
        return Finding(Kind.FORKED, held.size, message)
    grown = 0 < held.size < new.size
    if grown and not verify_consistency(held.size, new.size, held.root, new.root, proof):
        message = (
            f"the audit log of {new.size} entries did not grow from the {held.size} that were signed before: "
            "entries were taken out or changed"
        )
        return Finding(Kind.FORKED, held.size, message)
    return None
