"""Bundles: what is submitted, what became of it, and what others tip."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog
from solward.jito.v1 import jito_pb2 as pb

from common.clock import now_ms
from common.names import host_id
from controlplane.mev import figures
from controlplane.mev.bus import BundleBus
from controlplane.mev.chain import Chain
from controlplane.mev.submit import Submitter
from controlplane.mev.tip_feed import TipFeed
from controlplane.mev.tips import SHARES, Floor
from controlplane.mev.tracker import Tracker
from controlplane.mev.watch import Watch
from controlplane.rooms.operations import Operations
from controlplane.rooms.records import Records
from controlplane.rooms.watching import Watching
from controlplane.settings import Settings
from controlplane.telemetry.kept_scores import FLEET

log = structlog.get_logger(__name__)

BUDGET_SECONDS = 5.0


class Mev:
    """The tracker and what it needs."""

    def __init__(self, settings: Settings, records: Records, operations: Operations, watching: Watching) -> None:
        self.bundles = records.bundles
        self.bus = BundleBus()
        self.chain = Chain(operations.outside)
        self.tracker = Tracker(records.bundles, self.chain, operations.dispatch, self.bus, self._ended)
        self.submitter = Submitter(settings.jito.cluster, records.bundles, self.chain, self.tracker)
        self.tips = TipFeed(settings.jito.tip_floor_url, settings.jito.tip_floor_seconds, self._keep)
        self._watch, self._watching = Watch(), watching
        self._ends: asyncio.Queue[pb.Bundle] = asyncio.Queue()
        watching.findings.bundles = self.tracker.take

    def work(self) -> list[Coroutine[Any, Any, None]]:
        """Give what goes on in the background."""
        return [self.tracker.run(), self.tips.run(), self._judge(), self._show_budget()]

    def _keep(self, floor: Floor) -> None:
        parts = {f"p{share * 100:.0f}": tip for share, tip in zip(SHARES, floor.tips, strict=True)}
        rows = [
            (FLEET, ("jito_tip_floor_lamports", (("percentile", name),)), float(tip)) for name, tip in parts.items()
        ]
        self._watching.ingest.record(now_ms(), rows)

    def _ended(self, bundle: pb.Bundle) -> None:
        self._ends.put_nowait(bundle)

    async def _judge(self) -> None:
        while True:
            bundle = await self._ends.get()
            try:
                if found := self._watch.take(bundle, now_ms()):
                    await self._watching.alerts.take(host_id(bundle.host), found)
            except Exception:
                log.exception("a bundle's end could not be judged", bundle=bundle.name)

    async def _show_budget(self) -> None:
        while True:
            try:
                budget = await self.bundles.budget()
                for part, lamports in (
                    ("daily", budget.daily_lamports), ("spent", budget.spent_lamports),
                    ("reserved", budget.reserved_lamports),
                ):  # fmt: skip
                    figures.BUDGET.labels(part).set(lamports)
            except Exception:
                log.exception("the budget for tips could not be read; trying again")
            await asyncio.sleep(BUDGET_SECONDS)
