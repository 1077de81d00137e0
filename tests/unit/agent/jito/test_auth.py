"""Authentication: the handshake of Jito's clients, tokens that are renewed, and a key that nobody knows."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.jito.auth import SettingsFileError, challenge_text, load_key, load_uuid
from tests.peers.block_engine import Peer, block_engine
from tests.unit.agent.jito.stand import standing

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNED = (
    "82326145359cc4f90758c16cbb0663efc8c1dcdc5190a936f9c94db6d326ab50"
    "9394104fd1e55f38e3aa8ce8c92aacc2be5ccb2dd43525e84f595338cf70c309"
)


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with block_engine("ny") as made:
        made["ny"].faults.require_auth = True
        yield made


def test_the_answer_to_a_challenge() -> None:
    text = challenge_text(KEY.public_key().public_bytes_raw(), "jito-challenge-0001")
    assert text == "FAe4sisG95oZ42w7buUn5qEE4TAnfTTFPiguZUHmhiF-jito-challenge-0001"
    assert KEY.sign(text.encode()).hex() == SIGNED


async def test_calls_carry_a_token_that_is_renewed_before_its_end(peer: Peer) -> None:
    peer["ny"].faults.no_endpoints = True
    peer["ny"].faults.token_s = 1.0
    async with standing(peer, key=KEY) as stand:
        for _ in range(6):
            assert (await stand.submit(stand.bundle())).figures["tries"] == "1"
            await asyncio.sleep(0.5)
        tokens = peer["ny"].tokens
        assert tokens.handshakes == 1
        assert tokens.refreshes >= 2
        peer["ny"].faults.token_s = 1800.0
        await asyncio.sleep(0.9)
        await stand.submit(stand.bundle())
        # An engine that forgets its tokens is shown the key again.
        tokens.revoke()
        await stand.submit(stand.bundle())
        outcome = await stand.submit(stand.bundle())
        assert (outcome.figures["tries"], outcome.figures["via"]) == ("1", "grpc")
        assert tokens.handshakes == 2


async def test_a_key_that_is_not_approved_is_dropped_for_good(peer: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    peer["ny"].faults.auth_refused, peer["ny"].faults.require_auth = True, False
    async with standing(peer, key=KEY) as stand:
        for _ in range(3):
            assert (await stand.submit(stand.bundle())).figures["tries"] == "1"
        assert stand.engine.regions["ny"].auth.dropped
    told = capsys.readouterr()
    assert (told.out + told.err).count("does not know the key") == 1


def test_a_key_file_is_read_if_it_is_for_its_owner_alone(tmp_path: Path) -> None:
    path, pair = tmp_path / "key.json", bytes(range(32)) + KEY.public_key().public_bytes_raw()
    path.write_text(json.dumps(list(pair)))
    path.chmod(0o600)
    assert load_key(path).private_bytes_raw() == bytes(range(32))
    path.chmod(0o640)
    for make, words in (
        (lambda: None, "chmod 600"),
        (lambda: path.chmod(0o600) or path.write_text("[1, 2]"), "64 bytes"),
        (lambda: path.write_text(json.dumps([0, *pair[:63]])), "not one keypair"),
        (path.unlink, "No such file"),
    ):
        make()
        with pytest.raises(SettingsFileError) as error:
            load_key(path)
        assert words in str(error.value)


UUID = "01234567-89ab-cdef-0123-456789abcdef"


def test_a_uuid_file_is_read_if_it_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "uuid"
    path.write_text(f"{UUID.upper()}\n")
    path.chmod(0o600)
    assert load_uuid(path) == UUID
    for make, words in (
        (lambda: path.chmod(0o604), "chmod 600"),
        (lambda: path.chmod(0o600) or path.write_text(f"{UUID}\r\nx: y"), "one UUID"),
        (lambda: path.write_bytes(b"\xff" * 36), "one UUID"),
        (lambda: path.unlink() or path.mkdir(), "must be a file"),
    ):
        make()
        with pytest.raises(SettingsFileError, match="uuid_file") as error:
            load_uuid(path)
        assert words in str(error.value)
        assert UUID not in str(error.value)


async def test_the_uuid_goes_with_both_ways_and_is_never_told(capsys: pytest.CaptureFixture[str]) -> None:
    async with block_engine("ny") as peer:
        peer["ny"].faults.uuid = UUID
        async with standing(peer, uuid=UUID, key=KEY) as stand:
            # The first way breaks, so that the second is taken.
            peer["ny"].faults.upstream_errors = 1
            outcome = await stand.submit(stand.bundle(), "ny")
            assert (outcome.figures["via"], outcome.figures["tries"]) == ("http", "2")
            assert {("grpc", UUID), ("http", UUID)} == set(peer["ny"].region.uuids)
            assert UUID not in repr(stand.engine._wishes)
    told = capsys.readouterr()
    assert UUID not in told.out + told.err


async def test_without_a_uuid_none_goes_and_a_refusal_says_so() -> None:
    async with block_engine("ny") as peer:
        peer["ny"].faults.uuid = UUID
        async with standing(peer) as stand:
            peer["ny"].faults.upstream_errors = 10**6
            outcome = await stand.submit(stand.bundle(), "ny", within_s=1.0)
            assert outcome.reason == "SEND_UNKNOWN"
            assert not peer["ny"].region.uuids
