"""An export of the audit log, as an operator has it: read, and verified with the keys that were given."""

from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from common.auditlines import Record, decode
from common.auditlog import Checkpoint, Entry, Mac
from common.auditverify import Report, verify
from ctl.exits import NOT_INTACT, USAGE, fail

_KEY_BYTES = 32


def public_key(text: str) -> Ed25519PublicKey:
    """Read the log's public key."""
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != _KEY_BYTES:
        fail(f"--key is not a public key: {2 * _KEY_BYTES} hexadecimal digits are needed", USAGE)
    return Ed25519PublicKey.from_public_bytes(raw)


def check(file: Path, key: Ed25519PublicKey, held: Checkpoint | None, mac_key: bytes | None) -> Report:
    """Verify an export: by its signed heads, and entry by entry where the MAC key is known.

    A MAC key that fits no entry is of another log: that says nothing about this one.
    """
    if mac_key == b"":
        fail("the file of --mac-key-file is empty", USAGE)
    try:
        report = verify(read(file), public_key=key, held=held)
        if mac_key is None or report.entries == 0:
            return report
        if _fits_any(file, Mac(mac_key)):
            return verify(read(file), public_key=key, held=held, mac_key=mac_key)
    except ValueError as error:
        fail(f"{file}: {error}", NOT_INTACT)
    if report.ok:
        fail("this MAC key is not this log's: it fits no entry, while the signed heads hold", USAGE)
    return report


def _fits_any(file: Path, mac: Mac) -> bool:
    return any(isinstance(record, Entry) and mac.of(record.hash) == record.mac for record in read(file))


def read(file: Path) -> Iterator[Record]:
    """Read an export record by record; leaves where it is none, raises ValueError for a line that is none."""
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield decode(line)
            except ValueError as error:
                if number == 1 and not any(_is_record(later) for later in lines):
                    fail(f"{file} is not an audit export", USAGE, "ctl audit export --out FILE")
                raise ValueError(f"line {number}: {error}") from None


def _is_record(line: bytes) -> bool:
    try:
        decode(line)
    except ValueError:
        return False
    return True
