"""A renewal interrupted at any step: the old identity works or the new one does, never neither."""

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from solward.hosts.v1 import enrollment_pb2

from agent.identity import FILE, Identity, IdentityError, IdentityStore, prepare_state
from common.pki import certificate_request, new_key
from tests.support.plane import Machine, Plane
from tests.support.programs import ROOT
from tests.support.stream import refused

RENEW = "solward.hosts.v1.EnrollmentService/Renew"
# Ends the process, as kill -9 would, just before or just after one step of the write.
KILLER = """
import os, pathlib, sys, tempfile
from common import files
from common.files import write_private

step, path, content = sys.argv[1], pathlib.Path(sys.argv[2]), sys.stdin.buffer.read()

def dying(call, when):
    def wrapped(*arguments, **options):
        if when == "before":
            os._exit(9)
        result = call(*arguments, **options)
        if when == "half":
            os.write(result[0], content[: len(content) // 2])
        os._exit(9)
    return wrapped

where, when = step.split()
if where == "mkstemp":
    tempfile.mkstemp = dying(tempfile.mkstemp, when)
elif where == "fsync":
    os.fsync = dying(os.fsync, when)
elif where == "rename":
    pathlib.Path.replace = dying(pathlib.Path.replace, when)
elif where == "folder":
    files.sync_folder = dying(files.sync_folder, when)
write_private(path, content)
"""
STEPS = {
    "mkstemp before": "old", "mkstemp after": "old", "mkstemp half": "old", "fsync before": "old", "fsync after": "old",
    "rename before": "old", "rename after": "new", "folder before": "new", "folder after": "new", "none at": "new",
}  # fmt: skip


async def renewed(plane: Plane, machine: Machine) -> Machine:
    key = new_key()
    request = enrollment_pb2.RenewRequest(csr_pem=certificate_request(key))
    answer = await plane.call(RENEW, request, enrollment_pb2.Identity, machine)
    return Machine(machine.name, answer.uid, key, answer.certificate_pem, list(answer.permit_keys))


def identity(plane: Plane, machine: Machine) -> Identity:
    certificate = x509.load_pem_x509_certificate(machine.certificate_pem.encode())
    ca = plane.installation.ca.certificate
    return Identity(f"hosts/{machine.name}", machine.uid, machine.key, certificate, (ca,), tuple(machine.permit_keys))


def machine_of(found: Identity) -> Machine:
    name = found.host.removeprefix("hosts/")
    return Machine(name, found.uid, found.key, found.certificate_pem.decode(), list(found.permit_keys))


async def test_case_15_killed_at_any_step_leaves_an_identity_that_works(plane: Plane, tmp_path: Path) -> None:
    machine = await plane.add_machine(await plane.sign_in(), "sol-1")
    for step, expected in STEPS.items():
        state, other = tmp_path / step.replace(" ", "-"), tmp_path / "other"
        for folder in (state, other):
            prepare_state(folder)
        IdentityStore(state).save(identity(plane, machine))
        following = await renewed(plane, machine)
        IdentityStore(other).save(identity(plane, following))
        subprocess.run(
            [sys.executable, "-c", KILLER, step, str(state / FILE)],
            input=(other / FILE).read_bytes(), cwd=ROOT, check=False,
        )  # fmt: skip
        found = IdentityStore(state).load()
        which = following if expected == "new" else machine
        assert found.certificate_pem.decode() == which.certificate_pem, step
        # What was left on disk opens the door, and is the identity to go on from.
        machine = await renewed(plane, machine_of(found))
        machine = await renewed(plane, machine)
        assert (state / FILE).stat().st_mode & 0o777 == 0o600
        assert all(path.stat().st_mode & 0o077 == 0 for path in state.iterdir()), step


async def test_case_15_old_certificate_holds_until_the_next_is_used(plane: Plane) -> None:
    old = await plane.add_machine(await plane.sign_in())
    new = await renewed(plane, old)
    # The reply may have been lost: the old one still works, and renews again, which voids the unused one.
    newer = await renewed(plane, old)
    assert (await refused(renewed(plane, new))).reason == "CERTIFICATE_REVOKED"
    await renewed(plane, newer)
    assert (await refused(renewed(plane, old))).reason == "CERTIFICATE_REVOKED"


def test_case_15_enrollment_key_survives_a_crash_before_the_reply(tmp_path: Path) -> None:
    first = IdentityStore(tmp_path).enrollment_key()
    again = IdentityStore(tmp_path).enrollment_key()
    assert first.private_numbers() == again.private_numbers()
    (tmp_path / "enroll.key").write_bytes(b"")
    assert IdentityStore(tmp_path).enrollment_key().private_numbers() != first.private_numbers()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"{}", b'{"host": 1}', b"\xff\xfe", b'"x"'])
def test_case_15_broken_identity_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(IdentityError, match="enroll again"):
        IdentityStore(tmp_path).load()


def test_case_15_missing_identity_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match="solward-agent enroll"):
        IdentityStore(tmp_path).load()


def test_case_57_state_folder_is_the_owners_alone(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o755)
    prepare_state(tmp_path / "state")
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
