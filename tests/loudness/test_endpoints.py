"""The running app, called as programs call it: measure, master and album."""

import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

import aural
from aural.audio import read, write
from tests.endpoints import RATE, tune


def test_measure_gives_the_same_figures_as_the_library(client: Client, recording: Path) -> None:
    figures, *pictures = client.predict(handle_file(recording), api_name="/measure")
    downmixes = figures.pop("downmixes")
    assert figures == aural.measure(read(recording)).figures()
    assert {row["method"] for row in downmixes} >= {"keep", "mono", "mono_phase_safe"}
    for picture in pictures:
        with Image.open(picture) as image:
            assert image.format == "WEBP" and min(image.size) > 300


def test_master_returns_a_file_that_measures_as_it_says(client: Client, recording: Path) -> None:
    path, figures, _ = client.predict(
        handle_file(recording), target="apple_music", downmix="mono_phase_safe", api_name="/master"
    )
    mastered = read(path)
    measured = aural.measure(mastered)
    assert (mastered.channels, mastered.rate, mastered.frames) == (1, RATE, tune().frames)
    assert measured.integrated_lufs == pytest.approx(-16, abs=0.1)
    assert measured.true_peak_dbtp is not None and measured.true_peak_dbtp <= -1
    assert measured.integrated_lufs == pytest.approx(figures["after"]["integrated_lufs"], abs=0.01)
    assert soundfile.info(path).subtype == "PCM_24"


def test_master_keeps_a_surround_file_surround(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "surround.flac"
    write(tune(2, channels=6), path)
    mastered, figures, _ = client.predict(handle_file(path), target="ebu_r128", api_name="/master")
    assert read(mastered).channels == 6
    assert figures["after"]["integrated_lufs"] == pytest.approx(-23, abs=0.1)


def test_an_album_comes_back_as_a_zip_with_one_gain(client: Client, tmp_path: Path) -> None:
    paths = [tmp_path / "loud.wav", tmp_path / "soft.flac"]
    write(tune(), paths[0])
    write(tune().with_samples(tune().samples * np.float32(0.3)), paths[1])
    archive, figures = client.predict(
        [handle_file(path) for path in paths], target="tidal", api_name="/master_album"
    )
    with zipfile.ZipFile(archive) as files:
        assert files.namelist() == ["01 loud-mastered.wav", "02 soft-mastered.wav"]
        assert files.testzip() is None
    assert figures[0]["gain_db"] == figures[1]["gain_db"]


def test_half_a_file_is_measured_as_far_as_it_goes(client: Client, recording: Path) -> None:
    recording.write_bytes(recording.read_bytes()[: recording.stat().st_size // 2])
    figures, *_ = client.predict(handle_file(recording), api_name="/measure")
    assert figures["seconds"] == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"target": "free"},
            "The custom target needs a loudness (loudness_lufs). Set one, such as -16 LUFS.",
        ),
        ({"loudness_lufs": 5}, "The loudness must be from -60 to 0 LUFS, not 5."),
        ({"ceiling_dbtp": 3}, "The true-peak ceiling must be from -40 to 0 dBTP, not 3."),
        ({"playback_phon": 500}, "The listening level must be from 20 to 90 phon, not 500."),
        (
            {"layout": "7.1"},
            "The layout 7.1 has 8 channels and the audio 2. Choose a layout that fits, or auto.",
        ),
        (
            {"control_range": True, "range_lu": 0},
            "The loudness range must be from 1 to 40 LU, not 0.",
        ),
    ],
)
def test_a_setting_out_of_range_ends_in_one_clear_sentence(
    client: Client, recording: Path, settings: dict, sentence: str
) -> None:
    with pytest.raises(AppError, match=f"^{re.escape(sentence)}$"):
        client.predict(handle_file(recording), **settings, api_name="/master")
