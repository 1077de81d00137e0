"""The members of an archive are those of a snapshot, however the stream is cut."""

import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.snapshots.headers import Header
from agent.snapshots.members import Members
from agent.snapshots.names import parse
from agent.snapshots.report import Fault, Reason
from agent.snapshots.walk import MAX_EXTENSION_BYTES, Walk
from tests.peers.snapshots import END, SLOT, Member, accounts, header, name, state, tar

GOOD = [*state(), *accounts(count=4, size=100)]


def walked(raw: bytes, step: int = 1 << 20) -> Members:
    members = Members(parse(name()))
    walk = Walk(members.take, members.content)
    for at in range(0, len(raw), step):
        walk.feed(raw[at : at + step])
    walk.close()
    members.close()
    return members


def refused(raw: bytes) -> Reason:
    with pytest.raises(Fault) as fault:
        walked(raw)
    assert str(fault.value).isprintable()
    return fault.value.reason


@pytest.mark.parametrize("step", [1, 7, 511, 512, 513, 4096])
def test_the_stream_may_be_cut_anywhere(step: int) -> None:
    members = walked(tar(GOOD), step)
    assert (members.count, members.version) == (9, "1.2.0")


@given(st.integers(0, len(tar(GOOD))), st.binary(min_size=1, max_size=600))
@settings(max_examples=300)
def test_no_bytes_break_it(at: int, put: bytes) -> None:
    raw = tar(GOOD)
    try:
        walked(raw[:at] + put + raw[at + len(put) :])
    except Fault as fault:
        assert fault.reason in Reason


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([], Reason.MEMBER_MISSING),
        (GOOD[1:], Reason.MEMBER_REFUSED),
        ([GOOD[0], *GOOD[5:]], Reason.MEMBER_REFUSED),
        ([*GOOD[:2], *GOOD[3:]], Reason.MEMBER_REFUSED),
        (GOOD[:5], Reason.MEMBER_MISSING),
        (GOOD[:4], Reason.MEMBER_MISSING),
        ([*GOOD[:3], GOOD[2]], Reason.MEMBER_REFUSED),
        ([*GOOD[:5], GOOD[4]], Reason.MEMBER_REFUSED),
        ([*GOOD, GOOD[0]], Reason.MEMBER_REFUSED),
        ([Member("version", b"1.2.0\n"), *GOOD[1:]], None),
        ([Member("version", b""), *GOOD[1:]], Reason.MEMBER_REFUSED),
        ([Member("version", b"1.2"), *GOOD[1:]], Reason.MEMBER_REFUSED),
        ([Member("version", b"1" * 65), *GOOD[1:]], Reason.MEMBER_REFUSED),
        ([Member("version", kind=tarfile.DIRTYPE), *GOOD[1:]], Reason.MEMBER_REFUSED),
        ([*GOOD, Member("accounts/", kind=tarfile.DIRTYPE)], None),
        ([*GOOD, Member("accounts/x", kind=tarfile.DIRTYPE)], Reason.MEMBER_REFUSED),
        ([*GOOD, Member("snapshots/5/", kind=tarfile.DIRTYPE)], Reason.SLOT_MISMATCH),
        ([*GOOD[:4], Member(f"snapshots/{SLOT}/5"), *GOOD[5:]], Reason.SLOT_MISMATCH),
        ([*GOOD[:4], Member(f"snapshots/5/{SLOT}"), *GOOD[5:]], Reason.SLOT_MISMATCH),
    ],
)
def test_members_and_their_order(members: list[Member], reason: Reason | None) -> None:
    if reason is None:
        walked(tar(members))
    else:
        assert refused(tar(members)) is reason


@pytest.mark.parametrize(
    "text",
    [
        "accounts/5", "accounts/5.x", "accounts/05.1", "accounts/5.1.2", "accounts/../5.1", "/accounts/5.1",
        "accounts//5.1", "./accounts/5.1", "accounts/5.1/", "accounts/5.1\n", "../accounts/5.1", "etc/passwd",
        f"snapshots/{SLOT}/status_cache", "snapshots/status_cache/x", "", "version/x", "accounts/\u0665.1",
    ],
)  # fmt: skip
def test_any_other_name_is_refused(text: str) -> None:
    assert refused(tar([*GOOD, Member(text)])) is Reason.MEMBER_REFUSED


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"7", b"g", b"K"]
)
def test_a_link_or_device_is_refused(kind: bytes) -> None:
    assert refused(tar([*GOOD, Member("accounts/5.1", kind=kind)])) is Reason.MEMBER_REFUSED


def test_a_directory_has_no_content() -> None:
    assert refused(tar([*GOOD, Member("accounts/", b"x", tarfile.DIRTYPE)])) is Reason.MEMBER_REFUSED


@pytest.mark.parametrize("end", [b"", bytes(512), bytes(511), bytes(1023)])
def test_an_archive_has_an_end(end: bytes) -> None:
    assert refused(tar(GOOD, end)) is Reason.ARCHIVE_TRUNCATED


def test_zeros_may_follow_the_end_and_nothing_else() -> None:
    walked(tar(GOOD, bytes(10_240)))
    assert refused(tar(GOOD, END + b"x")) is Reason.ARCHIVE_CORRUPT
    assert refused(tar(GOOD, bytes(512)) + header(GOOD[5])) is Reason.ARCHIVE_CORRUPT


def test_a_header_has_its_checksum() -> None:
    raw = bytearray(tar(GOOD))
    raw[0] ^= 1
    assert refused(bytes(raw)) is Reason.ARCHIVE_CORRUPT


def written(form: int, text: str, **fields: object) -> bytes:
    info = tarfile.TarInfo(text)
    for key, value in fields.items():
        setattr(info, key, value)
    return info.tobuf(form)


def seen(raw: bytes) -> list[Header]:
    found: list[Header] = []
    walk = Walk(lambda member: bool(found.append(member)), lambda _: None)
    walk.feed(raw)
    return found


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_long_names_are_read_in_every_form(form: int) -> None:
    text = "a" * 90 + "/" + "b" * 90
    assert [member.name for member in seen(written(form, text) + written(form, "c"))] == [text.encode(), b"c"]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_sizes_beyond_8_gib_are_read(form: int) -> None:
    (member,) = seen(written(form, "a", size=1 << 40))
    assert member.size == 1 << 40


def test_times_in_a_pax_header_change_nothing() -> None:
    assert seen(written(tarfile.PAX_FORMAT, "a", mtime=1.5)) == [Header(b"a", b"0", 0)]


def test_a_header_of_any_length_is_not_read() -> None:
    for kind in (b"L", b"x"):
        raw = written(tarfile.GNU_FORMAT, "x", type=kind, size=MAX_EXTENSION_BYTES + 1)
        assert refused(tar(GOOD, b"") + raw) is Reason.BOMB


def pax_header(records: bytes) -> bytes:
    return tar([Member("x", records, b"x")], b"") + header(Member("a"))


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        (b"junk", Reason.ARCHIVE_CORRUPT),
        (b"0 a=b\n", Reason.ARCHIVE_CORRUPT),
        (b"99 a=b\n", Reason.ARCHIVE_CORRUPT),
        (b"6 a=bc\n", Reason.ARCHIVE_CORRUPT),
        (b"6 abc\n", Reason.ARCHIVE_CORRUPT),
        (b"9 size=x\n", Reason.ARCHIVE_CORRUPT),
        (b"10 size=-1\n", Reason.ARCHIVE_CORRUPT),
        (b"14 linkpath=x\n", Reason.MEMBER_REFUSED),
        (b"22 GNU.sparse.major=1\n", Reason.MEMBER_REFUSED),
    ],
)
def test_records_that_none_are(records: bytes, reason: Reason) -> None:
    assert refused(pax_header(records)) is reason


def test_sparse_members_of_older_versions_are_read() -> None:
    raw = bytearray(header(Member("accounts/5.1", bytes(700), b"S")))
    raw[482] = 1
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    more = bytearray(512)
    more[504] = 1
    sparse = bytes(raw) + bytes(more) + bytes(512) + bytes(1024)
    assert walked(tar(GOOD, b"") + sparse + END).count == 10
    assert walked(tar(GOOD, b"") + sparse + END, 100).count == 10


def test_it_finds_what_the_standard_library_finds() -> None:
    raw = tar(GOOD)
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        wanted = [(member.name, member.size) for member in archive]
    assert [(member.name.decode().rstrip("/"), member.size) for member in seen(raw)] == wanted
