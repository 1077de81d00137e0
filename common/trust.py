"""Trust bundles: how the control plane tells which authorities to trust, signed by a key that is trusted already."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from solward.hosts.v1 import enrollment_pb2

# A context before the signed bytes keeps a signature of one kind from passing as another.
_CONTEXT = b"solward-trust-v1\0"


def sign_trust(key: Ed25519PrivateKey, trust: enrollment_pb2.Trust) -> enrollment_pb2.SignedTrust:
    """Sign a trust bundle with the control plane's permit key, which its agents hold since they joined."""
    body = trust.SerializeToString(deterministic=True)
    return enrollment_pb2.SignedTrust(trust=body, signature=key.sign(_CONTEXT + body))


def open_trust(signed: enrollment_pb2.SignedTrust, trusted_keys: tuple[bytes, ...]) -> enrollment_pb2.Trust | None:
    """Give the trust bundle if one of the trusted keys (32 bytes each) signed it, else None."""
    for raw in trusted_keys:
        try:
            Ed25519PublicKey.from_public_bytes(raw).verify(signed.signature, _CONTEXT + signed.trust)
        except InvalidSignature:
            continue
        return enrollment_pb2.Trust.FromString(signed.trust)
    return None
