"""Versions of validators, as `getVersion` and `--version` print them."""

import re
from typing import NamedTuple

_FOUND = re.compile(r"(?<![\d.])(\d{1,4})\.(\d{1,4})\.(\d{1,4})(?![\d.])")


class Version(NamedTuple):
    """Major, minor and patch; what follows them (a pre-release, a fork's name) does not order."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        """Print it as people do."""
        return f"{self.major}.{self.minor}.{self.patch}"


def parse_version(text: str) -> Version | None:
    """Find the first version in a text such as "agave-validator 4.2.1 (src:0; feat:1, client:Agave)"; None: none."""
    found = _FOUND.search(text)
    return Version(*map(int, found.groups())) if found else None
