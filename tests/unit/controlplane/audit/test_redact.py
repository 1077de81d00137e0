"""Requests in the audit log: no secret, nothing huge, still readable."""

from hashlib import sha256

from google.protobuf import any_pb2, struct_pb2, timestamp_pb2
from google.rpc import status_pb2
from solward.auth.v1 import auth_pb2
from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2
from solward.policy.v1 import policy_pb2

from controlplane.audit.redact import redact


def test_sensitive_fields_are_redacted_and_others_are_not() -> None:
    request = auth_pb2.LoginRequest(username="alice", password="canary-1", totp_code="123456")
    assert redact(request) == {"username": "alice", "password": "[redacted]", "totp_code": "[redacted]"}
    assert redact(auth_pb2.LoginRequest()) == {}


def test_bytes_are_shown_by_length_and_digest() -> None:
    shown = redact(link_pb2.SignedReceipt(receipt=b"secret", signature=b"s"))
    assert shown["receipt"] == {"bytes": 6, "sha256": sha256(b"secret").hexdigest()}


def test_nested_repeated_and_mapped_values_are_shown() -> None:
    operation = operations_pb2.Operation(
        kind="validator.restart",
        state=operations_pb2.OPERATION_STATE_RUNNING,
        create_time=timestamp_pb2.Timestamp(seconds=1, nanos=5_000_000),
        steps=[operations_pb2.Step(id="a", figures={"z": "1", "job_ms": "2"})],
    )
    assert redact(operation) == {
        "kind": "validator.restart",
        "state": "OPERATION_STATE_RUNNING",
        "create_time": "1970-01-01T00:00:01.005Z",
        "steps": [{"id": "a", "figures": {"job_ms": "2", "z": "1"}}],
    }


def test_a_sensitive_field_is_redacted_at_any_depth() -> None:
    session = auth_pb2.Session(username="alice", access_token="canary-2", refresh_token="canary-3")
    inside = any_pb2.Any()
    inside.Pack(session)
    shown = repr(redact(status_pb2.Status(message="m", details=[inside])))
    assert "canary" not in shown
    assert "solward.auth.v1.Session" in shown


def test_long_strings_and_collections_are_cut() -> None:
    operation = operations_pb2.Operation(
        reason="x" * 2000,
        steps=[
            operations_pb2.Step(figures={f"{index:03}": "" for index in range(70)}),
            *(operations_pb2.Step(id=str(index)) for index in range(99)),
        ],
    )
    shown = redact(operation)
    assert shown["reason"] == "x" * 1024 + "[976 more]"
    assert len(shown["steps"]) == 65
    assert shown["steps"][-1] == "[36 more]"
    assert shown["steps"][0]["figures"]["..."] == "[6 more]"


def test_unknown_enums_and_impossible_times_do_not_break_it() -> None:
    caller = auth_pb2.Caller()
    caller.ParseFromString(bytes([0x10, 99]))
    assert redact(caller) == {"kind": 99}
    session = auth_pb2.Session(access_expire_time=timestamp_pb2.Timestamp(seconds=1 << 60))
    assert redact(session) == {"access_expire_time": {"seconds": 1 << 60}}


def test_free_form_values_are_shown_as_they_are_typed() -> None:
    value = struct_pb2.Struct()
    value.update({"a": [1, "b"]})
    assert "string_value" in repr(redact(value))


def test_every_secret_of_the_contract_is_redacted() -> None:
    seen = 0
    for name in ("LoginRequest", "RefreshSessionRequest", "VerifySecondFactorRequest", "Session"):
        for field in getattr(auth_pb2, name).DESCRIPTOR.fields:
            if field.GetOptions().Extensions[policy_pb2.field].sensitive:
                message = getattr(auth_pb2, name)(**{field.name: "canary"})
                assert redact(message) == {field.name: "[redacted]"}
                seen += 1
    assert seen >= 6
