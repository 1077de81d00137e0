"""An export compared with what the fleet's agents remember of the log."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from solward.audit.v1 import audit_pb2 as pb

from common.auditlines import Record
from common.auditlog import Checkpoint, Entry
from common.auditprune import Prune
from common.auditwire import checkpoint_of
from common.merkle import Tree, leaf_hash
from ctl.exported import read

AGREES, CONTRADICTS, CUT, NEWER, OLDER, FOREIGN, SILENT = (
    "agrees", "CONTRADICTS THE EXPORT", "THE EXPORT WAS CUT", "newer than the export", "older than what was pruned",
    "NOT SIGNED WITH THIS KEY", "holds nothing",
)  # fmt: skip
WRONG = frozenset({CONTRADICTS, CUT, FOREIGN})


class Compared(NamedTuple):
    """One host's checkpoint beside the export.

    Args:
        host: "hosts/{host}".
        size: over how many entries it holds a checkpoint.
        verdict: how the two compare, in words.
    """

    host: str
    size: int
    verdict: str


def compare(file: Path, key: Ed25519PublicKey, witnesses: Sequence[pb.Witness]) -> list[Compared]:
    """Compare an export that verifies by itself with what every agent holds.

    Args:
        file: the export.
        key: the log's public key, by which also the agents' checkpoints must be signed.
        witnesses: what the agents hold.
    """
    held = {one.host: checkpoint_of(one.held) for one in witnesses if one.HasField("held")}
    roots, first, head = _roots(read(file), {point.size for point in held.values()})
    found = []
    for witness in witnesses:
        point = held.get(witness.host)
        verdict = SILENT if point is None else _verdict(point, key, roots, first, head)
        found.append(Compared(witness.host, point.size if point else 0, verdict))
    return found


def _verdict(
    point: Checkpoint, key: Ed25519PublicKey, roots: dict[int, bytes], first: int, head: Checkpoint | None
) -> str:
    if not point.signed_by(key):
        return FOREIGN
    if head is None or point.origin != head.origin:
        return CONTRADICTS
    if point.size > head.size:
        # An export of an earlier day is shorter for a good reason.
        return NEWER if point.time_ms > head.time_ms else CUT
    if point.size < first - 1:
        return OLDER
    return AGREES if roots.get(point.size) == point.root else CONTRADICTS


def _roots(records: Iterable[Record], sizes: set[int]) -> tuple[dict[int, bytes], int, Checkpoint | None]:
    """Give the roots over some sizes, the first entry, and the last checkpoint."""
    tree, first, head = Tree(), 1, None
    roots = {0: tree.root()}
    for record in records:
        if isinstance(record, Entry):
            tree.append(leaf_hash(record.body.encode("utf-8", "surrogatepass")))
        elif isinstance(record, Prune):
            tree, first = record.tree() or tree, record.size + 1
        else:
            head = record
        if tree.size in sizes and tree.size not in roots:
            roots[tree.size] = tree.root()
    return roots, first, head
