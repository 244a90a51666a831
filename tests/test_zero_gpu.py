"""On a ZeroGPU Space: which calls ask for a card and for how long, and that the results stay what they are.

`spaces` lends a card there and nowhere else. The stand-in here does what it does without one: it tells
generators as `spaces` does, pickles what goes in and comes out (there a process is forked off), refuses what
exceeds a visitor's quota, and lets "cuda" stand for the processor, in the main thread at the start and within
a function that holds a card; where no card is held "cuda" fails.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aural.audio import Clip, write
from tests.enhancement import tiny as tiny_enhancement
from tests.generation import tiny
from tests.superres import tiny as tiny_superres

RATE = 8_000
SECONDS = (2, 60)
MOST_SECONDS = 300

SPACES = """
import inspect
import pickle
import threading

import torch
from torch.overrides import TorchFunctionMode

asked = []
left_seconds = 300  # of the visitor's quota


class Emulation(TorchFunctionMode):
    def __torch_function__(self, function, types, values=(), settings=None):
        if function is not torch._C._nn._parse_to:
            values = [self.device(value) for value in values]
            settings = {name: self.device(value) for name, value in (settings or {}).items()}
        return function(*values, **settings or {})

    def device(self, value):
        is_device = isinstance(value, torch.device) and value.type == "cuda"
        return "cpu" if is_device or (isinstance(value, str) and value == "cuda") else value


def gradio_auto_wrap(function):
    return function


def GPU(task=None, *, duration=None):
    return lambda function: _lent(function, duration)


def _lent(function, duration):
    if not inspect.isgeneratorfunction(function):
        raise TypeError(f"{function} is no generator function: its result could not be pickled.")

    def lent(*values, **settings):
        seconds = duration(*values, **settings)
        asked.append([function.__name__, seconds])
        if seconds > left_seconds:
            from gradio import Error

            raise Error(f"You have exceeded your quota ({seconds}s requested vs. {left_seconds}s left).")
        values, settings = pickle.loads(pickle.dumps((values, settings)))
        results = function(*values, **settings)
        try:
            while True:
                with Emulation():
                    try:
                        result = next(results)
                    except StopIteration:
                        return
                yield pickle.loads(pickle.dumps(result))
        finally:
            results.close()

    lent.__wrapped__ = function
    return lent


Emulation().__enter__()  # in the main thread, where models are loaded onto a card that is not there yet
"""

# Prints, as JSON, what was asked for in each call, and how far the results are from those of the library.
PROGRAM = """
import json
import sys
from pathlib import Path

import numpy as np

import app
import aural
import spaces
from aural import hub
from aural.audio import read
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

folder = Path(sys.argv[1])
found = {"at_start": [[one.name, one.device] for one in hub.loaded()], "asked": {}, "distance": {}}
app.launch(app.demo, prevent_thread_lock=True, quiet=True)
client = Client(app.demo.local_url, verbose=False, httpx_kwargs={"timeout": 120})


def call(name, verb, **settings):
    before = len(spaces.asked)
    try:
        result = client.predict(api_name=f"/{verb}", **settings)
    except AppError as error:
        found.setdefault("errors", {})[name] = str(error)
        result = None
    found["asked"][name] = spaces.asked[before:]
    return result


def compare(name, files, clips):
    made = [read(file) for file in files]
    found["distance"][name] = max(
        float(np.abs(one.samples - other.samples).max()) for one, other in zip(made, clips, strict=True)
    )


def of_file(verb, run, **settings):
    path = folder / "2.wav"
    name = f"{verb} 2"
    result = call(name, verb, audio=handle_file(path), **settings)
    files = [file for file in result if str(file).endswith(".wav")]
    compare(name, files[:1], [run(read(path), **settings).clip])
    # What is asked for is all that matters here: the call ends with it.
    spaces.left_seconds = 0
    call(f"{verb} 60", verb, audio=handle_file(folder / "60.wav"), **settings)
    spaces.left_seconds = 300


of_file("enhance", aural.enhance, preset="podcast")
of_file("super_resolve", aural.super_resolve)
of_file("resynthesize", aural.resynthesize, phase="vocoder")
of_file("release", aural.release)
settings = dict(label="dog", seconds=1, steps=2, seed=3)
files, *_ = call("generate 1", "generate", **settings)
compare("generate 1", files, aural.generate(**settings).clips)
spaces.left_seconds = 0
call("generate 8", "generate", label="dog", count=8)
spaces.left_seconds = 300
recording = handle_file(folder / "2.wav")
call("master", "master", audio=recording)
call("griffin_lim", "resynthesize", audio=recording, phase="griffin_lim", iterations=1)
call("text", "enhance", audio=handle_file(folder / "text.wav"))
call("wrong setting", "enhance", audio=recording, strength=2)
call("too fine a rate", "super_resolve", audio=recording, factor=40)

# What is computed live holds no card.
from aural.superres.streaming import Streamer
samples = read(folder / "2.wav").samples[:, :800]
found["live"] = Streamer(1, 8_000, 48_000, 4_000.0).push(samples).shape[0]
found["loaded"] = [[one.name, one.device] for one in hub.loaded()]
client.close()
app.demo.close()
print("FOUND", json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("zero_gpu")
    for module in (tiny, tiny_enhancement, tiny_superres):
        module.write_checkpoints(folder / "checkpoints")
    (folder / "modules").mkdir()
    (folder / "modules" / "spaces.py").write_text(SPACES)
    (folder / "text.wav").write_text("This is no sound." * 100)
    for seconds in SECONDS:
        write(Clip(speech_like(seconds), RATE), folder / f"{seconds}.wav")
    environment = {
        **os.environ,
        "SPACES_ZERO_GPU": "true",
        "PYTHONPATH": str(folder / "modules"),
        "AURAL_CHECKPOINTS": str(folder / "checkpoints"),
        "AURAL_HUB_REPO": "",
        "GRADIO_TEMP_DIR": str(folder / "uploads"),
        "CUDA_VISIBLE_DEVICES": "",
    }
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)],
        cwd=Path(__file__).parents[1],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    line = next((line for line in run.stdout.splitlines() if line.startswith("FOUND ")), None)
    assert line, run.stderr
    result: dict[str, Any] = json.loads(line.removeprefix("FOUND "))
    return result


def speech_like(seconds: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Syllables of a voice with overtones, in a little noise. Shape: (1, time)."""
    time_s = np.arange(seconds * RATE) / RATE
    voice = sum(np.sin(2 * np.pi * 140 * k * time_s) / k for k in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * 3 * time_s), 0, None)
    noise = np.random.default_rng(0).standard_normal(time_s.size)
    return (0.1 * voice * syllables + 0.002 * noise).astype(np.float32)[None]


@pytest.mark.parametrize("verb", ["enhance", "super_resolve", "resynthesize", "release"])
def test_a_longer_file_asks_for_a_card_for_longer(found: dict[str, Any], verb: str) -> None:
    (short,), (long,) = (found["asked"][f"{verb} {seconds}"] for seconds in SECONDS)
    assert short[0] == long[0] == verb
    assert 10 <= short[1] < long[1] <= MOST_SECONDS


def test_more_to_generate_asks_for_a_card_for_longer(found: dict[str, Any]) -> None:
    ((_, little),), ((_, much),) = (found["asked"][f"generate {count}"] for count in (1, 8))
    assert 10 <= little < much <= MOST_SECONDS


@pytest.mark.parametrize(
    "call", ["enhance 2", "super_resolve 2", "resynthesize 2", "release 2", "generate 1"]
)
def test_the_results_are_those_of_the_library(found: dict[str, Any], call: str) -> None:
    assert found["distance"][call] <= 2.0**-22  # a file of 24 bits


@pytest.mark.parametrize("verb", ["enhance", "release"])
def test_a_visitor_whose_quota_is_spent_is_told(found: dict[str, Any], verb: str) -> None:
    assert found["errors"][f"{verb} 60"].startswith("You have exceeded your quota")


@pytest.mark.parametrize("call", ["master", "griffin_lim"])
def test_what_runs_no_network_asks_for_no_card(found: dict[str, Any], call: str) -> None:
    assert found["asked"][call] == []


def test_a_file_that_cannot_be_used_asks_for_no_card(found: dict[str, Any]) -> None:
    assert found["asked"]["text"] == []
    assert "Can't read any audio in" in found["errors"]["text"]


def test_a_failure_on_the_card_is_told_in_its_own_words(found: dict[str, Any]) -> None:
    assert found["errors"]["wrong setting"] == "The strength must be from 0 to 1, not 2."
    assert found["errors"]["too fine a rate"].startswith("A factor of 40 gives 320000 Hz. Choose one")


def test_what_is_computed_live_runs_on_the_processor(found: dict[str, Any]) -> None:
    assert found["live"] == 1
    assert ["extender", "cpu"] in found["loaded"]


def test_the_models_are_on_the_card_before_one_is_asked_for(found: dict[str, Any]) -> None:
    """A model that is loaded by the process that holds the card is gone with it."""
    on_card = {name for name, device in found["loaded"] if device == "cuda"}
    assert on_card
    assert on_card <= {name for name, device in found["at_start"] if device == "cuda"}
