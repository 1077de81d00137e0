"""The composition root: the parts of the agent, in the order in which they come to life."""

import asyncio
import signal
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from solward.hosts.v1 import link_pb2

from agent import VERSION, allowlist
from agent.actions.executor import Executor
from agent.geyser.bells import PluginBells
from agent.geyser.board import SlotBoard
from agent.geyser.settings import GeyserSettings
from agent.host.admin_rpc import AdminRpc
from agent.host.config import Flags
from agent.host.node import Node
from agent.host.node_rpc import NodeRpc
from agent.host.snapshots import Snapshots
from agent.host.systemd import Systemd
from agent.identity import IdentityStore, prepare_state
from agent.jobs.folder import JobFiles
from agent.journal import Journal
from agent.link.auto import AutoLink
from agent.link.batcher import Batcher
from agent.link.direct import DirectLink
from agent.link.spool import Spool
from agent.own_log import OwnLog
from agent.probes.base import Probe
from agent.probes.kept import kept
from agent.probes.unit import UnitWatch
from agent.settings import JitoSettings, Settings
from agent.witness import Witness
from common import logs, sdnotify

if TYPE_CHECKING:
    from agent.jito.canary import Canary
    from agent.jito.engine import Engine
    from agent.probes.geyser_kafka import KafkaProbe

log = structlog.get_logger(__name__)

# How long a command that is under way may go on after SIGTERM.
FINISH_SECONDS = 30.0


class Agent:
    """The agent, put together but not yet running."""

    def __init__(self, settings: Settings) -> None:
        prepare_state(settings.state_dir)
        allowed = allowlist.load(settings.allowlist, settings.allowlist_owner)
        store = IdentityStore(settings.state_dir)
        # One worker: SQLite files are written in order, and never on the loop.
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="disk")
        self._spool = Spool(settings.state_dir, settings.spool_megabytes * 1024 * 1024)
        self._journal = Journal(settings.state_dir)
        self._systemd = Systemd(settings.bus_address or None)
        units = UnitWatch(self._systemd, list(allowed.units))
        self._node = _node(settings)
        engine = _engine(settings.jito, settings.state_dir) if settings.jito else None
        geyser = settings.geyser or GeyserSettings()
        # What the probes of the node's own RPC see of its slots, for those who compare a stream with it.
        board, bells = SlotBoard(), PluginBells()
        kafka = _kafka_probe(geyser)
        executor = Executor(
            self._systemd, self._journal, allowed, lambda: self._link.identity, self._worker, self._spool.make_room,
            self._node, settings.state_dir / "towers",
            Flags(settings.validator.config_socket) if settings.validator else None,
            Snapshots(settings, settings.validator) if settings.validator else None,
            JobFiles(settings.jobs_dir, settings.job_results_dir) if settings.validator else None,
            engine, geyser.plugins, bells, kafka.partition_lags if kafka else None,
        )  # fmt: skip
        about = link_pb2.Hello(
            knows_validator=self._node is not None, group=settings.group, labels=settings.labels,
            has_ledger_tool=bool(allowed.ledger_tool), bundles=_bundle_limits(allowed.bundles, engine),
        )  # fmt: skip
        witness = Witness(settings.state_dir, store.load().audit_key)
        self._direct = direct = DirectLink(self._spool, self._worker, executor, units, allowed, witness, about)
        self._link = AutoLink(settings, store, direct, lambda: sdnotify.notify("STATUS=connected"))
        self._own_log = OwnLog()
        self._batcher = Batcher(self._spool, self._worker, direct.spooled)
        self._probes: list[Probe] = [
            units, *_probes(settings, board), *_log_probes(settings, store, self._spool, list(allowed.units)),
            *_jito_probes(settings, engine, _canary(settings, allowed, engine, self._worker)),
            *([kafka] if kafka else []), *_geyser_probes(settings, geyser, self._node, board, bells),
        ]  # fmt: skip

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT; a command under way is finished first."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        parts: list[Coroutine[Any, Any, None]] = [
            self._link.run(),
            self._batcher.run(),
            self._own_log.run(self._batcher),
            sdnotify.watchdog(),
            *(kept(probe, self._batcher) for probe in self._probes),
        ]
        try:
            with logs.tapped(self._own_log):
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(part) for part in parts]
                    sdnotify.notify("READY=1")
                    log.info("agent runs", version=VERSION, host=self._link.identity.host)
                    await stop.wait()
                    sdnotify.notify("STOPPING=1")
                    await self._direct.finish(FINISH_SECONDS)
                    for task in tasks:
                        task.cancel()
        finally:
            self._own_log.drain(self._batcher)
            await self._batcher.close_second()
            await self._systemd.close()
            if self._node:
                self._node.rpc.close()
            self._worker.shutdown()
            self._spool.close()
            self._journal.close()


def _node(settings: Settings) -> Node | None:
    if settings.validator is None or settings.rpc is None:
        return None
    return Node(settings.validator, NodeRpc(settings.rpc.url), AdminRpc(settings.validator.admin_socket))


def _engine(wanted: JitoSettings, state_dir: Path) -> "Engine":
    from agent.jito.auth import load_key, load_roots, load_uuid
    from agent.jito.engine import Engine, Wishes, known_places
    from agent.jito.memory import Memory
    from agent.jito.region import Place
    from agent.jito.results import MOST_REMEMBERED

    places = {name: Place(one.url, one.json_rpc or one.url) for name, one in wanted.regions.items()}
    return Engine(
        Wishes(
            places or known_places(wanted.cluster), load_key(wanted.auth_key) if wanted.auth_key else None,
            load_roots(wanted.tls_roots), wanted.requests_per_second, wanted.results,
            wanted.rtt_period_seconds, wanted.send_timeout_seconds, wanted.silent_seconds,
            wanted.leader_period_seconds, load_uuid(wanted.uuid_file) if wanted.uuid_file else "",
        ),
        Memory(state_dir / "bundles.sent", MOST_REMEMBERED),
    )  # fmt: skip


def _bundle_limits(allowed: allowlist.Bundles | None, engine: "Engine | None") -> link_pb2.BundleLimits:
    known = list(engine.regions) if engine else []
    if allowed is None:
        return link_pb2.BundleLimits(known_regions=known)
    regions = [name for name in known if not allowed.regions or name in allowed.regions]
    return link_pb2.BundleLimits(
        allowed=True, max_tip_lamports=allowed.max_tip_lamports, regions=regions, known_regions=known
    )


def _canary(
    settings: Settings, allowed: allowlist.Allowlist, engine: "Engine | None", worker: ThreadPoolExecutor
) -> "Canary | None":
    wanted = settings.jito.canary if settings.jito else None
    if wanted is None or settings.jito is None or settings.rpc is None or engine is None:
        return None
    from agent.jito.auth import load_key
    from agent.jito.canary import Canary, Habits
    from agent.jito.purse import Purse

    regions = allowlist.canary_regions(allowed.bundles, wanted.regions or tuple(engine.regions), wanted.tip_lamports)
    habits = Habits(
        load_key(wanted.key, "jito.canary.key"), settings.jito.cluster, wanted.period_minutes * 60,
        wanted.tip_lamports, regions, wanted.dry_run,
    )  # fmt: skip
    purse = Purse(settings.state_dir / "canary.json", wanted.bundle_lamports, wanted.daily_lamports)
    return Canary(engine, NodeRpc(settings.rpc.url), habits, purse, worker)


def _jito_probes(settings: Settings, engine: "Engine | None", canary: "Canary | None") -> list[Probe]:
    if settings.jito is None or engine is None:
        return []
    from agent.probes.jito import JitoProbe

    return [JitoProbe(engine, settings.jito.relays, settings.jito.rtt_period_seconds, canary)]


def _kafka_probe(geyser: GeyserSettings) -> "KafkaProbe | None":
    if not geyser.kafka:
        return None
    from agent.probes.geyser_kafka import KafkaProbe

    return KafkaProbe(geyser.kafka)


def _geyser_probes(
    settings: Settings, geyser: GeyserSettings, node: Node | None, board: SlotBoard, bells: PluginBells
) -> list[Probe]:
    # Imported on demand: only hosts near a pipeline need carry its clients in memory.
    probes: list[Probe] = []
    if geyser.sinks:
        from agent.probes.geyser_sinks import SinksProbe

        probes.append(SinksProbe(geyser.sinks))
    if geyser.plugins:
        from agent.probes.geyser_plugins import PluginProbe

        probes.append(PluginProbe(geyser.plugins, node.admin if node else None, bells))
    if geyser.streams:
        from agent.probes.geyser_stream import StreamProbe

        probes.append(StreamProbe(geyser.streams, board if settings.rpc else None, bells))
        if settings.rpc and not settings.rpc.websocket:
            from agent.probes.slot_poll import SlotPoll

            probes.append(SlotPoll(settings.rpc.url, board))
    return probes


def _probes(settings: Settings, board: SlotBoard) -> list[Probe]:
    # Imported on demand: a host without an RPC endpoint need not carry an HTTP client in memory.
    probes: list[Probe] = []
    if settings.rpc:
        from agent.probes.rpc import RpcProbe, RpcTarget

        rpc = settings.rpc
        target = RpcTarget(rpc.url, rpc.methods, 1.0, rpc.timeout_seconds, rpc.max_calls_per_second, not rpc.references)
        probes.append(RpcProbe(target))
        if rpc.websocket:
            from agent.probes.rpc_pubsub import PubsubProbe

            probes.append(PubsubProbe(rpc.websocket, board))
        if rpc.references:
            from agent.probes.rpc_reference import ReferenceProbe, References

            wanted = References(
                rpc.references, rpc.reference_period_seconds, rpc.timeout_seconds, rpc.reference_agree_slots
            )
            probes.append(ReferenceProbe(rpc.url, wanted))
    if settings.kernel:
        from agent.probes.kernel import KernelProbe

        probes.append(KernelProbe())
    return probes


def _log_probes(settings: Settings, store: IdentityStore, spool: Spool, units: list[str]) -> list[Probe]:
    if settings.validator is None:
        return []
    from agent.host import journald, logfile
    from agent.probes.validator_log import LogProbe, Source

    endpoint, log_file = settings.validator.metrics_endpoint, settings.validator.log
    if log_file == "journal":
        source = Source("journal", lambda position: journald.follow(units, position))
    else:
        source = Source(log_file, lambda position: logfile.follow(Path(log_file), position))
    probes: list[Probe] = [LogProbe(source, spool.position(source.name), points=endpoint is None)]
    if endpoint:
        from agent.probes.metrics_endpoint import MetricsEndpoint
        from agent.probes.metrics_forward import MetricsForward

        forward = MetricsForward(endpoint.forward) if endpoint.forward else None
        add = forward.add if forward else None
        probes += [MetricsEndpoint(endpoint.port, store.metrics_password(), add), *([forward] if forward else [])]
    return probes
