"""The shipped examples: small, credited, and what their titles say."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.signal import correlate

from aural.audio import read
from aural.hub import manifest
from aural.loudness.meter import measure
from aural.loudness.targets import TARGETS
from aural.studio import pipeline
from aural.ui.examples import (
    EXAMPLES,
    FOLDER,
    NARROW_EXAMPLES,
    PHONE_EXAMPLES,
    RESULTS,
    StoredResult,
    stored_results,
)

ALL = [*EXAMPLES, *PHONE_EXAMPLES, *NARROW_EXAMPLES]
SHIPPED_BYTES = 3_000_000
RESULT_BYTES = 150_000


def test_every_file_is_an_example_with_a_credit_in_the_readme() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    files = {path.name for path in FOLDER.iterdir() if path.suffix in (".ogg", ".flac", ".mp3")}
    assert {example.path.name for example in ALL} == files
    assert all(f"`{name}`" in readme for name in files)
    assert all(example.credit for example in ALL)


def test_the_examples_are_small() -> None:
    assert sum(example.path.stat().st_size for example in ALL) < SHIPPED_BYTES


def test_the_examples_are_what_their_titles_say() -> None:
    clips = {example.title: read(example.path) for example in EXAMPLES}
    assert {title: clip.channels for title, clip in clips.items()} == {
        "Pop song": 2,
        "Quiet celesta": 2,
        "Orchestra": 2,
        "Speech, mono": 1,
        "Out of phase": 2,
        "5.1 surround": 6,
    }
    assert clips["5.1 surround"].layout in ("5.1", "5.1(side)")
    left, right = clips["Out of phase"].samples
    assert np.array_equal(left, -right)
    assert np.abs(left).max() > 0.3


def test_the_narrow_examples_are_narrow_and_small() -> None:
    rates = {}
    for example in NARROW_EXAMPLES:
        clip = read(example.path)
        rates[example.title] = clip.rate
        assert example.path.stat().st_size < 60_000
        power = np.abs(np.fft.rfft(clip.samples[0])) ** 2
        above = power[np.fft.rfftfreq(clip.frames, 1 / clip.rate) > 10_000]
        assert above.sum() < 1e-9 * power.sum()
    assert rates == {"Speech at 8 kHz": 8_000, "Speech at 16 kHz": 16_000, "Small MP3 at 48 kHz": 48_000}


@pytest.mark.parametrize("stored", stored_results(), ids=lambda stored: stored.example.title)
def test_a_stored_result_is_at_its_target_and_starts_with_its_example(stored: StoredResult) -> None:
    before, after = read(stored.example.path), read(stored.path)
    assert stored.path.stat().st_size < RESULT_BYTES
    assert (after.rate, after.samples.shape) == (before.rate, before.samples.shape)
    # The voice stays where it is, but for the phase of the equalizers.
    likeness = correlate(after.samples[0], before.samples[0], method="fft")
    assert abs(int(likeness.argmax()) - (before.frames - 1)) < 0.0002 * before.rate
    assert likeness.max() > 0.75 * np.linalg.norm(after.samples) * np.linalg.norm(before.samples)
    assert measure(before).integrated_lufs == pytest.approx(stored.before_lufs, abs=0.05)
    assert measure(after).integrated_lufs == pytest.approx(stored.after_lufs, abs=0.05)
    target = TARGETS[pipeline.Options().target]
    assert stored.after_lufs == pytest.approx(target.loudness_for(after.channels), abs=0.1)


def test_the_stored_results_are_of_the_shipped_checkpoints_and_of_the_default_target() -> None:
    facts = json.loads(RESULTS.read_text(encoding="utf-8"))
    shipped = {name: manifest.entries()[name].sha256["model.safetensors"] for name in facts["checkpoints"]}
    again = "other checkpoints made the results of the examples: run `python -m tools.make_example_results`"
    assert facts["checkpoints"] == shipped, again
    assert {"denoiser", "extender"} <= shipped.keys()
    assert facts["target"] == pipeline.Options().target
    assert {path.stem for path in RESULTS.parent.glob("*.ogg")} == {one.path.stem for one in stored_results()}
