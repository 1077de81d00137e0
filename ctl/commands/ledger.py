"""controls ledger: how the slots of a range stand in a validator's ledger, and what can be done about them."""

import re
from collections.abc import Callable
from typing import Any

import click
from solward.controls.v1 import controls_pb2 as pb

from ctl import exits
from ctl.acting import act, acting_options
from ctl.client import run
from ctl.slots import SLOT

SERVICE = "solward.controls.v1.ControlsService"
_DIGEST = re.compile(r"[0-9a-f]{64}")


@click.group()
def ledger() -> None:
    """Say how slots stand in a ledger, and mend them."""


def _range(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        (
            click.option("--from", "first_slot", type=SLOT, required=True, help="The first slot."),
            click.option("--to", "last_slot", type=SLOT, required=True, help="The last slot."),
            click.option(
                "--timeout", "timeout_seconds", type=click.IntRange(1, 43_200), default=21_600, show_default=True,
                help="Seconds that the job may take.",
            ),
        )
    ):  # fmt: skip
        command = option(command)
    return command


@ledger.command(short_help="Say how each slot stands; the node must be down.")
@_range
@click.option(
    "--purge-from", type=SLOT, help="Plan to delete all from this slot on, so that the node asks for it anew."
)
@acting_options
def survey(
    context: str | None, /, first_slot: int, last_slot: int, timeout_seconds: int, purge_from: int | None, **shared: Any
) -> None:
    """Say how each slot of a range stands on HOST, whose validator is down, and what could be done.

    It ends with a digest: `repair --survey DIGEST` does what was shown, and nothing else.
    """
    fields: dict[str, Any] = {"first_slot": first_slot, "last_slot": last_slot, "timeout_seconds": timeout_seconds}
    if purge_from is not None:
        fields["purge_from"] = purge_from
    run(context, act(f"{SERVICE}/SurveyLedger", "Look at them", pb.SurveyLedgerRequest, fields, **shared))


@ledger.command(short_help="Have a running node ask its peers for slots above its root.")
@click.option("--from", "first_slot", type=SLOT, required=True, help="The first slot.")
@click.option("--to", "last_slot", type=SLOT, required=True, help="The last slot.")
@click.option(
    "--shred",
    "shreds",
    type=click.IntRange(0, 2**32 - 1),
    multiple=True,
    help="Which shreds of each; by default the first.",
)
@click.option(
    "--watch",
    "watch_seconds",
    type=click.IntRange(1, 600),
    default=30,
    show_default=True,
    help="Seconds to see whether they come.",
)
@acting_options
def nudge(
    context: str | None, /, first_slot: int, last_slot: int, shreds: tuple[int, ...], watch_seconds: int, **shared: Any
) -> None:
    """Have the running validator of HOST ask its peers for shreds of slots above its root, and say which slots came.

    A node asks by itself all the time; this asks the peers that hold most stake once more. What is at or below the
    root it does not take any more: see `repair`.
    """
    fields = {
        "first_slot": first_slot, "last_slot": last_slot, "shreds": shreds, "watch_seconds": watch_seconds,
    }  # fmt: skip
    run(context, act(f"{SERVICE}/NudgeRepair", "Ask for them", pb.NudgeRepairRequest, fields, **shared))


@ledger.command(short_help="Stop the node, mend what can be mended, and start it.")
@_range
@click.option(
    "--survey",
    "survey_digest",
    default="",
    metavar="DIGEST",
    help="Only what this survey said; the node is still down.",
)
@click.option("--wait", "wait_minutes", type=click.IntRange(0, 1440), default=0, help="Minutes to wait for the gates.")
@acting_options
def repair(
    context: str | None, /, first_slot: int, last_slot: int, timeout_seconds: int, survey_digest: str,
    wait_minutes: int, **shared: Any,
) -> None:  # fmt: skip
    """Mend a range of slots on HOST: stop its validator through its gates, do what can be done, and start it again.

    What lies above the root a running node repairs by itself, and what lies below it no node gets back from its peers:
    the result says for each slot which it is.
    """
    if survey_digest and not _DIGEST.fullmatch(survey_digest):
        exits.fail(
            "--survey wants all 64 hexadecimal digits of the digest", exits.USAGE, "ctl operations show of the survey"
        )
    fields = {
        "first_slot": first_slot, "last_slot": last_slot, "timeout_seconds": timeout_seconds,
        "survey_digest": survey_digest, "wait_seconds": wait_minutes * 60,
    }  # fmt: skip
    run(context, act(f"{SERVICE}/RepairLedger", "Repair them", pb.RepairLedgerRequest, fields, **shared))
