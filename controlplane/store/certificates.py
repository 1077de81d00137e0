"""Rows of certificates over all their holders, and of the services that hold some."""

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.store.hosts import ACTIVE, CURRENT, ENDED, CertificateRow
from controlplane.store.order import ByteOrder
from controlplane.store.tables import certificates, hosts, services, users

USER, SERVICE = "user", "service"


class ServiceRow(NamedTuple):
    """One program that may hold certificates."""

    uid: str
    name: str
    role: str
    disabled: bool
    creator: str
    created_ms: int


class HostExpiry(NamedTuple):
    """When the certificate that a host uses ends."""

    host: str
    not_after_ms: int


_CERTIFICATE = [certificates.c[name] for name in CertificateRow._fields]
_SERVICE = [services.c[name] for name in ServiceRow._fields]
_JOINED = and_(hosts.c.state == ACTIVE, hosts.c.retired.is_(False))


class CertificateRepository:
    """Reads and writes certificates of every kind."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, row: CertificateRow, now: int) -> None:
        """Store a certificate of a person or a service; others of the same holder stay."""
        async with self._engine.begin() as connection:
            await connection.execute(insert(certificates).values(created_ms=now, **row._asdict()))

    async def get(self, serial: str) -> CertificateRow | None:
        """Find a certificate by its serial."""
        found = await self._list(certificates.c.serial == serial)
        return found[0] if found else None

    async def holding(self, now: int, subject_uid: str = "") -> list[CertificateRow]:
        """List the certificates of people and services that hold, the newest first."""
        conditions = [
            certificates.c.kind.in_((USER, SERVICE)), certificates.c.state != ENDED, certificates.c.not_after_ms > now,
        ]  # fmt: skip
        if subject_uid:
            conditions.append(certificates.c.subject_uid == subject_uid)
        return await self._list(*conditions)

    async def end(self, serial: str) -> bool:
        """End a certificate; False where it had ended."""
        mine = update(certificates).where(certificates.c.serial == serial, certificates.c.state != ENDED)
        async with self._engine.begin() as connection:
            return (await connection.execute(mine.values(state=ENDED))).rowcount == 1

    async def end_all(self, subject_uid: str) -> int:
        """End every certificate of a holder; gives how many had not ended."""
        mine = update(certificates).where(certificates.c.subject_uid == subject_uid, certificates.c.state != ENDED)
        async with self._engine.begin() as connection:
            return (await connection.execute(mine.values(state=ENDED))).rowcount

    async def confirm(self, serial: str, now: int) -> None:
        """Record that a certificate's holder proved a second factor."""
        mine = update(certificates).where(certificates.c.serial == serial)
        async with self._engine.begin() as connection:
            await connection.execute(mine.values(second_factor_ms=now))

    async def confirmed_ms(self, serial: str) -> int:
        """When a certificate's holder last proved a second factor; 0 for never."""
        statement = select(certificates.c.second_factor_ms).where(certificates.c.serial == serial)
        async with self._engine.connect() as connection:
            return (await connection.execute(statement)).scalar() or 0

    async def untold(self, version: int) -> list[str]:
        """Name the active hosts whose agents keep no trust bundle of this version or a later one."""
        statement = select(hosts.c.name).where(_JOINED, hosts.c.trust_version < version)
        async with self._engine.connect() as connection:
            found = (await connection.execute(statement.order_by(ByteOrder(hosts.c.name)))).scalars()
            return [f"hosts/{name}" for name in found]

    async def in_force(self, issuer: str, now: int) -> list[str]:
        """Name the holders of certificates of an authority that neither ended nor were ended."""
        live = (certificates.c.issuer == issuer, certificates.c.state != ENDED, certificates.c.not_after_ms > now)
        statement = select(certificates.c.kind, certificates.c.subject_uid).where(*live)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(statement)).all()
            names: dict[str, str] = {}
            for table, word in ((hosts, "hosts"), (users, "users"), (services, "services")):
                names |= {uid: f"{word}/{name}" for uid, name in await connection.execute(_names(table))}
        return sorted({names.get(uid, f"{kind}/{uid}") for kind, uid in rows})

    async def of_hosts(self) -> list[HostExpiry]:
        """Give when the certificate that each active host uses ends."""
        used = and_(certificates.c.subject_uid == hosts.c.uid, certificates.c.state == CURRENT)
        statement = select(hosts.c.name, certificates.c.not_after_ms).join(certificates, used).where(_JOINED)
        async with self._engine.connect() as connection:
            return [HostExpiry(*row) for row in await connection.execute(statement)]

    async def _list(self, *conditions: ColumnElement[bool]) -> list[CertificateRow]:
        newest = (certificates.c.created_ms.desc(), certificates.c.serial)
        statement = select(*_CERTIFICATE).where(*conditions).order_by(*newest)
        async with self._engine.connect() as connection:
            return [CertificateRow(*row) for row in await connection.execute(statement)]


class ServiceRepository:
    """Reads and writes services."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, row: ServiceRow) -> bool:
        """Store a service; False where the name is taken."""
        try:
            async with self._engine.begin() as connection:
                await connection.execute(insert(services).values(**row._asdict()))
        except IntegrityError:
            return False
        return True

    async def all(self) -> list[ServiceRow]:
        """List every service, by name."""
        statement = select(*_SERVICE).order_by(ByteOrder(services.c.name))
        async with self._engine.connect() as connection:
            return [ServiceRow(*row) for row in await connection.execute(statement)]

    async def by_name(self, name: str) -> ServiceRow | None:
        """Find a service by name."""
        return await self._one(services.c.name == name)

    async def by_uid(self, uid: str) -> ServiceRow | None:
        """Find a service by uid."""
        return await self._one(services.c.uid == uid)

    async def set(self, uid: str, **values: Any) -> None:
        """Change columns of a service."""
        async with self._engine.begin() as connection:
            await connection.execute(update(services).where(services.c.uid == uid).values(**values))

    async def _one(self, condition: ColumnElement[bool]) -> ServiceRow | None:
        async with self._engine.connect() as connection:
            row = (await connection.execute(select(*_SERVICE).where(condition))).first()
        return ServiceRow(*row) if row else None


def _names(table: Any) -> Any:
    return select(table.c.uid, table.c.name)
