"""Names, digests, errors, files and clocks that every program shares."""

import os
import stat
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st
from solward.validator.v1 import validator_pb2

from common.clock import now_ms, timestamp, timestamp_now
from common.digest import call_digest
from common.errors import STATUS_KEY, SolwardError, code_number, info_of, status_of
from common.files import write_private
from common.names import host_id, host_name, operation_name

# Names


def test_names_go_there_and_back() -> None:
    assert host_id(host_name("sol-1")) == "sol-1"
    assert operation_name("ab") == "operations/ab"
    for bad in ("sol-1", "hosts/", "operations/x", "hosts/a/b", "/hosts/a"):
        with pytest.raises(ValueError, match="not of the form"):
            host_id(bad)


# Digests

requests = st.builds(
    validator_pb2.RestartRequest,
    host=st.text(max_size=5),
    validate_only=st.booleans(),
    timeout_seconds=st.integers(0, 9),
    reason=st.text(max_size=5),
)


@given(requests, requests, st.text(max_size=5), st.text(max_size=5))
def test_digest_is_the_same_only_for_the_same_call(
    one: validator_pb2.RestartRequest, two: validator_pb2.RestartRequest, method: str, other: str
) -> None:
    same = one == two and method == other
    assert (call_digest(method, one) == call_digest(other, two)) is same or "\0" in method + other
    assert len(call_digest(method, one)) == 64


# Errors


def test_error_says_everything_in_one_status() -> None:
    error = SolwardError(
        grpc.StatusCode.ABORTED, "HOST_BUSY", "wait", {"host": "h"}, (("host", "is busy"),), retry_after_s=1.25
    )
    status = error.status()
    assert (status.code, status.message) == (code_number(grpc.StatusCode.ABORTED), "wait")
    assert info_of(status) == error_details_pb2.ErrorInfo(reason="HOST_BUSY", domain="solward", metadata={"host": "h"})
    bad, retry = error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    assert status.details[1].Unpack(bad)
    assert status.details[2].Unpack(retry)
    assert [(one.field, one.description) for one in bad.field_violations] == [("host", "is busy")]
    assert retry.retry_delay.ToMilliseconds() == 1250


def rpc_error(*trailing: tuple[str, str | bytes]) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        grpc.StatusCode.NOT_FOUND, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing), details="gone"
    )


def test_status_is_read_out_of_a_failed_call() -> None:
    packed = SolwardError(grpc.StatusCode.NOT_FOUND, "GONE", "gone").status().SerializeToString()
    assert info_of(status_of(rpc_error((STATUS_KEY, packed)))).reason == "GONE"
    bare = status_of(rpc_error(("x", "y")))
    assert (bare.code, bare.message, info_of(bare).reason) == (5, "gone", "")
    assert info_of(status_pb2.Status()).reason == ""


# Files


def test_private_file_is_whole_and_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    old_mask = os.umask(0)
    try:
        write_private(path, b"one")
        write_private(path, b"two")
    finally:
        os.umask(old_mask)
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["key"]


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key"
    write_private(path, b"old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("common.files.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_private(path, b"new")
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"old", ["key"])


def test_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"mine")
    link.symlink_to(target)
    write_private(link, b"secret")
    assert target.read_bytes() == b"mine"
    assert not link.is_symlink()


# Clocks


def test_no_time_is_no_timestamp() -> None:
    assert timestamp(0) is None
    assert timestamp(None) is None
    stamp = timestamp(1500)
    assert stamp is not None
    assert (stamp.seconds, stamp.nanos) == (1, 500_000_000)
    assert abs(timestamp_now().ToMilliseconds() - now_ms()) < 1000
