"""Pictures of the Grafana dashboards: their panels, drawn from a Prometheus that scraped the running demo."""

import asyncio
import html
import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import aiohttp
import yaml

from tests.support.dashboards import Panel, ask, filled, panels
from tests.support.monitoring import prometheus

SECONDS = 120
WIDTH, ROW = 1200, 38
_COLOURS = ("#73bf69", "#5794f2", "#f2cc0c", "#ff780a", "#b877d9", "#e02f44", "#8ab8ff", "#37872d")
_TEXT = 'font-family="Inter, Helvetica, sans-serif"'
Series = list[tuple[str, list[tuple[float, float]]]]


class Box(NamedTuple):
    """Where a panel is, in pixels."""

    x: float
    y: float
    width: float
    height: float


async def draw(metrics_port: int, boards: Iterable[Path], target: Path, folder: Path) -> None:
    """Let a Prometheus scrape for two minutes, and draw each dashboard as an SVG.

    Args:
        metrics_port: where the control plane's page is.
        boards: the dashboards.
        target: the folder of the pictures.
        folder: for Prometheus' own files.
    """
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump({
        "global": {"scrape_interval": "1s", "evaluation_interval": "5s"},
        "rule_files": [str(Path("packaging/monitoring/rules.yml").resolve())],
        "scrape_configs": [{"job_name": "solward", "static_configs": [{"targets": [f"127.0.0.1:{metrics_port}"]}]}],
    }))  # fmt: skip
    async with prometheus(folder, config) as url, aiohttp.ClientSession() as session:
        await asyncio.sleep(SECONDS)
        now = time.time()
        target.mkdir(parents=True, exist_ok=True)
        for board in boards:
            parts, height = [], 0.0
            for panel in panels(board):
                box = _place(panel.grid)
                height = max(height, box.y + box.height)
                parts.append(_panel(panel, box, await _series(session, url, panel, now)))
            (target / f"{board.stem}.svg").write_text(_picture(parts, height))


async def _series(session: aiohttp.ClientSession, url: str, panel: Panel, now: float) -> Series:
    found: Series = []
    for query in panel.queries:
        asked = {"query": query.expr, "start": str(now - SECONDS), "end": str(now), "step": "2"}
        for one in await ask(session, url, "query_range", **asked):
            labels = one["metric"]
            points = [(float(at), float(value)) for at, value in one["values"] if math.isfinite(float(value))]
            found.append((filled(query.legend, labels), points))
    return [one for one in found if one[1]]


def _place(grid: dict[str, int]) -> Box:
    unit = WIDTH / 24
    return Box(grid["x"] * unit, grid["y"] * ROW, grid["w"] * unit - 8, grid["h"] * ROW - 8)


def _panel(panel: Panel, box: Box, series: Series) -> str:
    if panel.kind == "row":
        return _words(box.x + 4, box.y + 24, "#ccccdc", 16, panel.title)
    frame = (
        f'<rect x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" rx="3" fill="#181b1f" '
        f'stroke="#2c3235"/>{_words(box.x + 10, box.y + 20, "#ccccdc", 13, panel.title)}'
    )
    draw_kind = {"stat": _figure, "table": _table}.get(panel.kind, _lines)
    return frame + draw_kind(panel, box, series)


def _figure(panel: Panel, box: Box, series: Series) -> str:
    value = _shown(series[0][1][-1][1], panel.unit) if series else "no data"
    x, y = box.x + box.width / 2, box.y + box.height / 2 + 22
    return _words(x, y, "#73bf69", 30, value, anchor="middle")


def _table(panel: Panel, box: Box, series: Series) -> str:
    names = enumerate(name for name, _ in series[:10])
    return "".join(_words(box.x + 12, box.y + 48 + 18 * place, "#ccccdc", 12, name) for place, name in names)


def _lines(panel: Panel, box: Box, series: Series) -> str:
    if not series:
        return ""
    plot = Box(box.x + 58, box.y + 34, box.width - 70, box.height - 104)
    values = [value for _, points in series for _, value in points]
    low, high = min(0.0, *values), max(values) or 1.0
    times = [at for _, points in series for at, _ in points]
    first, last = min(times), max(max(times), min(times) + 1)
    parts = []
    for share in (0.0, 0.5, 1.0):
        y = plot.y + plot.height * (1 - share)
        parts.append(f'<line x1="{plot.x}" x2="{plot.x + plot.width}" y1="{y}" y2="{y}" stroke="#2c3235"/>')
        value = _shown(low + (high - low) * share, panel.unit)
        parts.append(_words(plot.x - 6, y + 4, "#8e8e9a", 10, value, anchor="end"))
    for place, (name, points) in enumerate(series[:8]):
        colour = _COLOURS[place % len(_COLOURS)]
        path = " ".join(
            f"{plot.x + plot.width * (at - first) / (last - first):.1f},"
            f"{plot.y + plot.height * (1 - (value - low) / (high - low or 1)):.1f}"
            for at, value in points
        )
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.3" points="{path}"/>')
        x, y = box.x + 12 + (place % 2) * (box.width / 2), box.y + box.height - 44 + 14 * (place // 2 % 4)
        parts.append(_words(x, y - 6, colour, 10, name[:52]))
    return "".join(parts)


def _shown(value: float, unit: str) -> str:
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "s":
        return (
            f"{value * 1000:.3g} ms"
            if abs(value) < 1
            else f"{value / 3600:.3g} h"
            if value > 7200
            else f"{value:.3g} s"
        )
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1e3 if letter == 'k' else limit):,.4g} {letter}{'B' if unit in ('bytes', 'Bps') else ''}"
    return f"{value:.3g}"


def _words(x: float, y: float, colour: str, size: int, text: str, anchor: str = "start") -> str:
    said = html.escape(text)
    return f'<text x="{x}" y="{y}" fill="{colour}" font-size="{size}" text-anchor="{anchor}" {_TEXT}>{said}</text>'


def _picture(parts: list[str], height: float) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height + 8:.0f}" width="{WIDTH}">'
        f'<rect width="100%" height="100%" fill="#111217"/>{"".join(parts)}</svg>\n'
    )
