"""The witness on a host: what it holds only ever grows, survives everything, and is not talked away."""

import asyncio
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from solward.audit.v1 import audit_pb2
from solward.hosts.v1 import link_pb2

from agent import witness as module
from agent.witness import FILE, Witness
from common.auditlog import Checkpoint, sign
from common.auditwire import checkpoint_message, checkpoint_of
from common.merkle import Tree, consistency_proof, leaf_hash, root_of
from tests.unit.agent.link.harness import link_parts, scripted_plane

SIGNING, STRANGER = (Ed25519PrivateKey.from_private_bytes(byte * 32) for byte in (b"s", b"x"))
KEY = SIGNING.public_key().public_bytes_raw()
LEAVES = [leaf_hash(str(number).encode()) for number in range(20)]


def point(
    size: int, leaves: list[bytes] = LEAVES, signing: Ed25519PrivateKey = SIGNING, origin: str = "log"
) -> Checkpoint:
    root = root_of(leaves[:size]) if size else Tree().root()
    return sign(signing, origin=origin, size=size, root=root, time_ms=size)


def offer(to: Checkpoint, held: int = 0, leaves: list[bytes] = LEAVES) -> audit_pb2.Checkpoint:
    message = checkpoint_message(to)
    if 0 < held < to.size:
        message.consistency_proof.extend(consistency_proof(leaves[: to.size], held))
    return message


def test_checkpoints_are_taken_as_the_log_grows_and_kept_over_restarts(tmp_path: Path) -> None:
    witness = Witness(tmp_path, KEY)
    assert witness.message() is None
    held = 0
    for size in (0, 1, 5, 5, 8, 20):
        answer = witness.told(offer(point(size), held))
        assert (checkpoint_of(answer.held), answer.HasField("refused")) == (point(size), False)
        held = size
    assert Witness(tmp_path, KEY).held == point(20)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


OTHER = [*LEAVES[:6], *reversed(LEAVES)]


@pytest.mark.parametrize(
    ("offered", "why"),
    [
        (offer(point(9)), "cut short"),
        (offer(point(10, OTHER)), "another than the one signed before"),
        (offer(point(12, OTHER), 10, OTHER), "did not grow from"),
        (offer(point(12)), "did not grow from"),
        (offer(point(12, signing=STRANGER), 10), "another key"),
        (offer(point(12)._replace(signature=bytes(64)), 10), "does not carry the signature"),
        (offer(point(12)._replace(public_key=b"short"), 10), "another key"),
        (offer(point(12, origin="another"), 10), "another log"),
        (audit_pb2.Checkpoint(), "another key"),
    ],
)
@pytest.mark.parametrize("pinned", [KEY, b""])
def test_case_33_other_logs_are_refused_and_what_is_held_stays(
    tmp_path: Path, offered: audit_pb2.Checkpoint, why: str, pinned: bytes
) -> None:
    witness = Witness(tmp_path, pinned)
    witness.told(offer(point(10)))
    before = (tmp_path / FILE).read_bytes()
    answer = witness.told(offered)
    assert why in answer.reason
    assert (checkpoint_of(answer.held), answer.refused) == (point(10), offered)
    assert (tmp_path / FILE).read_bytes() == before
    # It goes on with the log that it knows.
    assert not witness.told(offer(point(12), 10)).reason


def test_key_learnt_at_enrollment_beats_the_first_one_seen(tmp_path: Path) -> None:
    assert "another key" in Witness(tmp_path, KEY).told(offer(point(3, signing=STRANGER))).reason
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"checkpoint":"x"}', b'{"checkpoint":"{}"}', b"\xff"])
def test_damaged_file_is_set_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    witness = Witness(tmp_path, KEY)
    assert witness.held is None
    assert (tmp_path / FILE).with_suffix(".damaged").read_bytes() == content
    assert not witness.told(offer(point(3))).reason


def test_full_disk_keeps_what_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    witness = Witness(tmp_path, KEY)
    witness.told(offer(point(3)))

    def full(_path: Path, _content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_private", full)
    answer = witness.told(offer(point(5), 3))
    assert (checkpoint_of(answer.held), answer.reason) == (point(3), "")
    assert json.loads((tmp_path / FILE).read_bytes())


async def test_link_tells_what_is_held_and_answers_each_checkpoint(tmp_path: Path) -> None:
    with link_parts(tmp_path) as link:
        async with scripted_plane() as (plane, channel):
            for held in (0, 4):
                task = asyncio.create_task(link.direct.run(channel, link.identity, lambda _: None))
                stream = await plane.stream()
                hello = (await stream.next("hello")).hello
                assert (hello.HasField("held_checkpoint"), hello.held_checkpoint.size) == (held > 0, held)
                stream.welcome()
                stream.send(checkpoint=offer(point(4)))
                answer: link_pb2.WitnessReport = (await stream.next("witness")).witness
                assert (answer.held.size, answer.reason) == (4, "")
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
