"""Keys that change while what was made with the one before still holds: two are valid until the old one is retired."""

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.files import write_private
from controlplane.identity.installation import InstallationError, ed25519_pem, exists, key_path
from controlplane.identity.secrets import unseal
from controlplane.settings import Settings
from controlplane.store.database import close_engine, open_engine
from controlplane.store.users import UserRepository

# What is signed or sealed with each, and how a new one is made. The old token key holds for as long as a token lives,
# the old CSRF secret as long as a page is open; seeds are sealed anew at the next start.
KEYS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "token": ("access tokens", lambda: ed25519_pem(Ed25519PrivateKey.generate())),
    "seed": ("seeds of authenticators", lambda: secrets.token_hex(32).encode()),
    "csrf": ("cookies of browser sessions", lambda: secrets.token_hex(32).encode()),
}


def rotate(settings: Settings, name: str) -> str:
    """Make a new key, and keep the one before as still valid; it holds from the next start on.

    Returns: what to do next.
    Raises: InstallationError while a rotation is under way, or where there is no installation.
    """
    current, old = _paths(settings, name)
    if old.exists():
        raise InstallationError(f"the {name} key before is still valid: retire it first (keys retire {name})")
    # The old one first: a crash between the two leaves one key twice, and never none.
    write_private(old, current.read_bytes())
    write_private(current, KEYS[name][1]())
    return (
        f"a new {name} key is made ({KEYS[name][0]}), the one before stays valid.\n"
        f"Next: restart the control plane; later: solward-controlplane keys retire {name}"
    )


def retire(settings: Settings, name: str) -> str:
    """Take the key before away; what was made with it alone holds no more after the next start.

    Raises: InstallationError where no rotation is under way, or where an authenticator would be lost by it.
    """
    current, old = _paths(settings, name)
    if not old.exists():
        raise InstallationError(f"there is no {name} key before that is still valid")
    if name == "seed" and not asyncio.run(_all_sealed_anew(settings, bytes.fromhex(current.read_text()))):
        raise InstallationError("seeds are still sealed with the key before: restart the control plane first")
    old.unlink()
    return f"the {name} key before is gone: it is valid until the control plane is restarted"


def states(settings: Settings) -> list[tuple[str, str, str]]:
    """List the keys that can change: the name, what it is for, and whether the one before is still valid."""
    rows = []
    for name, (purpose, _) in KEYS.items():
        _, old = _paths(settings, name)
        rows.append((name, purpose, "two are valid" if old.exists() else "one is valid"))
    return rows


async def _all_sealed_anew(settings: Settings, key: bytes) -> bool:
    """Whether every seed opens with the key in force alone."""
    engine = open_engine(settings.database())
    try:
        users = await UserRepository(engine).all()
    finally:
        await close_engine(engine)
    sealed = [(user.uid, seed) for user in users for seed in (user.totp_seed, user.totp_pending) if seed]
    try:
        for owner, seed in sealed:
            unseal(key, owner, seed)
    except InvalidTag:
        return False
    return True


def _paths(settings: Settings, name: str) -> tuple[Path, Path]:
    if not exists(settings):
        raise InstallationError(f"{settings.data_dir} holds no installation: run solward-controlplane init first")
    return key_path(settings, name), key_path(settings, f"{name}.old")
