"""Secrets: read from a file of one's own, and from nothing else."""

import os
from pathlib import Path

import pytest

from agent.secret_file import SettingsFileError, read_line


def trouble(path: Path) -> str:
    with pytest.raises(SettingsFileError) as caught:
        read_line(path, "streams.ys.token_file")
    return str(caught.value)


def test_a_secret_is_one_line_of_a_file_that_nobody_else_may_read(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("  canary\n")
    path.chmod(0o600)
    assert read_line(path, "x") == "canary"
    for mode in (0o640, 0o604, 0o700):
        path.chmod(mode)
        assert "chmod 600" in trouble(path)
    path.chmod(0o600)
    for content in (b"", b"a\nb", b"\xff"):
        path.write_bytes(content)
        assert "one line of text" in trouble(path)
    path.write_bytes(b"x" * 20_000)
    assert "is over 16384 bytes" in trouble(path)


def test_what_is_no_file_is_refused_by_name(tmp_path: Path) -> None:
    assert "streams.ys.token_file" in trouble(tmp_path / "gone")
    assert "must be a file" in trouble(tmp_path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert "must be a file" in trouble(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc/hostname")
    assert "cannot be opened" in trouble(tmp_path / "link")
