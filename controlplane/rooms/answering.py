"""The services: one servicer for each noun of the contract, made of the rooms that know it."""

from solward.alerts.v1.alerts_pb2_grpc import add_AlertsServiceServicer_to_server
from solward.audit.v1.audit_pb2_grpc import add_AuditServiceServicer_to_server
from solward.auth.v1.access_pb2_grpc import add_AccessServiceServicer_to_server
from solward.auth.v1.auth_pb2_grpc import add_AuthServiceServicer_to_server
from solward.auth.v1.certificates_pb2_grpc import add_CertificatesServiceServicer_to_server
from solward.controls.v1.controls_pb2_grpc import add_ControlsServiceServicer_to_server
from solward.geyser.v1.geyser_pb2_grpc import add_GeyserServiceServicer_to_server
from solward.hosts.v1.enrollment_pb2_grpc import add_EnrollmentServiceServicer_to_server
from solward.hosts.v1.hosts_pb2_grpc import add_HostsServiceServicer_to_server
from solward.hosts.v1.link_pb2_grpc import add_LinkServiceServicer_to_server
from solward.jito.v1.jito_pb2_grpc import add_JitoServiceServicer_to_server
from solward.metrics.v1.logs_pb2_grpc import add_LogsServiceServicer_to_server
from solward.metrics.v1.metrics_pb2_grpc import add_MetricsServiceServicer_to_server
from solward.operations.v1.operations_pb2_grpc import add_OperationsServiceServicer_to_server
from solward.rpc.v1.rpc_pb2_grpc import add_RpcServiceServicer_to_server
from solward.validator.v1.validator_pb2_grpc import add_ValidatorServiceServicer_to_server

from controlplane.api.access import AccessApi
from controlplane.api.alerts import AlertsApi
from controlplane.api.audit import AuditApi
from controlplane.api.auth import AuthApi
from controlplane.api.certificates import CertificatesApi
from controlplane.api.controls import ControlsApi
from controlplane.api.geyser import GeyserApi
from controlplane.api.hosts import EnrollmentApi, HostsApi, LinkApi
from controlplane.api.jito import JitoApi
from controlplane.api.ledger import Ledger
from controlplane.api.logs import LogsApi
from controlplane.api.metrics import MetricsApi
from controlplane.api.operations import OperationsApi
from controlplane.api.plans import Operating
from controlplane.api.rpc import RpcApi
from controlplane.api.snapshots import Snapshots
from controlplane.api.topics import LiveTopics
from controlplane.api.validator import ValidatorApi
from controlplane.audit.witness import Witnesses
from controlplane.identity.explain import Explainer
from controlplane.identity.recovery import Recovery
from controlplane.links.session import LinkSessions
from controlplane.rooms.auditing import Auditing
from controlplane.rooms.geyser import Geyser
from controlplane.rooms.identities import Identities
from controlplane.rooms.mev import Mev
from controlplane.rooms.operations import Operations
from controlplane.rooms.records import Records
from controlplane.rooms.watching import Watching
from controlplane.servers import Register


class Answering:
    """Every servicer, and the streams of the agents."""

    def __init__(
        self, domain: str, records: Records, auditing: Auditing, identities: Identities, operations: Operations,
        watching: Watching, mev: Mev, geyser: Geyser, explainer: Explainer,
    ) -> None:  # fmt: skip
        self.witnesses = Witnesses(auditing.log, operations.links, watching.alerts.take)
        self.link_sessions = LinkSessions(
            records.hosts, operations.links, watching.ingest, operations.dispatch, auditing.log, watching.findings,
            self.witnesses, identities.pki,
        )  # fmt: skip
        self.register = (
            *self._of_identity(domain, records, identities, explainer),
            *self._of_hosts(records, auditing, identities, operations, watching),
            *self._of_operations(records, identities, operations),
            *self._of_watching(records, auditing, identities, watching),
            *self._of_mev(records, operations, watching, mev),
            *self._of_geyser(records, operations, watching, geyser),
        )

    def _of_identity(
        self, domain: str, records: Records, who: Identities, explainer: Explainer
    ) -> tuple[Register, ...]:
        auth = AuthApi(
            who.sessions, who.factors, records.sessions, who.principals, who.people, who.oidc, domain, who.pki
        )
        access = AccessApi(
            who.people, who.roles, who.power, records.access, who.sessions, who.principals, records.hosts, explainer,
            who.approvals, who.certificates,
        )  # fmt: skip
        certificates = CertificatesApi(who.certificates, who.pki, who.principals)
        return (
            lambda server: add_AuthServiceServicer_to_server(auth, server),
            lambda server: add_AccessServiceServicer_to_server(access, server),
            lambda server: add_CertificatesServiceServicer_to_server(certificates, server),
        )

    def _of_hosts(
        self, records: Records, auditing: Auditing, who: Identities, operations: Operations, watching: Watching
    ) -> tuple[Register, ...]:
        links = operations.links
        recovery = Recovery(
            who.enrollment, who.principals, links, records.operations, operations.board, watching.notices
        )
        hosts = HostsApi(records.hosts, who.enrollment, recovery, who.pki, links, watching.ingest, who.principals)
        enrollment = EnrollmentApi(who.enrollment, recovery, who.pki, operations.dispatch, auditing.log.public_key)
        link = LinkApi(self.link_sessions)
        return (
            lambda server: add_HostsServiceServicer_to_server(hosts, server),
            lambda server: add_EnrollmentServiceServicer_to_server(enrollment, server),
            lambda server: add_LinkServiceServicer_to_server(link, server),
        )

    def _of_operations(self, records: Records, who: Identities, work: Operations) -> tuple[Register, ...]:
        operating = Operating(records.hosts, work.engine, work.gating)
        snapshots = Snapshots(records.hosts, work.links, work.dispatch, operating)
        ledger = Ledger(records.hosts, work.links, work.engine, operating)
        validator = ValidatorApi(records.hosts, work.links, work.dispatch, operating)
        controls = ControlsApi(work.planner, work.engine, work.board, records.hosts, snapshots, ledger)
        operations = OperationsApi(records.operations, work.board, work.engine, records.hosts, who.approvers)
        return (
            lambda server: add_ValidatorServiceServicer_to_server(validator, server),
            lambda server: add_ControlsServiceServicer_to_server(controls, server),
            lambda server: add_OperationsServiceServicer_to_server(operations, server),
        )

    def _of_watching(
        self, records: Records, auditing: Auditing, who: Identities, watching: Watching
    ) -> tuple[Register, ...]:
        rpc = RpcApi(records.hosts, watching.ingest, watching.analysis, watching.explanations)
        alerts = AlertsApi(watching.book, watching.alerts, records.alerts, records.events, records.hosts)
        audit = AuditApi(auditing.log, auditing.retention, self.witnesses, records.hosts, auditing.reports)
        metrics = MetricsApi(records.hosts, watching.ingest, LiveTopics(records.hosts, watching.topics), who.sessions)
        logs = LogsApi(records.hosts, watching.logs)
        return (
            lambda server: add_RpcServiceServicer_to_server(rpc, server),
            lambda server: add_AlertsServiceServicer_to_server(alerts, server),
            lambda server: add_AuditServiceServicer_to_server(audit, server),
            lambda server: add_MetricsServiceServicer_to_server(metrics, server),
            lambda server: add_LogsServiceServicer_to_server(logs, server),
        )

    def _of_mev(self, records: Records, operations: Operations, watching: Watching, mev: Mev) -> tuple[Register, ...]:
        jito = JitoApi(
            records.hosts, mev.bundles, mev.submitter, mev.tracker, mev.bus, mev.tips, mev.learning, operations.outside,
            watching.ingest, mev.landings,
        )  # fmt: skip
        return (lambda server: add_JitoServiceServicer_to_server(jito, server),)

    def _of_geyser(
        self, records: Records, operations: Operations, watching: Watching, geyser: Geyser
    ) -> tuple[Register, ...]:
        api = GeyserApi(records.hosts, geyser.pipelines, geyser.mender, watching.ingest, operations.dispatch)
        return (lambda server: add_GeyserServiceServicer_to_server(api, server),)
