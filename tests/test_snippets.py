"""The snippets of "Use via API" as they are printed, run against the app."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio.routes
import httpx
import pytest
from hf_gradio.cli import app as gradio_cli
from playwright.sync_api import Page
from typer.testing import CliRunner

import aural.batch.job
import aural.ui.endpoints
from aural.audio import Clip, read
from aural.ui import api_page
from aural.ui.examples import FOLDER
from tests.gradio_client_js import serve_client
from tests.test_programs import ANSWERS

ENDPOINTS = sorted(ANSWERS)
# With one file, two fields for files, several files, none, and with settings that are an object.
KINDS = ("/measure", "/enhance", "/master_album", "/generate", "/batch")


@pytest.fixture(scope="module", autouse=True)
def beginnings() -> Iterator[None]:
    """The endpoints hear the first second of what they get: how to call them is all that is asked here."""

    def beginning(path: str) -> Clip:
        clip = read(path)
        return clip.with_samples(clip.samples[:, : clip.rate])

    with pytest.MonkeyPatch.context() as patch:
        for module in (aural.ui.endpoints, aural.batch.job):
            patch.setattr(module, "read", beginning)
        yield


@pytest.fixture(scope="module")
def endpoints(address: str) -> dict[str, Any]:
    """What the app tells of its endpoints."""
    named: dict[str, Any] = httpx.get(f"{address}gradio_api/info", timeout=60).json()["named_endpoints"]
    return named


def test_every_result_has_a_name_and_says_what_it_is(endpoints: dict[str, Any]) -> None:
    for name, endpoint in endpoints.items():
        for given in endpoint["returns"]:
            said = given["python_type"]["description"]
            assert given["label"] and said[0].isupper() and said.endswith("."), (name, given["label"])


def test_an_example_is_what_a_call_gets_that_leaves_it_out_and_files_are_our_own(
    endpoints: dict[str, Any],
) -> None:
    for name, endpoint in endpoints.items():
        for parameter in endpoint["parameters"]:
            example = parameter["example_input"]
            if parameter["parameter_has_default"]:
                assert example == parameter["parameter_default"], (name, parameter["parameter_name"])
                continue
            for file in example if isinstance(example, list) else [example]:
                answer = httpx.get(file["url"], timeout=60)
                assert answer.content == (FOLDER / file["orig_name"]).read_bytes()


@pytest.mark.parametrize("name", ENDPOINTS)
def test_the_python_runs(endpoints: dict[str, Any], name: str, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    exec(endpoints[name]["code_snippets"]["python"], names)
    names["client"].close()
    assert len(names["result"]) == ANSWERS[name]
    assert "Loaded as API" in capsys.readouterr().out


@pytest.mark.parametrize("name", ENDPOINTS)
def test_the_shell_runs(endpoints: dict[str, Any], name: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl")
    script = endpoints[name]["code_snippets"]["bash"]
    done = subprocess.run(["sh", "-euc", script], capture_output=True, text=True, check=True, timeout=180)
    event, _, data = done.stdout.strip().rpartition("event: ")[2].partition("\ndata: ")
    assert event == "complete", done.stdout[-500:]
    # A caller without Gradio's Python client is also given what the page keeps to itself.
    assert len(json.loads(data)) >= ANSWERS[name]


@pytest.mark.parametrize("name", ENDPOINTS)
def test_gradio_predict_runs(endpoints: dict[str, Any], name: str, tmp_path: Path) -> None:
    program, *arguments = shlex.split(endpoints[name]["code_snippets"]["cli"])
    assert program == "{command}"  # which the page replaces by the name of the program
    told = CliRunner().invoke(gradio_cli, [*arguments, "--download-files", str(tmp_path)])
    assert told.exit_code == 0, told.output
    assert len(json.loads(told.output)) == ANSWERS[name]


@pytest.mark.browser
def test_the_javascript_runs(endpoints: dict[str, Any], address: str, page: Page) -> None:
    serve_client(page, f"{address}client/")
    page.route(f"{address}page", lambda route: route.fulfill(body="<p>Empty", content_type="text/html"))
    for name in KINDS:
        # Anew, because a browser has six connections to a host, and each client keeps one.
        page.goto(f"{address}page")
        code = endpoints[name]["code_snippets"]["javascript"]
        imported = code.replace('from "@gradio/client"', f'from "{address}client/index.min.js"')
        assert imported != code
        count = page.evaluate(
            """async code => {
                const module = new Blob([code, "export { result };"], { type: "text/javascript" });
                return (await import(URL.createObjectURL(module))).result.data.length;
            }""",
            imported,
        )
        # A caller without Gradio's Python client is also given what the page keeps to itself.
        assert count >= ANSWERS[name], name


def test_a_quote_in_a_value_stays_within_the_shells_quotes() -> None:
    text = {"parameter_name": "text", "parameter_has_default": True, "parameter_default": "it's"}
    script = api_page.shell_snippet("/say", [text], "http://127.0.0.1:1/")
    data = next(part for part in shlex.split(script.replace("$(", " ").replace(")", " ")) if "{" in part)
    assert json.loads(data) == {"text": "it's"}


def test_without_gradios_generator_there_is_nothing_to_replace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(gradio.routes, "generate_code_snippets")
    api_page.install()
    assert not hasattr(gradio.routes, "generate_code_snippets")


def test_the_snippets_name_the_address_at_which_the_app_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    class Demo:
        share_url: str | None = None
        local_url: str | None = None

    demo: Any = Demo()
    assert api_page._address(demo) == "http://127.0.0.1:7860"
    demo.local_url = "http://127.0.0.1:7999/"
    assert api_page._address(demo) == "http://127.0.0.1:7999"
    demo.share_url = "https://abc.gradio.live"
    assert api_page._address(demo) == "https://abc.gradio.live"
    monkeypatch.setenv("GRADIO_ROOT_PATH", "https://example.org/aural")
    assert api_page._address(demo) == "https://example.org/aural"
    monkeypatch.setenv("SPACE_HOST", "owner-aural.hf.space")
    assert api_page._address(demo) == "https://owner-aural.hf.space"
