"""Compliance reports: what they count, that nothing an entry says becomes markup, and how they are kept."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solward.audit.v1 import audit_pb2 as pb
from solward.auth.v1 import auth_pb2
from solward.hosts.v1 import hosts_pb2
from sqlalchemy import text

from common.clock import now_ms
from controlplane.audit.reports.content import LONGEST, Content, Integrity, Section, shown
from controlplane.audit.reports.html import render_html
from controlplane.audit.reports.maker import ReportMaker
from controlplane.audit.reports.pdf import render_pdf
from controlplane.audit.reports.tallies import MOST_KEYS, MOST_ROWS, Counted, Listed
from controlplane.settings import ReportSettings
from tests.support.plane import Plane, Refused, control_plane
from tests.support.stream import refused

AUDIT = "solward.audit.v1.AuditService"
HOSTS = "solward.hosts.v1.HostsService"
DAY = timedelta(days=1)
INTEGRITY = Integrity("log", True, "", 1, 1, "00" * 32, "11" * 64, "2026-01-02T03:04:05.678Z", "22" * 32, 1)


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    async with control_plane(tmp_path, require_second_factor=False) as running:
        yield running


def period(begin_ms: int, end_ms: int = 0) -> pb.CreateReportRequest:
    request = pb.CreateReportRequest(format=pb.REPORT_FORMAT_JSON)
    getattr(request, "from").FromMilliseconds(begin_ms)
    if end_ms:
        request.to.FromMilliseconds(end_ms)
    return request


async def made(plane: Plane, request: pb.CreateReportRequest) -> dict[str, Any]:
    admin = await plane.sign_in()
    report = await plane.call(f"{AUDIT}/CreateReport", request, pb.Report, admin)
    data: dict[str, Any] = json.loads(report.content)
    return data


async def test_report_counts_what_was_done_and_refused(plane: Plane) -> None:
    begin = now_ms()
    admin, viewer = await plane.sign_in(), await plane.sign_in("viewer")
    await plane.add_machine(admin, "sol-1")
    revoke = hosts_pb2.RevokeHostRequest(name="hosts/sol-1", reason="maintenance")
    denied = await refused(plane.call(f"{HOSTS}/RevokeHost", revoke, hosts_pb2.Host, viewer))
    assert denied.reason == "PERMISSION_MISSING"
    await plane.call(f"{HOSTS}/RevokeHost", revoke, hosts_pb2.Host, admin)
    assert await refused(plane.login(admin, "a wrong password", "000000"))
    data = await made(plane, period(begin - 1000))
    assert data["integrity"]["intact"]
    assert data["integrity"]["public_key"] == plane.app.auditing.log.public_key.hex()
    sections = {name: section["rows"] for name, section in data["sections"].items()}
    done = {(row["User"], row["Operation"]): row["Succeeded"] for row in sections["operations"]}
    assert done[admin.name, "HostsService/RevokeHost"] == "1"
    assert [(row["By"], row["Change"], row["On"]) for row in sections["access"]][-1] == (
        admin.name, "HostsService/RevokeHost", "hosts/sol-1",
    )  # fmt: skip
    refusals = {(row["Reason"], row["Caller"], row["Method"]): row["Times"] for row in sections["refusals"]}
    assert refusals["PERMISSION_MISSING", viewer.name, "HostsService/RevokeHost"] == "1"
    (failed,) = sections["failed_logins"]
    assert (failed["Name given"], failed["Times"]) == (admin.name, "1")
    assert (data["figures"]["failed logins"], data["figures"]["logins"]) == (1, 3)
    # Another period tells of nothing, and is proved by the same log.
    empty = await made(plane, period(1, 2))
    assert (empty["integrity"]["intact"], set(empty["figures"].values())) == (True, {0})


async def test_report_of_a_log_that_was_tampered_with_says_so(plane: Plane) -> None:
    admin = await plane.sign_in()
    number = await plane.app.auditing.log.append({"principal": "alice", "reason": "x"})
    async with plane.app.records.engine.begin() as connection:
        edit = text("UPDATE audit_entries SET body = replace(body, 'alice', 'bob') WHERE sequence = :number")
        await connection.execute(edit, {"number": number})
    report = await plane.call(f"{AUDIT}/CreateReport", period(1), pb.Report, admin)
    assert not report.intact
    assert f"entry {number}: edited" in json.loads(report.content)["integrity"]["finding"]


async def test_reports_are_for_administrators_and_of_true_periods(plane: Plane) -> None:
    admin, viewer = await plane.sign_in(), await plane.sign_in("viewer")
    for who, request, reason in (
        (viewer, period(1), "PERMISSION_MISSING"), (admin, period(5, 5), "PERIOD_EMPTY"),
        (admin, pb.CreateReportRequest(), "INVALID_FIELD"),
    ):  # fmt: skip
        with pytest.raises(Refused) as caught:
            await plane.call(f"{AUDIT}/CreateReport", request, pb.Report, who)
        assert caught.value.reason == reason
    for chosen, begins in ((pb.REPORT_FORMAT_HTML, b"<!DOCTYPE html>"), (pb.REPORT_FORMAT_PDF, b"%PDF-")):
        request = period(1)
        request.format = chosen
        assert (await plane.call(f"{AUDIT}/CreateReport", request, pb.Report, admin)).content.startswith(begins)


async def test_schedule_makes_each_report_once_and_keeps_the_newest(plane: Plane, tmp_path: Path) -> None:
    folder, now = tmp_path / "reports", datetime.now(UTC)
    maker = ReportMaker(
        plane.app.auditing.log, plane.app.auditing.reports._table, ReportSettings(every_days=7, keep=2), folder
    )
    first = await maker.make_due(now)
    assert sorted(path.suffix for path in first) == [".html", ".json", ".pdf"]
    assert {path.stat().st_mode & 0o777 for path in first} == {0o640}
    assert first[0].stem == f"solward-audit-{now - 7 * DAY:%Y-%m-%d}-to-{now:%Y-%m-%d}"
    assert await maker.make_due(now + 6 * DAY) == []
    second = await maker.make_due(now + 9 * DAY)
    # It goes on where the one before ended.
    assert second[0].stem == f"solward-audit-{now:%Y-%m-%d}-to-{now + 9 * DAY:%Y-%m-%d}"
    third = await maker.make_due(now + 16 * DAY)
    assert sorted(folder.iterdir()) == sorted([*second, *third])


def content(cell: str) -> Content:
    rows = [[cell, "1"]]
    section = Section("k", cell, cell, (cell, "Times"), rows, 3)
    return Content("2026-01-01T00:00:00.000Z", "2026-02-01T00:00:00.000Z", "2026-02-01T00:00:00.000Z", cell,
                   replace(INTEGRITY, finding=cell, intact=False),
                   {"calls": 1}, [section])  # fmt: skip


class Tags(HTMLParser):
    """Counts tags and gathers text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str | None, ...]]] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


def read(page: bytes) -> Tags:
    tags = Tags()
    tags.feed(page.decode())
    return tags


PLAIN = read(render_html(content("x"))).tags
HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror='a'>",
    "&lt;b&gt;",
    "</style></title>",
    "\u202e\x1b[2J",
    "]]>",
]


@given(st.one_of(st.text(max_size=60), st.sampled_from(HOSTILE)))
def test_html_holds_no_markup_but_its_own(said: str) -> None:
    cell = shown(said)
    tags = read(render_html(content(cell)))
    assert tags.tags == PLAIN
    assert cell.strip() in tags.words


@settings(max_examples=20, deadline=None)
@given(st.one_of(st.text(max_size=200), st.sampled_from(HOSTILE)))
def test_pdf_is_written_whatever_is_said(said: str) -> None:
    page = render_pdf(content(shown(said)))
    assert page.startswith(b"%PDF-")
    assert page.rstrip().endswith(b"%%EOF")


def test_long_tables_go_over_pages() -> None:
    rows = [[f"user{number}", "OK " * 50] for number in range(200)]
    whole = content("x")
    whole.sections[:] = [Section("k", "Many", "rows", ("User", "What"), rows)]
    assert len(re.findall(rb"/Type /Page\b", render_pdf(whole))) > 3


@given(st.text())
def test_cells_are_one_bounded_line_without_tricks(said: str) -> None:
    cell = shown(said)
    assert len(cell) <= LONGEST
    assert len(cell.splitlines()) <= 1
    assert not re.search("[\x00-\x1f\x7f\u202a-\u202e]", cell)


def test_floods_cost_bounded_memory_and_are_counted() -> None:
    counted, listed = Counted(1), Listed()
    for number in range(MOST_KEYS + 100):
        counted.add((f"name{number}",), 0, "2026-01-01T00:00:00.000Z")
        listed.add("2026-01-01T00:00:00.000Z", number)
    counted.add(("name1",), 0, "2026-01-02T00:00:00.000Z")
    section = counted.section("k", "t", "a", ("Name", "Times"))
    assert section.rows[0] == ["name1", "2", "2026-01-01 00:00:00", "2026-01-02 00:00:00"]
    assert (len(section.rows), section.left_out) == (MOST_ROWS, MOST_KEYS + 100 - MOST_ROWS)
    assert listed.section("k", "t", "a", ("Time", "No")).left_out == MOST_KEYS + 100 - MOST_ROWS


async def test_log_goes_on_while_a_report_is_made(plane: Plane) -> None:
    admin = await plane.sign_in()
    task = asyncio.create_task(plane.call(f"{AUDIT}/CreateReport", period(1), pb.Report, admin))
    caller = auth_pb2.GetCallerRequest()
    while not task.done():
        assert await plane.call("solward.auth.v1.AuthService/GetCaller", caller, auth_pb2.Caller, admin)
        await plane.app.auditing.log.append({"reason": "meanwhile"})
    assert (await task).intact
