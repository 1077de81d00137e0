"""The members that a snapshot archive has, in the order in which the validator writes and reads them."""

import re

from agent.snapshots.headers import DIRECTORY, OLD_REGULAR, REGULAR, SPARSE, Header
from agent.snapshots.names import ArchiveName
from agent.snapshots.report import Fault, Reason

# The validator's own bound is the same.
MAX_MEMBERS = 5_000_000
_MAX_VERSION_BYTES = 64
_NUMBER = rb"(0|[1-9][0-9]{0,19})"
_ACCOUNTS = re.compile(rb"accounts/" + _NUMBER + rb"\.[0-9]{1,20}")
_BANK = re.compile(rb"snapshots/" + _NUMBER + rb"/" + _NUMBER)
_FOLDER = re.compile(rb"accounts|snapshots(?:/" + _NUMBER + rb")?")
_VERSION = re.compile(rb"v?[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}")
# Other versions wrote sparse members, and the validator still reads them.
_FILES = (REGULAR, OLD_REGULAR, SPARSE)


class Members:
    """Judges member after member.

    Args:
        name: the archive's name, whose slot the members must be of.
        most: more members than this are refused.
    """

    def __init__(self, name: ArchiveName, most: int = MAX_MEMBERS) -> None:
        self._slot, self._most = name.slot, most
        self._bank = self._status_cache = False
        self._accounts = 0
        self.count = 0
        self.version = ""

    def take(self, header: Header) -> bool:
        """Judge a member by its header; says whether its content is wanted. Raises Fault."""
        self.count += 1
        if self.count > self._most:
            raise Fault(Reason.BOMB, f"the archive has more than {self._most} members")
        if self.count == 1:
            return self._take_version(header)
        if header.kind == DIRECTORY:
            self._take_folder(header)
        elif header.kind not in _FILES:
            raise Fault(Reason.MEMBER_REFUSED, f"{_shown(header.name)} is neither a file nor a folder")
        elif match := _ACCOUNTS.fullmatch(header.name):
            self._take_accounts(int(match[1]))
        else:
            self._take_state(header.name)
        return False

    def content(self, content: bytes) -> None:
        """Judge the content that was wanted: the version. Raises Fault."""
        if not _VERSION.fullmatch(content.strip()):
            raise Fault(Reason.MEMBER_REFUSED, f"the version is not of the form 1.2.0: {_shown(content)}")
        self.version = content.strip().decode()

    def close(self) -> None:
        """Say that no more will come; raises Fault if something is missing."""
        for there, what in (
            (self.count, "version"),
            (self._status_cache, "snapshots/status_cache"),
            (self._bank, f"snapshots/{self._slot}/{self._slot}"),
            (self._accounts, "a file of accounts"),
        ):
            if not there:
                raise Fault(Reason.MEMBER_MISSING, f"the archive lacks {what}")

    def _take_version(self, header: Header) -> bool:
        if header.name != b"version" or header.kind not in (REGULAR, OLD_REGULAR):
            raise Fault(Reason.MEMBER_REFUSED, f"the first member is {_shown(header.name)}, not the file version")
        if header.size > _MAX_VERSION_BYTES:
            raise Fault(Reason.MEMBER_REFUSED, f"the version has {header.size} bytes")
        return True

    def _take_folder(self, header: Header) -> None:
        match = _FOLDER.fullmatch(header.name.removesuffix(b"/"))
        if match is None or header.size:
            raise Fault(Reason.MEMBER_REFUSED, f"{_shown(header.name)} is a folder that no snapshot has")
        if match[1] is not None:
            self._of_this_slot(int(match[1]), header.name)

    def _take_accounts(self, slot: int) -> None:
        if not (self._bank and self._status_cache):
            raise Fault(Reason.MEMBER_REFUSED, "a file of accounts stands before the bank's state")
        if slot > self._slot:
            raise Fault(Reason.SLOT_MISMATCH, f"a file of accounts is of slot {slot}, after the archive's {self._slot}")
        self._accounts += 1

    def _take_state(self, name: bytes) -> None:
        match = _BANK.fullmatch(name)
        if match is None and name != b"snapshots/status_cache":
            raise Fault(Reason.MEMBER_REFUSED, f"no snapshot has a file {_shown(name)}")
        if self._bank if match else self._status_cache:
            raise Fault(Reason.MEMBER_REFUSED, f"{_shown(name)} is there twice")
        if match is None:
            self._status_cache = True
            return
        self._of_this_slot(int(match[1]), name)
        self._of_this_slot(int(match[2]), name)
        self._bank = True

    def _of_this_slot(self, slot: int, name: bytes) -> None:
        if slot != self._slot:
            raise Fault(Reason.SLOT_MISMATCH, f"the archive's name says slot {self._slot}, but it holds {_shown(name)}")


def _shown(raw: bytes) -> str:
    return ascii(raw[:80].decode(errors="replace"))
