"""The certificate authorities of an installation, each in its phase, in one file that is never half-new."""

import datetime as dt
import fcntl
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from common.clock import now_ms
from common.files import write_private
from common.pki import certificates_pem, key_pem, load_certificates, load_key
from controlplane.identity.ca import CertificateAuthority

# requested: a key that waits for its certificate. next: trusted, issues nothing yet. active: issues.
# old: still trusted, issues no more. retired: not trusted.
REQUESTED, NEXT, ACTIVE, OLD, RETIRED = "requested", "next", "active", "old", "retired"
PHASES = (REQUESTED, NEXT, ACTIVE, OLD, RETIRED)
TRUSTED = (NEXT, ACTIVE, OLD)
# What an installation of one authority calls it; its key is pki/ca.key.
FIRST = "ca"
MANIFEST = "authorities.json"
ROOTS = "ca.pem"


@dataclass(frozen=True, slots=True)
class Authority:
    """One authority as the manifest lists it.

    Attributes:
        id: its name, and that of its key's file.
        phase: one of PHASES.
        chain: its certificate, then those above it up to the root; empty while it is requested.
        version: the manifest's version from which on it was trusted.
    """

    id: str
    phase: str
    chain: tuple[x509.Certificate, ...]
    version: int

    @property
    def trusted(self) -> bool:
        """Whether what it issued is believed."""
        return self.phase in TRUSTED

    @property
    def root(self) -> x509.Certificate:
        """What stands at the top of its chain."""
        return self.chain[-1]


@dataclass(frozen=True, slots=True)
class Change:
    """A change that the audit log does not know yet."""

    what: str
    authority: str
    time_ms: int
    forced: bool
    by: str


@dataclass(frozen=True, slots=True)
class Authorities:
    """Every authority at one moment; the version grows with each change."""

    version: int
    all: tuple[Authority, ...]
    changes: tuple[Change, ...] = ()

    @property
    def active(self) -> Authority:
        """The one that issues."""
        return next(one for one in self.all if one.phase == ACTIVE)

    @property
    def trusted(self) -> tuple[Authority, ...]:
        """Those whose certificates are believed."""
        return tuple(one for one in self.all if one.trusted)

    @property
    def roots(self) -> tuple[x509.Certificate, ...]:
        """The roots that are trusted, each once."""
        return tuple(dict.fromkeys(one.root for one in self.trusted))

    @property
    def roots_pem(self) -> bytes:
        """The same as PEM."""
        return certificates_pem(self.roots)

    def find(self, ident: str) -> Authority | None:
        """Find an authority by its name."""
        return next((one for one in self.all if one.id == ident), None)

    def following(self, *changed: Authority, change: Change | None = None) -> "Authorities":
        """Give what follows when these take the place of their like, or are added."""
        by_id = {one.id: one for one in (*self.all, *changed)}
        changes = (*self.changes, change) if change else self.changes
        # A manifest brought back from a copy must not count on from where the copy stood.
        return Authorities(max(self.version + 1, now_ms()), tuple(by_id.values()), changes)


class AuthorityStore:
    """Keeps the manifest and the keys in pki/; a crash at any moment leaves the old manifest or the new, whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._manifest = folder / MANIFEST

    def stamp(self) -> tuple[int, int]:
        """Give what changes with every change of the manifest."""
        if not self._manifest.exists():
            self._adopt()
        found = self._manifest.stat()
        return found.st_mtime_ns, found.st_ino

    def create(self, trust_domain: str) -> None:
        """Make the first authority."""
        made = CertificateAuthority.create(trust_domain, dt.datetime.now(dt.UTC), FIRST)
        self.save_key(FIRST, made.key)
        self.save(Authorities(now_ms(), (Authority(FIRST, ACTIVE, (made.certificate,), 0),)))

    def load(self) -> Authorities:
        """Read the manifest; ValueError or OSError where it cannot be used."""
        self.stamp()
        read = _decode(json.loads(private(self._manifest)))
        # A crash may have come between the manifest and the copy of the roots that is for people.
        if not (self._folder / ROOTS).exists() or (self._folder / ROOTS).read_bytes() != read.roots_pem:
            write_private(self._folder / ROOTS, read.roots_pem)
        return read

    def save(self, authorities: Authorities) -> None:
        """Put a manifest in the place of the one before."""
        write_private(self._manifest, json.dumps(_encode(authorities)).encode())
        write_private(self._folder / ROOTS, authorities.roots_pem)

    def authority(self, found: Authority) -> CertificateAuthority:
        """Load an authority with its key; ValueError or OSError where it cannot be used."""
        return CertificateAuthority(found.chain[0], self.key(found.id), found.id, found.chain[1:])

    def key(self, ident: str) -> ec.EllipticCurvePrivateKey:
        """Load an authority's key."""
        return load_key(private(self._key(ident)))

    def save_key(self, ident: str, key: ec.EllipticCurvePrivateKey) -> None:
        """Store an authority's key."""
        write_private(self._key(ident), key_pem(key))

    def destroy_key(self, ident: str) -> None:
        """Throw the key of an authority away that issues no more."""
        self._key(ident).unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only program that changes the manifest, until the block ends."""
        with (self._folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def audited(self, changes: tuple[Change, ...]) -> None:
        """Forget changes that the audit log has by now."""
        with self.locked():
            now = self.load()
            self.save(replace(now, changes=tuple(one for one in now.changes if one not in changes)))

    def _adopt(self) -> None:
        # An installation from before there could be several authorities.
        chain = load_certificates(private(self._folder / ROOTS))
        self.save(Authorities(now_ms(), (Authority(FIRST, ACTIVE, chain[:1], 0),)))

    def _key(self, ident: str) -> Path:
        return self._folder / f"{ident}.key"


def new_id() -> str:
    """Name an authority."""
    return f"{FIRST}-{secrets.token_hex(4)}"


def private(path: Path) -> bytes:
    """Read a file that must be its owner's alone; ValueError where it is not."""
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise ValueError(f"{path} has mode {mode:04o}; it must be 0600")
    return path.read_bytes()


def _encode(authorities: Authorities) -> dict[str, object]:
    listed = [
        {"id": one.id, "phase": one.phase, "chain_pem": certificates_pem(one.chain).decode(), "version": one.version}
        for one in authorities.all
    ]
    changes = [asdict(one) for one in authorities.changes]
    return {"version": authorities.version, "authorities": listed, "changes": changes}


def _decode(content: dict[str, list[dict[str, str]]]) -> Authorities:
    try:
        listed = tuple(
            Authority(
                id=one["id"],
                phase=one["phase"],
                chain=load_certificates(one["chain_pem"].encode()) if one["chain_pem"] else (),
                version=int(one["version"]),
            )
            for one in content["authorities"]
        )
        changes = tuple(Change(**one) for one in content["changes"])  # type: ignore[arg-type]
        found = Authorities(int(content["version"]), listed, changes)  # type: ignore[call-overload]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{MANIFEST} lacks something: {error}") from None
    if sum(one.phase == ACTIVE for one in listed) != 1 or any(one.phase not in PHASES for one in listed):
        raise ValueError(f"{MANIFEST} must list exactly one active authority, and known phases")
    return found
