"""operations: what was asked and how far it has come."""

import click
from rich.live import Live
from solward.operations.v1 import operations_pb2 as pb

from ctl import exits, names
from ctl.client import Client, run
from ctl.output import (
    Form,
    as_data,
    cell,
    console,
    found_nothing,
    notes,
    output_option,
    print_data,
    print_messages,
    when,
)
from ctl.prompts import confirm
from ctl.views.operation import as_planned, difference, operation_view, state_style, state_word

Steered = type[pb.PauseOperationRequest] | type[pb.ResumeOperationRequest] | type[pb.AbortOperationRequest]
SERVICE = "solward.operations.v1.OperationsService"


@click.group()
def operations() -> None:
    """What was asked and how far it has come; pause, resume, abort and retry it."""


@operations.command("list")
@click.option("--host", default="", help="Only operations on this host.")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many, the newest first."
)
@output_option
@click.pass_obj
def list_(context: str | None, host: str, limit: int, form: Form) -> None:
    """List operations, the newest first."""
    name = names.host(host)

    async def work(client: Client) -> list[pb.Operation]:
        return await _latest(client, limit, name)

    found = run(context, work)
    print_messages(found, form, ("OPERATION", "KIND", "HOST", "STATE", "BY", "ASKED UTC"), _row)
    found_nothing(not found and bool(host), "ctl hosts list shows every host")


async def _latest(client: Client, limit: int, host: str = "") -> list[pb.Operation]:
    request = pb.ListOperationsRequest(page_size=limit, host=host)
    page = await client.call(f"{SERVICE}/ListOperations", request, pb.ListOperationsResponse)
    return list(page.operations)


@operations.command()
@click.argument("operation")
@output_option
@click.pass_obj
def show(context: str | None, operation: str, form: Form) -> None:
    """Show one operation with its steps and receipts."""
    names.operation(operation)

    async def work(client: Client) -> pb.Operation:
        request = pb.GetOperationRequest(name=await find_name(client, operation))
        return await client.call(f"{SERVICE}/GetOperation", request, pb.Operation)

    _print(run(context, work), form)


@operations.command(short_help="Follow one operation to its end.")
@click.argument("operation")
@output_option
@click.pass_obj
def watch(context: str | None, operation: str, form: Form) -> None:
    """Follow one operation to its end; the exit code is 0 only if it succeeded."""
    names.operation(operation)

    async def work(client: Client) -> pb.Operation:
        return await watch_operation(client, await find_name(client, operation), form)

    finish(run(context, work), form)


@operations.command(short_help="Approve what another person asked for.")
@click.argument("operation")
@click.option("--yes", is_flag=True, help="Do not ask before approving.")
@output_option
@click.pass_obj
def approve(context: str | None, operation: str, yes: bool, form: Form) -> None:
    """Approve an operation that another person asked for, as it is shown, with a code of your own."""
    names.operation(operation)

    async def work(client: Client) -> pb.Operation:
        asked = pb.GetOperationRequest(name=await find_name(client, operation))
        shown = await client.call(f"{SERVICE}/GetOperation", asked, pb.Operation)
        if not yes:
            notes.print(operation_view(shown))
            confirm("Approve it?")
        request = pb.ApproveOperationRequest(name=shown.name, plan_hash=shown.plan_hash)
        return await client.call(f"{SERVICE}/ApproveOperation", request, pb.Operation)

    _print(run(context, work), form)


def _steering(name: str, summary: str, request_type: Steered, *, done: str) -> None:
    """Add a command that steers an operation."""

    @operations.command(name, short_help=summary, help=f"{summary}\n\n{done}")
    @click.argument("operation")
    @click.option("--reason", default="", help="Why, for the audit log.")
    @output_option
    @click.pass_obj
    def steer(context: str | None, operation: str, reason: str, form: Form) -> None:
        names.operation(operation)

        async def work(client: Client) -> pb.Operation:
            request = request_type(name=await find_name(client, operation), reason=reason)
            return await client.call(f"{SERVICE}/{name.capitalize()}Operation", request, pb.Operation)

        _print(run(context, work), form)


_steering(
    "pause", "Begin nothing more for now.", pb.PauseOperationRequest, done="Hosts at work come to their end first."
)
_steering(
    "resume", "Go on with a paused operation.", pb.ResumeOperationRequest,
    done="Hosts that did not pass stay as they are; ctl operations retry tries them again.",
)  # fmt: skip
_steering(
    "abort", "End an operation.", pb.AbortOperationRequest,
    done="What has begun on a host is seen to its end, and nothing else begins; jobs and soaks are cut short.",
)  # fmt: skip


@operations.command(name="retry", short_help="Take an operation up again at what did not pass.")
@click.argument("operation")
@click.option("--host", default="", help="Of an operation on many hosts: this one alone.")
@click.option("--reason", default="", help="Why, for the audit log.")
@click.option("--detach", is_flag=True, help="Do not wait for the end.")
@output_option
@click.pass_obj
def retry(context: str | None, operation: str, host: str, reason: str, detach: bool, form: Form) -> None:
    """Take OPERATION up again at the step, or at every host, that did not pass."""
    names.operation(operation)
    on = names.host(host)

    async def work(client: Client) -> pb.Operation:
        request = pb.RetryOperationRequest(name=await find_name(client, operation), host=on, reason=reason)
        begun = await client.call(f"{SERVICE}/RetryOperation", request, pb.Operation)
        return begun if detach else await watch_operation(client, begun.name, form)

    found = run(context, work)
    if detach:
        _print(found, form)
    else:
        finish(found, form)


@operations.command(name="plan", short_help="Show what an operation was to do.")
@click.argument("operation")
@click.option("--diff", is_flag=True, help="Only what it changes, on each host.")
@output_option
@click.pass_obj
def plan_(context: str | None, operation: str, diff: bool, form: Form) -> None:
    """Show the plan of OPERATION as it was approved or asked for, without how far it has come."""
    names.operation(operation)

    async def work(client: Client) -> pb.Operation:
        request = pb.GetOperationRequest(name=await find_name(client, operation))
        return await client.call(f"{SERVICE}/GetOperation", request, pb.Operation)

    found = as_planned(run(context, work))
    if form == "table" and diff:
        for line in difference(found):
            console.print(line, highlight=False, soft_wrap=True)
    else:
        _print(found, form)


def _print(operation: pb.Operation, form: Form) -> None:
    if form == "table":
        console.print(operation_view(operation))
    else:
        print_data(as_data(operation), form)


async def watch_operation(client: Client, name: str, form: Form) -> pb.Operation:
    """Follow an operation to its end, drawing it as it goes where a person looks on."""
    request = pb.WatchOperationRequest(name=name)
    latest = pb.Operation()
    changes = client.watch(f"{SERVICE}/WatchOperation", request, pb.Operation)
    if form != "table":
        async for change in changes:
            latest = change
        return latest
    with Live(console=console, transient=True, refresh_per_second=10) as view:
        async for latest in changes:
            view.update(operation_view(latest, brief=True))
    return latest


def finish(operation: pb.Operation, form: Form) -> None:
    """Print an operation that has ended or waits for a person; leave with FAILED unless it succeeded."""
    if form == "table":
        console.print(operation_view(operation))
    else:
        print_data(as_data(operation), form)
    if operation.state != pb.OPERATION_STATE_SUCCEEDED:
        exits.fail(f"{operation.name} {state_word(operation)}", exits.FAILED)


async def find_name(client: Client, operation: str) -> str:
    """Give the name of the one operation that is meant by its id, or the first characters of it."""
    whole = names.operation(operation)
    return whole or names.operation(operation, [known.name for known in await _latest(client, 100)])


def _row(operation: pb.Operation) -> list[str]:
    return [
        cell(names.short(operation.name)),
        cell(operation.kind),
        cell(operation.host.removeprefix("hosts/") or f"{len(operation.targets)} hosts"),
        f"[{state_style(operation)}]{state_word(operation)}[/]",
        cell(operation.requester),
        when(operation.create_time),
    ]
