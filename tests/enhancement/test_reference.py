"""A reference aligned a recording: found to the sample, or refused in a sentence."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from aural.audio import Clip, read
from aural.audio.resample import resample
from aural.audio.steps import finish
from aural.enhancement.degrade import Options, degrade_clip
from aural.enhancement.reference import Reference, align, compare_steps
from aural.errors import InputError
from aural.ui.examples import FOLDER, PHONE_EXAMPLES

SPEECH = read(FOLDER / "speech.ogg")


def later(clip: Clip, samples: int) -> Clip:
    """Starts later, or without its first samples."""
    padded = np.pad(clip.samples, ((0, 0), (max(samples, 0), 0)))[:, max(-samples, 0) :]
    return clip.with_samples(padded)


def test_a_sound_is_as_near_to_itself_as_can_be() -> None:
    metrics, notes = finish(compare_steps(SPEECH, align(SPEECH, SPEECH)))
    assert metrics.snr_db is None or metrics.snr_db > 100
    assert metrics.si_sdr_db is None or metrics.si_sdr_db > 100
    assert metrics.stoi == pytest.approx(1, abs=1e-6)
    assert metrics.lsd == pytest.approx(0, abs=1e-6)
    if find_spec("pesq"):  # for those only who have a C compiler
        assert metrics.pesq == pytest.approx(4.64, abs=0.01)
        assert notes == []


def test_level_and_polarity_make_no_difference_to_the_delay_nor_level_to_the_measures() -> None:
    noisy = degrade_clip(SPEECH, Options("phone_call"))
    aligned = align(noisy, SPEECH)
    soft = noisy.with_samples(noisy.samples * np.float32(0.05))
    loud, quiet = (finish(compare_steps(clip, aligned))[0] for clip in (noisy, soft))
    for one, other in zip(loud.figures().values(), quiet.figures().values(), strict=True):
        assert one == pytest.approx(other, abs=0.01)
    assert align(noisy.with_samples(-noisy.samples), SPEECH).delay_seconds == aligned.delay_seconds


@pytest.mark.parametrize("delay", [-40_000, -1234, 0, 777, 90_000])
def test_a_delay_is_found_to_the_sample(delay: int) -> None:
    found = align(later(SPEECH, delay), SPEECH)
    assert found.delay_seconds * SPEECH.rate == pytest.approx(delay, abs=1e-6)
    ours, clean = found.aligned(later(SPEECH, delay))
    assert np.array_equal(ours, clean)


@pytest.mark.parametrize("other_way", [False, True])
@pytest.mark.parametrize("start_seconds", [2.5, 4.5, 5.0])
def test_a_piece_from_further_on_is_not_taken_for_one_with_a_short_delay(
    start_seconds: float, other_way: bool
) -> None:
    first = round(start_seconds * SPEECH.rate)
    piece = SPEECH.with_samples(SPEECH.samples[:, first : first + round(0.8 * SPEECH.rate)])
    with pytest.raises(InputError, match="Choose"):
        align(*((SPEECH, piece) if other_way else (piece, SPEECH)))


def test_recordings_that_never_sound_at_once_cannot_be_compared() -> None:
    for delay_seconds in (-10.0, 10.0):
        ours, clean = Reference(SPEECH, delay_seconds).aligned(SPEECH)
        assert ours.shape == clean.shape == (1, 0)


@pytest.mark.parametrize("delay", [-700, 0, 700, 10**6, -(10**6)])
def test_the_reference_is_drawn_at_the_times_of_the_recording(delay: int) -> None:
    beside = Reference(SPEECH, delay / SPEECH.rate).beside(SPEECH).samples
    assert beside.shape == SPEECH.samples.shape
    padded = np.pad(SPEECH.samples, ((0, 0), (abs(delay), abs(delay))))
    first = abs(delay) - delay
    np.testing.assert_array_equal(beside, padded[:, first : first + SPEECH.frames])


@pytest.mark.parametrize("example", PHONE_EXAMPLES, ids=lambda example: example.title)
def test_a_phone_recording_of_the_reference_starts_with_it(example) -> None:
    assert align(read(example.path), SPEECH).delay_seconds == 0


def test_a_reference_of_another_rate_is_resampled() -> None:
    found = align(SPEECH, resample(SPEECH, 44_100))
    ours, clean = found.aligned(SPEECH)
    assert ours.shape == clean.shape
    assert finish(compare_steps(SPEECH, found))[0].si_sdr_db > 40


def test_a_mono_reference_serves_a_stereo_recording() -> None:
    stereo = Clip(np.concatenate([SPEECH.samples, 0.5 * SPEECH.samples]), SPEECH.rate)
    ours, clean = align(stereo, SPEECH).aligned(stereo)
    assert ours.shape == clean.shape == SPEECH.samples.shape


@pytest.mark.parametrize("kind", ["noise", "silence", "short", "late"])
def test_a_reference_that_does_not_fit_is_refused_in_a_sentence(kind: str) -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(SPEECH.samples.shape)
    reference = {
        "noise": SPEECH.with_samples(noise.astype(np.float32)),
        "silence": SPEECH.with_samples(np.zeros_like(SPEECH.samples)),
        "short": SPEECH.with_samples(SPEECH.samples[:, : SPEECH.frames // 3]),
        "late": later(SPEECH, 3 * SPEECH.rate),
    }[kind]
    with pytest.raises(InputError, match=r"Choose.*\.$"):
        align(SPEECH, reference)


def test_missing_metrics_are_reported_and_the_others_are_measured() -> None:
    short = SPEECH.with_samples(SPEECH.samples[:, 48_000 : 48_000 + 9600])
    metrics, notes = finish(compare_steps(short, Reference(short, 0.0)))
    assert metrics.pesq is None and metrics.stoi is None and metrics.lsd is not None
    assert all(note.endswith(".") for note in notes) and len(notes) == 2
