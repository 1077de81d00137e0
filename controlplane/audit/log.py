"""The audit log as the control plane writes it: durable when `append` returns, one chain, signed heads."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.exc import IntegrityError

from common import auditlog
from common.auditlines import Record
from common.auditlog import Checkpoint, Entry
from common.auditprune import Prune, sign_prune
from common.auditverify import Finding, Kind, State, Verifier
from common.errors import SolwardError
from common.merkle import Tree, leaf_hash
from common.merkletiles import TILE
from controlplane.audit import faults
from controlplane.audit.proofs import Proofs
from controlplane.audit.reader import AuditReader
from controlplane.store.audit import AuditRepository

_PAGE = 2000
_COLUMN = 256
# How many of the newest entries are kept in memory.
_RECENT = 500
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class AuditSettings:
    """How the log is written.

    Args:
        queue_entries: how many entries may wait for the writer; more are refused at once.
        batch_entries: how many entries one transaction takes at the most.
        timeout_s: how long an entry may take to be durable, in seconds.
        checkpoint_entries: after how many entries a checkpoint is signed.
        checkpoint_interval_s: after how many seconds one is signed if there are new entries.
    """

    queue_entries: int = 4096
    batch_entries: int = 256
    timeout_s: float = 5.0
    checkpoint_entries: int = 1000
    checkpoint_interval_s: float = 60.0


class _Waiting(NamedTuple):
    fields: dict[str, Any]
    written: asyncio.Future[int]


class AuditLog(AuditReader):
    """The one writer of the audit log, and its reader.

    Args:
        repository: where it is stored.
        mac_key: the key of the entries' codes.
        signing_key: signs the checkpoints.
        origin: names the log in its checkpoints; one line.
        settings: how it is written.
        clock_ms: gives the time, milliseconds since the epoch.
    """

    def __init__(
        self,
        repository: AuditRepository,
        *,
        mac_key: bytes,
        signing_key: Ed25519PrivateKey,
        origin: str,
        settings: AuditSettings | None = None,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        super().__init__(repository, origin, signing_key.public_key())
        self._mac_key = mac_key
        self._mac = auditlog.Mac(mac_key)
        self._signing_key = signing_key
        self._settings = settings or AuditSettings()
        self._clock_ms = clock_ms
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(self._settings.queue_entries)
        self._lock = asyncio.Lock()
        self._checkpoint_due = asyncio.Event()
        self._chain = auditlog.GENESIS
        self._checkpointed = -1
        # A write that failed may still have reached the store; the tail tells.
        self._doubtful = False
        self._open = False
        self._tasks: list[asyncio.Task[None]] = []

    def verifier(self) -> Verifier:
        """Give a verifier of this log, with the key of its codes."""
        return Verifier(public_key=self._public_key, mac_key=self._mac_key)

    async def start(self) -> None:
        """Read the stored log, check it against its last checkpoint, and begin to write.

        Raises:
            SolwardError: AUDIT_CORRUPT, the stored log is not what was written; AUDIT_UNAVAILABLE, it
                cannot be read.
        """
        async with self._lock, faults.store("read"):
            last = await self._repository.last_checkpoint(self._origin, self._raw_public_key)
            await self._load(last)
        self.head = last
        self._checkpointed = last.size if last is not None else -1
        self._open = True
        self._tasks = [
            asyncio.create_task(self._write_forever(), name="audit writer"),
            asyncio.create_task(self._checkpoint_forever(), name="audit checkpoints"),
        ]

    async def close(self) -> None:
        """Write what waits, sign a last checkpoint where the store allows, and stop."""
        if not self._tasks:
            return
        self._open = False
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._queue.join(), self._settings.timeout_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        while not self._queue.empty():
            _refuse([self._queue.get_nowait()], faults.unavailable("the audit log is closed"))
        await self._checkpoint_if_new()

    async def append(self, fields: Mapping[str, Any]) -> int:
        """Write one entry; it is durable when this returns.

        Args:
            fields: what it says; values are made safe to show and bounded in length.

        Returns:
            The entry's sequence number.

        Raises:
            SolwardError: UNAVAILABLE, AUDIT_UNAVAILABLE: it is not known to be written, so what it records
                must not be done.
            ValueError: a field is named like one that the log writes itself.
        """
        waiting = _Waiting(auditlog.prepare(fields), asyncio.get_running_loop().create_future())
        if not self._open:
            raise faults.unavailable("the audit log is closed")
        try:
            self._queue.put_nowait(waiting)
        except asyncio.QueueFull:
            raise faults.unavailable("too many audit entries wait to be written") from None
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                return await waiting.written
        except TimeoutError:
            raise faults.unavailable("the audit entry could not be written in time") from None

    async def checkpoint(self) -> Checkpoint:
        """Sign the log as it stands, and keep the signature where this size has none yet.

        Raises:
            SolwardError: UNAVAILABLE, AUDIT_UNAVAILABLE: the store cannot keep it.
        """
        async with self._lock, faults.store("written"):
            point = auditlog.sign(
                self._signing_key,
                origin=self._origin,
                size=self._tree.size,
                root=self._tree.root(),
                time_ms=self._clock_ms(),
            )
            if point.size != self._checkpointed:
                # Another writer, or a write believed lost, may have kept one for this size already.
                with contextlib.suppress(IntegrityError):
                    await self._repository.add_checkpoint(point)
                self._checkpointed = point.size
                self.head = point
                self.signed.beat()
            return point

    async def cut(self, size: int, by: str) -> Prune:
        """Take out every entry up to a size under a signed record; a crash leaves all of them or none.

        Args:
            size: the last entry to go; a later one stays.
            by: who takes them out.

        Raises:
            SolwardError: UNAVAILABLE, AUDIT_UNAVAILABLE; DATA_LOSS, AUDIT_CORRUPT: they are not what was logged.
        """
        first = self.first
        async with faults.store("pruned"):
            last = await self._repository.forward(size, 1)
            tree = Tree(size, await self.proofs.peaks(size))
            tiles = range((first - 1) // TILE, (size - 1) // TILE + 1)
            leaves = {tile: (await self.proofs.leaves(tile))[: size - tile * TILE] for tile in tiles}
            prune = sign_prune(
                self._signing_key, origin=self._origin, first=first, tree=tree, chain=last[0].hash if last else b"",
                by=by, time_ms=self._clock_ms(),
            )  # fmt: skip
            await self._repository.prune(prune, {tile: b"".join(row) for tile, row in leaves.items()})
        self.prunes.append(prune)
        self.proofs.cut(prune)
        return prune

    async def _load(self, last: Checkpoint | None) -> None:
        verifier = self.verifier()
        prunes = await self._repository.prunes(self._origin, self._raw_public_key)
        finding = None
        records: tuple[Record, ...] = (*prunes, last) if last is not None else (*prunes,)
        for record in records:
            finding = finding or verifier.feed(record)
        self.proofs = Proofs(self._repository)
        if prunes and finding is None:
            finding = await self.proofs.load(prunes[-1])
        self.prunes = prunes
        await self._take_over(verifier, self.first, finding, self.proofs.grow)

    async def _reconcile(self) -> None:
        """Take over what the store holds beyond what this log knows."""
        state = State(self._tree.size, self._chain, tuple(self._tree.peaks))
        verifier = Verifier(public_key=self._public_key, mac_key=self._mac_key, after=state)
        stored = await self._repository.size()
        finding = None
        if stored < state.size:
            message = f"the store lost entries {stored + 1} to {state.size}"
            finding = Finding(Kind.TRUNCATED, stored + 1, message)
        added: list[bytes] = []
        await self._take_over(verifier, state.size + 1, finding, added.extend)
        self.proofs.grow(added)
        self._doubtful = False

    async def _take_over(
        self, verifier: Verifier, first: int, finding: Finding | None, grow: Callable[[Sequence[bytes]], None]
    ) -> None:
        while finding is None:
            entries = await self._repository.forward(first, _PAGE)
            if not entries:
                finding = verifier.finish(closed=False)
                break
            first = entries[-1].sequence + 1
            finding = await asyncio.to_thread(_feed, verifier, entries, grow)
        if finding is not None:
            raise faults.corrupt(finding)
        state = verifier.state
        self._tree, self._chain = Tree(state.size, state.peaks), state.chain
        # What another writer added is not in memory.
        self._recent.clear()
        self.grown.beat()

    async def _write_forever(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < self._settings.batch_entries and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            try:
                # Whoever gave up waiting was told that nothing is written.
                await self._write([waiting for waiting in batch if not waiting.written.done()])
            except SolwardError as error:
                _log.warning("audit_write_failed", reason=error.reason, error=error.message)
                _refuse(batch, error)
            except Exception as error:  # noqa: BLE001 - without the writer every change would be refused for good
                _log.exception("audit_write_failed")
                _refuse(batch, faults.unavailable(f"the audit entry could not be written: {error}"))
            finally:
                for _ in batch:
                    self._queue.task_done()

    async def _write(self, batch: Sequence[_Waiting]) -> None:
        if not batch:
            return
        async with self._lock, faults.store("written"), asyncio.timeout(self._settings.timeout_s):
            if self._doubtful:
                await self._reconcile()
            entries = self._seal(batch)
            rows = [
                (entry, _column(waiting.fields, "principal"), _column(waiting.fields, "method"))
                for entry, waiting in zip(entries, batch, strict=True)
            ]
            self._doubtful = True
            await self._repository.append(rows)
            self._doubtful = False
            self._grow(entries)
            self._recent.extend(rows)
            self.grown.beat()
        for entry, waiting in zip(entries, batch, strict=True):
            if not waiting.written.done():
                waiting.written.set_result(entry.sequence)

    def _seal(self, batch: Sequence[_Waiting]) -> Sequence[Entry]:
        entries = []
        previous, now = self._chain, self._clock_ms()
        for sequence, waiting in enumerate(batch, self._tree.size + 1):
            entry = auditlog.seal(waiting.fields, sequence=sequence, time_ms=now, previous=previous, mac=self._mac)
            entries.append(entry)
            previous = entry.hash
        return entries

    def _grow(self, entries: Sequence[Entry]) -> None:
        leaves = [leaf_hash(entry.body.encode()) for entry in entries]
        for leaf in leaves:
            self._tree.append(leaf)
        self.proofs.grow(leaves)
        self._chain = entries[-1].hash
        if self._tree.size - self._checkpointed >= self._settings.checkpoint_entries:
            self._checkpoint_due.set()

    async def _checkpoint_forever(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.checkpoint_interval_s):
                    await self._checkpoint_due.wait()
            self._checkpoint_due.clear()
            await self._checkpoint_if_new()

    async def _checkpoint_if_new(self) -> None:
        if self._tree.size <= max(self._checkpointed, 0):
            return
        try:
            await self.checkpoint()
        except SolwardError as error:
            _log.warning("audit_checkpoint_failed", reason=error.reason, error=error.message)


def _feed(verifier: Verifier, entries: Sequence[Entry], grow: Callable[[Sequence[bytes]], None]) -> Finding | None:
    records = iter(entries)
    for entry in records:
        finding = verifier.feed(entry, records)
        if finding is not None:
            return finding
    grow([leaf_hash(entry.body.encode()) for entry in entries])
    return None


def _column(fields: Mapping[str, Any], name: str) -> str:
    return str(fields.get(name, ""))[:_COLUMN]


def _refuse(batch: Sequence[_Waiting], error: SolwardError) -> None:
    for waiting in batch:
        if not waiting.written.done():
            waiting.written.set_exception(error)
