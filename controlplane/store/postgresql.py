"""PostgreSQL as the state store: how it is reached, how long it may take, and what its errors may say."""

import os
import socket
import ssl
from collections.abc import Sequence
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import psycopg
from sqlalchemy import Dialect, create_engine, event, make_url
from sqlalchemy.engine import Engine, ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from common.breaker import Breaker, BreakerOpen

# Nothing waits for ever: neither for a server that does not answer, nor for a connection that others hold.
CONNECT_S = 5.0
# As long as the longest statement of a migration may take; callers have shorter deadlines of their own.
COMMAND_S = 30.0
POOL_S = 5.0
# One process works on one loop: a few transactions side by side keep a server busy, and ten control planes of ten
# connections each fit in the hundred that a server takes by default.
_KEPT, _MORE = 5, 5
# Workflows wait in threads, one connection for each step that is being noted.
_WORKFLOWS = 20
_SESSION = {
    "application_name": "solward-controlplane",
    # An audit entry that was acknowledged must survive a power cut.
    "synchronous_commit": "on",
    # What the repositories' statements are written for.
    "default_transaction_isolation": "read committed",
    # A control plane that hangs or has lost its network must not keep the others waiting.
    "idle_in_transaction_session_timeout": "10s",
}


class DatabaseSilent(TimeoutError):
    """The server took a statement and did not answer it in time."""


def open_postgresql(dsn: str) -> AsyncEngine:
    """Open the store on PostgreSQL; nothing is read or written yet.

    Args:
        dsn: where it is, as PostgreSQL's own programs take it: also with sslmode, sslrootcert and the like.
    """
    # Many ask at once for a database that is down: it is left alone for a moment, and never for long.
    breaker = Breaker("the database", first_s=0.25, longest_s=2.0)

    async def connect() -> asyncpg.Connection:
        try:
            breaker.before()
        except BreakerOpen as error:
            raise asyncpg.InterfaceError(str(error)) from None
        try:
            opened = await _connect(dsn)
        except (asyncpg.InterfaceError, asyncpg.PostgresError):
            breaker.failed()
            raise
        breaker.succeeded()
        return opened

    # The engine itself does not know the DSN, so that nothing that shows the engine shows the password.
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=_KEPT,
        max_overflow=_MORE,
        pool_timeout=POOL_S,
        # A server that was restarted has cut every connection: that is found out before one is used.
        pool_pre_ping=True,
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "handle_error", _mend)
    event.listen(engine.sync_engine, "engine_disposed", lambda _: breaker.close())
    return engine


def open_workflows(url: str) -> Engine:
    """Open the store of workflows on PostgreSQL, for threads; nothing is read or written yet.

    Args:
        url: as Settings.operations_database gives it.
    """
    breaker = Breaker("the workflows' database", first_s=0.25, longest_s=2.0)
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        connect_args={"connect_timeout": int(CONNECT_S), "application_name": "solward-workflows"},
        pool_size=_WORKFLOWS,
        max_overflow=0,
        pool_timeout=COMMAND_S,
        pool_pre_ping=True,
        hide_parameters=True,
    )

    def connect(dialect: Dialect, _record: object, args: Sequence[Any], values: dict[str, Any]) -> DBAPIConnection:
        try:
            breaker.before()
        except BreakerOpen as error:
            raise psycopg.OperationalError(str(error)) from None
        try:
            opened = dialect.connect(*args, **values)
        except psycopg.Error:
            breaker.failed()
            raise
        breaker.succeeded()
        return opened

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "engine_disposed", lambda _: breaker.close())
    return engine


async def _connect(dsn: str) -> asyncpg.Connection:
    try:
        return await asyncpg.connect(dsn, timeout=CONNECT_S, command_timeout=COMMAND_S, server_settings=_SESSION)
    except TimeoutError:
        raise asyncpg.InterfaceError(f"the database did not answer in {CONNECT_S:g} s") from None
    except OSError as error:
        raise asyncpg.InterfaceError(f"the database cannot be reached: {_why(error)}") from None
    except ValueError:
        # What cannot be read may be a part of a password that is not percent-encoded.
        raise asyncpg.InterfaceError("database_url is not a URL that PostgreSQL's programs would take") from None


def _why(error: OSError) -> str:
    # Not in its own words: they hold the address.
    if isinstance(error, ssl.SSLError):
        return error.reason or "TLS failed"
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    return os.strerror(error.errno) if error.errno else "no address of it answers"


def _mend(context: ExceptionContext) -> DatabaseSilent | None:
    """Take values out of an error, and give a connection up whose server did not answer."""
    error = context.original_exception
    if isinstance(error, TimeoutError):
        context.is_disconnect = True
        return DatabaseSilent(f"the database did not answer in {COMMAND_S:g} s")
    cause = error.__cause__
    if isinstance(cause, asyncpg.PostgresError):
        # "Key (name)=(bob) already exists", "Failing row contains (...)".
        for shown in (cause, error):
            vars(shown)["detail"] = None
    if isinstance(cause, asyncpg.DataError):
        # "invalid input for query argument $1: 'bob' ..."
        for shown in (cause, error, context.sqlalchemy_exception):
            if shown is not None:
                shown.args = (f"a value cannot be stored: {type(cause).__name__}", *shown.args[1:])
    return None
