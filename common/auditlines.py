"""The lines of an export of the audit log, one record each; no input, no output."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from common.auditlog import Checkpoint, Entry, rfc3339
from common.auditprune import Prune

Record = Entry | Checkpoint | Prune
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def encode(record: Record) -> str:
    """Write a record as one line of JSON, as the REST export does.

    Args:
        record: an entry, checkpoint or prune record.
    """
    if isinstance(record, Entry):
        entry = {
            "sequence": str(record.sequence),
            "body": record.body,
            "hash": _text(record.hash),
            "mac": _text(record.mac),
        }
        return json.dumps({"entry": entry}, separators=(",", ":"))
    if isinstance(record, Prune):
        return json.dumps({"prune": _prune_fields(record)}, separators=(",", ":"))
    point = {
        "origin": record.origin,
        "size": str(record.size),
        "root": _text(record.root),
        "time": rfc3339(record.time_ms),
        "signature": _text(record.signature),
        "publicKey": _text(record.public_key),
    }
    return json.dumps({"checkpoint": point}, separators=(",", ":"))


def decode(line: str | bytes) -> Record:
    """Read a line of an export: of `encode`, or of the REST stream, which wraps it as {"result": ...}.

    Args:
        line: one line.

    Raises:
        ValueError: it is not a record.
    """
    try:
        value = json.loads(line)
        value = value.get("result", value)
        if "entry" in value:
            return _entry_of(value["entry"])
        return _prune_of(value["prune"]) if "prune" in value else _checkpoint_of(value["checkpoint"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a record of an audit export: {error}") from error


def _entry_of(value: Mapping[str, Any]) -> Entry:
    body = value["body"]
    if not isinstance(body, str):
        raise TypeError("a body is a string")
    return Entry(int(value["sequence"]), body, _bytes_of(value, "hash"), _bytes_of(value, "mac"))


def _checkpoint_of(value: Mapping[str, Any]) -> Checkpoint:
    return Checkpoint(
        origin=str(value["origin"]),
        size=int(value.get("size", 0)),
        root=_bytes_of(value, "root"),
        time_ms=_time_of(value["time"]),
        signature=_bytes_of(value, "signature"),
        public_key=_bytes_of(value, "publicKey"),
    )


def _prune_fields(prune: Prune) -> dict[str, Any]:
    return {
        "origin": prune.origin,
        "first": str(prune.first),
        "size": str(prune.size),
        "root": _text(prune.root),
        "chain": _text(prune.chain),
        "peaks": [_text(peak) for peak in prune.peaks],
        "by": prune.by,
        "time": rfc3339(prune.time_ms),
        "signature": _text(prune.signature),
        "publicKey": _text(prune.public_key),
    }


def _prune_of(value: Mapping[str, Any]) -> Prune:
    return Prune(
        origin=str(value["origin"]),
        first=int(value["first"]),
        size=int(value["size"]),
        root=_bytes_of(value, "root"),
        chain=_bytes_of(value, "chain"),
        peaks=tuple(base64.b64decode(peak, validate=True) for peak in value["peaks"]),
        by=str(value["by"]),
        time_ms=_time_of(value["time"]),
        signature=_bytes_of(value, "signature"),
        public_key=_bytes_of(value, "publicKey"),
    )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _time_of(text: str) -> int:
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)


def _bytes_of(value: Mapping[str, Any], name: str) -> bytes:
    return base64.b64decode(value.get(name, ""), validate=True)
