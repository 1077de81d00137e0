"""Policies of the standard services (health, reflection), whose protos are not ours to annotate."""

from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from solward.policy.v1 import policy_pb2

from controlplane.guard.table import MethodRule, PolicyTable

_HEALTH = policy_pb2.MethodPolicy(
    permission="health.read",
    risk=policy_pb2.RISK_READ,
    second_factor=policy_pb2.SECOND_FACTOR_NONE,
    principals=[
        policy_pb2.PRINCIPAL_KIND_ANONYMOUS,
        policy_pb2.PRINCIPAL_KIND_USER,
        policy_pb2.PRINCIPAL_KIND_SERVICE,
        policy_pb2.PRINCIPAL_KIND_AGENT,
    ],
    audit=policy_pb2.AUDIT_LEVEL_NONE,
    rate=policy_pb2.RATE_CLASS_READ,
)

_REFLECTION = policy_pb2.MethodPolicy(
    permission="reflection.read",
    risk=policy_pb2.RISK_READ,
    second_factor=policy_pb2.SECOND_FACTOR_NONE,
    principals=[policy_pb2.PRINCIPAL_KIND_USER, policy_pb2.PRINCIPAL_KIND_SERVICE],
    audit=policy_pb2.AUDIT_LEVEL_REFUSED,
    rate=policy_pb2.RATE_CLASS_STREAM,
)


def standard_table() -> PolicyTable:
    """Give the rules of the health and reflection services."""
    health = health_pb2.DESCRIPTOR.services_by_name["Health"]
    reflection = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]
    return _rules(health, _HEALTH) | _rules(reflection, _REFLECTION)


def _rules(service: ServiceDescriptor, policy: policy_pb2.MethodPolicy) -> PolicyTable:
    return {
        f"{service.full_name}/{method.name}": MethodRule(
            f"{service.full_name}/{method.name}",
            policy,
            method.input_type,
            method.client_streaming,
            method.server_streaming,
        )
        for method in service.methods
    }
