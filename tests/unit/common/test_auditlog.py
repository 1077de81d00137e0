"""The format: what a body may hold, what is signed, what an export line says."""

import base64
import hmac
import json
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from common import auditlines, auditlog
from common.auditlog import GENESIS, Checkpoint, Entry

KEY = b"k" * 32
MAC = auditlog.Mac(KEY)
SIGNING = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
TIME_MS = 1_767_225_600_123


def sealed(fields: dict[str, Any], sequence: int = 1, previous: bytes = GENESIS) -> Entry:
    return auditlog.seal(auditlog.prepare(fields), sequence=sequence, time_ms=TIME_MS, previous=previous, mac=MAC)


def signed(size: int = 3, origin: str = "solward.test/audit") -> Checkpoint:
    return auditlog.sign(SIGNING, origin=origin, size=size, root=b"r" * 32, time_ms=TIME_MS)


def test_body_is_canonical_and_the_hashes_are_as_written_down() -> None:
    entry = sealed({"principal": "alice", "allowed": True, "kind": None, "request": {"b": 1, "a": "é"}}, 7)
    assert entry.body == (
        '{"allowed":true,"previous":"' + "00" * 32 + '","principal":"alice",'
        '"request":{"a":"é","b":1},"sequence":7,"time":"2026-01-01T00:00:00.123Z"}'
    )
    assert entry.hash == sha256(GENESIS + entry.body.encode()).digest()
    assert entry.mac == hmac.digest(KEY, entry.hash, "sha256")
    assert entry.sequence == auditlog.sequence_of(entry.body) == 7
    assert auditlog.previous_of(entry.body) == GENESIS


@given(st.binary(min_size=1, max_size=130), st.binary())
def test_code_is_hmac_sha256(key: bytes, data: bytes) -> None:
    assert auditlog.Mac(key).of(data) == hmac.digest(key, data, "sha256")


def test_an_empty_key_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        auditlog.Mac(b"")


@pytest.mark.parametrize("name", sorted(auditlog.RESERVED))
def test_fields_of_the_log_itself_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="none named"):
        auditlog.prepare({name: "forged"})


@pytest.mark.parametrize(
    "text",
    [
        "a\r\nb",
        "\x1b[31mred\x1b[0m",
        "\x7f",
        "\x9b31m",
        "\u202egnp.exe",
        "\u2066\u2069",
        "\u200b",
        "\u2028",
        "\ufeff",
        "\U000e0041",
    ],
)
def test_what_a_terminal_would_obey_is_escaped_and_kept(text: str) -> None:
    body = sealed({"reason": text}).body
    assert body.isprintable()
    assert "\\u" in body or "\\r\\n" in body
    assert json.loads(body)["reason"] == text


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(), st.lists))
def test_any_value_becomes_one_line_of_canonical_json(value: Any) -> None:
    entry = sealed({"request": {"value": value}})
    assert not any(char < " " or "\x7f" <= char <= "\x9f" for char in entry.body)
    again = auditlog.canonical(json.loads(entry.body))
    assert again == entry.body
    assert auditlog.sequence_of(entry.body) == 1


def test_broken_unicode_does_not_break_an_entry() -> None:
    body = sealed({"peer": "x\ud800y"}).body
    assert json.loads(body)["peer"] == "x\ufffdy"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("x" * 5000, "x" * 4096 + "[904 more]"),
        (list(range(300)), [*range(256), "[44 more]"]),
        (10**100, "[a number of 333 bits]"),
        (float("nan"), "nan"),
        (1.5, 1.5),
        ({1, 2}, "{1, 2}"),
    ],
)
def test_large_and_strange_values_are_bounded(value: Any, shown: Any) -> None:
    assert json.loads(sealed({"request": value}).body)["request"] == shown


def test_large_mappings_and_deep_nesting_are_bounded() -> None:
    deep: Any = "end"
    for _ in range(5000):
        deep = [deep]
    body = json.loads(sealed({"request": {str(index): 0 for index in range(300)}, "operation": deep}).body)
    assert len(body["request"]) == 257
    assert body["request"]["..."] == "[44 more]"
    assert "nested too deeply" in json.dumps(body["operation"])


def test_a_body_has_a_greatest_size_and_keeps_its_small_fields() -> None:
    huge = {str(index): ["y" * 4000] * 8 for index in range(200)}
    entry = sealed({"principal": "alice", "request": huge})
    assert len(entry.body) < auditlog.MAX_BODY
    body = json.loads(entry.body)
    assert body["principal"] == "alice"
    assert body["request"].startswith("[omitted: ")


def test_checkpoint_text_is_as_written_down() -> None:
    root = base64.b64encode(b"r" * 32).decode()
    assert signed().text() == (f"solward-audit-v1\nsolward.test/audit\n3\n{root}\n2026-01-01T00:00:00.123Z\n".encode())


def test_checkpoint_is_signed_by_its_key_and_no_other() -> None:
    point = signed()
    assert point.signed_by(SIGNING.public_key())
    assert not point.signed_by(Ed25519PrivateKey.generate().public_key())
    assert not point._replace(size=4).signed_by(SIGNING.public_key())


@pytest.mark.parametrize("origin", ["", "two\nlines"])
def test_an_origin_is_one_line(origin: str) -> None:
    with pytest.raises(ValueError, match="one printable line"):
        signed(origin=origin)


@pytest.mark.parametrize("record", [sealed({"reason": "\u202eé"}, 12), signed(), signed(0)])
def test_an_export_line_reads_back(record: auditlines.Record) -> None:
    line = auditlines.encode(record)
    assert "\n" not in line
    assert auditlines.decode(line) == record
    assert auditlines.decode(json.dumps({"result": json.loads(line)})) == record


@pytest.mark.parametrize("time", ["2026-01-01T00:00:00.123Z", "2026-01-01T00:00:00.123000Z"])
def test_a_time_reads_in_every_spelling(time: str) -> None:
    line = json.loads(auditlines.encode(signed()))
    line["checkpoint"]["time"] = time
    point = auditlines.decode(json.dumps(line))
    assert isinstance(point, Checkpoint)
    assert point.time_ms == TIME_MS


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        "3",
        "{}",
        '{"entry":{}}',
        '{"entry":{"sequence":"x","body":""}}',
        '{"entry":{"sequence":"1","body":3}}',
        '{"entry":{"sequence":"1","body":"","hash":"*"}}',
        '{"checkpoint":{"origin":"o","time":"yesterday"}}',
    ],
)
def test_other_lines_are_refused(line: str) -> None:
    with pytest.raises(ValueError, match="not a record"):
        auditlines.decode(line)


@pytest.mark.parametrize(
    "body", ["", "[]", "{", '{"sequence":"1"}', '{"sequence":true}', '{"previous":"zz"}', "[" * 9999]
)
def test_a_tampered_body_has_no_number_and_no_predecessor(body: str) -> None:
    assert auditlog.sequence_of(body) is None
    assert auditlog.previous_of(body) is None
