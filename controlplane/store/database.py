"""The state store: one async engine, and migrations that bring its tables up to date."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, event
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from controlplane.store.postgresql import DatabaseSilent, open_postgresql
from controlplane.store.turns import take_turns

_MIGRATIONS = Path(__file__).parent / "migrations"
# SQLSTATE classes of PostgreSQL: connection exception, insufficient resources, operator intervention.
_AWAY = ("08", "53", "57P")
_NOT_NOW = ("SQLITE_BUSY", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN")


def open_engine(url: str) -> AsyncEngine:
    """Open the store; nothing is read or written yet. Its errors show neither the URL nor the values of a statement.

    Args:
        url: of SQLite as SQLAlchemy writes it, or of PostgreSQL as its own programs do.

    Raises:
        ArgumentError: it is of neither.
    """
    scheme, _, rest = url.partition("://")
    if scheme in ("postgresql", "postgres", "postgresql+asyncpg"):
        return open_postgresql(f"postgresql://{rest}")
    if scheme in ("sqlite", "sqlite+aiosqlite"):
        return _open_sqlite(f"sqlite+aiosqlite://{rest}")
    # Never the URL itself: it holds a password.
    raise ArgumentError("database_url must begin with sqlite+aiosqlite:/// or postgresql://")


def _open_sqlite(url: str) -> AsyncEngine:
    # Each connection is a thread: few are kept, and none is opened and thrown away under load.
    engine = create_async_engine(url, connect_args={"timeout": 3}, pool_size=4, max_overflow=0, hide_parameters=True)

    @event.listens_for(engine.sync_engine, "connect")
    def _pragmas(connection, _record) -> None:  # type: ignore[no-untyped-def]
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        # An audit entry that was acknowledged must survive a power cut.
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    return engine


async def migrate(engine: AsyncEngine) -> None:
    """Bring the tables to this version; refuses a store that is newer than the program."""
    async with engine.begin() as connection:
        # Several control planes may start at once: the first makes the tables, the others find them.
        await take_turns(connection, "migrations")
        await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def is_away(error: BaseException) -> bool:
    """Whether an error says that the database does not answer or has no room, and nothing of what was asked of it."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, NoConnection | DatabaseSilent)
    state, name = getattr(error.orig, "sqlstate", None) or "", getattr(error.orig, "sqlite_errorname", "")
    away = isinstance(error, InterfaceError) or error.connection_invalidated
    return away or state.startswith(_AWAY) or name.startswith(_NOT_NOW)


async def close_engine(engine: AsyncEngine) -> None:
    """Close every connection, also when the caller is being cancelled."""
    await asyncio.shield(engine.dispose())
