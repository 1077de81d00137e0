"""The Merkle tree of RFC 6962, section 2.1, over SHA-256: no input, no output."""

from collections.abc import Iterable, Sequence
from hashlib import sha256

EMPTY_ROOT = sha256(b"").digest()
_LEAF = b"\x00"
_NODE = b"\x01"


def leaf_hash(data: bytes) -> bytes:
    """Hash one leaf's data.

    Args:
        data: the leaf as it was logged.
    """
    return sha256(_LEAF + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees into their parent."""
    return sha256(_NODE + left + right).digest()


class Tree:
    """A tree that only grows, kept as the roots of its complete subtrees: O(log n) memory.

    Args:
        size: how many leaves `peaks` stands for.
        peaks: the roots of the complete subtrees, the largest first, one for each 1 bit of `size`.

    Raises:
        ValueError: the number of peaks does not fit the size.
    """

    __slots__ = ("peaks", "size")

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.size = size
        self.peaks = list(peaks)
        if size < 0 or len(self.peaks) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} peaks, not {len(self.peaks)}")

    def append(self, leaf: bytes) -> None:
        """Add one leaf at the end.

        Args:
            leaf: its hash, as `leaf_hash` gives it.
        """
        peaks = self.peaks
        size = self.size
        self.size = size + 1
        while size & 1:
            leaf = sha256(_NODE + peaks.pop() + leaf).digest()
            size >>= 1
        peaks.append(leaf)

    def root(self) -> bytes:
        """Give the Merkle tree head over all leaves so far."""
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in self.peaks[-2::-1]:
            root = node_hash(peak, root)
        return root

    def copy(self) -> "Tree":
        """Give a tree that grows on its own from here."""
        return Tree(self.size, self.peaks)


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Give the Merkle tree head over leaf hashes."""
    tree = Tree()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Give the audit path of one leaf (RFC 6962, 2.1.1), the lowest sibling first.

    Args:
        leaves: every leaf hash of the tree.
        index: the leaf's place, counted from 0.

    Raises:
        ValueError: there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise ValueError(f"no leaf {index} in a tree of {len(leaves)}")
    proof: list[bytes] = []
    while len(leaves) > 1:
        split = _split(len(leaves))
        if index < split:
            proof.append(root_of(leaves[split:]))
            leaves = leaves[:split]
        else:
            proof.append(root_of(leaves[:split]))
            leaves = leaves[split:]
            index -= split
    return proof[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Say whether a proof shows a leaf at a place in a tree.

    Args:
        leaf: the leaf's hash.
        index: its place, counted from 0.
        size: how many leaves the tree has.
        proof: the audit path, the lowest sibling first.
        root: the tree's head.
    """
    if not 0 <= index < size:
        return False
    place, last = index, size - 1
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            leaf = node_hash(sibling, leaf)
            while place and not place & 1:
                place >>= 1
                last >>= 1
        else:
            leaf = node_hash(leaf, sibling)
        place >>= 1
        last >>= 1
    return last == 0 and leaf == root


def consistency_proof(leaves: Sequence[bytes], first: int) -> list[bytes]:
    """Give the proof that the tree's first leaves are a tree of their own (RFC 6962, 2.1.2).

    Args:
        leaves: every leaf hash of the later tree.
        first: how many leaves the earlier tree had.

    Raises:
        ValueError: the earlier tree is empty or larger than the later one.
    """
    return [root_of(leaves[begin:end]) for begin, end in consistency_ranges(first, len(leaves))]


def consistency_ranges(first: int, second: int) -> list[tuple[int, int]]:
    """Say which ranges of leaves the nodes of a consistency proof are the heads of.

    Args:
        first: leaves of the earlier tree.
        second: leaves of the later tree.

    Raises:
        ValueError: the earlier tree is empty or larger than the later one.
    """
    if not 0 < first <= second:
        raise ValueError(f"no proof from {first} to {second} leaves")
    ranges: list[tuple[int, int]] = []
    begin, end = 0, second
    while first != end:
        split = begin + _split(end - begin)
        if first <= split:
            ranges.append((split, end))
            end = split
        else:
            ranges.append((begin, split))
            begin = split
    if begin:
        ranges.append((begin, end))
    return ranges[::-1]


def verify_consistency(first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]) -> bool:
    """Say whether a proof shows that a later tree begins with an earlier one (RFC 9162, 2.1.4.2).

    Args:
        first: leaves of the earlier tree.
        second: leaves of the later tree.
        first_root: the earlier tree's head.
        second_root: the later tree's head.
        proof: the nodes between them.
    """
    if not 0 < first <= second:
        return False
    if first == second:
        return not proof and first_root == second_root
    path = list(proof)
    if first.bit_count() == 1:
        path.insert(0, first_root)
    if not path:
        return False
    place, last = first - 1, second - 1
    while place & 1:
        place >>= 1
        last >>= 1
    old = new = path[0]
    for node in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            old = node_hash(node, old)
            new = node_hash(node, new)
            while place and not place & 1:
                place >>= 1
                last >>= 1
        else:
            new = node_hash(new, node)
        place >>= 1
        last >>= 1
    return last == 0 and old == first_root and new == second_root


def _split(size: int) -> int:
    """Give the largest power of two below a size of two or more."""
    return 1 << ((size - 1).bit_length() - 1)
