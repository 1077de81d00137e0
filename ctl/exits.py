"""Exit codes, stable for scripts, and the one way out on failure."""

from typing import NoReturn

import click

OK = 0
FAILED = 1
USAGE = 2
NOT_SIGNED_IN = 3
NOT_ALLOWED = 4
NOT_FOUND = 5
NOT_POSSIBLE = 6
UNREACHABLE = 7
NOT_INTACT = 8
TOO_MANY = 9
INTERRUPTED = 130


class Failure(click.ClickException):
    """A failure with its exit code, what to do next where that is known, and the trace to look it up by."""

    def __init__(self, message: str, code: int, hint: str = "", trace_id: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint
        self.trace_id = trace_id

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """What click leaves the program with."""
        return self.code

    def show(self, file: object = None) -> None:
        """Write the message to standard error."""
        click.secho(f"error: {self.message}", fg="red", err=True)
        if self.hint:
            click.echo(f"next:  {self.hint}", err=True)
        if self.trace_id:
            click.echo(f"trace: {self.trace_id}", err=True)


def fail(message: str, code: int, hint: str = "") -> NoReturn:
    """Leave with a message and an exit code."""
    raise Failure(message, code, hint)
