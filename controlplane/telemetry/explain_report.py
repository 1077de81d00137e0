"""Reports on what moves with the RPC of hosts."""

import time

from solward.rpc.v1 import rpc_pb2 as pb

from common.names import host_name
from controlplane.telemetry.explanations import Explanation, Explanations, Looked, Pair


def explanations(known: Explanations, hosts: list[str]) -> pb.Explanations:
    """Report what was found.

    Args:
        known: where it is.
        hosts: ids of hosts; one that was not looked at yet is left out.
    """
    found = pb.Explanations()
    found.time.FromNanoseconds(time.time_ns())
    for name in hosts:
        if looked := known.of(name):
            found.hosts.append(_host(name, looked))
    return found


def _host(name: str, looked: Looked) -> pb.HostExplanations:
    ordered = sorted(looked.found.items(), key=lambda item: item[1].finding.p)
    rows = [_explanation(pair, one) for pair, one in ordered]
    return pb.HostExplanations(host=host_name(name), looks=looked.looks, seconds=looked.seconds, explanations=rows)


def _explanation(pair: Pair, one: Explanation) -> pb.Explanation:
    target, (counter, labels) = dict(pair.target[1]), pair.counter
    row = pb.Explanation(
        method=target.get("method", ""), error_class=target.get("class", ""), counter=counter, labels=dict(labels),
        lag_seconds=one.finding.lag_s, rho=one.finding.rho, chance=one.finding.p, looks=one.looks,
    )  # fmt: skip
    row.first_time.FromMilliseconds(round(one.first_s * 1000))
    row.last_time.FromMilliseconds(round(one.last_s * 1000))
    return row
