"""Accounts of the provider's people: made at the first login, their role by their groups at each."""

import hashlib
import re
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import grpc
from sqlalchemy.exc import IntegrityError

from common.clock import now_ms
from common.errors import SolwardError
from controlplane.guard.context import current_call
from controlplane.identity.oidc.settings import OidcSettings
from controlplane.identity.role_book import RoleBook
from controlplane.store.users import User, UserRepository

_NAME = re.compile(r"[a-z]([a-z0-9.-]{0,50}[a-z0-9])?")
MAX_GROUPS = 10_000


class Accounts:
    """Finds or makes the user whom a provider's claims stand for."""

    def __init__(self, users: UserRepository, roles: RoleBook, settings: OidcSettings) -> None:
        self._users = users
        self._roles = roles
        self._settings = settings

    async def of_claims(self, claims: Mapping[str, Any]) -> User:
        """Find or make the user, with the role of today's groups; raise OIDC_NO_ROLE or USER_DISABLED."""
        role = self.role_of(claims)
        if not role or await self._roles.permissions(role) is None:
            raise SolwardError(
                grpc.StatusCode.PERMISSION_DENIED, "OIDC_NO_ROLE",
                f"the provider's groups give no role here: ask to be put into one of "
                f"{', '.join(self._settings.roles) or 'the groups that are set'} (claim {self._settings.groups_claim})",
            )  # fmt: skip
        subject = subject_of(self._settings.issuer, str(claims["sub"]))
        email = str(claims.get("email", "")) if claims.get("email_verified") is True else ""
        user = await self._users.by_subject(subject)
        if user is None:
            user = await self._make(subject, name_of(claims), role, email)
        if user.disabled:
            raise SolwardError(grpc.StatusCode.PERMISSION_DENIED, "USER_DISABLED", "this user is kept out")
        if user.role != role:
            current_call().notes.update(role=role, before={"role": user.role})
        # An address that is known stays: without it two accounts of one person would be two people.
        email = email or user.email
        await self._users.set(user.uid, role=role, email=email)
        return user._replace(role=role, email=email)

    async def find(self, subject: str) -> User | None:
        """Find the user of a provider's subject."""
        return await self._users.by_subject(subject_of(self._settings.issuer, subject))

    def role_of(self, claims: Mapping[str, Any]) -> str:
        """Give the role of the first group in the settings' order that a person is in; else the default one."""
        found = claims.get(self._settings.groups_claim, [])
        groups = {str(one) for one in (found if isinstance(found, list) else [found])[:MAX_GROUPS]}
        return next(
            (role for group, role in self._settings.roles.items() if group in groups), self._settings.default_role
        )

    async def _make(self, subject: str, name: str, role: str, email: str) -> User:
        # A name that a local user has stays that user's: a provider must not hand out our accounts.
        tail = hashlib.sha256(subject.encode()).hexdigest()
        for wanted in (name, f"{name}-{tail[:6]}", f"{name[:30]}-{tail[:24]}"):
            with suppress(IntegrityError):
                await self._users.add(
                    uid=uuid.uuid4().hex, name=wanted, password_hash="", totp_seed=b"", role=role, now=now_ms(),
                    email=email, subject=subject,
                )  # fmt: skip
            if user := await self._users.by_subject(subject):
                return user
        raise SolwardError(grpc.StatusCode.ALREADY_EXISTS, "USER_EXISTS", f"there is a users/{name} already")


def subject_of(issuer: str, subject: str) -> str:
    """Name a provider's subject: unique together with its issuer (OpenID Connect Core 1.0 §5.7)."""
    # A subject has at most 255 characters; what is longer is told apart by its digest.
    text = f"{issuer}|{subject}"
    return text if len(text) <= 512 else hashlib.sha256(text.encode()).hexdigest()


def name_of(claims: Mapping[str, Any]) -> str:
    """Make a user's name of what the provider calls a person."""
    for claim in ("preferred_username", "email", "sub"):
        text = str(claims.get(claim, "")).partition("@")[0].lower()
        text = re.sub(r"[^a-z0-9.-]+", "-", text).strip(".-")[:50].rstrip(".-")
        if _NAME.fullmatch(text):
            return text
    return f"user-{hashlib.sha256(str(claims.get('sub', '')).encode()).hexdigest()[:12]}"
