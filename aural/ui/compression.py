"""Compression of the page itself, which Gradio sends as it is: it compresses files with an ending only."""

from __future__ import annotations

from starlette._utils import get_route_path
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

COMPRESSED = ("/", "/config", "/gradio_api/info", "/gradio_api/openapi.json")
MIN_BYTES = 1_000


def page_path(scope: Scope) -> str:
    """The path that is asked for below the app's root, without a slash at its end."""
    return get_route_path(scope).rstrip("/") or "/"


class PageCompression:
    """The middleware: gzip for the page and its descriptions, and for nothing that streams.

    Args:
        app: what answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._compressed = GZipMiddleware(app, minimum_size=MIN_BYTES, compresslevel=6)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        is_page = scope["type"] == "http" and page_path(scope) in COMPRESSED
        await (self._compressed if is_page else self._app)(scope, receive, send)
