"""login, logout, status."""

import datetime as dt
from collections.abc import Awaitable
from typing import TextIO, TypeVar

import click
import grpc
from google.protobuf.empty_pb2 import Empty
from solward.auth.v1 import auth_pb2
from solward.hosts.v1 import hosts_pb2
from solward.metrics.v1 import metrics_pb2

from common.pki import load_certificates
from ctl import contexts, exits
from ctl import names as typed
from ctl.client import AUTH, Client, run, run_with
from ctl.commands.certs import all_authorities
from ctl.commands.hosts import all_hosts, troubles
from ctl.contexts import Context
from ctl.held import hold_newest
from ctl.oidc import by_browser, by_device
from ctl.output import Form, as_data, cell, output_option, print_data, print_pairs, when
from ctl.prompts import ask
from ctl.views.authenticator import show_codes, show_secret
from ctl.views.expiry import authority_troubles

Outward = metrics_pb2.ListConnectionsResponse
Seen = tuple[auth_pb2.Caller, list[hosts_pb2.Host] | None, list[str], Outward, str]
Answer = TypeVar("Answer")


@click.command()
@click.option("--server", metavar="HOST[:PORT]", help="The control plane's TLS address (port 7444 if not given).")
@click.option("--ca-file", type=click.File("r"), help="Its certificate authority, as init made it.")
@click.option("--user", "username", help="Your name.")
@click.option(
    "--name", default="", help="What to call this control plane here; by default, the current one, or default."
)
@click.option("--recovery", is_flag=True, help="Sign in by a recovery code: your authenticator is lost.")
@click.option("--oidc", is_flag=True, help="Sign in at the identity provider, by a browser on this machine.")
@click.option("--no-browser", is_flag=True, help="With --oidc: print the address only.")
@click.option("--device", is_flag=True, help="Sign in at the identity provider, by a browser on another device.")
@click.option("--invitation", is_flag=True, help="Redeem an invitation: set your password and authenticator up.")
@click.pass_obj
def login(
    context_name: str | None, server: str | None, ca_file: TextIO | None, username: str | None, name: str,
    recovery: bool, invitation: bool, oidc: bool, no_browser: bool, device: bool,
) -> None:  # fmt: skip
    """Sign in to a control plane.

    Server and authority are needed the first time only. Where there is no terminal, password and code are
    read from standard input, a line each.
    """
    name = context_name or name or ("" if server else contexts.current_name()) or "default"
    context = _context(name, server, ca_file)

    async def by_password(client: Client) -> auth_pb2.Session:
        user = username or context.username or ask("User")
        password = ask("Password", hide=True)
        code = ask("A recovery code" if recovery else "Code of your authenticator")
        given = {"recovery_code": code.lower()} if recovery else {"totp_code": code}
        request = auth_pb2.LoginRequest(username=user, password=password, **given)
        return await client.attempt(f"{AUTH}/Login", request, auth_pb2.Session)

    async def work(client: Client) -> auth_pb2.Session:
        if device:
            session = await by_device(client)
        elif oidc:
            session = await by_browser(client, show_only=no_browser)
        else:
            session = await by_password(client)
        client.keep(session)
        await hold_newest(client)
        return session

    if invitation:
        context.username = run_with(context, _redeem)
        contexts.save(context)
        contexts.use(name)
        click.echo(f"{context.username} is set up: sign in with the next code (ctl login)", err=True)
        return
    session = run_with(context, work)
    contexts.use(name)
    click.echo(f"signed in to {context.server} as {session.username}, until {when(session.session_expire_time)} UTC")


@click.command()
@click.pass_obj
def logout(context_name: str | None) -> None:
    """End the session; its tokens are refused from then on."""

    async def work(client: Client) -> None:
        await client.attempt(f"{AUTH}/Logout", auth_pb2.LogoutRequest(), Empty)
        client.keep(auth_pb2.Session(username=client.context.username))

    run(context_name, work)
    click.echo("signed out")


@click.command()
@output_option
@click.pass_obj
def status(context_name: str | None, form: Form) -> None:
    """Say who you are, on which control plane, and whether all is well."""
    now = dt.datetime.now(dt.UTC)

    async def work(client: Client) -> Seen:
        caller = await client.call(f"{AUTH}/GetCaller", auth_pb2.GetCallerRequest(), auth_pb2.Caller)
        fleet = await _if_allowed(all_hosts(client))
        ending = authority_troubles(await _if_allowed(all_authorities(client)) or [], now)
        connections = await _if_allowed(_connections(client))
        return caller, fleet, ending, connections or Outward(), client.context.server

    caller, fleet, ending, outward, server = run(context_name, work)
    connections = list(outward.connections)
    wrong = ending + troubles(fleet or [], now) + _failing(connections)
    if outward.store_problem:
        wrong.append(f"telemetry is not stored: {outward.store_problem}")
    counts = {
        "active": sum(host.state == hosts_pb2.HOST_STATE_ACTIVE for host in fleet or []),
        "connected": sum(host.connected for host in fleet or []),
    }
    if form != "table":
        seen = {
            "server": server, "hosts": counts if fleet is not None else None, "troubles": wrong,
            "connections": [as_data(one) for one in connections],
        }  # fmt: skip
        print_data(as_data(caller) | seen, form)
        return
    pairs = [
        ("server", cell(server)),
        ("user", cell(caller.username)),
        ("role", cell(caller.role)),
        ("permissions", cell(", ".join(caller.permissions))),
        ("second factor until", when(caller.second_factor_expire_time, " UTC")),
    ]
    if fleet is not None:
        offline = counts["active"] - counts["connected"]
        pairs.append(("hosts", f"{counts['connected']} connected, {offline} offline"))
        pairs += [("not well", f"[red]{cell(what)}[/]") for what in wrong] or [("all well", "[green]yes[/]")]
    if connections:
        pairs.append(("connections", cell(", ".join(f"{one.name} {_state(one)}" for one in connections))))
    print_pairs(pairs)


async def _if_allowed(asked: Awaitable[Answer]) -> Answer | None:
    """Give what the caller may see; None where it may not."""
    try:
        return await asked
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.PERMISSION_DENIED:
            raise
        return None


async def _connections(client: Client) -> Outward:
    request = metrics_pb2.ListConnectionsRequest()
    method = "solward.metrics.v1.MetricsService/ListConnections"
    return await client.call(method, request, Outward)


def _failing(connections: list[metrics_pb2.Connection]) -> list[str]:
    return [
        f"{one.name} does not answer: {one.failures} calls failed in a row, tried again in {one.retry_seconds:.0f} s"
        for one in connections
        if one.state != metrics_pb2.BREAKER_STATE_CLOSED
    ]


def _state(one: metrics_pb2.Connection) -> str:
    return metrics_pb2.BreakerState.Name(one.state).removeprefix("BREAKER_STATE_").lower().replace("_", "-")


async def _redeem(client: Client) -> str:
    """Set a password and an authenticator up by an invitation; gives the user's name."""
    invitation, password = ask("Invitation", hide=True), ask("Your password from now on", hide=True)
    accept = auth_pb2.AcceptInvitationRequest(invitation=invitation, password=password)
    secret = await client.attempt(f"{AUTH}/AcceptInvitation", accept, auth_pb2.AuthenticatorSecret)
    show_secret(secret)
    code = ask("First code of your authenticator")
    confirm = auth_pb2.ConfirmInvitationRequest(invitation=invitation, totp_code=code)
    codes = await client.attempt(f"{AUTH}/ConfirmInvitation", confirm, auth_pb2.RecoveryCodes)
    show_codes(codes)
    return codes.username


def _context(name: str, server: str | None, ca_file: TextIO | None) -> Context:
    known = contexts.load(name) if name in contexts.names() else None
    if known is None and (server is None or ca_file is None):
        exits.fail(
            f"{name!r} is new: say where it is and whom to trust", exits.USAGE,
            "ctl login --server HOST:7444 --ca-file ca.pem --user NAME",
        )  # fmt: skip
    context = known or Context(name, "", "")
    server = typed.server(server) if server else None
    # Another server or authority is another control plane: what was pinned of the old one does not hold.
    if (server and server != context.server) or ca_file:
        context = Context(name, server or context.server, _authority(ca_file) if ca_file else context.ca_pem)
    return context


def _authority(file: TextIO) -> str:
    try:
        pem = file.read()
        load_certificates(pem.encode())
    except ValueError:
        exits.fail(
            f"{file.name} holds no PEM certificate", exits.USAGE, "--ca-file takes the control plane's pki/ca.pem"
        )
    return pem
