"""What the tests of the endpoints share: a client of the running app, sounds, bad files."""

import math
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from gradio_client import Client
from gradio_client.client import Job

from aural.audio import Clip, read, write
from aural.ui.examples import FOLDER

RATE = 44_100


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Client]:
    """Calls the app that is served with tiny networks."""
    client = Client(address, verbose=False, httpx_kwargs={"timeout": 60})  # for a busy machine
    yield client
    client.close()


def tune(seconds: float = 4, channels: int = 2, rate: int = RATE) -> Clip:
    """Decaying chords: something with peaks and pitch."""
    time_s = np.arange(round(seconds * rate)) / rate
    chord = sum(np.sin(2 * np.pi * hz * time_s) for hz in (220, 277.2, 329.6))
    envelope = np.exp(-3 * (time_s % 0.5))
    spread = np.linspace(0.7, 1.0, channels)[:, np.newaxis]
    return Clip((0.08 * spread * chord * envelope).astype(np.float32), rate)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "recording.wav"
    write(tune(), path)
    return path


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """Three seconds of the sentence that ships with the app."""
    clip = read(FOLDER / "speech.ogg")
    path = tmp_path / "speech.wav"
    write(clip.with_samples(clip.samples[:, : 3 * clip.rate]), path)
    return path


def cancel_under_way(jobs: list[Job]) -> None:
    """Cancel calls once each has given a first output, and before any is done."""
    deadline = time.monotonic() + 60
    while not all(job.outputs() for job in jobs) and time.monotonic() < deadline:
        time.sleep(0.05)
    for job in jobs:
        assert job.outputs() and not job.done(), "the calls must be under way"
        job.cancel()


def write_pcm(path: Path, seconds: float, channels: int = 1, rate: int = 8000) -> None:
    """Silence as 8-bit WAV, without holding it in memory."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(1)
        file.setframerate(rate)
        for _ in range(math.ceil(seconds / 60)):
            file.writeframes(b"\x80" * (channels * rate * 60))


# What is said of each file that `bad_file` makes.
_UNREADABLE = (
    "Can't read any audio in 'bad.wav'. Try a WAV, AIFF, FLAC, OGG, Opus, MP3, M4A, MP4 or WebM file."
)
_NOT_FINITE = (
    "1 sample is NaN, infinite or far beyond full scale. Export the file again from the program that made it."
)
BAD_FILES = {
    "text": _UNREADABLE,
    "nothing": "'bad.wav' is empty (0 bytes). Upload it again, or choose another file.",
    "header only": _UNREADABLE,
    "not a number": _NOT_FINITE,
    "infinite": _NOT_FINITE,
    "nine channels": "The file has 9 channels; the limit is 8. Export fewer channels.",
    "three hours": "The file lasts 180.0 minutes; the limit is 120. Cut it into shorter parts.",
}


def bad_file(kind: str, folder: Path) -> Path:
    path = folder / "bad.wav"
    if kind == "text":
        path.write_text("This is not audio at all.\n" * 50)
    elif kind == "nothing":
        path.write_bytes(b"")
    elif kind == "header only":
        write(tune(1), path)
        path.write_bytes(path.read_bytes()[:44])
    elif kind == "not a number":
        soundfile.write(path, np.array([0.1, np.nan, 0.2], np.float32), RATE, subtype="FLOAT")
    elif kind == "infinite":
        soundfile.write(path, np.array([0.1, np.inf, 0.2], np.float32), RATE, subtype="FLOAT")
    elif kind == "nine channels":
        soundfile.write(path, np.zeros((1000, 9), np.float32), RATE)
    elif kind == "three hours":
        write_pcm(path, 3 * 3600)
    return path


def edge_clip(kind: str) -> Clip:
    if kind == "silence":
        return Clip(np.zeros((2, RATE), np.float32), RATE)
    if kind == "short":
        return Clip(tune(1).samples[:, : RATE // 5], RATE)
    if kind == "dc":
        return Clip(np.full((2, RATE), 0.3, np.float32), RATE)
    if kind == "clipped":
        return Clip(np.clip(20 * tune(1).samples, -1, 1), RATE)
    return Clip(np.full((1, 1), 0.5, np.float32), RATE)
