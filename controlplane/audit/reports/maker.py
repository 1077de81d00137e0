"""Makes compliance reports: on demand, and on a schedule into a folder."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import structlog
from solward.audit.v1 import audit_pb2 as pb

from common.errors import SolwardError
from common.files import write_whole
from controlplane.audit.log import AuditLog
from controlplane.audit.reports.collect import collect
from controlplane.audit.reports.content import Content
from controlplane.audit.reports.html import render_html
from controlplane.guard.table import PolicyTable
from controlplane.settings import ReportSettings


def _pdf(content: Content) -> bytes:
    # Few control planes ever print, and every start would wait for what it takes.
    from controlplane.audit.reports.pdf import render_pdf

    return render_pdf(content)


def _json(content: Content) -> bytes:
    return (json.dumps(content.as_data(), indent=2) + "\n").encode()


_FORMATS: dict[int, tuple[str, str, Callable[[Content], bytes]]] = {
    pb.REPORT_FORMAT_HTML: ("html", "text/html; charset=utf-8", render_html),
    pb.REPORT_FORMAT_PDF: ("pdf", "application/pdf", _pdf),
    pb.REPORT_FORMAT_JSON: ("json", "application/json", _json),
}
_LOOK_S = 3600.0
_MODE = 0o640
log = structlog.get_logger(__name__)


class Made(NamedTuple):
    """A report as a file.

    Args:
        filename: a name for it.
        content_type: what it is.
        content: its bytes.
        intact: whether the log was found to be whole.
    """

    filename: str
    content_type: str
    content: bytes
    intact: bool


class ReportMaker:
    """Makes reports of the log.

    Args:
        audit: the log.
        table: every method's policy.
        settings: how often, and how many are kept.
        folder: where they are kept.
    """

    def __init__(self, audit: AuditLog, table: PolicyTable, settings: ReportSettings, folder: Path) -> None:
        self._audit = audit
        self._table = table
        self._settings = settings
        self._folder = folder
        # A report reads the whole log: one at a time.
        self._turn = asyncio.Lock()

    async def make(self, begin_ms: int, end_ms: int, chosen: int, by: str) -> Made:
        """Make one report.

        Args:
            begin_ms: from when, milliseconds since the epoch.
            end_ms: until when, itself left out.
            chosen: the format, of ReportFormat.
            by: for whom.

        Raises:
            SolwardError: UNAVAILABLE, AUDIT_UNAVAILABLE.
        """
        return (await self._all(begin_ms, end_ms, (chosen,), by))[0]

    async def run(self) -> None:
        """Make a report whenever one is due, until cancelled; what fails is tried again."""
        while self._settings.every_days:
            try:
                await self.make_due(datetime.now(UTC))
            except (SolwardError, OSError) as error:
                log.warning("audit_report_failed", error=str(error))
            await asyncio.sleep(_LOOK_S)

    async def make_due(self, now: datetime) -> list[Path]:
        """Make the report of the last whole days, where it is due; keep the newest ones only.

        Args:
            now: the time, in UTC.

        Returns:
            The files that were written.
        """
        end = now.replace(hour=0, minute=0, second=0, microsecond=0)
        begin = await asyncio.to_thread(self._newest_end) or end - timedelta(days=self._settings.every_days)
        if end - begin < timedelta(days=self._settings.every_days):
            return []
        made = await self._all(_ms(begin), _ms(end), tuple(_FORMATS), "schedule")
        paths = [await asyncio.to_thread(self._keep, one) for one in made]
        log.info("audit_report_made", folder=str(self._folder), period=f"{begin:%Y-%m-%d} to {end:%Y-%m-%d}")
        return paths

    async def _all(self, begin_ms: int, end_ms: int, chosen: tuple[int, ...], by: str) -> list[Made]:
        async with self._turn:
            content = await collect(self._audit, self._table, begin_ms, end_ms, by)
            return [await asyncio.to_thread(_render, content, one) for one in chosen]

    def _newest_end(self) -> datetime | None:
        names = sorted(self._folder.glob("solward-audit-*-to-*.json"), key=lambda path: path.stem[-10:])
        return datetime.fromisoformat(names[-1].stem[-10:]).replace(tzinfo=UTC) if names else None

    def _keep(self, made: Made) -> Path:
        self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        path = self._folder / made.filename
        write_whole(path, made.content, _MODE)
        same = sorted(self._folder.glob(f"solward-audit-*-to-*{path.suffix}"), key=lambda one: one.stem[-10:])
        for old in same[: -self._settings.keep]:
            old.unlink(missing_ok=True)
        return path


def _render(content: Content, chosen: int) -> Made:
    suffix, content_type, render = _FORMATS[chosen or pb.REPORT_FORMAT_HTML]
    name = f"solward-audit-{content.begin[:10]}-to-{content.end[:10]}.{suffix}"
    return Made(name, content_type, render(content), content.integrity.intact)


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)
