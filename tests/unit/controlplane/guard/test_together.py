"""The links together, on a running control plane: which of them speaks first."""

from solward.auth.v1 import auth_pb2
from solward.hosts.v1 import hosts_pb2
from solward.operations.v1 import operations_pb2
from solward.policy.v1 import policy_pb2
from solward.validator.v1 import validator_pb2

from controlplane.api.services import SERVICES
from controlplane.guard.matrix import render
from controlplane.guard.standard import standard_table
from controlplane.guard.table import read_table
from tests.support.plane import Plane
from tests.support.stream import entries, refused

RESTART = "solward.validator.v1.ValidatorService/Restart"


async def test_links_speak_in_their_order(plane: Plane) -> None:
    """A request that is wrong in every way is refused for the outermost reason, then the next."""
    bad, good = (validator_pb2.RestartRequest(host=host) for host in ("NO HOST", "hosts/sol-1"))
    viewer, admin = await plane.sign_in("viewer"), await plane.sign_in()
    two = (("authorization", f"Bearer {admin.token}"),)
    machine = await plane.certify_user(admin)
    reasons = [
        (await refused(plane.call(RESTART, bad, operations_pb2.Operation, machine, two))).reason,
        (await refused(plane.call(RESTART, bad, operations_pb2.Operation))).reason,
        (await refused(plane.call(RESTART, bad, operations_pb2.Operation, viewer))).reason,
        (await refused(plane.call(RESTART, bad, operations_pb2.Operation, admin))).reason,
        # Nobody is asked for a code for what cannot be done.
        (await refused(plane.call(RESTART, good, operations_pb2.Operation, admin))).reason,
    ]
    wanted = ["TWO_CREDENTIALS", "NOT_SIGNED_IN", "PERMISSION_MISSING", "INVALID_FIELD", "SECOND_FACTOR_REQUIRED"]
    assert reasons == wanted
    kept = [one["reason"] for one in await entries(plane, method=RESTART, allowed=False)]
    assert kept == wanted


async def test_allowed_change_leaves_a_decision_and_an_outcome_of_one_call(plane: Plane) -> None:
    admin = await plane.sign_in()
    await plane.join_token("sol-1", admin)
    decision, outcome = await entries(plane, method="solward.hosts.v1.HostsService/CreateJoinToken")
    assert (decision["phase"], outcome["phase"], outcome["code"]) == ("decision", "outcome", "OK")
    assert decision["call"] == outcome["call"]
    assert len(decision["request_digest"]) == 64


async def test_cheap_reads_leave_no_entry(plane: Plane) -> None:
    admin = await plane.sign_in()
    before = plane.app.auditing.log.size
    await plane.call("solward.auth.v1.AuthService/GetCaller", auth_pb2.GetCallerRequest(), auth_pb2.Caller, admin)
    await plane.call(
        "solward.hosts.v1.HostsService/ListHosts", hosts_pb2.ListHostsRequest(), hosts_pb2.ListHostsResponse, admin
    )
    assert plane.app.auditing.log.size == before


def test_every_change_is_audited_and_every_dangerous_one_wants_a_second_factor() -> None:
    for rule in read_table(SERVICES).values():
        policy = rule.policy
        if rule.client_streaming or policy_pb2.PRINCIPAL_KIND_AGENT in policy.principals:
            continue
        if rule.mutates:
            assert policy.audit == policy_pb2.AUDIT_LEVEL_ALWAYS, rule.name
        if policy.risk >= policy_pb2.RISK_DESTRUCTIVE and policy_pb2.PRINCIPAL_KIND_USER in policy.principals:
            assert policy.second_factor != policy_pb2.SECOND_FACTOR_NONE, rule.name
            assert list(policy.principals) == [policy_pb2.PRINCIPAL_KIND_USER], rule.name


def test_matrix_shows_every_method_once() -> None:
    for form in ("text", "markdown"):
        lines = render(form).splitlines()
        for name in read_table(SERVICES):
            service, _, method = name.rpartition("/")
            assert sum(f"{service.split('.')[-1]}/{method} " in line + " " for line in lines) == 1, name


def test_standard_services_have_policies_too() -> None:
    table = standard_table()
    assert "grpc.health.v1.Health/Check" in table
    assert table["grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"].policy.principals == [
        policy_pb2.PRINCIPAL_KIND_USER,
        policy_pb2.PRINCIPAL_KIND_SERVICE,
    ]
