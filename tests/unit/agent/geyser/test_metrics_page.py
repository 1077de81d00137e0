"""Pages of metrics: what Prometheus' own reader makes of them, and nothing for what is none."""

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from agent.geyser.metrics_page import PageError, Sample, parse


class Everything:
    """Any name."""

    def __contains__(self, name: object) -> bool:
        return True


NAMES = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,20}", fullmatch=True)
# Names that begin with two underscores are Prometheus' own.
KEYS = st.from_regex(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]{0,10}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=20)
VALUES = st.floats(allow_nan=False) | st.integers(-(10**12), 10**12).map(float)


def written(sample: Sample, spaces: str) -> str:
    def escaped(text: str) -> str:
        return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")

    labels = ",".join(f'{key}{spaces}={spaces}"{escaped(value)}"' for key, value in sample.labels.items())
    value = "+Inf" if sample.value == math.inf else "-Inf" if sample.value == -math.inf else repr(sample.value)
    return f"{sample.name}{{{labels}}}{spaces} {value}"


@given(st.lists(st.builds(Sample, NAMES, st.dictionaries(KEYS, TEXTS, max_size=4), VALUES)), st.sampled_from(["", " "]))
def test_what_is_written_is_read(samples: list[Sample], spaces: str) -> None:
    page = "# HELP x y\n\n" + "".join(f"{written(one, spaces)}\n" for one in samples)
    assert list(parse(page.encode(), Everything())) == samples


@given(st.lists(st.builds(Sample, NAMES, st.dictionaries(KEYS, TEXTS, max_size=4), VALUES), max_size=5))
def test_prometheus_reads_the_same(samples: list[Sample]) -> None:
    page = "".join(f"{written(one, '')}\n" for one in samples)
    theirs = [
        (one.name, one.labels, one.value)
        for family in text_string_to_metric_families(page)
        for one in family.samples
    ]  # fmt: skip
    assert [tuple(one) for one in parse(page.encode(), Everything())] == theirs


@given(st.binary(max_size=300) | st.text(alphabet='ab{}=",\\ \n#1.+-e', max_size=80).map(str.encode))
def test_whatever_comes_is_samples_or_no_page(body: bytes) -> None:
    try:
        samples = list(parse(body, Everything()))
    except PageError as error:
        assert str(error)
    else:
        assert len(samples) <= body.count(b"\n") + 1


@pytest.mark.parametrize(
    "line",
    ["name", "1name 2", "name 1x", "name{a} 1", 'name{a="b} 1', 'name{a="b"}1 2 3', 'name{a="\\q"} 1', "name nan",
     "name Infinity", "name 0x10", "name 1_000", 'name{a="b"c="d"} 1', "name{,} 1", "name 1 2.5", "namé 1"],
)  # fmt: skip
def test_a_line_that_is_no_sample_spoils_the_page(line: str) -> None:
    with pytest.raises(PageError, match="line 2"):
        list(parse(f"good 1\n{line}\n".encode(), frozenset()))


def test_forms_that_are_allowed() -> None:
    page = b'a 1 1700000000000\nb{} 2\nc{x="y",} 3\n  d\t{ x = "y" }\t-4e3  \r\n'
    assert [one.value for one in parse(page, Everything())] == [1, 2, 3, -4000]


def test_lines_that_are_made_to_take_long_do_not() -> None:
    begun = time.perf_counter()
    for line in ("a{" + " " * 16_000, "a{" + 'b="c",' * 2_600 + "!", "a " + " " * 16_000 + "x y", "a" * 100_000):
        with pytest.raises(PageError):
            list(parse(line.encode(), Everything()))
    assert time.perf_counter() - begun < 0.5
