"""Dashboards as a browser would use them: their variables filled in, and each query put to a Prometheus."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

RATE_INTERVAL = "15s"


class Asked(NamedTuple):
    """One query of one panel."""

    panel: str
    kind: str
    unit: str
    expr: str
    legend: str


def queries(board: Path) -> Iterator[Asked]:
    """Give every query of a dashboard, with all hosts and methods chosen."""
    for panel in _panels(json.loads(board.read_text())["panels"]):
        for target in panel["targets"]:
            expr = target["expr"].replace("$__rate_interval", RATE_INTERVAL)
            for name in ("$host", "$method"):
                expr = expr.replace(name, ".*")
            unit = panel["fieldConfig"]["defaults"]["unit"]
            yield Asked(panel["title"], panel["type"], unit, expr, target.get("legendFormat", ""))


def _panels(found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for panel in found:
        if panel["type"] == "row":
            yield from _panels(panel.get("panels", []))
        else:
            yield panel


async def ask(session: aiohttp.ClientSession, url: str, path: str, **asked: str) -> list[dict[str, Any]]:
    """Put a question to a Prometheus; gives the series of its answer."""
    async with session.post(f"{url}/api/v1/{path}", data=asked) as answer:
        told = await answer.json()
    assert told["status"] == "success", told
    found: list[dict[str, Any]] = told["data"]["result"]
    return found
