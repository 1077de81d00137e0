"""Names that try to be paths, other alphabets or two things at once."""

import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import example, given
from hypothesis import strategies as st
from solward.hosts.v1 import hosts_pb2

from common.names import HOST_ID, KINDS, TRUST_DOMAIN, UID, SpiffeId, host_id, host_name
from common.policy import field_rules
from controlplane.api.services import SERVICES
from controlplane.guard.table import read_table
from tests.support.plane import Plane
from tests.support.stream import refused

UID_EXAMPLE = "0123456789abcdef" * 2
HOSTILE = (
    "..", "../sol-1", "sol-1/..", "%2e%2e", "sol%2f1", "SOL-1", "Sol-1", "sоl-1", "ѕol", "sol\x00", "sol-1\n",
    "\nsol-1",
    "sol 1", "-sol", "sol-", "1sol", "", ".", "sol.1", "sol_1", "a" * 64, "sol/1", "sol\\1", "ſol", "\u212aol",
    "sol\u200b", "sol\u202e1",
    "{host}", "*", "'", "sol;rm", "$(id)", "-rf",
)  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_case_06_hostile_host_names_are_no_names(name: str) -> None:
    with pytest.raises(ValueError, match="not of the form"):
        host_id(f"hosts/{name}")


@pytest.mark.parametrize(
    "text",
    [
        f"spiffe://solward.internal/agent/{UID_EXAMPLE}/",
        f"spiffe://solward.internal//agent/{UID_EXAMPLE}",
        f"spiffe://solward.internal/agent/../{UID_EXAMPLE}",
        f"spiffe://solward.internal/agent/{UID_EXAMPLE}?a=b",
        f"spiffe://solward.internal/agent/{UID_EXAMPLE}#x",
        f"spiffe://solward.internal/agent/{UID_EXAMPLE}\n",
        f"spiffe://solward.internal/agent/{UID_EXAMPLE}\x00",
        f"spiffe://solward.internal/agent/{UID_EXAMPLE.upper()}",
        f"spiffe://solward.internal/Agent/{UID_EXAMPLE}",
        f"spiffe://solward.internal/admin/{UID_EXAMPLE}",
        f"spiffe://solward.internal/role/{UID_EXAMPLE}",
        f"SPIFFE://solward.internal/agent/{UID_EXAMPLE}",
        f"https://solward.internal/agent/{UID_EXAMPLE}",
        f"spiffe://Solward.internal/agent/{UID_EXAMPLE}",
        f"spiffe://solward.internal:7443/agent/{UID_EXAMPLE}",
        f"spiffe://root@solward.internal/agent/{UID_EXAMPLE}",
        f"spiffe://sоlward.internal/agent/{UID_EXAMPLE}",
        f"spiffe://solward.internal%2f/agent/{UID_EXAMPLE}",
        f"spiffe://solward.internal/%61gent/{UID_EXAMPLE}",
        "spiffe://solward.internal/agent/" + "٠" * 32,
        "spiffe://solward.internal/agent/",
        "spiffe://solward.internal/agent",
        "spiffe:///agent/" + UID_EXAMPLE,
        "",
    ],
)
def test_case_06_hostile_spiffe_ids_are_no_ids(text: str) -> None:
    with pytest.raises(ValueError, match=r"not of the form|not allowed|none of"):
        SpiffeId.parse(text)


@given(st.from_regex(TRUST_DOMAIN, fullmatch=True), st.sampled_from(KINDS), st.from_regex(UID, fullmatch=True))
def test_case_06_every_id_reads_back_as_itself(domain: str, kind: str, uid: str) -> None:
    made = SpiffeId(domain, kind, uid)  # type: ignore[arg-type]
    assert SpiffeId.parse(str(made)) == made


@given(st.text())
@example(f"spiffe://solward.internal/agent/{UID_EXAMPLE}")
def test_case_06_what_is_read_is_spelt_in_one_way_only(text: str) -> None:
    try:
        read = SpiffeId.parse(text)
    except ValueError:
        return
    assert str(read) == text


@given(
    st.one_of(st.text(), st.from_regex(r"hosts/[\w.%/-]{0,70}"), st.from_regex(HOST_ID, fullmatch=True).map(host_name))
)
def test_case_06_a_host_name_is_plain_ascii_of_one_segment(text: str) -> None:
    try:
        ident = host_id(text)
    except ValueError:
        return
    assert host_name(ident) == text
    assert ident.isascii()
    assert ident == ident.lower()
    assert not set(ident) - set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert 1 <= len(ident) <= 63


def name_fields() -> list[FieldDescriptor]:
    return [
        field
        for rule in read_table(SERVICES).values()
        for field in rule.request.fields
        if field.name in ("host", "name", rule.policy.resource_field)
    ]


def test_case_06_every_name_in_every_request_has_a_pattern() -> None:
    fields = name_fields()
    assert len(fields) > 10
    assert [field.full_name for field in fields if not field_rules(field).pattern] == []


async def test_case_06_hostile_names_are_refused_before_anything_is_looked_up(plane: Plane) -> None:
    admin = await plane.sign_in()
    await plane.add_machine(admin, "sol-1")
    channel = plane.channel()
    for name in HOSTILE:
        request = hosts_pb2.GetHostRequest(name=f"hosts/{name}")
        refusal = await refused(
            plane.call("solward.hosts.v1.HostsService/GetHost", request, hosts_pb2.Host, admin, channel=channel)
        )
        assert (refusal.code.name, refusal.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD"), name
        assert refusal.info.metadata["field"] == "name"
