"""Tokens that are stored hashed, seeds that are stored encrypted, and passwords."""

import asyncio
import hashlib
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_HASHER = PasswordHasher()
# Verified when the user does not exist, so that the answer takes as long as for one that does.
_NOBODYS_HASH = _HASHER.hash(secrets.token_hex(16))

MIN_PASSWORD = 12


def new_token(kind: str) -> str:
    """Make an unguessable token; its prefix lets secret scanners know it."""
    return f"solward_{kind}_{secrets.token_urlsafe(32)}"


def token_hash(token: str) -> str:
    """Hash a token as the store keeps it; a random token of 256 bits needs no salt."""
    return hashlib.sha256(token.encode()).hexdigest()


async def hash_password(password: str) -> str:
    """Hash a password with argon2id, off the loop."""
    return await asyncio.to_thread(_HASHER.hash, password)


async def password_matches(stored: str | None, password: str) -> bool:
    """Compare a password with its hash in equal time, also for a user who does not exist (None)."""
    return await asyncio.to_thread(_matches, stored, password)


def _matches(stored: str | None, password: str) -> bool:
    try:
        _HASHER.verify(stored or _NOBODYS_HASH, password)
    except (Argon2Error, InvalidHashError):
        return False
    return stored is not None


def seal(key: bytes, owner: str, secret: str) -> bytes:
    """Encrypt a secret (AES-256-GCM) so that it opens for its owner's row only."""
    nonce = secrets.token_bytes(12)
    return nonce + AESGCM(key).encrypt(nonce, secret.encode(), owner.encode())


def unseal(key: bytes, owner: str, sealed: bytes, old_key: bytes | None = None) -> str:
    """Decrypt what `seal` made, with this key or the one before; InvalidTag for another owner or key."""
    try:
        return AESGCM(key).decrypt(sealed[:12], sealed[12:], owner.encode()).decode()
    except InvalidTag:
        if old_key is None:
            raise
        return AESGCM(old_key).decrypt(sealed[:12], sealed[12:], owner.encode()).decode()
