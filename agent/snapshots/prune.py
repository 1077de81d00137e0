"""A plan carried out: each file is looked at again before it goes, so that the same plan can be carried out twice."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from agent.config.files import UnsafeFile
from agent.config.files import folder as open_folder
from agent.snapshots.catalogue import Archive
from agent.snapshots.files import Identity, look
from agent.snapshots.policy import Plan


class SkipReason(StrEnum):
    """Why an archive of the plan was left; these codes are stable."""

    GONE = "GONE"
    CHANGED = "CHANGED"
    FAILED = "FAILED"


class Ended(StrEnum):
    """How it ended; these codes are stable."""

    DONE = "DONE"
    STOPPED = "STOPPED"
    KEEPER_GONE = "KEEPER_GONE"


class Skipped(NamedTuple):
    """An archive of the plan that was left, and why."""

    archive: Archive
    reason: SkipReason
    message: str


@dataclass
class Outcome:
    """What a plan came to; bytes are freed only where no other hard link holds the file."""

    removed: list[Archive] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    bytes_freed: int = 0
    ended: Ended = Ended.DONE


def carry_out(plan: Plan, stop: Callable[[], bool] | None = None) -> Outcome:
    """Remove what a plan lets go; what is not as it was planned is left.

    Args:
        plan: what is to go.
        stop: asked before each archive; once it says True no more go.
    """
    outcome = Outcome()
    for removal in plan.removals:
        if stop is not None and stop():
            outcome.ended = Ended.STOPPED
            break
        # The plan rests on the pairs that stay: the validator may have removed one of them.
        if not all(_is_as_planned(keeper) for keeper in plan.keepers):
            outcome.ended = Ended.KEEPER_GONE
            break
        _remove(removal.archive, outcome)
    return outcome


def _remove(archive: Archive, outcome: Outcome) -> None:
    name = str(archive.name)
    try:
        with open_folder(archive.folder) as parent:
            status = look(parent, name)
            if Identity.of(status) != archive.identity:
                outcome.skipped.append(Skipped(archive, SkipReason.CHANGED, "it is another file than was planned"))
                return
            os.unlink(name, dir_fd=parent)
            outcome.removed.append(archive)
            outcome.bytes_freed += archive.size if status.st_nlink == 1 else 0
            # A removal that a crash undoes is done again by the same plan.
            with suppress(OSError):
                os.fsync(parent)
    except FileNotFoundError:
        outcome.skipped.append(Skipped(archive, SkipReason.GONE, "it is not there any more"))
    except (UnsafeFile, OSError) as error:
        outcome.skipped.append(Skipped(archive, SkipReason.FAILED, str(error)))


def _is_as_planned(archive: Archive) -> bool:
    try:
        with open_folder(archive.folder) as parent:
            return Identity.of(look(parent, str(archive.name))) == archive.identity
    except (UnsafeFile, OSError):
        return False
