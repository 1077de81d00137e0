"""alerts: what is wrong, what the logs said, and who looks after it."""

import click
from solward.alerts.v1 import alerts_pb2 as pb

from ctl import names
from ctl.client import Client, run
from ctl.durations import DURATION
from ctl.output import (
    Form,
    as_data,
    cell,
    console,
    found_nothing,
    output_option,
    print_line,
    print_message,
    print_messages,
    safe,
    when,
    when_ms,
)
from ctl.views import alerts as view

SERVICE = "solward.alerts.v1.AlertsService"
SEVERITIES = ("info", "warning", "error", "critical")


@click.group(invoke_without_command=True)
@click.option("--host", default="", help="Only this host.")
@click.option("--all", "resolved", is_flag=True, help="Those that are resolved too.")
@click.option("--watch", is_flag=True, help="Stay, and tell every change as it comes.")
@click.option("--silenced", is_flag=True, help="With --watch: those that are silenced too.")
@output_option
@click.pass_context
def alerts(context: click.Context, host: str, resolved: bool, watch: bool, silenced: bool, form: Form) -> None:
    """Show what is wrong, the newest first; the exit code is 0 also while alerts fire."""
    if context.invoked_subcommand:
        return
    name = names.host(host)

    async def once(client: Client) -> pb.ListAlertsResponse:
        request = pb.ListAlertsRequest(host=name, resolved=resolved)
        return await client.call(f"{SERVICE}/ListAlerts", request, pb.ListAlertsResponse)

    async def live(client: Client) -> None:
        request = pb.WatchAlertsRequest(host=name, silenced=silenced)
        async for change in client.watch(f"{SERVICE}/WatchAlerts", request, pb.WatchAlertsResponse):
            if form == "table":
                console.print(view.group_line(list(change.alerts)), soft_wrap=True)
            else:
                print_line(as_data(change), form)

    if watch:
        run(context.obj, live)
        return
    found = list(run(context.obj, once).alerts)
    if form == "table" and not found:
        console.print("no alert has fired" if resolved else "no alert fires")
        return
    columns = ("ALERT", "SEVERITY", "SUBJECT", "HOST", "RULE", "STATE", "SINCE UTC", "WHAT")
    print_messages(found, form, columns, view.row)


@alerts.command()
@click.argument("alert")
@output_option
@click.pass_obj
def show(context: str | None, alert: str, form: Form) -> None:
    """Show one alert with its evidence and what to do."""

    async def work(client: Client) -> pb.Alert:
        return await _find(client, alert)

    found = run(context, work)
    pairs = [
        ("alert", cell(found.name)), ("host", cell(found.host)), ("group", cell(found.group) or "-"),
        ("rule", view.rule(found)), ("severity", view.severity(found.severity)), ("subject", view.about(found.subject)),
        ("state", view.state(found)), ("what", cell(found.summary)), ("evidence", cell(found.evidence) or "-"),
        ("advice", cell(found.advice) or "-"), ("since", when(found.start_time, " UTC")),
        ("fired", f"{when(found.fire_time, ' UTC')} (time {found.times} within its cooldown)"),
        ("last seen", when(found.last_time, " UTC")), ("resolved", when(found.resolve_time, " UTC")),
        ("comment", cell(found.comment) or "-"),
    ]  # fmt: skip
    print_message(found, form, pairs)


@alerts.command(short_help="Say that you look after an alert.")
@click.argument("alert")
@click.option("--comment", default="", help="What to say of it.")
@output_option
@click.pass_obj
def ack(context: str | None, alert: str, comment: str, form: Form) -> None:
    """Acknowledge an alert: say that you look after it."""

    async def work(client: Client) -> pb.Alert:
        found = await _find(client, alert)
        request = pb.AcknowledgeAlertRequest(name=found.name, comment=comment)
        return await client.call(f"{SERVICE}/AcknowledgeAlert", request, pb.Alert)

    found = run(context, work)
    print_message(found, form, [("alert", cell(found.name)), ("state", view.state(found))])


@alerts.command(short_help="Show what the validators' logs said.")
@click.option("--host", default="", help="Only this host.")
@click.option(
    "--severity", type=click.Choice(SEVERITIES), default="info", show_default=True, help="At least this grave."
)
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many, the newest first."
)
@output_option
@click.pass_obj
def events(context: str | None, host: str, severity: str, limit: int, form: Form) -> None:
    """Show what the validators' logs said that means something, the newest first."""
    request = pb.ListEventsRequest(host=names.host(host), min_severity=f"SEVERITY_{severity.upper()}", page_size=limit)

    async def work(client: Client) -> pb.ListEventsResponse:
        return await client.call(f"{SERVICE}/ListEvents", request, pb.ListEventsResponse)

    found = list(run(context, work).events)
    print_messages(found, form, ("UTC", "SEVERITY", "HOST", "WHAT", "TIMES", "MEANING", "MESSAGE"), _event_row)
    found_nothing(not found, "no log has said anything of the kind")


def _event_row(found: pb.HostEvent) -> list[str]:
    event = found.event
    message = safe(event.message)
    return [
        when_ms(event.unix_ms), view.severity(event.severity), cell(names.short(found.host)),
        cell(event.kind.removeprefix("validator.")), str(max(1, event.times)), cell(event.meaning),
        cell(message if len(message) <= 120 else message[:119] + "…"),
    ]  # fmt: skip


@alerts.command()
@output_option
@click.pass_obj
def rules(context: str | None, form: Form) -> None:
    """Show the rules that raise alerts."""

    async def work(client: Client) -> pb.ListAlertRulesResponse:
        return await client.call(f"{SERVICE}/ListAlertRules", pb.ListAlertRulesRequest(), pb.ListAlertRulesResponse)

    found = list(run(context, work).rules)
    print_messages(found, form, ("RULE", "SEVERITY", "SUBJECT", "FIRES WHEN", "FOR", "WHAT"), _rule_row)


def _rule_row(rule: pb.AlertRule) -> list[str]:
    return [
        cell(rule.name), view.severity(rule.severity),
        view.about(rule.subject), cell(rule.condition),
        f"{rule.for_seconds} s", cell(rule.summary),
    ]  # fmt: skip


@alerts.command(short_help="Keep alerts quiet for a while.")
@click.option("--host", default="", help="Only alerts of this host.")
@click.option("--rule", default="", help="Only alerts of this rule.")
@click.option("--for", "seconds", type=DURATION, required=True, metavar="TIME", help="For how long, as 30m, 4h or 2d.")
@click.option("--reason", required=True, help="Why.")
@output_option
@click.pass_obj
def silence(context: str | None, host: str, rule: str, seconds: int, reason: str, form: Form) -> None:
    """Keep alerts quiet for a while: they are listed, and not told."""
    request = pb.CreateSilenceRequest(rule=rule, host=names.host(host), reason=reason, seconds=seconds)

    async def work(client: Client) -> pb.Silence:
        return await client.call(f"{SERVICE}/CreateSilence", request, pb.Silence)

    made = run(context, work)
    print_message(made, form, [("silence", cell(made.name)), ("until", when(made.end_time, " UTC"))])


@alerts.command()
@output_option
@click.pass_obj
def silences(context: str | None, form: Form) -> None:
    """Show the silences that hold."""

    async def work(client: Client) -> pb.ListSilencesResponse:
        return await client.call(f"{SERVICE}/ListSilences", pb.ListSilencesRequest(), pb.ListSilencesResponse)

    found = list(run(context, work).silences)
    print_messages(found, form, ("SILENCE", "RULE", "HOST", "UNTIL UTC", "BY", "WHY"), _silence_row)


def _silence_row(found: pb.Silence) -> list[str]:
    return [
        cell(names.short(found.name)), cell(found.rule) or "every", cell(names.short(found.host)) or "every",
        when(found.end_time), cell(found.creator), cell(found.reason),
    ]  # fmt: skip


@alerts.command(short_help="End a silence before its time.")
@click.argument("silence")
@output_option
@click.pass_obj
def unsilence(context: str | None, silence: str, form: Form) -> None:
    """End a silence before its time."""

    async def work(client: Client) -> pb.Silence:
        listed = await client.call(f"{SERVICE}/ListSilences", pb.ListSilencesRequest(), pb.ListSilencesResponse)
        name = names.one_of("silences", silence, [found.name for found in listed.silences])
        return await client.call(f"{SERVICE}/EndSilence", pb.EndSilenceRequest(name=name), pb.Silence)

    ended = run(context, work)
    print_message(ended, form, [("silence", cell(ended.name)), ("ended", when(ended.end_time, " UTC"))])


async def _find(client: Client, alert: str) -> pb.Alert:
    request = pb.ListAlertsRequest(resolved=True, page_size=1000)
    listed = await client.call(f"{SERVICE}/ListAlerts", request, pb.ListAlertsResponse)
    name = names.one_of("alerts", alert, [found.name for found in listed.alerts])
    return next(found for found in listed.alerts if found.name == name)
