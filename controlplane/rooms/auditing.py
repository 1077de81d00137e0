"""The audit log, and all that is done with it."""

from collections.abc import Coroutine
from typing import Any

from controlplane.audit.log import AuditLog, AuditSettings
from controlplane.audit.publish import Publisher
from controlplane.audit.reports.maker import ReportMaker
from controlplane.audit.retention import Retention
from controlplane.guard.table import PolicyTable
from controlplane.identity.installation import Installation
from controlplane.rooms.records import Records
from controlplane.settings import Settings


class Auditing:
    """The log, what is let go of it, what is made of it, and where else it goes."""

    def __init__(self, settings: Settings, installation: Installation, records: Records, table: PolicyTable) -> None:
        self.log = AuditLog(
            records.audit,
            mac_key=installation.audit_key,
            signing_key=installation.checkpoint_key,
            origin=settings.trust_domain,
            settings=AuditSettings(checkpoint_interval_s=settings.checkpoint_seconds),
        )
        self.retention = Retention(self.log, records.audit, settings.audit_retention_days)
        folder = settings.reports.folder or settings.data_dir / "reports"
        self.reports = ReportMaker(self.log, table, settings.reports, folder)
        self.publisher = Publisher(self.log, records.redis)

    def work(self) -> list[Coroutine[Any, Any, None]]:
        """Give what goes on in the background."""
        return [self.retention.run(), self.reports.run(), self.publisher.run()]
