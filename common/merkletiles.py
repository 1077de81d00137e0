"""A Merkle tree as tiles of leaves and the nodes above them: proofs over any range without every leaf at hand."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from common.merkle import node_hash, root_of

TILE = 256


class Tiles:
    """The nodes above the complete tiles of a tree that only grows: 32 bytes for every 128 leaves."""

    def __init__(self) -> None:
        self._levels: list[list[bytes]] = [[]]

    @property
    def complete(self) -> int:
        """How many tiles are complete and known."""
        return len(self._levels[0])

    def add(self, leaves: Sequence[bytes]) -> None:
        """Add the next complete tile.

        Args:
            leaves: the hashes of its leaves.

        Raises:
            ValueError: they are not a whole tile.
        """
        if len(leaves) != TILE:
            raise ValueError(f"a tile has {TILE} leaves, not {len(leaves)}")
        node, level = root_of(leaves), 0
        while True:
            if level == len(self._levels):
                self._levels.append([])
            row = self._levels[level]
            row.append(node)
            if len(row) % 2:
                return
            node, level = node_hash(row[-2], row[-1]), level + 1

    @staticmethod
    def wanted(ranges: Sequence[tuple[int, int]]) -> set[int]:
        """Say which tiles' leaves are needed to give the heads of ranges."""
        edges = {edge for span in ranges for edge in span if edge % TILE}
        return {edge // TILE for edge in edges}

    def head(self, begin: int, end: int, leaves: Mapping[int, Sequence[bytes]]) -> bytes:
        """Give the Merkle tree head over a range that is a node of a tree.

        Args:
            begin: the first leaf, counted from 0.
            end: the leaf after the last.
            leaves: the leaf hashes of the tiles that `wanted` named.
        """
        count = end - begin
        if begin // TILE == (end - 1) // TILE and count < TILE:
            offset = begin % TILE
            return root_of(leaves[begin // TILE][offset : offset + count])
        level = (count // TILE).bit_length() - 1
        if count == TILE << level and level < len(self._levels):
            return self._levels[level][begin // count]
        split = begin + (1 << ((count - 1).bit_length() - 1))
        return node_hash(self.head(begin, split, leaves), self.head(split, end, leaves))


def compact_ranges(size: int) -> list[tuple[int, int]]:
    """Say which ranges the complete subtrees of a tree of some size cover, the largest first."""
    edges = [0]
    for bit in reversed(range(size.bit_length())):
        if size >> bit & 1:
            edges.append(edges[-1] + (1 << bit))
    return list(pairwise(edges))
