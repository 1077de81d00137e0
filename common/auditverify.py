"""The audit log's offline verifier: no input, no output.

Anyone who can write to the store can recompute the hash chain. So the verifier believes only signed
checkpoints, and the keyed code where it may know the key; the chain serves to name the place.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from common.auditfindings import Finding as Finding
from common.auditfindings import Kind as Kind
from common.auditfindings import Report as Report
from common.auditfindings import State as State
from common.auditlines import Record
from common.auditlog import Checkpoint, Entry, Mac, previous_of, sequence_of
from common.auditprune import Prune
from common.merkle import Tree, leaf_hash


class Verifier:
    """Takes records one by one and says what is wrong with the first that does not fit.

    Args:
        public_key: the log's public key.
        mac_key: the log's key, where the verifier may know it: names the exact entry that was edited.
        held: a checkpoint that the verifier had before and trusts once its signature is good.
        after: where an earlier verification ended; None begins at the first entry.
    """

    def __init__(
        self,
        *,
        public_key: Ed25519PublicKey,
        mac_key: bytes | None = None,
        held: Checkpoint | None = None,
        after: State | None = None,
    ) -> None:
        self._start = after or State()
        if held is not None and held.size < self._start.size:
            raise ValueError("the held checkpoint is older than where the verification begins")
        self._goes_on = after is not None
        self.prunes: tuple[Prune, ...] = ()
        self._key = public_key
        self._raw_key = public_key.public_bytes_raw()
        self._mac = None if mac_key is None else Mac(mac_key)
        self._held = held
        self._held_size = held.size if held else -1
        self._origin = held.origin if held else None
        self._held_differs = False
        self._chain = self._start.chain
        self._tree = Tree(self._start.size, self._start.peaks)
        self._good: dict[int, bytes] = {}
        self._waiting: dict[int, Checkpoint] = {}
        self.proved = self._start.size

    @property
    def state(self) -> State:
        """Where the verification stands."""
        return State(self._tree.size, self._chain, tuple(self._tree.peaks))

    @property
    def start(self) -> State:
        """Where the entries that are verified begin."""
        return self._start

    @property
    def checkpoints(self) -> int:
        """How many sizes have a good checkpoint."""
        return len(self._good)

    @property
    def held_compared(self) -> bool:
        """Whether the held checkpoint, if any, was not older than what was taken out of the log."""
        return self._held is None or self._held_size >= self._start.size

    def begin(self) -> Finding | None:
        """Check what is known before the first record: the held checkpoint."""
        if self._held is None:
            return None
        return self._check_signature(self._held) or self._at_size()

    def feed(self, record: Record, rest: Iterable[Record] = ()) -> Finding | None:
        """Take the next record.

        Args:
            record: an entry or checkpoint.
            rest: the records after it; read only to name exactly what is wrong with an entry.
        """
        if not isinstance(record, Entry):
            return self._feed_prune(record) if isinstance(record, Prune) else self._feed_checkpoint(record)
        number = self._tree.size + 1
        body = _encoded(record)
        if not self._fits(record, body, number):
            return self._settle(record, rest, number)
        self._chain = record.hash
        self._tree.append(leaf_hash(body))
        if number in self._waiting or number == self._held_size:
            return self._at_size()
        return None

    def finish(self, *, closed: bool = True) -> Finding | None:
        """Say what is missing at the end of the records.

        Args:
            closed: a checkpoint over all of them must be among them.
        """
        size = self._tree.size
        if self._held is not None and self._held.size > size:
            message = f"the log ends at {size}; a held checkpoint covers {self._held.size} entries"
        elif self._waiting:
            message = f"the log ends at {size}; a checkpoint of it covers {max(self._waiting)} entries"
        elif closed and size not in self._good:
            message = f"the log ends at {size} without a checkpoint over all of it"
        else:
            return None
        return Finding(Kind.TRUNCATED, size + 1, message)

    def _settle(self, entry: Entry, rest: Iterable[Record], number: int) -> Finding:
        found = sequence_of(entry.body)
        later, intact_later = self._look_ahead(rest, number)
        if found is None or found == number:
            if intact_later:
                return Finding(Kind.INSERTED, number, f"an entry was put in before entry {number}")
            return self._edited(entry, number)
        if found < number:
            return Finding(Kind.INSERTED, found, f"a second entry {found} stands where {number} belongs")
        if number not in later:
            if entry.sequence == number and not self._whole(entry):
                return Finding(Kind.EDITED, number, f"entry {number} is not what was logged")
            last = min(other for other in (found, *later) if other > number) - 1
            unsigned = "" if self._begun_before(number) else ", and no signed record says that they were pruned"
            return Finding(Kind.MISSING, number, f"entries {number} to {last} are missing{unsigned}")
        if found not in later and found - 1 in {number, *later}:
            return Finding(Kind.REORDERED, number, f"entry {found} stands where {number} belongs")
        return Finding(Kind.INSERTED, found, f"an entry numbered {found} was put in before entry {number}")

    def _begun_before(self, number: int) -> bool:
        return number > self._start.size + 1

    def _fits(self, entry: Entry, body: bytes, number: int) -> bool:
        # "time" is the last field of most bodies and has one length, so no parser is needed to find the
        # number before it.
        text = entry.body
        quick = text.endswith(f',"sequence":{number}', 0, -35) and text[-35:-26] == ',"time":"'
        if entry.sequence != number or not (quick or sequence_of(text) == number):
            return False
        if sha256(self._chain + body).digest() != entry.hash:
            return False
        return self._mac is None or self._mac.of(entry.hash) == entry.mac

    def _feed_checkpoint(self, point: Checkpoint) -> Finding | None:
        wrong = self._check_signature(point)
        if wrong is not None:
            return wrong
        size = self._tree.size
        if point.size > size:
            self._waiting[point.size] = point
            return None
        if point.size == size:
            return self._check_root(point)
        if self._good.get(point.size) == point.root:
            return None
        return Finding(Kind.REORDERED, point.size, f"the checkpoint over {point.size} comes after entry {size}")

    def _feed_prune(self, prune: Prune) -> Finding | None:
        """Go on from where a signed record says that the log was cut."""
        size = self._tree.size
        tree = prune.tree()
        if prune.public_key != self._raw_key:
            return Finding(Kind.FOREIGN_KEY, size + 1, f"the record of the cut at {prune.size} has another key")
        if tree is None or not prune.signed_by(self._key) or prune.origin != (self._origin or prune.origin):
            return Finding(Kind.FORGED_PRUNE, size + 1, f"the record of the cut at {prune.size} is false")
        if self._goes_on or size > self._start.size or prune.first != size + 1:
            return Finding(Kind.FORGED_PRUNE, size + 1, f"the record of the cut at {prune.size} does not belong here")
        self._origin = prune.origin
        self._tree, self._chain, self.proved = tree, prune.chain, prune.size
        self._start = self.state
        self.prunes = (*self.prunes, prune)
        return self._at_size() if prune.size in self._waiting or prune.size == self._held_size else None

    def _check_signature(self, point: Checkpoint) -> Finding | None:
        first = self.proved + 1
        if point.public_key != self._raw_key:
            return Finding(Kind.FOREIGN_KEY, first, f"the checkpoint over {point.size} has another key")
        if not point.signed_by(self._key):
            message = f"the signature of the checkpoint over {point.size} is false"
            return Finding(Kind.FORGED_CHECKPOINT, first, message)
        if self._origin is not None and point.origin != self._origin:
            message = f"the checkpoint over {point.size} is of another log, {point.origin!r}"
            return Finding(Kind.FORGED_CHECKPOINT, first, message)
        self._origin = point.origin
        return None

    def _at_size(self) -> Finding | None:
        """Compare the tree with the checkpoints that were known before it reached their size."""
        size = self._tree.size
        if self._held is not None and size == self._held_size:
            # Whether this is a fork or an edit shows at the next checkpoint of the records themselves.
            self._held_differs = self._tree.root() != self._held.root
        point = self._waiting.pop(size, None)
        return None if point is None else self._check_root(point)

    def _check_root(self, point: Checkpoint) -> Finding | None:
        if self._tree.root() != point.root:
            if point.size in self._good:
                message = f"two signed checkpoints differ over {point.size} entries"
                return Finding(Kind.FORKED, point.size, message)
            first = self.proved + 1
            message = f"an entry from {first} to {point.size} is not what the checkpoint over it covers"
            return Finding(Kind.EDITED, first, message)
        self._good[point.size] = point.root
        self.proved = point.size
        if self._held_differs and self._held is not None:
            message = f"the held checkpoint over {self._held.size} entries is of another history of this log"
            return Finding(Kind.FORKED, self._held.size, message)
        return None

    def _look_ahead(self, rest: Iterable[Record], number: int) -> tuple[set[int], bool]:
        """Find which numbers follow, and whether the entry that belongs here is among them."""
        later: set[int] = set()
        intact = False
        for record in rest:
            if not isinstance(record, Entry):
                continue
            found = sequence_of(record.body)
            if found is not None:
                later.add(found)
            if found == number and not intact:
                intact = self._fits(record._replace(sequence=number), _encoded(record), number)
        return later, intact

    def _edited(self, entry: Entry, number: int) -> Finding:
        """Tell an edited entry from an intact one behind an edited one."""
        if number == 1 or previous_of(entry.body) == self._chain or not self._whole(entry):
            return Finding(Kind.EDITED, number, f"entry {number} is not what was logged")
        if self._mac is not None or number - 1 <= self._start.size:
            return Finding(Kind.FORKED, number, f"entry {number} follows another history of this log")
        return Finding(Kind.EDITED, number - 1, f"entry {number - 1} is not what was logged")

    def _whole(self, entry: Entry) -> bool:
        """Say whether an entry agrees with itself, whatever it follows."""
        claimed = previous_of(entry.body)
        if claimed is None or sha256(claimed + _encoded(entry)).digest() != entry.hash:
            return False
        return self._mac is None or self._mac.of(entry.hash) == entry.mac


def verify(
    records: Iterable[Record],
    *,
    public_key: Ed25519PublicKey,
    mac_key: bytes | None = None,
    held: Checkpoint | None = None,
    after: State | None = None,
) -> Report:
    """Verify an export of the log, one record at a time.

    Args:
        records: the records of cuts, then entries in order, each checkpoint after the entries it covers, one over all
            at the end.
        public_key: the log's public key, from somewhere other than the export.
        mac_key: the log's key, where known.
        held: a checkpoint from an earlier day, against truncation and replacement.
        after: where an earlier verification ended, for an export that begins there.

    Raises:
        ValueError: `held` is older than `after`.
    """
    verifier = Verifier(public_key=public_key, mac_key=mac_key, held=held, after=after)
    finding = verifier.begin() or _run(verifier, iter(records))
    state = verifier.state
    entries = state.size - verifier.start.size
    return Report(
        finding, entries, verifier.proved, verifier.checkpoints, state, verifier.prunes, verifier.held_compared
    )


def _run(verifier: Verifier, records: Iterator[Record]) -> Finding | None:
    feed = verifier.feed
    for record in records:
        finding = feed(record, records)
        if finding is not None:
            return finding
    return verifier.finish()


def _encoded(entry: Entry) -> bytes:
    # A body read from a tampered file may hold what UTF-8 cannot; it must fail to verify, not to encode.
    return entry.body.encode("utf-8", "surrogatepass")
