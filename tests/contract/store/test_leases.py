"""Leases: one holder at a time, each with a later term, and an old one that renews learns that it is over."""

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.store.leases import LeaseRepository

LONG_MS, SHORT_MS = 60_000, 400


@pytest.fixture
def everywhere(engines: list[AsyncEngine]) -> list[LeaseRepository]:
    """The leases as several control planes see them."""
    return [LeaseRepository(engine) for engine in engines]


async def test_of_many_that_ask_at_once_one_leads(everywhere: list[LeaseRepository]) -> None:
    asked = [one.take("leader", f"holder-{number}", LONG_MS) for number, one in enumerate(everywhere * 3)]
    terms = await asyncio.gather(*asked)
    assert sorted(terms, key=str) == [1, *[None] * (len(asked) - 1)]


async def test_a_lease_that_ran_out_is_taken_in_a_later_term(everywhere: list[LeaseRepository]) -> None:
    first, second = everywhere[:2]
    # Opening a connection may take longer than the short lease on a busy machine.
    assert not await second.renew("leader", 1, LONG_MS)
    assert await first.take("leader", "a", SHORT_MS) == 1
    assert await second.take("leader", "b", LONG_MS) is None
    await asyncio.sleep(SHORT_MS * 2 / 1000)
    assert await second.take("leader", "b", LONG_MS) == 2
    assert not await first.renew("leader", 1, LONG_MS)
    assert await second.renew("leader", 2, LONG_MS)
    # What is over cannot take the lease from the one who has it.
    await first.give_up("leader", 1)
    assert await first.take("leader", "a", LONG_MS) is None


async def test_a_lease_that_is_renewed_does_not_run_out(everywhere: list[LeaseRepository]) -> None:
    first, second = everywhere[:2]
    assert await first.take("leader", "a", SHORT_MS) == 1
    assert await first.renew("leader", 1, LONG_MS)
    await asyncio.sleep(SHORT_MS * 2 / 1000)
    assert await second.take("leader", "b", LONG_MS) is None


async def test_a_lease_that_is_given_up_is_free_at_once(everywhere: list[LeaseRepository]) -> None:
    first, second = everywhere[:2]
    assert await first.take("leader", "a", LONG_MS) == 1
    await first.give_up("leader", 1)
    assert await second.take("leader", "b", LONG_MS) == 2


async def test_who_knows_that_nobody_else_lives_need_not_wait(everywhere: list[LeaseRepository]) -> None:
    first = everywhere[0]
    assert await first.take("leader", "a", LONG_MS) == 1
    assert await first.take("leader", "b", LONG_MS, sure=True) == 2
