"""Validation: every rule that a field can have, on messages made on the spot and on the contract's own."""

import re
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from solward.auth.v1 import auth_pb2
from solward.hosts.v1 import link_pb2
from solward.policy.v1 import policy_pb2
from solward.rpc.v1 import rpc_pb2

from common.errors import SolwardError
from common.policy import field_rules
from controlplane.api.services import SERVICES
from controlplane.guard.table import read_table
from controlplane.guard.validation import MAX_ITEMS, MAX_LENGTH, Validation, validate
from tests.support.calls import call

STRING, BYTES, INT64 = 9, 12, 3


def message_type(kind: int, repeated: bool = False, **rules: Any) -> type[Message]:
    """A message with one field `value` that has these rules."""
    file = descriptor_pb2.FileDescriptorProto(name="toy.proto", package="toy", syntax="proto3")
    field = file.message_type.add(name="Toy").field.add(name="value", number=1, type=kind, label=3 if repeated else 1)  # type: ignore[arg-type]
    field.options.Extensions[policy_pb2.field].CopyFrom(policy_pb2.FieldRules(**rules))
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("toy.Toy"))


def problems(message: Message) -> list[tuple[str, str]]:
    try:
        validate(message)
    except SolwardError as error:
        assert (error.code.name, error.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
        return list(error.violations)
    return []


@given(st.text(max_size=30), st.integers(0, 12), st.integers(1, 20))
def test_length_is_held_to_its_bounds_unless_the_field_is_empty(text: str, least: int, most: int) -> None:
    toy = message_type(STRING, min_length=least, max_length=most)
    assert bool(problems(toy(value=text))) == bool(text and not least <= len(text) <= most)


@given(st.binary(max_size=30), st.integers(1, 20))
def test_length_of_bytes_is_held_to_its_bound(content: bytes, most: int) -> None:
    assert bool(problems(message_type(BYTES, max_length=most)(value=content))) == (len(content) > most)


@given(st.one_of(st.text(max_size=8), st.from_regex(r"[a-c]{2,3}", fullmatch=True)))
def test_pattern_must_match_the_whole_value(text: str) -> None:
    wrong = bool(problems(message_type(STRING, pattern="[a-c]{2,3}")(value=text)))
    assert wrong == bool(text and not re.fullmatch("[a-c]{2,3}", text))


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-5, 5), st.integers(0, 10))
def test_numbers_are_held_to_their_range(value: int, least: int, span: int) -> None:
    toy = message_type(INT64, min=least, max=least + span)
    assert bool(problems(toy(value=value))) == (not least <= value <= least + span)


def test_required_wants_something_other_than_nothing() -> None:
    assert problems(message_type(STRING, required=True)()) == [("value", "must be given")]
    assert problems(message_type(STRING, required=True)(value="x")) == []
    assert problems(message_type(STRING, True, required=True)()) == [("value", "must be given")]


def test_lists_are_counted_and_each_element_is_looked_at() -> None:
    toy = message_type(STRING, True, max_items=2, max_length=3)
    assert problems(toy(value=["a", "b"])) == []
    assert problems(toy(value=["a", "b", "c"])) == [("value", "has 3 elements; at most 2 are allowed")]
    assert problems(toy(value=["a", "long"])) == [("value", "has 4 characters; at most 3 are allowed")]


def test_fields_without_rules_have_the_servers_bounds() -> None:
    assert problems(message_type(STRING)(value="x" * MAX_LENGTH)) == []
    assert problems(message_type(STRING)(value="x" * (MAX_LENGTH + 1)))
    assert problems(message_type(BYTES)(value=b"x" * (MAX_LENGTH + 1)))
    assert problems(message_type(INT64, True)(value=[0] * MAX_ITEMS)) == []
    assert problems(message_type(INT64, True)(value=[0] * (MAX_ITEMS + 1)))


@pytest.mark.parametrize("labels", [{"k" * (MAX_LENGTH + 1): "v"}, {"k": "v" * (MAX_LENGTH + 1)}])
def test_keys_and_values_of_maps_have_the_servers_bounds(labels: dict[str, str]) -> None:
    assert problems(link_pb2.SeriesDefinition(name="x", labels=labels))
    assert problems(link_pb2.SeriesDefinition(name="x", labels={"k": "v"})) == []


def test_inner_fields_are_named_by_their_path() -> None:
    definitions = [link_pb2.SeriesDefinition(name="good"), link_pb2.SeriesDefinition(name="BAD")]
    request = link_pb2.ConnectRequest(samples=link_pb2.SampleBatch(definitions=definitions))
    assert [field for field, _ in problems(request)] == ["samples.definitions[1].name"]


def test_every_wrong_field_is_named_at_once() -> None:
    request = auth_pb2.LoginRequest(username="Bob", password="", totp_code="12345")
    assert [field for field, _ in problems(request)] == ["username", "password", "totp_code"]
    with pytest.raises(SolwardError, match=r"username: must match .*; password: must be given; totp_code: "):
        validate(request)


def test_the_value_itself_is_never_repeated() -> None:
    with pytest.raises(SolwardError) as caught:
        validate(auth_pb2.LoginRequest(username="bob", password="hunter2" * 999, totp_code="hunter2"))
    assert "hunter2" not in repr(caught.value.__dict__)


@given(st.integers(-(2**31), 2**31 - 1))
def test_window_of_a_report_is_zero_to_fifteen_minutes(seconds: int) -> None:
    assert bool(problems(rpc_pb2.GetMetricsRequest(window_seconds=seconds))) == (not 0 <= seconds <= 900)


@given(st.data())
def test_any_bytes_that_parse_are_judged_without_a_crash(data: st.DataObject) -> None:
    rule = data.draw(st.sampled_from(sorted(read_table(SERVICES).values(), key=lambda one: one.name)))
    message = message_factory.GetMessageClass(rule.request)()
    try:
        message.ParseFromString(data.draw(st.binary(max_size=64)))
    except Exception:
        return
    problems(message)


def test_every_pattern_of_the_contract_compiles_and_is_bounded() -> None:
    seen = 0
    for rule in read_table(SERVICES).values():
        for field in rule.request.fields:
            rules = field_rules(field)
            if rules.pattern:
                re.compile(rules.pattern)
                assert rules.max_length, f"{field.full_name} has a pattern but no greatest length"
                seen += 1
    assert seen > 10


async def test_link_checks_single_requests_and_each_message_of_a_stream() -> None:
    bad = auth_pb2.LoginRequest()
    with pytest.raises(SolwardError):
        await Validation().enter(call(bad))
    with pytest.raises(SolwardError):
        Validation().check_message(call(), bad)
    await Validation().enter(call(None))
