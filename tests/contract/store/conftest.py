"""A migrated store on each backend, as several control planes have it open."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.store.database import close_engine, migrate, open_engine
from tests.support.postgres import PostgresServer, postgres

PLANES = 3


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The server of this test process."""
    with postgres() as server:
        yield server


@contextmanager
def in_postgresql(request: pytest.FixtureRequest) -> Iterator[str]:
    """Make an empty database in PostgreSQL; give its URL."""
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.database() as url:
        yield url


@contextmanager
def in_sqlite(request: pytest.FixtureRequest) -> Iterator[str]:
    """Name a file for SQLite; give its URL."""
    folder: Path = request.getfixturevalue("tmp_path")
    yield f"sqlite+aiosqlite:///{folder / 'state.db'}"


@pytest.fixture(params=[pytest.param(in_sqlite, id="sqlite"), pytest.param(in_postgresql, id="postgresql")])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where an empty store is."""
    with request.param(request) as made:
        yield made


@asynccontextmanager
async def engines_at(url: str) -> AsyncIterator[list[AsyncEngine]]:
    """Migrate a store, and open it as several control planes."""
    async with AsyncExitStack() as stack:
        opened = [open_engine(url) for _ in range(PLANES)]
        for one in opened:
            stack.push_async_callback(close_engine, one)
        await migrate(opened[0])
        yield opened


@pytest.fixture
async def engines(url: str) -> AsyncIterator[list[AsyncEngine]]:
    """A migrated store, opened by several control planes."""
    async with engines_at(url) as opened:
        yield opened


@pytest.fixture
def engine(engines: list[AsyncEngine]) -> AsyncEngine:
    """A migrated store."""
    return engines[0]
