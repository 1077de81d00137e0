"""Dispatch: sends a command down under a permit and waits for the agent's signed receipt."""

import asyncio
import time
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import structlog
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from solward.hosts.v1 import link_pb2

from common import traceparent
from common.clock import now_ms
from common.permits import open_receipt, request_sha256, sign_permit
from controlplane.links.registry import AgentLink, Links
from controlplane.store.hosts import HostRepository

log = structlog.get_logger(__name__)

# An agent whose clock is a little behind must not find the permit "not yet valid".
BACKDATE_MS = 30_000


class Order(NamedTuple):
    """One step of an operation that an agent is to carry out.

    Attributes:
        traceparent: the span that it comes from; empty: the current one, if any.
    """

    operation: str
    step: str
    host_uid: str
    action: str
    request: bytes
    begin_within_s: float
    finish_within_s: float
    traceparent: str = ""


class Leader(Protocol):
    """Whether this process may command agents, and in which term."""

    term: int

    @property
    def leads(self) -> bool:
        """Whether it may, now."""


class NotDelivered(Exception):
    """The command never reached the host; nothing was done."""


class NoReceipt(Exception):
    """The command was sent but its receipt did not come; what was done is not known."""


Progress = Callable[[str], None]
# Takes an agent's spans: the traceparent that it was sent; its host's name and uid, and its version; the spans.
TakeSpans = Callable[[str, tuple[str, str, str], link_pb2.SpanReport], object]
Answer = asyncio.Future[tuple[link_pb2.SignedReceipt, link_pb2.Receipt]]


class Dispatch:
    """Sends orders; one that is sent again is done once, since the agent keeps a journal of steps.

    Args:
        take_spans: what takes the spans of orders that wait.
    """

    def __init__(
        self, links: Links, hosts: HostRepository, key: Ed25519PrivateKey, leadership: Leader,
        take_spans: TakeSpans | None = None,
    ) -> None:  # fmt: skip
        self._take_spans = take_spans
        self._leadership = leadership
        self._links = links
        self._hosts = hosts
        self._key = key
        self._waiting: dict[tuple[str, str, str], Answer] = {}
        self._progress: dict[tuple[str, str, str], Progress] = {}
        self._orders: dict[tuple[str, str, str], Order] = {}

    @property
    def term(self) -> int:
        """The term in which agents are commanded."""
        return self._leadership.term

    @property
    def permit_keys(self) -> list[bytes]:
        """The public keys that agents check permits with."""
        return [self._key.public_key().public_bytes_raw()]

    async def carry_out(self, order: Order, progress: Progress) -> tuple[link_pb2.SignedReceipt, link_pb2.Receipt]:
        """Have an order carried out.

        Returns: the verified receipt, as signed and to be read.
        Raises: NotDelivered, NoReceipt.
        """
        order = order._replace(traceparent=order.traceparent or traceparent.said())
        key = (order.host_uid, order.operation, order.step)
        future = self._waiting.setdefault(key, asyncio.get_running_loop().create_future())
        self._progress[key] = progress
        self._orders[key] = order
        try:
            return await self._send_until_answered(order, future)
        finally:
            self._waiting.pop(key, None)
            self._progress.pop(key, None)
            self._orders.pop(key, None)

    async def _send_until_answered(
        self, order: Order, future: Answer
    ) -> tuple[link_pb2.SignedReceipt, link_pb2.Receipt]:
        begin = time.monotonic() + order.begin_within_s
        end = begin + order.finish_within_s
        sent_on: AgentLink | None = None
        while not future.done():
            now = time.monotonic()
            host = self._links.get(order.host_uid)
            link = host.link if host else None
            # A stream that broke may have taken the command or its receipt with it: ask again on the next.
            if link and link is not sent_on and self._leadership.leads:
                link.send(link_pb2.ConnectResponse(command=self._command(order, begin - now)))
                sent_on = link
            deadline = end if sent_on else begin
            if now >= deadline:
                raise NoReceipt if sent_on else NotDelivered
            await self._wait(future, min(1.0, deadline - now))
        return future.result()

    async def _wait(self, future: Answer, seconds: float) -> None:
        changed = asyncio.ensure_future(self._links.wait_changed(seconds))
        waited: set[asyncio.Future[Any]] = {future, changed}
        try:
            await asyncio.wait(waited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            await asyncio.gather(changed, return_exceptions=True)

    def _command(self, order: Order, begin_within_s: float) -> link_pb2.Command:
        now = now_ms()
        permit = link_pb2.Permit(
            id=uuid.uuid4().hex,
            host_uid=order.host_uid,
            action=order.action,
            request_sha256=request_sha256(order.request),
            operation=order.operation,
            step=order.step,
            not_before_unix_ms=now - BACKDATE_MS,
            # An order sent again after its time asks for the journal's answer only; the agent starts nothing.
            expire_unix_ms=now + max(0, round(begin_within_s * 1000)),
            term=self.term,
        )
        signed = sign_permit(self._key, permit)
        return link_pb2.Command(permit=signed, request=order.request, traceparent=order.traceparent)

    async def receipt(self, host_uid: str, signed: link_pb2.SignedReceipt) -> None:
        """Take in a receipt: it counts only if this host's own certified key signed it for a step that waits."""
        row = await self._hosts.certificate(signed.certificate_serial)
        if row is None or row.subject_uid != host_uid:
            log.warning("receipt refused: not signed by this host's certificate", host=host_uid)
            return
        key = load_der_public_key(row.public_key_der)
        receipt = open_receipt(signed, key) if isinstance(key, ec.EllipticCurvePublicKey) else None
        if receipt is None or receipt.host_uid != host_uid:
            log.warning("receipt refused: its signature does not hold", host=host_uid)
            return
        asked = (host_uid, receipt.operation, receipt.step)
        order, future = self._orders.get(asked), self._waiting.get(asked)
        if order is None or future is None or future.done():
            return
        # The permit may be of an earlier sending; what was asked for may not.
        if (receipt.action, receipt.request_sha256) != (order.action, request_sha256(order.request)):
            log.error("receipt refused: it is of something else than was asked", host=host_uid, step=receipt.step)
            return
        future.set_result((signed, receipt))

    def spans(self, link: AgentLink, report: link_pb2.SpanReport) -> None:
        """Take an agent's spans of an order that waits for its receipt."""
        order = self._orders.get((link.host_uid, report.operation, report.step))
        if order is not None and order.traceparent and self._take_spans is not None:
            self._take_spans(order.traceparent, (link.name, link.host_uid, link.hello.agent_version), report)

    def progress(self, host_uid: str, progress: link_pb2.CommandProgress) -> None:
        """Pass on how far a command has come."""
        tell = self._progress.get((host_uid, progress.operation, progress.step))
        if tell:
            tell(progress.message)
