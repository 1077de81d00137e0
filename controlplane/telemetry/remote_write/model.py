"""What is written: pages of series and values, in a form that waits cheaply and is encoded for each receiver."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from controlplane.telemetry.remote_write.protobuf import block

# Name and value of each label, one after the other: sorted by name, none empty, none twice.
Labels = tuple[str, ...]
Bits = NDArray[np.uint64]
# The value which says that a series has ended (Prometheus, model/value/value.go).
STALE = np.uint64(0x7FF0000000000002)
# What stands in a page where there is no sample.
ABSENT = np.array([np.nan]).view(np.uint64)[0]


class About(NamedTuple):
    """What is known of a metric: the name of its family, its type, help and unit."""

    family: str
    kind: str
    what: str
    unit: str


class Layout:
    """Series that stand side by side on page after page.

    Attributes:
        labels: of each.
        abouts: which metric each is of.
    """

    def __init__(self, labels: list[Labels], abouts: list[About]) -> None:
        self.labels = labels
        self.abouts = abouts
        self._cut: tuple[int, list[Layout]] | None = None

    def parts(self, most: int) -> "list[Layout]":
        """Cut it into parts of at most so many series; made once for many pages."""
        if self._cut is None or self._cut[0] != most:
            slices = [slice(begin, begin + most) for begin in range(0, len(self.labels), most)]
            self._cut = most, [Layout(self.labels[part], self.abouts[part]) for part in slices]
        return self._cut[1]

    @cached_property
    def encoded(self) -> list[bytes]:
        """The labels of each as Label messages, field 1: made once for many pages."""
        return [encode_labels(labels) for labels in self.labels]

    @cached_property
    def metrics(self) -> list[About]:
        """Every metric once."""
        return list(dict.fromkeys(self.abouts))


def encode_labels(labels: Labels) -> bytes:
    """Encode labels as protocol 1.0 has them."""
    pairs = zip(labels[::2], labels[1::2], strict=True)
    return b"".join(block(1, block(1, name.encode()) + block(2, value.encode())) for name, value in pairs)


@dataclass(frozen=True, slots=True)
class Block:
    """Some series of a page: the bits of each value, ABSENT for none."""

    layout: Layout
    bits: Bits

    @property
    def count(self) -> int:
        """How many samples it holds."""
        return int(np.count_nonzero(self.bits != ABSENT))


class NativeSample(NamedTuple):
    """One native histogram: its message but for the times, and since when (Unix milliseconds) it is counted."""

    labels: Labels
    about: About
    message: bytes
    since_ms: int


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """Everything at one time (Unix milliseconds)."""

    unix_ms: int
    blocks: list[Block]
    natives: list[NativeSample]

    @property
    def count(self) -> int:
        """How many samples and histograms it holds."""
        return sum(one.count for one in self.blocks) + len(self.natives)
