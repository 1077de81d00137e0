"""The permission matrix, for people: every method with all that its policy asks."""

from solward.policy.v1 import policy_pb2

from common.policy import field_rules
from controlplane.api.services import SERVICES
from controlplane.guard.roles import AGENT, ANONYMOUS, roles_with
from controlplane.guard.table import MethodRule, read_table

_HEADER = ("method", "permission", "who", "risk", "second factor", "approvals", "audit", "rate")


def render(form: str) -> str:
    """Write the matrix as "text" or "markdown"."""
    rows = [_HEADER, *(_row(rule) for rule in read_table(SERVICES).values())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    if form == "markdown":
        lines = [f"| {' | '.join(row)} |" for row in rows]
        lines.insert(1, "|" + "---|" * len(_HEADER))
    return "\n".join(lines)


def _row(rule: MethodRule) -> tuple[str, ...]:
    policy = rule.policy
    service, _, method = rule.name.rpartition("/")
    return (
        f"{service.split('.')[-1]}/{method}",
        policy.permission + (f"; of others: {policy.others_permission}" if policy.others_permission else ""),
        ", ".join(_holders(policy)),
        _word(policy_pb2.Risk.Name(policy.risk), "RISK_"),
        _word(policy_pb2.SecondFactor.Name(policy.second_factor), "SECOND_FACTOR_"),
        _approvals(rule),
        _word(policy_pb2.AuditLevel.Name(policy.audit), "AUDIT_LEVEL_"),
        _word(policy_pb2.RateClass.Name(policy.rate), "RATE_CLASS_"),
    )


def _approvals(rule: MethodRule) -> str:
    asked = [(field.name, field_rules(field).approvals) for field in rule.request.fields]
    power = [f"{count} to give power over access"] if (count := rule.policy.power_approvals) else []
    return ", ".join([str(rule.policy.approvals), *power, *(f"{count} with {name}" for name, count in asked if count)])


def _holders(policy: policy_pb2.MethodPolicy) -> list[str]:
    holders: list[str] = []
    if policy_pb2.PRINCIPAL_KIND_ANONYMOUS in policy.principals and policy.permission in ANONYMOUS:
        holders.append("anyone")
    if policy_pb2.PRINCIPAL_KIND_AGENT in policy.principals and policy.permission in AGENT:
        holders.append("agents")
    return holders + roles_with(policy.permission)


def _word(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower().replace("_", " ")
