"""What a plugin's own metrics say, by the names that each of them uses.

Yellowstone (yellowstone-grpc-geyser, metrics.rs) bears the prefix `yellowstone_grpc_geyser_` since 14.2.0 and mostly
none before; of Blockdaemon's Kafka plugin (solana-accountsdb-plugin-kafka, prom.rs) "success" means that an event is in
its producer's queue, and not that a broker has it.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from agent.geyser.metrics_page import Sample, parse

_PREFIXES: Final = ("yellowstone_grpc_geyser_", "grpc_", "geyser_", "")
_YELLOWSTONE: Final = (
    "slot_status", "slot_status_plugin", "message_queue_size", "event_dropped_total", "invalid_full_blocks_total",
    "missed_status_message_total", "untrack_slot_event_dropped_total", "account_update_data_size_kib_count",
)  # fmt: skip
_UPLOADS: Final = {
    "upload_accounts_total": "account", "upload_slots_total": "slot", "upload_transactions_total": "transaction",
}  # fmt: skip
_KAFKA_QUEUE: Final = ("outbuf_msg_cnt", "waitresp_msg_cnt")
WANTED: Final = frozenset([prefix + name for prefix in _PREFIXES for name in _YELLOWSTONE] + [*_UPLOADS, "kafka_stats"])
KINDS: Final = ("account", "transaction", "block", "slot", "entry")
OTHER: Final = "other"


@dataclass(slots=True)
class Page:
    """One look at a page.

    Attributes:
        known: whether anything was found that is known here.
        newest_slot: the newest that the plugin has handed on.
        seen_slot: the newest that the validator has told it of.
        queue: what waits within it.
        events, dropped, failed: counted since the plugin began, by kind.
        all_blocks: blocks that failed, where the page adds them up itself.
    """

    known: bool = False
    newest_slot: float | None = None
    seen_slot: float | None = None
    queue: float | None = None
    events: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    dropped: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    failed: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    all_blocks: float | None = None


def read(body: bytes) -> Page:
    """Read a plugin's page; raises PageError."""
    page = Page()
    for sample in parse(body, WANTED):
        if math.isfinite(sample.value) and sample.value >= 0:
            _TAKE[_plain(sample.name)](page, sample)
            page.known = True
    # Of two figures, one of which includes the other.
    if page.newest_slot is None:
        page.newest_slot = page.seen_slot
    if page.all_blocks is not None:
        page.failed["block"] = page.all_blocks
    return page


def _plain(name: str) -> str:
    for prefix in _PREFIXES:
        if name.startswith(prefix) and name.removeprefix(prefix) in _TAKE:
            return name.removeprefix(prefix)
    return name


def _slot_status(page: Page, sample: Sample) -> None:
    if sample.labels.get("status") == "processed":
        page.seen_slot = sample.value


def _handed_on(page: Page, sample: Sample) -> None:
    if sample.labels.get("status") == "processed":
        page.newest_slot = sample.value


def _queue(page: Page, sample: Sample) -> None:
    page.queue = sample.value


def _dropped(page: Page, sample: Sample) -> None:
    event = sample.labels.get("event", "").lower()
    page.dropped[next((kind for kind in KINDS if kind in event), OTHER)] += sample.value


def _untracked(page: Page, sample: Sample) -> None:
    page.dropped["slot"] += sample.value


def _invalid_block(page: Page, sample: Sample) -> None:
    # The reason "all" includes the others.
    if sample.labels.get("reason") == "all":
        page.all_blocks = sample.value
    else:
        page.failed["block"] += sample.value


def _missed_status(page: Page, sample: Sample) -> None:
    page.failed["slot"] += sample.value


def _accounts(page: Page, sample: Sample) -> None:
    page.events["account"] += sample.value


def _upload(page: Page, sample: Sample) -> None:
    kind, status = _UPLOADS[sample.name], sample.labels.get("status")
    if status == "success":
        page.events[kind] += sample.value
    elif status == "failed":
        page.failed[kind] += sample.value


def _kafka(page: Page, sample: Sample) -> None:
    if sample.labels.get("metric") in _KAFKA_QUEUE:
        page.queue = (page.queue or 0.0) + sample.value


_TAKE: Final[Mapping[str, Callable[[Page, Sample], None]]] = {
    "slot_status": _slot_status, "slot_status_plugin": _handed_on, "message_queue_size": _queue,
    "event_dropped_total": _dropped, "untrack_slot_event_dropped_total": _untracked,
    "invalid_full_blocks_total": _invalid_block, "missed_status_message_total": _missed_status,
    "account_update_data_size_kib_count": _accounts, "kafka_stats": _kafka,
    **dict.fromkeys(_UPLOADS, _upload),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """What happened between two looks.

    Attributes:
        restarted: the counters began anew.
        rates: events a second, by kind; empty at the first look and over a restart.
        dropped, failed: by kind; what was counted before the first look is not told.
    """

    restarted: bool
    rates: dict[str, float]
    dropped: dict[str, float]
    failed: dict[str, float]


class Meter:
    """Makes changes of what a plugin counts since it began."""

    def __init__(self) -> None:
        self._last: Page | None = None
        self._last_at = 0.0

    def see(self, page: Page, at: float) -> Change:
        """Take in a look.

        Args:
            at: when it was, in seconds of a clock that only goes forward.
        """
        last, passed = self._last, at - self._last_at
        self._last, self._last_at = page, at
        if last is None:
            return Change(False, {}, {}, {})
        pairs = [(last.events, page.events), (last.dropped, page.dropped), (last.failed, page.failed)]
        # A slot may go back by a few, as forks do, and never to nothing.
        if any(_fell(before, now) for before, now in pairs) or (last.seen_slot and not page.seen_slot):
            # All that they hold has happened since.
            return Change(True, {}, _positive(page.dropped), _positive(page.failed))
        rates = {kind: value / passed for kind, value in _grown(*pairs[0])} if passed > 0 else {}
        if last.seen_slot and page.seen_slot and passed > 0:
            # By their number: those that were skipped are few.
            rates.setdefault("slot", max(0.0, page.seen_slot - last.seen_slot) / passed)
        return Change(False, rates, dict(_grown(*pairs[1])), dict(_grown(*pairs[2])))


def _fell(before: Mapping[str, float], now: Mapping[str, float]) -> bool:
    return any(now.get(kind, 0.0) < value for kind, value in before.items())


def _grown(before: Mapping[str, float], now: Mapping[str, float]) -> Iterable[tuple[str, float]]:
    return ((kind, value - before.get(kind, 0.0)) for kind, value in now.items())


def _positive(counts: Mapping[str, float]) -> dict[str, float]:
    return {kind: value for kind, value in counts.items() if value > 0}
