"""Client certificates of people and of services: issued from a request's key alone, listed, revoked."""

import datetime as dt
import uuid
from typing import NamedTuple

import grpc

from common.clock import now_ms
from common.errors import SolwardError
from common.names import Kind, SpiffeId
from controlplane.identity.enrollment import certificate_row, key_of_request
from controlplane.identity.live import LivePki
from controlplane.identity.people import People
from controlplane.identity.role_book import RoleBook
from controlplane.store.certificates import CertificateRepository, ServiceRepository, ServiceRow
from controlplane.store.hosts import CURRENT, CertificateRow

EVERYBODY = "*"
# Days that a certificate holds at the most, and where nothing else is said.
LIVES: dict[Kind, tuple[int, int]] = {"user": (30, 7), "service": (90, 30)}


class Subject(NamedTuple):
    """Whose a certificate is; the name is a resource name."""

    name: str
    kind: Kind
    uid: str


class Issued(NamedTuple):
    """A certificate that was just issued, with what stands between it and the root."""

    row: CertificateRow
    subject: Subject
    chain_pem: str


class ClientCertificates:
    """Issues, lists and ends client certificates, and keeps the services that hold some."""

    def __init__(
        self, stored: CertificateRepository, services: ServiceRepository, people: People, roles: RoleBook,
        pki: LivePki, trust_domain: str,
    ) -> None:  # fmt: skip
        self._stored = stored
        self._services = services
        self._people = people
        self._roles = roles
        self._pki = pki
        self._trust_domain = trust_domain

    async def issue(self, name: str, csr_pem: str, days: int, role: str, creator: str) -> Issued:
        """Certify a key.

        Args:
            name: users/{name} or services/{name}.
            csr_pem: the request, of which only the key is taken.
            days: for how long; 0 for what is usual.
            role: of a service that is not there yet.
            creator: who asks.

        Raises: SolwardError CSR_REFUSED, LIFE_TOO_LONG, SERVICE_NOT_FOUND, ROLE_DIFFERS, SUBJECT_DISABLED and others.
        """
        key = key_of_request(csr_pem)
        kind: Kind = "service" if name.startswith("services/") else "user"
        most, usual = LIVES[kind]
        if days > most:
            raise _invalid("days", "LIFE_TOO_LONG", f"at the most {most} for a {kind}, not {days}")
        subject = await self._holder(name, role, creator)
        who, issuing = SpiffeId(self._trust_domain, subject.kind, subject.uid), self._pki.issuing
        certificate = issuing.issue_client(key, who, dt.datetime.now(dt.UTC), dt.timedelta(days=days or usual))
        row = certificate_row(certificate, who, CURRENT, issuing.id)
        await self._stored.add(row, now_ms())
        return Issued(row, subject, issuing.chain_pem(certificate))

    async def holding(self, name: str) -> list[tuple[CertificateRow, str]]:
        """List the certificates of a holder (or of EVERYBODY) that hold, each with its holder's resource name."""
        uid = "" if name == EVERYBODY else (await self.find(name)).uid
        names = {user.uid: f"users/{user.name}" for user in await self._people.all()}
        names |= {service.uid: f"services/{service.name}" for service in await self._services.all()}
        return [(row, names.get(row.subject_uid, "")) for row in await self._stored.holding(now_ms(), uid)]

    async def revoke(self, serial: str, name: str) -> CertificateRow:
        """End a certificate of a holder; raise CERTIFICATE_NOT_FOUND, also for somebody else's."""
        subject, row = await self.find(name), await self._stored.get(serial)
        mine = row is not None and (row.kind, row.subject_uid) == (subject.kind, subject.uid)
        if row is None or not mine or not await self._stored.end(serial):
            raise SolwardError(
                grpc.StatusCode.NOT_FOUND,
                "CERTIFICATE_NOT_FOUND",
                f"{name} has no certificates/{serial} that holds: see ListCertificates",
                {"certificate": f"certificates/{serial}", "subject": name},
            )
        return row

    async def revoke_all(self, subject_uid: str) -> int:
        """End every certificate of a holder; gives how many."""
        return await self._stored.end_all(subject_uid)

    async def services(self) -> list[ServiceRow]:
        """List every service, by name."""
        return await self._services.all()

    async def update_service(self, name: str, **values: object) -> ServiceRow:
        """Change a service; raise SERVICE_NOT_FOUND or ROLE_NOT_FOUND."""
        service = await self._service(name)
        if "role" in values:
            await self._roles.must_know(str(values["role"]))
        await self._services.set(service.uid, **values)
        return await self._service(name)

    async def find(self, name: str) -> Subject:
        """Find a holder by resource name; raise USER_NOT_FOUND or SERVICE_NOT_FOUND."""
        collection, _, ident = name.partition("/")
        if collection == "services":
            return Subject(name, "service", (await self._service(ident)).uid)
        return Subject(name, "user", (await self._people.get(ident)).uid)

    async def _holder(self, name: str, role: str, creator: str) -> Subject:
        collection, _, ident = name.partition("/")
        if collection == "services":
            service = await self._services.by_name(ident) or await self._make(ident, role, creator)
            if role and role != service.role:
                what = f"{name} has roles/{service.role}: leave it out, or change the service first (UpdateService)"
                raise _invalid("role", "ROLE_DIFFERS", what)
            uid, disabled, kind = service.uid, service.disabled, "service"
        else:
            user = await self._people.get(ident)
            uid, disabled, kind = user.uid, user.disabled, "user"
        if disabled:
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION, "SUBJECT_DISABLED", f"{name} is kept out: let it in first",
                {"subject": name},
            )  # fmt: skip
        return Subject(name, "service" if kind == "service" else "user", uid)

    async def _make(self, name: str, role: str, creator: str) -> ServiceRow:
        if not role:
            raise _no_service(name, "; to make it, say its role")
        await self._roles.must_know(role)
        # Where another call was quicker, what that made is found.
        await self._services.add(ServiceRow(uuid.uuid4().hex, name, role, False, creator, now_ms()))
        return await self._service(name)

    async def _service(self, name: str) -> ServiceRow:
        service = await self._services.by_name(name)
        if service is None:
            raise _no_service(name, ": see ListServices")
        return service


def _no_service(name: str, advice: str) -> SolwardError:
    return SolwardError(
        grpc.StatusCode.NOT_FOUND, "SERVICE_NOT_FOUND", f"there is no services/{name}{advice}", {"service": name}
    )


def _invalid(field: str, reason: str, what: str) -> SolwardError:
    return SolwardError(
        grpc.StatusCode.INVALID_ARGUMENT, reason, f"{field}: {what}", {"field": field}, ((field, what),)
    )
