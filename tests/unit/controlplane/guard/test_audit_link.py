"""The links that write the audit log, alone."""

from typing import Any

import grpc
import pytest
from solward.auth.v1 import auth_pb2
from solward.policy.v1 import policy_pb2

from common.errors import SolwardError
from controlplane.guard.audit import Audit, Refusals
from tests.support.calls import call, person
from tests.unit.controlplane.guard.test_links import NO, refusal

# Audit and Refusals


class Book:
    """In place of the audit log: what was written; full when told so."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.down = False

    async def append(self, fields: dict[str, Any]) -> int:
        if self.down:
            raise SolwardError(grpc.StatusCode.UNAVAILABLE, "AUDIT_UNAVAILABLE", "down")
        self.entries.append(fields)
        return len(self.entries)


CHANGE = {"risk": policy_pb2.RISK_OPERATE}


async def test_change_is_on_record_before_the_handler_and_its_outcome_after() -> None:
    book = Book()
    audit, made = Audit(book), call(auth_pb2.LoginRequest(username="bob"), person(), **CHANGE)  # type: ignore[arg-type]
    await audit.enter(made)
    assert made.allowed
    assert [(one["phase"], one["allowed"], one["principal"]) for one in book.entries] == [("decision", True, "alice")]
    made.notes["operation"] = "operations/1"
    await audit.leave(made, NO)
    outcome = book.entries[1]
    assert (outcome["phase"], outcome["code"], outcome["reason"]) == ("outcome", "NOT_FOUND", "GONE")
    assert (outcome["operation"], outcome["call"]) == ("operations/1", made.id)


async def test_change_that_cannot_be_recorded_is_refused_and_not_allowed() -> None:
    book = Book()
    book.down = True
    made = call(auth_pb2.LoginRequest(), person(), **CHANGE)
    assert (await refusal(Audit(book), made)).reason == "AUDIT_UNAVAILABLE"  # type: ignore[arg-type]
    assert not made.allowed


async def test_read_is_one_entry_and_goes_on_without_the_log() -> None:
    book = Book()
    audit, made = Audit(book), call(auth_pb2.LoginRequest(), person())  # type: ignore[arg-type]
    await audit.enter(made)
    await audit.leave(made, None)
    assert [(one["phase"], one["code"]) for one in book.entries] == [("call", "OK")]
    book.down = True
    await audit.leave(made, None)


@pytest.mark.parametrize("level", [policy_pb2.AUDIT_LEVEL_NONE, policy_pb2.AUDIT_LEVEL_REFUSED])
async def test_quiet_methods_leave_no_entry_when_all_is_well(level: Any) -> None:
    book = Book()
    audit, made = Audit(book), call(auth_pb2.LoginRequest(), person(), audit=level)  # type: ignore[arg-type]
    await audit.enter(made)
    await audit.leave(made, None)
    assert book.entries == []


@pytest.mark.parametrize(
    ("error", "code"),
    [(None, "OK"), (ValueError("x"), "INTERNAL"), (GeneratorExit(), "CANCELLED"), (NO, "NOT_FOUND")],
)
async def test_outcome_says_how_the_call_ended(error: BaseException | None, code: str) -> None:
    book = Book()
    audit, made = Audit(book), call(auth_pb2.LoginRequest(), person(), **CHANGE)  # type: ignore[arg-type]
    await audit.enter(made)
    await audit.leave(made, error)
    assert book.entries[1]["code"] == code


async def test_refusal_is_recorded_with_who_what_and_why_but_no_secret() -> None:
    book = Book()
    made = call(auth_pb2.LoginRequest(username="bob", password="hunter2"), person(), resource_field="username")
    await Refusals(book).leave(made, NO)  # type: ignore[arg-type]
    (entry,) = book.entries
    assert (entry["allowed"], entry["reason"], entry["resource"]) == (False, "GONE", "bob")
    assert entry["request"] == {"username": "bob", "password": "[redacted]"}
    assert "hunter2" not in repr(entry)


async def test_refused_strangers_request_is_recorded_by_its_digest_alone() -> None:
    book = Book()
    made = call(auth_pb2.LoginRequest(username="bob" * 99), resource_field="username")
    await Refusals(book).leave(made, NO)  # type: ignore[arg-type]
    (entry,) = book.entries
    assert (entry["request"], entry["allowed"], entry["reason"]) == ({}, False, "GONE")
    assert entry["request_digest"] == made.digest
    assert len(made.digest) == 64


async def test_allowed_strangers_request_is_recorded() -> None:
    book = Book()
    made = call(auth_pb2.LoginRequest(username="bob"), **CHANGE)
    audit = Audit(book)  # type: ignore[arg-type]
    await audit.enter(made)
    await audit.leave(made, None)
    assert book.entries[0]["request"] == {"username": "bob"}


@pytest.mark.parametrize("reason", ["RATE_LIMITED", "AUDIT_UNAVAILABLE"])
async def test_floods_are_not_written_down(reason: str) -> None:
    book = Book()
    await Refusals(book).leave(call(), SolwardError(grpc.StatusCode.UNAVAILABLE, reason, "x"))  # type: ignore[arg-type]
    assert book.entries == []


async def test_what_was_allowed_or_is_never_audited_is_no_refusal() -> None:
    book = Book()
    allowed = call()
    allowed.allowed = True
    for made, error in (
        (allowed, NO),
        (call(audit=policy_pb2.AUDIT_LEVEL_NONE), NO),
        (call(), None),
        (call(), ValueError()),
    ):
        await Refusals(book).leave(made, error)  # type: ignore[arg-type]
    assert book.entries == []
