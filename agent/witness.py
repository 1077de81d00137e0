"""The witness: this host remembers the audit log's newest checkpoint, and is not talked out of it."""

import json
from pathlib import Path

import structlog
from solward.audit.v1 import audit_pb2
from solward.hosts.v1 import link_pb2

from common.auditgrowth import trouble
from common.auditlines import decode, encode
from common.auditlog import Checkpoint
from common.auditwire import checkpoint_message, checkpoint_of
from common.files import write_private

FILE = "witness.json"
log = structlog.get_logger(__name__)


class Witness:
    """Keeps one checkpoint in the state folder, 0600; a crash at any moment leaves the old one or the new, whole.

    Args:
        state_dir: the agent's state folder.
        key: the log's public key as it was learnt when the host joined; empty for hosts that joined before that, which
            pin the first that they see.
    """

    def __init__(self, state_dir: Path, key: bytes) -> None:
        self._path = state_dir / FILE
        self._held = self._load()
        self._key = key or (self._held.public_key if self._held else b"")

    @property
    def held(self) -> Checkpoint | None:
        """The checkpoint that is held."""
        return self._held

    def message(self) -> audit_pb2.Checkpoint | None:
        """Give what is held as it goes up; None for nothing."""
        return checkpoint_message(self._held) if self._held else None

    def told(self, offered: audit_pb2.Checkpoint) -> link_pb2.WitnessReport:
        """Take a checkpoint, or refuse one of a log that is shorter, forked or signed with another key.

        Args:
            offered: the checkpoint, with the proof that it grew from the one that is held.

        Returns:
            What is held now, and what was refused.
        """
        new = checkpoint_of(offered)
        finding = trouble(self._key, self._held, new, offered.consistency_proof)
        if finding is not None:
            log.error(
                "the control plane's audit log is not what it was: its checkpoint is refused",
                kind=finding.kind.value, why=finding.message, held=self._held.size if self._held else 0,
                offered=new.size,
            )  # fmt: skip
            return link_pb2.WitnessReport(held=self.message(), refused=offered, reason=finding.message)
        try:
            write_private(self._path, json.dumps({"checkpoint": encode(new)}).encode())
        except OSError as error:
            # What is held stays true; a later checkpoint is as good as this one.
            log.warning("the audit log's checkpoint could not be kept", why=str(error))
            return link_pb2.WitnessReport(held=self.message())
        self._held, self._key = new, new.public_key
        return link_pb2.WitnessReport(held=self.message())

    def _load(self) -> Checkpoint | None:
        try:
            record = decode(json.loads(self._path.read_bytes())["checkpoint"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            # Kept aside: whoever damaged it must not also have it forgotten.
            log.error("the audit log's checkpoint on this host cannot be read", file=str(self._path), why=str(error))
            if self._path.exists():
                self._path.replace(self._path.with_suffix(".damaged"))
            return None
        return record if isinstance(record, Checkpoint) else None
