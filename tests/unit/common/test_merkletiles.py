"""Tiles: any proof over any size, from a few tiles, is the one that all leaves would give."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.merkle import Tree, consistency_proof, consistency_ranges, root_of, verify_consistency
from common.merkletiles import TILE, Tiles, compact_ranges

MOST = 5 * TILE + 9
LEAVES = [sha256(str(number).encode()).digest() for number in range(MOST)]


def tiles_of(size: int) -> Tiles:
    tiles = Tiles()
    for number in range(size // TILE):
        tiles.add(LEAVES[number * TILE : (number + 1) * TILE])
    return tiles


def heads(size: int, ranges: list[tuple[int, int]]) -> list[bytes]:
    """Give heads, with no other leaves at hand than those of the tiles that were asked for."""
    tiles = tiles_of(size)
    leaves = {tile: LEAVES[tile * TILE : min(size, (tile + 1) * TILE)] for tile in Tiles.wanted(ranges)}
    return [tiles.head(begin, end, leaves) for begin, end in ranges]


sizes = st.one_of(st.integers(1, MOST), st.sampled_from([1, TILE - 1, TILE, TILE + 1, 2 * TILE, 4 * TILE, MOST]))


@settings(max_examples=150, deadline=None)
@given(sizes, sizes)
def test_proofs_from_tiles_are_those_from_all_leaves(one: int, other: int) -> None:
    first, second = sorted((one, other))
    proof = heads(second, consistency_ranges(first, second))
    assert proof == consistency_proof(LEAVES[:second], first)
    assert verify_consistency(first, second, root_of(LEAVES[:first]), root_of(LEAVES[:second]), proof)


@settings(max_examples=60, deadline=None)
@given(sizes)
def test_head_and_compact_range_of_any_size(size: int) -> None:
    assert heads(MOST, [(0, size)]) == [root_of(LEAVES[:size])]
    tree = Tree()
    for leaf in LEAVES[:size]:
        tree.append(leaf)
    assert heads(MOST, compact_ranges(size)) == tree.peaks


def test_partial_tile_is_not_added() -> None:
    with pytest.raises(ValueError, match="256 leaves, not 3"):
        Tiles().add(LEAVES[:3])
