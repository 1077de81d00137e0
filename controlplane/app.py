"""The composition root: the parts of the control plane, in the order in which they come to life."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from aiohttp import web
from solward.alerts.v1.alerts_pb2_grpc import add_AlertsServiceServicer_to_server
from solward.audit.v1.audit_pb2_grpc import add_AuditServiceServicer_to_server
from solward.auth.v1.access_pb2_grpc import add_AccessServiceServicer_to_server
from solward.auth.v1.auth_pb2_grpc import add_AuthServiceServicer_to_server
from solward.auth.v1.certificates_pb2_grpc import add_CertificatesServiceServicer_to_server
from solward.controls.v1.controls_pb2_grpc import add_ControlsServiceServicer_to_server
from solward.hosts.v1.enrollment_pb2_grpc import add_EnrollmentServiceServicer_to_server
from solward.hosts.v1.hosts_pb2_grpc import add_HostsServiceServicer_to_server
from solward.hosts.v1.link_pb2_grpc import add_LinkServiceServicer_to_server
from solward.metrics.v1.metrics_pb2_grpc import add_MetricsServiceServicer_to_server
from solward.operations.v1.operations_pb2_grpc import add_OperationsServiceServicer_to_server
from solward.rpc.v1.rpc_pb2_grpc import add_RpcServiceServicer_to_server
from solward.validator.v1.validator_pb2_grpc import add_ValidatorServiceServicer_to_server

from common import sdnotify
from controlplane.alerts.alertmanager import Alertmanager
from controlplane.alerts.book import Book
from controlplane.alerts.engine import AlertEngine
from controlplane.alerts.findings import Findings
from controlplane.alerts.notices import Notices
from controlplane.api.access import AccessApi
from controlplane.api.alerts import AlertsApi
from controlplane.api.audit import AuditApi
from controlplane.api.auth import AuthApi
from controlplane.api.certificates import CertificatesApi
from controlplane.api.controls import ControlsApi
from controlplane.api.hosts import EnrollmentApi, HostsApi, LinkApi
from controlplane.api.ledger import Ledger
from controlplane.api.metrics import MetricsApi
from controlplane.api.operations import OperationsApi
from controlplane.api.plans import Operating
from controlplane.api.rpc import RpcApi
from controlplane.api.services import SERVICES
from controlplane.api.snapshots import Snapshots
from controlplane.api.topics import LiveTopics
from controlplane.api.validator import ValidatorApi
from controlplane.audit.log import AuditLog, AuditSettings
from controlplane.audit.publish import Publisher
from controlplane.audit.reports.maker import ReportMaker
from controlplane.audit.retention import Retention
from controlplane.audit.witness import Witnesses
from controlplane.guard.audit import Audit, Refusals
from controlplane.guard.break_glass import BreakGlass
from controlplane.guard.chain import GuardChain
from controlplane.guard.errors import Errors
from controlplane.guard.observe import Observe
from controlplane.guard.places import Places
from controlplane.guard.policy import Policy
from controlplane.guard.principal import Authenticate
from controlplane.guard.rate import RateLimit
from controlplane.guard.second_factor import SecondFactor
from controlplane.guard.standard import standard_table
from controlplane.guard.table import read_table
from controlplane.guard.validation import Validation
from controlplane.guard.whence import Whence
from controlplane.identity.approvers import Approvers
from controlplane.identity.call_approvals import CallApprovals
from controlplane.identity.client_certificates import ClientCertificates
from controlplane.identity.enrollment import Enrollment
from controlplane.identity.explain import Explainer
from controlplane.identity.installation import Installation
from controlplane.identity.life import PkiLife
from controlplane.identity.oidc.accounts import Accounts
from controlplane.identity.oidc.logins import OidcLogins
from controlplane.identity.oidc.outbound import Outbound
from controlplane.identity.oidc.provider import Provider
from controlplane.identity.people import People
from controlplane.identity.power import Power
from controlplane.identity.principals import Principals
from controlplane.identity.recovery import Recovery
from controlplane.identity.role_book import RoleBook
from controlplane.identity.second_factors import SecondFactors
from controlplane.identity.sessions import Sessions
from controlplane.leadership import Leadership
from controlplane.links.dispatch import Dispatch
from controlplane.links.registry import Links
from controlplane.links.session import LinkSessions
from controlplane.links.sweeper import Sweeper
from controlplane.networks import Admission
from controlplane.operations.board import Board
from controlplane.operations.engine import Engine
from controlplane.operations.fleet import FleetWorkflow
from controlplane.operations.fleet_planner import FleetPlanner
from controlplane.operations.gating import Gating
from controlplane.operations.outside import OutsideView
from controlplane.operations.sequence import SequenceWorkflow
from controlplane.operations.steps import Steps
from controlplane.operations.unit import UnitWorkflow
from controlplane.servers import Servers
from controlplane.settings import Settings
from controlplane.store.access import AccessRepository, ApprovalRepository
from controlplane.store.alerts import AlertRepository
from controlplane.store.audit import AuditRepository
from controlplane.store.budgets import open_budgets
from controlplane.store.certificates import CertificateRepository, ServiceRepository
from controlplane.store.database import close_engine, migrate, open_engine
from controlplane.store.events import EventRepository
from controlplane.store.hosts import HostRepository
from controlplane.store.leases import LeaseRepository
from controlplane.store.operations import OperationRepository
from controlplane.store.redis import RedisStore
from controlplane.store.redis_sessions import RedisSessions
from controlplane.store.sessions import SessionRepository, SessionStore
from controlplane.store.users import UserRepository
from controlplane.telemetry.analysis import Analysis
from controlplane.telemetry.expiries import Expiries
from controlplane.telemetry.ingest import Ingest
from controlplane.telemetry.prometheus import metrics_app
from controlplane.telemetry.store.running import stored
from controlplane.telemetry.topic_makers import TopicMakers
from controlplane.telemetry.topics import Topics
from controlplane.telemetry.tracing import tracing
from controlplane.web import GatewayDoor, GatewayKeys, gateway_site, serve_site

log = structlog.get_logger(__name__)


class App:
    """The control plane, put together but not yet running."""

    def __init__(self, settings: Settings, installation: Installation) -> None:
        self.settings = settings
        self._installation = installation
        # Read first: a method without a policy must stop the start before anything else happens.
        table = standard_table() | read_table(SERVICES)

        self.engine = open_engine(settings.database())
        redis_url = settings.redis_url.get_secret_value()
        self._redis = RedisStore(redis_url) if redis_url else None
        users = UserRepository(self.engine)
        stored_sessions: SessionStore = RedisSessions(self._redis) if self._redis else SessionRepository(self.engine)
        stored_access = AccessRepository(self.engine)
        hosts = HostRepository(self.engine)
        stored_certificates, services = CertificateRepository(self.engine), ServiceRepository(self.engine)
        pki = installation.pki
        own_folder = None if settings.shares_store else settings.data_dir
        self._leadership = Leadership(LeaseRepository(self.engine), own_folder)
        stored_operations = OperationRepository(self.engine, lambda: self._leadership.term)

        stored_audit = AuditRepository(self.engine)
        self.audit = AuditLog(
            stored_audit,
            mac_key=installation.audit_key,
            signing_key=installation.checkpoint_key,
            origin=settings.trust_domain,
            settings=AuditSettings(checkpoint_interval_s=settings.checkpoint_seconds),
        )
        self._retention = Retention(self.audit, stored_audit, settings.audit_retention_days)
        reports = settings.reports.folder or settings.data_dir / "reports"
        self._reports = ReportMaker(self.audit, table, settings.reports, reports)
        self._publisher = Publisher(self.audit, self._redis)
        self._factors = factors = SecondFactors(
            users, stored_sessions, stored_certificates, installation.seed_key, installation.old_seed_key
        )
        sessions = Sessions(
            users, stored_sessions, factors, installation.token_key, settings, installation.old_token_key
        )
        roles = RoleBook(stored_access, users)
        self.principals = principals = Principals(
            users, hosts, sessions, roles, settings.trust_domain, services, pki,
            second_factor_roles=frozenset(settings.second_factor_roles if settings.require_second_factor else ()),
        )  # fmt: skip
        people = People(users, factors, principals.forget)
        approvals, power = CallApprovals(ApprovalRepository(self.engine), users, roles), Power(users, roles)
        enrollment = Enrollment(hosts, pki, settings.trust_domain)

        self.links = Links()
        self._ingest = ingest = Ingest(settings.live_seconds)
        dispatch = Dispatch(self.links, hosts, installation.permit_key, self._leadership)
        self._sweeper = Sweeper(hosts, self.links)

        board = Board(stored_operations)
        self.operations = Engine(settings.operations_database(), stored_operations, board)
        self._outside = OutsideView(settings.solana_rpc_url.get_secret_value())
        gating = Gating(hosts, self.links, dispatch, stored_operations, self._outside, settings.gates)
        steps = Steps(board, dispatch, self.audit)
        begin_within_s = settings.command_expire_seconds
        self._unit = UnitWorkflow(
            steps, self.links, gating, begin_within_s=begin_within_s, ready_within_s=settings.ready_seconds
        )
        self._fleet = FleetWorkflow(steps, self.links, hosts, self.operations, begin_within_s=begin_within_s)
        self._sequence = SequenceWorkflow(steps, self.links, hosts, self.operations, begin_within_s=begin_within_s)
        planner = FleetPlanner(hosts, self.links, dispatch, self._outside)

        found = EventRepository(self.engine)
        stored_alerts = AlertRepository(self.engine)
        alert_book = Book(stored_alerts)
        rules = settings.alerts.in_force()
        self._alerts = AlertEngine(rules, hosts, self.links, ingest, alert_book, board.busy_hosts)
        self._alertmanager = Alertmanager(
            alert_book, settings.alertmanager_url.get_secret_value(), settings.trust_domain
        )
        self._analysis = Analysis(ingest, self._alerts.take)
        self._findings = Findings(found, stored_alerts, self._alerts)

        self._witnesses = Witnesses(self.audit, self.links, self._alerts.take)
        places = Places(hosts, stored_operations, stored_alerts)
        explainer = Explainer(table, places, roles)
        notices = Notices(alert_book)
        glass = BreakGlass(notices)
        self._budgets = open_budgets(self._redis)
        rate = RateLimit(settings.rate_limits, self._budgets)
        admission = Admission.of(settings.allow_networks, settings.deny_networks)
        chain = GuardChain(
            table,
            (
                Errors(),
                Observe(),
                Refusals(self.audit),
                Whence(admission, installation.gateway_secret, rate),
                Authenticate(principals, rate),
                rate,
                Policy(places),
                SecondFactor(factors, approvals, power, glass, required=settings.require_second_factor),
                Validation(),
                Audit(self.audit),
            ),
        )
        self._provider = Provider(settings.oidc, Outbound("the identity provider", private=settings.oidc.allow_private))
        self.oidc = oidc = OidcLogins(settings.oidc, self._provider, Accounts(users, roles, settings.oidc), sessions)
        auth_api = AuthApi(sessions, factors, stored_sessions, principals, people, oidc, settings.trust_domain, pki)
        certificates = ClientCertificates(stored_certificates, services, people, roles, pki, settings.trust_domain)
        certificates_api = CertificatesApi(certificates, pki, principals)
        access_api = AccessApi(
            people, roles, power, stored_access, sessions, principals, hosts, explainer, approvals, certificates
        )
        recovery = Recovery(enrollment, principals, self.links, stored_operations, board, notices)
        hosts_api = HostsApi(hosts, enrollment, recovery, pki, self.links, ingest, principals)
        enrollment_api = EnrollmentApi(enrollment, recovery, pki, dispatch, self.audit.public_key)
        link_sessions = LinkSessions(
            hosts, self.links, ingest, dispatch, self.audit, self._findings, self._witnesses, pki
        )
        link_api = LinkApi(link_sessions)
        rpc_api = RpcApi(hosts, ingest, self._analysis)
        operating = Operating(hosts, self.operations, gating)
        validator_api = ValidatorApi(hosts, self.links, dispatch, operating)
        controls_api = ControlsApi(
            planner, self.operations, board, hosts,
            Snapshots(hosts, self.links, dispatch, operating), Ledger(hosts, self.links, self.operations, operating),
        )  # fmt: skip
        approvers = Approvers(users, roles)
        operations_api = OperationsApi(stored_operations, board, self.operations, hosts, approvers)
        alerts_api = AlertsApi(alert_book, self._alerts, stored_alerts, found, hosts)
        self._topics = topics = Topics(TopicMakers(ingest, self._analysis, lambda: alert_book.open).by_kind())
        metrics_api = MetricsApi(hosts, ingest, LiveTopics(hosts, topics))
        audit_api = AuditApi(self.audit, self._retention, self._witnesses, hosts, self._reports)
        self.servers = Servers(
            settings,
            installation,
            chain,
            (
                lambda server: add_AuthServiceServicer_to_server(auth_api, server),
                lambda server: add_AccessServiceServicer_to_server(access_api, server),
                lambda server: add_CertificatesServiceServicer_to_server(certificates_api, server),
                lambda server: add_HostsServiceServicer_to_server(hosts_api, server),
                lambda server: add_EnrollmentServiceServicer_to_server(enrollment_api, server),
                lambda server: add_LinkServiceServicer_to_server(link_api, server),
                lambda server: add_RpcServiceServicer_to_server(rpc_api, server),
                lambda server: add_ValidatorServiceServicer_to_server(validator_api, server),
                lambda server: add_ControlsServiceServicer_to_server(controls_api, server),
                lambda server: add_OperationsServiceServicer_to_server(operations_api, server),
                lambda server: add_AlertsServiceServicer_to_server(alerts_api, server),
                lambda server: add_AuditServiceServicer_to_server(audit_api, server),
                lambda server: add_MetricsServiceServicer_to_server(metrics_api, server),
            ),
        )
        self._metrics: web.Application = metrics_app(
            ingest, self.links, alert_book, Expiries(stored_certificates, pki), self._analysis
        )
        self.metrics_port = self.gateway_port = 0
        self._gateway: GatewayDoor | None = None
        self.pki_life = PkiLife(pki, self.audit, (self._forget, link_sessions.tell_trust, self._renew_gateway))

    async def serve(self) -> None:
        """Run until SIGTERM or SIGINT, then drain: calls under way end, and the audit log is closed last."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, self.pki_life.renew_now)
        async with self.running():
            sdnotify.notify("READY=1")
            log.info("serving", mtls=self.servers.mtls_port, tls=self.servers.tls_port, rest=self.gateway_port)
            await stop.wait()
            sdnotify.notify("STOPPING=1")
            log.info("draining", seconds=self.settings.drain_seconds)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Bring every part to life, in this order, and end them in the opposite one."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(close_engine, self.engine)
            stack.push_async_callback(self._provider.close)
            if self._redis:
                stack.push_async_callback(self._redis.close)
            stack.push_async_callback(self._budgets.close)
            await migrate(self.engine)
            await stack.enter_async_context(self._leadership.held())
            await self._factors.seal_anew()
            stack.enter_context(tracing("solward-controlplane", self.settings.otlp_endpoint))
            await self.audit.start()
            stack.push_async_callback(self.audit.close)
            await stack.enter_async_context(self._outside)
            await self.operations.start(self._unit, self._fleet, self._sequence)
            stack.push_async_callback(self.operations.stop)
            if self.settings.store.enabled:
                await stack.enter_async_context(stored(self._ingest, self.settings))
            await self._alerts.start()
            await self.servers.start()
            stack.push_async_callback(self.servers.stop)
            stack.callback(self.links.drain)
            metrics = serve_site(web.AppRunner(self._metrics, access_log=None), self.settings.metrics_listen)
            self.metrics_port = await stack.enter_async_context(metrics)
            keys = GatewayKeys.of(self._installation)
            if self.settings.gateway_dir:
                keys.hand_over(self.settings.gateway_dir)
            else:
                gateway = gateway_site(self.settings, keys, f"127.0.0.1:{self.servers.tls_port}")
                self._gateway = await stack.enter_async_context(gateway)
                self.gateway_port = self._gateway.port
            for background in (
                self._sweeper.run(), self._alerts.run(), self._findings.run(), self._retention.run(),
                self._witnesses.run(), self._reports.run(), self._publisher.run(), self.pki_life.run(),
                self._alertmanager.run(), self._analysis.run(),
                sdnotify.watchdog(),
            ):  # fmt: skip
                stack.push_async_callback(_cancel, asyncio.create_task(background))
            yield

    async def _forget(self) -> None:
        self.principals.forget()

    async def _renew_gateway(self) -> None:
        keys = GatewayKeys.of(self._installation)
        if self._gateway:
            self._gateway.renew(keys)
        elif self.settings.gateway_dir:
            await asyncio.to_thread(keys.hand_over, self.settings.gateway_dir)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
