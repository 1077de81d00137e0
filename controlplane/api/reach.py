"""How far a caller reaches: what of a list it may see, and which hosts it may act on."""

import hashlib
from collections.abc import Iterable

import grpc
from solward.operations.v1 import operations_pb2

from common.errors import SolwardError
from controlplane.guard.context import caller, current_call
from controlplane.guard.decision import Place
from controlplane.guard.places import hosts_of, place_of
from controlplane.store.hosts import HostRepository

# More than any fleet has.
MANY = 100_000


class Reach:
    """Where the caller holds the permission of the call that is being served."""

    def __init__(self, places: dict[str, Place] | None) -> None:
        self._places = places

    @classmethod
    async def of_caller(cls, hosts: HostRepository, permission: str = "") -> "Reach":
        """Find out once for a call.

        Args:
            hosts: every host there is.
            permission: by which it is to reach; empty for the one that the call itself needs.
        """
        permission, who = permission or current_call().rule.policy.permission, caller()
        if who.sees_all(permission):
            return cls(None)
        places = [place_of(row) for row in await hosts.page("", MANY)]
        return cls({place.host: place for place in places if who.sees(permission, place)})

    @property
    def whole(self) -> bool:
        """Whether it is every host, those to come included."""
        return self._places is None

    @property
    def hosts(self) -> frozenset[str]:
        """Which hosts it is, by resource name, where it is not every one."""
        return frozenset(self._places or ()) - {""}

    @property
    def key(self) -> str:
        """Stands for the hosts that it reaches: the same for all who reach the same."""
        if self._places is None:
            return "all"
        # By uid: another host of the same name is not the same.
        named = sorted(f"{place.host}={place.host_uid}" for place in self._places.values())
        return hashlib.sha256("\n".join(named).encode()).hexdigest()

    def sees(self, host: str) -> bool:
        """Whether it reaches a host, by resource name; the empty name is what is about no host in particular."""
        return self._places is None or host in self._places

    def sees_operation(self, operation: operations_pb2.Operation) -> bool:
        """Whether it reaches every host of an operation."""
        return self._places is None or all(host in self._places for host in hosts_of(operation))


def must_reach_named(names: Iterable[str], reach: Reach) -> None:
    """Refuse hosts that the caller named and does not reach: PERMISSION_MISSING, whether they are there or not."""
    outside = [name for name in names if not reach.sees(name)][:10]
    if outside:
        raise _missing(", ".join(outside), "name only hosts that your grants reach")


def must_reach(names: Iterable[str], reach: Reach) -> None:
    """Refuse to act on hosts of which one is out of the caller's reach: PERMISSION_MISSING, which does not tell which.

    Args:
        names: hosts, by resource name, that a group, a label or an operation stands for.
    """
    if not all(map(reach.sees, names)):
        raise _missing("some of the hosts that are meant", "name the ones that your grants reach")


def _missing(where: str, advice: str) -> SolwardError:
    permission = current_call().rule.policy.permission
    return SolwardError(
        grpc.StatusCode.PERMISSION_DENIED,
        "PERMISSION_MISSING",
        f"{caller().name} lacks {permission} on {where}: {advice}",
        {"permission": permission, "at": where},
    )
