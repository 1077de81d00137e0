"""auth.v1: client certificates, the services that hold some, and the authorities that issue them."""

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from solward.auth.v1 import certificates_pb2 as pb
from solward.auth.v1.certificates_pb2_grpc import CertificatesServiceServicer
from solward.policy.v1 import policy_pb2

from common.clock import timestamp
from common.errors import wrong_field
from common.pki import unix_ms
from controlplane.guard.context import Context, caller, current_call
from controlplane.identity.client_certificates import ClientCertificates
from controlplane.identity.live import LivePki
from controlplane.identity.principals import Principals
from controlplane.store.certificates import ServiceRow
from controlplane.store.hosts import ENDED, CertificateRow

CHANGEABLE = ("role", "disabled")


class CertificatesApi(CertificatesServiceServicer):
    """Serves CertificatesService."""

    def __init__(self, certificates: ClientCertificates, pki: LivePki, principals: Principals) -> None:
        self._certificates = certificates
        self._pki = pki
        self._principals = principals

    async def IssueCertificate(self, request: pb.IssueCertificateRequest, context: Context) -> pb.Certificate:
        issued = await self._certificates.issue(
            _subject(request.subject), request.csr_pem, request.days, _id(request.role), caller().name
        )
        current_call().notes.update(certificate=f"certificates/{issued.row.serial}", subject=issued.subject.name)
        shown = _certificate(issued.row, issued.subject.name)
        shown.certificate_pem = issued.chain_pem
        shown.roots_pem = self._pki.roots_pem.decode()
        return shown

    async def ListCertificates(
        self, request: pb.ListCertificatesRequest, context: Context
    ) -> pb.ListCertificatesResponse:
        found = await self._certificates.holding(_subject(request.subject))
        return pb.ListCertificatesResponse(certificates=[_certificate(row, name) for row, name in found])

    async def RevokeCertificate(self, request: pb.RevokeCertificateRequest, context: Context) -> pb.Certificate:
        subject = _subject(request.subject)
        row = await self._certificates.revoke(_id(request.name), subject)
        self._principals.forget()
        current_call().notes.update(certificate=request.name, subject=subject)
        return _certificate(row._replace(state=ENDED), subject)

    async def ListServices(self, request: pb.ListServicesRequest, context: Context) -> pb.ListServicesResponse:
        return pb.ListServicesResponse(services=[_service(row) for row in await self._certificates.services()])

    async def UpdateService(self, request: pb.UpdateServiceRequest, context: Context) -> pb.Service:
        paths = request.update_mask.paths
        if not paths or set(paths) - set(CHANGEABLE):
            what = f"must name some of {', '.join(CHANGEABLE)}, not {', '.join(paths) or 'nothing'}"
            raise wrong_field("update_mask", what)
        given = {"role": _id(request.role), "disabled": request.disabled}
        row = await self._certificates.update_service(_id(request.service), **{path: given[path] for path in paths})
        self._principals.forget()
        return _service(row)

    async def ListAuthorities(self, request: pb.ListAuthoritiesRequest, context: Context) -> pb.ListAuthoritiesResponse:
        found = [_authority(one.id, one.phase, one.chain[0]) for one in self._pki.authorities.trusted]
        return pb.ListAuthoritiesResponse(authorities=[*found, _authority("server", "", self._pki.server.certificate)])


def _subject(name: str) -> str:
    """Give whose certificate a call is about: by default, the caller's own."""
    who = caller()
    own = f"users/{who.name}" if who.kind == policy_pb2.PRINCIPAL_KIND_USER else who.name
    return name or own


def _id(name: str) -> str:
    return name.partition("/")[2]


def _certificate(row: CertificateRow, subject: str) -> pb.Certificate:
    return pb.Certificate(
        name=f"certificates/{row.serial}", subject=subject, start_time=timestamp(row.not_before_ms),
        expire_time=timestamp(row.not_after_ms), issuer=row.issuer, revoked=row.state == ENDED,
    )  # fmt: skip


def _service(row: ServiceRow) -> pb.Service:
    return pb.Service(
        name=f"services/{row.name}", uid=row.uid, role=f"roles/{row.role}", disabled=row.disabled, creator=row.creator,
        create_time=timestamp(row.created_ms),
    )  # fmt: skip


def _authority(name: str, phase: str, certificate: x509.Certificate) -> pb.Authority:
    return pb.Authority(
        name=name, phase=phase, subject=certificate.subject.rfc4514_string(),
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        start_time=timestamp(unix_ms(certificate.not_valid_before_utc)),
        expire_time=timestamp(unix_ms(certificate.not_valid_after_utc)),
    )  # fmt: skip
