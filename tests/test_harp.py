"""Each model for HARP, called as HARP and its own tests call it: by plain HTTP and by gradio_client."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file

import aural
from aural import harp
from aural.audio import read, write
from aural.options import describe
from aural.ui.players import Audio

pytestmark = pytest.mark.usefixtures("tiny_checkpoints")

# pyharp's taxonomy of what models do.
SUBCATEGORIES = {
    "enhancement": {"denoising", "dereverberation", "bandwidth-extension", "restoration"},
    "production": {"automatic-mixing", "mixing-style-transfer", "post-processing"},
}


class Harp:
    """What HARP's client does: https://github.com/TEAMuP-dev/HARP, src/clients/GradioClient.h."""

    def __init__(self, address: str) -> None:
        self.http = httpx.Client(base_url=address, headers={"Accept": "*/*"}, timeout=120)

    def start(self, name: str, values: list[Any]) -> str:
        answer = self.http.post(f"/gradio_api/call/{name}", json={"data": values})
        assert answer.status_code == 200, answer.text
        return f"/gradio_api/call/{name}/{answer.json()['event_id']}"

    def follow(self, place: str) -> tuple[str, Any]:
        """The last event, "complete" or "error", and its data."""
        event = ""
        with self.http.stream("GET", place) as lines:
            for line in lines.iter_lines():
                if line.startswith("event:"):
                    event = line.partition(":")[2].strip()
                elif line.startswith("data:") and event in ("complete", "error"):
                    return event, json.loads(line.partition(":")[2])
        raise AssertionError("the stream ended without a result")

    def request(self, name: str, values: list[Any]) -> Any:
        event, data = self.follow(self.start(name, values))
        assert event == "complete", data
        return data

    def upload(self, path: Path) -> dict[str, Any]:
        files = {"files": (path.name, path.read_bytes(), "audio/midi")}  # whatever it is
        answer = self.http.post("/gradio_api/upload", files=files)
        assert answer.status_code == 200, answer.text
        return {"path": answer.json()[0], "meta": {"_type": "gradio.FileData"}}

    def download(self, output: dict[str, Any], folder: Path) -> Path:
        assert output["meta"]["_type"] == "gradio.FileData"
        path = folder / Path(output["url"]).name
        path.write_bytes(self.http.get(output["url"]).content)
        return path


@pytest.fixture(scope="module", params=harp.MODELS)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """A model's name and its address."""
    demo = harp.build(request.param)
    harp.launch(demo, prevent_thread_lock=True, quiet=True, server_port=None)
    yield request.param, demo.local_url
    demo.close()


def shown_values(controls: dict[str, Any]) -> list[Any]:
    """What HARP sends for controls that nobody has touched, after the track."""
    return [one["value"] for one in controls["inputs"] if one["type"] != "audio_track"]


def test_a_region_goes_in_and_the_library_s_samples_come_out(
    served: tuple[str, str], recording: Path, tmp_path: Path
) -> None:
    name, address = served
    client = Harp(address)
    (controls,) = client.request("controls", [])
    values = [client.upload(recording), *shown_values(controls)]
    result, labels = client.request("process", values)
    made = read(client.download(result, tmp_path))
    settings = {
        control.setting: control.setting_of(value)
        for control, value in zip(harp.MODELS[name].controls, values[1:], strict=True)
    }
    expected = getattr(aural, name)(read(recording), **settings).clip
    assert (made.rate, made.channels, made.frames) == (expected.rate, expected.channels, expected.frames)
    np.testing.assert_allclose(made.samples, expected.samples, atol=2**-22)

    # The label that HARP draws on the result.
    assert labels["meta"] == {"_type": "pyharp.LabelList"}
    (label,) = labels["labels"]
    assert (label["label_type"], label["t"]) == ("AudioLabel", 0.0)
    assert label["label"] == f"{aural.measure(made).integrated_lufs:.1f} LUFS"
    assert label["description"].endswith(".")


def test_the_controls_are_what_harp_can_show(served: tuple[str, str]) -> None:
    name, address = served
    (told,) = Harp(address).request("controls", [])
    assert list(told["card"]) == ["name", "author", "description", "tags"]
    tags = told["card"]["tags"]
    (category,) = (tag.partition(":")[2] for tag in tags if tag.startswith("category:"))
    found = {tag.partition(":")[2] for tag in tags if tag.startswith("subcategory:")}
    assert found and found <= SUBCATEGORIES[category]
    assert {"input:audio", "output:audio", "output:labels"} <= set(tags)
    track, *inputs = told["inputs"]
    assert (track["type"], track["required"]) == ("audio_track", True)
    assert [one["type"] for one in told["outputs"]] == ["audio_track", "json"]
    for one in (track, *inputs, *told["outputs"]):
        assert one["label"] and one["info"]
    for one in inputs:
        if one["type"] == "dropdown":
            texts = [pair[0] for pair in one["choices"]]
            assert one["value"] in texts and len(set(texts)) == len(texts) > 1
        elif one["type"] == "slider":
            assert one["minimum"] <= one["value"] <= one["maximum"] and one["step"] > 0
        else:
            assert one["type"] == "toggle" and isinstance(one["value"], bool)
    fields = {field.name: field for field in describe(harp.MODELS[name].verb.options)}
    for control in harp.MODELS[name].controls:
        for text in control.meanings:
            harp.MODELS[name].verb.options(**{control.setting: control.setting_of(text)})
        if control.kind != "dropdown":
            assert control.value == fields[control.setting].default


def test_gradio_client_calls_the_three_endpoints(served: tuple[str, str], recording: Path) -> None:
    name, address = served
    client = Client(address, verbose=False, httpx_kwargs={"timeout": 60})
    controls = client.predict(api_name="/controls")
    assert controls["card"]["name"] == harp.MODELS[name].name
    path, labels = client.predict(handle_file(recording), *shown_values(controls), api_name="/process")
    assert read(path).seconds == pytest.approx(read(recording).seconds, abs=0.01)
    assert labels["labels"]
    client.predict(api_name="/cancel")
    client.close()


def test_a_lossless_track_keeps_its_format(served: tuple[str, str], recording: Path, tmp_path: Path) -> None:
    _, address = served
    client = Harp(address)
    (controls,) = client.request("controls", [])
    track = write(read(recording), tmp_path / "region.flac")
    result, _ = client.request("process", [client.upload(track), *shown_values(controls)])
    assert client.download(result, tmp_path).suffix == ".flac"


def test_what_fails_is_told_in_a_sentence(served: tuple[str, str], tmp_path: Path) -> None:
    _, address = served
    client = Harp(address)
    (controls,) = client.request("controls", [])
    noise = tmp_path / "noise.wav"
    noise.write_bytes(b"no sound at all")
    event, data = client.follow(client.start("process", [client.upload(noise), *shown_values(controls)]))
    assert event == "error" and data["error"].startswith("Can't read any audio in")
    event, data = client.follow(client.start("process", [None, *shown_values(controls)]))
    assert event == "error" and data["error"].startswith("No audio yet")


def test_a_cancel_ends_the_run_and_the_next_one_works(
    served: tuple[str, str], recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, address = served
    client, other = Harp(address), Harp(address)
    (controls,) = client.request("controls", [])
    values = [client.upload(recording), *shown_values(controls)]
    started, ended = threading.Event(), threading.Event()

    def endless(*_: Any) -> Iterator[float]:
        try:
            while True:
                started.set()
                yield 0.5
                time.sleep(0.01)
        finally:
            ended.set()

    with monkeypatch.context() as patch:
        patch.setattr(harp, "run_steps", endless)
        place = client.start("process", values)
        assert started.wait(30) and not ended.is_set()
        assert other.request("cancel", []) == []
        event, data = client.follow(place)
        assert (event, data["error"]) == ("error", harp.CANCELLED)
        assert ended.wait(30), "the work goes on behind its caller's back"
    result, _ = client.request("process", values)
    assert result["url"]


def test_another_website_cannot_use_it(served: tuple[str, str]) -> None:
    _, address = served
    url = f"{address}gradio_api/call/controls"
    assert httpx.post(url, json={"data": []}).status_code == 200
    for header, value in (("Origin", "https://example.com"), ("Host", "example.com")):
        assert httpx.post(url, json={"data": []}, headers={header: value}).status_code == 403


def test_a_taken_port_is_told_in_a_sentence(
    served: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    name, address = served
    port = address.rstrip("/").rpartition(":")[2]
    assert harp.main([name.replace("_", "-"), "--port", port]) == 1
    assert capsys.readouterr().err.startswith("AURAL can't start. ")


@pytest.mark.parametrize("name", harp.MODELS)
def test_no_track_is_handed_to_ffmpeg(name: str) -> None:
    """Gradio's own component would, and so open what a playlist names."""
    tracks = [block for block in harp.build(name).blocks.values() if isinstance(block, gr.Audio)]
    assert len(tracks) == 2 and all(isinstance(track, Audio) for track in tracks)
