"""The Prometheus page, in the format that a scraper asks for.

Formats: Prometheus' text 0.0.4 (docs/instrumenting/exposition_formats.md) and OpenMetrics 1.0.0; this has exemplars.
"""

import asyncio
from collections.abc import Iterator

import cramjam
from aiohttp import web
from prometheus_client import CollectorRegistry, disable_created_metrics
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics_exposition

from controlplane.telemetry.fleet_page import unit_of, write
from controlplane.telemetry.prometheus import PageSource, Whole

OPENMETRICS = "application/openmetrics-text"
_END = b"# EOF\n"
# A page is much the same on each line: the first level makes a twentieth of it, in a tenth of the time of writing it.
_GZIP_LEVEL = 1


def metrics_app(source: PageSource) -> web.Application:
    """Build the application that serves GET /metrics."""
    # When a counter began is a series of its own to Prometheus, which nobody asks for.
    disable_created_metrics()  # type: ignore[no-untyped-call]

    async def page(request: web.Request) -> web.Response:
        asked = wants_openmetrics(request.headers.getall("Accept", []))
        packed = wants_gzip(request.headers.getall("Accept-Encoding", []))
        # What the loop writes is read on the loop; the writing of a page is not done there.
        body = await asyncio.to_thread(render, await source.read(), asked, packed)
        kind = openmetrics_exposition.CONTENT_TYPE_LATEST if asked else CONTENT_TYPE_LATEST
        headers = {"Content-Type": kind, "Vary": "Accept, Accept-Encoding"}
        return web.Response(body=body, headers=headers | ({"Content-Encoding": "gzip"} if packed else {}))

    app = web.Application()
    app.router.add_get("/metrics", page)
    return app


def render(whole: Whole, openmetrics: bool, packed: bool) -> bytes:
    """Write a page; in a thread."""
    families = whole.all_families()
    if openmetrics:
        for family in families:
            family.unit = family.unit or unit_of(family.name)
        rest = openmetrics_exposition.generate_latest(_Fixed(families))  # type: ignore[no-untyped-call]
    else:
        rest = generate_latest(_Fixed(families))
    # The rest ends as the format wants it.
    body: bytes = write(whole.seen, openmetrics) + rest
    return bytes(cramjam.gzip.compress(body, level=_GZIP_LEVEL)) if packed else body


def wants_openmetrics(accept: list[str]) -> bool:
    """Whether OpenMetrics 1.0.0 is named, and not less liked than text (RFC 9110, 12.5.1)."""
    best = {OPENMETRICS: 0.0, "text/plain": 0.0}
    for kind, parameters, quality in _choices(accept):
        if kind in best and not (kind == OPENMETRICS and parameters.get("version", "1.0.0") not in ("1.0.0", "0.0.1")):
            best[kind] = max(best[kind], quality)
    return best[OPENMETRICS] > 0 and best[OPENMETRICS] >= best["text/plain"]


def wants_gzip(accept_encoding: list[str]) -> bool:
    """Whether gzip may be sent."""
    return any(kind == "gzip" and quality > 0 for kind, _, quality in _choices(accept_encoding))


def _choices(headers: list[str]) -> Iterator[tuple[str, dict[str, str], float]]:
    for choice in ",".join(headers).lower().split(","):
        kind, *rest = (part.strip() for part in choice.split(";"))
        parameters = {name.strip(): value.strip(' "') for name, _, value in (part.partition("=") for part in rest)}
        try:
            quality = float(parameters.pop("q", "1"))
        except ValueError:
            continue
        yield kind, parameters, quality


class _Fixed(CollectorRegistry):
    """A registry of metrics that were collected already."""

    def __init__(self, families: list[Metric]) -> None:
        super().__init__(auto_describe=False)
        self._families = families

    def collect(self) -> Iterator[Metric]:
        return iter(self._families)
