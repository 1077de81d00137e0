"""A plugin's configuration is looked at before a validator is given it."""

import json
from pathlib import Path

import pytest

from agent.geyser.plugin_config import PluginConfigError, check_config


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
