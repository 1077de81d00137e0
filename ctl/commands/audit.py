"""audit: read, export and verify the log."""

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO, TextIO

import click
import grpc
from solward.audit.v1 import audit_pb2 as pb
from solward.auth.v1 import auth_pb2
from solward.hosts.v1 import enrollment_pb2, hosts_pb2, link_pb2
from solward.operations.v1 import operations_pb2
from solward.rpc.v1 import rpc_pb2
from solward.validator.v1 import validator_pb2

from common.auditlines import encode
from common.auditlog import rfc3339
from common.auditprune import POLICY
from common.auditverify import Report
from common.auditwire import entry_of, record_of
from common.errors import info_of, status_of
from ctl import contexts, exits
from ctl.client import Client, run, run_with
from ctl.commands.audit_care import prune, report, witness
from ctl.exported import check, public_key
from ctl.files import private_file
from ctl.formats import LINES
from ctl.held import held_checkpoint, hold
from ctl.output import Form, cell, found_nothing, output_option, print_data, print_messages, safe
from ctl.witnessed import WRONG as WITNESS_WRONG
from ctl.witnessed import Compared, compare

SERVICE = "solward.audit.v1.AuditService"


@click.group()
def audit() -> None:
    """Read, export and verify the audit log."""


for _command in (prune, report, witness):
    audit.add_command(_command)


@audit.command("list")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many, the newest first."
)
@click.option("--by", "principal", default="", help="Only entries of this user or host.")
@click.option("--method", default="", help="Only entries of this method, as WHAT shows it.")
@output_option
@click.pass_obj
def list_(context: str | None, limit: int, principal: str, method: str, form: Form) -> None:
    """List entries, the newest first."""

    async def work(client: Client) -> list[pb.Entry]:
        request = pb.ListEntriesRequest(page_size=limit, principal=principal, method=_whole(method))
        page = await client.call(f"{SERVICE}/ListEntries", request, pb.ListEntriesResponse)
        return list(page.entries)

    entries = run(context, work)
    if form != "table":
        print_data([json.loads(entry.body) for entry in entries], form)
    else:
        print_messages(entries, form, ("SEQ", "TIME UTC", "WHO", "WHAT", "ON", "RESULT", "WHY"), _row)
    found_nothing(not entries and bool(principal or method), "--by and --method take what WHO and WHAT show")


_format = click.option(
    "--format", "form", type=click.Choice([*LINES]), default="jsonl", show_default=True,
    help="jsonl can be verified; cef and ocsf are for a SIEM.",
)  # fmt: skip


@audit.command(short_help="Write the log to a file that anyone can verify.")
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), required=True, help="File, or -.")
@click.option("--force", is_flag=True, help="Replace FILE where it exists.")
@click.option("--from", "first", type=click.IntRange(1), default=1, help="Begin at this sequence number, to go on.")
@_format
@click.pass_obj
def export(context: str | None, out: Path, force: bool, first: int, form: str) -> None:
    """Write the log and its signed checkpoints to a file that anyone can verify offline.

    A part that begins with --from, and the formats of SIEMs, are not for ctl audit verify.
    """

    async def work(client: Client, file: TextIO) -> tuple[int, pb.Checkpoint]:
        count, head = 0, pb.Checkpoint()
        held = held_checkpoint(client.context)
        request = pb.ExportEntriesRequest(from_sequence=first, held_size=held.size if held else 0)
        async for record in client.stream(f"{SERVICE}/ExportEntries", request, pb.ExportRecord):
            if record.HasField("entry"):
                file.write(LINES[form](entry_of(record.entry)) + "\n")
                count += 1
            elif form == "jsonl":
                file.write(encode(record_of(record)) + "\n")
            if record.HasField("checkpoint"):
                head = record.checkpoint
        return count, head

    known = contexts.load(context)
    with nullcontext(sys.stdout) if str(out) == "-" else private_file(out, force=force) as file:
        count, head = run_with(known, lambda client: work(client, file))
    # After the file is written: a log that was cut stays on disk for who must look into it.
    hold(known, head)
    click.echo(f"{count} entries written to {out}", err=str(out) == "-")


@audit.command(short_help="Follow the log, entry by entry.")
@click.option("--after", type=click.IntRange(0), help="Go on after this sequence number; 0: from the first entry.")
@_format
@click.pass_obj
def tail(context: str | None, after: int | None, form: str) -> None:
    """Follow the log: every entry once it is durable, in order, one on a line.

    Says with which --after to go on when it ends, so that nothing is missed or comes twice.
    """

    async def work(client: Client) -> None:
        nonlocal after
        while True:
            request = pb.TailEntriesRequest(after_sequence=after)
            try:
                async for entry in client.stream(f"{SERVICE}/TailEntries", request, pb.Entry):
                    click.echo(safe(LINES[form](entry_of(entry))))
                    after = entry.sequence
            except grpc.aio.AioRpcError as error:
                if info_of(status_of(error)).reason != "TOKEN_EXPIRED":
                    raise
            client.context.access_expires_ms = 0

    try:
        run(context, work)
    finally:
        if after is not None:
            click.echo(f"next: ctl audit tail --after {after}", err=True)


@audit.command("verify", short_help="Verify an export, offline.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--key", help="The log's public key (hexadecimal); default: the one pinned when you first signed in.")
@click.option(
    "--mac-key-file", type=click.File("rb"), help="The log's HMAC key: then every entry is checked by itself."
)
@click.option("--witness", "asked", is_flag=True, help="Compare with what hosts hold, too; asks the server.")
@output_option
@click.pass_obj
def verify_(
    context: str | None, file: Path, key: str | None, mac_key_file: BinaryIO | None, asked: bool, form: Form
) -> None:
    """Verify an export, offline: nothing edited, missing, inserted, reordered or cut off.

    Needs no connection. Against cutting off, it is held to the greatest checkpoint that you have seen.
    """
    known = contexts.load(context) if context or contexts.current_name() else None
    raw = key or (known.log_key if known else "")
    if not raw:
        exits.fail("whose log is it?", exits.USAGE, "give --key, or sign in once (ctl login)")
    held = held_checkpoint(known) if known and not key else None
    mac_key = mac_key_file.read().strip() if mac_key_file else None
    found = check(file, public_key(raw), held, mac_key)
    witnesses: list[Compared] = []
    if asked and found.ok:
        method = f"{SERVICE}/ListWitnesses"
        answer = run(context, lambda client: client.call(method, pb.ListWitnessesRequest(), pb.ListWitnessesResponse))
        witnesses = compare(file, public_key(raw), answer.witnesses)
    _print_report(found, witnesses, file, form)
    wrong = [one for one in witnesses if one.verdict in WITNESS_WRONG]
    if wrong:
        told = "; ".join(f"{one.host} ({one.size} entries): {one.verdict}" for one in wrong)
        exits.fail(f"witnesses do not agree with {file}: {told}", exits.NOT_INTACT)


def _print_report(report: Report, witnesses: list[Compared], file: Path, form: Form) -> None:
    finding = report.finding
    if form != "table":
        print_data(
            {
                "intact": report.ok,
                "entries": report.entries,
                "proved": report.proved,
                "checkpoints": report.checkpoints,
                "pruned": report.prunes[-1].size if report.prunes else 0,
                "held_compared": report.held_compared,
                "witnesses": [one._asdict() for one in witnesses],
                "finding": finding._asdict() | {"kind": str(finding.kind)} if finding else None,
            },
            form,
        )
    elif finding is None:
        click.secho(
            f"intact: {report.entries} entries, {report.proved} of them proved by "
            f"{report.checkpoints} signed checkpoints",
            fg="green",
        )
        _print_rest(report, witnesses)
    if finding:
        exits.fail(
            f"{file} is not intact: entry {finding.sequence}: {finding.kind}: {finding.message}", exits.NOT_INTACT
        )


def _print_rest(report: Report, witnesses: list[Compared]) -> None:
    for cut in report.prunes:
        who = "the retention that is set" if cut.by == POLICY else cut.by
        day = rfc3339(cut.time_ms)[:10]
        click.echo(safe(f"pruned: entries {cut.first} to {cut.size}, {day}, by {who}; signed"))
    if not report.held_compared:
        click.echo("the checkpoint that you hold is older than what was pruned: ctl audit export compared it")
    for one in witnesses:
        click.echo(safe(f"witness {one.host}: {one.size} entries, {one.verdict}"))


def _row(entry: pb.Entry) -> list[str]:
    body = json.loads(entry.body)
    allowed = body.get("allowed", True)
    code = str(body.get("code", "")) or "allowed"
    why = body.get("reason") or body.get("operation") or ""
    return [
        str(entry.sequence),
        cell(str(body.get("time", "")))[:19].replace("T", " "),
        cell(str(body.get("principal", ""))),
        cell(_short(str(body.get("method", "")))) + f" [dim]{cell(str(body.get('phase', '')))}[/]",
        cell(str(body.get("resource", ""))),
        f"[green]{cell(code)}[/]"
        if allowed and code in ("OK", "allowed", "SUCCEEDED", "DONE")
        else f"[red]{cell(code)}[/]",
        cell(str(why)),
    ]


def _short(method: str) -> str:
    service, slash, rpc = method.partition("/")
    return f"{service.rpartition('.')[2]}/{rpc}" if slash else method


def _whole(method: str) -> str:
    """Give a method's full name from the short form that WHAT shows."""
    pool = (auth_pb2, enrollment_pb2, hosts_pb2, link_pb2, operations_pb2, pb, rpc_pb2, validator_pb2)
    for module in pool:
        for service in module.DESCRIPTOR.services_by_name.values():
            if method.partition("/")[0] == service.name and "/" in method:
                return f"{service.full_name}/{method.partition('/')[2]}"
    return method
