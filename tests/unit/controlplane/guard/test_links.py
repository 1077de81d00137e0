"""Each link of the guard, alone."""

from dataclasses import replace
from typing import Any

import grpc
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode
from prometheus_client import REGISTRY
from solward.auth.v1 import auth_pb2
from solward.policy.v1 import policy_pb2
from solward.validator.v1 import validator_pb2
from structlog.testing import capture_logs

from common.clock import now_ms
from common.errors import SolwardError
from common.traceparent import parse
from controlplane.guard.break_glass import GLASS_KEY, BreakGlass
from controlplane.guard.budgets import LocalBudgets
from controlplane.guard.chain import Link
from controlplane.guard.context import NOBODY, Call, Principal
from controlplane.guard.observe import Observe
from controlplane.guard.policy import Policy
from controlplane.guard.principal import Authenticate
from controlplane.guard.rate import RateLimit
from controlplane.guard.roles import ADMIN, AGENT, ANONYMOUS, OPERATOR, ROLES, VIEWER, roles_with
from controlplane.guard.second_factor import PROOF_KEY, SecondFactor
from controlplane.guard.whence import CLIENT_IP_KEY, GATEWAY_SECRET_KEY, RAW_PEER_KEY, Whence
from controlplane.networks import Admission
from controlplane.settings import RateLimits
from controlplane.telemetry.otlp.resource import own_resource
from controlplane.telemetry.otlp.settings import OtlpSettings
from controlplane.telemetry.otlp.spans import Traces
from tests.support.calls import FakeContext, call, person

NO = SolwardError(
    grpc.StatusCode.NOT_FOUND, "GONE", "it is gone", {"what": "it"}, (("name", "is gone"),), retry_after_s=1.5
)


async def refusal(link: Link, made: Call) -> SolwardError:
    with pytest.raises(SolwardError) as caught:
        await link.enter(made)
    return caught.value


# Observe


CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def traces_of(**settings: Any) -> Traces:
    return Traces(OtlpSettings(endpoint="http://localhost:4317", **settings), own_resource(""))


def ended(traces: Traces) -> list[ReadableSpan]:
    return list(traces.outbox._waiting)


def counted(method: str, code: str) -> float:
    return REGISTRY.get_sample_value("solward_grpc_call_seconds_count", {"method": method, "code": code}) or 0.0


@pytest.mark.parametrize(
    ("error", "code"), [(None, "OK"), (NO, "NOT_FOUND"), (ValueError(), "INTERNAL"), (GeneratorExit(), "CANCELLED")]
)
async def test_observe_counts_and_traces_each_outcome(error: BaseException | None, code: str) -> None:
    traces = traces_of(read_ratio=0)
    observe, before = Observe(traces), counted("toy.v1.Toys/Play", code)
    made = call(metadata={"traceparent": CALLER}, principal=person())
    await observe.enter(made)
    await observe.leave(made, error)
    assert counted("toy.v1.Toys/Play", code) == before + 1
    (span,) = ended(traces)
    assert span.context is not None
    assert span.parent is not None
    assert f"{span.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert (f"{span.parent.span_id:016x}", span.parent.is_remote) == ("b7ad6b7169203331", True)
    attributes = dict(span.attributes or {})
    assert attributes["rpc.response.status_code"] == code
    assert attributes["rpc.method"] == "toy.v1.Toys/Play"
    assert attributes["solward.principal.kind"] == "user"
    # What the caller did wrong is no error of this server.
    assert (span.status.status_code is StatusCode.ERROR) is (code == "INTERNAL")
    assert not observe._started
    named = {"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": f"{span.context.span_id:016x}"}
    assert named in exemplars("toy.v1.Toys/Play", code)


def exemplars(method: str, code: str) -> list[dict[str, str]]:
    return [
        dict(sample.exemplar.labels)
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.exemplar and {"method": method, "code": code}.items() <= sample.labels.items()
    ]


async def test_a_trace_that_nobody_collects_is_not_named() -> None:
    observe, made = Observe(), call(metadata={"traceparent": "00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203331-01"})
    await observe.enter(made)
    await observe.leave(made, RuntimeError())
    named = {labels["trace_id"] for labels in exemplars("toy.v1.Toys/Play", "INTERNAL")}
    assert "0af7651916cd43dd8448eb211c80319d" not in named


@pytest.mark.parametrize(
    ("header", "kept"),
    [(CALLER, 1), (CALLER[:-1] + "0", 0), ("", 0), ("junk", 0), ("00-" + "0" * 32 + "-b7ad6b7169203331-01", 0)],
)
async def test_observe_follows_the_caller_and_else_the_ratio(header: str, kept: int) -> None:
    for ratio in (0.0, 1.0):
        traces = traces_of(read_ratio=ratio)
        observe = Observe(traces)
        made = call(metadata={"traceparent": header}, principal=person())
        await observe.enter(made)
        await observe.leave(made, None)
        alone = parse(header) is None
        assert len(ended(traces)) == (ratio if alone else kept)


async def test_observe_lets_no_stranger_decide_what_is_kept() -> None:
    traces = traces_of(read_ratio=0)
    observe = Observe(traces)
    made = call(metadata={"traceparent": CALLER})
    made.principal = NOBODY
    await observe.enter(made)
    await observe.leave(made, NO)
    assert ended(traces) == []


async def test_observe_makes_no_span_where_nothing_is_sent() -> None:
    traces = Traces(OtlpSettings(), own_resource(""))
    observe = Observe(traces)
    made = call(metadata={"traceparent": CALLER}, principal=person())
    await observe.enter(made)
    await observe.leave(made, None)
    assert ended(traces) == []
    assert made.trailing == {}


# Authenticate


class Doorman:
    """In place of Principals: knows one certificate and one token."""

    async def of_certificate(self, pem: bytes) -> Principal:
        if pem != b"good":
            raise SolwardError(grpc.StatusCode.UNAUTHENTICATED, "CERTIFICATE_REFUSED", "no")
        return person(uid="c" * 32)

    async def of_token(self, token: str) -> Principal:
        if token != "good":
            raise SolwardError(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID", "no")
        return person(uid="t" * 32)


def authenticate(credential: str = "100/second") -> Authenticate:
    rate = RateLimit(RateLimits(credential=credential, read="100/second"), LocalBudgets())
    return Authenticate(Doorman(), rate)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pem", "header", "uid"),
    [
        (b"", "", ""),
        (b"good", "", "c" * 32),
        (b"", "Bearer good", "t" * 32),
        (b"", "bearer good", "t" * 32),
        (b"", "Basic good", ""),
        (b"", "Bearer", ""),
        (b"good", "Basic x", "c" * 32),
    ],
)
async def test_principal_is_who_the_credential_says(pem: bytes, header: str, uid: str) -> None:
    made = call(metadata={"authorization": header}, context=FakeContext(pem))
    await authenticate().enter(made)
    assert made.principal.uid == uid


@pytest.mark.parametrize(
    ("pem", "header", "reason"),
    [
        (b"bad", "", "CERTIFICATE_REFUSED"),
        (b"", "Bearer bad", "TOKEN_INVALID"),
        (b"good", "Bearer good", "TWO_CREDENTIALS"),
    ],
)
async def test_bad_credential_is_refused_and_leaves_nobody(pem: bytes, header: str, reason: str) -> None:
    made = call(metadata={"authorization": header}, context=FakeContext(pem))
    assert (await refusal(authenticate(), made)).reason == reason
    assert made.principal is NOBODY


async def test_bad_credentials_are_counted_against_the_address() -> None:
    link = authenticate("2/minute")
    reasons = [(await refusal(link, call(metadata={"authorization": "Bearer bad"}))).reason for _ in range(4)]
    assert reasons == ["TOKEN_INVALID", "TOKEN_INVALID", "RATE_LIMITED", "RATE_LIMITED"]
    good = call(metadata={"authorization": "Bearer good"})
    await link.enter(good)
    assert good.principal.uid == "t" * 32


# Whence


def whence(admission: Admission | None = None, credential: str = "100/second") -> Whence:
    return Whence(admission or Admission(), "the secret", RateLimit(RateLimits(credential=credential), LocalBudgets()))


@pytest.mark.parametrize(
    ("secret", "peer", "raw"),
    [
        ("the secret", "203.0.113.7", "198.51.100.1"),
        ("guess", "192.0.2.1", "192.0.2.1"),
        ("", "192.0.2.1", "192.0.2.1"),
    ],
)
async def test_only_the_gateway_speaks_for_another_address(secret: str, peer: str, raw: str) -> None:
    metadata = {GATEWAY_SECRET_KEY: secret, CLIENT_IP_KEY: "203.0.113.7", RAW_PEER_KEY: "198.51.100.1"}
    made = call(metadata=metadata)
    made.raw_peer = "192.0.2.1"
    await whence().enter(made)
    assert (made.peer, made.raw_peer) == (peer, raw)


@pytest.mark.parametrize(
    ("allow", "deny", "address", "admitted"),
    [
        ([], [], "203.0.113.7", True),
        ([], [], "local", True),
        (["203.0.113.0/24"], [], "203.0.113.7", True),
        (["203.0.113.0/24"], [], "203.0.114.7", False),
        (["203.0.113.0/24"], [], "local", False),
        (["203.0.113.0/24"], ["203.0.113.7"], "203.0.113.7", False),
        ([], ["203.0.113.0/24"], "::ffff:203.0.113.7", False),
        ([], ["203.0.113.0/24"], "", False),
        (["2001:db8::/32"], [], "2001:db8:1::1", True),
        (["fe80::/10"], [], "fe80::1%eth0", True),
    ],
)
async def test_networks_are_judged_on_the_clients_address(
    allow: list[str], deny: list[str], address: str, admitted: bool
) -> None:
    made = call()
    made.peer = address
    link = whence(Admission.of(allow, deny))
    if admitted:
        await link.enter(made)
    else:
        error = await refusal(link, made)
        assert (error.code.name, error.reason) == ("PERMISSION_DENIED", "NETWORK_REFUSED")


async def test_knocking_from_outside_is_paid_for_by_the_address() -> None:
    link = whence(Admission.of([], ["192.0.2.0/24"]), "2/minute")
    reasons = [(await refusal(link, call())).reason for _ in range(3)]
    assert reasons == ["NETWORK_REFUSED", "NETWORK_REFUSED", "RATE_LIMITED"]


# RateLimit


async def test_rate_counts_people_by_themselves_and_strangers_by_address() -> None:
    limit = RateLimit(RateLimits(read="1/minute", credential="1/minute"), LocalBudgets())
    await limit.enter(call(principal=person(uid="a" * 32)))
    await limit.enter(call(principal=person(uid="b" * 32)))
    await limit.enter(call())
    error = await refusal(limit, call(principal=person(uid="a" * 32)))
    assert (error.code.name, error.reason) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
    assert error.retry_after_s is not None
    assert 0 < error.retry_after_s < 61
    assert (await refusal(limit, call())).reason == "RATE_LIMITED"


async def test_rate_classes_have_budgets_of_their_own() -> None:
    limit = RateLimit(RateLimits(read="1/minute", write="1/minute"), LocalBudgets())
    await limit.enter(call(principal=person()))
    await limit.enter(call(principal=person(), rate=policy_pb2.RATE_CLASS_WRITE))
    assert (await refusal(limit, call(principal=person()))).metadata["limit"] == "1 per 1 minute"


async def test_knocking_at_closed_doors_draws_from_the_credential_budget_whatever_the_door() -> None:
    limit = RateLimit(RateLimits(read="9/minute", write="9/minute", credential="2/minute"), LocalBudgets())
    await limit.enter(call())
    await limit.enter(call(rate=policy_pb2.RATE_CLASS_WRITE))
    for rate in (policy_pb2.RATE_CLASS_READ, policy_pb2.RATE_CLASS_WRITE, policy_pb2.RATE_CLASS_CREDENTIAL):
        assert (await refusal(limit, call(rate=rate))).metadata["limit"] == "2 per 1 minute"
    # A door that is open to strangers has its own budget, and people have theirs.
    await limit.enter(call(principals=[policy_pb2.PRINCIPAL_KIND_ANONYMOUS]))
    await limit.enter(call(principal=person()))


async def test_everybody_behind_one_address_has_one_budget_besides() -> None:
    limit = RateLimit(RateLimits(read="9/minute", address="2/minute"), LocalBudgets())
    await limit.enter(call(principal=person(uid="a" * 32)))
    await limit.enter(call(principal=person(uid="b" * 32)))
    error = await refusal(limit, call(principal=person(uid="c" * 32)))
    assert (error.metadata["scope"], error.metadata["limit"]) == ("address", "2 per 1 minute")


async def test_method_with_a_rate_of_its_own_has_a_budget_of_its_own() -> None:
    limits = RateLimits.model_construct(
        **RateLimits(read="1/minute").model_dump() | {"methods": {"toy.v1.Toys/Play": "2/minute"}}
    )
    limit = RateLimit(limits, LocalBudgets())
    for _ in range(2):
        await limit.enter(call(principal=person()))
    assert (await refusal(limit, call(principal=person()))).metadata["limit"] == "2 per 1 minute"
    other = call(principal=person())
    other.rule = replace(other.rule, name="toy.v1.Toys/Stop")
    await limit.enter(other)


async def test_figures_of_the_budget_go_out_with_every_call() -> None:
    limit = RateLimit(RateLimits(read="2/minute"), LocalBudgets())
    for left in (1, 0):
        made = call(principal=person())
        await limit.enter(made)
        assert made.context.trailing == {"ratelimit": f"limit=2, remaining={left}, reset=60"}  # type: ignore[attr-defined]
    made = call(principal=person())
    await refusal(limit, made)
    assert made.trailing["ratelimit"].startswith("limit=2, remaining=0, reset=")


# Policy


class Nowhere:
    """In place of Places: no call is about a host."""

    async def of(self, rule: object, request: object) -> None:
        return None


NOWHERE: Any = Nowhere()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("permission", sorted(ADMIN))
async def test_policy_lets_exactly_the_holders_of_a_permission(role: str, permission: str) -> None:
    made = call(principal=person(role), permission=permission)
    if permission in ROLES[role]:
        await Policy(NOWHERE).enter(made)
    else:
        error = await refusal(Policy(NOWHERE), made)
        assert error.reason == "PERMISSION_MISSING"
        assert error.metadata == {"permission": permission, "role": role, "roles": ",".join(roles_with(permission))}


async def test_policy_tells_strangers_to_sign_in_and_others_that_they_are_the_wrong_kind() -> None:
    stranger = await refusal(Policy(NOWHERE), call())
    assert (stranger.code.name, stranger.reason) == ("UNAUTHENTICATED", "NOT_SIGNED_IN")
    agent = Principal(policy_pb2.PRINCIPAL_KIND_AGENT, "a" * 32, "hosts/a", AGENT)
    other = await refusal(Policy(NOWHERE), call(principal=agent))
    assert (other.code.name, other.reason) == ("PERMISSION_DENIED", "WRONG_PRINCIPAL_KIND")
    assert other.metadata == {"kind": "agent", "wanted": "user"}


def test_roles_contain_each_other_and_nobody_gains_by_being_anonymous() -> None:
    assert VIEWER < OPERATOR < ADMIN
    assert ANONYMOUS.isdisjoint(ADMIN - {"health.read"})
    assert AGENT.isdisjoint(ADMIN - {"health.read"})


# SecondFactor


class Proofs:
    """In place of SecondFactors: what was proved, and what was spent."""

    def __init__(self, recent: bool = False, proof: str = "") -> None:
        self.recent, self.proof = recent, proof
        self.spent: list[tuple[str, str, str]] = []

    async def recent_until(self, session: str) -> int | None:
        return now_ms() + 1000 if self.recent else None

    async def spend(self, proof: str, session: str, digest: str) -> bool:
        self.spent.append((proof, session, digest))
        return proof == self.proof


class Approved:
    """In place of CallApprovals: what may be called, and what was."""

    def __init__(self, enough: bool = False) -> None:
        self.enough = enough
        self.used: list[str] = []

    async def must_be_approved(self, method: str, digest: str, request: object, uid: str, wanted: int) -> str:
        if not self.enough:
            raise SolwardError(grpc.StatusCode.PERMISSION_DENIED, "APPROVALS_MISSING", "", {"wanted": str(wanted)})
        return f"{uid}/{digest}"

    async def use(self, uid: str) -> None:
        self.used.append(uid)


class Told:
    """In place of Notices: what was raised."""

    def __init__(self) -> None:
        self.notices: list[tuple[str, str, str]] = []

    async def give(self, name: str, evidence: str, by: str) -> None:
        self.notices.append((name, evidence, by))


def factor(
    proofs: Proofs, required: bool = True, approved: Approved | None = None, told: Told | None = None
) -> SecondFactor:
    glass: Any = BreakGlass(told or Told())  # type: ignore[arg-type]
    power: Any = None
    return SecondFactor(proofs, approved or Approved(), power, glass, required=required)  # type: ignore[arg-type]


PER_CALL = {"second_factor": policy_pb2.SECOND_FACTOR_PER_CALL}
RECENT = {"second_factor": policy_pb2.SECOND_FACTOR_RECENT}


async def test_factor_none_asks_nothing() -> None:
    proofs = Proofs()
    await factor(proofs).enter(call(principal=person()))
    assert proofs.spent == []


async def test_factor_recent_wants_a_confirmed_session() -> None:
    await factor(Proofs(recent=True)).enter(call(principal=person(), **RECENT))
    error = await refusal(factor(Proofs()), call(principal=person(), **RECENT))
    assert (error.reason, error.metadata["factor"]) == ("SECOND_FACTOR_REQUIRED", "RECENT")


async def test_factor_per_call_spends_the_proof_for_this_session_and_digest() -> None:
    proofs = Proofs(recent=True, proof="p")
    made = call(auth_pb2.LoginRequest(), person(), metadata={PROOF_KEY: "p"}, **PER_CALL)
    await factor(proofs).enter(made)
    assert proofs.spent == [("p", "s" * 32, made.digest)]
    without = await refusal(factor(proofs), call(auth_pb2.LoginRequest(), person(), **PER_CALL))
    assert without.metadata == {"factor": "PER_CALL", "call_digest": made.digest}
    wrong = call(auth_pb2.LoginRequest(), person(), metadata={PROOF_KEY: "x"}, **PER_CALL)
    assert (await refusal(factor(proofs), wrong)).reason == "SECOND_FACTOR_REQUIRED"


async def test_factor_is_not_asked_of_a_plan_nor_in_a_laboratory() -> None:
    plan = validator_pb2.RestartRequest(validate_only=True)
    proofs = Proofs(proof="p")
    await factor(proofs).enter(call(plan, person(), metadata={PROOF_KEY: "p"}, **PER_CALL))
    await factor(proofs, required=False).enter(call(validator_pb2.RestartRequest(), person(), **PER_CALL))
    assert proofs.spent == []


@pytest.mark.parametrize("required", [True, False])
async def test_a_call_that_others_approve_waits_for_them_after_the_code_and_is_made_once(required: bool) -> None:
    wants = {"approvals": 2, **(PER_CALL if required else {})}
    made = call(auth_pb2.LogoutRequest(), person(), **wants)
    if required:
        assert (await refusal(factor(Proofs()), made)).reason == "SECOND_FACTOR_REQUIRED"
        made = call(auth_pb2.LogoutRequest(), person(), metadata={PROOF_KEY: "p"}, **wants)
    error = await refusal(factor(Proofs(proof="p"), required), made)
    assert (error.reason, error.metadata) == ("APPROVALS_MISSING", {"wanted": "2"})
    approved = Approved(enough=True)
    await factor(Proofs(proof="p"), required, approved).enter(made)
    assert approved.used == [f"{made.principal.uid}/{made.digest}"]


async def test_glass_is_broken_for_a_reason_and_everybody_hears_of_it() -> None:
    told, approved = Told(), Approved()
    made = call(auth_pb2.LogoutRequest(), person(), metadata={GLASS_KEY: "the cluster is down"}, approvals=2)
    with capture_logs() as logs:
        await factor(Proofs(), required=False, approved=approved, told=told).enter(made)
    assert (made.break_glass, made.approvals, approved.used) == ("the cluster is down", 0, [])
    assert [(line["log_level"], line["event"], line["reason"]) for line in logs] == [
        ("critical", "glass broken", "the cluster is down")
    ]
    assert told.notices == [
        ("break_glass", "alice called toy.v1.Toys/Play without approval: the cluster is down", "alice")
    ]


async def test_glass_stays_whole_for_a_poor_reason_and_for_who_may_not() -> None:
    poor = call(auth_pb2.LogoutRequest(), person(), metadata={GLASS_KEY: "because"}, approvals=2)
    assert (await refusal(factor(Proofs(), required=False), poor)).reason == "BREAK_GLASS_REFUSED"
    operator = call(
        auth_pb2.LogoutRequest(), person("operator"), metadata={GLASS_KEY: "the cluster is down"}, approvals=2
    )
    assert (await refusal(factor(Proofs(), required=False), operator)).reason == "BREAK_GLASS_REFUSED"
