"""Reading the policy options off the descriptors: the one place that knows their extension numbers."""

from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from solward.policy.v1 import policy_pb2


def method_policy(method: MethodDescriptor) -> policy_pb2.MethodPolicy | None:
    """Give a method's policy; None where it has none."""
    options = method.GetOptions()
    if not options.HasExtension(policy_pb2.method):  # type: ignore[arg-type]
        return None
    policy: policy_pb2.MethodPolicy = options.Extensions[policy_pb2.method]  # type: ignore[index]
    return policy


def field_rules(field: FieldDescriptor) -> policy_pb2.FieldRules:
    """Give a field's rules; empty ones where it has none."""
    rules: policy_pb2.FieldRules = field.GetOptions().Extensions[policy_pb2.field]  # type: ignore[index]
    return rules


def field_approvals(request: Message | None) -> int:
    """Give how many other people must approve a request, for the fields that it sets."""
    if request is None:
        return 0
    return max((field_rules(field).approvals for field, _ in request.ListFields()), default=0)
