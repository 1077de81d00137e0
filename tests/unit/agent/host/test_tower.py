"""Towers: whose they are, and copies that outlive the node."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from agent.host.tower import KEEP_COPIES, MAX_BYTES, copy_aside, find_tower, is_signed_by
from common import base58

SECRET = Ed25519PrivateKey.generate()
IDENTITY = base58.encode(SECRET.public_key().public_bytes_raw())


def tower(secret: Ed25519PrivateKey = SECRET, rest: bytes = b"votes") -> bytes:
    data = SECRET.public_key().public_bytes_raw() + rest
    return (1).to_bytes(4, "little") + secret.sign(data) + len(data).to_bytes(8, "little") + data


def test_tower_of_the_identity_is_found_and_known_as_its_own(tmp_path: Path) -> None:
    assert find_tower(tmp_path, IDENTITY) is None
    (tmp_path / f"tower-1_9-{IDENTITY}.bin").write_bytes(tower())
    found = find_tower(tmp_path, IDENTITY)
    assert found is not None
    assert found.signed
    assert 0 <= found.age_ms < 10_000


def test_tower_signed_by_another_key_is_not_its_own() -> None:
    assert is_signed_by(tower(), IDENTITY)
    assert not is_signed_by(tower(Ed25519PrivateKey.generate()), IDENTITY)
    other = base58.encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    assert not is_signed_by(tower(), other)
    assert not is_signed_by(tower(), "not a key")


@given(st.integers(0, len(tower()) - 1), st.integers(1, 255))
def test_one_changed_byte_anywhere_is_noticed(place: int, change: int) -> None:
    changed = bytearray(tower())
    changed[place] ^= change
    assert not is_signed_by(bytes(changed), IDENTITY)


@given(st.binary(max_size=200))
def test_nothing_else_is_taken_for_a_tower(content: bytes) -> None:
    assert not is_signed_by(content, IDENTITY)


def test_link_in_the_ledger_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(tower())
    (tmp_path / f"tower-1_9-{IDENTITY}.bin").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match=r"[Tt]oo many levels"):
        find_tower(tmp_path, IDENTITY)


def test_file_that_is_far_too_large_is_no_tower(tmp_path: Path) -> None:
    (tmp_path / f"tower-1_9-{IDENTITY}.bin").write_bytes(bytes(MAX_BYTES + 1))
    with pytest.raises(OSError, match="no tower is"):
        find_tower(tmp_path, IDENTITY)


def test_copies_are_private_and_only_the_newest_are_kept(tmp_path: Path) -> None:
    source = tmp_path / f"tower-1_9-{IDENTITY}.bin"
    folder = tmp_path / "towers"
    made = []
    for number in range(KEEP_COPIES + 3):
        source.write_bytes(tower(rest=bytes([number])))
        made.append(copy_aside(source, folder))
        # Names are times in milliseconds.
        made[-1] = made[-1].rename(folder / f"{source.stem}-{number:013}.bin")
    source.write_bytes(tower())
    last = copy_aside(source, folder)
    kept = sorted(folder.iterdir())
    assert kept == [*made[-KEEP_COPIES + 1 :], last]
    assert last.read_bytes() == tower()
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
