"""Acting on a host: the plan is shown first, asked about, and carried out as it was shown."""

import uuid
from collections.abc import Callable
from typing import Any

import click
from google.protobuf.message import Message
from solward.operations.v1 import operations_pb2

from ctl import exits, names
from ctl.client import Client
from ctl.commands.operations import finish, watch_operation
from ctl.output import Form, as_data, console, notes, output_option, print_data
from ctl.prompts import confirm
from ctl.views.operation import operation_view


def acting_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of everything that changes one validator."""
    return click.argument("host", default="")(shared_options(command))


def shared_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of everything that is planned, asked about and done."""
    for option in reversed(
        (
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


def act(
    method: str,
    question: str,
    request_type: type[Message],
    fields: dict[str, Any],
    *,
    host: str,
    **shared: Any,
) -> Callable[[Client], Any]:
    """Make the work of a command on one host; as `act_on_many`."""
    return act_on_many(method, question, request_type, {"host": names.host(host)} | fields, **shared)


def act_on_many(
    method: str,
    question: str,
    request_type: type[Message],
    fields: dict[str, Any],
    *,
    plan_only: bool,
    yes: bool,
    detach: bool,
    reason: str,
    form: Form,
) -> Callable[[Client], Any]:
    """Make the work of a command that is planned, asked about and done.

    Args:
        method: the full name of the RPC.
        question: what is asked about before it is done, "... now?".
        request_type: the RPC's request.
        fields: its fields beside the common ones, which `shared_options` give.
    """

    async def work(client: Client) -> None:
        wanted = {"reason": reason} | fields
        request = request_type(validate_only=True, **wanted)
        plan = await client.call(method, request, operations_pb2.Operation)
        done = _is_done(plan)
        _show(plan, form, whole=plan_only or done, quiet=yes)
        if done:
            click.echo("nothing to do", err=True)
        if plan_only or done:
            return
        _refuse_unready(plan)
        if not yes:
            confirm(f"{question} now?")
        # The plan that was shown is the plan that is carried out, and once, however often this is sent.
        request = request_type(plan_hash=plan.plan_hash, request_id=str(uuid.uuid4()), **wanted)
        operation = await client.call(method, request, operations_pb2.Operation)
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


def _refuse_unready(plan: operations_pb2.Operation) -> None:
    """Leave before a code is asked for where the server would refuse the plan."""
    refused = [f"{names.short(target.host)}: {target.message}" for target in plan.targets if target.message]
    if refused:
        exits.fail(
            f"{len(refused)} of {len(plan.targets)} hosts cannot be acted on: {'; '.join(refused[:5])}",
            exits.NOT_POSSIBLE,
        )


def _is_done(plan: operations_pb2.Operation) -> bool:
    return any("already" in step.title.split() for step in plan.steps)
