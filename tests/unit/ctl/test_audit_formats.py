"""CEF and OCSF: whatever an entry says, a reader gets back just that, and nothing it says becomes a field or a line."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import auditlog
from common.auditlog import GENESIS, Entry, Mac
from ctl.formats import LINES
from ctl.formats.cef import escape_head, escape_value
from ctl.formats.ocsf import event_of
from ctl.output import safe

FIELDS = {
    "phase": "outcome", "principal": "alice", "kind": "user", "session": "s1", "peer": "192.0.2.17:51322", "call": "c1",
    "method": "solward.validator.v1.ValidatorService/Restart", "resource": "hosts/sol-1", "code": "OK",
}  # fmt: skip
texts = st.text(st.one_of(st.characters(), st.sampled_from("|=\\\n\r\t \x1b\u2028")), max_size=40)
UNESCAPED_BAR = re.compile(r"(?<!\\)(?:\\\\)*\|")


def entry(**fields: Any) -> Entry:
    said = auditlog.prepare(FIELDS | fields)
    return auditlog.seal(said, sequence=7, time_ms=1_700_000_000_123, previous=GENESIS, mac=Mac(b"k"))


def parse_cef(line: str) -> tuple[list[str], dict[str, str]]:
    """Read a line of CEF as a SIEM does."""
    heads: list[str] = [""]
    place = 0
    while len(heads) < 8:
        if line[place] == "\\":
            heads[-1] += line[place + 1]
            place += 1
        elif line[place] == "|":
            heads.append("")
        else:
            heads[-1] += line[place]
        place += 1
    extension: dict[str, str] = {}
    starts = [*re.finditer(r"(?:^| )([A-Za-z0-9]+)=", line[place:])]
    for start, following in zip(starts, [*starts[1:], None], strict=True):
        end = following.start() if following else len(line) - place
        value = line[place:][start.end() : end]
        extension[start[1]] = re.sub(r"\\(.)", lambda match: {"n": "\n", "r": "\r"}.get(match[1], match[1]), value)
    return heads[:7], extension


def test_cef_of_a_restart() -> None:
    heads, extension = parse_cef(LINES["cef"](entry()))
    assert heads == [
        "CEF:0", "Solward", "controlplane", "0.1.0", "solward.validator.v1.ValidatorService/Restart",
        "Restart outcome", "3",
    ]  # fmt: skip
    wanted = ("rt", "externalId", "suser", "src", "spt", "outcome", "cs1", "cs1Label")
    assert {key: extension[key] for key in wanted} == {
        "rt": "1700000000123", "externalId": "7", "suser": "alice", "src": "192.0.2.17", "spt": "51322",
        "outcome": "success", "cs1": "hosts/sol-1", "cs1Label": "resource",
    }  # fmt: skip


@given(texts, texts, texts)
def test_cef_reads_back_what_was_said(who: str, message: str, method: str) -> None:
    line = LINES["cef"](entry(principal=who, message=message, method=method, allowed=False, reason="NO"))
    assert len(line.splitlines()) == 1
    assert safe(line) == line
    heads, extension = parse_cef(line)
    assert (len(heads), heads[6], extension["outcome"]) == (7, "6", "failure")
    for name, said in (("suser", who), ("msg", message)):
        kept = (
            safe(said.replace("\r", "\ufff0").replace("\n", "\ufff1")).replace("\ufff0", "\r").replace("\ufff1", "\n")
        )
        assert extension.get(name, "").rstrip(" ") == kept.rstrip(" ") or not said
    assert extension["externalId"] == "7"


@given(texts)
def test_escapes_of_cef_leave_no_bare_mark(text: str) -> None:
    assert "\n" not in escape_head(text) + escape_value(text)
    assert "\r" not in escape_head(text) + escape_value(text)
    assert re.fullmatch(r"(?:[^\\|]|\\[\\|])*", escape_head(text), re.DOTALL)
    assert re.fullmatch(r"(?:[^\\=]|\\[\\=nr])*", escape_value(text), re.DOTALL)


def whole(text: str) -> str:
    """Give a text as the log keeps it: half a character becomes U+FFFD."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


@given(texts, texts)
def test_ocsf_is_one_line_of_json_that_says_the_same(who: str, message: str) -> None:
    line = LINES["ocsf"](entry(principal=who, message=message))
    assert line.isascii()
    assert line.isprintable()
    event = json.loads(line)
    assert event.get("message", "") == whole(message)
    assert event["actor"]["user"]["name"] == (whole(who) or "nobody")


@pytest.mark.parametrize(
    ("fields", "kind", "activity", "status", "severity"),
    [
        ({}, 6003, 99, 1, 1),
        ({"method": "solward.hosts.v1.HostsService/CreateJoinToken"}, 6003, 1, 1, 1),
        ({"method": "solward.audit.v1.AuditService/ListEntries", "phase": "call"}, 6003, 2, 1, 1),
        ({"method": "solward.auth.v1.AuthService/Login"}, 3002, 1, 1, 1),
        ({"method": "solward.auth.v1.AuthService/Login", "code": "UNAUTHENTICATED"}, 3002, 1, 2, 3),
        ({"method": "solward.auth.v1.AuthService/Logout"}, 3002, 2, 1, 1),
        ({"method": "solward.auth.v1.AccessService/ResetSecondFactor"}, 3001, 4, 1, 1),
        ({"method": "solward.auth.v1.AccessService/InviteUser"}, 3001, 1, 1, 1),
        ({"allowed": False, "code": "PERMISSION_DENIED", "reason": "PERMISSION_MISSING"}, 6003, 99, 2, 3),
        ({"allowed": False, "reason": "SECOND_FACTOR_REQUIRED"}, 6003, 99, 2, 2),
        ({"method": "hosts.quarantine", "phase": "event", "code": "QUARANTINED"}, 6003, 99, 2, 5),
        ({"method": "audit.prune"}, 6003, 99, 1, 4),
    ],
)
def test_ocsf_classes(fields: dict[str, Any], kind: int, activity: int, status: int, severity: int) -> None:
    event = event_of(entry(**fields))
    assert (event["class_uid"], event["activity_id"], event["status_id"], event["severity_id"]) == (
        kind, activity, status, severity,
    )  # fmt: skip
    assert event["type_uid"] == kind * 100 + activity
    assert event["category_uid"] == kind // 1000
    assert event["metadata"]["uid"] == "7"
    assert event["src_endpoint"] == {"ip": "192.0.2.17", "port": 51322}
    assert event["time"] == 1_700_000_000_123
    assert ("api" in event, "user" in event) == (kind == 6003, kind != 6003)


def test_ocsf_and_cef_without_a_peer_and_with_ipv6() -> None:
    assert event_of(entry(peer=""))["src_endpoint"] == {"name": "unknown"}
    assert event_of(entry(peer="[2001:db8::1]:99"))["src_endpoint"] == {"ip": "2001:db8::1", "port": 99}
    _, extension = parse_cef(LINES["cef"](entry(peer="[2001:db8::1]:99")))
    assert (extension["c6a2"], extension["c6a2Label"], extension["spt"]) == ("2001:db8::1", "Source IPv6 Address", "99")


@pytest.mark.parametrize("body", ["", "[]", "{", '{"time":5,"peer":{},"code":[1]}', '{"time":"x","principal":null}'])
def test_damaged_entries_are_written_all_the_same(body: str) -> None:
    for write in LINES.values():
        assert "\n" not in write(Entry(7, body, b"h", b"m"))
