"""A good archive passes, and each way in which one can be bad has its code."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.snapshots import checksums, source
from agent.snapshots.files import Identity
from agent.snapshots.names import parse
from agent.snapshots.pace import Pace, Stopped
from agent.snapshots.report import Reason, Report, Verdict
from agent.snapshots.verify import Against, Caps, verify
from tests.peers.snapshots import SLOT, Member, accounts, compress, content, hash_of, name, state, tar, write


def verified(path: Path, **against: object) -> Report:
    return verify(path.parent, path.name, against=Against(**against))  # type: ignore[arg-type]


def failed(path: Path, **against: object) -> Reason:
    report = verified(path, **against)
    assert report.verdict is Verdict.FAIL, report
    (reason,) = report.reasons
    return reason


@pytest.fixture(params=["zst", "lz4"])
def codec(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_good_archive_passes(tmp_path: Path, codec: str) -> None:
    path = write(tmp_path, codec=codec)
    report = verified(path)
    assert report.verdict is Verdict.PASS, report
    assert [check.id for check in report.checks] == ["name", "file", "content", "unchanged"]
    figures = report.figures
    assert figures.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert figures.bytes_read == path.stat().st_size
    assert figures.bytes_decoded == len(tar([*state(), *accounts()]))
    assert (figures.members, figures.version) == (13, "1.2.0")
    assert figures.seconds > 0
    assert report.identity == Identity.of(path.stat())


def test_several_frames_are_one_archive(tmp_path: Path, codec: str) -> None:
    raw = tar([*state(), *accounts()])
    skippable = bytes.fromhex("502a4d18") + (3).to_bytes(4, "little") + b"xyz"
    parts = [compress(raw[at : at + 7000], codec) for at in range(0, len(raw), 7000)]
    path = write(tmp_path, codec=codec, raw=skippable + skippable.join(parts) + skippable)
    assert verified(path).verdict is Verdict.PASS


def test_every_truncation_is_found(tmp_path: Path, codec: str) -> None:
    whole = content(codec=codec, members=[*state(), *accounts(count=3, size=600)])
    path = write(tmp_path, codec=codec, raw=whole)
    places = {*range(1, 40), *range(40, len(whole), 97), *range(len(whole) - 20, len(whole))}
    for length in sorted(places):
        path.write_bytes(whole[:length])
        assert failed(path) is Reason.ARCHIVE_TRUNCATED, length


def test_a_truncation_between_two_frames_is_found(tmp_path: Path, codec: str) -> None:
    raw = tar([*state(), *accounts()])
    for length in (512, 4096, len(raw) - 1024, len(raw) - 512):
        path = write(tmp_path, codec=codec, raw=compress(raw[:length], codec))
        assert failed(path) is Reason.ARCHIVE_TRUNCATED, length


def test_flipped_bits_do_not_pass_unseen_with_a_checksum(tmp_path: Path, codec: str) -> None:
    archives, sums = tmp_path / "archives", tmp_path / "sums"
    archives.mkdir()
    sums.mkdir()
    path = write(archives, codec=codec)
    whole = path.read_bytes()
    checksums.write(sums, parse(path.name), hashlib.sha256(whole).hexdigest())
    assert verified(path, checksums=sums).verdict is Verdict.PASS
    for at in range(0, len(whole), 211):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        assert verified(path, checksums=sums).verdict is Verdict.FAIL, at


def test_a_flipped_bit_in_what_was_stored_is_seen_by_the_checksum_alone(tmp_path: Path) -> None:
    (tmp_path / "sums").mkdir()
    path = write(tmp_path)
    raw = tar([*state(), *accounts()])
    checksums.write(tmp_path / "sums", parse(path.name), hashlib.sha256(compress(raw)).hexdigest())
    at = raw.index(b"\1" * 700)
    path.write_bytes(compress(raw[:at] + b"\2" + raw[at + 1 :]))
    assert verified(path).verdict is Verdict.PASS
    assert failed(path, checksums=tmp_path / "sums") is Reason.CHECKSUM_MISMATCH


def test_a_checksum_that_cannot_be_read_says_nothing_of_the_archive(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / f"{path.name}.sha256").write_text("x")
    report = verified(path, checksums=tmp_path)
    assert (report.verdict, report.reasons) == (Verdict.INCONCLUSIVE, (Reason.CHECKSUM_UNREADABLE,))


@pytest.mark.parametrize("garbage", [b"\0" * 64, b"trailing garbage, long enough", b"\x28\xb5\x2f\xfd" + b"\xff" * 60])
def test_what_follows_the_last_frame_is_found(tmp_path: Path, codec: str, garbage: bytes) -> None:
    path = write(tmp_path, codec=codec, raw=content(codec=codec) + garbage)
    # Some of it may be the beginning of a frame.
    assert failed(path) in (Reason.ARCHIVE_CORRUPT, Reason.ARCHIVE_TRUNCATED)


def test_an_empty_file(tmp_path: Path) -> None:
    assert failed(write(tmp_path, raw=b"")) is Reason.ARCHIVE_EMPTY


def test_what_is_not_compressed_at_all(tmp_path: Path, codec: str) -> None:
    path = write(tmp_path, codec=codec, raw=tar([*state(), *accounts()]))
    assert failed(path) is Reason.ARCHIVE_CORRUPT


def test_one_codec_under_the_others_name(tmp_path: Path) -> None:
    assert failed(write(tmp_path, codec="lz4", raw=content(codec="zst"))) is Reason.ARCHIVE_CORRUPT


def test_a_frame_that_decodes_to_nothing(tmp_path: Path, codec: str) -> None:
    assert failed(write(tmp_path, codec=codec, raw=compress(b"", codec))) is Reason.ARCHIVE_TRUNCATED


def test_an_archive_renamed_to_another_slot(tmp_path: Path) -> None:
    assert failed(write(tmp_path, SLOT + 1, raw=content(SLOT))) is Reason.SLOT_MISMATCH


def test_accounts_of_a_later_slot(tmp_path: Path) -> None:
    members = [*state(), *accounts(), Member(f"accounts/{SLOT + 1}.5")]
    assert failed(write(tmp_path, raw=content(members=members))) is Reason.SLOT_MISMATCH


def test_an_incremental_one_needs_its_base(tmp_path: Path) -> None:
    path = write(tmp_path, SLOT, SLOT - 50)
    assert verified(path).verdict is Verdict.PASS
    assert verified(path, base_slots={SLOT - 50}).verdict is Verdict.PASS
    assert failed(path, base_slots={SLOT - 51}) is Reason.BASE_MISSING


def test_the_hash_of_the_log_is_compared_with_the_name(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert verified(path, hash=parse(path.name).hash).verdict is Verdict.PASS
    assert failed(path, hash=hash_of("another")) is Reason.HASH_MISMATCH
    assert failed(path, hash="\n" * 9999) is Reason.HASH_MISMATCH


@pytest.mark.parametrize("text", ["", "x" * 4096, "../x", name() + "\n", "-", "a\0b"])
def test_a_name_that_none_is(tmp_path: Path, text: str) -> None:
    report = verify(tmp_path, text)
    assert (report.verdict, report.reasons) == (Verdict.FAIL, (Reason.NAME_REFUSED,))


def test_only_a_regular_file_is_opened(tmp_path: Path) -> None:
    real = write(tmp_path, 1, raw=content(1))
    (tmp_path / name(2)).symlink_to(real)
    (tmp_path / name(3)).mkdir()
    os.mkfifo(tmp_path / name(4))
    for slot in (2, 3, 4):
        assert failed(tmp_path / name(slot)) is Reason.NOT_REGULAR


def test_what_is_not_there_is_not_bad(tmp_path: Path) -> None:
    report = verified(tmp_path / name())
    assert (report.verdict, report.reasons) == (Verdict.INCONCLUSIVE, (Reason.GONE,))
    report = verified(tmp_path / "nowhere" / name())
    assert (report.verdict, report.reasons) == (Verdict.INCONCLUSIVE, (Reason.READ_FAILED,))


def test_a_disk_that_cannot_be_read_is_not_the_archives_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    path = write(tmp_path)
    monkeypatch.setattr(source.os, "read", read)
    report = verified(path)
    assert (report.verdict, report.reasons) == (Verdict.INCONCLUSIVE, (Reason.READ_FAILED,))


def test_a_bank_snapshots_folder_may_be_read_in_any_order(tmp_path: Path) -> None:
    version, folder, cache, bank_folder, bank = state()
    members = [version, folder, bank_folder, bank, cache, *reversed(accounts())]
    assert verified(write(tmp_path, raw=content(members=members))).verdict is Verdict.PASS


def meanwhile(path: Path, act: Callable[[], object]) -> Report:
    calls = iter(range(1000))
    return verify(path.parent, path.name, pace=Pace(stop=lambda: next(calls) == 1 and bool(act()) and False))


def test_an_archive_that_is_removed_meanwhile(tmp_path: Path) -> None:
    path = write(tmp_path)
    report = meanwhile(path, path.unlink)
    assert (report.verdict, report.reasons) == (Verdict.INCONCLUSIVE, (Reason.CHANGED_MEANWHILE,))


def test_an_archive_that_is_replaced_meanwhile(tmp_path: Path) -> None:
    path, other = write(tmp_path), write(tmp_path, 5)
    report = meanwhile(path, lambda: other.rename(path))
    assert (report.verdict, report.reasons) == (Verdict.INCONCLUSIVE, (Reason.CHANGED_MEANWHILE,))
    assert report.figures.members == 13


def test_an_archive_that_becomes_a_link_meanwhile(tmp_path: Path) -> None:
    path = write(tmp_path)

    def swap() -> None:
        path.rename(tmp_path / "moved")
        path.symlink_to("moved")

    report = meanwhile(path, swap)
    assert (report.verdict, report.reasons) == (Verdict.INCONCLUSIVE, (Reason.CHANGED_MEANWHILE,))


def test_an_archive_that_is_written_to_meanwhile(tmp_path: Path) -> None:
    path = write(tmp_path, raw=content()[:-40])
    report = meanwhile(path, lambda: os.truncate(path, path.stat().st_size + 1))
    assert report.verdict is Verdict.INCONCLUSIVE
    assert report.reasons == (Reason.ARCHIVE_TRUNCATED, Reason.CHANGED_MEANWHILE)


def test_a_hard_link_more_is_no_change(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert meanwhile(path, lambda: os.link(path, tmp_path / "pin")).verdict is Verdict.PASS


def test_it_stops_when_told(tmp_path: Path) -> None:
    path = write(tmp_path)
    calls = iter(range(9))
    with pytest.raises(Stopped):
        verify(path.parent, path.name, pace=Pace(stop=lambda: next(calls) == 1))


def test_more_members_than_any_snapshot_has(tmp_path: Path) -> None:
    path = write(tmp_path, raw=content(members=[*state(), *accounts(count=20, size=2)]))
    assert verify(path.parent, path.name, caps=Caps(members=25)).verdict is Verdict.PASS
    report = verify(path.parent, path.name, caps=Caps(members=24))
    assert report.reasons == (Reason.BOMB,)
