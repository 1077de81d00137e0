"""Health scores are stored every half minute, like any sample, so that they can be asked for over months."""

import asyncio
import math
from collections.abc import Iterator

from common.clock import now_ms
from controlplane.telemetry.analysis import Analysis
from controlplane.telemetry.ingest import OWN, Ingest
from controlplane.telemetry.live import SeriesKey

PERIOD_MS = 30_000
# The host of what is about all of them; no host is called so.
FLEET = "-"
_METHOD, _HOST, _FLEET = OWN


async def keep_scores(analysis: Analysis, ingest: Ingest) -> None:
    """Store every score at each whole half minute until cancelled."""
    while True:
        await asyncio.sleep((PERIOD_MS - now_ms() % PERIOD_MS) / 1000)
        ingest.record(now_ms(), scores(analysis))


def scores(analysis: Analysis) -> Iterator[tuple[str, SeriesKey, float]]:
    """Give every score that is known: of each method, of each host and of the fleet."""
    for host, found in analysis.scores.items():
        for method, one in found.methods.items():
            if not math.isnan(one.score):
                yield host, (_METHOD, (("method", method),)), one.score
        if not math.isnan(found.whole.mean):
            yield host, (_HOST, ()), found.whole.mean
    fleet = analysis.fleet().mean
    if not math.isnan(fleet):
        yield FLEET, (_FLEET, ()), fleet
