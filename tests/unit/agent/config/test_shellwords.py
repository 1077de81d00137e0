"""Words of a shell command, against shlex and against a real shell."""

import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.shellwords import NotSimple, words

plain = st.text(st.characters(codec="ascii", exclude_characters="\0\n\r"), max_size=12)


@given(st.lists(plain, max_size=6))
def test_what_shlex_quotes_is_read(said: list[str]) -> None:
    found = words(" ".join(map(shlex.quote, said)))
    assert [word.value for word in found] == said
    assert not any(word.fixed for word in found)


@given(st.text(st.sampled_from("ab \\'\"$x{}~*#;&\n-=/"), max_size=20))
def test_what_is_taken_means_the_same_to_a_shell(text: str) -> None:
    try:
        found = words(text)
    except NotSimple:
        return
    if any(word.fixed for word in found) or not found:
        return
    command = f"for each in {text}\ndo printf '%s\\0' \"$each\"; done"
    told = subprocess.run(["/bin/sh", "-c", command], capture_output=True, check=True, env={}).stdout
    assert told.decode().split("\0")[:-1] == [word.value for word in found]


@given(st.text(st.sampled_from("ab \\'\"$x\n"), max_size=20))
def test_the_words_as_they_stand_are_the_text(text: str) -> None:
    try:
        found = words(text)
    except NotSimple:
        return
    rest = text
    for word in found:
        before, raw, rest = rest.partition(word.raw)
        assert raw
        assert not before.replace("\\\n", "").strip(" \t\n")


@pytest.mark.parametrize(
    "text",
    [
        "a; b",
        "a | b",
        "a && b",
        "a > f",
        "a $(id)",
        "a `id`",
        'a "$(id)"',
        'a "`id`"',
        "a 'x",
        'a "x',
        "a # b",
        "(a)",
        "a\\",
    ],
)
def test_more_than_a_simple_command_is_refused(text: str) -> None:
    with pytest.raises(NotSimple):
        words(text)


@pytest.mark.parametrize("text", ["$LOG", "${LOG}", '"$LOG"', "~/x", "a*", "a[b]", "{a,b}"])
def test_what_a_shell_would_put_in_is_fixed(text: str) -> None:
    assert [word.fixed for word in words(f"{text} --x")] == [True, False]
