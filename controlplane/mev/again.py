"""When a bundle is sent again: the same signed transactions, which the chain takes once, so that nothing is paid twice.

A block engine keeps a bundle for one auction. One that lost it, or was forwarded to a leader that did not take it in,
is dead there although its blockhash lives for another minute.
"""

import random

from solward.jito.v1 import jito_pb2 as pb

DEFAULT_SENDS = 3
# Lost: sent again after this, twice as long with each send.
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 8.0
# Nothing heard, or forwarded and not seen on the chain: a leader's turn, and time for the word of it.
SILENT_S = 5.0
# A blockhash lives for a minute or so; what is sent later than this comes too late.
LIVES_S = 55.0
_UNDER_WAY = (
    pb.BUNDLE_STATE_SENDING, pb.BUNDLE_STATE_SENT, pb.BUNDLE_STATE_ACCEPTED, pb.BUNDLE_STATE_REJECTED,
)  # fmt: skip
# It would be refused again, whatever the auction.
_FOR_GOOD = ("SIMULATION_FAILED", "BLOCKHASH_EXPIRED", "PARTIALLY_PROCESSED", "NOT_FINALIZED")


def wait_s(bundle: pb.Bundle, unix_ms: int) -> float | None:
    """Say after which wait a bundle is to be sent again unless more is heard of it, in seconds; None: not at all.

    It is drawn anew with each question, between three quarters and five quarters of what stands above.

    Args:
        unix_ms: now, by the clock that dated the bundle's beginning.
    """
    if bundle.canary or bundle.state not in _UNDER_WAY or bundle.sends >= bundle.max_sends:
        return None
    lost = bundle.state == pb.BUNDLE_STATE_REJECTED
    if lost and bundle.reason in _FOR_GOOD:
        return None
    wait = min(LONGEST_WAIT_S, (FIRST_WAIT_S if lost else SILENT_S) * 2.0 ** (bundle.sends - 1))
    wait *= random.uniform(0.75, 1.25)  # noqa: S311
    left = (bundle.create_time.ToMilliseconds() - unix_ms) / 1000 + LIVES_S
    return wait if wait < left else None


def send_again(bundle: pb.Bundle) -> None:
    """Put a bundle back to where it is handed to a block engine; why it has not landed yet stays."""
    bundle.state = pb.BUNDLE_STATE_SENDING
    bundle.sends += 1
