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


def websocket_url(text: str) -> yarl.URL:
    """Read a ws or wss URL without credentials in it; raises ValueError, which never holds the URL itself."""
    scheme, _, rest = text.partition("://")
    if scheme not in ("ws", "wss"):
        raise ValueError("must be a ws or wss URL")
    http_url(f"{scheme.replace('ws', 'http')}://{rest}")
    return yarl.URL(text)
