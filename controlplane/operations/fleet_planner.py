"""Planning for many hosts: finds them, looks at each, and holds the wish to what can be."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence

import grpc
from solward.controls.v1 import controls_pb2
from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2 as pb

from common.errors import SolwardError
from common.names import host_name
from controlplane.links.dispatch import Dispatch
from controlplane.links.inspect import InspectError, inspect, inspect_flags
from controlplane.links.registry import Links
from controlplane.operations.fleet_plan import CONFIG_APPLY, ROLLING, FleetPlan, TargetPlan, in_order
from controlplane.operations.outside import OutsideTrouble, OutsideView
from controlplane.operations.plan import RESTART, Wish, plan_config, plan_unit
from controlplane.store.hosts import ACTIVE, HostRepository, HostRow

# How many agents are looked at together.
LOOKS_AT_ONCE = 32

Change = Callable[[HostRow], link_pb2.ConfigAction]


class FleetPlanner:
    """Makes plans for many hosts."""

    def __init__(self, hosts: HostRepository, links: Links, dispatch: Dispatch, outside: OutsideView) -> None:
        self._hosts = hosts
        self._links = links
        self._dispatch = dispatch
        self._outside = outside
        self._looks = asyncio.Semaphore(LOOKS_AT_ONCE)

    async def select(self, selector: controls_pb2.Selector) -> list[HostRow]:
        """Find the hosts that a selector means.

        Raises: SolwardError SELECTOR_WRONG, HOST_NOT_FOUND, HOST_NOT_ACTIVE, NO_HOSTS.
        """
        _check_selector(selector)
        active = {host_name(row.name): row for row in await self._hosts.active()}
        if selector.hosts:
            return [active.get(name) or await self._missing(name) for name in selector.hosts]
        found = [row for row in active.values() if _matches(row, selector)]
        if not found:
            raise _wrong("NO_HOSTS", "matches no active host: see ctl hosts list")
        return found

    async def rolling(self, rows: Sequence[HostRow], rollout: pb.Rollout, *, force: bool, named: bool) -> FleetPlan:
        """Plan a rolling restart; raises ROLLOUT_WRONG, STAKE_UNKNOWN, STAKE_TOO_LARGE."""
        wish = Wish(rollout.timeout_seconds, force)

        async def restart(row: HostRow) -> TargetPlan:
            plan = plan_unit(RESTART, row, self._links, wish)
            refused = "" if plan.state.startswith("active/") else f"UNIT_NOT_ACTIVE: {plan.unit} is {plan.state}"
            return TargetPlan(row.uid, row.name, plan.unit, row.host_group, refused=refused)

        targets = await self._targets(rows, restart, rollout)
        plan = FleetPlan(ROLLING, in_order(targets, named=named), _bytes(rollout), force)
        return _checked(plan)

    async def config(
        self,
        rows: Sequence[HostRow],
        change: Change,
        rollout: pb.Rollout,
        *,
        restart: bool,
        rollback: bool,
        named: bool,
    ) -> FleetPlan:
        """Plan a change of flags; a host whose flags stand as wished already is left out.

        Args:
            change: what is wished of a host.
            restart: restart validators that cannot be told all of it.
            rollback: put a host's flags back where it is not up in time.
            named: the hosts stand in the order of their turn.

        Raises: as `rolling`; NOTHING_TO_CHANGE.
        """
        wish = Wish(rollout.timeout_seconds)

        async def target(row: HostRow) -> TargetPlan | None:
            wanted = change(row)
            host = self._links.get(row.uid)
            wanted.unit = host.validator if host else ""
            try:
                report = await inspect_flags(self._dispatch, row.uid, wanted.unit, wanted)
            except InspectError as error:
                return TargetPlan(row.uid, row.name, wanted.unit, row.host_group, refused=_said(error))
            if not report.diff:
                return None
            plan = plan_config(row, self._links, wish, wanted, report, restart=restart, rollback=rollback)
            return TargetPlan(
                row.uid, row.name, plan.unit, row.host_group, config=plan.config, diff=plan.diff,
                restarts=bool(plan.request),
            )  # fmt: skip

        targets = await self._targets(rows, target, rollout)
        if not targets:
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION,
                "NOTHING_TO_CHANGE",
                "the flags stand as wished already on every host",
            )
        return _checked(FleetPlan(CONFIG_APPLY, in_order(targets, named=named), _bytes(rollout), rollback=rollback))

    async def _targets(
        self, rows: Sequence[HostRow], make: Callable[[HostRow], Awaitable[TargetPlan | None]], rollout: pb.Rollout
    ) -> list[TargetPlan]:
        _check_rollout(rollout)
        stakes = await self._stakes() if len(rows) > 1 else {}
        if rollout.max_stake_percent and not stakes:
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION, "STAKE_UNKNOWN",
                "max_stake_percent needs the stake of each host, and that needs an outside RPC (solana_rpc_url)",
                {"field": "rollout.max_stake_percent"},
            )  # fmt: skip

        async def one(row: HostRow) -> TargetPlan | None:
            async with self._looks:
                try:
                    target = await make(row)
                except SolwardError as error:
                    return TargetPlan(row.uid, row.name, "", row.host_group, refused=f"{error.reason}: {error.message}")
                if target is None or target.refused or not stakes:
                    return target
                return await self._with_stake(target, stakes, strict=bool(rollout.max_stake_percent))

        return [target for target in await asyncio.gather(*map(one, rows)) if target]

    async def _with_stake(self, target: TargetPlan, stakes: dict[str, int], *, strict: bool) -> TargetPlan:
        host = self._links.get(target.host_uid)
        if host is None or host.link is None or not host.link.hello.knows_validator:
            unknown = "STAKE_UNKNOWN: its agent knows no validator (agent.yaml), and so not whose stake it holds"
            return target._replace(refused=unknown) if strict else target
        try:
            node = await inspect(self._dispatch, target.host_uid, target.unit)
        except InspectError as error:
            # Where stake decides how many may go down, a host whose stake is not known must not pass for one without.
            return target._replace(refused=_said(error)) if strict else target
        if strict and not node.vote_account:
            return target._replace(refused="STAKE_UNKNOWN: agent.yaml names no vote_account")
        return target._replace(stake=stakes.get(node.vote_account, 0))

    async def _stakes(self) -> dict[str, int]:
        try:
            return await self._outside.stakes()
        except OutsideTrouble:
            return {}

    async def _missing(self, name: str) -> HostRow:
        row = await self._hosts.by_name(name.partition("/")[2])
        if row is None:
            raise SolwardError(
                grpc.StatusCode.NOT_FOUND, "HOST_NOT_FOUND", f"there is no {name}: see ctl hosts list", {"host": name}
            )
        state = row.state if row.state != ACTIVE else "changing"
        raise SolwardError(grpc.StatusCode.FAILED_PRECONDITION, "HOST_NOT_ACTIVE", f"{name} is {state}", {"host": name})


def _check_selector(selector: controls_pb2.Selector) -> None:
    by_name, by_mark = bool(selector.hosts), bool(selector.group or selector.labels)
    if by_name + by_mark + selector.all != 1:
        raise _wrong("SELECTOR_WRONG", "must name hosts, or a group and labels, or all: one of the three")
    if len(set(selector.hosts)) != len(selector.hosts):
        raise _wrong("SELECTOR_WRONG", "names a host twice")


def _matches(row: HostRow, selector: controls_pb2.Selector) -> bool:
    labels = row.label_map
    grouped = not selector.group or row.host_group == selector.group
    return grouped and all(labels.get(name) == value for name, value in selector.labels.items())


def _check_rollout(rollout: pb.Rollout) -> None:
    problems = []
    if math.isnan(rollout.max_stake_percent):
        problems.append(("rollout.max_stake_percent", "must be a number"))
    if rollout.max_failures and rollout.on_failure != pb.FAILURE_POLICY_CONTINUE:
        problems.append(("rollout.max_failures", "needs on_failure CONTINUE"))
    if problems:
        words = "; ".join(f"{field} {what}" for field, what in problems)
        raise SolwardError(
            grpc.StatusCode.INVALID_ARGUMENT, "ROLLOUT_WRONG", words, {"field": problems[0][0]}, problems
        )


def _checked(plan: FleetPlan) -> FleetPlan:
    """Refuse a plan whose limits no host could keep."""
    most = plan.how.max_stake_percent
    whole = sum(each.stake for each in plan.targets)
    for each in plan.targets:
        share = 100 * each.stake / whole if whole else 0.0
        if most and share > most:
            words = (
                f"{each.host} alone has {share:.1f} % of the stake: max_stake_percent {most:g} would never let it go"
            )
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION, "STAKE_TOO_LARGE", words, {"host": host_name(each.host)}
            )
    return plan


def _bytes(rollout: pb.Rollout) -> bytes:
    return rollout.SerializeToString(deterministic=True)


def _said(error: InspectError) -> str:
    return f"{error.reason}: {error.message}"


def _wrong(reason: str, what: str) -> SolwardError:
    return SolwardError(
        grpc.StatusCode.INVALID_ARGUMENT, reason, f"selector {what}", {"field": "selector"}, (("selector", what),)
    )
