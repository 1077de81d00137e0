"""validator: the validator beside an agent."""

from typing import Any

import click
from solward.hosts.v1 import link_pb2
from solward.validator.v1 import validator_pb2 as pb

from ctl import names
from ctl.acting import act, acting_options
from ctl.client import Client, run
from ctl.commands.flags import flags
from ctl.output import Form, cell, output_option, print_message, when
from ctl.views.node import node_pairs

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
@acting_options
def restart(context: str | None, /, timeout_s: int, force: bool, wait_minutes: int, **shared: Any) -> None:
    """Restart the validator once its gates pass, and see that it catches up.

    HOST may be left out where the fleet has one.
    """
    fields = {"timeout_seconds": timeout_s, "force": force, "wait_seconds": wait_minutes * 60}
    run(context, act(f"{SERVICE}/Restart", "Restart", pb.RestartRequest, fields, **shared))


@validator.command(short_help="Stop the validator, and see that it stays down.")
@_timeout
@_force
@_wait
@acting_options
def stop(context: str | None, /, timeout_s: int, force: bool, wait_minutes: int, **shared: Any) -> None:
    """Stop the validator once its gates pass, and see that it stays down.

    HOST may be left out where the fleet has one.
    """
    fields = {"timeout_seconds": timeout_s, "force": force, "wait_seconds": wait_minutes * 60}
    run(context, act(f"{SERVICE}/Stop", "Stop", pb.StopRequest, fields, **shared))


@validator.command(short_help="Start the validator, and see that it catches up.")
@_timeout
@_force
@_wait
@acting_options
def start(context: str | None, /, timeout_s: int, force: bool, wait_minutes: int, **shared: Any) -> None:
    """Start the validator once its gates pass, and see that it catches up.

    HOST may be left out where the fleet has one.
    """
    fields = {"timeout_seconds": timeout_s, "force": force, "wait_seconds": wait_minutes * 60}
    run(context, act(f"{SERVICE}/Start", "Start", pb.StartRequest, fields, **shared))


@validator.command(short_help="Turn the validator's voting on or off.")
@click.argument("action", type=click.Choice(["on", "off"]))
@acting_options
def vote(context: str | None, /, action: str, **shared: Any) -> None:
    """Turn the voting of the validator on HOST on or off until its next start, and prove it.

    Off stops votes only: the node goes on to lead its slots.
    """
    run(
        context, act(f"{SERVICE}/SetVoting", f"Turn voting {action}", pb.SetVotingRequest, {"action": action}, **shared)
    )


validator.add_command(flags)
