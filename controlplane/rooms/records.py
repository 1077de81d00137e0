"""What is stored: the state store, Redis where there is one, and a repository for each kind of row."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from controlplane.leadership import Leadership
from controlplane.settings import Settings
from controlplane.store.access import AccessRepository, ApprovalRepository
from controlplane.store.alerts import AlertRepository
from controlplane.store.audit import AuditRepository
from controlplane.store.budgets import open_budgets
from controlplane.store.bundles import BundleRepository
from controlplane.store.certificates import CertificateRepository, ServiceRepository
from controlplane.store.database import close_engine, migrate, open_engine
from controlplane.store.events import EventRepository
from controlplane.store.hosts import HostRepository
from controlplane.store.leases import LeaseRepository
from controlplane.store.marks import MarkRepository
from controlplane.store.models import ModelRepository
from controlplane.store.operations import OperationRepository
from controlplane.store.recoveries import RecoveryRepository
from controlplane.store.redis import RedisStore
from controlplane.store.redis_sessions import RedisSessions
from controlplane.store.sessions import SessionRepository, SessionStore
from controlplane.store.users import UserRepository


class Records:
    """Every repository, and the leadership that says who may write."""

    def __init__(self, settings: Settings) -> None:
        self.engine = engine = open_engine(settings.database())
        redis_url = settings.redis_url.get_secret_value()
        self.redis = RedisStore(redis_url) if redis_url else None
        self.budgets = open_budgets(self.redis)
        self.users = UserRepository(engine)
        self.sessions: SessionStore = RedisSessions(self.redis) if self.redis else SessionRepository(engine)
        self.access, self.approvals = AccessRepository(engine), ApprovalRepository(engine)
        self.certificates, self.services = CertificateRepository(engine), ServiceRepository(engine)
        self.hosts = HostRepository(engine)
        self.audit = AuditRepository(engine)
        self.bundles = BundleRepository(engine)
        self.models = ModelRepository(engine)
        self.recoveries = RecoveryRepository(engine)
        self.alerts, self.events = AlertRepository(engine), EventRepository(engine)
        self.marks = MarkRepository(engine)
        own_folder = None if settings.shares_store else settings.data_dir
        self.leadership = Leadership(LeaseRepository(engine), own_folder)
        self.operations = OperationRepository(engine, lambda: self.leadership.term)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Bring the tables up to date; let go of every connection at the end."""
        try:
            await migrate(self.engine)
            yield
        finally:
            await self.budgets.close()
            if self.redis:
                await self.redis.close()
            await close_engine(self.engine)
