"""A migrated store on each backend, as several control planes have it open."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
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
def _postgresql(request: pytest.FixtureRequest) -> Iterator[str]:
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.database() as url:
        yield url


@contextmanager
def _sqlite(request: pytest.FixtureRequest) -> Iterator[str]:
    folder: Path = request.getfixturevalue("tmp_path")
    yield f"sqlite+aiosqlite:///{folder / 'state.db'}"


@pytest.fixture(params=[pytest.param(_sqlite, id="sqlite"), pytest.param(_postgresql, id="postgresql")])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where an empty store is."""
    with request.param(request) as made:
        yield made


@pytest.fixture
async def engines(url: str) -> AsyncIterator[list[AsyncEngine]]:
    """A migrated store, opened by several control planes."""
    async with AsyncExitStack() as stack:
        opened = [open_engine(url) for _ in range(PLANES)]
        for one in opened:
            stack.push_async_callback(close_engine, one)
        await migrate(opened[0])
        yield opened


@pytest.fixture
def engine(engines: list[AsyncEngine]) -> AsyncEngine:
    """A migrated store."""
    return engines[0]
