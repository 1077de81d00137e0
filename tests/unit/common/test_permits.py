"""Permits and receipts: one key, one kind, one content."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from solward.hosts.v1 import link_pb2

from common.permits import open_permit, open_receipt, request_sha256, sign_permit, sign_receipt
from common.pki import new_key

KEY, OTHER, AGENT = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate(), new_key()
PERMIT = link_pb2.Permit(id="1", host_uid="a" * 32, action="validator.restart", request_sha256=request_sha256(b"r"))
RECEIPT = link_pb2.Receipt(operation="operations/1", step="act")


def raw(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def test_permit_opens_with_any_trusted_key_and_no_other() -> None:
    signed = sign_permit(KEY, PERMIT)
    assert open_permit(signed, [raw(KEY)]) == PERMIT
    assert open_permit(signed, [raw(OTHER), raw(KEY)]) == PERMIT
    assert open_permit(signed, [raw(OTHER)]) is None
    assert open_permit(signed, []) is None


@given(st.integers(0), st.integers(0, 7))
def test_no_bit_of_a_permit_can_be_turned(place: int, bit: int) -> None:
    signed = sign_permit(KEY, PERMIT)
    body = bytearray(signed.permit)
    body[place % len(body)] ^= 1 << bit
    assert open_permit(link_pb2.SignedPermit(permit=bytes(body), signature=signed.signature), [raw(KEY)]) is None
    signature = bytearray(signed.signature)
    signature[place % len(signature)] ^= 1 << bit
    assert open_permit(link_pb2.SignedPermit(permit=signed.permit, signature=bytes(signature)), [raw(KEY)]) is None


def test_signature_of_one_kind_is_none_of_another() -> None:
    body = PERMIT.SerializeToString(deterministic=True)
    for context in (b"", b"solward-receipt-v1\0", b"solward-permit-v2\0"):
        forged = link_pb2.SignedPermit(permit=body, signature=KEY.sign(context + body))
        assert open_permit(forged, [raw(KEY)]) is None


def test_receipt_opens_with_the_agents_key_alone() -> None:
    signed = sign_receipt(AGENT, "5e", RECEIPT)
    assert signed.certificate_serial == "5e"
    assert open_receipt(signed, AGENT.public_key()) == RECEIPT
    assert open_receipt(signed, new_key().public_key()) is None
    changed = link_pb2.SignedReceipt(receipt=signed.receipt + b"\x08\x01", signature=signed.signature)
    assert open_receipt(changed, AGENT.public_key()) is None


@pytest.mark.parametrize("signature", [b"", b"x", b"\x00" * 72])
def test_signature_that_is_none_opens_nothing(signature: bytes) -> None:
    broken = link_pb2.SignedReceipt(receipt=RECEIPT.SerializeToString(), signature=signature)
    assert open_receipt(broken, AGENT.public_key()) is None
    assert open_permit(link_pb2.SignedPermit(permit=b"x", signature=signature), [raw(KEY)]) is None
