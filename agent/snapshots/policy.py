"""Which archives may go: a plan made from a listing, with no look at the disk."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from agent.snapshots.catalogue import Archive, Catalogue


class Why(StrEnum):
    """Why an archive may go; these codes are stable."""

    KNOWN_BAD = "KNOWN_BAD"
    BASE_MISSING = "BASE_MISSING"
    OLDER_BASE = "OLDER_BASE"
    SURPLUS_FULL = "SURPLUS_FULL"
    SURPLUS_INCREMENTAL = "SURPLUS_INCREMENTAL"
    OVER_CAP = "OVER_CAP"


@dataclass(frozen=True)
class Policy:
    """How much is kept. What is younger than the age stays in any case; the cap takes more than the counts would.

    Attributes:
        keep_full: full archives, at least one.
        keep_incremental: incremental archives on the newest full one, at least one.
        younger_than_s: what was written in the last so many seconds stays.
        cap_bytes: what all archives together may take; None for no cap.
    """

    keep_full: int = 2
    keep_incremental: int = 4
    younger_than_s: int = 0
    cap_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.keep_full < 1 or self.keep_incremental < 1:
            raise ValueError("at least one full archive and one incremental one on it are kept")
        if self.younger_than_s < 0 or (self.cap_bytes is not None and self.cap_bytes < 0):
            raise ValueError("an age or a cap is 0 or more")


@dataclass(frozen=True)
class Known:
    """What is known of archives beside the listing.

    Attributes:
        bad: names of those that are known to be bad.
        verified: names of those that were verified.
        pinned: (device, inode) of those that are pinned.
    """

    bad: Collection[str] = ()
    verified: Collection[str] = ()
    pinned: Collection[tuple[int, int]] = ()


class Removal(NamedTuple):
    """An archive that may go, and why."""

    archive: Archive
    why: Why


@dataclass(frozen=True)
class Plan:
    """What is to go.

    Attributes:
        removals: in the order in which they are to go.
        keepers: the pairs without which nothing of this may go.
        over_cap_bytes: by how much the cap is missed even so.
    """

    removals: tuple[Removal, ...]
    keepers: tuple[Archive, ...]
    over_cap_bytes: int = 0

    @property
    def size(self) -> int:
        """Bytes of all that is to go."""
        return sum(removal.archive.size for removal in self.removals)

    @property
    def digest(self) -> str:
        """SHA-256 of what is to go, what must stay, and why: the same for the same listing, whatever its order."""
        rows = [
            [
                [str(removal.archive.folder), str(removal.archive.name), *removal.archive.identity, removal.why]
                for removal in self.removals
            ],
            [[str(keeper.folder), str(keeper.name), *keeper.identity] for keeper in self.keepers],
        ]
        return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()


def plan(catalogue: Catalogue, policy: Policy, known: Known, now_s: float) -> Plan:
    """Say which archives may go.

    There stay in any case: the newest full archive; the newest pair that is not known to be bad; the newest pair
    that was verified; what is pinned; what is young; what another that stays stands on. Where no full archive is
    left that is not known to be bad, nothing goes: there may be something to save.
    """
    good = Catalogue([archive for archive in catalogue.archives if str(archive.name) not in known.bad])
    if not good.full():
        return Plan((), (), _over(catalogue, policy, ()))
    keepers = _keepers(good, known)
    stays = _stays(catalogue, policy, known, now_s) | set(keepers)
    free = sorted((archive for archive in catalogue.archives if archive not in stays), key=_order)
    reasons = _reasons(good, policy, known)
    gone: dict[Archive, Why] = {}
    standing = Counter(archive.name.base for archive in catalogue.archives if archive.name.base is not None)

    def let_go(archive: Archive, why: Why) -> None:
        # In this order a full one comes after all that stand on it; it stays if any of them does.
        if archive.name.base is not None:
            standing[archive.name.base] -= 1
        elif standing[archive.name.slot]:
            return
        gone[archive] = why

    for archive in free:
        if (why := reasons(archive)) is not None:
            let_go(archive, why)
    for archive in free:
        if archive not in gone and _over(catalogue, policy, gone):
            let_go(archive, Why.OVER_CAP)
    removals = sorted(gone.items(), key=lambda item: (item[1] is not Why.KNOWN_BAD, _order(item[0])))
    return Plan(tuple(Removal(*item) for item in removals), keepers, _over(catalogue, policy, gone))


def _keepers(good: Catalogue, known: Known) -> tuple[Archive, ...]:
    verified = Catalogue([archive for archive in good.archives if str(archive.name) in known.verified])
    pairs = (next(catalogue.pairs(), None) for catalogue in (good, verified))
    return tuple(sorted({archive for pair in pairs if pair for archive in pair if archive}, key=_order))


def _stays(catalogue: Catalogue, policy: Policy, known: Known, now_s: float) -> set[Archive]:
    newest = max(catalogue.base_slots())
    return {
        archive
        for archive in catalogue.archives
        if (archive.name.base is None and archive.name.slot == newest)
        or archive.identity[:2] in known.pinned
        or now_s - archive.identity.mtime_ns / 1e9 < policy.younger_than_s
    }  # fmt: skip


def _reasons(good: Catalogue, policy: Policy, known: Known) -> Callable[[Archive], Why | None]:
    full = sorted(good.base_slots(), reverse=True)
    kept = full[: policy.keep_full]
    # As the validator does it: several on the newest full one, the newest one on each older one that is kept.
    on_kept = {
        base: sorted({archive.name.slot for archive in good.on(base)}, reverse=True)[
            : policy.keep_incremental if base == full[0] else 1
        ]
        for base in kept
    }

    def why(archive: Archive) -> Why | None:
        base, slot = archive.name.base, archive.name.slot
        if base is not None and not archive.base_present:
            return Why.BASE_MISSING
        if str(archive.name) in known.bad or (base is not None and base not in full):
            return Why.KNOWN_BAD
        if base is None:
            return None if slot in kept else Why.SURPLUS_FULL
        if slot in on_kept.get(base, ()):
            return None
        return Why.SURPLUS_INCREMENTAL if base == full[0] else Why.OLDER_BASE

    return why


def _order(archive: Archive) -> tuple[int, bool, int, str, str]:
    # The oldest full one first, and before it what stands on it, the oldest first.
    name = archive.name
    return name.slot if name.base is None else name.base, name.base is None, name.slot, str(name), str(archive.folder)


def _over(catalogue: Catalogue, policy: Policy, gone: Collection[Archive]) -> int:
    if policy.cap_bytes is None:
        return 0
    # Hard links to one file take its space once.
    sizes = {archive.identity[:2]: archive.size for archive in catalogue.archives if archive not in gone}
    return max(0, sum(sizes.values()) - policy.cap_bytes)
