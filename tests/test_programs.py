"""The programs in docs/api.md that call the app, run as they stand; and the names that programs rely on."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import Page

from aural.audio import Clip, read, write
from tests.gradio_client_js import serve_client

ROOT = Path(__file__).parents[1]
ADDRESS = "http://127.0.0.1:7860"  # of the app in docs/api.md
RATE = 22_050

# What programs rely on: a name that goes, or moves, breaks those of other people.
MASTERING = (
    "target loudness_lufs ceiling_dbtp range_lu downmix layout normalise_downmix limiter control_range "
    "playback_phon reference_phon max_gain_db max_limiting_db"
)
PARAMETERS = {
    "/measure": "audio layout compare_downmixes",
    "/master": f"audio {MASTERING}",
    "/master_album": f"files {MASTERING}",
    "/resynthesize": "audio phase mel_bands window hop iterations momentum seed rate",
    "/enhance": "audio preset strength noise_reduction completion expand_rate setting background_db "
    "mastering loudness_lufs mix seed completion_method adaptive reference",
    "/degrade": "audio preset seed snr_db",
    "/super_resolve": "audio rate factor method bandwidth_hz what_if_rate compare",
    "/generate": "label count seconds steps guidance sampler seed vocoder morph morph_share strength "
    "gap_start_seconds gap_end_seconds loop candidates description source",
    "/loop": "audio crossfade_seconds",
    "/release": "audio preset strength completion rate target downmix seed enhancement super_resolution "
    "mastering",
    "/batch": "files verb settings",
}
ANSWERS = {  # how many values, State left out
    "/measure": 4,
    "/master": 3,
    "/master_album": 2,
    "/resynthesize": 3,
    "/enhance": 4,
    "/degrade": 2,
    "/super_resolve": 4,
    "/generate": 3,
    "/loop": 2,
    "/release": 4,
    "/batch": 3,
}


@pytest.fixture(scope="module")
def endpoints(address: str) -> dict[str, Any]:
    """What the app tells of its endpoints."""
    named: dict[str, Any] = httpx.get(f"{address}gradio_api/info").json()["named_endpoints"]
    return named


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the programs run, with the files that they name."""
    time_s = np.arange(RATE) / RATE
    tone = 0.2 * np.sin(2 * np.pi * 220 * time_s) * np.exp(-3 * (time_s % 0.5))
    write(Clip(tone[np.newaxis].astype(np.float32), RATE), tmp_path / "song.flac")
    shutil.copy(tmp_path / "song.flac", tmp_path / "memo.m4a")  # what it holds is known by its content
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(language: str, containing: str = "") -> list[str]:
    """The page's code in a language."""
    section = (ROOT / "docs" / "api.md").read_text(encoding="utf-8").split("\n## From any program\n")[1]
    section = section.split("\n## ")[0]
    found = re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return [code for code in found if containing in code]


def test_the_names_of_the_parameters_stay(endpoints: dict[str, Any]) -> None:
    told = {
        name: " ".join(parameter["parameter_name"] for parameter in endpoint["parameters"])
        for name, endpoint in endpoints.items()
    }
    assert told == PARAMETERS


def test_the_answers_keep_their_parts(endpoints: dict[str, Any]) -> None:
    assert {name: len(endpoint["returns"]) for name, endpoint in endpoints.items()} == ANSWERS


def test_use_via_api_explains_every_parameter(endpoints: dict[str, Any]) -> None:
    for name, endpoint in endpoints.items():
        assert endpoint["description"], name
        for parameter in endpoint["parameters"]:
            explained = parameter["python_type"]["description"]
            assert explained and "FileData" not in explained, (name, parameter["parameter_name"])


@pytest.mark.usefixtures("folder")
def test_the_python_runs(address: str) -> None:
    (code,) = blocks("python", "gradio_client")
    called = set(re.findall(r'api_name="(/\w+)"', code))
    assert called == set(PARAMETERS)
    names: dict[str, Any] = {}
    exec(code.replace(ADDRESS, address).replace("count=", "steps=2, seconds=1, count="), names)
    names["client"].close()
    assert read(names["voice"]).rate == RATE and read(names["path"]).rate == 48_000
    assert len(names["stages"]) == 2 and len(names["paths"]) == 4
    assert Path(names["archive"]).suffix == ".zip" and Path(names["table"]).suffix == ".csv"
    assert names["figures"]["label"] == "rain"


def test_the_curl_runs(address: str, folder: Path) -> None:
    (code,) = blocks("sh", "curl")
    script = code.replace(ADDRESS, address.rstrip("/")).replace(
        '"count"', '"steps": 2, "seconds": 1, "count"'
    )
    subprocess.run(["sh", "-euc", script], cwd=folder, check=True, timeout=200)
    figures, *_ = json.loads((folder / "song.json").read_text())
    assert figures["rate"] == RATE
    assert read(folder / "song-mastered.wav").seconds == 1
    sounds, about, *_ = json.loads((folder / "rain.json").read_text())
    assert len(sounds) == 2 and about["seed"] == 7


def test_a_mistake_reaches_curl_as_its_sentence(address: str, folder: Path) -> None:
    (code,) = blocks("sh", "curl")
    functions = code.replace(ADDRESS, address.rstrip("/")).split("\ncall measure")[0]
    script = functions + """\ncall generate '{"label": "dgo"}'\n"""
    told = subprocess.run(["sh", "-euc", script], cwd=folder, check=True, timeout=100, capture_output=True)
    assert '"dgo" is not one of the 50 classes' in json.loads(told.stdout)["error"]


def test_the_page_runs(address: str, folder: Path, page: Page) -> None:
    (code,) = blocks("html")

    script = re.search(r'from "(\./node_modules/@gradio/client/dist/)index\.min\.js"', code)
    assert script is not None
    code = code.replace(ADDRESS, address.rstrip("/")).replace(script[1], f"{address}client/")
    serve_client(page, f"{address}client/")
    page.route(f"{address}page", lambda route: route.fulfill(body=code, content_type="text/html"))
    page.goto(f"{address}page")
    page.wait_for_function("() => document.getElementById('memo').onchange !== null")
    page.set_input_files("#memo", folder / "song.flac")
    page.wait_for_function("document.getElementById('voice').duration === 1", timeout=60_000)
    assert "LUFS" in page.inner_text("#about")
    (folder / "bad.wav").write_text("This is not audio at all.")
    page.set_input_files("#memo", folder / "bad.wav")
    page.wait_for_function("document.getElementById('about').textContent.includes('any audio in')")


def test_the_javascript_calls_what_there_is() -> None:
    calls = [
        call
        for code in (*blocks("js"), *blocks("html"))
        for call in re.findall(r'predict\("(/\w+)", \{(.*?)\}\)', code, re.DOTALL)
    ]
    assert {name for name, _ in calls} == {"/enhance", "/generate"}
    for name, given in calls:
        assert set(re.findall(r"(\w+):", given)) <= set(PARAMETERS[name].split()), name
