"""Rows of hosts, their join tokens and their certificates."""

import json
from typing import Any, NamedTuple

from sqlalchemy import and_, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.store.order import ByteOrder
from controlplane.store.tables import certificates, hosts, join_tokens
from controlplane.store.turns import take_turns

PENDING, ACTIVE, REVOKED, QUARANTINED = "pending", "active", "revoked", "quarantined"
NEXT, CURRENT, ENDED = "next", "current", "ended"


class HostRow(NamedTuple):
    """One host."""

    uid: str
    name: str
    state: str
    exchange_current: str
    exchange_next: str
    agent_version: str
    clock_skew_s: float
    last_seen_ms: int
    created_ms: int
    host_group: str
    labels: str = "{}"
    trust_version: int = 0

    @property
    def label_map(self) -> dict[str, str]:
        """What its agent's settings call it by."""
        read: dict[str, str] = json.loads(self.labels)
        return read


class CertificateRow(NamedTuple):
    """One issued certificate; the serial is hexadecimal."""

    serial: str
    kind: str
    subject_uid: str
    public_key_der: bytes
    not_before_ms: int
    not_after_ms: int
    state: str
    issuer: str = "ca"


class JoinRow(NamedTuple):
    """One join token with the host it is for."""

    hash: str
    host_uid: str
    expires_ms: int
    used_ms: int | None
    used_key_hash: str
    certificate_pem: str
    recover: bool = False


_HOST = [hosts.c[name] for name in HostRow._fields]
_CERTIFICATE = [certificates.c[name] for name in CertificateRow._fields]
_JOIN = [join_tokens.c[name] for name in JoinRow._fields]
_LIVE = hosts.c.retired.is_(False)
_NAME = ByteOrder(hosts.c.name)


class HostRepository:
    """Reads and writes hosts."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def by_name(self, name: str) -> HostRow | None:
        """Find the live host of a name."""
        return await self._host(and_(hosts.c.name == name, _LIVE))

    async def by_uid(self, uid: str) -> HostRow | None:
        """Find a host, retired or not."""
        return await self._host(hosts.c.uid == uid)

    async def page(self, after: str, size: int) -> list[HostRow]:
        """List live hosts in name order, after a name."""
        statement = select(*_HOST).where(_LIVE, after < _NAME).order_by(_NAME).limit(size)
        async with self._engine.connect() as connection:
            return [HostRow(*row) for row in await connection.execute(statement)]

    async def active(self) -> list[HostRow]:
        """List every active host, in name order."""
        statement = select(*_HOST).where(_LIVE, hosts.c.state == ACTIVE).order_by(_NAME)
        async with self._engine.connect() as connection:
            return [HostRow(*row) for row in await connection.execute(statement)]

    async def in_group(self, group: str) -> list[HostRow]:
        """List the active hosts of a group, in name order."""
        wanted = (_LIVE, hosts.c.state == ACTIVE, hosts.c.host_group == group)
        async with self._engine.connect() as connection:
            return [HostRow(*row) for row in await connection.execute(select(*_HOST).where(*wanted).order_by(_NAME))]

    async def replace(self, uid: str, name: str, now: int) -> None:
        """Begin a name anew under a new uid; the old row is retired and its certificates end."""
        old = select(hosts.c.uid).where(hosts.c.name == name)
        async with self._engine.begin() as connection:
            await take_turns(connection, name)
            # The host first: a join that was quicker has stored its certificate by then, and a later one finds no host.
            await connection.execute(update(hosts).where(hosts.c.name == name, _LIVE).values(retired=True))
            ended = update(certificates).where(certificates.c.subject_uid.in_(old), certificates.c.state != ENDED)
            await connection.execute(ended.values(state=ENDED))
            row = {"uid": uid, "name": name, "state": PENDING, "created_ms": now}
            await connection.execute(insert(hosts).values(**row))

    async def set_state(self, uid: str, state: str) -> None:
        """Change a host's state; a host that is cut off loses its certificates with it."""
        async with self._engine.begin() as connection:
            await take_turns(connection, uid)
            await connection.execute(update(hosts).where(hosts.c.uid == uid).values(state=state))
            if state in (REVOKED, QUARANTINED):
                ended = update(certificates).where(certificates.c.subject_uid == uid)
                await connection.execute(ended.values(state=ENDED))

    async def seen(self, uid: str, now: int, **values: Any) -> None:
        """Record that a host's agent was heard of, with what it said of itself."""
        async with self._engine.begin() as connection:
            await connection.execute(update(hosts).where(hosts.c.uid == uid).values(last_seen_ms=now, **values))

    async def seen_all(self, uids: list[str], now: int) -> None:
        """Record that the agents of these hosts are connected."""
        async with self._engine.begin() as connection:
            await connection.execute(update(hosts).where(hosts.c.uid.in_(uids)).values(last_seen_ms=now))

    async def states(self) -> dict[str, str]:
        """Give every live host's state by uid."""
        async with self._engine.connect() as connection:
            return {
                row.uid: row.state for row in await connection.execute(select(hosts.c.uid, hosts.c.state).where(_LIVE))
            }

    async def add_join_token(
        self, token_hash: str, host_uid: str, expires_ms: int, *, recover: bool = False
    ) -> None:  # fmt: skip
        """Store a join or recovery token, hashed; tokens made before for the host are void."""
        async with self._engine.begin() as connection:
            await take_turns(connection, host_uid)
            voided = update(join_tokens).where(join_tokens.c.host_uid == host_uid, join_tokens.c.used_ms.is_(None))
            await connection.execute(voided.values(expires_ms=0))
            row = {"hash": token_hash, "host_uid": host_uid, "expires_ms": expires_ms, "recover": recover}
            await connection.execute(insert(join_tokens).values(**row))

    async def join_token(self, token_hash: str) -> JoinRow | None:
        """Find a join token."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(select(*_JOIN).where(join_tokens.c.hash == token_hash))).first()
        return JoinRow(*row) if row else None

    async def join(self, token: JoinRow, key_hash: str, pem: str, certificate: CertificateRow, now: int) -> bool:
        """Use up a join token for one certificate, all or nothing.

        Returns: False if another call was first, or the host is no longer one that may join.
        """
        taken = update(join_tokens).where(
            join_tokens.c.hash == token.hash, join_tokens.c.used_ms.is_(None), join_tokens.c.expires_ms > now
        )
        from_state = ACTIVE if token.recover else PENDING
        joined = update(hosts).where(hosts.c.uid == token.host_uid, hosts.c.state == from_state, _LIVE)
        mine = update(certificates).where(certificates.c.subject_uid == token.host_uid)
        async with self._engine.connect() as connection:
            await take_turns(connection, token.host_uid)
            values = {"used_ms": now, "used_key_hash": key_hash, "certificate_pem": pem}
            if (await connection.execute(taken.values(**values))).rowcount != 1:
                return False
            joining = joined.values(state=ACTIVE, exchange_current="", exchange_next="", trust_version=0)
            if (await connection.execute(joining)).rowcount != 1:
                return False
            # What a host that recovers had before ends with it.
            await connection.execute(mine.values(state=ENDED))
            await connection.execute(insert(certificates).values(created_ms=now, **certificate._asdict()))
            await connection.commit()
        return True

    async def add_certificate(self, certificate: CertificateRow, now: int) -> None:
        """Store a certificate; one that was issued next before, but never used, ends."""
        same = and_(certificates.c.subject_uid == certificate.subject_uid, certificates.c.state == NEXT)
        async with self._engine.begin() as connection:
            await take_turns(connection, certificate.subject_uid)
            await connection.execute(update(certificates).where(same).values(state=ENDED))
            await connection.execute(insert(certificates).values(created_ms=now, **certificate._asdict()))

    async def certificate(self, serial: str) -> CertificateRow | None:
        """Find a certificate by its serial."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(select(*_CERTIFICATE).where(certificates.c.serial == serial))).first()
        return CertificateRow(*row) if row else None

    async def current_certificate(self, subject_uid: str) -> CertificateRow | None:
        """Find the certificate that a subject uses, or has been given and not used yet."""
        mine = and_(certificates.c.subject_uid == subject_uid, certificates.c.state != ENDED)
        statement = select(*_CERTIFICATE).where(mine).order_by(certificates.c.state).limit(1)
        async with self._engine.connect() as connection:
            row = (await connection.execute(statement)).first()
        return CertificateRow(*row) if row else None

    async def promote(self, certificate: CertificateRow) -> None:
        """A next certificate was used: it becomes the current one, and the one before ends; once."""
        mine = certificates.c.subject_uid == certificate.subject_uid
        used = update(certificates).where(certificates.c.serial == certificate.serial, certificates.c.state == NEXT)
        before = update(certificates).where(
            mine, certificates.c.state == CURRENT, certificates.c.serial != certificate.serial
        )
        async with self._engine.begin() as connection:
            await take_turns(connection, certificate.subject_uid)
            # Its first calls may come side by side: only the first of them promotes it, and none of them ends it.
            if (await connection.execute(used.values(state=CURRENT))).rowcount == 1:
                await connection.execute(before.values(state=ENDED))

    async def _host(self, condition: Any) -> HostRow | None:
        async with self._engine.connect() as connection:
            row = (await connection.execute(select(*_HOST).where(condition))).first()
        return HostRow(*row) if row else None
