"""The book of series: who has which id, bounded in all and for each host."""

import threading
from collections import Counter
from collections.abc import Iterable

import numpy as np
import structlog
from numpy.typing import NDArray

from controlplane.telemetry.store.counts import REFUSED_SERIES, SERIES
from controlplane.telemetry.store.model import NAME, SeriesKey

MAX_LABELS = 29
MAX_VALUE = 512
log = structlog.get_logger(__name__)


class SeriesBook:
    """Gives each series an id; safe to use from several threads.

    Args:
        most: how many series there may be.
        most_of_host: how many of one host.
    """

    def __init__(self, most: int = 200_000, most_of_host: int = 4096) -> None:
        self._most = most
        self._most_of_host = most_of_host
        self._lock = threading.Lock()
        self._ids: dict[SeriesKey, int] = {}
        self._keys: dict[int, SeriesKey] = {}
        self._named: dict[str, set[int]] = {}
        self._of_host: Counter[str] = Counter()
        self._alive = np.zeros(1024, dtype=np.bool_)
        self._next = 0
        self._said: set[str] = set()

    def __len__(self) -> int:
        return len(self._ids)

    def intern(self, host: str, name: str, labels: dict[str, str]) -> int | None:
        """Give a series' id, a new one where it has none.

        Args:
            host: whose it is; becomes the label `host`.
            name: the metric's.
            labels: the others; empty ones say nothing and are left out.

        Returns: the id, or None (counted, and said once) where it is malformed or there are too many.
        """
        key = SeriesKey(name, tuple(sorted({**{k: v for k, v in labels.items() if v}, "host": host}.items())))
        with self._lock:
            found = self._ids.get(key)
            if found is not None:
                return found
            reason = self._refusal(host, key)
            if reason is None:
                self._add(self._next, key)
                return self._next - 1
        REFUSED_SERIES.labels(reason).inc()
        self._say(reason, host, name)
        return None

    def load(self, rows: Iterable[tuple[int, SeriesKey]]) -> None:
        """Take what was stored."""
        with self._lock:
            for number, key in rows:
                self._add(number, key)

    def key(self, number: int) -> SeriesKey:
        """Give the series of an id."""
        return self._keys[number]

    def named(self, name: str) -> list[tuple[int, SeriesKey]]:
        """Give every series of a name."""
        with self._lock:
            return [(number, self._keys[number]) for number in sorted(self._named.get(name, ()))]

    def known(self, numbers: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Tell which ids stand for a series."""
        inside = (numbers >= 0) & (numbers < len(self._alive))
        found: NDArray[np.bool_] = inside & self._alive[np.where(inside, numbers, 0)]
        return found

    def forget(self, numbers: Iterable[int]) -> None:
        """Let series go of which nothing is stored any more; their ids are not given again."""
        with self._lock:
            for number in numbers:
                key = self._keys.pop(number)
                del self._ids[key]
                self._named[key.name].discard(number)
                if not self._named[key.name]:
                    del self._named[key.name]
                self._of_host[dict(key.labels)["host"]] -= 1
                self._alive[number] = False
            self._of_host += Counter()
            self._said.clear()
            SERIES.set(len(self._ids))

    def _refusal(self, host: str, key: SeriesKey) -> str | None:
        if not NAME.fullmatch(key.name) or len(key.labels) > MAX_LABELS:
            return "malformed"
        if any(not NAME.fullmatch(label) or not 0 < len(value) <= MAX_VALUE for label, value in key.labels):
            return "malformed"
        if self._of_host[host] >= self._most_of_host:
            return "too_many_of_host"
        return "too_many" if len(self._ids) >= self._most else None

    def _add(self, number: int, key: SeriesKey) -> None:
        self._ids[key] = number
        self._keys[number] = key
        self._named.setdefault(key.name, set()).add(number)
        self._of_host[dict(key.labels)["host"]] += 1
        self._next = max(self._next, number + 1)
        if number >= len(self._alive):
            self._alive = np.concatenate([self._alive, np.zeros(max(number, len(self._alive)), dtype=np.bool_)])
        self._alive[number] = True
        SERIES.set(len(self._ids))

    def _say(self, reason: str, host: str, name: str) -> None:
        about = reason if reason == "too_many" else f"{reason} {host}"
        if about not in self._said and len(self._said) < self._most:
            self._said.add(about)
            log.warning("series_not_stored", why=reason, host=host, series=name[:128], stored=len(self._ids))
