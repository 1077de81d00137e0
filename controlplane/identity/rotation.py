"""Rotation of the authorities, by an operator on the control plane's own host; nobody is cut off unawares."""

import asyncio
import datetime as dt
import getpass
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from common.clock import now_ms
from common.files import write_private
from common.pki import load_certificates, new_key
from controlplane.identity import authorities as phases
from controlplane.identity.authorities import Authorities, Authority, AuthorityStore, Change, new_id
from controlplane.identity.ca import CertificateAuthority
from controlplane.identity.external import check_chain, request_pem
from controlplane.identity.installation import authority_store, exists
from controlplane.settings import Settings
from controlplane.store.certificates import CertificateRepository
from controlplane.store.database import close_engine, migrate, open_engine

Result = TypeVar("Result")
# Of whom a refusal names, at the most.
NAMED = 10


class RotationRefused(Exception):
    """Why nothing was changed; the message says what to do."""


class Rotation:
    """Changes the authorities of an installation, one phase at a time.

    Every change is one rename of the manifest; a control plane that runs takes it in within seconds, and writes
    it to the audit log.

    Args:
        settings: of the installation.

    Raises: RotationRefused where there is none.
    """

    def __init__(self, settings: Settings) -> None:
        if not exists(settings):
            raise RotationRefused(f"{settings.data_dir} holds no installation: run solward-controlplane init first")
        self._settings = settings
        self._store: AuthorityStore = authority_store(settings)

    def listed(self) -> Authorities:
        """Give every authority."""
        return self._store.load()

    def rotate(self) -> Authority:
        """Make the next authority: trusted from now on, issuing nothing yet."""
        with self._store.locked():
            now = self._store.load()
            _refuse_second(now, phases.NEXT, "put it to work (ca activate) or retire it first")
            ident = new_id()
            made = CertificateAuthority.create(self._settings.trust_domain, dt.datetime.now(dt.UTC), ident)
            self._store.save_key(ident, made.key)
            return self._save(now, Authority(ident, phases.NEXT, (made.certificate,), _version(now)), "rotate")

    def activate(self, ident: str, *, force: bool) -> Authority:
        """Have the next authority issue from now on, or an old one again; the one before stays trusted.

        Raises: RotationRefused while an active host has not been told to trust it, unless forced.
        """
        with self._store.locked():
            now = self._store.load()
            found = _pick(now, ident, (phases.NEXT, phases.OLD), phases.NEXT)
            untold = self._ask(lambda stored: stored.untold(found.version))
            if untold and not force:
                raise RotationRefused(
                    f"{len(untold)} active hosts have not been told of {found.id} yet: {_few(untold)}. A host is told "
                    "when its agent is connected; wait, revoke those that are gone, or --force and see them cut off"
                )
            before = replace(now.active, phase=phases.OLD)
            # Both in one manifest: there is never none that issues.
            return self._save(now, replace(found, phase=phases.ACTIVE), "activate", before, forced=bool(untold))

    def retire(self, ident: str, *, force: bool) -> Authority:
        """Trust an old authority no more, and destroy its key; a next or requested one is given up.

        Raises: RotationRefused while certificates of it are in force, unless forced.
        """
        with self._store.locked():
            now = self._store.load()
            found = _pick(now, ident, (phases.OLD, phases.NEXT, phases.REQUESTED), phases.OLD)
            held = self._ask(lambda stored: stored.in_force(found.id, now_ms())) if found.trusted else []
            if held and not force:
                raise RotationRefused(
                    f"{len(held)} certificates of {found.id} are in force: {_few(held)}. Hosts renew by themselves "
                    "within a day, people and services with ctl certs issue; or --force and see them cut off"
                )
            retired = self._save(now, replace(found, phase=phases.RETIRED), "retire", forced=bool(held))
            self._store.destroy_key(found.id)
            return retired

    def request(self, path: Path) -> Authority:
        """Make a key, which stays here, and write the request that an authority elsewhere is to sign."""
        with self._store.locked():
            now = self._store.load()
            _refuse_second(now, phases.REQUESTED, "import its certificate (ca import) or retire it first")
            ident, key = new_id(), new_key()
            self._store.save_key(ident, key)
            write_private(path, request_pem(key, self._settings.trust_domain))
            return self._save(now, Authority(ident, phases.REQUESTED, (), 0), "request")

    def take(self, chain_pem: bytes) -> Authority:
        """Take the certificate of the request in: the next authority, below a root that is not ours.

        Raises: RotationRefused where there is no request; ChainRefused.
        """
        with self._store.locked():
            now = self._store.load()
            found = _pick(now, "", (phases.REQUESTED,), phases.REQUESTED)
            _refuse_second(now, phases.NEXT, "put it to work (ca activate) or retire it first")
            try:
                given = load_certificates(chain_pem)
            except ValueError:
                raise RotationRefused("the file holds no PEM certificates") from None
            settings = self._settings
            chain = check_chain(given, self._store.key(found.id), settings.server_names, settings.trust_domain)
            return self._save(now, Authority(found.id, phases.NEXT, chain, _version(now)), "import")

    def _save(
        self, now: Authorities, changed: Authority, what: str, *others: Authority, forced: bool = False
    ) -> Authority:
        change = Change(what, changed.id, now_ms(), forced, getpass.getuser())
        self._store.save(now.following(*others, changed, change=change))
        return changed

    def _ask(self, question: Callable[[CertificateRepository], Awaitable[Result]]) -> Result:
        async def ask() -> Result:
            engine: AsyncEngine = open_engine(self._settings.database())
            try:
                await migrate(engine)
                return await question(CertificateRepository(engine))
            finally:
                await close_engine(engine)

        return asyncio.run(ask())


def _version(now: Authorities) -> int:
    return now.following().version


def _pick(now: Authorities, ident: str, allowed: tuple[str, ...], usual: str) -> Authority:
    if not ident:
        found = [one for one in now.all if one.phase == usual]
        if len(found) == 1:
            return found[0]
        raise RotationRefused(
            f"there is {'more than one' if found else 'no'} authority in the phase {usual}: {_all(now)}"
        )
    named = now.find(ident)
    if named is None:
        raise RotationRefused(f"there is no authority {ident!r}: {_all(now)}")
    if named.phase not in allowed:
        raise RotationRefused(f"{ident} is {named.phase}; this takes one that is {' or '.join(allowed)}: {_all(now)}")
    return named


def _refuse_second(now: Authorities, phase: str, what: str) -> None:
    there = next((one for one in now.all if one.phase == phase), None)
    if there:
        raise RotationRefused(f"{there.id} is {phase} already: {what}")


def _all(now: Authorities) -> str:
    return ", ".join(f"{one.id} ({one.phase})" for one in now.all)


def _few(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
