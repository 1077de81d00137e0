"""What verification found before: a checksum for each archive that was whole, a mark for each that was not."""

from collections.abc import Callable
from pathlib import Path

from agent.snapshots import checksums
from agent.snapshots.catalogue import Archive, Catalogue
from agent.snapshots.names import ArchiveName
from agent.snapshots.policy import Known
from common.files import write_private

BAD = ".bad"


class Findings:
    """The findings, in a folder of the jobs' own.

    Args:
        folder: made where it is not there yet, by the first that writes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def whole(self, name: ArchiveName, sha256: str) -> None:
        """Note that an archive was found whole."""
        self.folder.mkdir(mode=0o755, exist_ok=True)
        checksums.write(self.folder, name, sha256)
        # The agent, another user, shows it.
        (self.folder / f"{name}{checksums.SUFFIX}").chmod(0o644)
        (self.folder / f"{name}{BAD}").unlink(missing_ok=True)

    def bad(self, name: ArchiveName) -> None:
        """Note that an archive is not whole."""
        self.folder.mkdir(mode=0o755, exist_ok=True)
        write_private(self.folder / f"{name}{BAD}", b"")
        checksums.remove(self.folder, name)

    def sha256(self, name: ArchiveName) -> str:
        """Give the checksum that an archive had; empty where it was never found whole, or nobody can read it."""
        try:
            return checksums.read(self.folder, name) or ""
        except (checksums.ChecksumRefused, OSError):
            return ""

    def is_bad(self, name: str) -> bool:
        """Whether an archive was found not to be whole."""
        try:
            return (self.folder / f"{name}{BAD}").exists()
        except OSError:
            return False

    def known(self, catalogue: Catalogue, pinned: Callable[[Archive], bool]) -> Known:
        """Say what is known of archives beside their listing."""
        names = {str(archive.name): archive.name for archive in catalogue.archives}
        return Known(
            bad={text for text in names if self.is_bad(text)},
            verified={text for text, name in names.items() if self.sha256(name)},
            pinned={archive.identity[:2] for archive in catalogue.archives if pinned(archive)},
        )
