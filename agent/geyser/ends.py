"""How a Yellowstone stream ends, by what its server says (yellowstone-grpc-geyser, its statuses)."""

from typing import Final, NamedTuple

import grpc
import grpc.aio

Code = grpc.StatusCode
_MESSAGE: Final = 300


class End(NamedTuple):
    """Why a subscription ended.

    Attributes:
        kind: a stable word.
        message: for people.
        lasting: a person must change something before it can stand again.
    """

    kind: str
    message: str
    lasting: bool = False


# What a code means, unless its words say more.
_CODES: Final[dict[Code, tuple[str, bool]]] = {
    Code.UNAUTHENTICATED: ("token_refused", True),
    Code.PERMISSION_DENIED: ("token_refused", True),
    Code.UNIMPLEMENTED: ("not_offered", True),
    Code.INVALID_ARGUMENT: ("filter_refused", True),
    Code.OUT_OF_RANGE: ("slot_unavailable", False),
    Code.RESOURCE_EXHAUSTED: ("limited", False),
    Code.UNAVAILABLE: ("transport", False),
    Code.DEADLINE_EXCEEDED: ("timeout", False),
    Code.CANCELLED: ("ended", False),
}
# Of a code, by words within what it says, in small letters.
_WORDS: Final[tuple[tuple[Code, str, str], ...]] = (
    (Code.INTERNAL, "lagged", "lagged"),
    (Code.INTERNAL, "from_slot", "slot_unavailable"),
    (Code.INTERNAL, "startup", "starting"),
    (Code.INTERNAL, "not available yet", "starting"),
    (Code.UNAVAILABLE, "shutting down", "shutdown"),
    # Said by our own side of the wire.
    (Code.RESOURCE_EXHAUSTED, "larger than max", "too_large"),
)


def of_status(code: Code, details: str | None) -> End:
    """Name an end."""
    words = (details or "").replace("\n", " ")[:_MESSAGE]
    message = f"{code.name}: {words}" if words else code.name
    for of, part, kind in _WORDS:
        if of is code and part in words.lower():
            return End(kind, message)
    kind, lasting = _CODES.get(code, ("other", False))
    return End(kind, message, lasting)


def of_error(error: grpc.aio.AioRpcError) -> End:
    """Name the end of a call that failed."""
    return of_status(error.code(), error.details())
