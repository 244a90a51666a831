"""The running app, called as programs call it: release."""

import re
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

import aural
from aural.audio import read


def test_release_meets_its_target_and_returns_each_stage(client: Client, speech: Path) -> None:
    settings = {"preset": "interview", "target": "ebu_r128", "seed": 3}
    path, stages, figures, picture = client.predict(handle_file(speech), **settings, api_name="/release")
    result = aural.release(read(speech), **settings)
    made = [*stages, path]
    clips = [result.enhanced.clip, result.super_resolved.clip, result.clip]
    for file, clip in zip(made, clips, strict=True):
        assert read(file).rate == clip.rate
        assert np.allclose(read(file).samples, clip.samples, atol=2**-22)
    assert {name: figures[name] for name in result.figures()} == result.figures()
    loudness = aural.measure(read(path))
    assert loudness.integrated_lufs == pytest.approx(-23, abs=0.1)
    assert figures["versions"]["mastered"]["integrated_lufs"] == pytest.approx(-23, abs=0.1)
    with Image.open(picture) as image:
        assert image.format == "WEBP" and min(image.size) > 300


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"preset": "fax"},
            'There is no preset "fax". Choose one of restore, podcast, voice_memo, song_demo, interview.',
        ),
        ({"target": "free"}, 'There is no target "free". Choose one of earbuds, headphones_quiet, '),
        ({"rate": 1}, "The rate must be a whole number from 4000 to 192000, not 1."),
        ({"downmix": None}, 'There is no down-mix "empty". Choose one of keep, stereo, '),
        ({"target": {}}, 'There is no target "{}". Choose one of earbuds, headphones_quiet, '),
        ({"strength": []}, "The strength must be from 0 to 1, not []."),
    ],
    ids=str,
)
def test_what_cannot_be_released_ends_in_one_clear_sentence(
    client: Client, recording: Path, settings: dict, sentence: str
) -> None:
    with pytest.raises(AppError, match=rf"^{re.escape(sentence)}.*(?<=\.)$"):
        client.predict(handle_file(recording), **settings, api_name="/release")
