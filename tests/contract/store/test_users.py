"""Users and their sessions: what counts is counted once, however many ask."""

import asyncio
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.store.users import User, UserRepository

TRIES = 9


@pytest.fixture
async def everywhere(engines: list[AsyncEngine]) -> list[UserRepository]:
    """The users, of whom bob is one, as several control planes see them."""
    repositories = [UserRepository(engines[number % len(engines)]) for number in range(TRIES)]
    assert not await repositories[0].any()
    await repositories[0].add(uid="u", name="bob", password_hash="$argon2 ☀", totp_seed=b"\0\xff", role="admin", now=1)
    return repositories


@pytest.fixture
def users(everywhere: list[UserRepository]) -> UserRepository:
    return everywhere[0]


async def test_user_is_found_by_name_and_uid(users: UserRepository) -> None:
    bob = User("u", "bob", "$argon2 ☀", b"\0\xff", "admin", False, 0, 0, created_ms=1)
    assert [await users.by_name("bob"), await users.by_uid("u")] == [bob, bob]
    assert [await users.by_name("Bob"), await users.by_name("u"), await users.by_uid("bob")] == [None] * 3
    assert await users.any()


async def test_name_is_taken_once_however_many_try(everywhere: list[UserRepository]) -> None:
    row: dict[str, Any] = {
        "name": "carol",
        "password_hash": "",
        "totp_seed": bytes(1_000_000),
        "role": "viewer",
        "now": 1,
    }
    tries = (one.add(uid=f"c{number}", **row) for number, one in enumerate(everywhere))
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(map(type, results), key=str) == [type(None)] + [IntegrityError] * (TRIES - 1)
    carol = await everywhere[0].by_name("carol")
    assert carol is not None
    assert carol.uid == f"c{results.index(None)}"
    assert carol.totp_seed == row["totp_seed"]


async def test_time_step_is_taken_once_and_never_backwards(everywhere: list[UserRepository]) -> None:
    step = 2**40
    assert (await asyncio.gather(*(one.take_step("u", step) for one in everywhere))).count(True) == 1
    assert not await everywhere[0].take_step("u", step - 1)
    assert await everywhere[0].take_step("u", step + 1)
    assert not await everywhere[0].take_step("nobody", step + 2)


async def test_attempts_side_by_side_are_each_counted_until_the_lock(everywhere: list[UserRepository]) -> None:
    users = everywhere[0]
    tries = [one.take_attempt("u", 100, lambda failed: 50 if failed >= 5 else 0) for one in everywhere * 2]
    assert (await asyncio.gather(*tries)).count(True) == 5
    assert not await users.take_attempt("u", 149, lambda _: 0)
    assert await users.take_attempt("u", 150, lambda _: 0)
    assert not await users.take_attempt("nobody", 150, lambda _: 0)
    bob = await users.by_uid("u")
    assert bob is not None
    assert (bob.failed_logins, bob.locked_until_ms) == (6, 150)
    await users.set_failures("u", 0, 0)
    bob = await users.by_uid("u")
    assert bob is not None
    assert (bob.failed_logins, bob.locked_until_ms) == (0, 0)


async def test_of_two_who_leave_a_role_at_once_one_stays(everywhere: list[UserRepository]) -> None:
    await everywhere[0].add(uid="v", name="dave", password_hash="", totp_seed=b"1", role="admin", now=1)
    left = await asyncio.gather(
        *(one.set_unless_last("uv"[number % 2], "admin", role="viewer") for number, one in enumerate(everywhere))
    )
    assert not all(left)
    assert sorted(user.role for user in await everywhere[0].all()) == ["admin", "viewer"]
    # Who cannot sign in is nobody to count on, and may always be changed.
    await everywhere[0].add(uid="w", name="erin", password_hash="", totp_seed=b"", role="admin", now=1)
    admin = next(user for user in await everywhere[0].all() if user.role == "admin" and user.has_second_factor)
    assert not await everywhere[0].set_unless_last(admin.uid, "admin", disabled=True)
    assert await everywhere[0].set_unless_last("w", "admin", disabled=True)
