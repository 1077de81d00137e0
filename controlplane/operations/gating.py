"""Gating: gathers what gates look at, from the node, the cluster, and the other hosts of its group."""

import asyncio

from solward.hosts.v1 import link_pb2
from sqlalchemy.exc import SQLAlchemyError

from common.names import host_name
from controlplane.links.dispatch import Dispatch
from controlplane.links.inspect import InspectError, inspect
from controlplane.links.registry import Links
from controlplane.operations.gates import OF_VOTERS, Gate, Peer, Scene, judge
from controlplane.operations.outside import OutsideView
from controlplane.operations.plan import UnitPlan, validator_unit
from controlplane.settings import GateLimits
from controlplane.store.hosts import HostRepository, HostRow
from controlplane.store.operations import OperationRepository


class Gating:
    """Judges the gates of plans."""

    def __init__(
        self,
        hosts: HostRepository,
        links: Links,
        dispatch: Dispatch,
        operations: OperationRepository,
        outside: OutsideView,
        limits: GateLimits,
    ) -> None:
        self._hosts = hosts
        self._links = links
        self._dispatch = dispatch
        self._operations = operations
        self.outside = outside
        self.limits = limits

    async def judge(self, plan: UnitPlan, own: str = "") -> tuple[Scene, list[Gate]]:
        """Judge a plan's gates now.

        Args:
            own: the operation that asks, which does not stand in its own way.

        Raises: InspectError when the agent does not look.
        """
        scene = await self.scene(plan, own)
        return scene, judge(scene, plan.gates)

    async def scene(self, plan: UnitPlan, own: str = "") -> Scene:
        """Gather what the gates of a plan look at; raises InspectError."""
        try:
            node, outside, peers = await asyncio.gather(
                inspect(self._dispatch, plan.host_uid, plan.unit),
                self.outside.look(),
                self._peers(plan, own, look=any(gate in plan.gates for gate in OF_VOTERS)),
            )
        except (SQLAlchemyError, OSError) as error:
            raise InspectError("STORE_UNAVAILABLE", f"the store cannot be read ({type(error).__name__})") from None
        return Scene(node, outside, peers, self.limits)

    async def _peers(self, plan: UnitPlan, own: str, *, look: bool) -> list[Peer]:
        me = await self._hosts.by_uid(plan.host_uid)
        if me is None or not me.host_group:
            return []
        # From the store: hosts that have not come back yet since a restart of ours are peers all the same.
        rows = [row for row in await self._hosts.in_group(me.host_group) if row.uid != me.uid]
        at_work = await self._at_work(own)
        return await asyncio.gather(*(self._peer(row, at_work.get(host_name(row.name), ""), look) for row in rows))

    async def _at_work(self, own: str) -> dict[str, str]:
        """Name the operation at work on each host."""
        found = [await self._operations.get(uid) for uid in await self._operations.running()]
        return {one.host: one.name for one in found if one and one.name != own}

    async def _peer(self, row: HostRow, operation: str, look: bool) -> Peer:
        host = self._links.get(row.uid)
        report = validator_unit(host) if host and host.connected else None
        up = report is not None and report.state.active_state == "active"
        node: link_pb2.NodeReport | None = None
        if look and report is not None:
            try:
                # A unit that is down votes for nobody; of one that cannot be seen nothing is known.
                node = await inspect(self._dispatch, row.uid, report.state.unit) if up else link_pb2.NodeReport()
            except InspectError:
                node = None
        return Peer(row.name, up, operation, node)
