"""The composition root: the rooms of the control plane, in the order in which they come to life."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from aiohttp import web

from common import sdnotify
from controlplane.api.services import SERVICES
from controlplane.guard.standard import standard_table
from controlplane.guard.table import read_table
from controlplane.identity.installation import Installation
from controlplane.identity.life import PkiLife
from controlplane.links.sweeper import Sweeper
from controlplane.rooms.answering import Answering
from controlplane.rooms.auditing import Auditing
from controlplane.rooms.geyser import Geyser
from controlplane.rooms.guarding import Guarding
from controlplane.rooms.identities import Identities
from controlplane.rooms.mev import Mev
from controlplane.rooms.operations import Operations
from controlplane.rooms.records import Records
from controlplane.rooms.watching import Watching
from controlplane.servers import Servers
from controlplane.settings import Settings
from controlplane.telemetry.expiries import Expiries
from controlplane.telemetry.exposition import metrics_app
from controlplane.telemetry.otlp.running import Otlp
from controlplane.telemetry.prometheus import PageSource
from controlplane.telemetry.remote_write.running import RemoteWrite
from controlplane.telemetry.store.running import stored
from controlplane.web import GatewayDoor, GatewayKeys, gateway_site, serve_site

log = structlog.get_logger(__name__)


class App:
    """The control plane, put together but not yet running."""

    def __init__(self, settings: Settings, installation: Installation) -> None:
        self.settings, self._installation = settings, installation
        # Read first: a method without a policy must stop the start before anything else happens.
        table = standard_table() | read_table(SERVICES)

        self.otlp = Otlp(settings.otlp)
        self.records = Records(settings)
        self.auditing = Auditing(settings, installation, self.records, table)
        self.identities = Identities(settings, installation, self.records)
        self.operations = Operations(settings, installation, self.records, self.auditing.log, self.otlp.traces)
        self.watching = Watching(settings, self.records, self.operations.links, self.operations.board.busy_hosts)
        self.mev = Mev(settings, self.records, self.operations, self.watching)
        guarding = Guarding(
            settings, installation, table, self.records, self.auditing, self.identities, self.watching,
            self.otlp.traces,
        )  # fmt: skip
        self.geyser = Geyser(settings, self.records, self.operations, self.watching, guarding.by_name)
        self._answering = Answering(
            settings.trust_domain, self.records, self.auditing, self.identities, self.operations, self.watching,
            self.mev, self.geyser, guarding.explainer,
        )  # fmt: skip
        self.servers = Servers(settings, installation, guarding.chain, self._answering.register)
        self.sweeper = Sweeper(self.records.hosts, self.operations.links)
        self._page = page = PageSource(
            self.watching.ingest, self.operations.links, self.watching.book,
            Expiries(self.records.certificates, installation.pki), self.watching.analysis,
        )  # fmt: skip
        self._metrics: web.Application = metrics_app(page)
        self._remote_write = RemoteWrite(settings.remote_write, page, settings.trust_domain)
        self.metrics_port = self.gateway_port = 0
        self._gateway: GatewayDoor | None = None
        renewed = (self.identities.forget, self._answering.link_sessions.tell_trust, self._renew_gateway)
        self.pki_life = PkiLife(installation.pki, self.auditing.log, renewed)

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
        settings, auditing, operations = self.settings, self.auditing, self.operations
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.identities.provider.close)
            await stack.enter_async_context(self.records.open())
            await stack.enter_async_context(self.records.leadership.held())
            await self.identities.factors.seal_anew()
            await stack.enter_async_context(self.otlp.running(self._page))
            await auditing.log.start()
            stack.push_async_callback(auditing.log.close)
            await stack.enter_async_context(operations.outside)
            await operations.start()
            stack.push_async_callback(operations.engine.stop)
            if settings.store.enabled:
                await stack.enter_async_context(stored(self.watching.ingest, settings))
            await self.watching.alerts.start()
            await self.servers.start()
            stack.push_async_callback(self.servers.stop)
            stack.callback(operations.links.drain)
            metrics = serve_site(self._metrics, settings.metrics_listen)
            self.metrics_port = await stack.enter_async_context(metrics)
            await self._open_gateway(stack)
            for background in (
                self.sweeper.run(), *self.watching.work(), *self.mev.work(), *self.geyser.work(),
                *auditing.work(),
                self._answering.witnesses.run(), self.pki_life.run(), self._remote_write.run(),
                sdnotify.watchdog(),
            ):  # fmt: skip
                stack.push_async_callback(_cancel, asyncio.create_task(background))
            yield

    async def _open_gateway(self, stack: AsyncExitStack) -> None:
        keys = GatewayKeys.of(self._installation)
        if self.settings.gateway_dir:
            keys.hand_over(self.settings.gateway_dir)
        else:
            gateway = gateway_site(self.settings, keys, f"127.0.0.1:{self.servers.tls_port}")
            self._gateway = await stack.enter_async_context(gateway)
            self.gateway_port = self._gateway.port

    async def _renew_gateway(self) -> None:
        keys = GatewayKeys.of(self._installation)
        if self._gateway:
            self._gateway.renew(keys)
        elif self.settings.gateway_dir:
            await asyncio.to_thread(keys.hand_over, self.settings.gateway_dir)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
