"""Logs: one JSON object a line where a machine reads, plain text where a person does."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from structlog.typing import Processor


class NamedLogger(structlog.PrintLogger):
    """Writes to standard error, and knows whose lines it writes."""

    def __init__(self, name: str = "") -> None:
        super().__init__(sys.stderr)
        self.name = name


def configure(level: str, *, json: bool) -> None:
    """Set up structlog for the whole program.

    Args:
        level: "debug", "info", "warning" or "error".
        json: write JSON lines; otherwise text for a terminal.
    """
    renderer = (
        structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=NamedLogger,
    )


@contextmanager
def tapped(tap: Processor) -> Iterator[None]:
    """Show every line to one more processor, before it becomes text, for the length of the block."""
    before: list[Processor] = structlog.get_config()["processors"]
    structlog.configure(processors=[*before[:-1], tap, before[-1]])
    try:
        yield
    finally:
        structlog.configure(processors=before)
