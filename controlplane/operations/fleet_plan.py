"""Plans for many hosts: who, in which order, what changes on each, how one follows the other; under one hash."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from solward.operations.v1 import operations_pb2 as pb

from common.names import host_name
from controlplane.operations.plan import CONFIG, RESTART

ROLLING, CONFIG_APPLY = "controls.restart", "controls.config"


class TargetPlan(NamedTuple):
    """What is to be done to one host of many.

    Attributes:
        stake: its active stake in lamports; 0 for none, or none that is known.
        config: a serialized ActionRequest that changes its flags, held to the flags as they stood; else empty.
        diff: the difference that it makes, for people.
        restarts: whether the host is restarted.
        refused: what stands against it already; a plan that holds one is shown and not begun.
    """

    host_uid: str
    host: str
    unit: str
    group: str = ""
    stake: int = 0
    config: bytes = b""
    diff: tuple[str, ...] = ()
    restarts: bool = True
    refused: str = ""


class FleetPlan(NamedTuple):
    """What is to be done to many hosts, the first first.

    Attributes:
        rollout: a serialized Rollout.
        force: go on although gates do not pass.
        rollback: put a host's flags back where it is not up in time.
    """

    kind: str
    targets: tuple[TargetPlan, ...]
    rollout: bytes
    force: bool = False
    rollback: bool = False

    @property
    def how(self) -> pb.Rollout:
        """The rollout, to be read."""
        return pb.Rollout.FromString(self.rollout)

    @property
    def hash(self) -> str:
        """SHA-256 over who, in which order, what, and how: a plan that has changed has another.

        Stakes are left out: they change by the hour, and decide the order only before a plan is shown.
        """
        parts = [self.kind, self.rollout.hex(), str(self.force), str(self.rollback)]
        for each in self.targets:
            parts += [each.host_uid, each.host, each.unit, each.group, each.config.hex(), str(each.restarts)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def target(self, host: str) -> TargetPlan:
        """Find the plan of a host by its resource name."""
        return next(each for each in self.targets if host_name(each.host) == host)

    def operation(self, requester: str, reason: str) -> pb.Operation:
        """Show the plan as an operation that has not begun."""
        rollout = self.how
        whole = sum(each.stake for each in self.targets)
        return pb.Operation(
            kind=self.kind,
            requester=requester,
            state=pb.OPERATION_STATE_PLANNED,
            plan_hash=self.hash,
            reason=reason,
            rollout=rollout,
            targets=[
                pb.Target(
                    host=host_name(each.host), state=pb.TARGET_STATE_WAITING, message=each.refused,
                    canary=index < rollout.canaries, group=each.group, diff=each.diff,
                    stake_percent=100 * each.stake / whole if whole else 0.0,
                )
                for index, each in enumerate(self.targets)
            ],
        )  # fmt: skip


def in_order(targets: Sequence[TargetPlan], *, named: bool) -> tuple[TargetPlan, ...]:
    """Order hosts: as they were named, else the least stake first, so that what goes wrong costs little."""
    return tuple(targets) if named else tuple(sorted(targets, key=lambda each: (each.stake, each.host)))


def child_kind(plan: FleetPlan) -> str:
    """Name the kind of the operation on each host."""
    return CONFIG if plan.kind == CONFIG_APPLY else RESTART


def stored(plan: FleetPlan) -> tuple[object, ...]:
    """Make the tuples that a plan is stored as."""
    return (plan.kind, tuple(tuple(each) for each in plan.targets), *plan[2:])


def restored(fields: Sequence[object]) -> FleetPlan:
    """Read a plan that was stored; fields that a later version added may be missing at its end."""
    kind, targets, *rest = fields
    return FleetPlan(kind, tuple(TargetPlan(*each) for each in targets), *rest)  # type: ignore
