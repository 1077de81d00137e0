"""Output: tables for people, JSON and YAML for programs; nothing from a server can move the cursor."""

import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import click
import yaml
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.markup import escape
from rich.table import Table

Form = Literal["table", "json", "yaml"]

# C0 and C1 controls, surrogates, and marks that have no width, end lines or change the direction of text.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)

# For what a person must see while the output goes to a program.
notes = Console(highlight=False, stderr=True)
# A pipe has no width: rows must not be broken for programs that read them.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)

output_option: Callable[[Any], Any] = click.option(
    "-o", "--output", "form", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True,
    help="How to print.",
)  # fmt: skip


def safe(text: str) -> str:
    """Make text of a server harmless on a terminal."""
    return _UNSAFE.sub("�", text)


def when(stamp: Timestamp, zone: str = "") -> str:
    """Show a time in UTC, or a dash for none.

    Args:
        stamp: the time.
        zone: what follows it, where no heading says that it is UTC.
    """
    return f"{stamp.ToDatetime():%Y-%m-%d %H:%M:%S}{zone}" if stamp.seconds else "-"


def when_ms(unix_ms: int) -> str:
    """Show a time given in milliseconds since the epoch, in UTC."""
    stamp = Timestamp()
    stamp.FromMilliseconds(unix_ms)
    return when(stamp)


def print_line(data: Any, form: Form) -> None:
    """Print one of a sequence of data: a line of JSON, or a document of YAML."""
    if form == "json":
        click.echo(_UNSAFE.sub(_escape, json.dumps(data, ensure_ascii=False)))
        return
    click.echo("---")
    print_data(data, form)


def found_nothing(filtered: bool, what: str) -> None:
    """Say that a filter left nothing over, where it did."""
    if filtered:
        click.echo(f"nothing found: {what}", err=True)


def print_data(data: Any, form: Form) -> None:
    """Print plain data as JSON or YAML."""
    if form == "json":
        click.echo(_UNSAFE.sub(_escape, json.dumps(data, indent=2, ensure_ascii=False)))
        return
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    if _UNSAFE.search(text.replace("\n", "")):
        text = yaml.safe_dump(data, sort_keys=False, allow_unicode=False)
    click.echo(text.rstrip("\n"))


def _escape(match: re.Match[str]) -> str:
    # The line ends are JSON's own; those inside a string are escaped already.
    return match.group() if match.group() == "\n" else json.dumps(match.group())[1:-1]


def print_messages(
    messages: Sequence[Message], form: Form, columns: Sequence[str], row: Callable[[Any], Sequence[str]]
) -> None:
    """Print a list of messages.

    Args:
        messages: what to print.
        form: "table", "json" or "yaml".
        columns: headings of the table.
        row: the cells of one message, which may hold markup made by `mark`.
    """
    if form != "table":
        print_data([as_data(message) for message in messages], form)
        return
    console.print(table_of(messages, columns, row))


def table_of(messages: Iterable[Any], columns: Sequence[str], row: Callable[[Any], Sequence[str]]) -> Table:
    """Draw a list of messages; arguments as those of `print_messages`."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    for message in messages:
        table.add_row(*row(message))
    return table


def print_message(message: Message, form: Form, pairs: Sequence[tuple[str, str]]) -> None:
    """Print one message: as name and value pairs, or whole for a program."""
    if form != "table":
        print_data(as_data(message), form)
        return
    print_pairs(pairs)


def print_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Print names and their values."""
    console.print(pairs_of(pairs))


def pairs_of(pairs: Sequence[tuple[str, str]]) -> Table:
    """Draw names and their values."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(name, value)
    return table


def as_data(message: Message) -> Any:
    """Turn a message into plain data, with every field that has no presence of its own."""
    return MessageToDict(message, always_print_fields_with_no_presence=True)


def size(count: int) -> str:
    """Write a number of bytes for people."""
    value, unit = float(count), "B"
    for larger in ("KB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def cell(text: str) -> str:
    """Make text of a server a table cell: harmless, and without markup of its own."""
    return escape(safe(text))
