"""Finding the host that a request means."""

import grpc

from common.errors import SolwardError
from common.names import host_id
from controlplane.store.hosts import ACTIVE, HostRepository, HostRow


async def find_host(hosts: HostRepository, name: str) -> HostRow:
    """Find a host by resource name; SolwardError HOST_NOT_FOUND if there is none."""
    row = await hosts.by_name(host_id(name))
    if row is None:
        raise SolwardError(
            grpc.StatusCode.NOT_FOUND, "HOST_NOT_FOUND", f"there is no {name}: see ctl hosts list", {"host": name}
        )
    return row


async def find_only_host(hosts: HostRepository, name: str) -> HostRow:
    """Find a host by resource name, or the fleet's only active one where the name is empty."""
    if name:
        return await find_host(hosts, name)
    active = [row for row in await hosts.page("", 1000) if row.state == ACTIVE]
    if len(active) != 1:
        what = f"must be given: the fleet has {len(active)} active hosts"
        raise SolwardError(
            grpc.StatusCode.INVALID_ARGUMENT,
            "HOST_NOT_NAMED",
            f"host {what}",
            {"field": "host", "active_hosts": str(len(active))},
            (("host", what),),
        )
    return active[0]
