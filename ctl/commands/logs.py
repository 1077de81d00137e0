"""logs: what the fleet's hosts logged, over a range of time or as it comes."""

from typing import Literal

import click
from google.protobuf.timestamp_pb2 import Timestamp
from solward.metrics.v1 import logs_pb2 as pb

from common.clock import now_ms
from ctl import names
from ctl.client import Client, run
from ctl.commands.alerts import SEVERITIES
from ctl.durations import DURATION
from ctl.exits import USAGE, fail
from ctl.output import as_data, console, found_nothing, print_line
from ctl.views.logs import Lines

SERVICE = "solward.metrics.v1.LogsService"
PAGE = 1_000
# Of entries that were shown: a stream that is opened again begins with some of them.
KNOWN = 5_000

Form = Literal["text", "json"]

HELP = """Show what hosts logged: what their validators' logs said that means something, and agents' own lines.

The latest entries are shown, the oldest of them first. Without HOST, those of every host that you may see. They come
from Loki where the control plane has one, else from its own store; with --follow always from the control plane itself.

\b
Examples:
  ctl logs sol-1 --severity warning
  ctl logs --kind validator.panic --since 7d
  ctl logs --kind agent.log --grep "stream ended" --field reason=UNAVAILABLE
  ctl logs sol-1 sol-2 --follow
  ctl logs --since 2h --until 1h -o json | jq -r .event.message
"""


@click.command(help=HELP)
@click.argument("hosts", nargs=-1, metavar="[HOST]...")
@click.option("--since", type=DURATION, default="1h", show_default=True, help="From how long ago, as 30m, 4h or 7d.")
@click.option("--until", type=DURATION, help="Until how long ago; by default now.")
@click.option("--severity", type=click.Choice(SEVERITIES), help="At least this grave.")
@click.option(
    "--kind", default="", help="Only this kind, or those that begin so: validator.panic, validator, agent.log."
)
@click.option("--grep", "text", default="", metavar="TEXT", help="Only messages that contain this, letter by letter.")
@click.option("--field", "fields", multiple=True, metavar="NAME=VALUE", help="Only with this field; all must hold.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="How many, of the latest."
)
@click.option("-f", "--follow", is_flag=True, help="Stay, and show entries as they come.")
@click.option(
    "-o", "--output", "form", type=click.Choice(["text", "json"]), default="text", show_default=True,
    help="How to print; JSON is a line an entry.",
)  # fmt: skip
@click.pass_obj
def logs(
    context: str | None, hosts: tuple[str, ...], since: int, until: int | None, severity: str | None, kind: str,
    text: str, fields: tuple[str, ...], limit: int, follow: bool, form: Form,
) -> None:  # fmt: skip
    """Show what hosts logged."""
    if until is not None and follow:
        fail("--until and --follow do not go together", USAGE)
    if until is not None and until >= since:
        fail("--until must be less long ago than --since", USAGE, "for example --since 2h --until 1h")
    for field in fields:
        if not all(field.partition("=")):
            fail(f"{field!r} is not NAME=VALUE", USAGE, "for example --field slot=42")
    asked = pb.QueryLogsRequest(
        hosts=map(names.some_host, hosts), min_severity=f"SEVERITY_{severity.upper()}" if severity else None,
        kind=kind, text=text, fields=fields, start_time=_ago(since),
    )  # fmt: skip
    if until is not None:
        asked.end_time.CopyFrom(_ago(until))
    screen = _Screen(form)
    if follow:
        run(context, lambda client: _follow(client, asked, limit, screen))
        return
    found = run(context, lambda client: _latest(client, asked, limit))
    screen.show(found[::-1])
    found_nothing(not found, "no host that you may see logged anything of the kind then: see --since")


async def _latest(client: Client, asked: pb.QueryLogsRequest, limit: int) -> list[pb.LogEntry]:
    """Ask page by page for the newest entries, the newest first."""
    found: list[pb.LogEntry] = []
    while len(found) < limit:
        asked.page_size = min(PAGE, limit - len(found))
        page = await client.call(f"{SERVICE}/QueryLogs", asked, pb.QueryLogsResponse)
        found += page.entries
        asked.page_token = page.next_page_token
        if not page.next_page_token:
            break
    return found


async def _follow(client: Client, asked: pb.QueryLogsRequest, limit: int, screen: "_Screen") -> None:
    request = pb.TailLogsRequest(
        hosts=asked.hosts, min_severity=asked.min_severity, kind=asked.kind, text=asked.text, fields=asked.fields,
        backlog=min(limit, PAGE), start_time=asked.start_time,
    )  # fmt: skip
    async for heard in client.watch(f"{SERVICE}/TailLogs", request, pb.TailLogsResponse):
        screen.show(list(heard.entries))


class _Screen:
    """Prints entries, each once."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._lines = Lines()
        # In the order in which they were shown.
        self._known: dict[tuple[int, str], None] = {}

    def show(self, entries: list[pb.LogEntry]) -> None:
        """Print entries that were not printed before."""
        self._lines.measure(entries)
        for entry in entries:
            key = (entry.unix_nanos, entry.host)
            if key in self._known:
                continue
            self._known[key] = None
            if len(self._known) > KNOWN:
                del self._known[next(iter(self._known))]
            if self._form == "json":
                print_line(as_data(entry), "json")
            else:
                console.print(self._lines.draw(entry), soft_wrap=True)


def _ago(seconds: int) -> Timestamp:
    stamp = Timestamp()
    stamp.FromMilliseconds(max(0, now_ms() - seconds * 1000))
    return stamp
