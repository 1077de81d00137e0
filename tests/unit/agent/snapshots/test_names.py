"""Names of archives are what the validator takes for one, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.snapshots.names import MAX_SLOT, ArchiveName, Codec, Kind, NameRefused, parse
from common.base58 import encode
from tests.peers.snapshots import hash_of, name

slots = st.integers(0, MAX_SLOT)


@st.composite
def archive_names(draw: st.DrawFn) -> ArchiveName:
    base, slot = sorted(draw(st.lists(slots, min_size=2, max_size=2, unique=True)))
    checksum = encode(draw(st.binary(min_size=32, max_size=32)))
    return ArchiveName(slot, checksum, draw(st.sampled_from(Codec)), draw(st.sampled_from([None, base])))


@given(archive_names())
def test_a_name_is_read_as_it_was_written(archive: ArchiveName) -> None:
    assert parse(str(archive)) == archive


@given(archive_names(), st.data())
def test_a_name_with_anything_put_into_it_is_refused_or_reads_back(archive: ArchiveName, data: st.DataObject) -> None:
    text = str(archive)
    at = data.draw(st.integers(0, len(text)))
    put = data.draw(st.text(min_size=1, max_size=3))
    cut = data.draw(st.integers(0, 2))
    mutated = text[:at] + put + text[at + cut :]
    try:
        assert str(parse(mutated)) == mutated
    except NameRefused as refused:
        assert "base58" in str(refused) or "base slot" in str(refused)


@given(st.text(max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    with pytest.raises(NameRefused):
        parse(text)


GOOD = name(5)


@pytest.mark.parametrize(
    "text",
    [
        "",
        GOOD + "\n",
        "\n" + GOOD,
        " " + GOOD,
        "-" + GOOD,
        "../" + GOOD,
        "remote/" + GOOD,
        GOOD + "\0",
        GOOD.upper(),
        GOOD + "x" * (4096 - len(GOOD)),
        f"snapshot-{'9' * 4096}-{hash_of('x')}.tar.zst",
        f"snapshot-05-{hash_of('x')}.tar.zst",
        f"snapshot-+5-{hash_of('x')}.tar.zst",
        f"snapshot--5-{hash_of('x')}.tar.zst",
        f"snapshot-5_0-{hash_of('x')}.tar.zst",
        f"snapshot-٥-{hash_of('x')}.tar.zst",
        f"snapshot-５-{hash_of('x')}.tar.zst",
        f"snapshot-{MAX_SLOT + 1}-{hash_of('x')}.tar.zst",
        f"snapshot-5-{hash_of('x')}.tar",
        f"snapshot-5-{hash_of('x')}.tar.bz2",
        f"snapshot-5-{hash_of('x')}.tar.zst.sha256",
        "snapshot-5-.tar.zst",
        f"snapshot-5-{'0' * 44}.tar.zst",
        f"snapshot-5-{'z' * 44}.tar.zst",
        f"snapshot-5-{encode(bytes([1]) * 31)}.tar.zst",
        f"incremental-snapshot-5-{hash_of('x')}.tar.zst",
        f"incremental-snapshot-5-5-{hash_of('x')}.tar.zst",
        f"incremental-snapshot-6-5-{hash_of('x')}.tar.zst",
        f"incremental-snapshot-5-6-7-{hash_of('x')}.tar.zst",
        f"tmp-snapshot-archive-{GOOD}",
    ],
)
def test_what_the_validator_would_not_take_is_refused(text: str) -> None:
    with pytest.raises(NameRefused) as refused:
        parse(text)
    assert len(str(refused.value)) < 600
    assert str(refused.value).isprintable()


def test_the_kinds() -> None:
    assert parse(name(5)).kind is Kind.FULL
    assert parse(name(9, 5, "lz4")) == ArchiveName(9, hash_of("5 9"), Codec.LZ4, 5)
    assert parse(name(9, 5)).kind is Kind.INCREMENTAL


def test_parts_that_make_no_name_are_refused() -> None:
    for parts in ((-1, hash_of("x")), (5, "x"), (MAX_SLOT + 1, hash_of("x"))):
        with pytest.raises(NameRefused):
            ArchiveName(*parts)
    with pytest.raises(NameRefused):
        ArchiveName(5, hash_of("x"), base=-1)
