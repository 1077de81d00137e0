"""URLs of other systems, as settings name them."""

import yarl


def http_url(text: str, example: str = "") -> yarl.URL:
    """Read an http or https URL without credentials in it: those have settings of their own.

    Raises: ValueError, which never holds the URL itself, since that may hold a password.
    """
    what = f"must be an http or https URL{f', such as {example}' if example else ''}"
    try:
        url = yarl.URL(text)
    except ValueError:
        raise ValueError(what) from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(what)
    if url.user or url.password:
        raise ValueError("must hold no credentials: they go into user and password, or token")
    return url
