"""account: your own sessions, authenticator and recovery codes."""

import click
from google.protobuf.empty_pb2 import Empty
from solward.auth.v1 import auth_pb2

from ctl import names
from ctl.client import AUTH, Client, run
from ctl.output import Form, output_option, print_messages
from ctl.prompts import ask
from ctl.views.access import SESSION_COLUMNS, session_row
from ctl.views.authenticator import show_codes, show_secret


@click.group()
def account() -> None:
    """Your own sessions, authenticator and recovery codes."""


@account.command("sessions")
@output_option
@click.pass_obj
def sessions_(context_name: str | None, form: Form) -> None:
    """List your open sessions."""

    async def work(client: Client) -> auth_pb2.ListSessionsResponse:
        request = auth_pb2.ListSessionsRequest()
        return await client.call(f"{AUTH}/ListSessions", request, auth_pb2.ListSessionsResponse)

    print_messages(run(context_name, work).sessions, form, SESSION_COLUMNS, session_row)


@account.command("end-session", short_help="End one of your sessions.")
@click.argument("session")
@click.pass_obj
def end_session(context_name: str | None, session: str) -> None:
    """End one of your sessions, for example on a laptop that was lost."""

    async def work(client: Client) -> None:
        asked = auth_pb2.ListSessionsRequest()
        found = await client.call(f"{AUTH}/ListSessions", asked, auth_pb2.ListSessionsResponse)
        known = [one.name for one in found.sessions]
        name = names.one_of("sessions", session, known, hint="ctl account sessions")
        await client.call(f"{AUTH}/EndSession", auth_pb2.EndSessionRequest(name=name), Empty)

    run(context_name, work)
    click.echo("the session is over")


@account.command("authenticator")
@click.pass_obj
def authenticator(context_name: str | None) -> None:
    """Set a new authenticator up in the place of the old one."""

    async def work(client: Client) -> auth_pb2.RecoveryCodes:
        asked = auth_pb2.SetUpSecondFactorRequest()
        show_secret(await client.call(f"{AUTH}/SetUpSecondFactor", asked, auth_pb2.AuthenticatorSecret))
        request = auth_pb2.ConfirmSecondFactorRequest(totp_code=ask("First code of the new authenticator"))
        return await client.call(f"{AUTH}/ConfirmSecondFactor", request, auth_pb2.RecoveryCodes)

    show_codes(run(context_name, work))


@account.command("recovery-codes")
@click.pass_obj
def recovery_codes(context_name: str | None) -> None:
    """Make new recovery codes; the old ones end."""

    async def work(client: Client) -> auth_pb2.RecoveryCodes:
        request = auth_pb2.RenewRecoveryCodesRequest()
        return await client.call(f"{AUTH}/RenewRecoveryCodes", request, auth_pb2.RecoveryCodes)

    show_codes(run(context_name, work))
