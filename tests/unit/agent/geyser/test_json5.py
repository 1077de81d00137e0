"""JSON5 as validators read it, and a configuration looked at before a validator is given it."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.geyser import json5
from agent.geyser.plugin_config import PluginConfigError, check_config

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES, st.sampled_from([None, 2]))
def test_all_json_is_json5(value: object, indent: int | None) -> None:
    assert json5.loads(json.dumps(value, indent=indent)) == value
    assert json5.loads(json.dumps(value, indent=indent, ensure_ascii=False)) == value


@given(st.text(alphabet="{}[]:,'\"\\/*\n a1.-+x0eInfNaN_$", max_size=60))
def test_whatever_comes_is_read_or_refused(text: str) -> None:
    try:
        json5.loads(text)
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("// top\n{a: 1, /* in * between */ 'b': \"c\",}", {"a": 1, "b": "c"}),
        ("[1, 2, ]", [1, 2]),
        ("{'it\\'s': 'a \"word\"', $x_1: true}", {"it's": 'a "word"', "$x_1": True}),
        ("[+1, -0x1F, .5, 5., 1e3, 007]", [1, -31, 0.5, 5.0, 1000, 7]),
        ("'a\\\nb\\x41\\u0042\\v'", "abAB\v"),
        ("{url: 'http://x//y', // comment\n}", {"url": "http://x//y"}),
        ("{true: 1, null: 2, Infinity: 3}", {"true": 1, "null": 2, "Infinity": 3}),
        ("[-Infinity]", [float("-inf")]),
    ],
)
def test_what_people_write(text: str, value: object) -> None:
    assert json5.loads(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "{", "{,}", "[,]", "[1,,]", "{a: }", "{a: b}", "'a\nb'", "/* no end", "{a 1}", "1x", "[1 2]", "[" * 100_000],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        json5.loads(text)


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
    config.write_bytes(b" " * (1024 * 1024 + 1))
    with pytest.raises(PluginConfigError, match="over"):
        check_config(config, "yellowstone")
