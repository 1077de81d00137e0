"""Streams of agents: one for a host, acknowledgements merged, slow readers cut, orders sent again until answered."""

import asyncio
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from solward.hosts.v1 import link_pb2

from common import traceparent
from common.errors import SolwardError
from common.permits import open_permit, request_sha256, sign_receipt
from common.pki import new_key
from controlplane.identity.ca import public_der
from controlplane.links.dispatch import BACKDATE_MS, Dispatch, NoReceipt, NotDelivered, Order
from controlplane.links.registry import FLAPS, QUEUE, AgentLink, Links
from controlplane.links.sweeper import Sweeper
from controlplane.store.hosts import CURRENT, CertificateRow

UID = "a" * 32
CUT = SolwardError(grpc.StatusCode.PERMISSION_DENIED, "HOST_REVOKED", "cut off")


def link(uid: str = UID, name: str = "sol-1") -> AgentLink:
    return AgentLink(uid, name, 2**60, link_pb2.Hello())


def command() -> link_pb2.ConnectResponse:
    return link_pb2.ConnectResponse(command=link_pb2.Command(request=b"x"))


# One stream


async def test_messages_go_out_in_order_and_acknowledgements_are_merged() -> None:
    one = link()
    one.acknowledge(1)
    one.send(command())
    one.acknowledge(2)
    one.acknowledge(3)
    first, second = await one.next(1), await one.next(1)
    assert first is not None
    assert second is not None
    assert (first.ack.sequence, second.HasField("command")) == (3, True)
    one.acknowledge(4)
    third = await one.next(1)
    assert third is not None
    assert third.ack.sequence == 4


async def test_agent_that_does_not_read_is_cut() -> None:
    one = link()
    for _ in range(QUEUE + 1):
        one.send(command())
    with pytest.raises(SolwardError, match="does not read"):
        while True:
            await one.next(1)


async def test_close_in_peace_ends_and_the_first_error_counts() -> None:
    one, two = link(), link()
    one.close(None)
    assert await one.next(1) is None
    two.close(CUT)
    two.close(SolwardError(grpc.StatusCode.ABORTED, "LATER", "later"))
    with pytest.raises(SolwardError) as caught:
        await two.next(1)
    assert caught.value.reason == "HOST_REVOKED"


# The registry


async def test_newest_stream_wins_and_the_old_one_is_told() -> None:
    links, old, new = Links(), link(), link()
    assert await links.attach(old)
    assert await links.attach(new)
    with pytest.raises(SolwardError) as caught:
        await old.next(1)
    assert caught.value.reason == "SUPERSEDED"
    # The end of the old one does not take the new one's place away.
    links.detach(old)
    known = links.get(UID)
    assert known is not None
    assert known.link is new


async def test_streams_that_take_turns_too_often_are_not_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    links = Links()
    assert [await links.attach(link()) for _ in range(FLAPS + 2)] == [True] * (FLAPS + 1) + [False]


async def test_rightful_successors_are_no_flap_however_often_they_come() -> None:
    links = Links()
    assert all([await links.attach(link(), successor=True) for _ in range(5 * FLAPS)])
    # They use up nothing of what the others may do.
    assert [await links.attach(link()) for _ in range(FLAPS + 1)] == [True] * FLAPS + [False]


async def test_validator_is_named_by_the_newest_hello_and_outlives_its_stream() -> None:
    links = Links()

    def allowing(**units: list[str]) -> AgentLink:
        allowed = [link_pb2.AllowedUnit(unit=unit, actions=actions) for unit, actions in units.items()]
        return AgentLink(UID, "sol-1", 2**60, link_pb2.Hello(allowed_units=allowed))

    first = allowing(backup=["backup.run"], sol=["validator.stop"], other=["validator.start"])
    assert first.allowed == {"backup", "sol", "other"}
    await links.attach(first)
    known = links.get(UID)
    assert known is not None
    assert known.validator == "sol"
    links.detach(first)
    assert (known.connected, known.validator) == (False, "sol")
    await links.attach(allowing(backup=["backup.run"]))
    assert known.validator == ""


async def test_takeovers_that_are_far_apart_are_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    links, now = Links(), [0.0]
    monkeypatch.setattr("controlplane.links.registry.time.monotonic", lambda: now[0])
    for _ in range(20):
        now[0] += 61
        assert await links.attach(link())


async def test_cut_forgets_the_host_and_waiters_are_woken() -> None:
    links, one = Links(), link()
    waiting = asyncio.create_task(links.wait_changed(1))
    await asyncio.sleep(0)
    await links.attach(one)
    await waiting
    links.cut(UID, CUT)
    assert (links.get(UID), links.open_links(), links.known()) == (None, [], [])
    with pytest.raises(TimeoutError):
        await links.wait_changed(0.01)


# The sweeper


class Store:
    """In place of the hosts' repository."""

    def __init__(self, states: dict[str, str] | None = None, certificate: CertificateRow | None = None) -> None:
        self.by_uid, self.seen, self.row = states or {}, [""], certificate

    async def states(self) -> dict[str, str]:
        return self.by_uid

    async def seen_all(self, uids: list[str], now: int) -> None:
        self.seen = uids

    async def certificate(self, serial: str) -> CertificateRow | None:
        return self.row if self.row and self.row.serial == serial else None


async def test_sweep_cuts_whoever_is_not_active_and_marks_the_others_seen() -> None:
    links = Links()
    opened = {state: link(state * 8, state) for state in ("active", "revoked", "quarantined", "unknown")}
    for one in opened.values():
        await links.attach(one)
    store = Store({state * 8: state for state in ("active", "revoked", "quarantined")})
    await Sweeper(store, links).sweep()  # type: ignore[arg-type]
    assert [one.name for one in links.open_links()] == ["active"]
    assert store.seen == ["active" * 8]


# Dispatch

KEY, PERMIT_KEY = new_key(), Ed25519PrivateKey.generate()
ROW = CertificateRow("5e41a1", "agent", UID, public_der(KEY.public_key()), 0, 1, CURRENT)


def order(**changes: Any) -> Order:
    wanted = {
        "operation": "operations/1", "step": "act", "host_uid": UID, "action": "validator.restart", "request": b"r",
        "begin_within_s": 0.3, "finish_within_s": 0.3,
    }  # fmt: skip
    return Order(**(wanted | changes))


def receipt(**changes: Any) -> link_pb2.SignedReceipt:
    return sign_receipt(KEY, ROW.serial, body(**changes))


def body(**changes: Any) -> link_pb2.Receipt:
    wanted = {
        "operation": "operations/1", "step": "act", "host_uid": UID, "action": "validator.restart",
        "request_sha256": request_sha256(b"r"), "result": link_pb2.RECEIPT_RESULT_DONE,
    }  # fmt: skip
    return link_pb2.Receipt(**(wanted | changes))


class Leader:
    """Who leads, or does not."""

    def __init__(self, *, leads: bool = True) -> None:
        self.term, self.leads = 7, leads


def dispatch(leader: Leader | None = None) -> tuple[Dispatch, Links]:
    links = Links()
    return Dispatch(links, Store(certificate=ROW), PERMIT_KEY, leader or Leader()), links  # type: ignore[arg-type]


async def test_order_goes_out_under_a_permit_for_just_this() -> None:
    sender, links = dispatch()
    one = link()
    await links.attach(one)
    carried = asyncio.create_task(sender.carry_out(order(), lambda _: None))
    sent = await one.next(1)
    assert sent is not None
    permit = open_permit(sent.command.permit, sender.permit_keys)
    assert permit is not None
    assert (permit.host_uid, permit.action, permit.operation, permit.step) == (
        UID, "validator.restart", "operations/1", "act",
    )  # fmt: skip
    assert (permit.request_sha256, permit.term) == (request_sha256(b"r"), 7)
    assert 0 < permit.expire_unix_ms - permit.not_before_unix_ms <= BACKDATE_MS + 300
    await sender.receipt(UID, receipt())
    assert (await carried)[1].result == link_pb2.RECEIPT_RESULT_DONE


async def test_host_that_never_comes_is_not_delivered_to() -> None:
    sender, _ = dispatch()
    with pytest.raises(NotDelivered):
        await sender.carry_out(order(begin_within_s=0.05), lambda _: None)


async def test_who_does_not_lead_sends_nothing() -> None:
    sender, links = dispatch(Leader(leads=False))
    one = link()
    await links.attach(one)
    with pytest.raises(NotDelivered):
        await sender.carry_out(order(begin_within_s=0.05), lambda _: None)
    with pytest.raises(TimeoutError):
        await one.next(0.01)


async def test_receipt_that_never_comes_is_told_apart() -> None:
    sender, links = dispatch()
    await links.attach(link())
    with pytest.raises(NoReceipt):
        await sender.carry_out(order(begin_within_s=0.02, finish_within_s=0.05), lambda _: None)


async def test_order_is_sent_again_on_the_next_stream_and_late_ones_may_start_nothing() -> None:
    sender, links = dispatch()
    first, second = link(), link()
    await links.attach(first)
    carried = asyncio.create_task(sender.carry_out(order(begin_within_s=0.05, finish_within_s=2), lambda _: None))
    assert await first.next(1)
    await asyncio.sleep(0.1)
    await links.attach(second)
    again = await second.next(1)
    assert again is not None
    permit = link_pb2.Permit.FromString(again.command.permit.permit)
    # Over as soon as it is made: only the journal of the agent may answer it.
    assert permit.expire_unix_ms - permit.not_before_unix_ms == BACKDATE_MS
    await sender.receipt(UID, receipt())
    assert (await carried)[1].step == "act"


@pytest.mark.parametrize(
    "bad",
    [
        receipt(host_uid="b" * 32),
        receipt(step="another"),
        receipt(operation="operations/2"),
        receipt(action="validator.stop"),
        receipt(action=""),
        receipt(request_sha256=request_sha256(b"another")),
        receipt(request_sha256=b""),
        sign_receipt(new_key(), ROW.serial, body()),
        sign_receipt(KEY, "unknown", body()),
        link_pb2.SignedReceipt(receipt=receipt().receipt, signature=b"x", certificate_serial=ROW.serial),
        link_pb2.SignedReceipt(),
    ],
    ids=[
        "host",
        "step",
        "operation",
        "action",
        "no action",
        "request",
        "no request",
        "key",
        "serial",
        "signature",
        "empty",
    ],
)
async def test_receipt_that_is_not_this_steps_own_does_not_count(bad: link_pb2.SignedReceipt) -> None:
    sender, links = dispatch()
    await links.attach(link())
    carried = asyncio.create_task(sender.carry_out(order(finish_within_s=5), lambda _: None))
    await asyncio.sleep(0.01)
    await sender.receipt(UID, bad)
    await asyncio.sleep(0.01)
    assert not carried.done()
    await sender.receipt(UID, receipt())
    await carried


async def test_progress_reaches_the_step_that_waits_and_no_other_host() -> None:
    sender, links = dispatch()
    await links.attach(link())
    told: list[str] = []
    carried = asyncio.create_task(sender.carry_out(order(finish_within_s=5), told.append))
    await asyncio.sleep(0.01)
    said = link_pb2.CommandProgress(operation="operations/1", step="act", message="half way")
    sender.progress(UID, said)
    sender.progress("b" * 32, said)
    await sender.receipt(UID, receipt())
    await carried
    sender.progress(UID, said)
    assert told == ["half way"]


# Spans

SENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("by_order", [True, False])
async def test_a_command_says_its_span_and_takes_the_agent_s_while_it_waits(by_order: bool) -> None:
    sender, links = dispatch()
    taken: list[tuple[str, tuple[str, str, str], link_pb2.SpanReport]] = []
    sender._take_spans = lambda *told: taken.append(told)
    one, report = link(), link_pb2.SpanReport(operation="operations/1", step="act")
    await links.attach(one)
    token = traceparent.current.set(None if by_order else traceparent.parse(SENT))
    try:
        asked = order(traceparent=SENT) if by_order else order()
        carried = asyncio.create_task(sender.carry_out(asked, lambda _: None))
    finally:
        traceparent.current.reset(token)
    sent = await one.next(1)
    assert sent is not None
    assert sent.command.traceparent == SENT
    sender.spans(one, report)
    sender.spans(one, link_pb2.SpanReport(operation="operations/1", step="other"))
    sender.spans(link("b" * 32), report)
    await sender.receipt(UID, receipt())
    await carried
    # It waits no more.
    sender.spans(one, report)
    assert taken == [(SENT, ("sol-1", UID, ""), report)]


async def test_a_command_that_nobody_traces_says_nothing_and_takes_nothing() -> None:
    sender, links = dispatch()
    taken: list[object] = []
    sender._take_spans = lambda *told: taken.append(told)
    one = link()
    await links.attach(one)
    carried = asyncio.create_task(sender.carry_out(order(), lambda _: None))
    sent = await one.next(1)
    assert sent is not None
    assert sent.command.traceparent == ""
    sender.spans(one, link_pb2.SpanReport(operation="operations/1", step="act"))
    await sender.receipt(UID, receipt())
    await carried
    assert taken == []
