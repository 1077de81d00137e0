"""Leadership: one leads, another stands by, and one whose lease is over ends at once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane import leadership
from controlplane.leadership import AlreadyRuns, Leadership
from controlplane.store.database import close_engine, migrate, open_engine
from controlplane.store.leases import LeaseRepository


@pytest.fixture
async def leases(tmp_path: Path) -> AsyncIterator[LeaseRepository]:
    engine: AsyncEngine = open_engine(f"sqlite+aiosqlite:///{tmp_path / 'state.db'}")
    await migrate(engine)
    yield LeaseRepository(engine)
    await close_engine(engine)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let seconds be short, and the end of the process a word."""
    ended: list[str] = []
    for name, seconds in {"TTL_S": 0.6, "RENEW_S": 0.1, "MARGIN_S": 0.1, "ASK_S": 0.05}.items():
        monkeypatch.setattr(leadership, name, seconds)

    def end(why: str) -> None:
        ended.append(why)
        raise asyncio.CancelledError

    monkeypatch.setattr(leadership, "_end", end)
    return ended


async def test_a_folder_has_one_control_plane_and_each_start_a_later_term(
    tmp_path: Path, leases: LeaseRepository
) -> None:
    first, second = Leadership(leases, tmp_path), Leadership(leases, tmp_path)
    assert not first.leads
    async with first.held():
        assert (first.leads, first.term) == (True, 1)
        with pytest.raises(AlreadyRuns):
            await second.held().__aenter__()
    async with second.held():
        assert second.term == 2


async def test_the_second_stands_by_until_the_first_gives_up(leases: LeaseRepository, quick: list[str]) -> None:
    first, second = Leadership(leases, None), Leadership(leases, None)
    waiting = second.held()
    async with first.held():
        taking = asyncio.create_task(waiting.__aenter__())
        # Longer than a lease: it is renewed as long as its holder lives.
        await asyncio.sleep(1.0)
        assert first.leads
        assert not taking.done()
    async with asyncio.timeout(0.5):
        await taking
    assert (second.leads, second.term, first.leads) == (True, 2, False)
    await waiting.__aexit__(None, None, None)
    assert quick == []


async def test_one_that_slept_too_long_ends(leases: LeaseRepository, quick: list[str]) -> None:
    first = Leadership(leases, None)
    async with first.held():
        # Another has taken its place in the meantime.
        assert await leases.take("leader", "another", 10_000, sure=True) == 2
        await asyncio.sleep(0.3)
        assert quick == ["another control plane leads"]
        await asyncio.sleep(0.6)
        assert not first.leads
