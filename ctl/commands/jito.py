"""jito: bundles, tips, and what they are worth."""

import base64
import binascii
import sys
import uuid
from pathlib import Path

import click
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text
from solward.jito.v1 import jito_pb2 as pb

from ctl import exits, live, names
from ctl.client import Client, run
from ctl.output import (
    Form,
    as_data,
    console,
    found_nothing,
    output_option,
    pairs_of,
    print_data,
    print_line,
    print_messages,
    print_pairs,
    safe,
    table_of,
)  # fmt: skip
from ctl.prompts import confirm
from ctl.views import jito as views

SERVICE = "solward.jito.v1.JitoService"
MOST_BYTES = 16_384
ID_DIGITS = 64
# More than there are: a million SOL.
MOST_LAMPORTS = 10**15
LAMPORTS = click.IntRange(0, MOST_LAMPORTS)
# Rows that a live view shows.
ROWS = 30


@click.group()
def jito() -> None:
    """Bundles, tips, and what they are worth."""


@jito.command(short_help="List bundles, and what became of them.")
@click.option("--host", default="", help="Only of this host.")
@click.option("--strategy", default="", help="Only of this strategy.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="At most so many.")
@click.option("--canaries", is_flag=True, help="Those that agents sent of their own, and no others.")
@live.watch_option
@output_option
@click.pass_obj
def bundles(context: str | None, host: str, strategy: str, limit: int, canaries: bool, watch: bool, form: Form) -> None:
    """List bundles, the newest first, and what became of them."""
    request = pb.ListBundlesRequest(host=names.host(host), strategy=strategy, page_size=limit, canaries=canaries)

    async def once(client: Client) -> list[pb.Bundle]:
        return list((await client.call(f"{SERVICE}/ListBundles", request, pb.ListBundlesResponse)).bundles)

    async def follow(client: Client) -> None:
        # The newest come first, after each break, too.
        wanted = pb.WatchBundlesRequest(host=request.host, strategy=strategy, canaries=canaries, newest=limit)
        changes = client.watch(f"{SERVICE}/WatchBundles", wanted, pb.Bundle)
        if form != "table":
            async for bundle in changes:
                print_line(as_data(bundle), form)
            return
        shown: dict[str, pb.Bundle] = {}
        with Live(_table([]), console=console, auto_refresh=False) as view:
            async for bundle in changes:
                shown[bundle.name] = bundle
                while len(shown) > limit:
                    del shown[next(iter(shown))]
                view.update(_table(list(shown.values())), refresh=True)

    if watch:
        run(context, follow)
        return
    found = run(context, once)
    print_messages(found, form, views.BUNDLE_HEADINGS, views.bundle_row)
    sent = "agents send canaries where agent.yaml has jito.canary" if canaries else "see ctl jito submit"
    found_nothing(not found, f"leave out --host and --strategy; {sent}")


def _table(found: list[pb.Bundle]) -> Table:
    return table_of(found[::-1][:ROWS], views.BUNDLE_HEADINGS, views.bundle_row)


@jito.command(short_help="Tell what became of one bundle.")
@click.argument("bundle")
@output_option
@click.pass_obj
def show(context: str | None, bundle: str, form: Form) -> None:
    """Tell what became of BUNDLE: its id of 64 hexadecimal digits, or how the id of one of the newest begins."""
    begin = bundle.removeprefix("bundles/").lower()

    async def work(client: Client) -> pb.Bundle:
        if len(begin) == ID_DIGITS:
            return await client.call(f"{SERVICE}/GetBundle", pb.GetBundleRequest(bundle=begin), pb.Bundle)
        asked = [pb.ListBundlesRequest(page_size=200, canaries=canaries) for canaries in (False, True)]
        lists = [await client.call(f"{SERVICE}/ListBundles", one, pb.ListBundlesResponse) for one in asked]
        found = [one for some in lists for one in some.bundles if one.name.startswith(f"bundles/{begin}")]
        if len(found) != 1:
            advice = "give more of its id" if found else "give its whole id: see ctl jito bundles"
            raise exits.Failure(
                f"{len(found)} of the newest bundles begin with {safe(begin)}: {advice}", exits.NOT_FOUND
            )
        return found[0]

    _print(run(context, work), form)


@jito.command(short_help="Submit signed transactions as one bundle.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--host", default="", help="The host whose agent sends it; may be left out where there is one.")
@click.option("--strategy", default="", help="What it is for; spend is told by it.")
@click.option("--profit", type=LAMPORTS, default=0, metavar="LAMPORTS",
              help="What it earns if it lands, before tip and fees.")  # fmt: skip
@click.option("--region", default="", help="In this region; by default the best one.")
@click.option("--max-sends", type=click.IntRange(0, 16), default=0,
              help="So often at most, while it can land and has lost an auction; 0: 3 times.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Check it, and do not send it.")
@click.option("--wait", is_flag=True, help="Stay until it has ended; the exit code is 0 only if it landed for good.")
@click.option("--request-id", type=click.UUID, default=uuid.uuid4, metavar="UUID",
              help="Names this request: a second of the same name sends nothing; by default a fresh one.")  # fmt: skip
@output_option
@click.pass_obj
def submit(
    context: str | None, files: tuple[Path, ...], host: str, strategy: str, profit: int, region: str, max_sends: int,
    dry_run: bool, wait: bool, request_id: uuid.UUID, form: Form,
) -> None:  # fmt: skip
    """Submit the signed transactions in FILES, in their order, as one bundle.

    A file holds one transaction as on the wire, or in base64; - is standard input. Its keys stay with whoever signed.
    Submitting the same transactions again tells what became of them, and sends nothing anew.
    """
    request = pb.SubmitBundleRequest(
        host=names.host(host), transactions=[_transaction(path) for path in files], strategy=strategy,
        profit_lamports=profit, region=region, validate_only=dry_run,
        request_id=str(request_id),
        max_sends=max_sends,
    )  # fmt: skip

    async def work(client: Client) -> pb.Bundle:
        bundle = await client.call(f"{SERVICE}/SubmitBundle", request, pb.Bundle)
        return await _ended(client, bundle) if wait and not dry_run else bundle

    bundle = run(context, work)
    _print(bundle, form)
    if wait and not dry_run and bundle.state != pb.BUNDLE_STATE_FINALIZED:
        exits.fail(f"{bundle.name} has not landed: {bundle.reason}", exits.FAILED)


async def _ended(client: Client, bundle: pb.Bundle) -> pb.Bundle:
    """Follow a bundle to its end."""
    wanted = pb.WatchBundlesRequest(host=bundle.host, newest=200)
    async for one in client.watch(f"{SERVICE}/WatchBundles", wanted, pb.Bundle):
        if one.name == bundle.name and one.HasField("end_time"):
            return one
    return bundle


@jito.command(short_help="Tell how hosts reach the block engine's regions.")
@click.option("--host", default="", help="Only of this host.")
@live.watch_option
@output_option
@click.pass_obj
def regions(context: str | None, host: str, watch: bool, form: Form) -> None:
    """Tell how hosts reach the block engine's regions, the nearest first."""
    request = pb.ListRegionsRequest(host=names.host(host))

    async def once(client: Client) -> list[pb.Region]:
        return list((await client.call(f"{SERVICE}/ListRegions", request, pb.ListRegionsResponse)).regions)

    def draw(found: list[pb.Region]) -> Table:
        return table_of(found, views.REGION_HEADINGS, views.region_row)

    live.show(context, once, draw, form, watch=watch, nothing="agents tell of regions where agent.yaml has jito")


@jito.command(short_help="Tell what others tipped that landed.")
@live.watch_option
@output_option
@click.pass_obj
def tips(context: str | None, watch: bool, form: Form) -> None:
    """Tell what others tipped that landed, by percentile; a median tip is not one that lands every second time."""

    async def once(client: Client) -> pb.Tips:
        return await client.call(f"{SERVICE}/GetTips", pb.GetTipsRequest(), pb.Tips)

    live.show(context, once, lambda found: pairs_of(views.tips_pairs(found)), form, watch=watch)


@jito.command(short_help="Advise on priority fees.")
@click.option("--account", "accounts", multiple=True, help="An account that the transaction writes; may be repeated.")
@click.option("--units", type=click.IntRange(0, 1_400_000), default=200_000, show_default=True, help="Compute units.")
@live.watch_option
@output_option
@click.pass_obj
def fees(context: str | None, accounts: tuple[str, ...], units: int, watch: bool, form: Form) -> None:
    """Advise on priority fees, by what landed in recent blocks."""
    request = pb.GetPriorityFeesRequest(accounts=accounts, compute_units=units)

    async def once(client: Client) -> pb.PriorityFees:
        return await client.call(f"{SERVICE}/GetPriorityFees", request, pb.PriorityFees)

    def draw(found: pb.PriorityFees) -> Group:
        caveat = f"{found.slots} blocks, {found.free_share:.0%} of them free: {found.caveat}"
        return Group(table_of(found.levels, views.FEE_HEADINGS, views.fee_row), Text(caveat, style="dim"))

    live.show(context, once, draw, form, watch=watch)


@jito.command("ev", short_help="Tell what a tip is worth for an opportunity.")
@click.option("--profit", type=click.IntRange(1, MOST_LAMPORTS), required=True, metavar="LAMPORTS",
              help="What it earns if it lands, before tip and fees.")  # fmt: skip
@click.option("--strategy", default="", help="The model knows each by itself.")
@click.option("--tip", type=LAMPORTS, default=0, metavar="LAMPORTS", help="Judge this tip, too.")
@click.option("--fee", type=LAMPORTS, default=0, metavar="LAMPORTS", help="What landing costs besides.")
@click.option("--cap", type=LAMPORTS, default=0, metavar="LAMPORTS", help="Never tip more than this.")
@click.option("--transactions", type=click.IntRange(1, 5), default=1, show_default=True)
@click.option("--units", type=click.IntRange(0, 7_000_000), default=0, help="Compute units of the bundle.")
@click.option("--host", default="", help="Whose agent would send it: its way to the block engine counts, too.")
@click.option("--region", default="", help="In this region of that host; by default the best one.")
@live.watch_option
@output_option
@click.pass_obj
def expected_value(
    context: str | None, profit: int, strategy: str, tip: int, fee: int, cap: int, transactions: int, units: int,
    host: str, region: str, watch: bool, form: Form,
) -> None:  # fmt: skip
    """Tell which tip is worth the most for an opportunity, and why."""
    request = pb.GetExpectedValueRequest(
        profit_lamports=profit, strategy=strategy, tip_lamports=tip, fee_lamports=fee, cap_lamports=cap,
        transactions=transactions, compute_units=units, host=names.host(host), region=region,
    )  # fmt: skip

    async def once(client: Client) -> pb.ExpectedValue:
        return await client.call(f"{SERVICE}/GetExpectedValue", request, pb.ExpectedValue)

    live.show(context, once, lambda found: pairs_of(views.value_pairs(found)), form, watch=watch)


@jito.command(short_help="Tell what was tipped for what.")
@click.option("--days", type=click.IntRange(1, 366), default=7, show_default=True, help="How far back.")
@live.watch_option
@output_option
@click.pass_obj
def spend(context: str | None, days: int, watch: bool, form: Form) -> None:
    """Tell what was tipped for what, by strategy; rates with their interval of 95 %."""

    async def once(client: Client) -> list[pb.StrategySpend]:
        return list((await client.call(f"{SERVICE}/GetSpend", pb.GetSpendRequest(days=days), pb.Spend)).strategies)

    def draw(found: list[pb.StrategySpend]) -> Table:
        return table_of(found, views.SPEND_HEADINGS, views.spend_row)

    live.show(context, once, draw, form, watch=watch, nothing="no bundle was sent in that time: see ctl jito bundles")


@jito.group(invoke_without_command=True, short_help="Tell or set how much may be tipped.")
@output_option
@click.pass_context
def budget(ctx: click.Context, form: Form) -> None:
    """Tell how much may be tipped a day, and how much of today's is left; with none set nothing is sent."""
    if ctx.invoked_subcommand is None:

        async def work(client: Client) -> pb.Budget:
            return await client.call(f"{SERVICE}/GetBudget", pb.GetBudgetRequest(), pb.Budget)

        _print_budget(run(ctx.obj, work), form)


@budget.command("set", short_help="Set how much may be tipped.")
@click.argument("daily", type=LAMPORTS, metavar="LAMPORTS_A_DAY")
@click.option("--bundle", "one", type=LAMPORTS, default=None, metavar="LAMPORTS",
              help="One bundle may tip so much, 0: what is left of the day; by default as before.")  # fmt: skip
@click.option("--yes", is_flag=True, help="Do not ask before more may be tipped than before.")
@output_option
@click.pass_obj
def set_budget(context: str | None, daily: int, one: int | None, yes: bool, form: Form) -> None:
    """Set how much may be tipped a day (UTC), in lamports; 0 stops all sending."""

    async def work(client: Client) -> pb.Budget:
        before = await client.call(f"{SERVICE}/GetBudget", pb.GetBudgetRequest(), pb.Budget)
        bundle = before.bundle_lamports if one is None else one
        click.echo(views.budget_change(before, daily, bundle), err=True)
        if 0 < before.daily_lamports < daily and not yes:
            confirm("More may be tipped than before. Set it?")
        request = pb.UpdateBudgetRequest(daily_lamports=daily, bundle_lamports=bundle)
        return await client.call(f"{SERVICE}/UpdateBudget", request, pb.Budget)

    _print_budget(run(context, work), form)


def _print_budget(found: pb.Budget, form: Form) -> None:
    if form == "table":
        print_pairs(views.budget_pairs(found))
    else:
        print_data(as_data(found), form)


def _print(found: pb.Bundle, form: Form) -> None:
    if form == "table":
        print_pairs(views.bundle_pairs(found))
    else:
        print_data(as_data(found), form)


def _transaction(path: Path) -> bytes:
    """Read a transaction as on the wire, or in base64."""
    try:
        with sys.stdin.buffer if str(path) == "-" else path.open("rb") as file:
            raw = file.read(MOST_BYTES)
    except OSError as error:
        raise click.UsageError(f"{path}: {error.strerror}") from None
    try:
        return base64.b64decode(raw.strip(), validate=True)
    except binascii.Error:
        return raw
