"""A PostgreSQL database: how fresh its tables are, how fast they are written, and what holds them up.

The session is read-only and each statement has a timeout. No query reads a table but by an index on its slot; what a
role may not see is left out: `pg_monitor` sees everything that is asked for. Statistics are those of PostgreSQL's
manual, "The Cumulative Statistics System"; 12 and later have all that is used.
"""

import asyncio
import ssl
from collections.abc import Mapping
from time import monotonic
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import asyncpg  # type: ignore[import-untyped]

from agent.geyser.settings import PostgresqlSettings, TableSettings
from agent.geyser.sinks.base import SELDOM_S, Budget, Rate, SinkFailed, Told
from agent.secret_file import SettingsFileError, read_line

# Tables of solana-accountsdb-plugin-postgres (scripts/create_schema.sql). `account` has no index on its slot.
PLUGIN_TABLES: Final = {
    "slot": TableSettings("slot", "slot", "updated_on", time_is_utc_naive=True),
    "block": TableSettings("block", "slot", "updated_on", time_is_utc_naive=True),
    "transaction": TableSettings("transaction", "slot", "updated_on", time_is_utc_naive=True),
    "account": TableSettings("account"),
}
OLDEST: Final = 120000
# A standby that is looked at itself.
SELF: Final = "self"

# The oid of a table, and for a slot column whether a whole index begins with it: other looks would read the table.
_TABLE: Final = """
SELECT c.oid::bigint AS oid, EXISTS (
    SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND a.attname = $2
) AS indexed
FROM pg_class c WHERE c.oid = to_regclass($1) AND c.relkind IN ('r', 'p', 'm', 'f')
"""
# Partitions are counted with their parent.
_ROWS: Final = """
SELECT root::bigint AS oid, sum(s.n_tup_ins + s.n_tup_upd)::bigint AS written,
       sum(s.n_live_tup)::bigint AS live, sum(s.n_dead_tup)::bigint AS dead
FROM unnest($1::bigint[]) AS root
CROSS JOIN LATERAL (
    SELECT root::oid AS relid UNION SELECT p.relid::oid FROM pg_partition_tree(root::oid::regclass) p
) part
JOIN pg_stat_all_tables s ON s.relid = part.relid
GROUP BY root
"""
_SERVER: Final = """
SELECT pg_is_in_recovery() AS standby,
       (SELECT sum(numbackends) FROM pg_stat_database)::float8
           / current_setting('max_connections')::float8 AS connections,
       a.lock_waits, a.longest
FROM (
    SELECT count(*) FILTER (WHERE wait_event_type = 'Lock') AS lock_waits,
           max(extract(epoch FROM clock_timestamp() - xact_start))::float8 AS longest
    FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
) a
"""
_REPLICAS: Final = """
SELECT pid, application_name AS name, host(client_addr) AS address,
       pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::float8 AS bytes,
       extract(epoch FROM replay_lag)::float8 AS seconds
FROM pg_stat_replication WHERE replay_lsn IS NOT NULL ORDER BY application_name, client_addr, pid LIMIT 64
"""
# The last replayed transaction grows old while nothing is written: it counts only while there is more to replay.
_STANDBY: Final = """
SELECT pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::float8 AS bytes,
       extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 AS seconds
"""
_SIZE: Final = "SELECT pg_database_size(current_database()) AS bytes"

_KINDS: Final = {
    "28": "auth",
    "3D": "missing",
    "42501": "not_allowed",
    "42": "missing",
    "53100": "full",
    "53": "busy",
    "57014": "timeout",
    "57P": "unreachable",
    "40": "busy",
    "55P03": "timeout",
    "08": "unreachable",
    "25": "not_allowed",
}


class PostgresqlSink:
    """One database.

    Raises: SettingsFileError where the file of its URL will not do.
    """

    def __init__(self, name: str, wanted: PostgresqlSettings, budget: Budget) -> None:
        field = f"geyser.sinks.{name}.postgresql.url_file"
        self._url = read_line(wanted.url_file, field)
        if not self._url.startswith(("postgresql://", "postgres://")):
            raise SettingsFileError(f"{field}: {wanted.url_file} must hold postgresql://USER:PASSWORD@HOST/DATABASE")
        if not _keeps_secret(self._url):
            raise SettingsFileError(
                f"{field}: the URL in {wanted.url_file} must end in ?sslmode=verify-full (or require) for a server on "
                "another host: by default the password would go in clear to one that takes no TLS"
            )
        self._wanted = wanted
        self._budget = budget
        self._connection: asyncpg.Connection | None = None
        self._tables: dict[str, _Table] = {}
        self._missing: dict[str, str] = {}
        self._rate = Rate()
        self._sized_at: float | None = None

    async def look(self, told: Told) -> None:
        """Look once; raises SinkFailed."""
        try:
            async with asyncio.timeout(self._wanted.timeout_seconds * 4):
                connection = self._connection or await self._connect()
                await self._look(connection, told)
        except SinkFailed:
            raise
        except (
            OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError,
            ArithmeticError, AttributeError, LookupError, TypeError, ValueError,
        ) as error:  # fmt: skip
            # The last ones are what the driver raises over an answer that is none.
            failed = _failed(error)
            if not isinstance(error, asyncpg.PostgresError) or failed.kind in ("unreachable", "auth"):
                await self.close()
            raise failed from None

    async def close(self) -> None:
        """Let the connection go."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _connect(self) -> asyncpg.Connection:
        ms = str(int(self._wanted.timeout_seconds * 1000))
        made = await asyncpg.connect(
            self._url,
            timeout=self._wanted.timeout_seconds,
            command_timeout=self._wanted.timeout_seconds + 1.0,
            # A pooler in between may hand each statement to another session.
            statement_cache_size=0,
            server_settings={
                "application_name": "solward-agent", "default_transaction_read_only": "on",
                "statement_timeout": ms, "lock_timeout": ms, "idle_in_transaction_session_timeout": ms,
            },
        )  # fmt: skip
        self._connection = made
        self._tables, self._missing, self._sized_at = {}, {}, None
        version = int((await self._ask(made, "SELECT current_setting('server_version_num') AS number"))[0]["number"])
        if version < OLDEST:
            raise SinkFailed("other", f"version {version // 10000} of PostgreSQL is too old; 12 is the least")
        return made

    async def _look(self, connection: asyncpg.Connection, told: Told) -> None:
        (server,) = await self._ask(connection, _SERVER)
        told.state("connections_ratio", server["connections"])
        told.state("lock_waits", server["lock_waits"])
        told.state("longest_transaction_seconds", server["longest"] or 0.0)
        await self._part(told, self._look_at_replicas(connection, told, standby=server["standby"]))
        await self._find_tables(connection, told)
        await self._part(told, self._look_at_rows(connection, told))
        for label, table in self._tables.items():
            if table.query:
                await self._part(told, self._look_at_newest(connection, told, label, table.query))
        now = monotonic()
        if self._sized_at is None or now - self._sized_at >= SELDOM_S:
            self._sized_at = now
            await self._part(told, self._look_at_size(connection, told))

    async def _part(self, told: Told, part: Any) -> None:
        """Do one part of a look; a statement that fails leaves the others."""
        try:
            await part
        except asyncpg.PostgresError as error:
            failed = _failed(error)
            if failed.kind == "unreachable":
                raise
            told.trouble(failed.kind, failed.message)

    async def _look_at_replicas(self, connection: asyncpg.Connection, told: Told, *, standby: bool) -> None:
        if standby:
            (own,) = await self._ask(connection, _STANDBY)
            behind = own["bytes"] is None or own["bytes"] > 0
            told.state("replication_lag_seconds", own["seconds"] if behind else 0.0, replica=SELF)
            told.state("replication_lag_bytes", own["bytes"], replica=SELF)
            return
        rows = await self._ask(connection, _REPLICAS)
        names = [row["name"] for row in rows]
        for row in rows:
            # Those of one name, as standbys bear by default, are told apart by where they are.
            alone = names.count(row["name"]) == 1
            name = row["name"] if alone else f"{row['name']}@{row['address'] or row['pid']}"
            told.state(
                "replication_lag_seconds", row["seconds"] if row["bytes"] and row["seconds"] else 0.0, replica=name
            )
            told.state("replication_lag_bytes", max(0.0, row["bytes"]), replica=name)

    async def _find_tables(self, connection: asyncpg.Connection, told: Told) -> None:
        """Look up the tables that are not known yet: one may be made later."""
        for label, wanted in (self._wanted.tables or PLUGIN_TABLES).items():
            if label in self._tables:
                continue
            found = await self._ask(connection, _TABLE, _quoted(wanted.table), wanted.slot_column or "")
            if not found:
                if self._wanted.tables:
                    told.trouble("missing", f"there is no table {wanted.table}, or the role may not see it")
                continue
            query = _newest(wanted)
            if query and not found[0]["indexed"]:
                told.trouble("missing", f"table {wanted.table} has no index that begins with {wanted.slot_column}: "
                             "its newest slot is not asked for; make one, or leave slot_column out")  # fmt: skip
                query = ""
            self._tables[label] = _Table(found[0]["oid"], query)

    async def _look_at_rows(self, connection: asyncpg.Connection, told: Told) -> None:
        labels = {table.oid: label for label, table in self._tables.items()}
        if not labels:
            return
        rows: Mapping[int, Any] = {row["oid"]: row for row in await self._ask(connection, _ROWS, list(labels))}
        now = monotonic()
        for oid, label in labels.items():
            row = rows.get(oid)
            if row is None:
                # Dropped, and maybe made anew.
                del self._tables[label]
                continue
            more = self._rate.more(f"{oid}", row["written"], now)
            told.state("write_rate", more.rate if more else None, table=label)
            whole = row["live"] + row["dead"]
            told.state("dead_ratio", row["dead"] / whole if whole else 0.0, table=label)

    async def _look_at_newest(self, connection: asyncpg.Connection, told: Told, label: str, query: str) -> None:
        for row in await self._ask(connection, query):
            told.state("newest_slot", row["slot"], table=label)
            told.state("commit_delay_seconds", None if row["age"] is None else max(0.0, row["age"]), table=label)

    async def _look_at_size(self, connection: asyncpg.Connection, told: Told) -> None:
        (size,) = await self._ask(connection, _SIZE)
        told.state("bytes", size["bytes"])

    async def _ask(self, connection: asyncpg.Connection, query: str, *arguments: Any) -> list[Any]:
        with self._budget.query():
            return list(await connection.fetch(query, *arguments))


class _Table:
    def __init__(self, oid: int, query: str) -> None:
        self.oid = oid
        self.query = query


def _newest(table: TableSettings) -> str:
    """Write the query for a table's newest row, by the index on its slot."""
    if table.slot_column is None:
        return ""
    slot = _name(table.slot_column)
    age = "NULL"
    if table.time_column is not None:
        clock = "clock_timestamp() AT TIME ZONE 'utc'" if table.time_is_utc_naive else "clock_timestamp()"
        age = f"extract(epoch FROM ({clock}) - {_name(table.time_column)})::float8"
    return (
        f"SELECT {slot}::bigint AS slot, {age} AS age FROM {_quoted(table.table)}"  # noqa: S608 -- names are quoted
        f" WHERE {slot} IS NOT NULL ORDER BY {slot} DESC LIMIT 1"
    )


def _quoted(table: str) -> str:
    """Quote a table's name, with its schema's before it or without."""
    return ".".join(_name(part) for part in table.split("."))


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _keeps_secret(url: str) -> bool:
    """Whether a URL's password can go nowhere in clear: to this host itself, or by TLS alone."""
    parts = urlsplit(url)
    asked = parse_qs(parts.query)
    hosts = [one.rpartition("@")[2] for one in parts.netloc.rpartition("@")[2].split(",")] + asked.get("host", [])
    near = all(_near(one) for one in hosts if one)
    return near or asked.get("sslmode", ["prefer"])[-1] in ("require", "verify-ca", "verify-full")


def _near(address: str) -> bool:
    if address.startswith("/"):
        return True
    return urlsplit(f"//{address}").hostname in ("localhost", "127.0.0.1", "::1")


def _failed(error: Exception) -> SinkFailed:
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        kind = next((_KINDS[state[:size]] for size in (5, 3, 2) if state[:size] in _KINDS), "other")
        # A server's words may quote what it was sent: the state and what it is called say enough.
        return SinkFailed(kind, f"{type(error).__name__} ({state})")
    if isinstance(error, ssl.SSLError):
        return SinkFailed("tls", error.reason or "the handshake failed")
    if isinstance(error, TimeoutError):
        return SinkFailed("timeout", "no answer in time")
    if isinstance(error, OSError):
        if "SSL" in str(error):
            return SinkFailed("tls", "the server takes no TLS")
        return SinkFailed("unreachable", error.strerror or type(error).__name__)
    if isinstance(error, asyncpg.InterfaceError):
        return SinkFailed("unreachable", type(error).__name__)
    return SinkFailed("answer", type(error).__name__)
