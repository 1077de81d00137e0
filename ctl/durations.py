"""Lengths of time on the command line: 30m, 4h, 2d."""

import re

import click

_PATTERN = re.compile(r"(\d{1,6})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Duration(click.ParamType[int]):
    """A length of time; gives whole seconds."""

    name = "time"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it; a usage error says what would be right."""
        if isinstance(value, int):
            return value
        match = _PATTERN.fullmatch(value)
        if match is None:
            self.fail(f"{value!r} is not a time; one is such as 30m, 4h or 2d", param, ctx)
        return int(match[1]) * _SECONDS[match[2]]


DURATION = Duration()
