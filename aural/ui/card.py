"""What a search engine, a chat or a timeline shows of a link to the page: its name, a sentence, a picture.

Gradio's page names Gradio and its own picture in the first of two sets of such tags, and leaves the second
empty. `LinkCard` puts one set in their place, with addresses by which the page was asked for. And it lets the
page have its width, and speak its visitor's language, before Gradio chooses another.
"""

from __future__ import annotations

import html
import re
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aural.ui import language
from aural.ui.compression import page_path
from aural.ui.theme import FRAME

FOLDER = Path(__file__).parent / "pictures"
ICON, CARD = FOLDER / "icon.png", FOLDER / "card.png"
SIZE = (1200, 630)  # pixels of the card's picture, as Open Graph's readers show it
TITLE = "AURAL"
DESCRIPTION = (
    "Drop a recording and hear it fixed: clean up, restore highs, set loudness. "
    "Super-resolution to any rate, sounds made from a class, and a blind test to judge by."
)
_FIRST = b'<meta charset="utf-8" />'  # of the page's head; ours follow it
_THEIRS = re.compile(rb'\s*<meta\s+(?:property="og:|name="twitter:)[^>]*>')


class LinkCard:
    """The middleware.

    Args:
        app: what answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; the page gets its tags."""
        if scope["type"] != "http" or page_path(scope) != "/":
            await self._app(scope, receive, send)
            return
        with language.speaking(scope) as spoken:
            await self._answer(scope, receive, send, spoken)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, spoken: str) -> None:
        start: Message = {}
        body = b""

        async def collect(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
                return
            body += message.get("body", b"")
            if message.get("more_body"):
                return
            headers = MutableHeaders(raw=start["headers"])
            if headers.get("content-type", "").startswith("text/html") and body:
                body = with_tags(body, str(Request(scope).base_url), spoken)
                headers.add_vary_header("Accept-Language")
                headers["content-length"] = str(len(body))
            await send(start)
            await send({"type": "http.response.body", "body": body})

        await self._app(scope, receive, collect)


def with_tags(page: bytes, address: str, spoken: str = "en") -> bytes:
    """A page with our tags in place of Gradio's.

    Args:
        address: of the page, with a slash at its end.
        spoken: the page's language.
    """
    picture = f"{address}gradio_api/file={CARD}"
    tags = {
        ("name", "description"): DESCRIPTION,
        ("property", "og:type"): "website",
        ("property", "og:url"): address,
        ("property", "og:title"): TITLE,
        ("property", "og:description"): DESCRIPTION,
        ("property", "og:image"): picture,
        ("property", "og:image:width"): str(SIZE[0]),
        ("property", "og:image:height"): str(SIZE[1]),
        ("name", "twitter:card"): "summary_large_image",
    }
    lines = [f"<title>{TITLE}</title>"]
    lines += [
        f'<meta {kind}="{name}" content="{html.escape(text)}" />' for (kind, name), text in tags.items()
    ]
    lines += [f"<style>{FRAME.strip()}</style>", language.head(spoken)]
    # The settings of the app follow in a script.
    head, script, rest = page.partition(b"<script")
    head = _THEIRS.sub(b"", head).replace(_FIRST, b"\n".join([_FIRST, *map(str.encode, lines)]), 1)
    return head + script + rest
