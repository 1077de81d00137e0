"""Permits and receipts: how the control plane signs what may be done, and the agent what was done."""

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from solward.hosts.v1 import link_pb2

# A context before the signed bytes keeps a signature of one kind from passing as another.
_PERMIT_CONTEXT = b"solward-permit-v1\0"
_RECEIPT_CONTEXT = b"solward-receipt-v1\0"


def sign_permit(key: Ed25519PrivateKey, permit: link_pb2.Permit) -> link_pb2.SignedPermit:
    """Sign a permit with the control plane's permit key."""
    body = permit.SerializeToString(deterministic=True)
    return link_pb2.SignedPermit(permit=body, signature=key.sign(_PERMIT_CONTEXT + body))


def open_permit(signed: link_pb2.SignedPermit, trusted_keys: list[bytes]) -> link_pb2.Permit | None:
    """Give the permit if one of the trusted keys (32 bytes each) signed it, else None."""
    for raw in trusted_keys:
        try:
            Ed25519PublicKey.from_public_bytes(raw).verify(signed.signature, _PERMIT_CONTEXT + signed.permit)
        except InvalidSignature:
            continue
        return link_pb2.Permit.FromString(signed.permit)
    return None


def request_sha256(request: bytes) -> bytes:
    """Digest an action request as permits and receipts hold it."""
    return hashlib.sha256(request).digest()


def sign_receipt(key: ec.EllipticCurvePrivateKey, serial: str, receipt: link_pb2.Receipt) -> link_pb2.SignedReceipt:
    """Sign a receipt with the key of the agent's certificate.

    Args:
        key: the private key of the certificate.
        serial: that certificate's serial number, hexadecimal.
        receipt: what was done.
    """
    body = receipt.SerializeToString(deterministic=True)
    signature = key.sign(_RECEIPT_CONTEXT + body, ec.ECDSA(hashes.SHA256()))
    return link_pb2.SignedReceipt(receipt=body, signature=signature, certificate_serial=serial)


def open_receipt(signed: link_pb2.SignedReceipt, public_key: ec.EllipticCurvePublicKey) -> link_pb2.Receipt | None:
    """Give the receipt if this key signed it, else None."""
    try:
        public_key.verify(signed.signature, _RECEIPT_CONTEXT + signed.receipt, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return None
    return link_pb2.Receipt.FromString(signed.receipt)
