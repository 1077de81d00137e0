"""validator: the validator beside an agent."""

import uuid
from collections.abc import Callable
from typing import Any

import click
from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2
from solward.validator.v1 import validator_pb2 as pb

from ctl import names
from ctl.client import Client, run
from ctl.commands.operations import finish, watch_operation
from ctl.output import Form, as_data, cell, console, notes, output_option, print_data, print_message, when
from ctl.prompts import confirm
from ctl.views.node import node_pairs
from ctl.views.operation import operation_view

SERVICE = "solward.validator.v1.ValidatorService"
Request = type[pb.RestartRequest] | type[pb.StartRequest] | type[pb.StopRequest] | type[pb.SetVotingRequest]
WAIT_LIMIT = 1440


@click.group()
def validator() -> None:
    """Start, stop and restart validators, and turn their voting on and off."""


@validator.command(short_help="Show the validator's unit.")
@click.argument("host", default="")
@output_option
@click.pass_obj
def status(context: str | None, host: str, form: Form) -> None:
    """Show the validator's unit on HOST (may be left out where the fleet has one)."""
    name = names.host(host)

    async def work(client: Client) -> pb.ValidatorStatus:
        request = pb.GetStatusRequest(host=name)
        return await client.call(f"{SERVICE}/GetStatus", request, pb.ValidatorStatus)

    found = run(context, work)
    unit = found.unit
    pairs = [
        ("host", cell(found.host)),
        ("unit", cell(unit.unit)),
        ("state", f"{cell(unit.active_state)}/{cell(unit.sub_state)}"),
        ("pid", str(unit.main_pid)),
        ("invocation", cell(unit.invocation_id)),
        ("restarts by systemd", str(unit.restarts)),
        ("last exit", f"{unit.exit_status} ({cell(unit.result)})"),
        ("seen (UTC)", when(found.observe_time) + ("" if found.connected else "  [red]agent not connected[/]")),
    ]
    print_message(found, form, pairs)


@validator.command(short_help="Look at the validator itself.")
@click.argument("host", default="")
@output_option
@click.pass_obj
def node(context: str | None, host: str, form: Form) -> None:
    """Have the agent look at the validator on HOST now: health, leader slots, snapshots, disks, tower."""
    name = names.host(host)

    async def work(client: Client) -> link_pb2.NodeReport:
        return await client.call(f"{SERVICE}/GetNode", pb.GetNodeRequest(host=name), link_pb2.NodeReport)

    found = run(context, work)
    print_message(found, form, node_pairs(found))


def _common(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of everything that changes a validator."""
    for option in reversed(
        (
            click.argument("host", default=""),
            click.option("--plan", "plan_only", is_flag=True, help="Only show what would be done."),
            click.option("--yes", is_flag=True, help="Do not ask before doing it."),
            click.option("--detach", is_flag=True, help="Do not wait for the end."),
            click.option("--reason", default="", help="Why, for the audit log."),
            output_option,
            click.pass_obj,
        )
    ):
        command = option(command)
    return command


_timeout = click.option(
    "--timeout",
    "timeout_s",
    type=click.IntRange(1, 3600),
    default=300,
    show_default=True,
    help="Seconds that the unit may take.",
)
_force = click.option("--force", is_flag=True, help="Go on although gates do not pass; another person must approve it.")
_wait = click.option(
    "--wait",
    "wait_minutes",
    type=click.IntRange(0, WAIT_LIMIT),
    default=0,
    help="Minutes to wait for the gates to pass; 0: they must pass now.",
)


@validator.command(short_help="Restart the validator, and see that it catches up.")
@_timeout
@_force
@_wait
@_common
def restart(context: str | None, /, timeout_s: int, force: bool, wait_minutes: int, **shared: Any) -> None:
    """Restart the validator once its gates pass, and see that it catches up.

    HOST may be left out where the fleet has one.
    """
    fields = {"timeout_seconds": timeout_s, "force": force, "wait_seconds": wait_minutes * 60}
    run(context, _act("Restart", pb.RestartRequest, fields, **shared))


@validator.command(short_help="Stop the validator, and see that it stays down.")
@_timeout
@_force
@_wait
@_common
def stop(context: str | None, /, timeout_s: int, force: bool, wait_minutes: int, **shared: Any) -> None:
    """Stop the validator once its gates pass, and see that it stays down.

    HOST may be left out where the fleet has one.
    """
    fields = {"timeout_seconds": timeout_s, "force": force, "wait_seconds": wait_minutes * 60}
    run(context, _act("Stop", pb.StopRequest, fields, **shared))


@validator.command(short_help="Start the validator, and see that it catches up.")
@_timeout
@_common
def start(context: str | None, /, timeout_s: int, **shared: Any) -> None:
    """Start the validator, and see that it catches up. HOST may be left out where the fleet has one."""
    run(context, _act("Start", pb.StartRequest, {"timeout_seconds": timeout_s}, **shared))


@validator.command(short_help="Turn the validator's voting on or off.")
@click.argument("action", type=click.Choice(["on", "off"]))
@_common
def vote(context: str | None, /, action: str, **shared: Any) -> None:
    """Turn the voting of the validator on HOST on or off until its next start, and prove it.

    Off stops votes only: the node goes on to lead its slots.
    """
    run(context, _act("SetVoting", pb.SetVotingRequest, {"action": action}, **shared))


def _act(
    method: str,
    request_type: Request,
    fields: dict[str, Any],
    *,
    host: str,
    plan_only: bool,
    yes: bool,
    detach: bool,
    reason: str,
    form: Form,
) -> Callable[[Client], Any]:
    wanted = {"host": names.host(host), "reason": reason} | fields

    async def work(client: Client) -> None:
        request = request_type(validate_only=True, **wanted)
        plan = await client.call(f"{SERVICE}/{method}", request, operations_pb2.Operation)
        done = _is_done(plan)
        _show(plan, form, whole=plan_only or done, quiet=yes)
        if done:
            click.echo("nothing to do", err=True)
        if plan_only or done:
            return
        if not yes:
            confirm(f"{_question(method, fields)} now?")
        # The plan that was shown is the plan that is carried out, and once, however often this is sent.
        request = request_type(plan_hash=plan.plan_hash, request_id=str(uuid.uuid4()), **wanted)
        operation = await client.call(f"{SERVICE}/{method}", request, operations_pb2.Operation)
        if operation.state == operations_pb2.OPERATION_STATE_AWAITING_APPROVAL:
            click.echo(f"another person must approve it: ctl operations approve {operation.name}", err=True)
        if not detach:
            finish(await watch_operation(client, operation.name, form), form)
        elif form == "table":
            click.echo(operation.name)
        else:
            print_data(as_data(operation), form)

    return work


def _show(plan: operations_pb2.Operation, form: Form, *, whole: bool, quiet: bool) -> None:
    """Show a plan: to a program only where the plan is all that it gets."""
    if form == "table":
        console.print(operation_view(plan))
    elif whole:
        print_data(as_data(plan), form)
    elif not quiet:
        notes.print(operation_view(plan))


def _question(method: str, fields: dict[str, Any]) -> str:
    return f"Turn voting {fields['action']}" if method == "SetVoting" else method


def _is_done(plan: operations_pb2.Operation) -> bool:
    return any("already" in step.title.split() for step in plan.steps)
