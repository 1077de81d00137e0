"""A room is for one job alone, follows no link, and is gone after it."""

import errno
import os
from pathlib import Path

import pytest

from agent.ledger import room as module
from agent.ledger.child import ToolError, ToolReason
from agent.ledger.room import NAME, check_given, room


def reason(parent: Path) -> ToolReason:
    with pytest.raises(ToolError) as caught, room(parent):
        pass
    return caught.value.reason


def test_it_is_ours_alone_and_then_gone(tmp_path: Path) -> None:
    with room(tmp_path) as ours:
        assert ours.path == tmp_path / NAME
        assert ours.path.stat().st_mode & 0o777 == 0o700
        (ours.make("deep") / "file").write_text("")
        assert reason(tmp_path) is ToolReason.WORK_BUSY
    assert list(tmp_path.iterdir()) == []


def test_it_is_gone_after_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(KeyError), room(tmp_path) as ours:
        ours.make("deep")
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_clearing_follows_no_link(tmp_path: Path) -> None:
    other, parent = tmp_path / "other", tmp_path / "parent"
    for folder in (other, parent / NAME / "deep"):
        folder.mkdir(parents=True)
        (folder / "file").write_text("")
    (parent / NAME / "link").symlink_to(other)
    (parent / NAME / "deep" / "link").symlink_to(other)
    with room(parent):
        pass
    assert (other / "file").exists()
    assert list(parent.iterdir()) == []


def test_a_link_in_its_place(tmp_path: Path) -> None:
    other, parent = tmp_path / "other", tmp_path / "parent"
    other.mkdir()
    parent.mkdir()
    (other / "file").write_text("")
    (parent / NAME).symlink_to(other)
    assert reason(parent) is ToolReason.WORK_UNUSABLE
    assert (other / "file").exists()


def test_a_file_in_its_place(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("")
    assert reason(tmp_path) is ToolReason.WORK_UNUSABLE


def test_a_folder_of_another_user_in_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "file").write_text("")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert reason(tmp_path) is ToolReason.WORK_UNUSABLE
    assert (tmp_path / NAME / "file").exists()


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, ToolReason.DISK_FULL),
        (errno.EDQUOT, ToolReason.DISK_FULL),
        (errno.EROFS, ToolReason.WORK_UNUSABLE),
        (errno.EACCES, ToolReason.WORK_UNUSABLE),
    ],
)
def test_a_disk_that_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, expected: ToolReason
) -> None:
    def refuse(*args: object, **more: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module.os, "mkdir", refuse)
    assert reason(tmp_path) is expected


@pytest.mark.parametrize("path", ["a/b", "/a/../b", "/a\nb", "/a\x1b", "/a\udcffb", "/a\u202eb"])
def test_paths_that_cannot_be_given(path: str) -> None:
    with pytest.raises(ToolError) as caught:
        check_given(Path(path))
    assert caught.value.reason is ToolReason.WORK_UNUSABLE
    assert str(caught.value).isprintable()
