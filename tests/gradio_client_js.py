"""Gradio's JavaScript client, from what Gradio serves to the browser: no other host is asked."""

from __future__ import annotations

import re
from pathlib import Path

import gradio
from playwright.sync_api import Page, Route

_ASSETS = Path(gradio.__file__).parent / "templates" / "frontend" / "assets"


def serve_client(page: Page, folder: str) -> None:
    """Answer a page's requests for `index.min.js`, and what it imports, below an address."""

    def answer(route: Route) -> None:
        name = route.request.url.rsplit("/", 1)[1]
        body = _client() if name == "index.min.js" else (_ASSETS / name).read_text(encoding="utf-8")
        route.fulfill(body=body, content_type="text/javascript", headers={"Access-Control-Allow-Origin": "*"})

    page.route(f"{folder}*", answer)


def _client() -> str:
    """The module with Gradio's own client in it, which exports it under its name."""
    for path in _ASSETS.glob("*.js"):
        code = path.read_text(encoding="utf-8")
        before, found, _ = code.partition("static async connect(")
        if found:
            name = re.findall(r"(\w+)=class", before)[-1]
            return f"{code};export {{{name} as Client}};"
    raise AssertionError("Gradio serves no client")
