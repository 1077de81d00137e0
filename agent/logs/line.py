"""Lines of a validator's log: Agave's format, and the messages that run over several lines."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

# "[2026-08-14T12:34:56.123456789Z INFO  solana_core::replay_stage] text" (agave logger/src/lib.rs).
_LINE = re.compile(
    r"\[(20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})\d*Z (ERROR|WARN|INFO|DEBUG|TRACE) +([\w:-]+)\] (.*)", re.DOTALL
)
_PANIC = re.compile(r"thread '([^']{0,64})'(?: \(\d+\))? panicked at ([^\s]{1,256}):$")
# A message that runs on is cut here: what matters of it stands at its beginning.
MAX_CHARS = 16_384
MAX_LINES = 64


class Line(NamedTuple):
    """One message of the log.

    Attributes:
        stamp: when, UTC, as written, cut to milliseconds; empty where the message bears no time.
        level: "ERROR", "WARN", "INFO", "DEBUG" or "TRACE"; empty for a panic or a line of another form.
        module: the Rust module, for example "solana_core::replay_stage"; empty likewise.
        text: the message.
    """

    stamp: str
    level: str
    module: str
    text: str

    @property
    def unix_ms(self) -> int | None:
        """When, in milliseconds since the epoch; None where the message bears no time."""
        try:
            return int(datetime.fromisoformat(self.stamp + "+00:00").timestamp() * 1000) if self.stamp else None
        except ValueError:
            return None


def parse(raw: str) -> Line | None:
    """Parse one line; None if it continues the message before it."""
    match = _LINE.match(raw)
    return Line(*match.groups()) if match else None


class Assembler:
    """Puts messages together from raw lines.

    A datapoint whose string field holds a line break goes on until its quote closes. A panic is the line that says
    so with the one after it. Any other line that bears no time stands alone: tower dumps, backtraces, a wrapper's
    own words.
    """

    def __init__(self) -> None:
        self._open: list[str] = []
        self._chars = 0

    def feed(self, raw: str) -> Iterator[Line]:
        """Take one raw line; give the messages that are complete by it."""
        line = parse(raw)
        if line is None:
            if self._open:
                yield from self._go_on(raw)
            elif _PANIC.match(raw):
                self._open, self._chars = [raw], len(raw)
            elif raw:
                yield Line("", "", "", raw[:MAX_CHARS])
            return
        yield from self.flush()
        if _runs_on(line.text):
            self._open, self._chars = [raw], len(raw)
        else:
            yield line

    def flush(self) -> Iterator[Line]:
        """Give what waits for more, as it stands: nothing more came."""
        if self._open:
            raw, self._open = "\n".join(self._open), []
            yield parse(raw) or Line("", "", "", raw)

    def _go_on(self, raw: str) -> Iterator[Line]:
        self._open.append(raw[:MAX_CHARS])
        self._chars += len(raw)
        whole = "\n".join(self._open)
        panic = not self._open[0].startswith("[20")
        if panic or self._chars > MAX_CHARS or len(self._open) > MAX_LINES or not _runs_on(whole):
            yield from self.flush()


def panic_of(text: str) -> tuple[str, str, str] | None:
    """Give a panic's thread, place and message; None if the text is none."""
    first, _, rest = text.partition("\n")
    match = _PANIC.match(first)
    return (match[1], match[2], rest) if match else None


def _runs_on(text: str) -> bool:
    # Only a quote is escaped, by a backslash; a string that is not closed goes on in the next line.
    return "datapoint: " in text and (text.count('"') - text.count('\\"')) % 2 == 1
