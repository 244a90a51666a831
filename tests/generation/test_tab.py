"""The Generate tab's own parts: pictures on the way, and what the classifier hears."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from aural.audio import Clip, write
from aural.generation import tab
from aural.generation.classes import CLASSES, GROUPS
from aural.ui import plots

BANDS_HZ = np.geomspace(30, 10_900, 80)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))


def test_a_tile_is_as_bright_as_its_spectrogram() -> None:
    levels = (0.1, 0.9, 0.5)
    figure = plots.spectrogram_tiles([np.full((80, 100), level) for level in levels], 1.0, BANDS_HZ)
    with Image.open(plots.save(figure, 0.5)) as image:
        assert image.size == (plots.WIDTH_PX // 2, plots.HEIGHT_PX // 2)
        pixels = np.asarray(image.convert("L")).astype(int)
    height, width = pixels.shape
    dark, bright, middle, empty = (
        pixels[round(y * height), round(x * width)] for y in (0.3, 0.75) for x in (0.25, 0.75)
    )
    assert dark < middle < bright
    assert empty == round(np.dot([0x13, 0x14, 0x17], [0.299, 0.587, 0.114])), (
        "nothing stands in a fourth tile"
    )


@pytest.mark.parametrize("count", range(1, 9))
def test_every_spectrogram_has_a_tile(count: int) -> None:
    figure = plots.spectrogram_tiles(list(np.random.default_rng(0).random((count, 80, 50))), 0.6, BANDS_HZ)
    tiles = [axes for axes in figure.axes if axes.get_visible()]
    assert len(tiles) == count and all(axes.images for axes in tiles)
    assert bool(tiles[0].get_xlabel()) == (count == 1), "one has its axes, several have numbers"
    assert [axes.get_title(loc="left") for axes in tiles] == (
        [""] if count == 1 else [str(number) for number in range(1, count + 1)]
    )


def test_the_mel_bands_stand_at_their_frequencies() -> None:
    centres_hz = tab._band_centres_hz()
    assert centres_hz.shape == (80,) and np.all(np.diff(centres_hz) > 0)
    assert 0 < centres_hz[0] < 100 and 10_000 < centres_hz[-1] < 11_025


def test_a_spectrogram_on_its_way_is_drawn_a_few_times_and_only_when_there_is_one() -> None:
    preview = tab._Preview()
    assert preview.outputs(0.0) == gr.skip()
    preview.watch(np.zeros((2, 80, 432), np.float32))
    shown = [preview.outputs(share) for share in np.linspace(0, 0.99, 100)]
    drawn = [outputs[2] for outputs in shown if isinstance(outputs, tuple)]
    assert 6 <= len(drawn) <= tab.PREVIEWS
    assert all(Path(path).is_file() for path in drawn) and len(set(drawn)) == len(drawn)


def test_the_wanted_class_stands_out_among_the_guesses() -> None:
    guesses = [{"label": "sea_waves", "probability": 0.625}, {"label": "rain", "probability": 0.004}]
    list_ = tab._guesses_list(guesses, {"rain", None})
    waves, rain = list_.split("<li")[1:]
    assert "Sea waves" in waves and "62.5%" in waves and "wanted" not in waves
    assert "Rain" in rain and "&lt; 1 %" in rain and "wanted" in rain


@pytest.mark.parametrize(
    ("first_guesses", "verdict"),
    [
        (["dog"], "The classifier recognised it."),
        (["cat"], "The classifier didn't hear a dog. Try again?"),
        (["dog", "cat", "rain"], "The classifier recognised 2 of 3."),
    ],
)
def test_the_message_counts_what_was_recognised(first_guesses: list[str], verdict: str) -> None:
    figures = {
        "label": "dog",
        "morph": "rain" if len(first_guesses) > 1 else None,
        "seed": 7,
        "message": "",
        "guesses": [[{"label": label, "probability": 0.9}] for label in first_guesses],
    }
    names = "Dog + Rain" if figures["morph"] else "Dog"
    assert tab._message(figures) == f"**{names}**, seed 7. {verdict}"


@pytest.mark.parametrize(
    ("description", "label", "message"),
    [
        ("puppy", "dog", "Found by names: Dog."),
        ("gunshot", "fireworks", "There is no class for &quot;gunshot&quot;. The nearest: Fireworks, "),
        ("<b>cat", "cat", "Found by names: Cat."),
    ],
)
def test_a_description_sets_the_class_and_says_by_what(description: str, label: str, message: str) -> None:
    found, told = tab.find(description)
    assert found == label and told.startswith(f'<p role="status">{message}')


def test_words_that_mean_no_class_leave_it_and_are_shown_as_text() -> None:
    assert tab.find("") == tab.find(None) == tab.find("  ") == (gr.skip(), "")
    found, told = tab.find("<img onerror>")
    assert found == gr.skip() and "&lt;img onerror&gt;" in told and "<img" not in told


def test_each_card_and_version_names_the_seed_of_its_sound(tmp_path: Path) -> None:
    tone = 0.1 * np.sin(np.arange(44_100) * 0.1)[np.newaxis].astype(np.float32)
    sounds = Clip(tone, 44_100), Clip(2 * tone, 44_100)
    files = [str(write(clip, tmp_path / name)) for clip, name in zip(sounds, ("a.wav", "b.wav"), strict=True)]
    guesses = [{"label": "dog", "probability": 0.9}]
    figures = {
        "label": "dog",
        "morph": None,
        "seed": 7,
        "seeds": [9, 7],
        "loop": False,
        "message": "The best 2, best first, of 6 by the classifier: seeds 9, 7.",
        "guesses": [guesses, guesses],
    }
    _, message, _, _, heard, *cards = tab._show(files, figures, files)
    cards = cards[len(tab.NO_DOWNLOADS) :]
    assert [cards[place].label for place in (1, 5)] == ["Spectrogram, seed 9", "Spectrogram, seed 7"]
    heard = heard.versions
    assert [version.label for version in heard] == ["Seed 9", "Seed 7"]
    assert heard[1].loudness_lufs - heard[0].loudness_lufs == pytest.approx(6.02, abs=0.05)
    assert message.value.endswith("The best 2, best first, of 6 by the classifier: seeds 9, 7.")


def test_every_group_has_its_name_and_its_icon() -> None:
    assert len(tab.GROUP_NAMES) == len(GROUPS) == tab.CSS.count("mask-image")
    assert sum(len(tab._samples(group)) for group in GROUPS) == len(CLASSES)
