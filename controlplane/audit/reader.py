"""The audit log as it is read: pages, exports, proofs of growth, and whoever follows it."""

import builtins
import collections
import itertools
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from common.auditlines import Record
from common.auditlog import Checkpoint, Entry
from common.auditprune import Prune
from common.merkle import Tree
from controlplane.audit import faults
from controlplane.audit.proofs import Proofs
from controlplane.audit.pulse import Pulse
from controlplane.store.audit import AuditRepository

_PAGE = 2000
# How many of the newest entries are kept in memory.
_RECENT = 500
# How many entries a follower is given at once.
_FOLLOWED = 500


class Page(NamedTuple):
    """One page of the log, the newest first.

    Args:
        entries: the entries.
        before: where the next page begins, for `AuditLog.list`; None on the last page.
    """

    entries: list[Entry]
    before: int | None


class AuditReader(ABC):
    """What is durable of the log, for whoever reads it; the writer keeps it up to date.

    Args:
        repository: where the log is stored.
        origin: names the log in its checkpoints; one line.
        public_key: verifies its signatures.
    """

    def __init__(self, repository: AuditRepository, origin: str, public_key: Ed25519PublicKey) -> None:
        self._repository = repository
        self._origin = origin
        self._public_key = public_key
        self._raw_public_key = public_key.public_bytes_raw()
        self._tree = Tree()
        self.proofs = Proofs(repository)
        self.prunes: builtins.list[Prune] = []
        self.head: Checkpoint | None = None
        self.grown, self.signed = Pulse(), Pulse()
        self._recent: collections.deque[tuple[Entry, str, str]] = collections.deque(maxlen=_RECENT)

    @abstractmethod
    async def checkpoint(self) -> Checkpoint:
        """Sign the log as it stands."""

    @property
    def size(self) -> int:
        """How many entries are durable, those that were pruned among them."""
        return self._tree.size

    @property
    def first(self) -> int:
        """The first entry that was not pruned."""
        return self.prunes[-1].size + 1 if self.prunes else 1

    @property
    def origin(self) -> str:
        """What names the log."""
        return self._origin

    @property
    def public_key(self) -> bytes:
        """The key that verifies the log's signatures, 32 bytes."""
        return self._raw_public_key

    async def growth(self, held_size: int, point: Checkpoint) -> builtins.list[bytes]:
        """Prove that the log only grew from an earlier size to a checkpoint.

        Args:
            held_size: how many entries the earlier checkpoint covered; 0 needs no proof.
            point: the later checkpoint.

        Returns:
            The RFC 6962 consistency proof; none where the earlier size is not below the later one.
        """
        return await self.proofs.consistency(held_size, point.size) if 0 < held_size < point.size else []

    async def list(self, *, limit: int = 50, before: int | None = None, principal: str = "", method: str = "") -> Page:
        """Read entries, the newest first.

        Args:
            limit: how many at the most.
            before: the `before` of the page before; None for the first page.
            principal: only entries of this principal.
            method: only entries of this method.

        Raises:
            SolwardError: UNAVAILABLE, AUDIT_UNAVAILABLE: the store cannot be read.
        """
        entries = self._newest(limit + 1, principal, method) if before is None else []
        if len(entries) <= limit:
            async with faults.store("read"):
                entries = await self._repository.backward(before, limit + 1, principal, method)
        more = len(entries) > limit
        entries = entries[:limit]
        return Page(entries, entries[-1].sequence if more and entries else None)

    def _newest(self, limit: int, principal: str, method: str) -> builtins.list[Entry]:
        """Read the newest entries from memory: they are what consoles ask for, again and again."""
        first = self.first
        wanted = (
            entry
            for entry, by, called in reversed(self._recent)
            if entry.sequence >= first and principal in ("", by) and method in ("", called)
        )
        return [*itertools.islice(wanted, limit)]

    async def export(self, from_sequence: int = 1) -> AsyncIterator[Record]:
        """Read the log in order, each checkpoint after the entries it covers, a fresh one at the end.

        Args:
            from_sequence: the first entry wanted; 0 or 1 for all, with the records of what was pruned before them.

        Raises:
            SolwardError: UNAVAILABLE, AUDIT_UNAVAILABLE: the store cannot be read or written; OUT_OF_RANGE,
                ENTRIES_PRUNED: what is wanted is gone.
        """
        head = await self.checkpoint()
        first = max(from_sequence, 1)
        if 1 < first < self.first:
            raise faults.pruned(self.first, first)
        if first == 1:
            for prune in tuple(self.prunes):
                yield prune
                first = prune.size + 1
        while first <= head.size:
            async with faults.store("read"):
                entries = await self._repository.forward(first, min(_PAGE, head.size - first + 1))
                last = entries[-1].sequence if entries else head.size
                points = await self._repository.checkpoints(
                    first, min(last, head.size - 1), self._origin, self._raw_public_key
                )
            if first < self.first:
                raise faults.pruned(self.first, first)
            for record in _merge(entries, points):
                yield record
            first = last + 1
        yield head

    async def follow(self, after: int) -> AsyncIterator[Sequence[Entry]]:
        """Give every entry after a sequence number, as it becomes durable, in order and without a gap.

        Args:
            after: the last entry that the caller has; 0 for none.

        Raises:
            SolwardError: UNAVAILABLE, AUDIT_UNAVAILABLE: the store cannot be read; OUT_OF_RANGE, ENTRIES_PRUNED: what
                is wanted is gone.
        """
        while True:
            while after >= self.size:
                await self.grown.wait()
            entries = self._remembered(after)
            if not entries:
                async with faults.store("read"):
                    entries = await self._repository.forward(after + 1, _FOLLOWED)
            if not entries or entries[0].sequence != after + 1:
                raise faults.pruned(self.first, after + 1)
            # What another writer has just added is not in our chain yet.
            entries = entries[: self.size - after]
            after += len(entries)
            yield entries

    def _remembered(self, after: int) -> Sequence[Entry]:
        """Give the entries after one from memory, where all of them are there."""
        if after + 1 < self.first or not self._recent or self._recent[0][0].sequence > after + 1:
            return []
        missed = self._recent[-1][0].sequence - after
        return [row[0] for row in itertools.islice(reversed(self._recent), missed)][::-1]


def _merge(entries: Sequence[Entry], points: Sequence[Checkpoint]) -> Iterator[Record]:
    after = {point.size: point for point in points}
    for entry in entries:
        yield entry
        if entry.sequence in after:
            yield after[entry.sequence]
