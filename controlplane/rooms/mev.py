"""Bundles: what is submitted, what became of it, and what others tip."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog
from solward.hosts.v1 import link_pb2
from solward.jito.v1 import jito_pb2 as pb

from common.clock import now_ms
from common.names import host_id
from controlplane.links.registry import KnownHost
from controlplane.mev import figures
from controlplane.mev.canaries import Canaries
from controlplane.mev.chain import Chain
from controlplane.mev.choice import Choice
from controlplane.mev.landings import HALF_LIFE_S, Landings
from controlplane.mev.learning import Learning
from controlplane.mev.regions import choices
from controlplane.mev.submit import Submitter
from controlplane.mev.tip_feed import TipFeed
from controlplane.mev.tips import SHARES, Floor
from controlplane.mev.tracker import Tracker
from controlplane.mev.watch import Watch, partial
from controlplane.rooms.operations import Operations
from controlplane.rooms.records import Records
from controlplane.rooms.watching import Watching
from controlplane.settings import Settings
from controlplane.store.bundles import DAY_MS
from controlplane.telemetry.kept_scores import FLEET

log = structlog.get_logger(__name__)

BUDGET_SECONDS = 5.0
PRUNE_SECONDS = 3600.0
# As far back as is counted when a life begins.
RECALL_HALF_LIVES = 4
# As far back as spend can be asked for.
KEPT_DAYS = 366


class Mev:
    """The tracker and what it needs."""

    def __init__(self, settings: Settings, records: Records, operations: Operations, watching: Watching) -> None:
        self.bundles = records.bundles
        self.bus = watching.bundles
        self.chain = Chain(operations.outside)
        self.tracker = Tracker(records.bundles, self.chain, operations.dispatch, self.bus, self._ended, self._count)
        self.tips = TipFeed(
            settings.jito.tip_floor_url, settings.jito.tip_floor_seconds, self._keep, settings.jito.tip_stream_url
        )
        self.learning = Learning(self.tips, records.models)
        self.submitter = Submitter(
            settings.jito.cluster,
            records.bundles,
            self.chain,
            self.tracker,
            self.learning,
            self._found,
            operations.links.is_open,
            lambda uid: _limits(operations.links.get(uid)),
            self._choose,
        )
        self._watch, self._watching = Watch(), watching
        self.landings = Landings()
        self._findings: asyncio.Queue[tuple[str, list[link_pb2.Event]]] = asyncio.Queue()
        watching.ingest.forgetters.append(self._watch.forget)
        watching.findings.bundles = self.tracker.take
        watching.findings.canaries = Canaries(records.bundles, self.tracker).take

    def work(self) -> list[Coroutine[Any, Any, None]]:
        """Give what goes on in the background."""
        return [
            self.learning.run(),
            self.tracker.run(),
            self._recall(),
            self.tips.run(),
            self._tell(),
            self._show_budget(),
            self._prune(),
        ]

    def _keep(self, floor: Floor) -> None:
        parts = {f"p{share * 100:.0f}": tip for share, tip in zip(SHARES, floor.tips, strict=True)}
        rows = [
            (FLEET, ("jito_tip_floor_lamports", (("percentile", name),)), float(tip)) for name, tip in parts.items()
        ]
        self._watching.ingest.record(now_ms(), rows)

    def _choose(self, host: str) -> list[Choice]:
        return choices(self._watching.ingest, host, self.landings, now_ms() / 1000)

    async def _recall(self) -> None:
        """Count what ended before this life began."""
        try:
            since = now_ms() - round(RECALL_HALF_LIVES * HALF_LIFE_S * 1000)
            ended = [one for one in await self.bundles.since(since) if one.HasField("end_time")]
            self.landings.take_all(ended)
            # What was wrong was told then; the rates go on.
            for one in ended:
                self._watch.take(one, now_ms(), shown=False)
        except Exception:
            log.exception("how bundles landed of late could not be read; it is learnt anew")

    def _ended(self, bundle: pb.Bundle) -> None:
        if bundle.canary:
            if bundle.state == pb.BUNDLE_STATE_FINALIZED:
                figures.CANARY_PAID.labels(bundle.region).inc(bundle.tip_lamports + bundle.fee_lamports)
            return
        if bundle.state == pb.BUNDLE_STATE_FINALIZED:
            figures.TIPPED.labels(bundle.strategy).inc(bundle.tip_lamports)
            figures.EARNED.labels(bundle.strategy).inc(bundle.profit_lamports)
        for found in partial(bundle):
            self._found(bundle.host, found)

    def _count(self, bundle: pb.Bundle) -> None:
        """Learn from an end, in its turn."""
        self.learning.ended(bundle)
        self.landings.take(bundle, now_ms() / 1000)
        shown = host_id(bundle.host) in self._watching.ingest.feeds
        if found := self._watch.take(bundle, now_ms(), shown=shown):
            self._findings.put_nowait((bundle.host, found))

    def _found(self, host: str, event: link_pb2.Event) -> None:
        event.unix_ms = now_ms()
        self._findings.put_nowait((host, [event]))

    async def _tell(self) -> None:
        while True:
            host, found = await self._findings.get()
            try:
                await self._watching.alerts.take(host_id(host), found)
            except Exception:
                log.exception("what was found of bundles could not be told", host=host)

    async def _prune(self) -> None:
        while True:
            try:
                await self.bundles.prune(now_ms() - KEPT_DAYS * DAY_MS)
            except Exception:
                log.exception("old bundles could not be let go; trying again")
            await asyncio.sleep(PRUNE_SECONDS)

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


def _limits(host: KnownHost | None) -> link_pb2.BundleLimits | None:
    """Give what a host that is connected has told of bundles; None of one that is not, or that did not tell."""
    hello = host.link.hello if host and host.link else None
    return hello.bundles if hello is not None and hello.HasField("bundles") else None
