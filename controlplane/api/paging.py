"""Pages: opaque tokens that say where the next page begins, and for which question."""

import base64
import json
from typing import Any

from google.protobuf.message import Message

from common.digest import call_digest
from common.errors import wrong_field


def page_token(request: Message, position: list[str | int]) -> str:
    """Make the token of the page after a position."""
    content = json.dumps([_question(request), *position], separators=(",", ":"))
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def page_position(request: Message, *kinds: type[str | int]) -> list[Any] | None:
    """Read where a request's page begins; None for the first page.

    Args:
        request: the request for a page.
        kinds: of what types the parts of a position are, as `page_token` was given them.

    Raises: SolwardError INVALID_FIELD for a token that is not of this question (AIP-158).
    """
    token: str = getattr(request, "page_token")  # noqa: B009 - not every Message has it
    if not token:
        return None
    try:
        question, *position = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, TypeError, RecursionError):
        question, position = "", []
    if question != _question(request) or tuple(map(type, position)) != kinds or not all(map(_storable, position)):
        what = "is not a token of this list: repeat the other fields as they were, or begin without it"
        raise wrong_field("page_token", what)
    return list(position)


def _storable(part: str | int) -> bool:
    return isinstance(part, str) or abs(part) < 2**63


def _question(request: Message) -> str:
    asked = type(request)()
    asked.CopyFrom(request)
    for field in ("page_token", "page_size"):
        asked.ClearField(field)
    return call_digest(request.DESCRIPTOR.full_name, asked)[:16]
