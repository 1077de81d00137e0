"""Keys that change: what was made with the one before holds until it is retired."""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.exceptions import InvalidTag
from solward.auth.v1 import auth_pb2

from controlplane.__main__ import cli
from controlplane.gateway.cookies import Cookies, SessionTokens
from controlplane.identity.installation import InstallationError, create, load
from controlplane.identity.key_rotation import KEYS, retire, rotate, states
from controlplane.identity.secrets import seal, unseal
from controlplane.settings import Settings
from controlplane.store.database import close_engine, migrate, open_engine
from controlplane.store.users import UserRepository
from tests.support.plane import Person, Plane, control_plane, make_settings
from tests.support.stream import refused


async def migrated(settings: Settings) -> None:
    engine = open_engine(settings.database())
    await migrate(engine)
    await close_engine(engine)


@pytest.mark.parametrize("name", KEYS)
def test_two_are_valid_from_a_rotation_until_the_old_one_is_retired(tmp_path: Path, name: str) -> None:
    settings = make_settings(tmp_path)
    create(settings)
    asyncio.run(migrated(settings))
    keys = settings.data_dir / "keys"
    before = (keys / f"{name}.key").read_bytes()
    rotate(settings, name)
    assert (keys / f"{name}.old.key").read_bytes() == before != (keys / f"{name}.key").read_bytes()
    assert {path.stat().st_mode & 0o777 for path in keys.iterdir()} == {0o600}
    assert {row[0]: row[2] for row in states(settings)}[name] == "two are valid"
    with pytest.raises(InstallationError, match="retire it first"):
        rotate(settings, name)
    retire(settings, name)
    with pytest.raises(InstallationError, match=r"no .* key before"):
        retire(settings, name)


def test_seed_sealed_before_a_rotation_opens_and_one_of_another_installation_does_not() -> None:
    old, new = b"o" * 32, b"n" * 32
    assert unseal(new, "u", seal(old, "u", "SEED"), old) == "SEED"
    for key in (None, b"x" * 32):
        with pytest.raises(InvalidTag):
            unseal(new, "u", seal(old, "u", "SEED"), key)


def test_cookies_and_tokens_of_the_secret_before_are_taken_and_none_are_made_with_it() -> None:
    before, after = Cookies("o" * 32), Cookies("n" * 32 + "\n" + "o" * 32)
    assert after.is_csrf(before.csrf_token("s"), "s")
    assert not after.is_csrf(before.csrf_token("other"), "s")
    assert not Cookies("n" * 32).is_csrf(before.csrf_token("s"), "s")
    assert not before.is_csrf(after.csrf_token("s"), "s")
    made = after.set(SessionTokens("a.b.c", 1, "refresh", 1))
    assert made == Cookies("n" * 32).set(SessionTokens("a.b.c", 1, "refresh", 1))


async def whoami(plane: Plane, person: Person) -> auth_pb2.Caller:
    request = auth_pb2.GetCallerRequest()
    return await plane.call("solward.auth.v1.AuthService/GetCaller", request, auth_pb2.Caller, person)


async def test_people_stay_signed_in_over_a_rotation_and_seeds_are_sealed_anew(tmp_path: Path) -> None:
    async with control_plane(tmp_path) as plane:
        person = await plane.sign_in()
        settings = plane.settings
    for name in ("token", "seed"):
        rotate(settings, name)
    # Before the first start with the new key every authenticator would be lost.
    with pytest.raises(InstallationError, match="restart the control plane first"):
        await asyncio.to_thread(retire, settings, "seed")
    async with control_plane(tmp_path) as plane:
        assert (await whoami(plane, person)).username == person.name
        row = await UserRepository(plane.app.records.engine).by_uid(person.uid)
        assert row is not None
        assert unseal(load(settings).seed_key, row.uid, row.totp_seed)
    for name in ("token", "seed"):
        await asyncio.to_thread(retire, settings, name)
    async with control_plane(tmp_path) as plane:
        assert (await refused(whoami(plane, person))).reason == "TOKEN_INVALID"
        assert (await plane.login(person)).access_token


def test_command_line_says_what_to_do_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOLWARD_DATA_DIR", str(tmp_path / "cp"))
    none = CliRunner().invoke(cli, ["keys", "rotate", "token"])
    assert (none.exit_code, "run solward-controlplane init first" in none.output) == (2, True)
    create(make_settings(tmp_path))
    assert "restart the control plane" in CliRunner().invoke(cli, ["keys", "rotate", "token"]).output
    assert "two are valid" in CliRunner().invoke(cli, ["keys", "list"]).output
    assert "is gone" in CliRunner().invoke(cli, ["keys", "retire", "token"]).output
