"""An archive decoded piece by piece, in constant memory: zstd or lz4, of one frame or several."""

from collections.abc import Iterator
from typing import Protocol

from backports import zstd
from lz4.frame import LZ4FrameDecompressor  # type: ignore[import-untyped]

from agent.snapshots.names import Codec
from agent.snapshots.report import Fault, Reason
from agent.snapshots.source import Source

PIECE_BYTES = 1 << 20
# A window of 128 MiB: what level 22 uses, and the most that a decoder takes by default. Level 1 uses 512 KiB.
MAX_WINDOW_LOG = 27
# What follows a frame is copied with each new frame: many tiny ones would be much work for few bytes.
MAX_FRAMES = 1 << 16


class _Decoder(Protocol):
    # Both libraries follow the decompressors of the standard library: one frame each, and bounded output.
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def decoded(codec: Codec, source: Source) -> Iterator[bytes]:
    """Give what the source decodes to, at most PIECE_BYTES at a time.

    Raises: Fault, OSError, Stopped.
    """
    decoder, within, frames = _fresh(codec), False, 0
    while chunk := source.read():
        while chunk or not decoder.needs_input:
            within = True
            try:
                piece = decoder.decompress(chunk, max_length=PIECE_BYTES)
            except (zstd.ZstdError, RuntimeError) as error:
                raise _fault(codec, error, frames) from None
            if piece:
                yield piece
            chunk = b""
            if decoder.eof:
                frames += 1
                if frames > MAX_FRAMES:
                    raise Fault(Reason.BOMB, f"the archive has more than {MAX_FRAMES} frames")
                chunk, decoder, within = decoder.unused_data or b"", _fresh(codec), False
    if within:
        raise Fault(Reason.ARCHIVE_TRUNCATED, f"the file ends in the middle of a frame of {codec}")


def _fresh(codec: Codec) -> _Decoder:
    if codec is Codec.ZSTD:
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG})
    # Not reset and used again: it would not forget what of the last frame it has not consumed.
    decoder: _Decoder = LZ4FrameDecompressor()
    return decoder


def _fault(codec: Codec, error: Exception, frames: int) -> Fault:
    if "too much memory" in str(error):
        return Fault(Reason.BOMB, f"the archive wants a window of more than {1 << MAX_WINDOW_LOG} bytes")
    where = f"after {frames} frames, " if frames else ""
    return Fault(Reason.ARCHIVE_CORRUPT, f"{where}{codec}: {error}")
