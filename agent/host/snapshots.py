"""The validator's snapshots as the agent sees them: archives, pins, and what a prune would remove."""

import os
import time
from pathlib import Path

from solward.hosts.v1 import link_pb2

from agent.config.files import UnsafeFile
from agent.host.frozen import frozen_checksum
from agent.jobs.known import Findings
from agent.settings import Settings, ValidatorSettings
from agent.snapshots.catalogue import Archive, Catalogue, Places, TooMany, scan
from agent.snapshots.names import Kind, NameRefused, parse
from agent.snapshots.pin import Pin, list_pins
from agent.snapshots.policy import Plan, Policy, plan

# A receipt must stay small: of a folder that holds more, the newest are shown.
SHOWN = 120
SHOWN_ODDITIES = 20


class Snapshots:
    """Where a validator's snapshots are, and what is known of them; used from threads and from jobs."""

    def __init__(self, settings: Settings, validator: ValidatorSettings) -> None:
        full = validator.snapshots_dir
        self.places = Places(full, validator.incremental_snapshots or full, full)
        self.pins = validator.pins_dir
        self._log = validator.log
        self.findings = Findings(settings.job_results_dir / "archives")

    def report(self, policy: link_pb2.PrunePolicy | None = None) -> link_pb2.SnapshotsReport:
        """Look at the folders; raises OSError where they cannot be read, ValueError for a policy that cannot be."""
        catalogue = self.scan()
        pins = self.list_pins()
        report = link_pb2.SnapshotsReport(
            archives=[self._archive(archive) for archive in catalogue.archives[:SHOWN]],
            oddities={oddity.name: oddity.why for oddity in catalogue.oddities[:SHOWN_ODDITIES]},
            work_files=catalogue.work_files,
            pins=[_pin(pin) for pin in pins],
            free_bytes=_free(self.places.full),
        )
        if policy is not None:
            planned = self.plan(catalogue, pins, policy)
            report.prune_digest = planned.digest
            report.prune.extend(
                link_pb2.PruneEntry(name=str(each.archive.name), why=each.why, size=each.archive.size)
                for each in planned.removals[:SHOWN]
            )
        return report

    async def logged_hash(self, action: link_pb2.SnapshotAction) -> str:
        """Find what the validator's log says that an archive's name must have; empty where it does not say."""
        try:
            slot = parse(action.archive).slot
        except NameRefused:
            return ""
        return await frozen_checksum(self._log, action.unit, slot)

    def scan(self) -> Catalogue:
        """Look at the folders; raises OSError."""
        try:
            return scan(self.places)
        except (UnsafeFile, TooMany) as error:
            raise OSError(0, str(error), str(self.places.full)) from None

    def boot_slot(self) -> int | None:
        """Give the highest slot that the node may boot from; None where it has no snapshot. Raises OSError.

        The highest of what looks usable: what is above it is surely replayed, whichever the node takes.
        """
        catalogue = self.scan()
        usable = [each for each in catalogue.archives if each.base_present and not self.findings.is_bad(str(each.name))]
        fast = [each.slot for each in catalogue.bank_snapshots if each.fastboot]
        return max((*(each.name.slot for each in usable), *fast), default=None)

    def list_pins(self) -> list[Pin]:
        """List the pins; none where the folder is not there yet. Raises OSError."""
        try:
            return list_pins(self.pins) if self.pins.exists() else []
        except UnsafeFile as error:
            raise OSError(0, str(error), str(self.pins)) from None

    def plan(self, catalogue: Catalogue, pins: list[Pin], policy: link_pb2.PrunePolicy) -> Plan:
        """Plan a prune; raises ValueError."""
        held = {(file.name, file.inode) for pin in pins for file in pin.files}
        known = self.findings.known(catalogue, lambda archive: (str(archive.name), archive.identity.inode) in held)
        wanted = Policy(
            policy.keep_full, policy.keep_incremental, policy.keep_younger_seconds, policy.max_bytes or None
        )
        return plan(catalogue, wanted, known, time.time())

    def _archive(self, archive: Archive) -> link_pb2.SnapshotArchive:
        return link_pb2.SnapshotArchive(
            name=str(archive.name), slot=archive.name.slot, base=archive.name.base, size=archive.size,
            unix_ms=archive.identity.mtime_ns // 1_000_000, remote=archive.remote,
            base_present=archive.name.kind is Kind.INCREMENTAL and archive.base_present,
            sha256=self.findings.sha256(archive.name), bad=self.findings.is_bad(str(archive.name)),
        )  # fmt: skip


def _pin(pin: Pin) -> link_pb2.SnapshotPin:
    return link_pb2.SnapshotPin(
        slot=pin.slot, archives=[file.name for file in pin.files], unix_ms=pin.pinned_unix_ms,
        size=sum(file.size for file in pin.files),
    )  # fmt: skip


def _free(folder: Path) -> int:
    about = os.statvfs(folder)
    return about.f_bavail * about.f_frsize
