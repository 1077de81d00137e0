"""The validator peer, started as the real one is: by Agave's own flags.

Flags that this version does not know end it before anything starts, and so does another cluster's shred version, as
they end the real node (agave CHANGELOG.md, validator/src/cli.rs). What else the peer can do is told by PEER_FLAGS.
"""

import os
import sys

from common.flags.arguments import Argument, Word, read
from common.flags.catalogue import CATALOGUE
from common.semver import Version

VERSION = Version(4, 2, 1)
SHRED_VERSION = "50093"
_PASSED = ("ledger", "rpc-port", "log", "identity", "vote-account")


def main() -> int:
    """Check the flags and become the peer."""
    arguments = read([Word(word, word) for word in sys.argv[1:]])
    for argument in arguments:
        flag = CATALOGUE.get(argument.name)
        if flag is None or not flag.known_to(VERSION):
            print(
                f"error: Found argument '{argument}' which wasn't expected, or isn't valid in this context",
                file=sys.stderr,
            )
            return 1
    if _value(arguments, "expected-shred-version") not in ("", SHRED_VERSION):
        print("shred version mismatch: expected another", file=sys.stderr)
        return 1
    passed = [word for argument in arguments if argument.name in _PASSED for word in argument.words]
    extra = os.environ.get("PEER_FLAGS", "").split()
    return os.execv(sys.executable, [sys.executable, "-m", "tests.peers.validator", *passed, *extra])


def _value(arguments: list[Argument], name: str) -> str:
    return next((argument.value or "" for argument in arguments if argument.name == name), "")


if __name__ == "__main__":
    sys.exit(main())
