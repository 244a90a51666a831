"""The shipped examples: small, credited, and what their titles say."""

from __future__ import annotations

import numpy as np

from aural.audio import read
from aural.ui.examples import EXAMPLES, FOLDER, NARROW_EXAMPLES, PHONE_EXAMPLES

ALL = [*EXAMPLES, *PHONE_EXAMPLES, *NARROW_EXAMPLES]
SHIPPED_BYTES = 3_000_000


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
