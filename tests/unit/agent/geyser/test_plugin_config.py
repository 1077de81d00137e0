"""A plugin's configuration is looked at before a validator is given it."""

import json
import os
from pathlib import Path

import pytest

from agent.geyser.plugin_config import PluginConfigError, check_config, check_owners


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "lib.so").write_bytes(b"\x7fELF")
    path = tmp_path / "yellowstone.json"
    path.write_text("{libpath: 'lib.so', // beside it\n grpc: {},}")
    return path


def test_a_good_one_passes(config: Path) -> None:
    check_config(config, "yellowstone")
    config.write_text(json.dumps({"libpath": str(config.parent / "lib.so"), "name": "mine"}))
    check_config(config, "mine")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{libpath: lib.so}", "not JSON5"),
        ("[" * 50_000, "not JSON5"),
        ("[]", "must hold an object"),
        ("{}", "libpath"),
        ("{libpath: 7}", "libpath"),
        ("{libpath: 'gone.so'}", "gone.so' is no file"),
        ("{libpath: 'lib.so\\0'}", "libpath"),
        ("{libpath: '.'}", "no file"),
        (f"{{libpath: '{'x' * 5000}'}}", "no file"),
        ("{libpath: 'lib.so', name: 'another'}", "'another'"),
        ("{libpath: 'lib.so', name: 7}", "'7'"),
    ],
)
def test_a_bad_one_says_what_is_wrong(config: Path, text: str, words: str) -> None:
    config.write_text(text)
    with pytest.raises(PluginConfigError, match=words):
        check_config(config, "yellowstone")


def test_what_is_no_readable_file_is_refused(config: Path, tmp_path: Path) -> None:
    for path, words in ((tmp_path / "gone.json", "cannot be opened"), (tmp_path, "must be a file")):
        with pytest.raises(PluginConfigError, match=words):
            check_config(path, "yellowstone")
    config.write_bytes(b"\xff")
    with pytest.raises(PluginConfigError, match="UTF-8"):
        check_config(config, "yellowstone")
    config.write_bytes(b" " * (64 * 1024 + 1))
    with pytest.raises(PluginConfigError, match="over"):
        check_config(config, "yellowstone")


def test_root_and_the_validators_user_alone_can_change_what_is_loaded(config: Path, tmp_path: Path) -> None:
    check_owners(config)
    library, link = config.parent / "lib.so", tmp_path / "links"
    for path in (config, library, config.parent):
        mode = path.stat().st_mode
        for wrong in (0o020, 0o002):
            path.chmod(mode | wrong)
            with pytest.raises(PluginConfigError, match=f"chmod (go|o)-w {path}"):
                check_owners(config)
        path.chmod(mode)
    # Also where a link leads, and where it lies.
    link.mkdir()
    (link / "lib.so").symlink_to(library)
    config.write_text(json.dumps({"libpath": str(link / "lib.so")}))
    check_owners(config)
    for path in (library, link):
        path.chmod(path.stat().st_mode | 0o020)
        with pytest.raises(PluginConfigError, match="writable by its owner alone"):
            check_owners(config)
        path.chmod(path.stat().st_mode & ~0o020)
    (link / "lib.so").unlink()
    with pytest.raises(PluginConfigError, match="cannot be seen"):
        check_owners(config)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_belongs_to_somebody_else_is_not_loaded(config: Path) -> None:
    for path in (config, config.parent / "lib.so", config.parent):
        os.chown(path, 12345, 0)
        with pytest.raises(PluginConfigError, match=f"{path} must belong to root"):
            check_owners(config)
        os.chown(path, 0, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_nobody_elses_link_is_followed(config: Path, tmp_path: Path) -> None:
    # In a sticky folder everybody may have a link of his own, and point it elsewhere later.
    (shared := tmp_path / "shared").mkdir()
    shared.chmod(0o1777)
    (link := shared / "lib.so").symlink_to(config.parent / "lib.so")
    os.chown(link, 12345, 12345, follow_symlinks=False)
    config.write_text(json.dumps({"libpath": str(link)}))
    with pytest.raises(PluginConfigError, match=f"{link} must belong to root"):
        check_owners(config)
    # Nor is one of root's that leads through a folder of somebody else's.
    (theirs := tmp_path / "theirs").mkdir()
    (theirs / "here").symlink_to(config.parent)
    os.chown(theirs, 12345, 12345)
    (mine := tmp_path / "mine.so").symlink_to("theirs/here/lib.so")
    config.write_text(json.dumps({"libpath": str(mine)}))
    with pytest.raises(PluginConfigError, match=f"{theirs} must belong to root"):
        check_owners(config)
    os.chown(theirs, 0, 0)
    check_owners(config)
    (round_ := tmp_path / "round").symlink_to("round")
    config.write_text(json.dumps({"libpath": str(round_)}))
    with pytest.raises(PluginConfigError, match="links"):
        check_owners(config)
