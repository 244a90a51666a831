"""The app is killed in the middle of a job, and started again in the same folder."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file

import aural
from aural.audio import Clip, read, write
from aural.ui.storage import KEPT_SECONDS
from tests.serving import Server

RATE = 44_100


def noise(seconds: float) -> Clip:
    samples = np.random.default_rng(0).uniform(-0.2, 0.2, (2, round(seconds * RATE)))
    return Clip(samples.astype(np.float32), RATE)


@contextmanager
def visiting(server: Server, folder: Path) -> Iterator[Client]:
    client = Client(server.address, verbose=False, download_files=str(folder), httpx_kwargs={"timeout": 60})
    try:
        yield client
    finally:
        client.close()


def leave(path: Path, age_seconds: float) -> None:
    """A file of an earlier run, alone in its folder where that is not the app's own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"left")
    then = time.time() - age_seconds
    for place in (path, path.parent):
        os.utime(place, (then, then))


def test_after_being_killed_in_a_job_the_app_comes_back_clean(tmp_path: Path) -> None:
    short, long = tmp_path / "short.wav", tmp_path / "long.wav"
    write(noise(2), short)
    write(noise(90), long)
    call = {"target": "spotify", "api_name": "/master"}
    with Server(tmp_path) as server, visiting(server, tmp_path / "fetched") as client:
        assert "AURAL" in httpx.get(server.address, timeout=60).text, "it answers with its page"
        before, *_ = client.predict(handle_file(short), **call)
        (kept,) = server.files.glob("results/*/short-mastered.wav")
        job = client.submit(handle_file(long), **call)
        deadline = time.monotonic() + 120
        while not job.outputs() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert job.outputs() and not job.done(), "the job must be under way"
        server.kill()
    # Long ago: an upload that broke off, one that was used, and a result that was half written.
    places = ("tmpbroken0", "a1" * 32 + "/memo.m4a", "results/tmpleft/.0123.part")
    left = [server.files / place for place in places]
    for path in left:
        leave(path, KEPT_SECONDS + 60)
    with Server(tmp_path) as server, visiting(server, tmp_path / "fetched again") as client:
        assert not [path for path in left if path.exists()]
        again, figures, _ = client.predict(handle_file(short), **call)
        assert np.array_equal(read(again).samples, read(before).samples)
        measured = aural.measure(read(again)).integrated_lufs
        assert figures["after"]["integrated_lufs"] == pytest.approx(measured, abs=0.01)
        # What was made before is still there for who has its address.
        answer = httpx.get(f"{server.address}/gradio_api/file={quote(str(kept))}")
        assert answer.content == kept.read_bytes()
        assert not server.tracebacks(), "nothing of the killed job troubles its successor"
