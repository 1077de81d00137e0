"""Validation: every field of a request is held to the rules that stand beside it in the proto."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import grpc
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from solward.policy.v1 import policy_pb2

from common.errors import SolwardError
from common.policy import field_rules
from controlplane.guard.chain import Link
from controlplane.guard.context import Call

# Bounds that hold where a field states none of its own.
MAX_LENGTH = 65_536
MAX_ITEMS = 10_000

Check = Callable[[Message, str, list[tuple[str, str]]], None]


class Validation(Link):
    """Refuses a request with INVALID_ARGUMENT that names every wrong field, and what would be right."""

    async def enter(self, call: Call) -> None:
        """Check a single request."""
        if call.request is not None:
            validate(call.request)

    def check_message(self, call: Call, message: Message) -> None:
        """Check one message of a stream."""
        validate(message)


def validate(message: Message) -> None:
    """Hold a message to its field rules; raise SolwardError with one violation for each wrong field."""
    problems: list[tuple[str, str]] = []
    for check in _checks(message.DESCRIPTOR):
        check(message, "", problems)
    if problems:
        listed = "; ".join(f"{field}: {what}" for field, what in problems[:5])
        raise SolwardError(
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_FIELD",
            f"the request is not valid: {listed}",
            {"field": problems[0][0]},
            problems,
        )


@lru_cache(maxsize=1024)
def _checks(descriptor: Descriptor) -> tuple[Check, ...]:
    """Compile the checks of a message type once; most fields need very few."""
    return tuple(check for field in descriptor.fields for check in _field_checks(field))


def _field_checks(field: FieldDescriptor) -> list[Check]:
    rules = field_rules(field)
    checks: list[Check] = []
    if rules.required:
        checks.append(_required(field))
    if field.is_repeated:
        checks.append(_items(field, rules.max_items or MAX_ITEMS))
    is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
    if is_map:
        checks.append(_map_texts(field, rules.max_length or MAX_LENGTH))
    if field.message_type is not None and not is_map:
        checks.append(_nested(field))
    elif not is_map:
        value_check = _value_check(field, rules)
        if value_check:
            checks.append(_each(field, value_check))
    return checks


def _required(field: FieldDescriptor) -> Check:
    def check(message: Message, path: str, problems: list[tuple[str, str]]) -> None:
        value = getattr(message, field.name)
        empty = not message.HasField(field.name) if field.has_presence else not value
        if empty:
            problems.append((path + field.name, "must be given"))

    return check


def _items(field: FieldDescriptor, most: int) -> Check:
    def check(message: Message, path: str, problems: list[tuple[str, str]]) -> None:
        count = len(getattr(message, field.name))
        if count > most:
            problems.append((path + field.name, f"has {count} elements; at most {most} are allowed"))

    return check


def _nested(field: FieldDescriptor) -> Check:
    def check(message: Message, path: str, problems: list[tuple[str, str]]) -> None:
        if field.is_repeated:
            for index, element in enumerate(getattr(message, field.name)):
                for inner in _checks(element.DESCRIPTOR):
                    inner(element, f"{path}{field.name}[{index}].", problems)
        elif message.HasField(field.name):
            element = getattr(message, field.name)
            for inner in _checks(element.DESCRIPTOR):
                inner(element, f"{path}{field.name}.", problems)

    return check


def _map_texts(field: FieldDescriptor, most: int) -> Check:
    def check(message: Message, path: str, problems: list[tuple[str, str]]) -> None:
        for pair in getattr(message, field.name).items():
            if any(isinstance(part, str | bytes) and len(part) > most for part in pair):
                problems.append((path + field.name, f"has a key or value of more than {most} characters"))
                return

    return check


def _each(field: FieldDescriptor, value_check: Callable[[Any], str | None]) -> Check:
    def check(message: Message, path: str, problems: list[tuple[str, str]]) -> None:
        value = getattr(message, field.name)
        for element in value if field.is_repeated else (value,):
            problem = value_check(element)
            if problem:
                problems.append((path + field.name, problem))
                return

    return check


def _value_check(field: FieldDescriptor, rules: policy_pb2.FieldRules) -> Callable[[Any], str | None] | None:
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return _text_check(rules)
    if rules.HasField("min") or rules.HasField("max"):
        least = rules.min if rules.HasField("min") else None
        most = rules.max if rules.HasField("max") else None
        return lambda value: _range_problem(value, least, most)
    return None


def _text_check(rules: policy_pb2.FieldRules) -> Callable[[Any], str | None]:
    pattern = re.compile(rules.pattern) if rules.pattern else None
    most = rules.max_length or MAX_LENGTH

    def check(value: str | bytes) -> str | None:
        if not value:
            return None
        if len(value) > most:
            return f"has {len(value)} characters; at most {most} are allowed"
        if len(value) < rules.min_length:
            return f"has {len(value)} characters; at least {rules.min_length} are needed"
        if pattern and isinstance(value, str) and not pattern.fullmatch(value):
            return f"must match {pattern.pattern}"
        return None

    return check


def _range_problem(value: float, least: int | None, most: int | None) -> str | None:
    if least is not None and value < least:
        return f"is {value}; at least {least} is needed"
    if most is not None and value > most:
        return f"is {value}; at most {most} is allowed"
    return None
