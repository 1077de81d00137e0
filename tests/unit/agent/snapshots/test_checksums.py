"""The agent's own checksums are written whole and read strictly."""

import subprocess
from pathlib import Path

import pytest

from agent.snapshots import checksums
from agent.snapshots.names import parse
from tests.peers.snapshots import name

NAME = parse(name())
SUM = "ab" * 32


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert checksums.read(tmp_path, NAME) is None
    checksums.write(tmp_path, NAME, SUM)
    assert checksums.read(tmp_path, NAME) == SUM
    (path,) = tmp_path.iterdir()
    assert path.name == f"{NAME}.sha256"
    assert path.stat().st_mode & 0o777 == 0o600
    checksums.remove(tmp_path, NAME)
    checksums.remove(tmp_path, NAME)
    assert checksums.read(tmp_path, NAME) is None


def test_it_is_the_form_of_sha256sum(tmp_path: Path) -> None:
    (tmp_path / str(NAME)).write_bytes(b"x")
    output = subprocess.run(["sha256sum", str(NAME)], cwd=tmp_path, capture_output=True, check=True, text=True).stdout
    checksums.write(tmp_path, NAME, output[:64])
    assert (tmp_path / f"{NAME}.sha256").read_text() == output


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 80,
        SUM.encode(),
        f"{SUM}  {NAME}".encode(),
        f"{SUM.upper()}  {NAME}\n".encode(),
        f"{SUM} *{NAME}\n".encode(),
        f"{SUM}  {name(7)}\n".encode(),
        f"{SUM}  {NAME}\n\n".encode(),
        b"x" * (1 << 17),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / f"{NAME}.sha256").write_bytes(content)
    with pytest.raises(checksums.ChecksumRefused):
        checksums.read(tmp_path, NAME)


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text(f"{SUM}  {NAME}\n")
    (tmp_path / f"{NAME}.sha256").symlink_to("elsewhere")
    with pytest.raises(checksums.ChecksumRefused):
        checksums.read(tmp_path, NAME)
    (tmp_path / f"{NAME}.sha256").unlink()
    (tmp_path / f"{NAME}.sha256").symlink_to("nowhere")
    with pytest.raises(checksums.ChecksumRefused):
        checksums.read(tmp_path, NAME)


def test_only_a_sha256_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        checksums.write(tmp_path, NAME, "x")
    assert not list(tmp_path.iterdir())
