"""The cheap verification of an archive: all that can be known of it without unpacking it.

What boot checks beyond this (every account, the lattice hash, the bank's hash) takes hundreds of gigabytes.
"""

import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

from agent.config.files import UnsafeFile
from agent.config.files import folder as open_folder
from agent.snapshots import checksums, files
from agent.snapshots.decode import decoded
from agent.snapshots.files import Identity, NotRegular
from agent.snapshots.members import MAX_MEMBERS, Members
from agent.snapshots.names import ArchiveName, NameRefused, parse
from agent.snapshots.pace import Pace
from agent.snapshots.report import Check, Fault, Figures, Reason, Report, Verdict
from agent.snapshots.source import Source
from agent.snapshots.walk import Walk


@dataclass(frozen=True)
class Against:
    """What an archive is compared with; what is None is not compared.

    Attributes:
        base_slots: the slots of the full archives that are there.
        hash: the checksum that a validator's log gives for the slot ("accounts_lt_hash checksum: ...").
        checksums: the folder of the agent's own checksums.
    """

    base_slots: Collection[int] | None = None
    hash: str | None = None
    checksums: Path | None = None


@dataclass(frozen=True)
class Caps:
    """What an archive may be at most; real ones decode to two to six times their size.

    Attributes:
        times: how many times its own size an archive may decode to, beside the allowance.
        allowance: bytes that any archive may decode to.
        members: how many members it may have.
    """

    times: int = 64
    allowance: int = 64 << 20
    members: int = MAX_MEMBERS

    def decoded_bytes(self, size: int) -> int:
        """Give how many bytes an archive of a size may decode to."""
        return self.times * size + self.allowance


@dataclass
class _Found:
    checks: list[Check] = field(default_factory=list)
    figures: Figures = field(default_factory=Figures)
    identity: Identity | None = None

    def add(self, check: str, message: str, reason: Reason | None = None, *, known: bool = True) -> None:
        verdict = Verdict.PASS if reason is None else Verdict.FAIL if known else Verdict.INCONCLUSIVE
        self.checks.append(Check(check, verdict, message, reason))


def verify(
    folder: Path, name: str, *, against: Against | None = None, caps: Caps | None = None, pace: Pace | None = None
) -> Report:
    """Verify an archive without unpacking it, in constant memory.

    Args:
        folder: where it is; no component of it may be a link.
        name: its name.
        against: what it is compared with.
        caps: what it may be at most.
        pace: limits, tells and stops.

    Raises: Stopped.
    """
    began, found = time.monotonic(), _Found()
    against = against or Against()
    try:
        archive = parse(name)
    except NameRefused as refused:
        found.add("name", str(refused), Reason.NAME_REFUSED)
        return Report(name, tuple(found.checks))
    found.add("name", f"{archive.kind} archive of slot {archive.slot}")
    _compare_name(archive, against, found)
    try:
        with open_folder(folder) as parent:
            _verify_file(parent, archive, (against, caps or Caps(), pace or Pace()), found)
    except UnsafeFile as error:
        found.add("file", str(error), Reason.READ_FAILED, known=False)
    figures = replace(found.figures, seconds=time.monotonic() - began)
    return Report(name, tuple(found.checks), figures, found.identity)


def _compare_name(archive: ArchiveName, against: Against, found: _Found) -> None:
    if archive.base is not None and against.base_slots is not None:
        if archive.base in against.base_slots:
            found.add("base", f"the full archive of slot {archive.base} is there")
        else:
            found.add("base", f"no full archive of slot {archive.base} is there to stand on", Reason.BASE_MISSING)
    if against.hash is not None:
        if against.hash == archive.hash:
            found.add("hash", "the hash of the name is the one in the log")
        else:
            found.add("hash", f"the log gives {against.hash[:64]!a} for this slot", Reason.HASH_MISMATCH)


def _verify_file(parent: int, archive: ArchiveName, how: tuple[Against, Caps, Pace], found: _Found) -> None:
    against, caps, pace = how
    try:
        with files.regular(parent, str(archive)) as handle:
            before = os.fstat(handle)
            found.identity = Identity.of(before)
            if not before.st_size:
                found.add("file", "the file is empty", Reason.ARCHIVE_EMPTY)
                return
            found.add("file", f"a regular file of {before.st_size} bytes")
            _content(handle, archive, caps, pace, found)
            _compare_checksum(archive, against, found)
            _unchanged(parent, handle, archive, found)
    except NotRegular as error:
        found.add("file", str(error), Reason.NOT_REGULAR)
    except FileNotFoundError:
        found.add("file", "the file is not there", Reason.GONE, known=False)
    except OSError as error:
        found.add("file", f"the file cannot be read: {error.strerror}", Reason.READ_FAILED, known=False)


def _content(handle: int, archive: ArchiveName, caps: Caps, pace: Pace, found: _Found) -> None:
    assert found.identity is not None  # noqa: S101 - set where the file was opened
    size = found.identity.size
    members = Members(archive, caps.members)
    source = Source(handle, size, pace)
    count = 0

    def note(decoded_bytes: int) -> None:
        nonlocal count
        count += decoded_bytes
        if count > caps.decoded_bytes(size):
            raise Fault(Reason.BOMB, f"{source.bytes_read} bytes decode to more than {caps.decoded_bytes(size)}")

    try:
        with source:
            _walk(archive, source, members, note)
        found.add("content", f"decodes to {count} bytes, {members.count} members, version {members.version}")
    except Fault as fault:
        found.add("content", str(fault), fault.reason)
    found.figures = Figures(source.bytes_read, count, members.count, members.version, source.sha256())


def _walk(archive: ArchiveName, source: Source, members: Members, note: Callable[[int], None]) -> None:
    walk = Walk(members.take, members.content)
    for piece in decoded(archive.codec, source):
        note(len(piece))
        walk.feed(piece)
    walk.close()
    members.close()


def _compare_checksum(archive: ArchiveName, against: Against, found: _Found) -> None:
    if against.checksums is None:
        return
    try:
        kept = checksums.read(against.checksums, archive)
    except checksums.ChecksumRefused as error:
        found.add("checksum", str(error), Reason.CHECKSUM_UNREADABLE, known=False)
        return
    if kept is None or not found.figures.sha256:
        return
    if kept == found.figures.sha256:
        found.add("checksum", "the SHA-256 is the one that was kept")
    else:
        found.add("checksum", f"the SHA-256 is not the one that was kept, {kept}", Reason.CHECKSUM_MISMATCH)


def _unchanged(parent: int, handle: int, archive: ArchiveName, found: _Found) -> None:
    if Identity.of(os.fstat(handle)) != found.identity:
        found.add("unchanged", "the file was written to meanwhile", Reason.CHANGED_MEANWHILE, known=False)
        return
    try:
        now = Identity.of(files.look(parent, str(archive)))
    except FileNotFoundError:
        found.add("unchanged", "the file was removed meanwhile", Reason.CHANGED_MEANWHILE, known=False)
        return
    if now != found.identity:
        found.add("unchanged", "another file took the name meanwhile", Reason.CHANGED_MEANWHILE, known=False)
    else:
        found.add("unchanged", "the same file as at the beginning")
