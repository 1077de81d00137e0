"""Makes pages of what is shown, and marks the end of every series that is no longer there."""

from collections.abc import Iterable, Iterator

import numpy as np
from prometheus_client.core import Metric

from controlplane.telemetry.fleet_page import BOUND_NAMES, LATENCY_HELP, HostLayout, Seen, unit_of
from controlplane.telemetry.live import Floats
from controlplane.telemetry.prometheus import Whole
from controlplane.telemetry.remote_write import native
from controlplane.telemetry.remote_write.model import (
    ABSENT,
    STALE,
    About,
    Bits,
    Block,
    Labels,
    Layout,
    NativeSample,
    Page,
)
from controlplane.telemetry.sums import LATENCY

_ABOUT_LATENCY = About(LATENCY, "histogram", LATENCY_HELP, "seconds")
# What is no host's.
_OWN = ""


class Pages:
    """Turns what was read into pages; in a thread, one after the other.

    Args:
        external: labels that every series gets unless it has them.
    """

    def __init__(self, external: dict[str, str]) -> None:
        self._external = external
        # A label's text is kept once, however many series have it.
        self._texts: dict[str, str] = {}
        # By host: what its series are made of, they, and the labels of its native histograms.
        self._layouts: dict[str, tuple[HostLayout, Layout, list[Labels]]] = {}
        self._shown: dict[str, Block] = {}
        self._natives: dict[Labels, tuple[int, About]] = {}

    def page(self, whole: Whole, unix_ms: int) -> Page:
        """Make the page of a time (Unix milliseconds)."""
        self._texts = {}
        seen = whole.seen
        cumulative = np.cumsum(seen.counts, axis=1).astype(np.float64)
        blocks = {host: self._host(seen, host, cumulative) for host in seen.hosts}
        self._layouts = {host: one for host, one in self._layouts.items() if host in seen.hosts}
        blocks[_OWN] = self._own(whole.all_families())
        natives = list(self._native(seen))
        gone = list(self._gone(blocks))
        there = {one.labels for one in natives}
        gone += [(labels, about) for labels, (_, about) in self._natives.items() if labels not in there]
        marked = [self._marked(name, one) for name, one in blocks.items()]
        if gone:
            ended = Layout([labels for labels, _ in gone], [about for _, about in gone])
            marked.append(Block(ended, np.full(len(gone), STALE)))
        self._shown = blocks
        self._natives = {one.labels: (one.since_ms, one.about) for one in natives}
        return Page(unix_ms, marked, natives)

    def _host(self, seen: Seen, host: str, cumulative: Floats) -> Block:
        shown, _ = seen.hosts[host]
        old = self._layouts.get(host)
        if old is None or old[0] is not shown:
            natives = [self._labels(LATENCY, method) for method in shown.methods] if seen.native else []
            old = self._layouts[host] = shown, self._layout(shown), natives
        rows = cumulative[shown.rows]
        histograms = np.hstack([rows, seen.seconds[shown.rows, None], rows[:, -1:]])
        histograms[rows[:, -1] == 0] = np.nan
        return Block(old[1], _bits(np.concatenate([seen.values(host), histograms.ravel()])))

    def _layout(self, shown: HostLayout) -> Layout:
        labels, abouts = [], []
        known: dict[str, About] = {}
        for line in shown.lines:
            family = line.family
            labels.append(self._labels(line.name, line.labels))
            about = About(family.name, family.kind, family.what, unit_of(family.name))
            abouts.append(known.setdefault(family.name, about))
        for method in shown.methods:
            labels += [self._labels(f"{LATENCY}_bucket", (*method, ("le", bound))) for bound in BOUND_NAMES]
            labels += [self._labels(f"{LATENCY}_{part}", method) for part in ("sum", "count")]
            abouts += [_ABOUT_LATENCY] * (len(BOUND_NAMES) + 2)
        return Layout(labels, abouts)

    def _own(self, families: Iterable[Metric]) -> Block:
        found: dict[Labels, tuple[About, float]] = {}
        for family in families:
            about = About(family.name, family.type, family.documentation, family.unit or unit_of(family.name))
            for sample in family.samples:
                found.setdefault(self._labels(sample.name, sample.labels.items()), (about, sample.value))
        before = self._shown.get(_OWN)
        labels = list(found)
        if before is not None and before.layout.labels == labels:
            layout = before.layout
        else:
            layout = Layout(labels, [about for about, _ in found.values()])
        return Block(layout, _bits(np.array([value for _, value in found.values()], dtype=np.float64)))

    def _native(self, seen: Seen) -> Iterator[NativeSample]:
        if seen.native is None:
            return
        counts, since_ms = seen.native
        for shown, _, natives in self._layouts.values():
            for labels, row in zip(natives, shown.rows.tolist(), strict=True):
                if seen.counts[row].any():
                    since = int(since_ms[row])
                    begins = self._natives.get(labels, (0, None))[0] != since
                    message = native.encode(counts[row], float(seen.seconds[row]), begins)
                    yield NativeSample(labels, _ABOUT_LATENCY, message, since)

    def _gone(self, blocks: dict[str, Block]) -> Iterator[tuple[Labels, About]]:
        """Give the series that were shown in places that were since made anew, and are no longer."""
        for name, before in self._shown.items():
            now = blocks.get(name)
            if now is not None and now.layout is before.layout:
                continue
            there = set(_present(now)) if now else set()
            for place, labels in zip(np.flatnonzero(before.bits != ABSENT).tolist(), _present(before), strict=True):
                if labels not in there:
                    yield labels, before.layout.abouts[place]

    def _marked(self, name: str, now: Block) -> Block:
        before = self._shown.get(name)
        if before is None or before.layout is not now.layout:
            return now
        ended = (now.bits == ABSENT) & (before.bits != ABSENT)
        return Block(now.layout, np.where(ended, STALE, now.bits)) if ended.any() else now

    def _labels(self, name: str, labels: Iterable[tuple[str, str]]) -> Labels:
        whole = self._external | {one: value for one, value in labels if value} | {"__name__": name}
        kept = self._texts.setdefault
        return tuple(kept(text, text) for pair in sorted(whole.items()) if pair[1] for text in pair)


def _bits(values: Floats) -> Bits:
    """Give the bits of values; of all that is no number there is one kind."""
    bits = np.ascontiguousarray(values).view(np.uint64)
    return np.where(np.isnan(values), ABSENT, bits)


def _present(block: Block) -> list[Labels]:
    labels = block.layout.labels
    return [labels[place] for place in np.flatnonzero(block.bits != ABSENT).tolist()]
