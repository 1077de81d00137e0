"""The fleet's figures as Prometheus reads them (text format 0.0.4), written line by line.

A thousand hosts are half a million lines: a general client library takes ten times as long for them, and half of that
on the loop. Here the loop copies arrays, and a thread writes.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlplane.telemetry.ingest import SHOWN, TOTALLED, Ingest
from controlplane.telemetry.live import Floats, HostRing, SeriesKey
from controlplane.telemetry.sums import BOUNDS, LATENCY, Rows

# A value older than this is not shown.
FRESH_SECONDS = 60
_MEASURED = "As the agent of the host measured it."
_COUNTED = "As the agent of the host counted it."
_WHAT = {"solana_rpc_requests": "JSON-RPC calls made.", "solana_rpc_errors": "JSON-RPC calls that failed."}
# What an agent calls its series and labels must not become lines of its own.
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
# A metric's name without _total, and its type.
Family = tuple[str, str]
_LABELS = "\0"
_BOUND_NAMES = [*(str(bound) for bound in BOUNDS.tolist()), "+Inf"]
_HISTOGRAM = "".join(f'{LATENCY}_bucket{{{_LABELS},le="{bound}"}} %d\n' for bound in _BOUND_NAMES) + (
    f"{LATENCY}_sum{{{_LABELS}}} %r\n{LATENCY}_count{{{_LABELS}}} %d\n"
)


@dataclass(slots=True)
class _HostSeries:
    """Which columns of one host are shown, those of series that only grow first, and how their lines begin."""

    ring: HostRing
    known: int
    grown: NDArray[np.int64]
    columns: NDArray[np.int64]
    begins: list[tuple[Family, str]]

    def read(self) -> Floats:
        """Copy what each column shows, side by side with `begins`."""
        grown, newest = self.ring.grown(self.grown, FRESH_SECONDS), self.ring.newest(self.columns, FRESH_SECONDS)
        return np.concatenate([grown, newest])


@dataclass(frozen=True, slots=True)
class Seen:
    """What one scrape shows, copied."""

    series: list[tuple[list[tuple[Family, str]], Floats]]
    histograms: Rows
    counts: NDArray[np.int64]
    seconds: Floats
    totals: Rows
    sums: Floats


class FleetPage:
    """Writes the fleet's part of the page.

    Args:
        ingest: where the hosts' feeds are.
    """

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest
        self._hosts: dict[str, _HostSeries] = {}

    def read(self) -> Seen:
        """Copy what is to be shown; on the loop, which writes it."""
        feeds = self._ingest.feeds
        self._hosts = {host: self._series(host, feed.ring) for host, feed in feeds.items()}
        series = [(host.begins, host.read()) for host in self._hosts.values()]
        histograms, totals = self._ingest.histograms, self._ingest.totals
        return Seen(series, histograms.rows.copy(), *histograms.copies(), totals.rows.copy(), totals.copy())

    def _series(self, host: str, ring: HostRing) -> _HostSeries:
        old = self._hosts.get(host)
        keys = list(ring.series)
        if old is not None and old.ring is ring and old.known == len(keys):
            return old
        shown = [(key, column) for key, column in keys if _is_shown(key) and not ring.is_count(column)]
        shown.sort(key=lambda one: not ring.grows(one[1]))
        begins = [(_family(key[0], ring.grows(column)), _begin(key[0], host, key[1])) for key, column in shown]
        columns = np.array([column for _, column in shown], dtype=np.int64)
        grown = sum(ring.grows(column) for column in columns.tolist())
        return _HostSeries(ring, len(keys), columns[:grown], columns[grown:], begins)


def write(seen: Seen) -> bytes:
    """Write the lines; in a thread."""
    families: dict[Family, list[str]] = defaultdict(list)
    for begins, values in seen.series:
        for (family, begin), value in zip(begins, values.tolist(), strict=True):
            if value == value:
                families[family].append(f"{begin}{value!r}")
    for (host, (name, *labels)), row in seen.totals.items():
        pairs = tuple(zip(TOTALLED[name], labels, strict=True)) if name in TOTALLED else _pairs(labels)
        if _is_shown((name, pairs)):
            counted = f"{name}_total"
            families[name, "counter"].append(f"{_begin(counted, host, pairs)}{float(seen.sums[row])!r}")
    parts = [_histograms(seen)]
    for (name, kind), lines in families.items():
        full = f"{name}_total" if kind == "counter" else name
        what = _WHAT.get(name, _COUNTED if kind == "counter" else _MEASURED)
        parts.append(f"# HELP {full} {what}\n# TYPE {full} {kind}\n" + "\n".join(lines) + "\n")
    return "".join(parts).encode()


def _histograms(seen: Seen) -> str:
    """Write one histogram for each host and method: a text with holes for its numbers, filled at once."""
    lines = [f"# HELP {LATENCY} Latency of JSON-RPC calls that were answered.\n# TYPE {LATENCY} histogram\n"]
    cumulative = np.cumsum(seen.counts, axis=1)
    for (host, (method,)), row in seen.histograms.items():
        counts = cumulative[row].tolist()
        if counts[-1]:
            labels = _labels(host, (("method", method),)).replace("%", "%%")
            lines.append(_HISTOGRAM.replace(_LABELS, labels) % (*counts, float(seen.seconds[row]), counts[-1]))
    return "".join(lines)


def _family(name: str, grows: bool) -> Family:
    return (name.removesuffix("_total"), "counter") if grows else (name, "gauge")


def _is_shown(key: SeriesKey) -> bool:
    name, labels = key
    known = name.startswith(SHOWN) or name in TOTALLED
    return known and all(_NAME.fullmatch(one) for one in (name, *(label for label, _ in labels)))


def _pairs(flat: list[str]) -> tuple[tuple[str, str], ...]:
    return tuple(zip(flat[::2], flat[1::2], strict=True))


def _begin(name: str, host: str, labels: Iterable[tuple[str, str]]) -> str:
    return f"{name}{{{_labels(host, labels)}}} "


def _labels(host: str, labels: Iterable[tuple[str, str]]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in (("host", host), *labels))


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"").replace(_LABELS, "")
