"""Dashboards as a browser would use them: their variables filled in, and each query put to a Prometheus."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

RATE_INTERVAL = "15s"


class Asked(NamedTuple):
    """One query of a panel: its expression, with all hosts and methods chosen, and the legend of its series."""

    expr: str
    legend: str


class Panel(NamedTuple):
    """One panel, or the heading of a row."""

    title: str
    kind: str
    unit: str
    grid: dict[str, int]
    queries: tuple[Asked, ...]


def panels(board: Path) -> Iterator[Panel]:
    """Give every panel of a dashboard."""
    for panel in json.loads(board.read_text())["panels"]:
        if panel["type"] == "row":
            yield Panel(panel["title"], "row", "", panel["gridPos"], ())
            continue
        queries = tuple(Asked(_chosen(one["expr"]), one.get("legendFormat", "")) for one in panel["targets"])
        yield Panel(panel["title"], panel["type"], panel["fieldConfig"]["defaults"]["unit"], panel["gridPos"], queries)


def _chosen(expr: str) -> str:
    return expr.replace("$__rate_interval", RATE_INTERVAL).replace("$host", ".*").replace("$method", ".*")


def filled(legend: str, labels: dict[str, str]) -> str:
    """Name a series as its legend does, or by its labels where there is none."""
    if not legend:
        return ", ".join(value for name, value in sorted(labels.items()) if name not in ("__name__", "instance", "job"))
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), legend)


async def ask(session: aiohttp.ClientSession, url: str, path: str, **asked: str) -> list[dict[str, Any]]:
    """Put a question to a Prometheus; gives the series of its answer."""
    async with session.post(f"{url}/api/v1/{path}", data=asked) as answer:
        told = await answer.json()
    assert told["status"] == "success", told
    found: list[dict[str, Any]] = told["data"]["result"]
    return found
