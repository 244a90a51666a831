"""Samples kept on disk: they are those in memory, and nothing is left of them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from aural.audio import sample_file
from aural.audio.sample_file import SampleFile


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files are, for sounds of any length."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sample_file, "MIN_BYTES", 1)
    return tmp_path


@pytest.mark.parametrize("smallest", [1, 10**9])
def test_what_is_written_is_read_and_the_rest_is_silent(
    folder: Path, monkeypatch: pytest.MonkeyPatch, smallest: int
) -> None:
    monkeypatch.setattr(sample_file, "MIN_BYTES", smallest)
    noise = np.random.default_rng(0).normal(0, 1, (2, 5_000)).astype(np.float32)
    file = SampleFile(2, 4_096)
    file.write(noise[:, 1_000:2_000], 1_000)
    file.write(noise[:, 2_000:], 2_000)  # beyond the end
    file.write(noise[:, :10], 5_000)
    samples = file.read()
    assert samples.shape == (2, 4_096) and samples.dtype == np.float32
    assert np.array_equal(samples[:, 1_000:], noise[:, 1_000:4_096]) and not samples[:, :1_000].any()
    del file
    assert np.array_equal(samples[:, 1_000:], noise[:, 1_000:4_096]), "the array keeps what it shows"
    assert not list(folder.iterdir()), "the file has no name"


@pytest.mark.usefixtures("folder")
def test_a_long_sound_takes_no_memory() -> None:
    file = SampleFile(1, 1_000)
    file.write(np.ones((1, 1_000), np.float32), 0)
    assert not file.read().flags.owndata and not file.read().flags.writeable
    assert SampleFile(1, 1_000).read().sum() == 0


@pytest.mark.usefixtures("folder")
def test_without_room_on_the_disk_samples_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise AssertionError("no file is to be made")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=7_999))
    file = SampleFile(1, 500)
    file.write(np.ones((1, 500), np.float32), 0)
    assert file.read().sum() == 500
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "gettempdir", _no_folder)
    assert SampleFile(1, 500).read().shape == (1, 500)


def _no_folder() -> str:
    raise FileNotFoundError("No usable temporary directory found")
