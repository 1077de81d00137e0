"""Places: which hosts a call is about, by the names in its request."""

from collections.abc import Iterable
from typing import Any

from google.protobuf.message import Message
from solward.operations.v1 import operations_pb2

from common.clock import now_ms
from common.names import host_id
from controlplane.guard.decision import Place
from controlplane.guard.table import MethodRule
from controlplane.store.alerts import AlertRepository
from controlplane.store.hosts import ACTIVE, HostRepository, HostRow
from controlplane.store.operations import OperationRepository

# The uid of what stands for no host we know: only rules for every host reach it.
UNKNOWN = ""
_MANY = 1000


def place_of(row: HostRow) -> Place:
    """Give the place that a host is."""
    return Place(f"hosts/{row.name}", row.uid, row.host_group)


class Places:
    """Finds the hosts behind names of hosts, operations, alerts and silences."""

    def __init__(self, hosts: HostRepository, operations: OperationRepository, alerts: AlertRepository) -> None:
        self._hosts = hosts
        self._operations = operations
        self._alerts = alerts

    async def of(self, rule: MethodRule, request: Message | None) -> list[Place] | None:
        """Find the hosts that a request is about; None where it names none."""
        if request is None:
            return None
        names = _names(rule, request)
        if not names:
            return await self._only() if _may_be_left_out(rule) else None
        return [place for name in names for place in await self._find(name)]

    async def of_host(self, name: str) -> Place:
        """Find a host by resource name; what is no name of a host stands for none."""
        try:
            row = await self._hosts.by_name(host_id(name))
        except ValueError:
            # It has not been validated yet.
            row = None
        return place_of(row) if row else Place(name, UNKNOWN)

    async def _find(self, name: str) -> list[Place]:
        kind, _, rest = name.partition("/")
        if "\0" in name:
            return [Place(name, UNKNOWN)]
        if kind == "hosts":
            return [await self.of_host(name)]
        if kind == "operations":
            operation = await self._operations.get(rest)
            hosts = hosts_of(operation) if operation else []
        elif kind == "alerts":
            alert = await self._alerts.get(name)
            hosts = [alert.host] if alert else []
        elif kind == "silences":
            silences = await self._alerts.silences(now_ms())
            hosts = [silence.host for silence in silences if silence.name == name and silence.host]
        else:
            hosts = []
        # By the name that the caller gave: a refusal does not tell which hosts are behind it.
        return [(await self.of_host(host))._replace(host=name) for host in hosts] or [Place(name, UNKNOWN)]

    async def _only(self) -> list[Place] | None:
        """Find the fleet's only active host, which a request may leave out."""
        active = [row for row in await self._hosts.page("", _MANY) if row.state == ACTIVE]
        return [place_of(active[0])] if len(active) == 1 else None


def _names(rule: MethodRule, request: Message) -> list[str]:
    fields = dict.fromkeys(name for name in (rule.policy.resource_field, "host") if name)
    return [name for field in fields for name in _values(getattr(request, field, ""))]


def _may_be_left_out(rule: MethodRule) -> bool:
    return rule.policy.resource_field == "host" and not rule.policy.scoped


def _values(value: Any) -> Iterable[str]:
    return [value] if isinstance(value, str) and value else []


def hosts_of(operation: operations_pb2.Operation) -> list[str]:
    """List the hosts of an operation, by resource name."""
    hosts = [operation.host, *(target.host for target in operation.targets)]
    return list(dict.fromkeys(host for host in hosts if host))
