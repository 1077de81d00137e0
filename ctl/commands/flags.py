"""validator flags: what the validator starts with, how it is changed, and how it is had back."""

from collections.abc import Callable
from typing import Any

import click
from solward.hosts.v1 import link_pb2
from solward.validator.v1 import validator_pb2 as pb

from ctl import exits, names
from ctl.acting import act, acting_options
from ctl.client import Client, run
from ctl.output import Form, cell, console, output_option, print_message, print_messages, when_ms

SERVICE = "solward.validator.v1.ValidatorService"


@click.group(short_help="Show and change what it starts with.")
def flags() -> None:
    """Show, change and roll back the flags that the validator starts with."""


@flags.command(short_help="Show the flags as they stand.")
@click.argument("host", default="")
@output_option
@click.pass_obj
def show(context: str | None, host: str, form: Form) -> None:
    """Show the flags that the validator on HOST starts with, and where they stand."""
    found = run(context, lambda client: _flags(client, host))
    if form != "table":
        print_message(found, form, [])
        return
    version = f"version {found.node_version}" if found.node_version else "of no version that can be told now"
    console.print(f"{cell(found.program)}, {version}, from {cell(found.source)}, etag {found.etag}")
    for argument in found.arguments:
        name = f"--{argument.name} " if argument.name else ""
        note = "  [dim](from a variable: cannot be changed here)[/]" if argument.fixed else ""
        console.print(f"  {cell(name)}{cell(argument.value)}{note}", highlight=False, soft_wrap=True)
    console.print(f"[dim]root lets be changed: {cell(', '.join(found.changeable)) or 'nothing'}[/]", soft_wrap=True)


def change_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say which flags change, and how."""
    for option in reversed(
        (
            click.option("--set", "sets", metavar="NAME=VALUE", multiple=True, help="Give a flag a value."),
            click.option("--on", "switches", metavar="NAME", multiple=True, help="Add a flag that takes no value."),
            click.option("--remove", "removed", metavar="NAME", multiple=True, help="Take a flag away."),
        )
    ):
        command = option(command)
    return command


@flags.command(short_help="Change flags, by a gated restart where one is needed.")
@change_options
@click.option("--etag", default="", help="Refuse if other flags stand than those that this names.")
@click.option("--no-restart", is_flag=True, help="Write only; what cannot be told waits for the next start.")
@click.option("--no-rollback", is_flag=True, help="Do not put the flags back where the node is not up in time.")
@click.option("--wait", "wait_minutes", type=click.IntRange(0, 1440), default=0, help="Minutes to wait for the gates.")
@acting_options
def change(
    context: str | None, /, sets: tuple[str, ...], switches: tuple[str, ...], removed: tuple[str, ...],
    etag: str, no_restart: bool, no_rollback: bool, wait_minutes: int, **shared: Any,
) -> None:  # fmt: skip
    """Change the flags of the validator on HOST.

    What a running validator can be told, it is told at once. For the rest it is restarted once its gates pass; if it is
    not up in time, the flags are put back and it is restarted again.
    """
    fields = {
        "changes": changes_of(sets, switches, removed), "etag": etag, "no_restart": no_restart,
        "no_rollback": no_rollback, "wait_seconds": wait_minutes * 60,
    }  # fmt: skip
    run(context, act(f"{SERVICE}/UpdateFlags", "Change these flags", pb.UpdateFlagsRequest, fields, **shared))


@flags.command(short_help="Go back to an earlier version.")
@click.option("--version", type=click.IntRange(1, 2**32 - 1), required=True, help="As `versions` shows them.")
@click.option("--no-restart", is_flag=True, help="Write only; what cannot be told waits for the next start.")
@click.option("--wait", "wait_minutes", type=click.IntRange(0, 1440), default=0, help="Minutes to wait for the gates.")
@acting_options
def rollback(context: str | None, /, version: int, no_restart: bool, wait_minutes: int, **shared: Any) -> None:
    """Go back to an earlier version of the flags of the validator on HOST."""
    fields = {"to_version": version, "no_restart": no_restart, "wait_seconds": wait_minutes * 60}
    run(
        context, act(f"{SERVICE}/UpdateFlags", f"Go back to version {version}", pb.UpdateFlagsRequest, fields, **shared)
    )


@flags.command(short_help="Show the versions that are kept.")
@click.argument("host", default="")
@output_option
@click.pass_obj
def versions(context: str | None, host: str, form: Form) -> None:
    """Show the versions of the flags of the validator on HOST, the newest first."""
    found = run(context, lambda client: _flags(client, host))
    if form == "table" and not found.versions:
        console.print("no version is kept yet: the first change keeps what stands before it")
        return
    columns = ("VERSION", "UTC", "ETAG", "")
    print_messages(list(found.versions), form, columns, lambda version: _version_row(version, found.etag))


@flags.command(short_help="Show the flags that can be changed at all.")
@output_option
@click.pass_obj
def known(context: str | None, form: Form) -> None:
    """Show the catalogue of flags, with their types and the versions that know them."""

    async def work(client: Client) -> pb.ListKnownFlagsResponse:
        return await client.call(f"{SERVICE}/ListKnownFlags", pb.ListKnownFlagsRequest(), pb.ListKnownFlagsResponse)

    found = list(run(context, work).flags)
    print_messages(found, form, ("FLAG", "VALUE", "SINCE", "GONE IN", "NOTE"), _known_row)


async def _flags(client: Client, host: str) -> link_pb2.FlagsReport:
    request = pb.GetFlagsRequest(host=names.host(host))
    return await client.call(f"{SERVICE}/GetFlags", request, link_pb2.FlagsReport)


def changes_of(sets: tuple[str, ...], switches: tuple[str, ...], removed: tuple[str, ...]) -> list[link_pb2.FlagChange]:
    """Make the changes of what was typed."""
    changes: dict[str, link_pb2.FlagChange] = {}
    for text in sets:
        name, equals, value = text.removeprefix("--").partition("=")
        if not equals or not name:
            exits.fail(f"{text!r} is not NAME=VALUE", exits.USAGE, "as in --set rpc-threads=8")
        changes.setdefault(name, link_pb2.FlagChange(name=name)).values.append(value)
    for text, remove in [*((each, False) for each in switches), *((each, True) for each in removed)]:
        name = text.removeprefix("--")
        if name in changes:
            exits.fail(f"--{name} is changed twice", exits.USAGE, "give it once")
        changes[name] = link_pb2.FlagChange(name=name, remove=remove)
    if not changes:
        exits.fail("nothing is to be changed", exits.USAGE, "give --set, --on or --remove")
    return list(changes.values())


def _version_row(version: link_pb2.FlagsVersion, current: str) -> list[str]:
    return [
        str(version.version),
        when_ms(version.unix_ms),
        cell(version.etag),
        "stands now" if version.etag == current else "",
    ]


def _known_row(flag: pb.KnownFlag) -> list[str]:
    kind = " | ".join(flag.choices) if flag.choices else "" if flag.kind == "switch" else flag.kind
    notes = ["many" if flag.many else "", "at run time" if flag.at_run_time else "", "guarded" if flag.guarded else ""]
    return [f"--{cell(flag.name)}", cell(kind), cell(flag.since), cell(flag.until), ", ".join(filter(None, notes))]
