"""A lighter first visit: what the page does not need is not sent to it.

Gradio describes each component to programs in the page too, three times, and its audio fields load a player
of HTTP live streams (hls.js), which no field of the app plays: together a quarter of a first visit's bytes.
Where a newer Gradio writes its page in another way, it is sent as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import routes
from starlette.responses import Response
from starlette.routing import Route

# Of a component: what `/config` tells to programs.
FOR_PROGRAMS = {"api_info", "api_info_as_input", "api_info_as_output", "example_inputs", "example_payload"}
ASSETS = Path(gr.__file__).parent / "templates" / "frontend" / "assets"
EXPORTS = re.compile(r"export\{((?:\w+ as \w+,?)+)\};?\s*$")  # of a bundled module
CACHED = {"Cache-Control": "public, max-age=86400"}


def install() -> list[Route]:
    """Let Gradio's page do without; returns the routes that come before its own."""
    templates: Any = getattr(routes, "templates", None)
    write = templates.env.filters.get("toorjson") if templates else None
    if write is not None and not isinstance(write, _ForThePage):
        templates.env.filters["toorjson"] = _ForThePage(write)
    return [
        Route(f"/assets/{path.name}", _answer(stub))
        for path in ASSETS.glob("hls-*.js")
        if (stub := without_streams(path.read_text(encoding="utf-8"))) is not None
    ]


class _ForThePage:
    """Gradio's filter, which writes the app's configuration into the page."""

    def __init__(self, write: Callable[[Any], Any]) -> None:
        self._write = write

    def __call__(self, value: Any) -> Any:
        return self._write(for_the_page(value))


def for_the_page(config: Any) -> Any:
    """The app's configuration without what only programs read; other values as they are."""
    if not isinstance(config, dict) or "components" not in config:
        return config
    components = [
        {name: value for name, value in component.items() if name not in FOR_PROGRAMS}
        for component in config["components"]
    ]
    return {**config, "components": components}


def without_streams(module: str) -> str | None:
    """In place of hls.js: functions of the same names that say no, as in a browser that cannot use it.

    None if the module is not of the kind that is known.
    """
    exports = EXPORTS.search(module)
    if exports is None:
        return None
    names = (each.split(" as ")[1] for each in exports[1].split(",") if each)
    return f"const no = () => false; export {{ {', '.join(f'no as {name}' for name in names)} }};"


def _answer(script: str) -> Callable[[Any], Response]:
    return lambda _: Response(script, media_type="text/javascript", headers=CACHED)
