"""The permit gate: what was not allowed by just this control plane, for just this, here and now, is refused."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from solward.hosts.v1 import link_pb2

from agent.allowlist import Allowlist
from agent.permits import LONGEST_MS, Refusal, check_allowed, check_signed
from common.clock import now_ms
from common.permits import request_sha256, sign_permit
from tests.unit.agent.fakes import UNIT, command, make_identity

KEY = Ed25519PrivateKey.generate()
IDENTITY = make_identity(KEY)
RESTARTS = Allowlist({UNIT: frozenset({"validator.restart"})})
# For tests that look at its signature alone: it is over a minute after this file is read.
GOOD = command(KEY)


def reason_of(asked: link_pb2.Command, allowlist: Allowlist = RESTARTS) -> str:
    with pytest.raises(Refusal) as refused:
        check_allowed(check_signed(asked, IDENTITY), asked, allowlist)
    assert refused.value.message
    return refused.value.reason


def flipped(content: bytes, index: int, mask: int) -> bytes:
    index %= len(content)
    return content[:index] + bytes([content[index] ^ mask]) + content[index + 1 :]


def test_a_good_permit_holds() -> None:
    good = command(KEY)
    permit = check_signed(good, IDENTITY)
    assert (permit.operation, permit.step, permit.action) == ("operations/one", "act", "validator.restart")
    # It raises nothing: what is done then is read from the request, whose digest the permit holds.
    check_allowed(permit, good, RESTARTS)
    action = link_pb2.ActionRequest.FromString(good.request).unit
    assert (action.unit, action.verb) == (UNIT, link_pb2.UNIT_VERB_RESTART)
    assert permit.request_sha256 == request_sha256(good.request)


@given(part=st.sampled_from(["permit", "signature", "request"]), index=st.integers(0, 10_000), mask=st.integers(1, 255))
def test_any_changed_byte_refuses(part: str, index: int, mask: int) -> None:
    asked = link_pb2.Command.FromString(GOOD.SerializeToString())
    if part == "request":
        asked.request = flipped(asked.request, index, mask)
        assert reason_of(asked) == "PERMIT_FOR_ANOTHER_REQUEST"
    else:
        setattr(asked.permit, part, flipped(getattr(asked.permit, part), index, mask))
        assert reason_of(asked) == "PERMIT_NOT_SIGNED"


@given(cut=st.integers(0, 63))
def test_a_signature_cut_short_refuses(cut: int) -> None:
    asked = link_pb2.Command.FromString(GOOD.SerializeToString())
    asked.permit.signature = asked.permit.signature[:cut]
    assert reason_of(asked) == "PERMIT_NOT_SIGNED"


def test_a_signature_of_another_kind_does_not_pass() -> None:
    asked = link_pb2.Command.FromString(GOOD.SerializeToString())
    asked.permit.signature = KEY.sign(asked.permit.permit)
    assert reason_of(asked) == "PERMIT_NOT_SIGNED"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"host_uid": "22" * 16}, "PERMIT_FOR_ANOTHER_HOST"),
        ({"host_uid": ""}, "PERMIT_FOR_ANOTHER_HOST"),
        ({"request_sha256": b""}, "PERMIT_FOR_ANOTHER_REQUEST"),
        ({"request_sha256": request_sha256(b"other")}, "PERMIT_FOR_ANOTHER_REQUEST"),
        ({"expire_unix_ms": now_ms() - 1}, "PERMIT_EXPIRED"),
        ({"expire_unix_ms": 0}, "PERMIT_EXPIRED"),
        ({"not_before_unix_ms": now_ms() + 3_600_000, "expire_unix_ms": now_ms() + 7_000_000}, "PERMIT_NOT_YET_VALID"),
        ({"not_before_unix_ms": 0}, "PERMIT_EXPIRED"),
        ({"not_before_unix_ms": now_ms() - 1000, "expire_unix_ms": now_ms() + LONGEST_MS}, "PERMIT_EXPIRED"),
        ({"action": "validator.stop"}, "ACTION_UNKNOWN"),
        ({"action": ""}, "ACTION_UNKNOWN"),
    ],
)
def test_a_permit_for_something_else_refuses(fields: dict[str, object], reason: str) -> None:
    assert reason_of(command(KEY, permit=fields)) == reason


@pytest.mark.parametrize("verb", [link_pb2.UNIT_VERB_UNSPECIFIED, 99])
def test_a_verb_that_is_not_known_refuses(verb: link_pb2.UnitVerb) -> None:
    assert reason_of(command(KEY, verb)) == "ACTION_UNKNOWN"


def test_a_request_without_an_action_refuses() -> None:
    permit = link_pb2.Permit.FromString(command(KEY).permit.permit)
    permit.request_sha256, permit.action = request_sha256(b""), ""
    assert reason_of(link_pb2.Command(permit=sign_permit(KEY, permit))) == "ACTION_UNKNOWN"


@pytest.mark.parametrize("unit", ["ssh.service", "sol.service ", "SOL.service", ""])
def test_what_root_does_not_list_refuses(unit: str) -> None:
    assert reason_of(command(KEY, unit=unit)) == "NOT_ON_ALLOWLIST"
    assert reason_of(command(KEY, link_pb2.UNIT_VERB_STOP)) == "NOT_ON_ALLOWLIST"


def test_a_key_that_is_no_longer_trusted_refuses() -> None:
    stranger = Ed25519PrivateKey.generate()
    assert reason_of(command(stranger)) == "PERMIT_NOT_SIGNED"


def test_a_term_that_no_host_could_remember_is_refused() -> None:
    asked = command(KEY)
    permit = link_pb2.Permit.FromString(asked.permit.permit)
    permit.term = 2**63
    asked.permit.CopyFrom(sign_permit(KEY, permit))
    assert reason_of(asked) == "PERMIT_TERM_WRONG"
