"""What can go wrong with the audit log, as its callers are told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from common.auditverify import Finding
from common.errors import SolwardError


@asynccontextmanager
async def store(verb: str) -> AsyncIterator[None]:
    """Turn what the store raises into AUDIT_UNAVAILABLE.

    Args:
        verb: what was to be done, as in "cannot be read".
    """
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        # The driver's own words: SQLAlchemy's show the statement too, with the entries of other callers.
        words = error.orig if isinstance(error, DBAPIError) else error
        raise unavailable(f"the audit store cannot be {verb}: {words}") from error


def unavailable(message: str) -> SolwardError:
    """Say that the log cannot be written or read now."""
    return SolwardError(grpc.StatusCode.UNAVAILABLE, "AUDIT_UNAVAILABLE", message, retry_after_s=1.0)


def corrupt(finding: Finding) -> SolwardError:
    """Say that the stored log is not what was written."""
    return SolwardError(
        grpc.StatusCode.DATA_LOSS,
        "AUDIT_CORRUPT",
        f"the stored audit log is not what was written: {finding.message}; restore it from a backup or "
        "verify an export to see more",
        {"kind": finding.kind.value, "sequence": str(finding.sequence)},
    )


def pruned(first: int, wanted: int) -> SolwardError:
    """Say that an entry that is wanted was taken out under the log's retention."""
    return SolwardError(
        grpc.StatusCode.OUT_OF_RANGE,
        "ENTRIES_PRUNED",
        f"entry {wanted} was pruned; the log begins at {first}: ask from there",
        {"first": str(first)},
    )
