"""The audit log's format: entries and checkpoints; no input, no output.

Each entry's body is canonical JSON. A hash chain, a keyed code and a Merkle tree run over the bodies; signed
checkpoints say what the tree was. `common.auditlines` writes both as lines, `common.auditverify` checks them offline.
"""

import base64
import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

GENESIS = bytes(32)
RESERVED = frozenset({"sequence", "time", "previous"})
MAX_STRING = 4096
MAX_KEY = 256
MAX_ITEMS = 256
MAX_DEPTH = 16
MAX_BODY = 65_536
_MAX_FIELD_OF_LARGE_BODY = 4096
_BLOCK = 64
_HEADER = "solward-audit-v1"
# DEL and C1 controls, soft hyphen, marks without width, line separators, bidirectional controls, tags.
_UNSAFE = re.compile(
    "[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")


class Mac:
    """HMAC-SHA256 under one key, which is taken in once: a third of the time of `hmac.digest`.

    Args:
        key: the log's key.

    Raises:
        ValueError: the key is empty.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        if not key:
            raise ValueError("the key of the audit log is empty")
        padded = (key if len(key) <= _BLOCK else sha256(key).digest()).ljust(_BLOCK, b"\0")
        self._inner = sha256(bytes(byte ^ 0x36 for byte in padded))
        self._outer = sha256(bytes(byte ^ 0x5C for byte in padded))

    def of(self, digest: bytes) -> bytes:
        """Give the code of an entry's hash."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(digest)
        outer.update(inner.digest())
        return outer.digest()


class Entry(NamedTuple):
    """One line of the log, as stored and exported.

    Args:
        sequence: counts from 1 without a gap.
        body: the canonical JSON that the hashes cover.
        hash: SHA-256 of the hash before and this body.
        mac: HMAC-SHA256 of `hash` under the log's key.
    """

    sequence: int
    body: str
    hash: bytes
    mac: bytes


class Checkpoint(NamedTuple):
    """A signed statement of what the log was at one size.

    Args:
        origin: names the log.
        size: how many entries it covers.
        root: the Merkle tree head over their bodies.
        time_ms: when it was signed, milliseconds since the epoch.
        signature: Ed25519 over `text()`.
        public_key: the raw public key, 32 bytes.
    """

    origin: str
    size: int
    root: bytes
    time_ms: int
    signature: bytes
    public_key: bytes

    def text(self) -> bytes:
        """Give the canonical text that is signed."""
        root = base64.b64encode(self.root).decode()
        return f"{_HEADER}\n{self.origin}\n{self.size}\n{root}\n{rfc3339(self.time_ms)}\n".encode()

    def signed_by(self, key: Ed25519PublicKey) -> bool:
        """Say whether the signature is the key's."""
        try:
            key.verify(self.signature, self.text())
        except InvalidSignature:
            return False
        return True


def rfc3339(time_ms: int) -> str:
    """Write a time in milliseconds since the epoch as RFC 3339 in UTC, to the millisecond."""
    seconds, millis = divmod(time_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{millis:03d}Z"


def clean(value: Any, depth: int = MAX_DEPTH) -> Any:
    """Make any value safe to log: JSON types only, strings and collections of bounded length.

    Args:
        value: what a caller may have sent.
        depth: how many levels of nesting remain.
    """
    if value is None or isinstance(value, bool) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= 64 else f"[a number of {value.bit_length()} bits]"
    if isinstance(value, str):
        return _clean_string(value)
    if depth > 0 and isinstance(value, Mapping):
        pairs = list(value.items())
        cleaned = {_clean_key(key): clean(item, depth - 1) for key, item in pairs[:MAX_ITEMS]}
        if len(pairs) > MAX_ITEMS:
            cleaned["..."] = f"[{len(pairs) - MAX_ITEMS} more]"
        return cleaned
    if depth > 0 and isinstance(value, (list, tuple)):
        items = [clean(item, depth - 1) for item in value[:MAX_ITEMS]]
        return [*items, f"[{len(value) - MAX_ITEMS} more]"] if len(value) > MAX_ITEMS else items
    if isinstance(value, (Mapping, list, tuple)):
        return "[nested too deeply]"
    return _clean_string(str(value))


def prepare(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Make the fields of an entry ready to be sealed.

    Args:
        fields: everything that the entry says except sequence, time and previous.

    Raises:
        ValueError: a field is named like one that the log itself writes, or there are too many.
    """
    if RESERVED & fields.keys() or len(fields) > MAX_ITEMS:
        raise ValueError(f"an entry has at most {MAX_ITEMS} fields, and none named {sorted(RESERVED)}")
    cleaned = {_clean_key(key): clean(value) for key, value in fields.items() if value is not None}
    if len(canonical(cleaned).encode()) > MAX_BODY:
        return {key: _shrink(value) for key, value in cleaned.items()}
    return cleaned


def canonical(value: Mapping[str, Any]) -> str:
    """Write cleaned fields as canonical JSON: sorted keys, no spaces, nothing that a terminal obeys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text if text.isascii() and "\x7f" not in text else _UNSAFE.sub(_escape, text)


def seal(fields: Mapping[str, Any], *, sequence: int, time_ms: int, previous: bytes, mac: Mac) -> Entry:
    """Make the entry that follows another.

    Args:
        fields: what `prepare` gave.
        sequence: its number.
        time_ms: when, milliseconds since the epoch.
        previous: the hash of the entry before, `GENESIS` for the first.
        mac: the log's key.
    """
    own = {"sequence": sequence, "time": rfc3339(time_ms), "previous": previous.hex()}
    body = canonical({**fields, **own})
    digest = sha256(previous + body.encode()).digest()
    return Entry(sequence, body, digest, mac.of(digest))


def sign(key: Ed25519PrivateKey, *, origin: str, size: int, root: bytes, time_ms: int) -> Checkpoint:
    """Sign what the log is now.

    Args:
        key: the log's signing key.
        origin: names the log; one line.
        size: how many entries it has.
        root: the Merkle tree head over them.
        time_ms: milliseconds since the epoch.

    Raises:
        ValueError: the origin is empty or not one printable line.
    """
    if not origin.isprintable() or not origin:
        raise ValueError("an origin is one printable line")
    blank = Checkpoint(origin, size, root, time_ms, b"", key.public_key().public_bytes_raw())
    return blank._replace(signature=key.sign(blank.text()))


def sequence_of(body: str) -> int | None:
    """Read the number in a body; None where it has none.

    Args:
        body: an entry's body, of whatever origin.
    """
    value = _loads(body).get("sequence")
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def previous_of(body: str) -> bytes | None:
    """Read which hash a body says it follows; None where it says none.

    Args:
        body: an entry's body, of whatever origin.
    """
    try:
        return bytes.fromhex(_loads(body).get("previous") or "-")
    except (TypeError, ValueError):
        return None


def _loads(body: str) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _clean_string(text: str) -> str:
    if not text.isascii():
        text = _SURROGATE.sub("\ufffd", text)
    return text if len(text) <= MAX_STRING else f"{text[:MAX_STRING]}[{len(text) - MAX_STRING} more]"


def _clean_key(key: object) -> str:
    return _clean_string(str(key)[:MAX_KEY])


def _shrink(value: Any) -> Any:
    size = len(json.dumps(value))
    return value if size <= _MAX_FIELD_OF_LARGE_BODY else f"[omitted: {size} characters]"


def _escape(match: re.Match[str]) -> str:
    return "".join(f"\\u{unit:04x}" for unit in memoryview(match.group().encode("utf-16-le")).cast("H"))
