"""auth.v1: who may do what: users, roles, grants, explanations and calls to approve."""

import uuid

import grpc
from google.protobuf.empty_pb2 import Empty
from solward.auth.v1 import access_pb2 as pb
from solward.auth.v1.access_pb2_grpc import AccessServiceServicer

from common.clock import now_ms, timestamp
from common.errors import SolwardError, wrong_field
from common.names import host_id
from controlplane.api.auth import open_session
from controlplane.guard.context import Context, caller, current_call
from controlplane.guard.roles import PERMISSIONS, ROLES
from controlplane.identity.call_approvals import CallApprovals
from controlplane.identity.client_certificates import ClientCertificates
from controlplane.identity.explain import Explainer
from controlplane.identity.people import Invited, People
from controlplane.identity.power import Power, must_hold
from controlplane.identity.principals import Principals
from controlplane.identity.role_book import RoleBook
from controlplane.identity.sessions import Sessions
from controlplane.store.access import AccessRepository, ApprovalRow, GrantRow
from controlplane.store.hosts import HostRepository
from controlplane.store.users import User

CHANGEABLE = ("role", "disabled", "email")


class AccessApi(AccessServiceServicer):
    """Serves AccessService."""

    def __init__(
        self, people: People, roles: RoleBook, power: Power, stored: AccessRepository, sessions: Sessions,
        principals: Principals, hosts: HostRepository, explainer: Explainer, approvals: CallApprovals,
        certificates: ClientCertificates,
    ) -> None:  # fmt: skip
        self._people = people
        self._roles = roles
        self._power = power
        self._stored = stored
        self._sessions = sessions
        self._principals = principals
        self._hosts = hosts
        self._explainer = explainer
        self._approvals = approvals
        self._certificates = certificates

    async def ListUsers(self, request: pb.ListUsersRequest, context: Context) -> pb.ListUsersResponse:
        return pb.ListUsersResponse(users=[await self._user(user) for user in await self._people.all()])

    async def InviteUser(self, request: pb.InviteUserRequest, context: Context) -> pb.Invitation:
        role = _id(request.role)
        must_hold(caller().rules, await self._roles.must_know(role))
        return await self._invitation(await self._people.invite(_id(request.user), role, request.email))

    async def UpdateUser(self, request: pb.UpdateUserRequest, context: Context) -> pb.User:
        wrong = [path for path in request.update_mask.paths if path not in CHANGEABLE]
        if wrong or not request.update_mask.paths:
            what = f"must name some of {', '.join(CHANGEABLE)}, not {', '.join(wrong) or 'nothing'}"
            raise wrong_field("update_mask", what)
        user = await self._people.get(_id(request.user))
        await self._power.must_hold_all_of(caller().rules, user)
        if "role" in request.update_mask.paths:
            must_hold(caller().rules, await self._roles.must_know(_id(request.role)))
        given = {"role": _id(request.role), "disabled": request.disabled, "email": request.email}
        changed = {path: given[path] for path in request.update_mask.paths}
        current_call().notes.update(before={path: getattr(user, path) for path in changed})
        user = await self._people.update(user, **changed)
        if user.disabled:
            await self._sessions.end_all(user.uid)
        return await self._user(user)

    async def ResetSecondFactor(self, request: pb.ResetSecondFactorRequest, context: Context) -> pb.Invitation:
        user = await self._people.get(_id(request.user))
        await self._power.must_hold_all_of(caller().rules, user)
        invited = await self._people.reset(user)
        await self._sessions.end_all(user.uid)
        await self._certificates.revoke_all(user.uid)
        self._principals.forget()
        return await self._invitation(invited)

    async def ListUserSessions(
        self, request: pb.ListUserSessionsRequest, context: Context
    ) -> pb.ListUserSessionsResponse:
        user = await self._people.get(_id(request.user))
        found = await self._sessions.of_user(user.uid)
        return pb.ListUserSessionsResponse(sessions=[open_session(one, user.name) for one in found])

    async def EndUserSessions(self, request: pb.EndUserSessionsRequest, context: Context) -> pb.EndUserSessionsResponse:
        user = await self._people.get(_id(request.user))
        ended = await self._sessions.end_all(user.uid)
        self._principals.forget()
        return pb.EndUserSessionsResponse(ended=ended)

    async def ListRoles(self, request: pb.ListRolesRequest, context: Context) -> pb.ListRolesResponse:
        built_in = [_role(name, held, built_in=True) for name, held in ROLES.items()]
        own = [_role(name, held, built_in=False) for name, held in (await self._stored.roles()).items()]
        return pb.ListRolesResponse(roles=built_in + own)

    async def CreateRole(self, request: pb.CreateRoleRequest, context: Context) -> pb.Role:
        must_hold(caller().rules, PERMISSIONS & set(request.permissions))
        permissions = await self._roles.create(_id(request.role), request.permissions, caller().name)
        return _role(_id(request.role), permissions, built_in=False)

    async def DeleteRole(self, request: pb.DeleteRoleRequest, context: Context) -> Empty:
        permissions = await self._roles.permissions(_id(request.role)) or ()
        current_call().notes.update(before={"permissions": sorted(permissions)})
        await self._roles.delete(_id(request.role))
        self._principals.forget()
        return Empty()

    async def ListGrants(self, request: pb.ListGrantsRequest, context: Context) -> pb.ListGrantsResponse:
        of_user = (await self._people.get(_id(request.user))).uid if request.user else ""
        names = {user.uid: user.name for user in await self._people.all()}
        rows = await self._stored.grants(now_ms(), of_user)
        return pb.ListGrantsResponse(grants=[_grant(row, names.get(row.user_uid, "")) for row in rows])

    async def CreateGrant(self, request: pb.CreateGrantRequest, context: Context) -> pb.Grant:
        user, role = await self._people.get(_id(request.user)), _id(request.role)
        permissions, host_uid, now = await self._roles.must_know(role), await self._host_uid(request.scope), now_ms()
        must_hold(caller().rules, permissions, request.scope, host_uid)
        row = GrantRow(
            uid=uuid.uuid4().hex, user_uid=user.uid, role=role, scope=request.scope,
            host_uid=host_uid,
            expires_ms=now + request.seconds * 1000 if request.seconds else None,
            ended_ms=None, creator=caller().name, created_ms=now,
        )  # fmt: skip
        await self._stored.add_grant(row)
        self._principals.forget()
        current_call().notes.update(grant=f"grants/{row.uid}")
        return _grant(row, user.name)

    async def EndGrant(self, request: pb.EndGrantRequest, context: Context) -> pb.Grant:
        row, now = await self._stored.grant(_id(request.name)), now_ms()
        if row is None or not await self._stored.end_grant(row.uid, now):
            raise SolwardError(
                grpc.StatusCode.NOT_FOUND, "GRANT_NOT_FOUND", f"there is no {request.name} that holds: see ListGrants"
            )
        self._principals.forget()
        user = await self._people.by_uid(row.user_uid)
        current_call().notes.update(before={"user": user.name if user else "", "role": row.role, "scope": row.scope})
        return _grant(row._replace(ended_ms=now), user.name if user else "")

    async def ExplainAccess(self, request: pb.ExplainAccessRequest, context: Context) -> pb.Explanation:
        user = await self._people.get(_id(request.user) if request.user else caller().name)
        found = await self._explainer.explain(user, request.method, request.host)
        policy = found.rule.policy
        return pb.Explanation(
            allowed=found.decision.allowed,
            method=found.rule.name,
            user=f"users/{user.name}",
            permission=policy.permission,
            rule="; ".join(rule.words() for rule in found.decision.rules),
            missing=found.missing,
            rules=[rule.words() for rule in found.rules],
            second_factor=policy.second_factor,
            approvals=policy.approvals,
            power_approvals=policy.power_approvals,
        )

    async def ListCallApprovals(
        self, request: pb.ListCallApprovalsRequest, context: Context
    ) -> pb.ListCallApprovalsResponse:
        rows = await self._approvals.waiting()
        return pb.ListCallApprovalsResponse(call_approvals=[await self._approval(row) for row in rows])

    async def ApproveCall(self, request: pb.ApproveCallRequest, context: Context) -> pb.CallApproval:
        row = await self._approvals.approve(_id(request.name), request.call_digest, caller().uid)
        current_call().notes.update(approved=row.method, call_digest=row.call_digest)
        return await self._approval(row)

    async def _host_uid(self, scope: str) -> str:
        if not scope.startswith("hosts/"):
            return ""
        row = await self._hosts.by_name(host_id(scope))
        if row is None:
            raise SolwardError(
                grpc.StatusCode.NOT_FOUND, "HOST_NOT_FOUND", f"there is no {scope}: see ctl hosts list", {"host": scope}
            )
        return row.uid

    async def _user(self, user: User) -> pb.User:
        now = now_ms()
        return pb.User(
            name=f"users/{user.name}", uid=user.uid, role=f"roles/{user.role}", disabled=user.disabled,
            email=user.email, has_second_factor=user.has_second_factor, federated=bool(user.subject),
            recovery_codes_left=await self._people.recovery_left(user.uid),
            invitation_expire_time=timestamp(user.invitation_expires_ms if user.invitation_hash else None),
            lock_expire_time=timestamp(user.locked_until_ms if user.locked_until_ms > now else None),
            create_time=timestamp(user.created_ms),
        )  # fmt: skip

    async def _invitation(self, invited: Invited) -> pb.Invitation:
        return pb.Invitation(
            user=await self._user(invited.user),
            invitation=invited.invitation,
            expire_time=timestamp(invited.expires_ms or None),
        )

    async def _approval(self, row: ApprovalRow) -> pb.CallApproval:
        requester = await self._people.by_uid(row.requester_uid)
        return pb.CallApproval(
            name=f"callApprovals/{row.uid}", method=row.method, call_digest=row.call_digest, request=row.request,
            requester=requester.name if requester else "", approvals_required=row.wanted,
            approvers=[user.name for user in await self._approvals.counted(row)],
            create_time=timestamp(row.created_ms), expire_time=timestamp(row.expires_ms),
        )  # fmt: skip


def _id(name: str) -> str:
    return name.partition("/")[2]


def _role(name: str, permissions: frozenset[str] | list[str], *, built_in: bool) -> pb.Role:
    return pb.Role(name=f"roles/{name}", permissions=sorted(permissions), built_in=built_in)


def _grant(row: GrantRow, username: str) -> pb.Grant:
    return pb.Grant(
        name=f"grants/{row.uid}", user=f"users/{username}", role=f"roles/{row.role}", scope=row.scope,
        expire_time=timestamp(row.expires_ms), creator=row.creator, create_time=timestamp(row.created_ms),
        end_time=timestamp(row.ended_ms),
    )  # fmt: skip
