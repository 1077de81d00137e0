"""Principals: whom a certificate or bearer token stands for, by the store's word at this moment."""

from dataclasses import replace

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from solward.policy.v1 import policy_pb2

from common.clock import now_ms
from common.errors import SolwardError
from common.names import host_name
from common.pki import CertificateInfo
from controlplane.guard.context import Principal
from controlplane.guard.decision import Held
from controlplane.guard.roles import AGENT, LIVE, LIVE_METHODS, ROLES, SELF, VIEWER
from controlplane.identity.cache import ShortCache
from controlplane.identity.live import LivePki
from controlplane.identity.role_book import RoleBook
from controlplane.identity.sessions import Sessions
from controlplane.store.certificates import ServiceRepository, ServiceRow
from controlplane.store.hosts import ACTIVE, ENDED, NEXT, CertificateRow, HostRepository
from controlplane.store.users import User, UserRepository

# How long another replica's revocation may go unseen; within this process it is seen at once.
CACHE_SECONDS = 2.0
# Of who was not found by a credential, none ends.
NEVER_MS = 0


class Principals:
    """Resolves credentials; answers are kept for a moment and forgotten on every change."""

    def __init__(
        self, users: UserRepository, hosts: HostRepository, sessions: Sessions, roles: RoleBook, trust_domain: str,
        services: ServiceRepository, pki: LivePki, *, second_factor_roles: frozenset[str] = frozenset(),
    ) -> None:  # fmt: skip
        self._services = services
        self._pki = pki
        self._users = users
        self._roles = roles
        self._second_factor_roles = second_factor_roles
        self._hosts = hosts
        self._sessions = sessions
        self._trust_domain = trust_domain
        self._kept: ShortCache[bytes | str, Principal] = ShortCache(CACHE_SECONDS)

    def forget(self) -> None:
        """Look everybody up again: somebody was revoked, signed out or changed."""
        self._kept.forget()

    async def of_certificate(self, pem: bytes) -> Principal:
        """Whom a client certificate stands for; TLS has checked its chain, at the handshake only."""
        principal = await self._kept.get(pem, lambda: self._load_certificate(pem))
        if now_ms() >= principal.expires_ms:
            raise _refused("CERTIFICATE_EXPIRED", "the certificate is over: renew it and connect again")
        return principal

    async def of_token(self, token: str) -> Principal:
        """Whom a bearer token stands for."""
        principal = await self._kept.get(token, lambda: self._load_token(token))
        if now_ms() >= principal.expires_ms:
            raise _refused("TOKEN_EXPIRED", "the access token is over: refresh it or sign in again")
        return principal

    async def of_ticket(self, ticket: str) -> Principal:
        """Whom a ticket stands for, which is spent by it."""
        token = await self._sessions.spend_ticket(ticket)
        return replace(await self.of_token(token), live_token=token)

    async def of_name(self, name: str, since_ms: int) -> Principal:
        """Whom a name stands for, of a user or a service, where no credential is at hand; never kept.

        Args:
            name: as a principal bears it: a user's name, or "services/{service}".
            since_ms: when it was noted (milliseconds since the epoch); who was made later is another one.

        Raises: SolwardError USER_GONE, USER_DISABLED, SERVICE_GONE or SERVICE_DISABLED.
        """
        kind, _, of_service = name.rpartition("/")
        if kind == "services":
            service = await self._services.by_name(of_service)
            if service is None or service.created_ms > since_ms:
                raise _refused("SERVICE_GONE", f"there is no {name} any more")
            return await self._as_service(service, "", NEVER_MS)
        user = await self._users.by_name(name)
        if user is None or user.created_ms > since_ms:
            raise _refused("USER_GONE", f"there is no users/{name} any more")
        if user.disabled:
            raise _refused("USER_DISABLED", f"users/{name} may not sign in")
        return await self._user(user, "", NEVER_MS)

    async def _load_token(self, token: str) -> Principal:
        found = await self._sessions.check(token)
        who = await self._user(found.user, found.session.id, found.expires_ms)
        return who.only(LIVE, LIVE_METHODS) if found.live else who

    async def _load_certificate(self, pem: bytes) -> Principal:
        try:
            certificate = x509.load_pem_x509_certificate(pem)
            info = CertificateInfo.of(certificate)
        except ValueError as error:
            raise _refused("CERTIFICATE_REFUSED", f"the certificate cannot be used: {error}") from None
        row = await self._hosts.certificate(info.serial)
        who = info.spiffe_id
        if who.trust_domain != self._trust_domain or row is None or (row.kind, row.subject_uid) != (who.kind, who.uid):
            raise _refused("CERTIFICATE_UNKNOWN", "the certificate was not issued by this control plane")
        if _public_der(certificate) != row.public_key_der:
            # Below a root that is not ours alone, another authority may repeat serial and name.
            raise _refused("CERTIFICATE_UNKNOWN", "the certificate was not issued by this control plane")
        if not self._pki.trusts(row.issuer):
            # TLS checked it when the connection began; a connection may be older than that.
            raise _refused("AUTHORITY_RETIRED", "the authority that issued the certificate is trusted no more")
        if row.state == ENDED:
            raise _refused("CERTIFICATE_REVOKED", "the certificate was revoked or replaced: enroll the host again")
        if now_ms() < info.not_before_ms:
            raise _refused("CERTIFICATE_NOT_YET_VALID", "the certificate does not hold yet: check the clocks")
        if who.kind == "service":
            return await self._service(row)
        return await self._agent(row) if who.kind == "agent" else await self._person(row)

    async def _agent(self, row: CertificateRow) -> Principal:
        host = await self._hosts.by_uid(row.subject_uid)
        if host is None or host.state != ACTIVE:
            raise _refused("HOST_NOT_ACTIVE", "this host was cut off: enroll it again")
        if row.state == NEXT:
            await self._hosts.promote(row)
            # The certificate before has just ended.
            self.forget()
        return Principal(
            kind=policy_pb2.PRINCIPAL_KIND_AGENT,
            uid=host.uid,
            name=host_name(host.name),
            permissions=AGENT,
            session=f"cert:{row.serial}",
            expires_ms=row.not_after_ms,
        )

    async def _person(self, row: CertificateRow) -> Principal:
        user = await self._users.by_uid(row.subject_uid)
        if user is None or user.disabled:
            raise _refused("USER_DISABLED", "the certificate's user may not sign in")
        return await self._user(user, f"cert:{row.serial}", row.not_after_ms)

    async def _service(self, row: CertificateRow) -> Principal:
        service = await self._services.by_uid(row.subject_uid)
        if service is None:
            raise _refused("SERVICE_DISABLED", "the certificate's service is kept out")
        return await self._as_service(service, f"cert:{row.serial}", row.not_after_ms)

    async def _as_service(self, service: ServiceRow, session: str, expires_ms: int) -> Principal:
        if service.disabled:
            raise _refused("SERVICE_DISABLED", f"services/{service.name} is kept out")
        own = await self._roles.permissions(service.role) or SELF
        return Principal(
            kind=policy_pb2.PRINCIPAL_KIND_SERVICE,
            uid=service.uid,
            name=f"services/{service.name}",
            permissions=own,
            role=service.role,
            session=session,
            expires_ms=expires_ms,
            held=(Held(service.role, own),),
        )

    async def _user(self, user: User, session: str, expires_ms: int) -> Principal:
        held = await self._roles.rules_of(user)
        if not user.has_second_factor and any(map(self._wants_factor, held)):
            # Until an authenticator is set up, that is all this user may do.
            held = (Held(user.role, SELF),)
        return Principal(
            kind=policy_pb2.PRINCIPAL_KIND_USER,
            uid=user.uid,
            name=user.name,
            permissions=held[0].permissions,
            role=user.role,
            session=session,
            expires_ms=expires_ms,
            held=held,
        )

    def _wants_factor(self, rule: Held) -> bool:
        """Whether who holds this must have an authenticator: by the setting, or by a role of ones own."""
        if rule.role in ROLES:
            return rule.role in self._second_factor_roles
        return bool(self._second_factor_roles) and not rule.permissions <= VIEWER


def _public_der(certificate: x509.Certificate) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return certificate.public_key().public_bytes(serialization.Encoding.DER, form)


def _refused(reason: str, message: str) -> SolwardError:
    return SolwardError(grpc.StatusCode.UNAUTHENTICATED, reason, message)
