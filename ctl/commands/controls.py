"""controls: what is done to many hosts, one after the other."""

from collections.abc import Callable
from typing import Any

import click
from solward.controls.v1 import controls_pb2 as pb
from solward.operations.v1 import operations_pb2

from ctl import exits, names
from ctl.acting import act_on_many, shared_options
from ctl.client import Client, run
from ctl.commands.flags import change_options, changes_of
from ctl.commands.ledger import ledger
from ctl.commands.operations import find_name
from ctl.commands.snapshots import snapshot

SERVICE = "solward.controls.v1.ControlsService"
POLICIES = {
    "pause": operations_pb2.FAILURE_POLICY_PAUSE,
    "stop": operations_pb2.FAILURE_POLICY_STOP,
    "continue": operations_pb2.FAILURE_POLICY_CONTINUE,
}
DAY_S = 86_400


@click.group()
def controls() -> None:
    """Restart, and change the flags of, many hosts one after the other; and keep a host's snapshots
    and ledger in order.

    On many hosts, each host has its turn as an operation of its own, with its own gates. Steer the whole with
    ctl operations pause, resume, abort and retry.
    """


def selecting(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say which hosts are meant."""
    for option in reversed(
        (
            click.argument("hosts", nargs=-1),
            click.option("--group", default="", help="Hosts of this group."),
            click.option("--label", "labels", metavar="NAME=VALUE", multiple=True, help="Hosts that carry this label."),
            click.option("--all", "every", is_flag=True, help="Every active host."),
        )
    ):
        command = option(command)
    return command


def rolling(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say how one host follows the other."""
    for option in reversed(
        (
            click.option("--canaries", type=click.IntRange(0, 1000), help="This many come first, one at a time."),
            click.option("--max-unavailable", type=click.IntRange(1, 1000), help="At work or down at once.  [1]"),
            click.option(
                "--max-stake", "max_stake_percent", type=click.FloatRange(0, 100, min_open=True),
                help="Percent of the stake of these hosts that may be at work or down at once.",
            ),
            click.option("--soak", "soak_seconds", type=click.IntRange(0, DAY_S), metavar="SECONDS",
                         help="Watch each host for so long after it has caught up."),
            click.option("--wait", "wait_minutes", type=click.IntRange(0, 1440),
                         help="Minutes that the gates of each host may take to pass."),
            click.option("--timeout", "timeout_seconds", type=click.IntRange(1, 3600), help="Seconds for a unit."),
            click.option("--on-failure", type=click.Choice(list(POLICIES)), help="When a host fails.  [pause]"),
            click.option("--max-failures", type=click.IntRange(1, 1000), help="With continue: how many may fail."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


@controls.command(short_help="Restart many validators, one after the other.")
@selecting
@rolling
@click.option("--force", is_flag=True, help="Go on although gates do not pass; another person must approve it.")
@shared_options
def restart(context: str | None, /, force: bool, **options: Any) -> None:
    """Restart the validators on HOSTS, or those of a group and labels, or all; the least stake first.

    A host's turn ends when it has caught up and was well for the soak. Two hosts of one group are never at work
    at once.
    """
    selector, rollout, shared = _split(options)
    fields = {"selector": selector, "rollout": rollout, "force": force}
    run(context, act_on_many(f"{SERVICE}/RollingRestart", "Restart these", pb.RollingRestartRequest, fields, **shared))


@controls.group()
def config() -> None:
    """Change the flags of many validators, and take a change back."""


@config.command(short_help="Change flags on many hosts, one after the other.")
@selecting
@change_options
@click.option("--no-restart", is_flag=True, help="Write only; what cannot be told waits for the next start.")
@click.option("--no-rollback", is_flag=True, help="Do not put a host's flags back where it is not up in time.")
@rolling
@shared_options
def apply(
    context: str | None, /, sets: tuple[str, ...], switches: tuple[str, ...], removed: tuple[str, ...],
    no_restart: bool, no_rollback: bool, **options: Any,
) -> None:  # fmt: skip
    """Change the flags of the validators on HOSTS, or those of a group and labels, or all.

    The plan shows the difference on each host. Hosts whose flags stand as wished already are left out.
    """
    selector, rollout, shared = _split(options)
    fields = {
        "selector": selector, "rollout": rollout, "changes": changes_of(sets, switches, removed),
        "no_restart": no_restart, "no_rollback": no_rollback,
    }  # fmt: skip
    run(context, act_on_many(f"{SERVICE}/ApplyConfig", "Change these flags", pb.ApplyConfigRequest, fields, **shared))


@config.command(short_help="Take a change back, on every host that it changed.")
@click.argument("operation")
@rolling
@shared_options
def rollback(context: str | None, /, operation: str, **options: Any) -> None:
    """Put back the flags that OPERATION has changed, on every host that still has them from it."""
    names.operation(operation)
    given = any(value is not None for name, value in options.items() if name in _ROLLOUT)
    rollout, shared = _rollout(options)
    fields: dict[str, Any] = {"rollout": rollout} if given else {}

    async def work(client: Client) -> None:
        fields["operation"] = await find_name(client, operation)
        method, question = f"{SERVICE}/RollBackConfig", "Put these flags back"
        await act_on_many(method, question, pb.RollBackConfigRequest, fields, **shared)(client)

    run(context, work)


controls.add_command(snapshot)
controls.add_command(ledger)

_ROLLOUT = (
    "canaries", "max_unavailable", "max_stake_percent", "soak_seconds", "wait_minutes", "timeout_seconds", "on_failure",
    "max_failures",
)  # fmt: skip


def _split(options: dict[str, Any]) -> tuple[pb.Selector, operations_pb2.Rollout, dict[str, Any]]:
    labels = {}
    for text in options.pop("labels"):
        name, equals, value = text.partition("=")
        if not equals or not name:
            exits.fail(f"{text!r} is not NAME=VALUE", exits.USAGE, "as in --label region=fra")
        labels[name] = value
    hosts = [names.some_host(host) for host in options.pop("hosts")]
    group, every = options.pop("group"), options.pop("every")
    if bool(hosts) + bool(group or labels) + every != 1:
        exits.fail("which hosts?", exits.USAGE, "name them, or give --group and --label, or --all: one of the three")
    selector = pb.Selector(hosts=hosts, group=group, labels=labels, all=every)
    return selector, *_rollout(options)


def _rollout(options: dict[str, Any]) -> tuple[operations_pb2.Rollout, dict[str, Any]]:
    given = {name: options.pop(name) for name in _ROLLOUT}
    if given["max_failures"] and given["on_failure"] != "continue":
        exits.fail("--max-failures needs --on-failure continue", exits.USAGE)
    if given["on_failure"] == "continue" and not given["max_failures"]:
        exits.fail("--on-failure continue needs --max-failures: how many may fail", exits.USAGE)
    wait = given.pop("wait_minutes")
    policy = given.pop("on_failure")
    fields = {name: value for name, value in given.items() if value is not None}
    rollout = operations_pb2.Rollout(wait_seconds=(wait or 0) * 60, on_failure=POLICIES[policy or "pause"], **fields)
    return rollout, options
