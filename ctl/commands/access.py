"""access: who may do what."""

import click
from google.protobuf.empty_pb2 import Empty
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from solward.auth.v1 import access_pb2 as pb

from ctl import exits, names
from ctl.client import Client, Reply, run
from ctl.output import Form, as_data, cell, output_option, print_data, print_message, print_messages, safe, when
from ctl.prompts import confirm
from ctl.views.access import (
    SESSION_COLUMNS,
    explained,
    grant_pairs,
    grant_row,
    role_row,
    session_row,
    user_pairs,
    user_row,
    waiting_row,
)  # fmt: skip

SERVICE = "solward.auth.v1.AccessService"


@click.group()
def access() -> None:
    """Who may do what: users, roles, grants, and calls to approve."""


def call(context: str | None, method: str, request: Message, reply: type[Reply]) -> Reply:
    """Make one call of AccessService."""

    async def work(client: Client) -> Reply:
        return await client.call(f"{SERVICE}/{method}", request, reply)

    return run(context, work)


@access.command()
@output_option
@click.pass_obj
def users(context: str | None, form: Form) -> None:
    """List every user."""
    found = call(context, "ListUsers", pb.ListUsersRequest(), pb.ListUsersResponse).users
    print_messages(found, form, ("USER", "ROLE", "STATE", "AUTHENTICATOR", "RECOVERY CODES", "E-MAIL"), user_row)


@access.command(short_help="Invite a user, who sets a password and an authenticator.")
@click.argument("user")
@click.option("--role", default="viewer", show_default=True, help="The role on every host; none: grants alone.")
@click.option("--email", default="", help="Accounts of one address are one person, whose approval counts once.")
@output_option
@click.pass_obj
def invite(context: str | None, user: str, role: str, email: str, form: Form) -> None:
    """Make a user, and an invitation to hand over; the user redeems it with: ctl login --invitation."""
    request = pb.InviteUserRequest(user=_user(user), role=role_name(role), email=email)
    _show_invitation(call(context, "InviteUser", request, pb.Invitation), form)


@access.command("set", short_help="Change a user's role or address, let the user in or keep the user out.")
@click.argument("user")
@click.option("--role", help="The role on every host from now on.")
@click.option("--email", help="The e-mail address from now on.")
@click.option("--disabled/--enabled", default=None, help="Keep the user out, or let the user in again.")
@output_option
@click.pass_obj
def set_(
    context: str | None, user: str, role: str | None, email: str | None, disabled: bool | None, form: Form
) -> None:
    """Change a user; it holds from the user's next call on."""
    given = {"role": role, "email": email, "disabled": disabled}
    paths = [name for name, value in given.items() if value is not None]
    if not paths:
        exits.fail("nothing to change", exits.USAGE, "give --role, --email, --disabled or --enabled")
    request = pb.UpdateUserRequest(
        user=_user(user), role=role_name(role) if role else "", email=email or "", disabled=bool(disabled),
        update_mask=FieldMask(paths=paths),
    )  # fmt: skip
    done = call(context, "UpdateUser", request, pb.User)
    print_message(done, form, user_pairs(done))


@access.command(short_help="Take a user's password and authenticator away, and invite anew.")
@click.argument("user")
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_option
@click.pass_obj
def reset(context: str | None, user: str, yes: bool, form: Form) -> None:
    """Take USER's password and authenticator away, for one who lost them; another person approves it first."""
    if not yes:
        confirm(f"Take the password and authenticator of {user} away, and end all sessions?")
    request = pb.ResetSecondFactorRequest(user=_user(user))
    _show_invitation(call(context, "ResetSecondFactor", request, pb.Invitation), form)


@access.command()
@click.argument("user")
@output_option
@click.pass_obj
def sessions(context: str | None, user: str, form: Form) -> None:
    """List a user's open sessions."""
    request = pb.ListUserSessionsRequest(user=_user(user))
    found = call(context, "ListUserSessions", request, pb.ListUserSessionsResponse).sessions
    print_messages(found, form, SESSION_COLUMNS, session_row)


@access.command("end-sessions", short_help="End every session of a user at once.")
@click.argument("user")
@click.pass_obj
def end_sessions(context: str | None, user: str) -> None:
    """End every session of a user at once; open streams end with them."""
    request = pb.EndUserSessionsRequest(user=_user(user))
    ended = call(context, "EndUserSessions", request, pb.EndUserSessionsResponse).ended
    click.echo(f"{ended} session{'' if ended == 1 else 's'} ended")


@access.command()
@output_option
@click.pass_obj
def roles(context: str | None, form: Form) -> None:
    """List the built-in roles and your own, with what they permit."""
    found = call(context, "ListRoles", pb.ListRolesRequest(), pb.ListRolesResponse).roles
    print_messages(found, form, ("ROLE", "", "PERMITS"), role_row)


@access.command("create-role", short_help="Make a role of permissions.")
@click.argument("role")
@click.argument("permissions", nargs=-1, required=True)
@output_option
@click.pass_obj
def create_role(context: str | None, role: str, permissions: tuple[str, ...], form: Form) -> None:
    """Make ROLE of PERMISSIONS, for example: hosts.read validator.restart."""
    request = pb.CreateRoleRequest(role=role_name(role), permissions=permissions)
    made = call(context, "CreateRole", request, pb.Role)
    print_message(made, form, [("role", cell(made.name)), ("permits", cell(", ".join(made.permissions)))])


@access.command("delete-role")
@click.argument("role")
@click.pass_obj
def delete_role(context: str | None, role: str) -> None:
    """Take away a role of your own that nobody has."""
    call(context, "DeleteRole", pb.DeleteRoleRequest(role=role_name(role)), Empty)
    click.echo(f"{role_name(role)} is gone")


@access.command()
@click.option("--user", default="", help="Only grants of this user.")
@output_option
@click.pass_obj
def grants(context: str | None, user: str, form: Form) -> None:
    """List the grants that hold."""
    request = pb.ListGrantsRequest(user=_user(user) if user else "")
    found = call(context, "ListGrants", request, pb.ListGrantsResponse).grants
    print_messages(found, form, ("GRANT", "USER", "ROLE", "ON", "ENDS UTC", "BY"), grant_row)


@access.command(short_help="Give a user a role on all hosts, a group or one host.")
@click.argument("user")
@click.argument("role")
@click.option("--on", "scope", required=True, metavar="*|groups/GROUP|hosts/HOST", help="Where it holds.")
@click.option("--hours", type=click.FloatRange(0, 8784), default=0, help="For how long; without it, until it is ended.")
@output_option
@click.pass_obj
def grant(context: str | None, user: str, role: str, scope: str, hours: float, form: Form) -> None:
    """Give USER the role ROLE somewhere, for a time or until it is ended."""
    request = pb.CreateGrantRequest(user=_user(user), role=role_name(role), scope=scope, seconds=round(hours * 3600))
    done = call(context, "CreateGrant", request, pb.Grant)
    print_message(done, form, grant_pairs(done))


@access.command("end-grant")
@click.argument("grant_id", metavar="GRANT")
@output_option
@click.pass_obj
def end_grant(context: str | None, grant_id: str, form: Form) -> None:
    """End a grant at once."""
    known = call(context, "ListGrants", pb.ListGrantsRequest(), pb.ListGrantsResponse).grants
    name = names.one_of("grants", grant_id, [one.name for one in known], hint="ctl access grants")
    done = call(context, "EndGrant", pb.EndGrantRequest(name=name), pb.Grant)
    print_message(done, form, grant_pairs(done))


@access.command(short_help="Say whether a user may call a method, by which rule, and what is missing.")
@click.argument("method")
@click.option("--as", "user", default="", metavar="USER", help="The user; by default, yourself.")
@click.option("--host", default="", help="The host that the call would be about.")
@output_option
@click.pass_obj
def explain(context: str | None, method: str, user: str, host: str, form: Form) -> None:
    """Say whether a user may call METHOD (as in ValidatorService/Restart); the exit code is 4 if not."""
    request = pb.ExplainAccessRequest(method=method, user=_user(user) if user else "", host=names.host(host))
    found = call(context, "ExplainAccess", request, pb.Explanation)
    print_message(found, form, explained(found))
    if not found.allowed:
        raise SystemExit(exits.NOT_ALLOWED)


@access.command()
@output_option
@click.pass_obj
def approvals(context: str | None, form: Form) -> None:
    """List the calls that wait for another person's approval."""
    found = call(context, "ListCallApprovals", pb.ListCallApprovalsRequest(), pb.ListCallApprovalsResponse)
    print_messages(
        found.call_approvals, form, ("CALL", "BY", "METHOD", "REQUEST", "APPROVED BY", "ENDS UTC"), waiting_row
    )


@access.command(short_help="Approve a call that another person asked for.")
@click.argument("call_id", metavar="CALL")
@click.option("--yes", is_flag=True, help="Do not ask before approving.")
@output_option
@click.pass_obj
def approve(context: str | None, call_id: str, yes: bool, form: Form) -> None:
    """Approve a call that another person asked for, as it is shown, with a code of your own."""
    asked = pb.ListCallApprovalsRequest()
    waiting = call(context, "ListCallApprovals", asked, pb.ListCallApprovalsResponse).call_approvals
    known = {one.name: one for one in waiting}
    shown = known[names.one_of("callApprovals", call_id, list(known), hint="ctl access approvals")]
    if not yes:
        click.echo(safe(f"{shown.requester} asks for {shown.method} {shown.request}"), err=True)
        confirm("Approve it?")
    request = pb.ApproveCallRequest(name=shown.name, call_digest=shown.call_digest)
    done = call(context, "ApproveCall", request, pb.CallApproval)
    print_message(done, form, [("call", cell(done.method)), ("approved by", cell(", ".join(done.approvers)))])


def _user(text: str) -> str:
    return f"users/{text.removeprefix('users/')}"


def role_name(text: str) -> str:
    """Give the resource name of a role."""
    return f"roles/{text.removeprefix('roles/')}"


def _show_invitation(invitation: pb.Invitation, form: Form) -> None:
    if form != "table":
        print_data(as_data(invitation), form)
        return
    if not invitation.invitation:
        name = safe(invitation.user.name.partition("/")[2])
        click.echo(f"{name} signs in at the identity provider, then: ctl account authenticator", err=True)
        return
    click.echo(invitation.invitation)
    click.echo(
        f"\n{invitation.user.name.partition('/')[2]} redeems it with: ctl login --server HOST:7444 --ca-file ca.pem "
        f"--invitation   (then pastes it)\n"
        f"It is shown this once and ends at {when(invitation.expire_time)} UTC.",
        err=True,
    )
