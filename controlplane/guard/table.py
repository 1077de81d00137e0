"""The policy table: every method's policy, read from the descriptors once, at start."""

from collections.abc import Iterable
from dataclasses import dataclass

from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor
from solward.policy.v1 import policy_pb2

from common.policy import method_policy


class PolicyMissing(Exception):
    """A method whose policy is missing or incomplete; the server must not start."""


@dataclass(frozen=True, slots=True)
class MethodRule:
    """One method with its policy, as the guard links need them."""

    name: str
    policy: policy_pb2.MethodPolicy
    request: Descriptor
    client_streaming: bool
    server_streaming: bool

    @property
    def mutates(self) -> bool:
        """Whether the method changes anything."""
        return self.policy.risk != policy_pb2.RISK_READ


PolicyTable = dict[str, MethodRule]


def read_table(services: Iterable[ServiceDescriptor]) -> PolicyTable:
    """Read the policy of every method of these services.

    Returns: rules by full method name without a leading slash.
    Raises: PolicyMissing, naming the method and what its policy lacks.
    """
    table: PolicyTable = {}
    for service in services:
        for method in service.methods:
            rule = _rule(method)
            table[rule.name] = rule
    return table


def _rule(method: MethodDescriptor) -> MethodRule:
    name = f"{method.containing_service.full_name}/{method.name}"
    policy = method_policy(method)
    if policy is None:
        raise PolicyMissing(f"{name} has no policy: give it the option (solward.policy.v1.method)")
    for field in ("permission", "risk", "second_factor", "principals", "audit", "rate"):
        if not getattr(policy, field):
            raise PolicyMissing(f"the policy of {name} does not say its {field}")
    if (policy.approvals or policy.power_approvals) and method.client_streaming:
        raise PolicyMissing(f"the policy of {name} asks for approvals, and a stream of requests cannot be approved")
    if policy.resource_field and policy.resource_field not in method.input_type.fields_by_name:
        raise PolicyMissing(f"the policy of {name} names {policy.resource_field}, which its request has not")
    if policy.power_approvals and not {"user", "role"} <= set(method.input_type.fields_by_name):
        raise PolicyMissing(f"the policy of {name} asks for power_approvals, but its request names no user and role")
    if policy.others_permission and not policy.resource_field:
        raise PolicyMissing(f"the policy of {name} tells others' from the caller's own, and names no resource_field")
    return MethodRule(name, policy, method.input_type, method.client_streaming, method.server_streaming)
