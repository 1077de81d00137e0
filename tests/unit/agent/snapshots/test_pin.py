"""A pin is there whole or not at all, and outlives what the validator removes."""

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.config.files import UnsafeFile
from agent.snapshots import pin_files
from agent.snapshots.catalogue import Places
from agent.snapshots.files import Identity
from agent.snapshots.pin import ATTEMPTS, Checked, Pin, list_pins, pin_named, pin_newest, unpin
from agent.snapshots.pin_files import PinReason, PinRefused
from tests.peers.snapshots import name, write


class Crash(BaseException):
    """The process is gone: nothing is tidied up."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "snapshots"
    folder.mkdir()
    for slot, base in ((100, None), (150, 100), (200, None), (240, 200), (250, 200)):
        write(folder, slot, base)
    return folder


@pytest.fixture
def places(folder: Path) -> Places:
    return Places(folder, folder, folder)


@pytest.fixture
def pins(tmp_path: Path) -> Path:
    return tmp_path / "pins"


def names(pin: Pin) -> list[str]:
    return [file.name for file in pin.files]


def refused(act: Callable[[], object]) -> PinReason:
    with pytest.raises(PinRefused) as refusal:
        act()
    return refusal.value.reason


def test_the_newest_pair_is_pinned(places: Places, pins: Path) -> None:
    full = places.full / name(200)
    checked = {full.name: Checked(Identity.of(full.stat()), "ab" * 32)}
    made = pin_newest(places, pins, checked=checked, clock=lambda: 77)
    assert (made.slot, made.pinned_unix_ms, made.trouble) == (250, 77, "")
    assert names(made) == [name(200), name(250, 200)]
    assert sorted(path.name for path in (pins / "250").iterdir()) == sorted([*names(made), "manifest.json"])
    assert (pins / "250" / full.name).samefile(full)
    manifest = json.loads((pins / "250" / "manifest.json").read_text())
    assert manifest["files"][0] == {
        "name": full.name, "size": full.stat().st_size, "inode": full.stat().st_ino, "sha256": "ab" * 32,
    }  # fmt: skip
    # Others may read what is pinned, and change nothing of it.
    for path in (pins, pins / "250", pins / "250" / "manifest.json"):
        assert not path.stat().st_mode & 0o022
    assert list_pins(pins) == [made]


def test_a_pin_outlives_the_validators_own(places: Places, pins: Path) -> None:
    content = (places.full / name(200)).read_bytes()
    made = pin_newest(places, pins)
    for path in places.full.iterdir():
        path.unlink()
    assert list_pins(pins) == [made]
    assert (pins / "250" / name(200)).read_bytes() == content
    unpin(pins, 250)
    assert list_pins(pins) == []
    assert not list(pins.iterdir())


def test_what_is_known_to_be_bad_is_passed_over(places: Places, pins: Path) -> None:
    assert names(pin_newest(places, pins, bad={name(250, 200)})) == [name(200), name(240, 200)]
    assert names(pin_newest(places, pins, bad={name(200)})) == [name(100), name(150, 100)]
    bad = {name(200), name(100)}
    assert refused(lambda: pin_newest(places, pins, bad=bad)) is PinReason.NOTHING_TO_PIN


def test_an_archive_is_pinned_by_its_name(places: Places, pins: Path) -> None:
    assert names(pin_named(places, name(100), pins)) == [name(100)]
    assert names(pin_named(places, name(150, 100), pins)) == [name(100), name(150, 100)]
    for text in (name(5), "../x", "x" * 4096):
        assert refused(lambda text=text: pin_named(places, text, pins)) is PinReason.NOTHING_TO_PIN
    (places.full / name(100)).unlink()
    assert refused(lambda: pin_named(places, name(150, 100), pins)) is PinReason.NOTHING_TO_PIN
    assert [pin.slot for pin in list_pins(pins)] == [150, 100]


def test_nothing_is_pinned_over_a_pin(places: Places, pins: Path) -> None:
    made = pin_newest(places, pins)
    assert refused(lambda: pin_newest(places, pins)) is PinReason.ALREADY_PINNED
    assert list_pins(pins) == [made]
    (pins / "100").mkdir()
    assert refused(lambda: pin_named(places, name(100), pins)) is PinReason.ALREADY_PINNED


STEPS = ["mkdir", "link", "open", "fsync", "rename"]


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_leaves_no_pin_or_a_whole_one(
    places: Places, pins: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    pins.mkdir()
    real = getattr(os, step)
    for number in range(12):
        calls = iter(range(1000))

        def crash(*args: object, number: int = number, calls=calls, **named: object) -> object:  # type: ignore[no-untyped-def]
            if next(calls) == number:
                raise Crash
            return real(*args, **named)

        with monkeypatch.context() as patch:
            patch.setattr(pin_files.os, step, crash)
            # What a crash does not do.
            patch.setattr(pin_files, "_clear", lambda *_: None)
            with contextlib.suppress(Crash):
                pin_newest(places, pins)
        for pin in list_pins(pins):
            assert pin.trouble == ""
            assert len(pin.files) == 2
            unpin(pins, pin.slot)
    # The next call tidies up what is left.
    pin_newest(places, pins)
    assert [path.name for path in pins.iterdir()] == ["250"]


def test_a_crash_while_a_pin_is_removed_leaves_none(
    places: Places, pins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin_newest(places, pins)
    with monkeypatch.context() as patch:
        patch.setattr(pin_files, "_clear", lambda *_: None)
        unpin(pins, 250)
    assert list_pins(pins) == []
    assert len(list(pins.iterdir())) == 1
    assert refused(lambda: unpin(pins, 250)) is PinReason.NO_SUCH_PIN
    assert not list(pins.iterdir())


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, PinReason.DISK_FULL),
        (errno.EDQUOT, PinReason.DISK_FULL),
        (errno.EXDEV, PinReason.OTHER_FILESYSTEM),
        (errno.EPERM, PinReason.LINK_REFUSED),
        (errno.EIO, None),
    ],
)
def test_a_failure_leaves_nothing_behind(
    places: Places, pins: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int, reason: PinReason | None
) -> None:
    pins.mkdir()

    def fail(*args: object, **named: object) -> object:
        # Only what makes the pin: folders on the way to it are opened as ever.
        if step == "open" and args[0] != "manifest.json":
            return real(*args, **named)
        raise OSError(number, os.strerror(number))

    real = getattr(os, step)
    with monkeypatch.context() as patch:
        patch.setattr(pin_files.os, step, fail)
        with pytest.raises((PinRefused, OSError)) as refusal:
            pin_newest(places, pins)
    assert getattr(refusal.value, "reason", None) is reason
    assert not list(pins.iterdir())
    # The validator's own are all there, with no link more.
    assert {path.stat().st_nlink for path in places.full.iterdir()} == {1}


def test_a_pin_is_on_the_same_filesystem(places: Places, tmp_path: Path) -> None:
    # Debian mounts one in memory there.
    assert os.stat("/dev/shm").st_dev != tmp_path.stat().st_dev
    pins = Path("/dev/shm") / f"pins-{os.getpid()}"
    try:
        assert refused(lambda: pin_newest(places, pins)) is PinReason.OTHER_FILESYSTEM
        assert not list(pins.iterdir())
    finally:
        pins.rmdir()


def race(monkeypatch: pytest.MonkeyPatch, act: Callable[[int], object]) -> None:
    real, calls = os.link, iter(range(1000))

    def link(*args: str, **named: int) -> None:
        act(next(calls))
        real(*args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(pin_files.os, "link", link)


def test_the_next_newest_is_taken_when_the_validator_is_faster(
    places: Places, pins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    race(monkeypatch, lambda call: call == 0 and (places.full / name(200)).unlink())
    assert names(pin_newest(places, pins)) == [name(100), name(150, 100)]
    assert [path.name for path in pins.iterdir()] == ["150"]


def test_a_file_that_is_replaced_before_its_link_is_listed_anew(
    places: Places, pins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replace(call: int) -> None:
        if call == 0:
            (places.full / "new").write_bytes(b"other")
            (places.full / "new").rename(places.full / name(200))

    race(monkeypatch, replace)
    made = pin_newest(places, pins)
    assert made.files[0].size == 5
    assert list_pins(pins) == [made]


def test_a_link_in_an_archives_place_is_not_pinned(places: Places, pins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def replace(call: int) -> None:
        if call == 0:
            (places.full / name(200)).rename(places.full / "moved")
            (places.full / name(200)).symlink_to("moved")

    race(monkeypatch, replace)
    assert names(pin_newest(places, pins)) == [name(100), name(150, 100)]


def test_the_race_has_an_end(places: Places, pins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def touch(call: int) -> None:
        tried.append(call)
        os.utime(places.full / name(200), ns=(call, call))

    race(monkeypatch, touch)
    assert refused(lambda: pin_newest(places, pins)) is PinReason.BUSY
    assert len(tried) == ATTEMPTS
    assert not list(pins.iterdir())


def test_another_file_than_the_verified_one_is_refused(places: Places, pins: Path) -> None:
    full = places.full / name(200)
    checked = {full.name: Checked(Identity.of(full.stat()), "")}
    full.write_bytes(b"other")
    assert refused(lambda: pin_newest(places, pins, checked=checked)) is PinReason.NOT_AS_CHECKED
    assert not list(pins.iterdir())


def test_one_process_works_at_a_time(places: Places, pins: Path) -> None:
    pins.mkdir()
    handle = os.open(pins, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert refused(lambda: pin_newest(places, pins)) is PinReason.BUSY
        assert refused(lambda: unpin(pins, 5)) is PinReason.BUSY
    finally:
        os.close(handle)


def test_what_is_wrong_with_a_pin_is_told(places: Places, pins: Path) -> None:
    pin_newest(places, pins)
    manifest = pins / "250" / "manifest.json"
    good = manifest.read_text()
    for text in ("", "{}", "x", good.replace("250,", "251,", 1), good.replace('"files"', '"file"')):
        manifest.write_text(text)
        (pin,) = list_pins(pins)
        assert pin.trouble
    manifest.write_text(good)
    (pins / "250" / name(200)).rename(pins / "250" / "x")
    assert "not there" in list_pins(pins)[0].trouble
    (pins / "250" / name(200)).write_bytes(b"x")
    assert "another file" in list_pins(pins)[0].trouble


def test_a_link_on_the_way_is_refused(places: Places, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises((UnsafeFile, OSError)):
        pin_newest(places, tmp_path / "link")
    with pytest.raises(UnsafeFile):
        pin_newest(places, tmp_path / "link" / "pins")
    assert not list((tmp_path / "real").iterdir())
