"""Proofs that the audit log only grew: its Merkle tree in memory, down to tiles, and leaves as they are needed."""

import asyncio
from collections.abc import Sequence

from common.auditprune import Prune
from common.auditverify import Finding, Kind
from common.merkle import consistency_ranges, leaf_hash
from common.merkletiles import TILE, Tiles, compact_ranges
from controlplane.audit import faults
from controlplane.store.audit import AuditRepository

_PAGE = 256


class Proofs:
    """The tree over every entry that ever was, those that were pruned among them.

    Args:
        repository: where leaves are read that are not in memory.
    """

    def __init__(self, repository: AuditRepository) -> None:
        self._repository = repository
        self._tiles = Tiles()
        # The leaves of the tile that is not complete.
        self._open: list[bytes] = []
        self._pruned = 0

    @property
    def size(self) -> int:
        """How many leaves the tree has."""
        return self._tiles.complete * TILE + len(self._open)

    def grow(self, leaves: Sequence[bytes]) -> None:
        """Add leaf hashes at the end."""
        self._open += leaves
        while len(self._open) >= TILE:
            self._tiles.add(self._open[:TILE])
            del self._open[:TILE]

    async def load(self, prune: Prune) -> Finding | None:
        """Begin with what was pruned; say what is wrong where it is not what its record signs.

        Args:
            prune: the newest record.
        """
        number = 0
        while number * TILE < prune.size:
            rows = await self._repository.tiles(number, _PAGE)
            leaves = [leaf for row in rows for leaf in row]
            number += len(rows)
            await asyncio.to_thread(self.grow, leaves)
            if not rows or (len(leaves) % TILE and self.size != prune.size):
                break
        if self.size != prune.size or await self.root(prune.size) != prune.root:
            return Finding(Kind.EDITED, 1, "the hashes of pruned entries are not those that the record of it signs")
        self._pruned = prune.size
        return None

    def cut(self, prune: Prune) -> None:
        """Take note that entries are gone."""
        self._pruned = prune.size

    async def root(self, size: int) -> bytes:
        """Give the head of the tree when it had some size, of 1 or more."""
        return (await self._heads([(0, size)]))[0]

    async def peaks(self, size: int) -> list[bytes]:
        """Give the compact range of the tree when it had some size."""
        return await self._heads(compact_ranges(size))

    async def consistency(self, first: int, second: int) -> list[bytes]:
        """Give the RFC 6962 consistency proof between two sizes."""
        return await self._heads(consistency_ranges(first, second))

    async def leaves(self, tile: int) -> list[bytes]:
        """Give the leaf hashes of a tile, as many as there are."""
        if tile == self._tiles.complete:
            return list(self._open)
        leaves: list[bytes] = []
        if tile * TILE < self._pruned:
            async with faults.store("read"):
                leaves = (await self._repository.tiles(tile, 1) or [[]])[0]
        if len(leaves) < TILE:
            async with faults.store("read"):
                entries = await self._repository.forward(tile * TILE + len(leaves) + 1, TILE - len(leaves))
            leaves = leaves + [leaf_hash(entry.body.encode()) for entry in entries]
        if len(leaves) != TILE:
            raise faults.unavailable("the audit log could not be read to its end")
        return leaves

    async def _heads(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        leaves = {tile: await self.leaves(tile) for tile in Tiles.wanted(ranges)}
        return [self._tiles.head(begin, end, leaves) for begin, end in ranges]
