"""Plans that mend a Geyser pipeline: a plugin is loaded anew, or a consumer restarted."""

import grpc
from solward.hosts.v1 import link_pb2

from common.errors import SolwardError
from common.names import host_name
from controlplane.links.registry import AgentLink, Links
from controlplane.operations.plan import (
    DEFAULT_TIMEOUT_S,
    LOAD_PLUGIN,
    PLUGIN,
    RELOAD_PLUGIN,
    RESTART_SERVICE,
    SETTLE_MS,
    UnitPlan,
    known_validator,
)
from controlplane.store.hosts import HostRow

# A plugin is let go of once its last callback has ended, which may take long; it is not waited for as long as a start.
PLUGIN_TIMEOUT_S = 120
# The node must be well, and not about to lead: a plugin that fails to load can take the validator with it.
PLUGIN_GATES = ("health", "leader")
_VERBS = {RELOAD_PLUGIN: link_pb2.PLUGIN_VERB_RELOAD, LOAD_PLUGIN: link_pb2.PLUGIN_VERB_LOAD}


def plan_plugin(kind: str, host: HostRow, links: Links, source: str) -> UnitPlan:
    """Plan to load a plugin of a host's validator, anew or at all.

    Args:
        kind: RELOAD_PLUGIN or LOAD_PLUGIN.
        source: what the agent's settings call the plugin.

    Raises: SolwardError HOST_OFFLINE, ACTION_NOT_ALLOWED or VALIDATOR_UNKNOWN when it could not be carried out now.
    """
    report = known_validator(PLUGIN, host, links)
    action = link_pb2.PluginAction(
        unit=report.state.unit, verb=_VERBS[kind], source=source, timeout_ms=PLUGIN_TIMEOUT_S * 1000,
        expected_invocation=report.state.invocation_id,
    )  # fmt: skip
    request = link_pb2.ActionRequest(plugin=action).SerializeToString(deterministic=True)
    state = f"{report.state.active_state}/{report.state.sub_state}"
    return UnitPlan(
        kind, host.uid, host.name, report.state.unit, state, request, PLUGIN_TIMEOUT_S, gates=PLUGIN_GATES
    )  # fmt: skip


def plan_service(host: HostRow, links: Links, unit: str) -> UnitPlan:
    """Plan to restart a consumer's unit; raises SolwardError HOST_OFFLINE or ACTION_NOT_ALLOWED."""
    known = links.get(host.uid)
    if known is None or known.link is None:
        raise _refused(host, "HOST_OFFLINE", "is not connected: look at solward-agent on that host")
    report = known.units.get(unit)
    if report is None or RESTART_SERVICE not in _allowed(known.link, unit):
        why = f"does not let {unit} be restarted, or does not see it: root decides, in /etc/solward/allowlist.yaml"
        raise _refused(host, "ACTION_NOT_ALLOWED", why)
    action = link_pb2.UnitAction(
        unit=unit, verb=link_pb2.UNIT_VERB_RESTART, timeout_ms=DEFAULT_TIMEOUT_S * 1000, settle_ms=SETTLE_MS,
        expected_invocation=report.state.invocation_id, expected_active_state=report.state.active_state,
    )  # fmt: skip
    request = link_pb2.ActionRequest(service=action).SerializeToString(deterministic=True)
    state = f"{report.state.active_state}/{report.state.sub_state}"
    return UnitPlan(RESTART_SERVICE, host.uid, host.name, unit, state, request, DEFAULT_TIMEOUT_S)


def _allowed(link: AgentLink, unit: str) -> list[str]:
    return [action for entry in link.hello.allowed_units if entry.unit == unit for action in entry.actions]


def _refused(host: HostRow, reason: str, why: str) -> SolwardError:
    name = host_name(host.name)
    return SolwardError(grpc.StatusCode.FAILED_PRECONDITION, reason, f"the agent of {name} {why}", {"host": name})
