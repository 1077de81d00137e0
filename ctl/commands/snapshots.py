"""controls snapshot: what stands in a validator's snapshot folders, and what is done with it."""

from typing import Any

import click
from solward.controls.v1 import controls_pb2 as pb
from solward.hosts.v1 import link_pb2

from ctl import exits, names
from ctl.acting import act, acting_options
from ctl.client import Client, run
from ctl.output import Form, as_data, cell, console, output_option, print_data, print_messages, size, when_ms
from ctl.slots import SLOT

SERVICE = "solward.controls.v1.ControlsService"


@click.group()
def snapshot() -> None:
    """List, keep, verify and prune the snapshot archives of a validator.

    Everything but the list is a job on the host, under systemd and with an idle share of its disk.
    """


@snapshot.command("list", short_help="List archives, pins, and what is odd.")
@click.argument("host", default="")
@output_option
@click.pass_obj
def list_(context: str | None, host: str, form: Form) -> None:
    """List the archives on HOST, the newest first, what a pin keeps, and what looks like an archive and is none."""
    name = names.host(host)

    async def work(client: Client) -> link_pb2.SnapshotsReport:
        request = pb.ListSnapshotsRequest(host=name)
        return await client.call(f"{SERVICE}/ListSnapshots", request, link_pb2.SnapshotsReport)

    found = run(context, work)
    if form != "table":
        print_data(as_data(found), form)
        return
    columns = ("ARCHIVE", "SLOT", "SIZE", "WRITTEN UTC", "VERIFIED", "")
    print_messages(list(found.archives), form, columns, _row)
    for pin in found.pins:
        console.print(f"kept: slot {pin.slot}, {size(pin.size)}, since {when_ms(pin.unix_ms)} UTC", highlight=False)
    for oddity, why in sorted(found.oddities.items()):
        console.print(f"[yellow]odd:[/] {cell(oddity)}: {cell(why)}", highlight=False, soft_wrap=True)
    being = f", {found.work_files} being written" if found.work_files else ""
    console.print(f"[dim]{len(found.archives)} archives{being}, {size(found.free_bytes)} free[/]", highlight=False)


@snapshot.command(short_help="Keep a snapshot by hard links.")
@click.option("--archive", default="", metavar="NAME",
              help="This one, by its whole name as `list` shows it, and the full one that it needs; else the newest "
              "pair.")  # fmt: skip
@click.option("--next", "wait_minutes", type=click.IntRange(0, 1440), default=0, metavar="MINUTES",
              help="Wait so long for the next archive that the node makes.")  # fmt: skip
@click.option("--from-ledger", is_flag=True, help="Make one with agave-ledger-tool; the validator must be down.")
@click.option("--slot", type=SLOT, default=0, help="With --from-ledger: of this slot; else of the newest root.")
@click.option("--incremental", is_flag=True, help="With --from-ledger: on the newest full archive.")
@acting_options
def create(
    context: str | None, /, archive: str, wait_minutes: int, from_ledger: bool, slot: int, incremental: bool,
    **shared: Any,
) -> None:  # fmt: skip
    """Keep a snapshot of HOST, so that the validator does not remove it: hard links, at no cost until it does.

    A running validator cannot be told to make one; it does so by itself, at its own interval (--next waits for that).
    Of a validator that is down one can be made (--from-ledger).
    """
    if from_ledger and (archive or wait_minutes):
        exits.fail("--from-ledger makes a new archive: --archive and --next are for those that there are", exits.USAGE)
    if not from_ledger and (slot or incremental):
        exits.fail("--slot and --incremental need --from-ledger", exits.USAGE)
    fields = {
        "archive": archive, "wait_seconds": wait_minutes * 60, "from_ledger": from_ledger, "slot": slot,
        "incremental": incremental,
    }  # fmt: skip
    run(context, act(f"{SERVICE}/CreateSnapshot", "Keep it", pb.CreateSnapshotRequest, fields, **shared))


@snapshot.command(short_help="Read an archive whole, and say whether it is one.")
@click.option("--archive", default="", metavar="NAME",
              help="This one, by its whole name as `list` shows it; else the newest that a node could boot "
              "from.")  # fmt: skip
@click.option("--limit", "megabytes", type=click.IntRange(0, 100_000), default=0, metavar="MB",
              help="Megabytes a second at the most; 0: what an idle share of the disk gives.")  # fmt: skip
@click.option(
    "--deep", is_flag=True, help="Load it as a boot does, and compare every hash; the validator must be down."
)
@acting_options
def verify(context: str | None, /, archive: str, megabytes: int, deep: bool, **shared: Any) -> None:
    """Read an archive on HOST whole: name, compression, tar, slot, base, and its checksum if one is known.

    What it does not check is the accounts themselves: --deep does, with agave-ledger-tool, and takes as long as a boot.
    """
    if deep and megabytes:
        exits.fail("--limit cannot be given with --deep: agave-ledger-tool reads as fast as it can", exits.USAGE)
    fields = {"archive": archive, "bytes_per_second": megabytes * 1_000_000, "deep": deep}
    run(context, act(f"{SERVICE}/VerifySnapshot", "Read it", pb.VerifySnapshotRequest, fields, **shared))


@snapshot.command(short_help="Remove archives by policy.")
@click.option("--keep-full", type=click.IntRange(1, 100), default=2, show_default=True, help="Full archives to keep.")
@click.option("--keep-incremental", type=click.IntRange(1, 1000), default=4, show_default=True,
              help="Incremental ones to keep on the newest full one.")  # fmt: skip
@click.option("--keep-hours", type=click.IntRange(0, 100_000), default=0, help="What is younger stays.")
@click.option("--max-gigabytes", type=click.IntRange(0, 1_000_000), default=0, help="All of them together; 0: any.")
@acting_options
def prune(
    context: str | None, /, keep_full: int, keep_incremental: int, keep_hours: int, max_gigabytes: int, **shared: Any
) -> None:
    """Remove archives on HOST by policy; the plan names each. The last good pair and what is kept by a pin stay."""
    policy = link_pb2.PrunePolicy(
        keep_full=keep_full, keep_incremental=keep_incremental, keep_younger_seconds=keep_hours * 3600,
        max_bytes=max_gigabytes * 10**9,
    )  # fmt: skip
    fields = {"policy": policy}
    run(context, act(f"{SERVICE}/PruneSnapshots", "Remove these", pb.PruneSnapshotsRequest, fields, **shared))


@snapshot.command(short_help="Let a kept snapshot go.")
@click.option("--slot", type=SLOT, required=True, help="Its slot, as `list` shows it.")
@acting_options
def unpin(context: str | None, /, slot: int, **shared: Any) -> None:
    """Let the snapshot that HOST keeps for a slot go."""
    run(context, act(f"{SERVICE}/UnpinSnapshot", "Let it go", pb.UnpinSnapshotRequest, {"slot": slot}, **shared))


def _row(archive: link_pb2.SnapshotArchive) -> list[str]:
    whole = "[red]bad[/]" if archive.bad else cell(archive.sha256[:12]) or "-"
    note = "base missing" if archive.HasField("base") and not archive.base_present else ""
    return [
        cell(archive.name), str(archive.slot), size(archive.size), when_ms(archive.unix_ms),
        whole, "downloaded" if archive.remote else note,
    ]  # fmt: skip
