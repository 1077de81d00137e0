"""People: invited, given an authenticator of their own, changed, and kept out."""

import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

import grpc
from sqlalchemy.exc import IntegrityError

from common.clock import now_ms
from common.errors import SolwardError
from controlplane.identity.authenticators import recovery_codes
from controlplane.identity.second_factors import SecondFactors, code_refused
from controlplane.identity.secrets import hash_password, new_token, password_matches, token_hash
from controlplane.store.users import User, UserRepository

INVITATION_MS = 72 * 3_600_000
ADMIN = "admin"


class Invited(NamedTuple):
    """A user, and the invitation that is shown once."""

    user: User
    invitation: str
    expires_ms: int


class People:
    """Makes users, changes them, and sets their authenticators up.

    Args:
        forget: called after each change, so that it holds from the next call on.
    """

    def __init__(self, users: UserRepository, factors: SecondFactors, forget: Callable[[], None]) -> None:
        self._users = users
        self._factors = factors
        self._forget = forget

    async def get(self, name: str) -> User:
        """Find a user; raise USER_NOT_FOUND."""
        user = await self._users.by_name(name)
        if user is None:
            raise SolwardError(
                grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND", f"there is no users/{name}: see ListUsers", {"user": name}
            )
        return user

    async def by_uid(self, uid: str) -> User | None:
        """Find a user by uid."""
        return await self._users.by_uid(uid)

    async def all(self) -> list[User]:
        """List every user, by name."""
        return await self._users.all()

    async def invite(self, name: str, role: str, email: str) -> Invited:
        """Make a user without password and authenticator, and an invitation; raise USER_EXISTS."""
        uid = uuid.uuid4().hex
        try:
            await self._users.add(
                uid=uid, name=name, password_hash="", totp_seed=b"", role=role, now=now_ms(), email=email
            )
        except IntegrityError:
            raise SolwardError(
                grpc.StatusCode.ALREADY_EXISTS, "USER_EXISTS", f"there is a users/{name} already", {"user": name}
            ) from None
        return await self._invitation(uid)

    async def accept(self, invitation: str, password: str) -> tuple[User, str]:
        """Set an invited user's password; gives the user and the seed of a new authenticator, shown once.

        Who accepts again shows the same password: somebody else who finds the invitation takes nothing over.
        """
        user = await self._invited(invitation)
        if user.password_hash:
            await self._factors.begin_attempt(user)
            if not await password_matches(user.password_hash, password):
                raise _invitation_refused()
            await self._users.set_failures(user.uid, 0, 0)
        seed, sealed = self._factors.new_seed(user.uid)
        hashed = await hash_password(password)
        if not await self._users.take_invitation(user, password_hash=hashed, totp_pending=sealed):
            raise _invitation_refused()
        return user, seed

    async def confirm_invitation(self, invitation: str, code: str) -> tuple[User, list[str]]:
        """End an invitation by a first code of the new authenticator; gives the user's recovery codes."""
        user = await self._invited(invitation)
        codes = await self._confirm(user, code, invitation_hash="", invitation_expires_ms=0)
        return user, codes

    async def set_up(self, uid: str) -> tuple[User, str]:
        """Make a new authenticator for a user who is signed in; gives its seed, shown once."""
        user = await self._must_be(uid)
        seed, sealed = self._factors.new_seed(uid)
        await self._users.set(uid, totp_pending=sealed)
        return user, seed

    async def confirm_set_up(self, uid: str, code: str) -> tuple[User, list[str]]:
        """Put the new authenticator in force by a first code of it; gives new recovery codes."""
        user = await self._must_be(uid)
        return user, await self._confirm(user, code)

    async def renew_recovery(self, uid: str) -> list[str]:
        """Make new recovery codes; the old ones end."""
        codes = recovery_codes()
        await self._users.renew_recovery(uid, [token_hash(code) for code in codes])
        return codes

    async def recovery_left(self, uid: str) -> int:
        """Count a user's recovery codes that are left."""
        return await self._users.recovery_left(uid)

    async def update(self, user: User, **values: Any) -> User:
        """Change a user's role, address or whether it is kept out; raise LAST_ADMIN."""
        if values.get("role", ADMIN) != ADMIN or values.get("disabled"):
            if not await self._users.set_unless_last(user.uid, ADMIN, **values):
                raise _last_admin(user)
        else:
            await self._users.set(user.uid, **values)
        self._forget()
        return await self.get(user.name)

    async def reset(self, user: User) -> Invited:
        """Take a user's password and authenticator away, and make a new invitation.

        An account of the identity provider gets none: it signs in there, and a password of our own would outlive it.
        """
        await self._users.set(user.uid, password_hash="", totp_seed=b"", totp_pending=None, invitation_hash="")
        await self._users.renew_recovery(user.uid, [])
        self._forget()
        if user.subject:
            return Invited(await self._must_be(user.uid), "", 0)
        return await self._invitation(user.uid)

    async def _invitation(self, uid: str) -> Invited:
        invitation, expires = new_token("invitation"), now_ms() + INVITATION_MS
        await self._users.set(uid, invitation_hash=token_hash(invitation), invitation_expires_ms=expires)
        return Invited(await self._must_be(uid), invitation, expires)

    async def _invited(self, invitation: str) -> User:
        user = await self._users.by_invitation(token_hash(invitation))
        if user is None or user.disabled or user.subject or now_ms() >= user.invitation_expires_ms:
            raise _invitation_refused()
        return user

    async def _confirm(self, user: User, code: str, **values: Any) -> list[str]:
        if user.totp_pending is None:
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION,
                "NO_AUTHENTICATOR_SHOWN",
                "no new authenticator was shown yet: accept the invitation or set one up first",
            )
        await self._factors.begin_attempt(user)
        step = self._factors.step_of(user.uid, user.totp_pending, code)
        if step is None or not await self._users.take_pending(user, step, **values):
            raise code_refused()
        await self._users.set_failures(user.uid, 0, 0)
        self._forget()
        return await self.renew_recovery(user.uid)

    async def _must_be(self, uid: str) -> User:
        user = await self._users.by_uid(uid)
        if user is None:
            raise SolwardError(grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND", "this user is no more")
        return user


def _last_admin(user: User) -> SolwardError:
    return SolwardError(
        grpc.StatusCode.FAILED_PRECONDITION,
        "LAST_ADMIN",
        f"users/{user.name} is the last administrator who can sign in: make another one first",
        {"user": user.name},
    )


def _invitation_refused() -> SolwardError:
    return SolwardError(
        grpc.StatusCode.UNAUTHENTICATED,
        "INVITATION_REFUSED",
        "the invitation is unknown, used, over, or accepted with another password: ask an administrator for a new one",
    )
