"""First set-up: an installation, its store, and the first administrator."""

import asyncio
import uuid

import pyotp
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from common.clock import now_ms
from common.names import HOST_ID
from controlplane.identity.authenticators import otpauth_uri, qr_text
from controlplane.identity.installation import Installation, InstallationError, create, exists, load
from controlplane.identity.secrets import MIN_PASSWORD, hash_password, seal
from controlplane.settings import Settings
from controlplane.store.database import close_engine, migrate, open_engine
from controlplane.store.users import UserRepository


class SetupError(Exception):
    """Why nothing was set up; the message says what to do."""


def run(settings: Settings, admin: str, password: str) -> str:
    """Set up a new installation.

    Returns: what the administrator must be shown: the authenticator's QR code and its key.
    Raises: SetupError; an installation that exists is left as it is.
    """
    _refuse_bad(admin, password)
    refuse_second(settings)
    # The store first: an installation whose store cannot be had must leave nothing behind.
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if asyncio.run(_has_users(settings)):
            raise SetupError("the database already has users of an installation; nothing was changed")
        installation = create(settings)
    except (InstallationError, OSError) as error:
        raise SetupError(str(error)) from error
    except (SQLAlchemyError, ImportError) as error:
        raise SetupError(f"database_url cannot be used, and nothing was made: {_words(error)}") from None
    shown = asyncio.run(_add_user(settings, installation, admin, password, "admin"))
    return (
        f"{shown}\n"
        f"Certificate authority: {settings.data_dir / 'pki' / 'ca.pem'}  (give it to operators and agents)\n"
        f"Next: solward-controlplane serve"
    )


def refuse_second(settings: Settings) -> None:
    """Raise SetupError over an installation that is there already."""
    if exists(settings):
        raise SetupError(
            f"{settings.data_dir} already holds an installation; nothing was changed. "
            "To begin anew, move that folder away: its keys cannot be made again."
        )


def add_person(settings: Settings, name: str, password: str, role: str) -> str:
    """Add a local user to an installation.

    Returns: what the user must be shown.
    Raises: SetupError.
    """
    _refuse_bad(name, password)
    try:
        return asyncio.run(_add_user(settings, load(settings), name, password, role))
    except InstallationError as error:
        raise SetupError(str(error)) from error
    except IntegrityError:
        raise SetupError(f"there is a user {name} already") from None


def _words(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    return str(cause).strip().partition("\n")[0]


async def _has_users(settings: Settings) -> bool:
    engine = open_engine(settings.database())
    try:
        await migrate(engine)
        return await UserRepository(engine).any()
    finally:
        await close_engine(engine)


def _refuse_bad(name: str, password: str) -> None:
    if not HOST_ID.fullmatch(name):
        raise SetupError("a user's name must be lower-case letters, digits and hyphens")
    if len(password) < MIN_PASSWORD:
        raise SetupError(f"the password must have at least {MIN_PASSWORD} characters")


async def _add_user(settings: Settings, installation: Installation, name: str, password: str, role: str) -> str:
    seed = pyotp.random_base32()
    engine = open_engine(settings.database())
    try:
        await migrate(engine)
        uid = uuid.uuid4().hex
        await UserRepository(engine).add(
            uid=uid,
            name=name,
            password_hash=await hash_password(password),
            totp_seed=seal(installation.seed_key, uid, seed),
            role=role,
            now=now_ms(),
        )
    finally:
        await close_engine(engine)
    return _authenticator(settings, name, seed)


def _authenticator(settings: Settings, name: str, seed: str) -> str:
    return (
        f"{qr_text(otpauth_uri(seed, name, settings.trust_domain))}\n"
        f"Scan this with the authenticator of {name}, or type its key: {seed}\n"
        f"It is shown this once.\n"
    )
