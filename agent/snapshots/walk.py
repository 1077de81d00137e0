"""A tar stream, walked member by member as it is decoded.

Not the standard library's tarfile: that keeps every member in memory, reads headers of any length at once, copies
all the content, and takes several times as long for the hundreds of thousands of members of an archive.
"""

from collections.abc import Callable

from agent.snapshots.headers import BLOCK, LONG_NAME, PAX, SPARSE, Header, parse, pax, size_of
from agent.snapshots.report import Fault, Reason

MAX_EXTENSION_BYTES = 1 << 16
_ZEROS = bytes(BLOCK)
# Set by a pax header; the rest of its keys (times, owners) changes nothing here.
_CHANGING = {"path", "size"}


class Walk:
    """Finds the members of a tar stream that comes in pieces.

    Args:
        member: called with each member's header, long names resolved; says whether its content is wanted.
        content: called with the content that was wanted, whole.
    """

    def __init__(self, member: Callable[[Header], bool], content: Callable[[bytes], None]) -> None:
        self._member, self._content = member, content
        self._head = bytearray()
        # Bytes of content still to come, of padding after them, and who takes the content.
        self._left = self._padding = 0
        self._kept: bytearray | None = None
        self._taker: Callable[[bytes], None] = content
        self._extended: dict[str, str] = {}
        self._zero_blocks = 0
        self._sparse = False

    def feed(self, piece: bytes) -> None:
        """Take what comes next of the stream; raises Fault."""
        at, end = 0, len(piece)
        while at < end:
            if self._zero_blocks == 2:
                self._after_the_end(piece[at:])
                return
            at = self._within(piece, at) if self._left or self._padding else self._at_header(piece, at)

    def close(self) -> None:
        """Say that the stream is at its end; raises Fault if the archive is not."""
        if self._zero_blocks < 2:
            raise Fault(Reason.ARCHIVE_TRUNCATED, "the tar has no end: the two blocks of zeros are missing")

    def _within(self, piece: bytes, at: int) -> int:
        taken = min(self._left, len(piece) - at)
        if self._kept is not None:
            self._kept += piece[at : at + taken]
        self._left -= taken
        at += taken
        if not self._left:
            if self._kept is not None:
                content, self._kept = bytes(self._kept), None
                self._taker(content)
            skipped = min(self._padding, len(piece) - at)
            self._padding -= skipped
            at += skipped
        return at

    def _at_header(self, piece: bytes, at: int) -> int:
        part = piece[at : at + BLOCK - len(self._head)]
        self._head += part
        if len(self._head) == BLOCK:
            block, self._head = bytes(self._head), bytearray()
            self._block(block)
        return at + len(part)

    def _block(self, block: bytes) -> None:
        if self._sparse:
            # More of the map of a sparse member; its last byte but seven says whether still more follows.
            self._sparse = bool(block[504])
        elif block == _ZEROS:
            self._zero_blocks += 1
        elif self._zero_blocks:
            raise Fault(Reason.ARCHIVE_CORRUPT, "the tar goes on after a block of zeros")
        else:
            self._header(parse(block), block)

    def _header(self, header: Header, block: bytes) -> None:
        if header.kind in (LONG_NAME, PAX):
            if header.size > MAX_EXTENSION_BYTES:
                raise Fault(Reason.BOMB, f"a header of {header.size} bytes; {MAX_EXTENSION_BYTES} is the most")
            self._await(header.size, self._long_name if header.kind == LONG_NAME else self._pax)
            return
        if self._extended:
            name = self._extended.get("path")
            size = self._extended.get("size")
            header = Header(
                header.name if name is None else name.encode(),
                header.kind,
                header.size if size is None else size_of(size),
            )
            self._extended = {}
        self._await(header.size, self._content if self._member(header) else None)
        self._sparse = header.kind == SPARSE and bool(block[482])

    def _await(self, size: int, taker: Callable[[bytes], None] | None) -> None:
        self._left, self._padding = size, -size % BLOCK
        if taker is not None:
            self._kept, self._taker = bytearray(), taker
            if not size:
                self._kept = None
                taker(b"")

    def _long_name(self, content: bytes) -> None:
        self._extended["path"] = content.partition(b"\0")[0].decode(errors="replace")

    def _pax(self, content: bytes) -> None:
        records = pax(content)
        if any(key.startswith("GNU.sparse") or key == "linkpath" for key in records):
            raise Fault(Reason.MEMBER_REFUSED, "a pax header makes a link or a sparse member")
        self._extended |= {key: value for key, value in records.items() if key in _CHANGING}

    def _after_the_end(self, piece: bytes) -> None:
        if piece.strip(b"\0"):
            raise Fault(Reason.ARCHIVE_CORRUPT, "the tar goes on after its end")
