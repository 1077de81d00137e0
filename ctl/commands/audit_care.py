"""audit: prune the log, see who witnesses it, and make compliance reports of it."""

from datetime import UTC, datetime
from pathlib import Path

import click
from google.protobuf.timestamp_pb2 import Timestamp
from solward.audit.v1 import audit_pb2 as pb

from ctl import contexts, exits
from ctl.client import Client, run, run_with
from ctl.files import private_file
from ctl.output import Form, cell, output_option, print_messages, safe, when
from ctl.prompts import confirm

SERVICE = "solward.audit.v1.AuditService"
# A report reads and verifies the whole log.
REPORT_SECONDS = 600.0
# Taking entries out may take several cuts.
PRUNE_SECONDS = 600.0
_DAY = click.DateTime(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"])
_FORMATS = {
    "html": pb.REPORT_FORMAT_HTML,
    "pdf": pb.REPORT_FORMAT_PDF,
    "json": pb.REPORT_FORMAT_JSON,
}
_GOOD = (pb.VERDICT_AGREES, pb.VERDICT_BEHIND)


@click.command(short_help="Take the oldest entries out of the log.")
@click.option("--before", type=_DAY, required=True, help="Entries logged before this day (UTC) go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def prune(context: str | None, before: datetime, yes: bool) -> None:
    """Take the oldest entries out of the log for good, up to a signed checkpoint.

    A signed record of it stays, by which the rest verifies as before. Export the log first.
    """
    request = pb.PruneEntriesRequest(before=_stamp(before))
    plan = pb.PruneEntriesRequest(before=_stamp(before), validate_only=True)

    async def ask(client: Client, asked: pb.PruneEntriesRequest) -> pb.PruneEntriesResponse:
        return await client.call(f"{SERVICE}/PruneEntries", asked, pb.PruneEntriesResponse, PRUNE_SECONDS)

    planned = run(context, lambda client: ask(client, plan))
    if not planned.last:
        click.echo("no entry is that old, nothing was done")
        return
    if not yes:
        confirm(f"Take entries {planned.first} to {planned.last} out for good?")
    done = run(context, lambda client: ask(client, request))
    click.echo(f"entries {done.first} to {done.last} are gone; {len(done.prunes)} signed records of it stay")


@click.command(short_help="List what hosts remember of the log.")
@output_option
@click.pass_obj
def witness(context: str | None, form: Form) -> None:
    """List which checkpoint of the log each host's agent holds, and whether it agrees with this log."""

    async def work(client: Client) -> list[pb.Witness]:
        answer = await client.call(f"{SERVICE}/ListWitnesses", pb.ListWitnessesRequest(), pb.ListWitnessesResponse)
        return list(answer.witnesses)

    witnesses = run(context, work)
    print_messages(witnesses, form, ("HOST", "SIZE", "ROOT", "SIGNED", "SEEN", "VERDICT"), _row)
    wrong = [one for one in witnesses if one.verdict not in (*_GOOD, pb.VERDICT_UNKNOWN)]
    if wrong:
        told = "; ".join(f"{one.host}: {one.detail}" for one in wrong)
        exits.fail(safe(f"{len(wrong)} hosts contradict the log: {told}"), exits.NOT_INTACT)


@click.command(short_help="Make a compliance report.")
@click.option("--from", "begin", type=_DAY, required=True, help="From this day (UTC).")
@click.option("--to", "end", type=_DAY, help="Until this day (UTC), itself left out; default: now.")
@click.option("--format", "form", type=click.Choice([*_FORMATS]), default="html", show_default=True, help="How.")
@click.option("-o", "--out", metavar="FILE", type=click.Path(path_type=Path), required=True, help="File to write.")
@click.option("--force", is_flag=True, help="Replace FILE where it exists.")
@click.pass_obj
def report(context: str | None, begin: datetime, end: datetime | None, form: str, out: Path, force: bool) -> None:
    """Make a compliance report of a period, with the proof that the log behind it is whole."""
    request = pb.CreateReportRequest(**{"from": _stamp(begin)}, format=_FORMATS[form])
    if end is not None:
        request.to.CopyFrom(_stamp(end))
    known = contexts.load(context)
    with private_file(out, force=force) as file:
        made = run_with(
            known, lambda client: client.call(f"{SERVICE}/CreateReport", request, pb.Report, REPORT_SECONDS)
        )
        file.buffer.write(made.content)
    if not made.intact:
        exits.fail(f"{out} is written, and says that the log is not intact", exits.NOT_INTACT)
    click.echo(f"{len(made.content)} bytes written to {out}; the log is intact")


def _row(one: pb.Witness) -> list[str]:
    verdict = pb.Verdict.Name(one.verdict).removeprefix("VERDICT_")
    if one.verdict in _GOOD:
        shown = f"[green]{verdict.lower()}[/]"
    else:
        shown = verdict.lower() if one.verdict == pb.VERDICT_UNKNOWN else f"[red]{verdict.replace('_', ' ')}[/]"
    return [
        cell(one.host.removeprefix("hosts/")),
        str(one.held.size) if one.HasField("held") else "-",
        one.held.root.hex()[:16] or "-",
        when(one.held.time),
        when(one.seen_time),
        shown,
    ]


def _stamp(day: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(day.replace(tzinfo=UTC))
    return stamp
