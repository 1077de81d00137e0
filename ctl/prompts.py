"""Questions to the operator; Ctrl-C ends them at once, and nothing was done."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import click

from ctl import exits

Answer = TypeVar("Answer")


def ask(question: str, *, hide: bool = False) -> str:
    """Ask the operator; reads a line of standard input where there is no terminal."""
    if sys.stdin.isatty():
        return str(_answer(lambda: click.prompt(question, hide_input=hide, err=True))).strip()
    line: str = _answer(sys.stdin.readline)
    if not line:
        exits.fail(f"{question}: nothing on standard input", exits.USAGE, "run it in a terminal, or pipe the answer in")
    return line.strip()


def confirm(question: str) -> None:
    """Go on only if the operator says yes."""
    if sys.stdin.isatty():
        agreed = _answer(lambda: click.confirm(question, err=True))
    else:
        line: str = _answer(sys.stdin.readline)
        if not line:
            exits.fail(f"{question} nothing on standard input, nothing was done", exits.USAGE, "give --yes")
        agreed = line.strip().lower() in ("y", "yes")
    if not agreed:
        exits.fail("nothing was done", exits.FAILED)


def _answer(question: Callable[[], Answer]) -> Answer:
    try:
        with _interruptible():
            return question()
    except (click.Abort, KeyboardInterrupt):
        click.echo(err=True)
        exits.fail("nothing was done", exits.INTERRUPTED)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C raise here: the event loop's own handler only asks its task to end, which a question never sees."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
