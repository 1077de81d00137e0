"""Messages on their way off the host: on one line, cut, and without what may be a secret."""

import re

MAX_MESSAGE = 1_024
# Whoever stands in a URL before "@", and every value of its query, may be a secret.
_URL_SECRET = re.compile(r"(://)[^\s/@]*@|([?&][\w.-]+=)[^\s&\"']+")


def clean(text: str) -> str:
    """Cut a message, put it on one line, and take out what may be a secret in its URLs."""
    return _URL_SECRET.sub(
        lambda found: f"{found[1] or ''}{found[2] or ''}…", " / ".join(text[:MAX_MESSAGE].split("\n"))
    )
