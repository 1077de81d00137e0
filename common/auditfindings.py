"""What a verification of the audit log tells; no input, no output."""

import enum
from dataclasses import dataclass
from typing import NamedTuple

from common.auditlog import GENESIS
from common.auditprune import Prune


class Kind(enum.StrEnum):
    """What is wrong with a log."""

    EDITED = "edited"
    MISSING = "missing"
    INSERTED = "inserted"
    REORDERED = "reordered"
    TRUNCATED = "truncated"
    FORGED_CHECKPOINT = "forged_checkpoint"
    FORGED_PRUNE = "forged_prune"
    FOREIGN_KEY = "foreign_key"
    FORKED = "forked"


class Finding(NamedTuple):
    """The first thing wrong with a log.

    Args:
        kind: what is wrong.
        sequence: the first entry that it concerns.
        message: the same for a person.
    """

    kind: Kind
    sequence: int
    message: str


class State(NamedTuple):
    """Where a verification ended; the next one may go on from here.

    Args:
        size: entries verified.
        chain: the hash of the last of them.
        peaks: the Merkle tree over them, as `common.merkle.Tree` takes it.
    """

    size: int = 0
    chain: bytes = GENESIS
    peaks: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Report:
    """What a verification found.

    Args:
        finding: the first thing wrong, or None.
        entries: entries read and found to be in order.
        proved: the size of the log that the last good checkpoint covers.
        checkpoints: good checkpoints read.
        prunes: the signed records of what was taken out on purpose.
        held_compared: whether the held checkpoint could be compared; not where what it covers was taken out since.
        state: where the next verification may go on; meaningful when nothing is wrong.
    """

    finding: Finding | None
    entries: int
    proved: int
    checkpoints: int
    state: State
    prunes: tuple[Prune, ...] = ()
    held_compared: bool = True

    @property
    def ok(self) -> bool:
        """Say whether nothing is wrong."""
        return self.finding is None
