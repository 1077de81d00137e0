"""Logs: one JSON object a line where a machine reads, plain text where a person does."""

import logging
import sys

import structlog


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
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
