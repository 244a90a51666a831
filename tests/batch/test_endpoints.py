"""The running app, called as programs call it: the batch."""

import zipfile
from pathlib import Path

import pytest
from gradio_client import Client, handle_file

import aural
from aural.audio import read
from tests.endpoints import bad_file


def test_a_batch_does_what_it_can(client: Client, recording: Path, tmp_path: Path) -> None:
    files = [handle_file(path) for path in (recording, bad_file("text", tmp_path))]
    archive, table, rows = client.predict(
        files, verb="master", settings={"target": "tidal"}, api_name="/batch"
    )
    assert [bool(row["error"]) for row in rows] == [False, True]
    with zipfile.ZipFile(archive) as members:
        assert members.namelist() == ["recording-mastered.wav", "measurements.csv"]
        assert members.read("measurements.csv") == Path(table).read_bytes()
        mastered = read(Path(members.extract("recording-mastered.wav", tmp_path / "out")))
    assert aural.measure(mastered).integrated_lufs == pytest.approx(-14, abs=0.1)
