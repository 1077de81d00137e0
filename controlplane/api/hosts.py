"""hosts.v1: the fleet, its enrollment, and the agents' stream."""

from collections.abc import AsyncIterator

from solward.hosts.v1 import enrollment_pb2, hosts_pb2, link_pb2
from solward.hosts.v1.enrollment_pb2_grpc import EnrollmentServiceServicer
from solward.hosts.v1.hosts_pb2_grpc import HostsServiceServicer
from solward.hosts.v1.link_pb2_grpc import LinkServiceServicer

from common.clock import timestamp
from common.names import host_id, host_name
from common.pki import unix_ms
from controlplane.api.lookup import find_host
from controlplane.api.paging import page_position, page_token
from controlplane.api.reach import MANY, Reach
from controlplane.guard.context import Context, caller, current_call
from controlplane.identity.enrollment import Enrolled, Enrollment
from controlplane.identity.live import LivePki
from controlplane.identity.principals import Principals
from controlplane.identity.recovery import Recovery
from controlplane.links.dispatch import Dispatch
from controlplane.links.registry import Links
from controlplane.links.session import LinkSessions
from controlplane.links.sweeper import revoked
from controlplane.store.hosts import REVOKED, HostRepository, HostRow
from controlplane.telemetry.ingest import Ingest

DEFAULT_PAGE = 100


class HostsApi(HostsServiceServicer):
    """Serves HostsService."""

    def __init__(
        self,
        hosts: HostRepository,
        enrollment: Enrollment,
        recovery: Recovery,
        pki: LivePki,
        links: Links,
        ingest: Ingest,
        principals: Principals,
    ) -> None:
        self._hosts = hosts
        self._enrollment = enrollment
        self._recovery = recovery
        self._pki = pki
        self._links = links
        self._ingest = ingest
        self._principals = principals

    async def ListHosts(self, request: hosts_pb2.ListHostsRequest, context: Context) -> hosts_pb2.ListHostsResponse:
        position = page_position(request, str)
        size = request.page_size or DEFAULT_PAGE
        reach = await Reach.of_caller(self._hosts)
        # A token holds the name of a host: only of one that the caller sees.
        rows = await self._hosts.page(position[0] if position else "", size + 1 if reach.whole else MANY)
        rows = [row for row in rows if reach.sees(host_name(row.name))]
        more = page_token(request, [rows[size - 1].name]) if len(rows) > size else ""
        return hosts_pb2.ListHostsResponse(hosts=[await self._host(row) for row in rows[:size]], next_page_token=more)

    async def GetHost(self, request: hosts_pb2.GetHostRequest, context: Context) -> hosts_pb2.Host:
        return await self._host(await find_host(self._hosts, request.name))

    async def CreateJoinToken(self, request: hosts_pb2.CreateJoinTokenRequest, context: Context) -> hosts_pb2.JoinToken:
        return self._token(request.host, *await self._enrollment.create_token(host_id(request.host)))

    async def CreateRecoveryToken(
        self, request: hosts_pb2.CreateRecoveryTokenRequest, context: Context
    ) -> hosts_pb2.JoinToken:
        host = await find_host(self._hosts, request.host)
        return self._token(request.host, *await self._recovery.allow(host, caller().name, request.reason))

    async def RevokeHost(self, request: hosts_pb2.RevokeHostRequest, context: Context) -> hosts_pb2.Host:
        row = await find_host(self._hosts, request.name)
        await self._hosts.set_state(row.uid, REVOKED)
        self._principals.forget()
        self._links.cut(row.uid, revoked())
        self._ingest.forget(row.name)
        return await self._host(await find_host(self._hosts, request.name))

    def _token(self, host: str, token: str, expires_ms: int) -> hosts_pb2.JoinToken:
        roots = self._pki.roots_pem.decode()
        return hosts_pb2.JoinToken(host=host, token=token, expire_time=timestamp(expires_ms), ca_pem=roots)

    async def _host(self, row: HostRow) -> hosts_pb2.Host:
        known = self._links.get(row.uid)
        certificate = await self._hosts.current_certificate(row.uid)
        return hosts_pb2.Host(
            name=host_name(row.name),
            uid=row.uid,
            state=f"HOST_STATE_{row.state.upper()}",
            connected=known is not None and known.connected,
            agent_version=row.agent_version,
            last_seen_time=timestamp(row.last_seen_ms),
            certificate_expire_time=timestamp(certificate.not_after_ms if certificate else None),
            certificate_start_time=timestamp(certificate.not_before_ms if certificate else None),
            certificate_issuer=certificate.issuer if certificate else "",
            clock_skew_seconds=row.clock_skew_s,
            dropped_samples=known.dropped_samples if known else 0,
            create_time=timestamp(row.created_ms),
            group=row.host_group,
            labels=row.label_map,
        )


class EnrollmentApi(EnrollmentServiceServicer):
    """Serves EnrollmentService."""

    def __init__(
        self, enrollment: Enrollment, recovery: Recovery, pki: LivePki, dispatch: Dispatch, audit_key: bytes
    ) -> None:
        self._enrollment = enrollment
        self._recovery = recovery
        self._pki = pki
        self._dispatch = dispatch
        self._audit_key = audit_key

    async def Enroll(self, request: enrollment_pb2.EnrollRequest, context: Context) -> enrollment_pb2.Identity:
        enrolled = await self._enrollment.enroll(
            host_id(request.host), request.join_token, request.csr_pem, request.exchange_token
        )
        if enrolled.recovered:
            current_call().notes["recovered"] = True
            await self._recovery.happened(enrolled.host)
        return self._identity(enrolled)

    async def Renew(self, request: enrollment_pb2.RenewRequest, context: Context) -> enrollment_pb2.Identity:
        return self._identity(await self._enrollment.renew(caller().uid, request.csr_pem))

    def _identity(self, enrolled: Enrolled) -> enrollment_pb2.Identity:
        current_call().notes["certificate_serial"] = f"{enrolled.certificate.serial_number:x}"
        return enrollment_pb2.Identity(
            host=host_name(enrolled.host.name),
            uid=enrolled.host.uid,
            certificate_pem=enrolled.chain_pem,
            ca_pem=self._pki.roots_pem.decode(),
            permit_keys=self._dispatch.permit_keys,
            audit_key=self._audit_key,
            expire_time=timestamp(unix_ms(enrolled.certificate.not_valid_after_utc)),
            trust=self._pki.trust(),
        )


class LinkApi(LinkServiceServicer):
    """Serves LinkService."""

    def __init__(self, sessions: LinkSessions) -> None:
        self._sessions = sessions

    async def Connect(
        self, request_iterator: AsyncIterator[link_pb2.ConnectRequest], context: Context
    ) -> AsyncIterator[link_pb2.ConnectResponse]:
        async for message in self._sessions.serve(caller(), request_iterator):
            yield message
