"""The verbs as tools of an assistant: the running app, called by a real MCP client."""

import asyncio
import base64
import io
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import gradio as gr
import httpx
import jsonschema
import numpy as np
import pytest
from gradio.utils import get_upload_folder
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, ImageContent, TextContent, Tool
from PIL import Image

import app
import aural
from aural.audio import Clip, read, write
from aural.batch.verbs import VERBS
from aural.files import below
from aural.ui.mcp import Tools

T = TypeVar("T")

RATE = 44_100
QUICK = {"label": "dog", "steps": 2, "seconds": 1.0}


@pytest.fixture(scope="module")
def tools(address: str) -> dict[str, Tool]:
    """What the server tells of its tools, by name."""

    async def listed(session: ClientSession) -> list[Tool]:
        return (await session.list_tools()).tools

    return {tool.name: tool for tool in asyncio.run(_in_session(address, listed))}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    time_s = np.arange(2 * RATE) / RATE
    tone = 0.2 * np.sin(2 * np.pi * 220 * time_s) * np.exp(-3 * (time_s % 0.5))
    path = tmp_path_factory.mktemp("sounds") / "recording.wav"
    write(Clip(np.stack([tone, 0.7 * tone]).astype(np.float32), RATE), path)
    return path


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[ClientSession]:
    async with (
        streamable_http_client(f"{address}gradio_api/mcp/") as (incoming, outgoing, _),
        ClientSession(incoming, outgoing) as session,
    ):
        await session.initialize()
        yield session


async def _in_session(address: str, work: Callable[[ClientSession], Coroutine[Any, Any, T]]) -> T:
    async with connected(address) as session:
        return await work(session)


def call(address: str, name: str, watched: bool = False, **arguments: Any) -> CallToolResult:
    """Call a tool, with the progress watched or not: Gradio answers these in two different ways."""
    messages: list[str | None] = []

    async def note(*told: Any) -> None:  # how many, of how many, and in words
        messages.append(told[-1])

    async def work(session: ClientSession) -> CallToolResult:
        return await session.call_tool(name, arguments, progress_callback=note if watched else None)

    result = asyncio.run(_in_session(address, work))
    assert bool(messages) == watched or result.isError
    return result


def texts(result: CallToolResult) -> list[str]:
    return [part.text for part in result.content if isinstance(part, TextContent)]


def answer(result: CallToolResult) -> list[str]:
    """The texts of an answer that is no error."""
    assert not result.isError, texts(result)
    return texts(result)


def as_data(path: Path) -> str:
    return f"data:audio/wav;base64,{base64.b64encode(path.read_bytes()).decode()}"


def fetched(file: str, folder: Path) -> Clip:
    path = folder / "fetched.wav"
    path.write_bytes(httpx.get(file).raise_for_status().content)
    return read(path)


def test_the_tools_are_the_public_endpoints(address: str, tools: dict[str, Tool]) -> None:
    assert {f"/{name}" for name in tools} == set(
        httpx.get(f"{address}gradio_api/info").json()["named_endpoints"]
    )
    assert {f"/{name}" for name in tools} >= {f"/{name}" for name in VERBS}


def test_every_tool_and_every_parameter_is_described_with_its_type(tools: dict[str, Tool]) -> None:
    for name, tool in tools.items():
        assert len(tool.description or "") > 40, name
        for parameter, schema in tool.inputSchema["properties"].items():
            assert schema.get("description"), (name, parameter)
            assert {"type", "anyOf"} & set(schema), (name, parameter)


def test_the_schemas_take_what_the_library_takes(tools: dict[str, Tool]) -> None:
    for name, verb in VERBS.items():
        schema = tools[name].inputSchema
        jsonschema.Draft202012Validator.check_schema(schema)
        defaults = {one.name: one.default for one in fields(verb.options) if one.default is not MISSING}
        assert set(defaults) <= set(schema["properties"]), name
        file = dict.fromkeys(schema.get("required", ()), "https://example.org/a.wav")
        jsonschema.validate({**file, **defaults}, schema)
        for wrong in ({one.name: [] for one in fields(verb.options)}, {"audio": 1, "source": 1}):
            for parameter, value in wrong.items():
                if parameter in schema["properties"]:
                    with pytest.raises(jsonschema.ValidationError):
                        jsonschema.validate({**file, parameter: value}, schema)


@pytest.mark.parametrize("watched", [False, True])
def test_measure_gives_the_figures_of_the_library(address: str, recording: Path, watched: bool) -> None:
    result = call(address, "measure", watched, audio=as_data(recording))
    figures = json.loads(answer(result)[0])
    assert len(figures.pop("downmixes")) > 3
    assert figures == aural.measure(read(recording)).figures()
    pictures = [part for part in result.content if isinstance(part, ImageContent)]
    assert len(pictures) == 3
    for picture in pictures:
        with Image.open(io.BytesIO(base64.b64decode(picture.data))) as image:
            assert image.format == "WEBP" and 300 < max(image.size) <= 1000
    # Some assistants take no more than a megabyte.
    assert len(result.model_dump_json()) < 800_000


def test_an_enhanced_file_can_be_fetched_and_goes_on_to_the_next_tool(
    address: str, recording: Path, tmp_path: Path
) -> None:
    settings = {"preset": "podcast", "strength": 0.5, "seed": 3}
    enhanced, _, about, *_ = answer(
        call(address, "enhance", watched=True, audio=as_data(recording), expand_rate=48_000, **settings)
    )
    result = aural.enhance(read(recording), expand_rate=48_000, **settings)
    assert json.loads(about)["after"] == result.figures()["after"]
    assert np.allclose(fetched(enhanced, tmp_path).samples, result.clip.samples, atol=2**-22)
    mastered, figures, *_ = answer(
        call(address, "master", audio=enhanced, target="apple_music", loudness_lufs=None)
    )
    assert json.loads(figures)["after"]["integrated_lufs"] == pytest.approx(-16, abs=0.1)
    measured = aural.measure(fetched(mastered, tmp_path))
    assert measured.integrated_lufs == pytest.approx(-16, abs=0.1)


def test_an_uploaded_file_is_given_by_the_path_that_the_upload_returned(
    address: str, recording: Path
) -> None:
    upload = httpx.post(
        f"{address}gradio_api/upload", files={"files": ("my memo.wav", recording.read_bytes())}
    )
    (path,) = upload.raise_for_status().json()
    degraded, about, *_ = answer(call(address, "degrade", audio=path, preset="phone_call"))
    assert degraded.endswith("memo-phone_call.wav")
    assert json.loads(about)["found"]["bandwidth_hz"] < 4_000


def test_generate_gives_an_address_for_each_sound(address: str, tmp_path: Path) -> None:
    *files, about, _ = answer(call(address, "generate", count=2, seed=7, morph=None, **QUICK))
    clips = aural.generate(count=2, seed=7, **QUICK).clips
    assert len(files) == 2 and json.loads(about)["seed"] == 7
    for file, clip in zip(files, clips, strict=True):
        assert np.allclose(fetched(file, tmp_path).samples, clip.samples, atol=2**-22)


def test_several_files_are_given_as_a_list(address: str, recording: Path) -> None:
    data = as_data(recording)
    archive, figures = answer(call(address, "master_album", files=[data, data], target="tidal"))
    assert len(json.loads(figures)) == 2
    assert httpx.get(archive).content[:2] == b"PK"


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("master", {"loudness_lufs": 5}, "The loudness must be"),
        ("enhance", {"strength": 2}, "The strength must be"),
        ("super_resolve", {"rate": 48_000, "factor": 2}, "Set either the rate or the factor"),
        ("measure", {"audio": "data:text/plain,hello"}, "Can't read any audio in 'audio.txt'"),
    ],
)  # fmt: skip
def test_a_mistake_comes_back_as_its_sentence(
    address: str, recording: Path, name: str, settings: dict[str, Any], sentence: str, watched: bool
) -> None:
    result = call(address, name, watched, **{"audio": as_data(recording), **settings})
    assert result.isError
    (told,) = texts(result)
    assert told.startswith(sentence) and told.endswith(".")


def test_no_file_of_the_machine_can_be_read(address: str, recording: Path, tmp_path: Path) -> None:
    uploads = Path(get_upload_folder())
    secret = tmp_path / f"secret-{uuid4().hex}.wav"
    shutil.copy(recording, secret)
    link = uploads / f"{uuid4().hex}.wav"
    link.symlink_to(secret)
    as_file = {"path": str(secret), "meta": {"_type": "gradio.FileData"}}
    try:
        for given in (
            str(secret),
            secret.as_uri(),
            f"{uploads}/{os.path.relpath(secret, uploads)}",
            str(link),
            str(uploads),
            f"{address}gradio_api/file={secret}",
            f"{address}config",
            "http://localhost:1/memo.wav",
            "",
            as_file,
        ):
            result = call(address, "measure", audio=given, compare_downmixes=False)
            assert result.isError and "integrated_lufs" not in "".join(texts(result)), given
        # As a setting, Gradio's client would have handed it over, and the answer told where to.
        for settings in (as_file, {"preset": as_file}, {"preset": [as_file]}):
            assert call(address, "batch", files=[as_data(recording)], settings=settings).isError
    finally:
        link.unlink()
    assert secret.name not in {path.name for path in below(uploads)}


@pytest.mark.flaky(reruns=2)  # now and then a busy machine tells no progress in time
def test_a_call_ends_when_its_caller_has_gone(address: str) -> None:
    results = Path(get_upload_folder(), "results")
    before = set(below(results))

    async def leave() -> None:
        under_way = asyncio.Event()

        async def note(*told: Any) -> None:
            if str(told[-1]).startswith("Generating"):
                under_way.set()

        slow = {"label": "helicopter", "seconds": 10, "steps": 200, "count": 8}
        async with connected(address) as session:
            task = asyncio.create_task(session.call_tool("generate", slow, progress_callback=note))
            told = asyncio.create_task(under_way.wait())
            await asyncio.wait([task, told], timeout=120, return_when=asyncio.FIRST_COMPLETED)
            assert told.done() and not task.done(), f"under way: {told}; the call: {task}"
            task.cancel()

    async def all_leave() -> None:
        await asyncio.gather(*(leave() for _ in range(app.CALLS_AT_ONCE)))

    asyncio.run(all_leave())
    # All places were taken: this one is answered only because they have been given up.
    answer(call(address, "generate", **QUICK, seed=1))
    # Other tests may write to this folder too, but make no helicopters.
    made = {path.name for path in set(below(results)) - before}
    assert "dog-seed-1.wav" in made and not any(name.startswith("helicopter") for name in made)


def test_what_only_the_page_keeps_is_left_out_of_an_answer() -> None:
    outputs = [gr.State(), gr.File(), gr.State(), gr.JSON(), gr.State()]
    assert Tools.pop_returned_state(outputs, ["a", "file", "b", "figures", "c"]) == ["file", "figures"]
