"""hosts: the fleet."""

import datetime as dt
from pathlib import Path

import click
from solward.hosts.v1 import hosts_pb2 as pb

from ctl import names
from ctl.client import Client, run
from ctl.exits import USAGE, fail
from ctl.files import check_writable
from ctl.output import Form, as_data, cell, output_option, print_data, print_message, print_messages, when
from ctl.prompts import confirm
from ctl.views.expiry import expiry_troubles, time_left

SERVICE = "solward.hosts.v1.HostsService"
MOST_SKEW_S = 2
_COLOURS = {"active": "green", "pending": "yellow", "revoked": "red", "quarantined": "red"}


@click.group()
def hosts() -> None:
    """List, enroll and revoke hosts."""


@hosts.command("list")
@output_option
@click.pass_obj
def list_(context: str | None, form: Form) -> None:
    """List the fleet: who is connected, and how long certificates hold."""
    columns = ("HOST", "STATE", "CONNECTED", "AGENT", "CERTIFICATE", "CLOCK", "DROPPED", "LAST SEEN UTC")
    print_messages(run(context, all_hosts), form, columns, _row)


async def all_hosts(client: Client) -> list[pb.Host]:
    """List the whole fleet."""
    found: list[pb.Host] = []
    token = ""
    while True:
        request = pb.ListHostsRequest(page_token=token)
        page = await client.call(f"{SERVICE}/ListHosts", request, pb.ListHostsResponse)
        found += page.hosts
        token = page.next_page_token
        if not token:
            return found


def troubles(fleet: list[pb.Host], now: dt.datetime) -> list[str]:
    """Say what is not well in a fleet, in words."""
    said = []
    for host in fleet:
        name = host.name.removeprefix("hosts/")
        if host.state == pb.HOST_STATE_QUARANTINED:
            said.append(f"{name} is quarantined: two machines showed up with its identity")
        if host.state != pb.HOST_STATE_ACTIVE:
            continue
        if not host.connected:
            said.append(f"{name} is offline, last seen {when(host.last_seen_time, ' UTC')}")
        said += expiry_troubles(name, host.certificate_start_time, host.certificate_expire_time, now)
        if abs(host.clock_skew_seconds) > MOST_SKEW_S:
            said.append(f"{name}: its clock is {_skew(host)} off")
    return said


@hosts.command()
@click.argument("host")
@output_option
@click.pass_obj
def show(context: str | None, host: str, form: Form) -> None:
    """Show one host."""
    name = names.some_host(host)

    async def work(client: Client) -> pb.Host:
        return await client.call(f"{SERVICE}/GetHost", pb.GetHostRequest(name=name), pb.Host)

    _show(run(context, work), form)


@hosts.command(short_help="Make a token with which HOST joins the fleet.")
@click.argument("host")
@click.option("--ca-out", type=click.Path(path_type=Path), help="Also write the certificate authority to this file.")
@click.option("--recover", is_flag=True, help="HOST has joined and its certificate is over: it stays the same host.")
@click.option("--reason", default="", help="With --recover: why; everybody is alerted with it.")
@output_option
@click.pass_obj
def enroll(context: str | None, host: str, ca_out: Path | None, recover: bool, reason: str, form: Form) -> None:
    """Make a single-use token with which HOST joins the fleet, within the hour."""
    name = names.some_host(host)
    if recover and not reason:
        fail("a recovery must say why", USAGE, f"ctl hosts enroll {names.short(name)} --recover --reason '...'")
    if ca_out:
        check_writable(ca_out)

    async def work(client: Client) -> pb.JoinToken:
        if recover:
            wish = pb.CreateRecoveryTokenRequest(host=name, reason=reason)
            return await client.call(f"{SERVICE}/CreateRecoveryToken", wish, pb.JoinToken)
        request = pb.CreateJoinTokenRequest(host=name)
        return await client.call(f"{SERVICE}/CreateJoinToken", request, pb.JoinToken)

    made = run(context, work)
    if ca_out:
        ca_out.write_text(made.ca_pem)
    if form != "table":
        print_data(as_data(made), form)
        return
    host, authority = names.short(name), ca_out.name if ca_out else "ca.pem"
    how = " --recover" if recover else ""
    click.echo(made.token)
    click.echo(
        f"\nOn {host}, with the certificate authority as {authority}:\n"
        f"  solward-agent enroll{how} --host {host} --ca-file {authority}   (then paste the token and press Ctrl-D)\n"
        + ("  systemctl restart solward-agent\n" if recover else "")
        + f"The token is shown this once and ends at {when(made.expire_time)} UTC.",
        err=True,
    )


@hosts.command()
@click.argument("host")
@click.option("--reason", default="", help="Why, for the audit log.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_option
@click.pass_obj
def revoke(context: str | None, host: str, reason: str, yes: bool, form: Form) -> None:
    """Take HOST's certificates back and cut its stream, at once."""
    name = names.some_host(host)
    if not yes:
        confirm(f"Cut {names.short(name)} off? It must enroll again to come back.")

    async def work(client: Client) -> pb.Host:
        request = pb.RevokeHostRequest(name=name, reason=reason)
        return await client.call(f"{SERVICE}/RevokeHost", request, pb.Host)

    _show(run(context, work), form)


def _state(host: pb.Host) -> str:
    word = pb.HostState.Name(host.state).removeprefix("HOST_STATE_").lower()
    return f"[{_COLOURS.get(word, 'white')}]{word}[/]"


def _certificate(host: pb.Host) -> str:
    if not host.certificate_expire_time.seconds:
        return "-"
    return time_left(host.certificate_start_time, host.certificate_expire_time, dt.datetime.now(dt.UTC))


def _skew(host: pb.Host) -> str:
    if not host.last_seen_time.seconds:
        return "-"
    text = f"{host.clock_skew_seconds:+.1f}"
    return "0.0 s" if float(text) == 0 else f"{text} s"


def _row(host: pb.Host) -> list[str]:
    connected = "[green]yes[/]" if host.connected else "[red]no[/]"
    skew = _skew(host)
    return [
        cell(host.name.removeprefix("hosts/")),
        _state(host),
        connected if host.state == pb.HOST_STATE_ACTIVE else "-",
        cell(host.agent_version) or "-",
        _certificate(host),
        f"[red]{skew}[/]" if abs(host.clock_skew_seconds) > MOST_SKEW_S else skew,
        str(host.dropped_samples),
        when(host.last_seen_time),
    ]


def _show(host: pb.Host, form: Form) -> None:
    names = ("host", "state", "connected", "agent", "certificate", "clock", "dropped samples", "last seen (UTC)")
    labels = " ".join(f"{name}={value}" for name, value in sorted(host.labels.items()))
    pairs = [
        *zip(names, _row(host), strict=True), ("group", cell(host.group) or "-"), ("labels", cell(labels) or "-"),
        ("uid", host.uid), ("named (UTC)", when(host.create_time)),
    ]  # fmt: skip
    print_message(host, form, pairs)
