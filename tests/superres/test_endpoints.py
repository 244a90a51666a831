"""The running app, called as programs call it: super-resolve."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

import app
import aural
from aural.audio import Clip, read, write
from tests.endpoints import RATE, cancel_under_way, edge_clip, tune


@pytest.fixture
def narrow(tmp_path: Path) -> Path:
    """A second of chords and noise in stereo at 8 kHz."""
    path = tmp_path / "narrow.wav"
    write(noisy(1, 8_000), path)
    return path


def noisy(seconds: float, rate: int) -> Clip:
    """A tune with noise up to the end of its band, in stereo."""
    clip = tune(seconds, rate=rate)
    noise = np.random.default_rng(0).standard_normal(clip.samples.shape)
    return clip.with_samples(clip.samples + np.float32(0.02) * noise.astype(np.float32))


@pytest.mark.parametrize("method", ["default", "lisa", "sinc"])
def test_super_resolve_gives_the_same_sound_as_the_library(client: Client, narrow: Path, method: str) -> None:
    path, figures, *pictures = client.predict(
        handle_file(narrow), rate=44_100, method=method, api_name="/super_resolve"
    )
    result = aural.super_resolve(read(narrow), rate=44_100, method=method)
    assert figures == result.figures()
    assert (read(path).rate, read(path).samples.shape) == (44_100, (2, 44_100))
    assert np.allclose(read(path).samples, result.clip.samples, atol=2**-22)
    assert soundfile.info(path).subtype == "PCM_24"
    for picture in pictures:
        with Image.open(picture) as image:
            assert image.format == "WEBP" and min(image.size) > 300


@pytest.mark.parametrize(
    ("settings", "rate"),
    [({}, 48_000), ({"factor": 2.37}, 18_960), ({"rate": 47_953}, 47_953), ({"rate": 192_000}, 192_000)],
    ids=str,
)
def test_the_length_is_that_of_the_input_times_the_ratio(
    client: Client, tmp_path: Path, settings: dict, rate: int
) -> None:
    path = tmp_path / "odd.wav"
    clip = noisy(1, 8_000)
    write(clip.with_samples(clip.samples[:, :4_321]), path)
    made, figures, *_ = client.predict(handle_file(path), **settings, api_name="/super_resolve")
    assert (read(made).rate, figures["rate"]) == (rate, rate)
    assert read(made).samples.shape == (2, round(4_321 * rate / 8_000))


def test_what_if_holds_all_methods_against_the_truth(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "full.wav"
    write(noisy(1, 48_000), path)
    made, figures, *_ = client.predict(
        handle_file(path), what_if_rate=8_000, compare=True, api_name="/super_resolve"
    )
    assert read(made).samples.shape == (2, 48_000)
    assert set(figures["comparison"]) == {"default", "lisa", "sinc"}
    for row in figures["comparison"].values():
        assert set(row) == {"snr_db", "lsd", "lsd_above", "lsd_below"}
    sinc = figures["comparison"]["sinc"]
    assert sinc["lsd_above"] > 10 * sinc["lsd_below"], "what was cut is missing, and what was left is right"
    assert client.predict(handle_file(path), api_name="/super_resolve")[1]["comparison"] is None


def test_what_lacks_nothing_comes_back_as_it_is(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "full.wav"
    write(noisy(1, 48_000), path)
    made, figures, *_ = client.predict(handle_file(path), compare=True, api_name="/super_resolve")
    assert np.array_equal(read(made).samples, read(path).samples)
    assert figures["filled_hz"] is None


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"rate": 44_100, "factor": 2}, "Set either the rate or the factor, not both."),
        ({"rate": 4_000}, "The sound extends to 4 kHz, so 4000 Hz is too low. Choose 7600 Hz or more."),
        ({"rate": 3_999}, "The rate must be a whole number from 4000 to 192000, not 3999."),
        ({"rate": 192_001}, "The rate must be a whole number from 4000 to 192000, not 192001."),
        ({"rate": 10**12}, "The rate must be a whole number from 4000 to 192000, not 1000000000000."),
        ({"rate": -48_000}, "The rate must be a whole number from 4000 to 192000, not -48000."),
        ({"rate": 44_100.5}, "The rate must be a whole number from 4000 to 192000, not 44100.5."),
        ({"rate": True}, "The rate must be a whole number from 4000 to 192000, not True."),
        ({"factor": 0}, "The factor must be above 0."),
        ({"factor": -2}, "The factor must be from 0 to 48, not -2."),
        ({"factor": 49}, "The factor must be from 0 to 48, not 49."),
        ({"factor": 0.5}, "The sound extends to 4 kHz, so 4000 Hz is too low. Choose 7600 Hz or more."),
        ({"factor": 1e300}, "The factor must be from 0 to 48, not 1e+300."),
        ({"method": "magic"}, 'There is no method "magic". Choose one of default, lisa, sinc.'),
        ({"method": None}, 'There is no method "empty". Choose one of default, lisa, sinc.'),
        ({"bandwidth_hz": 0}, "The bandwidth must be from 1700 to 192000 Hz, not 0."),
        ({"bandwidth_hz": 1e9}, "The bandwidth must be from 1700 to 192000 Hz, not 1000000000.0."),
        (
            {"bandwidth_hz": 20_000},
            "A clip of 8000 Hz can't have a bandwidth of 20000 Hz. "
            "Set at most 4000 Hz, or none to detect it.",
        ),
        (
            {"what_if_rate": 8_000},
            "Can't downsample a clip of 8000 Hz to 8000 Hz. Choose a lower rate, or none.",
        ),
        (
            {"what_if_rate": 3},
            "The rate that the clip is cut to must be a whole number from 4000 to 192000, not 3.",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_super_resolved_ends_in_one_clear_sentence(
    client: Client, narrow: Path, settings: dict, sentence: str
) -> None:
    with pytest.raises(AppError, match=f"^{re.escape(sentence)}$"):
        client.predict(handle_file(narrow), **settings, api_name="/super_resolve")


@pytest.mark.parametrize("samples", [1, 40])
def test_what_is_too_short_for_a_band_ends_in_one_clear_sentence(
    client: Client, tmp_path: Path, samples: int
) -> None:
    path = tmp_path / "short.wav"
    write(Clip(np.full((1, samples), 0.5, np.float32), 8_000), path)
    with pytest.raises(AppError, match=r"Choose one of at least 10 ms\.$"):
        client.predict(handle_file(path), api_name="/super_resolve")


@pytest.mark.parametrize("kind", ["silence", "short", "dc", "clipped"])
def test_an_odd_file_is_super_resolved_without_nan(client: Client, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "odd.wav"
    clip = edge_clip(kind)
    write(clip, path)
    made, figures, *_ = client.predict(
        handle_file(path), rate=96_000, compare=True, api_name="/super_resolve"
    )
    json.dumps(figures, allow_nan=False)
    assert read(made).samples.shape == (2, round(clip.frames * 96_000 / RATE))


def test_cancelled_super_resolutions_make_room_for_others(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    write(noisy(300, 8_000), path)
    jobs = [
        client.submit(handle_file(path), method="lisa", api_name="/super_resolve")
        for _ in range(app.CALLS_AT_ONCE)
    ]
    cancel_under_way(jobs)
    short = tmp_path / "short.wav"
    write(tune(1), short)
    assert client.predict(handle_file(short), api_name="/measure")[0]["channels"] == 2
    assert not any(isinstance(job.outputs()[-1][0], str) for job in jobs), "no cancelled call came to its end"
