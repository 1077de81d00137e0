"""Slots on the command line."""

from typing import Any

import click


class SlotType(click.ParamType[int]):
    """A slot's number."""

    name = "slot"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read a slot; refuses what is none."""
        if not (str(value).isascii() and str(value).isdecimal() and int(value) < 2**64):
            self.fail(f"{value!r} is no slot", param, ctx)
        return int(value)


SLOT = SlotType()
