"""One installation: its keys and certificates on disk, made once by `init` and loaded by `serve`."""

import datetime as dt
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.files import write_private
from controlplane.identity.authorities import AuthorityStore
from controlplane.identity.authorities import private as _read
from controlplane.identity.ca import CertificateAuthority
from controlplane.identity.live import LivePki
from controlplane.settings import Settings


class InstallationError(Exception):
    """An installation that cannot be made or used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Installation:
    """Everything secret of one control plane; it never leaves the process or the 0600 files."""

    pki: LivePki
    permit_key: Ed25519PrivateKey
    token_key: Ed25519PrivateKey
    checkpoint_key: Ed25519PrivateKey
    audit_key: bytes = field(repr=False)
    seed_key: bytes = field(repr=False)
    gateway_secret: str = field(repr=False)
    # A second line holds the one before, which is still taken.
    csrf_secret: str = field(repr=False)
    # What was signed and sealed before a rotation still holds.
    old_token_key: Ed25519PrivateKey | None = None
    old_seed_key: bytes | None = field(default=None, repr=False)

    @property
    def ca(self) -> CertificateAuthority:
        """The authority that issues now."""
        return self.pki.issuing


def exists(settings: Settings) -> bool:
    """Whether an installation was begun in the data folder."""
    return (settings.data_dir / "keys").exists() or (settings.data_dir / "pki").exists()


def create(settings: Settings) -> Installation:
    """Make the authority and every key.

    Raises: InstallationError over an existing installation, which is left as it is.
    """
    if exists(settings):
        raise InstallationError(f"{settings.data_dir} already holds an installation; nothing was changed")
    for folder in (settings.data_dir, settings.data_dir / "pki", settings.data_dir / "keys"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    authority_store(settings).create(settings.trust_domain)
    for name in ("permit", "token", "checkpoint"):
        write_private(key_path(settings, name), ed25519_pem(Ed25519PrivateKey.generate()))
    for name in ("audit", "seed", "gateway", "csrf"):
        write_private(key_path(settings, name), secrets.token_hex(32).encode())
    return load(settings)


def load(settings: Settings) -> Installation:
    """Load the installation; the server's certificate is issued anew at every start.

    Raises: InstallationError where it is missing, incomplete or readable by others.
    """
    if not exists(settings):
        raise InstallationError(f"{settings.data_dir} holds no installation: run solward-controlplane init first")
    try:
        permit_key = _ed25519(_read(key_path(settings, "permit")))
        server_life = dt.timedelta(days=settings.server_certificate_days)
        given = settings.audit_signing_key
        csrf = settings.csrf_secret
        return Installation(
            pki=LivePki(authority_store(settings), settings.server_names, permit_key, server_life),
            permit_key=permit_key,
            token_key=_ed25519(_read(key_path(settings, "token"))),
            checkpoint_key=_ed25519(_read(key_path(settings, "checkpoint"))),
            audit_key=given.get_secret_value().encode() if given else _read(key_path(settings, "audit")),
            seed_key=bytes.fromhex(_read(key_path(settings, "seed")).decode()),
            gateway_secret=_read(key_path(settings, "gateway")).decode(),
            csrf_secret=csrf.get_secret_value() if csrf else _csrf_secret(settings),
            old_token_key=_ed25519(old) if (old := _old(settings, "token")) else None,
            old_seed_key=bytes.fromhex(old.decode()) if (old := _old(settings, "seed")) else None,
        )
    except (OSError, ValueError) as error:
        raise InstallationError(f"the installation in {settings.data_dir} cannot be used: {error}") from error


def _csrf_secret(settings: Settings) -> str:
    path = key_path(settings, "csrf")
    if not path.exists():
        # An installation from before there were cookies; nothing that was signed earlier depends on it.
        write_private(path, secrets.token_hex(32).encode())
    return "\n".join(key.decode() for key in (_read(path), _old(settings, "csrf")) if key)


def _old(settings: Settings, name: str) -> bytes | None:
    path = key_path(settings, f"{name}.old")
    return _read(path) if path.exists() else None


def authority_store(settings: Settings) -> AuthorityStore:
    """Give the installation's authorities on disk."""
    return AuthorityStore(settings.data_dir / "pki")


def key_path(settings: Settings, name: str) -> Path:
    """Say where a key is kept."""
    return settings.data_dir / "keys" / f"{name}.key"


def ed25519_pem(key: Ed25519PrivateKey) -> bytes:
    """Write a signing key as it is kept."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _ed25519(pem: bytes) -> Ed25519PrivateKey:
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("a signing key is not Ed25519")
    return key
