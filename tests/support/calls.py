"""Calls as the guard's links see them, made without a server."""

from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import Message
from grpc.aio import AbortError
from solward.auth.v1 import auth_pb2
from solward.policy.v1 import policy_pb2

from controlplane.guard.context import Call, Principal
from controlplane.guard.roles import ROLES
from controlplane.guard.table import MethodRule

USER = policy_pb2.PRINCIPAL_KIND_USER


@dataclass
class FakeContext:
    """In place of gRPC's context: what was aborted with, and a client certificate."""

    pem: bytes = b""
    aborted: tuple[grpc.StatusCode, str, Any] | None = None
    cancelled: bool = False
    extra: dict[str, Any] = field(default_factory=dict)
    trailing: dict[str, str] = field(default_factory=dict)

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()) -> None:
        self.aborted = (code, details, trailing_metadata)
        raise AbortError

    def auth_context(self) -> dict[str, list[bytes]]:
        return {"x509_pem_cert": [self.pem]} if self.pem else {}

    def set_trailing_metadata(self, pairs: Any) -> None:
        self.trailing = dict(pairs)

    def peer(self) -> str:
        return "ipv4:192.0.2.1:5555"

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return (("user-agent", "test"),)


def rule(streams: str = "unary_unary", **policy: Any) -> MethodRule:
    """A rule whose policy asks for as little as possible, but for what is given."""
    wanted: dict[str, Any] = {
        "permission": "hosts.read",
        "risk": policy_pb2.RISK_READ,
        "second_factor": policy_pb2.SECOND_FACTOR_NONE,
        "principals": [USER],
        "audit": policy_pb2.AUDIT_LEVEL_ALWAYS,
        "rate": policy_pb2.RATE_CLASS_READ,
    }
    sends, answers = streams.split("_")
    request = auth_pb2.LoginRequest.DESCRIPTOR
    made = policy_pb2.MethodPolicy(**(wanted | policy))
    return MethodRule("toy.v1.Toys/Play", made, request, sends == "stream", answers == "stream")


def person(role: str = "admin", uid: str = "u" * 32) -> Principal:
    """A signed-in user."""
    return Principal(USER, uid, "alice", ROLES.get(role, frozenset()), role, session="s" * 32)


def call(request: Message | None = None, principal: Principal | None = None, **options: Any) -> Call:
    """A call on its way; other options are the policy's."""
    metadata = options.pop("metadata", {})
    context = options.pop("context", FakeContext())
    made = Call(rule=rule(**options), context=context, request=request, peer="192.0.2.1", metadata=metadata)
    if principal:
        made.principal = principal
    return made
