"""The running app, called as programs call it: enhance and degrade."""

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

import app
import aural
from aural.audio import read, write
from tests.endpoints import RATE, bad_file, cancel_under_way, tune


def test_enhance_gives_the_same_sound_as_the_library(client: Client, speech: Path) -> None:
    path, background, figures, picture = client.predict(
        handle_file(speech), preset="podcast", strength=0.5, seed=3, api_name="/enhance"
    )
    result = aural.enhance(read(speech), preset="podcast", strength=0.5, seed=3)
    assert figures == result.figures()
    for file, clip in ((path, result.clip), (background, result.background)):
        assert soundfile.info(file).subtype == "PCM_24"
        assert np.allclose(read(file).samples, clip.samples, atol=2**-22)
    assert aural.measure(read(path)).integrated_lufs == pytest.approx(-16, abs=0.1)
    with Image.open(picture) as image:
        assert image.format == "WEBP" and min(image.size) > 300


@pytest.mark.parametrize("setting", ["griffin_lim", "vocoder"])
def test_every_setting_keeps_length_rate_and_channels(client: Client, tmp_path: Path, setting: str) -> None:
    path = tmp_path / "stereo.wav"
    write(tune(1), path)
    made, *_ = client.predict(handle_file(path), setting=setting, api_name="/enhance")
    assert (read(made).samples.shape, read(made).rate) == (tune(1).samples.shape, RATE)


def test_what_exceeds_full_scale_is_not_clipped_anew(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "hot.wav"
    hot = tune(1).with_samples(2 * tune(1).samples / np.abs(tune(1).samples).max())
    write(hot, path, "wav32f")
    made, *_ = client.predict(handle_file(path), strength=0, api_name="/enhance")
    assert np.array_equal(read(made).samples, hot.samples)


def test_strength_0_gives_the_input_back(client: Client, recording: Path) -> None:
    path, *_ = client.predict(handle_file(recording), strength=0, preset="podcast", api_name="/enhance")
    assert np.array_equal(read(path).samples, read(recording).samples)


def test_a_recording_can_be_expanded(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "narrow.wav"
    write(tune(1, channels=1, rate=8000), path)
    made, *_ = client.predict(handle_file(path), expand_rate=48_000, api_name="/enhance")
    assert (read(made).rate, read(made).frames) == (48_000, 48_000)


def test_a_reference_adds_the_measures_before_and_after(client: Client, speech: Path) -> None:
    phone, _ = client.predict(handle_file(speech), preset="video_call", api_name="/degrade")
    *_, figures, _ = client.predict(handle_file(phone), reference=handle_file(speech), api_name="/enhance")
    against = figures["reference"]
    assert against["delay_seconds"] == 0
    for metrics in (against["before"], against["after"]):
        assert set(metrics) == {"snr_db", "si_sdr_db", "pesq", "stoi", "lsd"}
        # PESQ is for those only who have a C compiler.
        assert (metrics["pesq"] is None) == (find_spec("pesq") is None)
        assert None not in [metrics[name] for name in metrics if name != "pesq"]
    *_, same, _ = client.predict(
        handle_file(speech), reference=handle_file(speech), strength=0, api_name="/enhance"
    )
    assert same["reference"]["before"] == same["reference"]["after"]
    assert same["reference"]["after"]["stoi"] == 1


@pytest.mark.parametrize("kind", ["text", "nothing", "another tune"])
def test_a_reference_that_does_not_fit_ends_in_one_clear_sentence(
    client: Client, speech: Path, tmp_path: Path, kind: str
) -> None:
    if kind == "another tune":
        write(tune(3), tmp_path / "bad.wav")
        reference = tmp_path / "bad.wav"
    else:
        reference = bad_file(kind, tmp_path)
    with pytest.raises(AppError, match=r"^Can't use the reference\. .*\.$"):
        client.predict(handle_file(speech), reference=handle_file(reference), api_name="/enhance")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"preset": "radio"},
            'There is no preset "radio". Choose one of restore, podcast, voice_memo, song_demo, interview.',
        ),
        (
            {"setting": "none"},
            'There is no setting "none". Choose one of original_phase, griffin_lim, vocoder.',
        ),
        ({"strength": 2}, "The strength must be from 0 to 1, not 2."),
        ({"mix": -1}, "The mix of the voice chain must be from 0 to 1, not -1."),
        (
            {"expand_rate": 22_050},
            "The sample rate can be 44100 or 48000 Hz, not 22050. "
            "Choose one of these, or none to keep the file's own.",
        ),
        ({"background_db": 40}, "The gain of the background must be from -60 to 12 dB, not 40."),
        ({"loudness_lufs": 5}, "The loudness must be from -60 to 0 LUFS, not 5."),
        ({"seed": -1}, "The seed must be a whole number from 0 to 4294967295, not -1."),
        ({"seed": None}, "The seed must be a whole number from 0 to 4294967295, not empty."),
        (
            {"noise_reduction": None},
            "The setting noise_reduction must be on (true) or off (false), not empty.",
        ),
        ({"strength": True}, "The strength must be from 0 to 1, not True."),
        (
            {"preset": None},
            'There is no preset "empty". Choose one of restore, podcast, voice_memo, song_demo, interview.',
        ),
    ],
    ids=str,
)
def test_what_cannot_be_enhanced_ends_in_one_clear_sentence(
    client: Client, recording: Path, settings: dict, sentence: str
) -> None:
    with pytest.raises(AppError, match=f"^{re.escape(sentence)}$"):
        client.predict(handle_file(recording), **settings, api_name="/enhance")


def test_degrade_gives_the_same_sound_as_the_library(client: Client, speech: Path) -> None:
    settings = {"preset": "phone_call", "seed": 5, "snr_db": 10}
    path, figures = client.predict(handle_file(speech), **settings, api_name="/degrade")
    assert np.allclose(read(path).samples, aural.degrade(read(speech), **settings).samples, atol=2**-22)
    assert {name: figures[name] for name in settings} == settings
    assert figures["found"]["bandwidth_hz"] < 4000
    again, _ = client.predict(handle_file(speech), **settings, api_name="/degrade")
    assert Path(again).read_bytes() == Path(path).read_bytes()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"preset": "fax"},
            'There is no preset "fax". Choose one of phone_call, voice_memo, video_call, far_away, random.',
        ),
        ({"seed": 0.5}, "The seed must be a whole number from 0 to 4294967295, not 0.5."),
        ({"snr_db": 99}, "The signal-to-noise ratio must be from -20 to 60 dB, not 99."),
    ],
    ids=str,
)
def test_what_no_phone_does_ends_in_one_clear_sentence(
    client: Client, recording: Path, settings: dict, sentence: str
) -> None:
    with pytest.raises(AppError, match=f"^{re.escape(sentence)}$"):
        client.predict(handle_file(recording), **settings, api_name="/degrade")


def test_cancelled_enhancements_make_room_for_others(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    write(tune(150), path)
    jobs = [client.submit(handle_file(path), api_name="/enhance") for _ in range(app.CALLS_AT_ONCE)]
    cancel_under_way(jobs)
    short = tmp_path / "short.wav"
    write(tune(1), short)
    assert client.predict(handle_file(short), api_name="/measure")[0]["channels"] == 2
    assert not any(isinstance(job.outputs()[-1][0], str) for job in jobs), "no cancelled call came to its end"
