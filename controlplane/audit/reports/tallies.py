"""Tallies: what the entries of a period add up to, in bounded memory whatever they hold."""

from collections.abc import Sequence

from controlplane.audit.reports.content import Section, shown

MOST_ROWS = 500
MOST_KEYS = 2000


class Counted:
    """Counts by key, with the first and last time of each.

    Args:
        counters: how many figures each key has.
    """

    def __init__(self, counters: int) -> None:
        self._counters = counters
        self._rows: dict[tuple[str, ...], list[int]] = {}
        self._times: dict[tuple[str, ...], list[str]] = {}
        self.left_out = 0

    def add(self, key: tuple[str, ...], counter: int, time: str) -> None:
        """Count one.

        Args:
            key: what it counts under; beyond `MOST_KEYS` new ones are only counted as left out.
            counter: which figure of the key.
            time: when, RFC 3339.
        """
        if key not in self._rows:
            if len(self._rows) >= MOST_KEYS:
                self.left_out += 1
                return
            self._rows[key], self._times[key] = [0] * self._counters, [time, time]
        self._rows[key][counter] += 1
        self._times[key][1] = time

    def total(self, counter: int) -> int:
        """Give the sum of one figure."""
        return sum(row[counter] for row in self._rows.values())

    def section(self, key: str, title: str, about: str, columns: Sequence[str], *, times: bool = True) -> Section:
        """Give the table, the greatest first figure on top."""
        order = sorted(self._rows, key=lambda one: (-sum(self._rows[one]), one))
        rows = [
            [*map(shown, one), *map(str, self._rows[one]), *(map(minute, self._times[one]) if times else ())]
            for one in order[:MOST_ROWS]
        ]
        heads = (*columns, "First", "Last") if times else tuple(columns)
        return Section(key, title, about, heads, rows, self.left_out + len(order) - len(rows))


class Listed:
    """Keeps the first rows, and counts the rest."""

    def __init__(self) -> None:
        self._rows: list[list[str]] = []
        self.count = 0

    def add(self, *cells: object) -> None:
        """Add a row; the first cell is a time, RFC 3339."""
        self.count += 1
        if len(self._rows) < MOST_ROWS:
            time, *others = cells
            self._rows.append([minute(str(time)), *map(shown, others)])

    def section(self, key: str, title: str, about: str, columns: Sequence[str]) -> Section:
        """Give the table, in the order of time."""
        return Section(key, title, about, tuple(columns), self._rows, self.count - len(self._rows))


def minute(time: str) -> str:
    """Show a time of an entry, to the second."""
    return shown(time[:19].replace("T", " "))
