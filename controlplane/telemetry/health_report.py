"""Reports on health and on what is unusual, from the analysis."""

import math
import time

from solward.rpc.v1 import rpc_pb2 as pb

from common.names import host_name
from controlplane.telemetry.analysis import Analysis
from controlplane.telemetry.anomaly.hosts import Suspect
from controlplane.telemetry.health import Summary
from controlplane.telemetry.rpc_health import HostScores, MethodScore


def health(analysis: Analysis, host: str) -> pb.Health:
    """Report the scores.

    Args:
        analysis: where they are.
        host: a host's id, or empty for all.
    """
    found = pb.Health(fleet=_summary(analysis.fleet()))
    found.time.FromNanoseconds(time.time_ns())
    for name in sorted(analysis.scores) if not host else [host]:
        if scores := analysis.scores.get(name):
            found.hosts.append(_host(analysis, name, scores))
    return found


def anomaly(analysis: Analysis, host: str) -> pb.Anomaly | None:
    """Report what is unusual of a host now."""
    verdict = analysis.standing(host)
    if verdict is None:
        return None
    found = pb.Anomaly(
        host=host_name(host), surprise=verdict.surprise, suspects=[_suspect(analysis, one) for one in verdict.suspects]
    )
    found.start_time.FromMilliseconds(round(verdict.since_s * 1000))
    return found


def _host(analysis: Analysis, name: str, scores: HostScores) -> pb.HostHealth:
    row = pb.HostHealth(
        host=host_name(name), summary=_summary(scores.whole), worst_method=scores.worst,
        methods=[_method(method, one) for method, one in scores.methods.items()],
    )  # fmt: skip
    if unusual := anomaly(analysis, name):
        row.anomaly.CopyFrom(unusual)
    return row


def _method(name: str, one: MethodScore) -> pb.MethodHealth:
    return pb.MethodHealth(
        method=name, **{part: value for part, value in one._asdict().items() if not math.isnan(value)}
    )


def _summary(one: Summary) -> pb.HealthSummary:
    if math.isnan(one.mean):
        return pb.HealthSummary()
    return pb.HealthSummary(score=one.mean, worst=one.worst, known=one.known)


def _suspect(analysis: Analysis, suspect: Suspect) -> pb.Suspect:
    name, labels = analysis.series(suspect.row)
    # The bank judges logarithms of seconds.
    found = pb.Suspect(
        series=name, labels=dict(labels), looks=suspect.reason.looks, value=math.exp(suspect.reason.value),
        usual=math.exp(suspect.reason.usual), surprise=suspect.reason.surprise,
    )  # fmt: skip
    found.start_time.FromMilliseconds(round(suspect.since_s * 1000))
    return found
