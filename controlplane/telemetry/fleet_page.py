"""The fleet's figures as Prometheus reads them (text format 0.0.4, OpenMetrics 1.0.0), written line by line.

A thousand hosts are half a million lines: a general client library takes ten times as long for them, and half of that
on the loop. Here the loop copies arrays, and a thread writes.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from controlplane.telemetry.ingest import SHOWN, TOTALLED, Ingest
from controlplane.telemetry.live import Floats, HostRing, SeriesKey
from controlplane.telemetry.sums import BOUNDS, LATENCY

# A value older than this is not shown.
FRESH_SECONDS = 60
LATENCY_HELP = "Latency of JSON-RPC calls that were answered."
BOUND_NAMES = (*(str(bound) for bound in BOUNDS.tolist()), "+Inf")
# Base units, which end the names of what is measured in them.
UNITS = ("seconds", "bytes", "ratio", "lamports")
_MEASURED = "As the agent of the host measured it."
_COUNTED = "As the agent of the host counted it."
_WHAT = {"solana_rpc_requests": "JSON-RPC calls made.", "solana_rpc_errors": "JSON-RPC calls that failed."}
# What an agent calls its series and labels must not become lines of its own.
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
_PARTS = {"counter": ("_total", "_created"), "gauge": (), "histogram": ("_bucket", "_sum", "_count", "_created")}
_HOLE = "\0"
_HISTOGRAM = "".join(f'{LATENCY}_bucket{{{_HOLE},le="{bound}"}} %d\n' for bound in BOUND_NAMES) + (
    f"{LATENCY}_sum{{{_HOLE}}} %r\n{LATENCY}_count{{{_HOLE}}} %d\n"
)


class Family(NamedTuple):
    """A metric: its name without _total, and its type."""

    name: str
    kind: str

    @property
    def what(self) -> str:
        """Its help."""
        return _WHAT.get(self.name, _COUNTED if self.kind == "counter" else _MEASURED)


class Line(NamedTuple):
    """A series as it is shown; of its labels none is empty, and the host is the first."""

    family: Family
    name: str
    labels: tuple[tuple[str, str], ...]


# What the control plane itself tells under names that an agent may use.
_OURS = (Family(LATENCY, "histogram"), Family("solana_validator_status", "gauge"))


@dataclass(frozen=True, slots=True, eq=False)
class HostLayout:
    """Which of a host's series are shown, and how their lines begin.

    Attributes:
        lines: first the series that only grow (`grown`), then states (`columns`), then sums (`totals`).
        methods: labels of the histograms in `rows`, side by side.
    """

    ring: HostRing
    known: int
    grown: NDArray[np.int64]
    columns: NDArray[np.int64]
    totals: NDArray[np.int64]
    lines: list[Line]
    begins: list[tuple[Family, str]]
    rows: NDArray[np.int64]
    methods: list[tuple[tuple[str, str], ...]]

    def read(self) -> Floats:
        """Copy what the ring's columns show."""
        grown, newest = self.ring.grown(self.grown, FRESH_SECONDS), self.ring.newest(self.columns, FRESH_SECONDS)
        # A counter is never negative, whatever an agent tells.
        return np.concatenate([np.where(grown < 0, np.nan, grown), newest])


@dataclass(frozen=True, slots=True)
class Seen:
    """What one scrape shows, copied.

    Attributes:
        hosts: by name: its layout, and what the columns of its ring show.
        counts: of every histogram, by bucket; `seconds`: their sums.
        sums: of what is totalled.
        native: counts of every histogram by exponential bucket, and since when; None where they are not kept.
    """

    hosts: dict[str, tuple[HostLayout, Floats]]
    counts: NDArray[np.int64]
    seconds: Floats
    sums: Floats
    native: tuple[NDArray[np.uint32], NDArray[np.int64]] | None

    def values(self, host: str) -> Floats:
        """Give a host's values, side by side with its lines; NaN where there is none."""
        layout, read = self.hosts[host]
        return np.concatenate([read, self.sums[layout.totals]])


class FleetPage:
    """Reads the fleet's part of the page.

    Args:
        ingest: where the hosts' feeds are.
    """

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest
        self._layouts: dict[str, HostLayout] = {}
        # Which family has a name: of one name there is one, whatever agents tell.
        self._taken: dict[str, Family] = {}
        for family in _OURS:
            self._take(family)

    def read(self) -> Seen:
        """Copy what is to be shown; on the loop, which writes it."""
        feeds = self._ingest.feeds
        self._layouts = {host: self._layout(host, feed.ring) for host, feed in feeds.items()}
        hosts = {host: (layout, layout.read()) for host, layout in self._layouts.items()}
        histograms = self._ingest.histograms
        native = histograms.native.copies() if histograms.native else None
        return Seen(hosts, *histograms.copies(), self._ingest.totals.copy(), native)

    def _layout(self, host: str, ring: HostRing) -> HostLayout:
        old = self._layouts.get(host)
        keys = list(ring.series)
        if old is not None and old.ring is ring and old.known == len(keys):
            return old
        # What is counted by the second is shown as its sum.
        shown = [(key, column) for key, column in keys if not ring.is_count(column) and key[0] not in TOTALLED]
        grown = [(key, column) for key, column in shown if ring.grows(column)]
        states = [(key, column) for key, column in shown if not ring.grows(column)]
        used: set[Line] = set()
        groups = ((grown, "counter"), (states, "gauge"), (self._totals(host), "counter"))
        parts = [list(self._lines(host, group, kind, used)) for group, kind in groups]
        growing, columns, totals = (np.array([place for _, place in part], dtype=np.int64) for part in parts)
        lines = [line for part in parts for line, _ in part]
        begins = [(line.family, f"{line.name}{{{_text(line.labels)}}} ") for line in lines]
        methods = {_clean(host, (("method", method),)): row for (method,), row in self._histograms(host)}
        rows = np.array(list(methods.values()), dtype=np.int64)
        return HostLayout(ring, len(keys), growing, columns, totals, lines, begins, rows, list(methods))

    def _histograms(self, host: str) -> Iterable[tuple[tuple[str, ...], int]]:
        return self._ingest.histograms.rows.of(host).items()

    def _totals(self, host: str) -> Iterator[tuple[SeriesKey, int]]:
        for (name, *labels), row in self._ingest.totals.rows.of(host).items():
            yield (name, tuple(zip(TOTALLED[name], labels, strict=True)) if name in TOTALLED else _pairs(labels)), row

    def _lines(
        self, host: str, keys: Iterable[tuple[SeriesKey, int]], kind: str, used: set[Line]
    ) -> Iterator[tuple[Line, int]]:
        for key, place in keys:
            if not _is_shown(key):
                continue
            family = Family(key[0].removesuffix("_total"), kind) if kind == "counter" else Family(key[0], kind)
            name = f"{family.name}_total" if kind == "counter" else family.name
            line = Line(family, name, _clean(host, key[1]))
            if line not in used and family not in _OURS and self._take(family):
                used.add(line)
                yield line, place

    def _take(self, family: Family) -> bool:
        names = (family.name, *(family.name + part for part in _PARTS[family.kind]))
        if any(self._taken.get(name, family) != family for name in names):
            return False
        self._taken.update(dict.fromkeys(names, family))
        return True


def write(seen: Seen, openmetrics: bool = False) -> bytes:
    """Write the lines, without OpenMetrics' end; in a thread."""
    families: dict[Family, list[str]] = defaultdict(list)
    for host, (layout, _) in seen.hosts.items():
        for (family, begin), value in zip(layout.begins, seen.values(host).tolist(), strict=True):
            if value == value:
                families[family].append(f"{begin}{value!r}")
    parts = [head(Family(LATENCY, "histogram"), LATENCY_HELP, openmetrics), *_histograms(seen)]
    for family, lines in families.items():
        parts += [head(family, family.what, openmetrics), "\n".join(lines), "\n"]
    return "".join(parts).encode()


def head(family: Family, what: str, openmetrics: bool) -> str:
    """Write what stands before a family's lines; OpenMetrics names a counter without _total."""
    full = f"{family.name}_total" if family.kind == "counter" and not openmetrics else family.name
    unit = unit_of(family.name) if openmetrics else ""
    return f"# HELP {full} {what}\n# TYPE {full} {family.kind}\n" + (f"# UNIT {full} {unit}\n" if unit else "")


def unit_of(name: str) -> str:
    """Give the base unit that a family's name ends in; empty for none."""
    return next((unit for unit in UNITS if name.endswith(f"_{unit}")), "")


def _histograms(seen: Seen) -> Iterator[str]:
    """Write one histogram for each host and method: a text with holes for its numbers, filled at once."""
    cumulative = np.cumsum(seen.counts, axis=1)
    for layout, _ in seen.hosts.values():
        rows, seconds = cumulative[layout.rows].tolist(), seen.seconds[layout.rows].tolist()
        for labels, counts, total in zip(layout.methods, rows, seconds, strict=True):
            if counts[-1]:
                text = _text(labels).replace("%", "%%")
                yield _HISTOGRAM.replace(_HOLE, text) % (*counts, total, counts[-1])


def _is_shown(key: SeriesKey) -> bool:
    name, labels = key
    known = name.startswith(SHOWN) or name in TOTALLED
    # A host's name is ours to say.
    return known and bool(_NAME.fullmatch(name)) and all(_LABEL.fullmatch(one) and one != "host" for one, _ in labels)


def _pairs(flat: list[str]) -> tuple[tuple[str, str], ...]:
    return tuple(zip(flat[::2], flat[1::2], strict=True))


def _clean(host: str, labels: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Leave out labels that are empty, which is as good as none."""
    kept = ((name, value.replace(_HOLE, "")) for name, value in labels)
    return (("host", host), *((name, value) for name, value in kept if value))


def _text(labels: Iterable[tuple[str, str]]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
