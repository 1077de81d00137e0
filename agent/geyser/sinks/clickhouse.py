"""A ClickHouse database over HTTP: how fresh its tables are, how fast they are written, and what holds them up.

Every query bears `readonly=2` and `max_execution_time`; a user whose profile is stricter still may set neither, and is
then asked without. Answers are TabSeparated. What a release or a user's grants do not have is left out.
Reference: ClickHouse's manual, "HTTP Interface" and "System Tables".
"""

import asyncio
import re
import ssl
from collections.abc import Coroutine, Sequence
from time import monotonic
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from agent.geyser.settings import ClickhouseSettings, TableSettings
from agent.geyser.sinks.base import SELDOM_S, Budget, Rate, SinkFailed, Told
from agent.probes.http1 import HttpTarget
from agent.probes.http1_reader import InvalidAnswer, TooLarge
from agent.secret_file import SettingsFileError, read_line, readable

LONGEST_ANSWER: Final = 1024 * 1024
# Tables and partitions are told of by name where the settings list none; so many of the fullest.
MOST_TABLES: Final = 50

# Parts that an insert made, merged since or not; a mutation gives a part another version than its block's.
_WRITTEN: Final = """
SELECT table, toUnixTimestamp(now()) AS now, sumIf(rows, toUnixTimestamp(modification_time) >= {since}
    AND toUnixTimestamp(modification_time) < toUnixTimestamp(now())), toUnixTimestamp(max(modification_time))
FROM system.parts WHERE database = {database} AND level = 0 AND data_version = min_block_number{tables} GROUP BY table
"""
_PARTS: Final = """
SELECT table, max(parts) FROM (
    SELECT table, partition_id, count() AS parts FROM system.parts
    WHERE active AND database = {database}{tables} GROUP BY table, partition_id
) GROUP BY table ORDER BY max(parts) DESC, table LIMIT {limit}
"""
_METRICS: Final = "SELECT metric, value FROM system.metrics WHERE metric IN ('Merge', 'DelayedInserts')"
_EVENTS: Final = "SELECT value FROM system.events WHERE event = 'RejectedInserts'"
_QUEUE: Final = "SELECT sum(queue_size) FROM system.replicas WHERE database = {database}"
_DISKS: Final = "SELECT name, free_space, total_space FROM system.disks ORDER BY name LIMIT 64"
_SIZE: Final = "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = {database}"

_CODE: Final = re.compile(rb"Code: (\d+)")
# src/Common/ErrorCodes.cpp
_READONLY: Final = 164
_KINDS: Final = {
    516: "auth", 192: "auth", 193: "auth", 194: "auth", 497: "not_allowed", _READONLY: "not_allowed",
    60: "missing", 81: "missing", 47: "missing", 16: "missing",
    159: "timeout", 160: "timeout", 209: "timeout", 202: "busy", 241: "busy", 252: "busy", 243: "full",
}  # fmt: skip
_MISSING: Final = ("missing", "not_allowed")
_BACKSLASH: Final = re.compile(r"\\(.)")
_ESCAPES: Final = {"t": "\t", "n": "\n", "r": "\r", "0": "\0", "b": "\b", "f": "\f"}


class _Refused(Exception):
    """The server answered with an error of its own."""

    def __init__(self, code: int, status: int) -> None:
        super().__init__(f"code {code}, HTTP status {status}")
        self.code = code
        self.kind = _KINDS.get(code, "auth" if status in (401, 403) else "other")


class ClickhouseSink:
    """One database.

    Raises: SettingsFileError where a file that the settings name will not do.
    """

    def __init__(self, name: str, wanted: ClickhouseSettings, budget: Budget) -> None:
        field = f"geyser.sinks.{name}.clickhouse"
        password = read_line(wanted.password_file, f"{field}.password_file") if wanted.password_file else ""
        self._wanted = wanted
        self._budget = budget
        tls = None
        if urlsplit(wanted.url).scheme == "https":
            tls = _trust(readable(wanted.ca_file, f"{field}.ca_file"), f"{field}.ca_file")
        # In headers, and not in the URL, which servers log.
        headers = {
            "X-ClickHouse-User": wanted.user, "X-ClickHouse-Key": password,
            "Content-Type": "text/plain; charset=UTF-8",
        }  # fmt: skip
        base = f"{wanted.url.rstrip('/')}/?"
        settings = {"readonly": 2, "max_execution_time": max(1, int(wanted.timeout_seconds)), "max_result_rows": 10_000}
        plain = {"default_format": "TabSeparated", "wait_end_of_query": 1}
        self._strict = HttpTarget(base + urlencode(plain), tls, headers)
        self._target = HttpTarget(base + urlencode({**plain, **settings}), tls, headers)
        self._rate = Rate()
        self._since: int | None = None
        self._without: set[str] = set()
        self._sized_at: float | None = None

    async def look(self, told: Told) -> None:
        """Look once; raises SinkFailed."""
        try:
            await self._look(told)
        except _Refused as error:
            raise SinkFailed(error.kind, str(error)) from None
        except (ArithmeticError, LookupError, ValueError) as error:
            # A page of a proxy, say, with status 200: it is no answer of ClickHouse.
            raise SinkFailed("answer", type(error).__name__) from None

    async def close(self) -> None:
        """Let the connection go."""
        self._target.close()
        self._strict.close()

    async def _look(self, told: Told) -> None:
        metrics = dict(await self._ask(_METRICS))
        told.state("merges", int(metrics.get("Merge", 0)))
        told.state("delayed_inserts", int(metrics.get("DelayedInserts", 0)))
        await self._part(told, "events", self._look_at_events(told))
        await self._part(told, "parts", self._look_at_parts(told))
        await self._part(told, "written", self._look_at_rows(told))
        for label, table in self._wanted.tables.items():
            if table.slot_column is not None:
                await self._part(told, label, self._look_at_newest(told, label, table, table.slot_column))
        await self._part(told, "replicas", self._look_at_queue(told))
        now = monotonic()
        if self._sized_at is None or now - self._sized_at >= SELDOM_S:
            self._sized_at = now
            await self._part(told, "disks", self._look_at_disks(told))
            await self._part(told, "size", self._look_at_size(told))

    async def _part(self, told: Told, name: str, part: Coroutine[Any, Any, None]) -> None:
        """Do one part of a look; one that the server does not have leaves the others, and is not missed again."""
        try:
            await part
        except _Refused as error:
            if error.kind not in _MISSING or name not in self._without:
                told.trouble(error.kind, f"{name}: {error}")
            if error.kind in _MISSING:
                self._without.add(name)
        else:
            self._without.discard(name)

    async def _look_at_events(self, told: Told) -> None:
        rows = await self._ask(_EVENTS)
        # An event that never happened is not listed.
        more = self._rate.more("rejected", int(rows[0][0]) if rows else 0, monotonic())
        told.count("rejected_inserts", more.amount if more else 0)

    async def _look_at_parts(self, told: Told) -> None:
        for table, parts in await self._ask(self._about_tables(_PARTS)):
            for label in self._labels(table):
                told.state("parts", int(parts), table=label)

    async def _look_at_rows(self, told: Told) -> None:
        """Count the rows that came in whole seconds since the last look, from the parts that brought them."""
        since = self._since
        rows = await self._ask(self._about_tables(_WRITTEN, since=since or 0))
        if not rows:
            return
        self._since = now = int(rows[0][1])
        for table, _, written, newest in rows:
            for label in self._labels(table):
                if since is not None and now > since:
                    told.state("write_rate", int(written) / (now - since), table=label)
                known = self._wanted.tables.get(label)
                if known is None or known.time_column is None:
                    told.state("commit_delay_seconds", max(0, now - int(newest)), table=label)

    async def _look_at_newest(self, told: Told, label: str, table: TableSettings, slot_column: str) -> None:
        age = "NULL"
        if table.time_column is not None:
            age = f"dateDiff('millisecond', max({_name(table.time_column)}), now64(3))"
        # Their types may allow for no value; of a table without rows there is none.
        where = _quoted(table.table, self._wanted.database)
        query = f"SELECT max({_name(slot_column)}), {age} FROM {where} HAVING count() > 0"  # noqa: S608
        for slot, late_ms in await self._ask(query):
            told.state("newest_slot", _number(slot), table=label)
            late = _number(late_ms)
            told.state("commit_delay_seconds", None if late is None else max(0.0, late / 1000), table=label)

    async def _look_at_queue(self, told: Told) -> None:
        ((queue,),) = await self._ask(_QUEUE.format(database=_text(self._wanted.database)))
        told.state("replication_queue", int(queue))

    async def _look_at_disks(self, told: Told) -> None:
        for name, free, total in await self._ask(_DISKS):
            if int(total):
                told.state("disk_free_ratio", min(1.0, int(free) / int(total)), disk=name)

    async def _look_at_size(self, told: Told) -> None:
        ((size,),) = await self._ask(_SIZE.format(database=_text(self._wanted.database)))
        told.state("bytes", int(size))

    def _about_tables(self, query: str, **more: object) -> str:
        names = sorted({table.table.rpartition(".")[2] for table in self._wanted.tables.values()})
        tables = f" AND table IN ({', '.join(map(_text, names))})" if names else ""
        return query.format(database=_text(self._wanted.database), tables=tables, limit=MOST_TABLES, **more)

    def _labels(self, table: str) -> list[str]:
        """Give the names under which a table is told of."""
        if not self._wanted.tables:
            return [table]
        return [label for label, one in self._wanted.tables.items() if one.table.rpartition(".")[2] == table]

    async def _ask(self, query: str) -> list[list[str]]:
        try:
            return await self._ask_of(self._target, query)
        except _Refused as error:
            if error.code != _READONLY or self._target is self._strict:
                raise
        # A profile with readonly=1 lets nobody set anything, and lets nobody write.
        answer = await self._ask_of(self._strict, query)
        self._target.close()
        self._target = self._strict
        return answer

    async def _ask_of(self, target: HttpTarget, query: str) -> list[list[str]]:
        try:
            with self._budget.query():
                async with asyncio.timeout(self._wanted.timeout_seconds + 1.0):
                    answer = await target.post(target.request(query.encode()), LONGEST_ANSWER)
        except TimeoutError:
            raise SinkFailed("timeout", "no answer in time") from None
        except ssl.SSLError as error:
            raise SinkFailed(
                "tls", getattr(error, "verify_message", "") or error.reason or "the handshake failed"
            ) from None
        except OSError as error:
            raise SinkFailed("unreachable", error.strerror or type(error).__name__) from None
        except TooLarge as error:
            raise SinkFailed("too_large", f"an answer of {error}") from None
        except InvalidAnswer as error:
            raise SinkFailed("answer", str(error)) from None
        if answer.status != 200:
            found = _CODE.search(answer.body[:4096])
            raise _Refused(int(found[1]) if found else 0, answer.status)
        return _rows(answer.body)


def _trust(ca_file: str | None, field: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise SettingsFileError(f"{field}: {ca_file} must hold certificates as PEM") from None


def _rows(body: bytes) -> list[list[str]]:
    text = body.decode(errors="replace")
    return [[_unescaped(value) for value in line.split("\t")] for line in text.split("\n") if line]


def _unescaped(value: str) -> str:
    if "\\" not in value:
        return value
    return _BACKSLASH.sub(lambda found: _ESCAPES.get(found[1], found[1]), value)


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        # \N: no value.
        return None


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _name(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _quoted(table: str, database: str) -> str:
    """Quote a table's name, with its database before it: the settings' own where it bears none."""
    parts: Sequence[str] = table.split(".") if "." in table else (database, table)
    return ".".join(_name(part) for part in parts)
