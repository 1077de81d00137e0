"""The tracker: sends each bundle through its host's agent, again where it lost an auction, and follows it to its end.

A bundle is stored, its tip reserved, before it is sent. A control plane that dies in between sends it again when it is
back, which is the same bundle: the agent keeps a journal of what it sent, and the chain takes a signature once.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence

import structlog
from solward.hosts.v1 import link_pb2
from solward.jito.v1 import jito_pb2 as pb

from common.clock import now_ms
from common.names import host_id
from controlplane.links.dispatch import Dispatch, NoReceipt, NotDelivered, Order
from controlplane.mev import figures
from controlplane.mev.again import send_again, wait_s
from controlplane.mev.bus import BundleBus
from controlplane.mev.chain import BLOCKHASH_LIVES, MOST_SIGNATURES, Chain, Height
from controlplane.mev.lifecycle import UNKNOWN_S, Seen, Status, given_up, is_region, on_chain, sent, told
from controlplane.mev.order import InOrder
from controlplane.operations.outside import OutsideTrouble
from controlplane.store.bundles import ENDED, BundleRepository, Stored, uid_of

log = structlog.get_logger(__name__)

ACTION, STEP = "jito.submit", "send"
BEGIN_WITHIN_S = 5.0
LOOK_SECONDS = 1.0
SAVE_SECONDS = 0.2
# Of those followed: more are refused before they are sent.
MOST_FOLLOWED = 20_000
Ended = Callable[[pb.Bundle], None]


class Tracker:
    """Follows every bundle of which more is to become known.

    Args:
        bundles: where they are stored.
        chain: what became of them.
        dispatch: the way to the agents.
        bus: who watches.
        ended: is told of each bundle that has ended, at once.
        counted: is told of the same, without canaries, in the order in which they were sent.
    """

    def __init__(
        self, bundles: BundleRepository, chain: Chain, dispatch: Dispatch, bus: BundleBus, ended: Ended, counted: Ended
    ) -> None:
        self._bundles = bundles
        self._chain = chain
        self._dispatch = dispatch
        self._bus = bus
        self._ended = ended
        self._counted = counted
        self._order = InOrder()
        self._followed: dict[str, Stored] = {}
        self._changed: dict[str, pb.Bundle] = {}
        self._sending: dict[str, asyncio.Task[None]] = {}
        # When bundles are to be sent again, by the monotonic clock; and of these the ones whose agent was away.
        self._due: dict[str, float] = {}
        self._undelivered: set[str] = set()
        self._saving = asyncio.Lock()
        self._answered = time.monotonic()

    @property
    def full(self) -> bool:
        """Whether no more can be followed."""
        return len(self._followed) >= MOST_FOLLOWED

    async def run(self) -> None:
        """Follow until cancelled; what was under way in an earlier life goes on."""
        try:
            for stored in await self._bundles.unfinished():
                self.follow(stored, anew=False)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._look_on())
                group.create_task(self._save_on())
        finally:
            sending = list(self._sending.values())
            for task in sending:
                task.cancel()
            await asyncio.gather(*sending, return_exceptions=True)
            await self._save()

    def follow(self, stored: Stored, *, anew: bool = True) -> None:
        """Follow a bundle that is stored; send it where that was not done, or is not known to be.

        Args:
            anew: no earlier life of a control plane may have sent it.
        """
        known = self._followed.get(stored.uid)
        if known is not None and known.bundle.canary == stored.bundle.canary:
            # Submitted while what an earlier life left was still being read: both find it in the store.
            return
        self._followed[stored.uid] = stored
        if not stored.bundle.canary:
            self._order.sent(stored.bundle)
        if stored.bundle.state == pb.BUNDLE_STATE_SENDING:
            self._begin(stored, anew=anew)
        else:
            self._plan(stored.bundle)

    def current(self, uid: str) -> pb.Bundle | None:
        """Give a bundle that is followed, or whose end is not stored yet, as it stands now."""
        stored = self._followed.get(uid)
        return stored.bundle if stored else self._changed.get(uid)

    async def settle(self, uid: str) -> None:
        """Wait until the store has a bundle as it stands."""
        if uid in self._changed or self._saving.locked():
            await self._save()

    def take(self, host_uid: str, events: Iterable[link_pb2.Event]) -> None:
        """Take in what a host's agent was told by block engines; of another host's bundle nothing is believed."""
        for event in events:
            stored = self._followed.get(event.attributes.get("bundle", ""))
            if stored is None or stored.host_uid != host_uid:
                figures.RESULTS.labels("foreign").inc()
                continue
            figures.RESULTS.labels("taken").inc()
            if told(stored.bundle, _event(event)):
                self._note(stored.bundle)

    def received(self, host_uid: str, uid: str, receipt: link_pb2.Receipt) -> None:
        """Take in what became of the sending of a canary, as its host tells; of any other bundle nothing is believed.

        A receipt, which is signed, tells of those that the control plane had sent.
        """
        stored = self._followed.get(uid)
        if stored and stored.host_uid == host_uid and stored.bundle.canary:
            self._received(stored.bundle, receipt)

    async def look(self) -> None:
        """Ask the chain about every bundle that is followed; raises OutsideTrouble."""
        followed = list(self._followed.values())
        if not followed:
            self._answered = time.monotonic()
            return
        # The height first: what is not there when it was not over may come yet.
        height = await self._chain.height()
        figures.FOLLOWED.set(len(followed))
        for part in _parts([one for one in followed if not one.bundle.canary]):
            await self._look_at(part, height)
        try:
            # Apart: what agents say that they sent is not to keep ours from being asked about.
            for part in _parts([one for one in followed if one.bundle.canary]):
                await self._look_at(part, height)
        except OutsideTrouble as trouble:
            log.warning("the chain does not tell of canaries", why=str(trouble))
        self._give_up("the chain stands still")

    async def _look_at(self, part: list[Stored], height: Height) -> None:
        names = [name for stored in part for name in stored.bundle.signatures]
        slot, statuses = await self._chain.statuses(names)
        self._answered = time.monotonic()
        for stored in part:
            mine, statuses = _split(statuses, len(stored.bundle.signatures))
            bundle, seen = stored.bundle, Seen(mine, height.block_height, behind=slot < height.slot)
            # No blockhash lives longer, whatever an agent said, or a node when it was asked first.
            most = height.block_height + BLOCKHASH_LIVES
            bundle.last_valid_block_height = min(bundle.last_valid_block_height, most)
            if stored.uid in self._followed and on_chain(bundle, seen):
                self._note(bundle)

    def _plan(self, bundle: pb.Bundle) -> None:
        """Plan when it is sent again, if it is."""
        self._undelivered.discard(uid_of(bundle))
        wait = wait_s(bundle, now_ms())
        if wait is None:
            self._due.pop(uid_of(bundle), None)
        else:
            self._due[uid_of(bundle)] = time.monotonic() + wait

    def _send_again(self) -> None:
        """Send again what is due, and not on its way."""
        now = time.monotonic()
        for uid in [uid for uid, due in self._due.items() if due <= now and uid not in self._sending]:
            stored = self._followed[uid]
            before = stored.bundle.state
            if uid in self._undelivered:
                self._undelivered.discard(uid)
                self._begin(stored, anew=False)
                continue
            send_again(stored.bundle)
            self._note(stored.bundle)
            self._begin(stored, anew=False, before=before)

    def _begin(self, stored: Stored, *, anew: bool, before: pb.BundleState = pb.BUNDLE_STATE_SENDING) -> None:
        if not stored.transactions:
            # A canary, which its agent sends.
            return
        task = asyncio.create_task(self._send(stored, anew=anew, before=before))
        self._sending[stored.uid] = task
        task.add_done_callback(lambda _: self._sending.pop(stored.uid, None))

    async def _look_on(self) -> None:
        while True:
            try:
                await self.look()
                # The chain has just said that they have not landed.
                self._send_again()
            except OutsideTrouble as trouble:
                if time.monotonic() - self._answered > UNKNOWN_S:
                    self._give_up(str(trouble))
            except Exception:
                log.exception("bundles could not be followed; trying again")
            await asyncio.sleep(LOOK_SECONDS)

    def _give_up(self, why: str) -> None:
        """End those of which no chain will tell any more: their blockhash is long dead."""
        for stored in list(self._followed.values()):
            if now_ms() - stored.bundle.create_time.ToMilliseconds() > UNKNOWN_S * 1000:
                given_up(stored.bundle, "CHAIN_UNREACHABLE", why, received=True)
                self._note(stored.bundle)

    async def _send(self, stored: Stored, *, anew: bool, before: pb.BundleState) -> None:
        """Send it.

        Args:
            stored: what is sent.
            anew: no earlier life of a control plane may have sent it.
            before: where it stood before it was sent again.
        """
        bundle = stored.bundle
        # A blockhash lives for a minute, whatever was asked.
        within_s = max(1.0, (bundle.create_time.ToMilliseconds() - now_ms()) / 1000 + 60.0)
        action = link_pb2.BundleAction(
            bundle=stored.uid, transactions=stored.transactions, region=bundle.wished_region,
            tip_lamports=bundle.tip_lamports, deadline_unix_ms=now_ms() + round(within_s * 1000),
            region_order=bundle.region_order, again=bundle.sends > 1,
        )  # fmt: skip
        step = f"{STEP}-{bundle.sends}" if bundle.sends > 1 else STEP
        request = link_pb2.ActionRequest(bundle=action).SerializeToString(deterministic=True)
        order = Order(bundle.name, step, stored.host_uid, ACTION, request, BEGIN_WITHIN_S, within_s + 10.0)
        try:
            _, receipt = await self._dispatch.carry_out(order, lambda _: None)
        except NotDelivered:
            if bundle.sends > 1:
                # It did not leave the house: that was no send.
                bundle.sends -= 1
                self._not_sent(bundle, before, "HOST_OFFLINE")
            elif anew:
                self._fail(bundle, "HOST_OFFLINE", "the agent is not connected; nothing was sent")
            elif bundle.state == pb.BUNDLE_STATE_SENDING:
                # An earlier life may have sent it: the agent knows, once it is back, and sends nothing twice.
                self._undelivered.add(stored.uid)
                self._due[stored.uid] = time.monotonic() + LOOK_SECONDS
                return
        except NoReceipt:
            # The chain will tell.
            log.warning("it is not known whether a bundle was sent", bundle=bundle.name)
        except Exception:
            log.exception("a bundle could not be sent", bundle=bundle.name)
        else:
            figures.SENT_AGAIN.labels(bundle.strategy).inc(bundle.sends > 1)
            self._received(bundle, receipt, before)
        if bundle.state == pb.BUNDLE_STATE_SENDING:
            # A region may have it; unless the chain tells so, it is sent again.
            self._plan(bundle)

    def _received(
        self, bundle: pb.Bundle, receipt: link_pb2.Receipt, before: pb.BundleState = pb.BUNDLE_STATE_SENDING
    ) -> None:
        if receipt.reason == "SEND_UNKNOWN":
            # A region may have it; the chain will tell.
            return
        if receipt.result != link_pb2.RECEIPT_RESULT_DONE:
            reason = receipt.reason or "NOT_SENT"
            if bundle.sends > 1:
                self._not_sent(bundle, before, reason)
            else:
                self._fail(bundle, reason, receipt.message)
            return
        told_of = receipt.figures
        region = told_of.get("region", "")
        event = pb.BundleEvent(
            kind="sent", region=region if is_region(region) else "", message=told_of.get("via", "")[:64]
        )
        event.time.FromMilliseconds(whole(told_of.get("ack_unix_ms", "")) or receipt.end_unix_ms)
        sent(bundle, event.region, whole(told_of.get("tries", "")) or 1, event)
        # The stream's state is that of the last try: it was up throughout where there was one try of each send.
        up = told_of.get("stream", "") == "up" and bundle.tries == max(1, bundle.sends)
        bundle.observed = up and (bundle.observed or bundle.sends <= 1)
        self._note(bundle)

    def _fail(self, bundle: pb.Bundle, reason: str, message: str) -> None:
        # The agent says that no block engine has it; what the stream or the chain says since counts for more.
        if bundle.state == pb.BUNDLE_STATE_SENDING:
            given_up(bundle, reason, message, received=False)
            self._note(bundle)

    def _not_sent(self, bundle: pb.Bundle, before: pb.BundleState, reason: str) -> None:
        """Put a bundle that could not be sent again back to where it was, unless more was heard of it since."""
        log.info("a bundle could not be sent again", bundle=bundle.name, reason=reason)
        if bundle.state == pb.BUNDLE_STATE_SENDING:
            bundle.state = before
            self._note(bundle)

    def _note(self, bundle: pb.Bundle) -> None:
        """Tell who watches, and store it soon."""
        uid = uid_of(bundle)
        if bundle.state in ENDED and uid in self._followed:
            del self._followed[uid]
            bundle.end_time.FromMilliseconds(now_ms())
            _count_end(bundle)
            _tell(self._ended, bundle)
            for one in () if bundle.canary else self._order.ended(bundle):
                _tell(self._counted, one)
        self._plan(bundle)
        self._changed[uid] = bundle
        self._bus.tell(bundle)

    async def _save_on(self) -> None:
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            try:
                await self._save()
            except Exception:
                log.exception("bundles could not be stored; trying again", waiting=len(self._changed))

    async def _save(self) -> None:
        async with self._saving:
            changed, self._changed = self._changed, {}
            try:
                await self._bundles.save(changed.values())
            except BaseException:
                self._changed = changed | self._changed
                raise


def _tell(whom: Ended, bundle: pb.Bundle) -> None:
    try:
        whom(bundle)
    except Exception:
        # What is learnt of an end must not cost the agent's stream, nor the bundles beside it.
        log.exception("the end of a bundle could not be noted", bundle=bundle.name)


def _count_end(bundle: pb.Bundle) -> None:
    outcome = pb.BundleState.Name(bundle.state).removeprefix("BUNDLE_STATE_").lower()
    if bundle.canary:
        figures.CANARY_ENDED.labels(bundle.region, outcome).inc()
    else:
        # Of one that expired the reason is of our own few; of one that was not sent it is what an agent says.
        reason = bundle.reason if bundle.state == pb.BUNDLE_STATE_EXPIRED else ""
        figures.ENDED.labels(host_id(bundle.host), outcome, reason).inc()


def _event(event: link_pb2.Event) -> pb.BundleEvent:
    attributes = event.attributes
    found = pb.BundleEvent(
        kind=attributes.get("outcome", "")[:64], region=attributes.get("region", "")[:64],
        slot=whole(attributes.get("slot", "")), validator=attributes.get("validator", "")[:64],
        bid_lamports=whole(attributes.get("bid_lamports", "")), message=attributes.get("message", "")[:512],
    )  # fmt: skip
    found.time.FromMilliseconds(event.unix_ms)
    return found


def whole(text: str) -> int:
    """Read a whole number of at most 18 digits, as agents write it; 0 for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _parts(followed: Sequence[Stored]) -> Iterable[list[Stored]]:
    """Part bundles so that the signatures of each part are one question."""
    part: list[Stored] = []
    count = 0
    for stored in followed:
        size = len(stored.bundle.signatures)
        if part and count + size > MOST_SIGNATURES:
            yield part
            part, count = [], 0
        part.append(stored)
        count += size
    if part:
        yield part


def _split(statuses: list[Status | None], count: int) -> tuple[list[Status | None], list[Status | None]]:
    return statuses[:count], statuses[count:]
