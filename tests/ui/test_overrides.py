"""What AURAL replaces in Gradio: only what fits, else Gradio's own stays and the log says what is lost."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import ModuleType
from typing import Any

import gradio as gr
import gradio.mcp
import pytest
from typing_extensions import override

import app
from aural.ui.overrides import replace


def theirs(path: str, limit: int = 3) -> str:
    return path * limit


class Parser:
    def read(self, path: str, *, size: int = 3) -> str:
        return path * size

    @staticmethod
    def describe(path: str) -> str:
        return path


class Ours(Parser):
    @override
    def read(self, where: str, **more: Any) -> str:  # type: ignore[override]
        return where

    @staticmethod
    @override
    def describe(path: str) -> str:
        return path.upper()

    def more(self) -> str:
        return "ours alone"


@pytest.fixture
def module() -> ModuleType:
    module = ModuleType("library")
    module.theirs, module.Parser = theirs, Parser  # type: ignore[attr-defined]
    return module


@pytest.mark.parametrize(
    "ours", [lambda path, limit=3: path * limit, lambda where, **_: where, lambda *given, **_: given]
)
def test_a_function_that_takes_the_same_calls_is_put_in_place(
    module: ModuleType, ours: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert replace(module, "theirs", ours, "nothing is lost")
    assert replace(module, "theirs", ours, "nothing is lost")  # a second time changes nothing
    assert module.theirs is ours
    assert not caplog.records


async def _slow(path: str, limit: int = 3) -> str:
    return path * limit


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("gone", theirs),
        ("theirs", lambda path: path),
        ("theirs", lambda path, limit, more: (path, limit, more)),
        ("theirs", _slow),
    ],
)
def test_a_function_that_does_not_fit_is_left_out_and_the_operator_told(
    module: ModuleType, name: str, ours: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert not replace(module, name, ours, "files stay")
    assert getattr(module, name, theirs) is theirs
    assert f"has no {name} of library as AURAL knows it, so files stay." in caplog.text


def test_a_class_fits_if_all_that_it_overrides_is_there(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Parser, "describe", lambda path, language: path + language)
    monkeypatch.delattr(Parser, "read")
    assert not replace(module, "Parser", Ours, "nobody reads")
    assert module.Parser is Parser
    assert "read and describe of library" in caplog.text
    monkeypatch.undo()
    assert replace(module, "Parser", Ours, "nobody reads")
    assert module.Parser is Ours


def test_on_a_gradio_whose_tools_work_otherwise_the_page_is_served_without_tools(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Changed:
        def tools_to_be(self) -> None: ...

    given: dict[str, Any] = {}
    monkeypatch.setattr(gradio.mcp, "GradioMCPServer", Changed)
    with gr.Blocks() as page:
        gr.Markdown("AURAL")
    monkeypatch.setattr(page, "launch", lambda **settings: given.update(settings))
    app.launch(page)
    assert given["mcp_server"] is False  # not Gradio's own, which would read files of the server
    assert gradio.mcp.GradioMCPServer is Changed
