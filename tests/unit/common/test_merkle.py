"""The tree against the reference vectors of RFC 6962's own test suite, and its laws on any input."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import merkle

INPUTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [merkle.leaf_hash(data) for data in INPUTS]
sizes = st.integers(min_value=1, max_value=80)


def leaves_of(size: int) -> list[bytes]:
    return [merkle.leaf_hash(b"%d" % index) for index in range(size)]


def recursive_root(leaves: list[bytes]) -> bytes:
    """The definition of section 2.1, word for word."""
    if not leaves:
        return merkle.EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return merkle.node_hash(recursive_root(leaves[:split]), recursive_root(leaves[split:]))


def test_empty_tree_has_the_hash_of_nothing() -> None:
    expected = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert merkle.Tree().root().hex() == merkle.EMPTY_ROOT.hex() == expected


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_match_the_reference_vectors(size: int) -> None:
    assert merkle.root_of(LEAVES[:size]).hex() == ROOTS[size - 1]


def test_inclusion_path_matches_the_reference_vector() -> None:
    path = [node.hex() for node in merkle.inclusion_proof(LEAVES, 0)]
    assert path == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]


def test_consistency_path_matches_the_reference_vector() -> None:
    path = [node.hex() for node in merkle.consistency_proof(LEAVES, 6)]
    assert path == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


@given(size=st.integers(min_value=0, max_value=80))
def test_growing_tree_equals_the_definition(size: int) -> None:
    leaves = leaves_of(size)
    assert merkle.root_of(leaves) == recursive_root(leaves)


@given(data=st.data(), size=sizes)
def test_inclusion_proof_holds_for_its_leaf_only(data: st.DataObject, size: int) -> None:
    leaves = leaves_of(size)
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(0, size - 1))
    root = merkle.root_of(leaves)
    proof = merkle.inclusion_proof(leaves, index)
    assert merkle.verify_inclusion(leaves[index], index, size, proof, root)
    assert merkle.verify_inclusion(leaves[index], other, size, proof, root) == (index == other)
    assert not merkle.verify_inclusion(merkle.leaf_hash(b"else"), index, size, proof, root)
    assert not merkle.verify_inclusion(leaves[index], index, size, [*proof, root], root)
    assert not merkle.verify_inclusion(leaves[index], size, size, proof, root)


@given(data=st.data(), size=sizes)
def test_consistency_proof_holds_for_its_trees_only(data: st.DataObject, size: int) -> None:
    leaves = leaves_of(size)
    first = data.draw(st.integers(1, size))
    old, new = merkle.root_of(leaves[:first]), merkle.root_of(leaves)
    proof = merkle.consistency_proof(leaves, first)
    assert merkle.verify_consistency(first, size, old, new, proof)
    assert not merkle.verify_consistency(first, size, merkle.EMPTY_ROOT, new, proof)
    assert not merkle.verify_consistency(first, size, old, merkle.EMPTY_ROOT, proof)
    assert not merkle.verify_consistency(first, size, old, new, [*proof, new])
    assert not merkle.verify_consistency(0, size, old, new, proof)


def test_copy_and_peaks_carry_on_where_a_tree_stands() -> None:
    tree = merkle.Tree()
    roots = []
    for leaf in leaves_of(21):
        tree.append(leaf)
        again = merkle.Tree(tree.size, tree.peaks)
        twin = tree.copy()
        twin.append(leaf)
        assert again.root() == tree.root() != twin.root()
        roots.append(tree.root())
    assert all(one != two for one, two in pairwise(roots))


@pytest.mark.parametrize(("size", "peaks"), [(1, []), (-1, []), (3, [b""])])
def test_peaks_that_do_not_fit_are_refused(size: int, peaks: list[bytes]) -> None:
    with pytest.raises(ValueError, match="peaks"):
        merkle.Tree(size, peaks)


@pytest.mark.parametrize(("size", "index"), [(0, 0), (3, 3), (3, -1)])
def test_proofs_outside_the_tree_are_refused(size: int, index: int) -> None:
    with pytest.raises(ValueError, match="no leaf"):
        merkle.inclusion_proof(leaves_of(size), index)
    with pytest.raises(ValueError, match="no proof"):
        merkle.consistency_proof(leaves_of(size), index if index <= 0 else index + 1)
