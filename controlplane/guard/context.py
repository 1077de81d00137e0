"""The call being served: who calls what, and what the guard has found so far."""

import uuid
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

import grpc.aio
from google.protobuf.message import Message
from solward.policy.v1 import policy_pb2

from common.digest import call_digest
from controlplane.guard.decision import Held, Place, held_anywhere, reaches
from controlplane.guard.roles import ANONYMOUS
from controlplane.guard.table import MethodRule

# What gRPC hands to every handler; the messages' types stand in the handler's own signature.
Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose identity is proved, or the anonymous one.

    Attributes:
        kind: what kind of caller.
        uid: the store's identifier; empty for the anonymous caller.
        name: for people to read: a user's name or "hosts/{host}".
        permissions: what it may do on every host.
        role: the role that gives them; empty where there is none.
        session: names the session (or certificate) that a second factor is bound to.
        expires_ms: when the credential ends, milliseconds since the epoch; 0 for never.
        held: every rule by which it may do something somewhere; by default, the role everywhere.
        live_token: what it may go on with that came with a ticket; empty for everybody else.
        methods: the only ones that its credential is good for; empty for all.
    """

    kind: policy_pb2.PrincipalKind
    uid: str
    name: str
    permissions: frozenset[str]
    role: str = ""
    session: str = ""
    expires_ms: int = 0
    held: tuple[Held, ...] = ()
    live_token: str = field(default="", repr=False)
    methods: frozenset[str] = frozenset()

    @property
    def rules(self) -> tuple[Held, ...]:
        """Every rule by which it may do something somewhere."""
        return self.held or (Held(self.role, self.permissions),)

    def only(self, permissions: frozenset[str], methods: frozenset[str]) -> "Principal":
        """Give the same caller with none but these permissions, where it holds them, and these methods."""
        held = tuple(rule._replace(permissions=rule.permissions & permissions) for rule in self.rules)
        return replace(self, permissions=self.permissions & permissions, held=held, methods=methods)

    def sees(self, permission: str, place: Place) -> bool:
        """Whether it holds a permission at a host."""
        return reaches(self.rules, permission, place)

    def sees_all(self, permission: str) -> bool:
        """Whether it holds a permission on every host, those to come included."""
        return any(permission in rule.permissions and rule.everywhere for rule in self.rules)

    def may(self, permission: str) -> bool:
        """Whether it holds a permission anywhere at all."""
        return held_anywhere(self.rules, permission)


NOBODY = Principal(policy_pb2.PRINCIPAL_KIND_ANONYMOUS, "", "anonymous", ANONYMOUS)


@dataclass(slots=True)
class Call:
    """One call on its way through the guard; links fill it in from the top down."""

    rule: MethodRule
    context: Context
    request: Message | None
    peer: str
    metadata: dict[str, str]
    # Who is at the other end of the connection: the client, or the proxy that stands before the gateway.
    raw_peer: str = ""
    # Whether it comes through a gateway.
    from_gateway: bool = False
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    principal: Principal = NOBODY
    # How many other people must approve what this call asks for, before it is done.
    approvals: int = 0
    # Why the caller does without their approval, in an emergency; empty: it does not.
    break_glass: str = ""
    # Set by the audit link once every other link has let the call pass.
    allowed: bool = False
    # What the handler wants the audit entry of the outcome to say besides.
    notes: dict[str, object] = field(default_factory=dict)
    # Trailing metadata, sent whatever becomes of the call.
    trailing: dict[str, str] = field(default_factory=dict)
    _digest: str = ""

    def send_after(self, key: str, value: str) -> None:
        """Send an entry of trailing metadata, in place of an earlier one of the same key."""
        self.trailing[key] = value
        self.context.set_trailing_metadata(tuple(self.trailing.items()))

    @property
    def resource(self) -> str:
        """The name of the resource acted on, as the request gives it; empty where there is none."""
        return resource_of(self.rule, self.request)

    @property
    def digest(self) -> str:
        """The digest of method and request; empty where requests come as a stream."""
        if not self._digest and self.request is not None:
            self._digest = call_digest(self.rule.name, self.request)
        return self._digest


def resource_of(rule: MethodRule, request: Message | None) -> str:
    """Give the name of the resource that a request is about, as it gives it; empty where there is none."""
    name = rule.policy.resource_field
    return str(getattr(request, name)) if name and request is not None else ""


_current: ContextVar[Call] = ContextVar("solward_call")


def current_call() -> Call:
    """Give the call that is being served; LookupError outside of one."""
    return _current.get()


def caller() -> Principal:
    """Give the principal of the call that is being served."""
    return _current.get().principal


def enter_call(call: Call) -> None:
    """Make this the call being served, for the current task."""
    _current.set(call)


def text_metadata(pairs: Sequence[tuple[str, str | bytes]] | None) -> dict[str, str]:
    """Keep the text entries of the metadata; of a key that comes twice the value is the first."""
    found: dict[str, str] = {}
    for key, value in pairs or ():
        if isinstance(value, str):
            found.setdefault(key, value)
    return found
