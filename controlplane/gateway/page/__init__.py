"""The page that shows the OpenAPI document to people: three files, nothing from elsewhere, no script inline."""

from collections.abc import Awaitable, Callable
from importlib.resources import files

from aiohttp import web

from controlplane.gateway.headers import PAGE_POLICY

_TYPES = {"index.html": "text/html", "page.css": "text/css", "page.js": "text/javascript"}


def add_page(app: web.Application) -> None:
    """Serve the page at /docs."""
    for name, content_type in _TYPES.items():
        path = "/docs" if name == "index.html" else f"/docs/{name}"
        app.router.add_get(path, _always(files(__package__).joinpath(name).read_bytes(), content_type))


def _always(body: bytes, content_type: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(_: web.Request) -> web.Response:
        headers = {"Content-Security-Policy": PAGE_POLICY}
        return web.Response(body=body, content_type=content_type, charset="utf-8", headers=headers)

    return handler
