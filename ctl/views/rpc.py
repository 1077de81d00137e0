"""The live view of RPC latency."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text
from solward.rpc.v1 import rpc_pb2 as pb

from ctl.output import safe, when

_BARS = " ▁▂▃▄▅▆▇█"
_HEADINGS = ("HOST", "METHOD", "LAST", "P50", "P95", "P99", "CALLS", "ERRORS")
_GAP = 2
# Bars take this much at the most; below the least they say nothing.
_MOST_BARS, _LEAST_BARS = 30, 10
_UNANSWERED = -1


class _Row(NamedTuple):
    cells: tuple[str, ...]
    failing: bool
    recent: tuple[float, ...]
    why: str


class _Layout(NamedTuple):
    """What fits on a console: the bars shrink first, then WHY goes below its row; a figure is never cut."""

    widths: tuple[int, ...]
    bars: int
    why_beside: bool

    @classmethod
    def of(cls, rows: Sequence[_Row], width: int) -> "_Layout":
        columns = zip(_HEADINGS, *(row.cells for row in rows), strict=True)
        widths = tuple(max(cell_len(text) for text in column) for column in columns)
        left = width - sum(widths) - _GAP * len(widths)
        beside = left - _GAP - max((cell_len(row.why) for row in rows), default=0)
        if beside >= _LEAST_BARS:
            return cls(widths, min(_MOST_BARS, beside), True)
        return cls(widths, min(_MOST_BARS, left) if left >= _LEAST_BARS else 0, False)


class LatencyTable:
    """A report: one row for each host and method, on whatever width there is.

    Args:
        metrics: the report.
        method: only rows of this method; empty for all.
    """

    def __init__(self, metrics: pb.Metrics, method: str = "") -> None:
        self._title = f"Solana RPC latency, last {metrics.window_seconds} s, at {when(metrics.time)} UTC"
        self._rows: list[_Row] = []
        last = ""
        for row in metrics.methods:
            if not method or row.method == method:
                self._rows.append(_row(row, repeats=row.host == last))
                last = row.host

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it."""
        layout = _Layout.of(self._rows, options.max_width)
        bars = f"the bars are the last {layout.bars} seconds, " if layout.bars else ""
        yield Text(self._title, style="bold")
        yield Text(f"milliseconds; {bars}× is an unanswered call", style="dim")
        heading = _line([Text(text) for text in _HEADINGS], layout)
        if layout.bars:
            heading.append(" " * _GAP + f"{layout.bars} SECONDS".ljust(layout.bars))
        if layout.why_beside and any(row.why for row in self._rows):
            heading.append(" " * _GAP + "WHY")
        heading.stylize("bold")
        yield heading
        for row in self._rows:
            yield from _draw(row, layout)


def metrics_table(metrics: pb.Metrics, method: str = "") -> LatencyTable:
    """Draw a report, only rows of one method where it is given."""
    return LatencyTable(metrics, method)


def sparkline(values: Iterable[float]) -> Text:
    """Draw latencies as bars scaled to their own greatest; -1 is an unanswered call, -2 none at all."""
    numbers = list(values)
    top = max((value for value in numbers if value >= 0), default=0.0) or 1.0
    line = Text()
    for value in numbers:
        if value < 0:
            line.append("×" if value == _UNANSWERED else " ", style="red")
        else:
            line.append(_BARS[1 + round(value / top * (len(_BARS) - 2))], style="green")
    return line


def _row(row: pb.MethodMetrics, *, repeats: bool) -> _Row:
    unanswered = bool(row.recent_ms) and row.recent_ms[-1] == _UNANSWERED
    figures = [_milliseconds(value) for value in (row.last_ms, row.p50_ms, row.p95_ms, row.p99_ms)]
    if unanswered:
        figures[0] = "×"
    host = "" if repeats else safe(row.host.removeprefix("hosts/"))
    why = ", ".join(f"{safe(kind)} {count}" for kind, count in sorted(row.errors.items()))
    cells = (host, safe(row.method), *figures, str(row.requests), f"{row.error_rate:.1%}")
    return _Row(cells, row.error_rate > 0, tuple(row.recent_ms), why)


def _draw(row: _Row, layout: _Layout) -> Iterable[Text]:
    styles = ("cyan", "", "red" if row.cells[2] == "×" else "", "", "", "", "", "red" if row.failing else "green")
    line = _line([Text(text, style=style) for text, style in zip(row.cells, styles, strict=True)], layout)
    if layout.bars:
        bars = sparkline(row.recent[-layout.bars :])
        bars.pad_right(layout.bars - cell_len(bars.plain))
        line.append(" " * _GAP).append_text(bars)
    if row.why and layout.why_beside:
        line.append(" " * _GAP + row.why)
    line.rstrip()
    yield line
    if row.why and not layout.why_beside:
        yield Text(" " * (layout.widths[0] + _GAP) + row.why, style="red")


def _line(cells: Sequence[Text], layout: _Layout) -> Text:
    """Set a row in columns: names to the left, figures to the right."""
    line = Text(overflow="fold")
    for index, (text, width) in enumerate(zip(cells, layout.widths, strict=True)):
        space = " " * (width - cell_len(text.plain))
        line.append(" " * _GAP if index else "")
        line.append_text(text + space if index < _HEADINGS.index("LAST") else Text(space) + text)
    return line


def _milliseconds(value: float) -> str:
    if value <= 0:
        return "-"
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"
