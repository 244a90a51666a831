"""The running app, called as programs call it: generate."""

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
from aural.audio import read, write
from aural.generation.classes import CLASSES
from tests.endpoints import BAD_FILES, bad_file, cancel_under_way, tune

QUICK = {"steps": 2, "seconds": 1.0}


def test_generate_gives_the_same_sounds_as_the_library(client: Client) -> None:
    files, figures, picture = client.predict("Chirping birds", count=3, seed=7, **QUICK, api_name="/generate")
    clips = aural.generate("chirping_birds", count=3, seed=7, **QUICK).clips
    assert len(files) == 3
    for file, clip in zip(files, clips, strict=True):
        assert soundfile.info(file).subtype == "PCM_24"
        assert np.allclose(read(file).samples, clip.samples, atol=2**-22)
    assert (figures["label"], figures["seed"], figures["count"]) == ("chirping_birds", 7, 3)
    for guesses in figures["guesses"]:
        assert {guess["label"] for guess in guesses} <= set(CLASSES) and len(guesses) == 5
        shares = [guess["probability"] for guess in guesses]
        assert shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 1
    with Image.open(picture) as image:
        assert image.format == "WEBP" and min(image.size) > 300


def test_a_seed_that_was_drawn_gives_the_same_sound_again(client: Client) -> None:
    files, figures, _ = client.predict("rain", **QUICK, api_name="/generate")
    again, same, _ = client.predict("rain", seed=figures["seed"], **QUICK, api_name="/generate")
    other, different, _ = client.predict("rain", **QUICK, api_name="/generate")
    assert same == figures and different["seed"] != figures["seed"]
    assert Path(again[0]).read_bytes() == Path(files[0]).read_bytes() != Path(other[0]).read_bytes()


def test_an_upload_is_varied_filled_and_extended(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "source.wav"
    source = tune(2, channels=1, rate=22_050)
    write(source, path)
    call = {"steps": 2, "source": handle_file(path), "api_name": "/generate"}
    varied, filled, extended = (
        read(client.predict("dog", **gap, **call)[0][0])
        for gap in (
            {},
            {"gap_start_seconds": 0.8, "gap_end_seconds": 1.2},
            {"gap_start_seconds": 1.8, "gap_end_seconds": 3},
        )
    )
    assert varied.seconds == pytest.approx(2, abs=0.01)
    assert not np.allclose(varied.samples, source.samples, atol=1e-3)
    before, gap, after = np.split(
        filled.samples - source.samples, [round(0.7 * 22_050), round(1.3 * 22_050)], 1
    )
    assert np.abs(before).max() < 1e-5 and np.abs(after).max() < 1e-5 and np.abs(gap).max() > 1e-3
    assert extended.seconds == pytest.approx(3, abs=0.01)


NO_CLASS = '"{}" is not one of the 50 classes of ESC-50. Choose one of them, such as "Dog"{}.'
SEED = "The seed must be a whole number from 0 to 4294967295, not {}."
CLIPS = "The number of clips must be a whole number from 1 to 8, not {}."


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"label": "dgo"}, NO_CLASS.format("dgo", "")),
        ({"label": ""}, NO_CLASS.format("", ' or "Rain"')),
        ({"morph": "dgo"}, NO_CLASS.format("dgo", "")),
        ({"count": 0}, CLIPS.format(0)),
        ({"count": 9}, CLIPS.format(9)),
        ({"count": 1.5}, CLIPS.format(1.5)),
        ({"seconds": 0}, "The duration must be from 0.5 to 10 s, not 0."),
        ({"seconds": 11}, "The duration must be from 0.5 to 10 s, not 11."),
        ({"steps": 0}, "The number of steps must be a whole number from 1 to 200, not 0."),
        ({"guidance": 1000}, "The guidance must be from 1 to 10, not 1000."),
        ({"morph_share": 2}, "The share of the second class must be from 0 to 1, not 2."),
        ({"strength": -1}, "The strength must be from 0 to 1, not -1."),
        ({"seed": -1}, SEED.format(-1)),
        ({"seed": 0.5}, SEED.format(0.5)),
        ({"seed": 1e300}, SEED.format("1e+300")),
        ({"sampler": "heun"}, 'There is no sampler "heun". Choose one of dpm++, unipc, ddim.'),
        ({"vocoder": "none"}, 'There is no vocoder "none". Choose one of vocoder, griffin_lim.'),
        (
            {"gap_start_seconds": 1, "gap_end_seconds": 2},
            "A gap needs a source sound. Upload one, or clear the gap.",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_generated_ends_in_one_clear_sentence(
    client: Client, settings: dict, sentence: str
) -> None:
    with pytest.raises(AppError, match=f"^{re.escape(sentence)}$"):
        client.predict(**{"label": "dog", **settings}, api_name="/generate")


@pytest.mark.parametrize("kind", ["text", "nothing", "header only", "not a number", "three hours"])
def test_a_bad_file_cannot_be_varied(client: Client, tmp_path: Path, kind: str) -> None:
    source = handle_file(bad_file(kind, tmp_path))
    with pytest.raises(AppError, match=f"^{re.escape(BAD_FILES[kind])}$"):
        client.predict("dog", source=source, **QUICK, api_name="/generate")


def test_cancelled_generations_make_room_for_others(client: Client) -> None:
    client.predict("dog", **QUICK, api_name="/generate")  # the models are loaded
    slow = {"count": 2, "steps": 200, "api_name": "/generate"}
    jobs = [client.submit("dog", **slow) for _ in range(app.CALLS_AT_ONCE)]
    cancel_under_way(jobs)
    assert len(client.predict("dog", **QUICK, api_name="/generate")[0]) == 1
