"""What lies in the snapshot folders is listed, and what only looks like an archive is told apart."""

import os
from pathlib import Path

import pytest

from agent.config.files import UnsafeFile
from agent.snapshots import catalogue
from agent.snapshots.catalogue import BankSnapshot, Catalogue, Places, TooMany, scan
from agent.snapshots.names import Codec, Kind
from tests.peers.snapshots import name, write


def listed(folder: Path) -> Catalogue:
    return scan(Places(folder, folder, folder))


def names(found: Catalogue) -> list[str]:
    return [str(archive.name) for archive in found.archives]


def test_archives_come_newest_first_with_their_figures(tmp_path: Path) -> None:
    for slot, base in ((100, None), (150, 100), (140, 100), (200, None)):
        write(tmp_path, slot, base)
    write(tmp_path, 250, 220, codec="lz4")
    found = listed(tmp_path)
    assert names(found) == [name(250, 220, "lz4"), name(200), name(150, 100), name(140, 100), name(100)]
    status = (tmp_path / name(200)).stat()
    full = found.archives[1]
    assert (full.identity.inode, full.size, full.identity.mtime_ns) == (
        status.st_ino, status.st_size, status.st_mtime_ns,
    )  # fmt: skip
    assert (full.folder, full.links, full.remote, full.name.kind) == (tmp_path, 1, False, Kind.FULL)
    assert [archive.base_present for archive in found.archives] == [False, True, True, True, True]
    assert found.archives[0].name.codec is Codec.LZ4
    assert found.base_slots() == {100, 200}
    assert [pair.slot for pair in found.pairs()] == [200, 150]
    assert not found.oddities


def test_downloads_are_listed_too(tmp_path: Path) -> None:
    (tmp_path / "remote").mkdir()
    write(tmp_path / "remote", 100)
    write(tmp_path, 150, 100)
    found = listed(tmp_path)
    assert [archive.remote for archive in found.archives] == [False, True]
    assert found.archives[0].base_present
    assert found.archives[1].folder == tmp_path / "remote"


def test_two_folders_hold_each_their_kind(tmp_path: Path) -> None:
    full, incremental, bank = (tmp_path / each for each in ("full", "incremental", "bank"))
    for folder in (full, incremental, bank):
        folder.mkdir()
    write(full, 100)
    write(incremental, 150, 100)
    write(incremental, 200)
    write(bank, 300)
    found = scan(Places(full, incremental, bank))
    assert names(found) == [name(150, 100), name(100)]
    assert found.archives[0].base_present
    assert [(oddity.folder, oddity.name) for oddity in found.oddities] == [(incremental, name(200))]


def test_bank_snapshots_say_whether_a_boot_can_start_from_them(tmp_path: Path) -> None:
    for slot in (5, 70, 600):
        (tmp_path / "snapshots" / str(slot)).mkdir(parents=True)
    (tmp_path / "snapshots" / "600" / "fastboot_version").write_text("3.0.0")
    (tmp_path / "snapshots" / "70" / "fastboot_version").symlink_to("nowhere")
    (tmp_path / "snapshots" / "007").mkdir()
    (tmp_path / "snapshots" / "٥").mkdir()
    (tmp_path / "snapshots" / "8").symlink_to("5")
    found = listed(tmp_path)
    assert found.bank_snapshots == [BankSnapshot(600, True), BankSnapshot(70, False), BankSnapshot(5, False)]
    assert [(oddity.folder.name, oddity.name) for oddity in found.oddities] == [("snapshots", "8")]


def test_work_files_are_counted_only(tmp_path: Path) -> None:
    (tmp_path / "tmp-snapshot-archive-5.tar.zst").write_bytes(b"x" * 77)
    (tmp_path / "tmp-snapshot-archive-5-abc").mkdir()
    found = listed(tmp_path)
    assert (found.work_files, found.work_bytes) == (2, 77)
    assert not found.archives
    assert not found.oddities


def test_what_only_looks_like_an_archive_is_an_oddity(tmp_path: Path) -> None:
    real = write(tmp_path, 1)
    (tmp_path / name(2)).symlink_to(real)
    (tmp_path / name(3)).touch()
    (tmp_path / name(4)).mkdir()
    os.mkfifo(tmp_path / name(5))
    (tmp_path / "snapshot-6-x.tar.zst").write_bytes(b"x")
    (tmp_path / (name(7) + "\n")).write_bytes(b"x")
    (tmp_path / "incremental-snapshot-").write_bytes(b"x")
    Path(os.fsdecode(bytes(tmp_path) + b"/snapshot-\xff\xfe")).write_bytes(b"x")
    (tmp_path / "rocksdb").mkdir()
    found = listed(tmp_path)
    assert names(found) == [name(1)]
    assert len(found.oddities) == 8
    for oddity in found.oddities:
        oddity.name.encode()
    why = {oddity.name: oddity.why for oddity in found.oddities}
    assert why[name(2)] == "it is a symbolic link"
    assert why[name(3)] == "it is empty"
    assert why[name(5)] == "it is no regular file"


def test_a_link_is_followed_nowhere(tmp_path: Path) -> None:
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "folder"
    elsewhere.mkdir()
    folder.mkdir()
    write(elsewhere, 5)
    (elsewhere / "9").mkdir()
    (folder / "remote").symlink_to(elsewhere)
    (folder / "snapshots").symlink_to(elsewhere)
    found = listed(folder)
    assert not found.archives
    assert not found.bank_snapshots
    assert [oddity.name for oddity in found.oddities] == ["remote", "snapshots"]
    (tmp_path / "link").symlink_to(folder)
    for path in (tmp_path / "link", tmp_path / "not-there"):
        with pytest.raises(UnsafeFile):
            listed(path)


def test_what_vanishes_meanwhile_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, 5)
    gone = write(tmp_path, 6)
    (tmp_path / "snapshots" / "7").mkdir(parents=True)
    real = catalogue.look

    def look(parent: int, name: str) -> os.stat_result:
        status = real(parent, name)
        if name == "7":
            (tmp_path / "snapshots" / "7").rmdir()
        if name == gone.name:
            raise FileNotFoundError
        return status

    monkeypatch.setattr(catalogue, "look", look)
    found = listed(tmp_path)
    assert names(found) == [name(5)]
    assert not found.bank_snapshots


def test_a_folder_of_any_size_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "MAX_ENTRIES", 3)
    for number in range(4):
        (tmp_path / str(number)).touch()
    with pytest.raises(TooMany):
        listed(tmp_path)
