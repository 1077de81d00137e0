"""The golden matrix: what the guard says to every method, for every role and kind of caller.

A change of it is a change of who may do what: write it anew with GOLDEN=write, and read the difference.
"""

import os
from pathlib import Path
from typing import Any

from google.protobuf import message_factory
from google.protobuf.message import Message
from solward.policy.v1 import policy_pb2

from common.errors import SolwardError
from controlplane.api.services import SERVICES
from controlplane.guard.context import NOBODY, Call, Principal
from controlplane.guard.decision import Held
from controlplane.guard.policy import Policy
from controlplane.guard.roles import AGENT, ROLES
from controlplane.guard.standard import standard_table
from controlplane.guard.table import MethodRule, read_table
from tests.support.calls import FakeContext

GOLDEN = Path(__file__).with_name("matrix.golden")
WORDS = {"NOT_SIGNED_IN": "sign-in", "WRONG_PRINCIPAL_KIND": "kind", "PERMISSION_MISSING": "-"}


class Nowhere:
    """In place of Places: the call is about no host in particular."""

    async def of(self, rule: object, request: object) -> None:
        return None


def callers() -> dict[str, Principal]:
    user, service = policy_pb2.PRINCIPAL_KIND_USER, policy_pb2.PRINCIPAL_KIND_SERVICE
    found = {"anonymous": NOBODY}
    for kind, word in ((user, "user"), (service, "service")):
        for role, permissions in ROLES.items():
            found[f"{word}/{role}"] = Principal(kind, "u", "u", permissions, role)
    # Who holds a role on one host alone reaches what is narrowed to it, when a call names no host.
    some = tuple(Held(role, held, "hosts/sol-1", "1") for role, held in ROLES.items() if role == "admin")
    found["user/one host"] = Principal(user, "u", "u", frozenset(), "none", held=some)
    found["agent"] = Principal(policy_pb2.PRINCIPAL_KIND_AGENT, "a", "hosts/a", AGENT)
    return found


async def answer(rule: MethodRule, principal: Principal, request: Message | None = None) -> str:
    nowhere: Any = Nowhere()
    context: Any = FakeContext()
    try:
        await Policy(nowhere).enter(Call(rule, context, request, "192.0.2.1", {}, principal=principal))
    except SolwardError as error:
        return WORDS[error.reason]
    return "yes"


async def test_what_the_guard_says_to_everybody_is_as_it_was_agreed() -> None:
    columns = callers()
    lines = [" ".join(["method", *(name.replace(" ", "-") for name in columns)])]
    for name, rule in (standard_table() | read_table(SERVICES)).items():
        lines.append(" ".join([name, *[await answer(rule, who) for who in columns.values()]]))
        if rule.policy.others_permission:
            request = message_factory.GetMessageClass(rule.request)(**{rule.policy.resource_field: "users/another"})
            lines.append(" ".join([f"{name}:others", *[await answer(rule, who, request) for who in columns.values()]]))
    if os.environ.get("GOLDEN") == "write":
        GOLDEN.write_text("\n".join(lines) + "\n")
    assert lines == GOLDEN.read_text().splitlines()
