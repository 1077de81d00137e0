"""What is done to hosts: the streams of their agents, and operations that go down them."""

from controlplane.audit.log import AuditLog
from controlplane.identity.installation import Installation
from controlplane.links.dispatch import Dispatch
from controlplane.links.registry import Links
from controlplane.operations.board import Board
from controlplane.operations.engine import Engine
from controlplane.operations.fleet import FleetWorkflow
from controlplane.operations.fleet_planner import FleetPlanner
from controlplane.operations.gating import Gating
from controlplane.operations.outside import OutsideView
from controlplane.operations.sequence import SequenceWorkflow
from controlplane.operations.steps import Steps
from controlplane.operations.tracing import OperationSpans
from controlplane.operations.unit import UnitWorkflow
from controlplane.rooms.records import Records
from controlplane.settings import Settings
from controlplane.telemetry.otlp.agents import AgentSpans
from controlplane.telemetry.otlp.spans import Traces


class Operations:
    """Durable operations, and what they act through."""

    def __init__(
        self, settings: Settings, installation: Installation, records: Records, audit: AuditLog, traces: Traces
    ) -> None:
        hosts, stored = records.hosts, records.operations
        self.links = links = Links()
        take_spans = AgentSpans(traces).take
        self.dispatch = Dispatch(links, hosts, installation.permit_key, records.leadership, take_spans)
        self.board = Board(stored, OperationSpans(traces).changed)
        self.engine = Engine(settings.operations_database(), stored, self.board)
        self.outside = OutsideView(settings.solana_rpc_url.get_secret_value())
        self.gating = Gating(hosts, links, self.dispatch, stored, self.outside, settings.gates)
        self.planner = FleetPlanner(hosts, links, self.dispatch, self.outside)
        steps, within_s = Steps(self.board, self.dispatch, audit), settings.command_expire_seconds
        self.unit = UnitWorkflow(
            steps, links, self.gating, begin_within_s=within_s, ready_within_s=settings.ready_seconds
        )
        self.fleet = FleetWorkflow(steps, links, hosts, self.engine, begin_within_s=within_s)
        self.sequence = SequenceWorkflow(steps, links, hosts, self.engine, begin_within_s=within_s)

    async def start(self) -> None:
        """Go on with what was under way when the control plane ended."""
        await self.engine.start(self.unit, self.fleet, self.sequence)
