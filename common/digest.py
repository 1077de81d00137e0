"""The digest of one call: what a per-call second factor and an audit entry are bound to."""

import hashlib

from google.protobuf.message import Message


def call_digest(method: str, request: Message) -> str:
    """Digest a method and its request.

    Args:
        method: the full name without a leading slash, "solward.validator.v1.ValidatorService/Restart".
        request: the request as it is sent.

    Returns: SHA-256 over method, a zero byte, and the deterministic serialization; 64 hexadecimal digits.
    """
    encoded = request.SerializeToString(deterministic=True)
    return hashlib.sha256(method.encode() + b"\0" + encoded).hexdigest()
