"""Users, roles, grants, sessions and calls to approve, as they are shown."""

import datetime as dt

from solward.auth.v1 import access_pb2 as pb
from solward.auth.v1 import auth_pb2

from ctl.output import cell, when

SESSION_COLUMNS = ("SESSION", "OPENED UTC", "USED UTC", "ENDS UTC", "FROM", "")


def session_row(session: auth_pb2.OpenSession) -> tuple[str, ...]:
    """Show an open session as a row."""
    times = (when(session.create_time), when(session.use_time), when(session.expire_time))
    return (session.name.partition("/")[2][:12], *times, cell(session.peer), "this one" if session.current else "")


def _bare(name: str) -> str:
    return cell(name.partition("/")[2])


def _state(user: pb.User) -> str:
    if user.disabled:
        return "[red]kept out[/]"
    if user.lock_expire_time.seconds:
        return f"[yellow]locked until {when(user.lock_expire_time)}[/]"
    if user.invitation_expire_time.seconds:
        over = user.invitation_expire_time.ToDatetime(dt.UTC) < dt.datetime.now(dt.UTC)
        return "[yellow]invitation over[/]" if over else "[yellow]invited[/]"
    return "[green]active[/]"


def user_row(user: pb.User) -> tuple[str, ...]:
    """Show a user as a row."""
    factor = "yes" if user.has_second_factor else "[yellow]no[/]"
    codes = str(user.recovery_codes_left)
    return (_bare(user.name), _bare(user.role), _state(user), factor, codes, cell(user.email))


def user_pairs(user: pb.User) -> list[tuple[str, str]]:
    """Show a user as pairs."""
    return list(
        zip(("user", "role", "state", "authenticator", "recovery codes", "e-mail"), user_row(user), strict=True)
    )


def role_row(role: pb.Role) -> tuple[str, ...]:
    """Show a role as a row."""
    return (_bare(role.name), "built in" if role.built_in else "", cell(", ".join(role.permissions)))


def grant_row(grant: pb.Grant) -> tuple[str, ...]:
    """Show a grant as a row."""
    ends = when(grant.expire_time) if grant.expire_time.seconds else "when ended"
    return (_bare(grant.name)[:12], _bare(grant.user), _bare(grant.role), cell(grant.scope), ends, cell(grant.creator))


def grant_pairs(grant: pb.Grant) -> list[tuple[str, str]]:
    """Show a grant as pairs."""
    pairs = list(zip(("grant", "user", "role", "on", "ends", "by"), grant_row(grant), strict=True))
    return [*pairs, ("ended", when(grant.end_time))] if grant.end_time.seconds else pairs


def explained(found: pb.Explanation) -> list[tuple[str, str]]:
    """Show a decision with its grounds."""
    verdict = f"[green]yes[/], by {cell(found.rule)}" if found.allowed else f"[red]no[/]: {cell(found.missing)}"
    factor = ("", "none", "a recent code", "a code for this call")[found.second_factor]
    return [
        ("user", _bare(found.user)), ("method", cell(found.method)), ("permission", cell(found.permission)),
        ("allowed", verdict), ("has", cell("; ".join(found.rules))), ("second factor", factor),
        ("approvals", _approvals(found)),
    ]  # fmt: skip


def _approvals(found: pb.Explanation) -> str:
    power = found.power_approvals
    return f"{found.approvals}; {power} where power over access is given" if power else str(found.approvals)


def waiting_row(one: pb.CallApproval) -> tuple[str, ...]:
    """Show a call that waits as a row."""
    method = one.method.rpartition(".")[2]
    approvers = f"{', '.join(one.approvers)} ({len(one.approvers)} of {one.approvals_required})"
    return (_bare(one.name)[:12], cell(one.requester), cell(method), cell(one.request), cell(approvers),
            when(one.expire_time))  # fmt: skip
