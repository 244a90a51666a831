"""Low-passes of many kinds, and the training pairs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aural.audio.resample import resample_samples
from aural.errors import InputError
from aural.superres.data import (
    _KINDS,
    FRAMES,
    GRID,
    MARGIN,
    POINTS,
    RATE,
    BatchSampler,
    Response,
    apply,
    resampler_response,
    responses,
    sample_response,
    validation_pairs,
)
from aural.training.corpus import Corpus, Recording


def noise(length: int, seed: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(length).astype(np.float32)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """Noise of three voices and a piece of music; what is for validation is ten times as loud."""
    made, place = [], 0
    waves = []
    for number, (kind, is_validation) in enumerate(
        [("speech", False), ("speech", False), ("speech", True), ("music", False), ("esc50", False)]
    ):
        wave = noise(POINTS + 4_000, number) * np.float32(10 if is_validation else 1)
        made.append(Recording(kind, place, len(wave), -1, is_validation, f"{kind}/{number}.wav"))
        waves.append(wave)
        place += len(wave)
    return Corpus(np.concatenate(waves), tuple(made))


@pytest.mark.parametrize("kind", list(_KINDS))
def test_every_kind_passes_what_is_low_and_stops_what_is_high(kind: str) -> None:
    generator = np.random.default_rng(1)
    grid_hz = np.linspace(0, RATE / 2, GRID)
    for _ in range(8):
        gain = np.abs(_KINDS[kind](generator, 6_000.0))
        assert gain[0] == pytest.approx(1, abs=0.25)  # the ripple of an elliptic or Chebyshev filter
        assert gain[grid_hz > 12_000].max() < 0.5
        assert 0.7 < gain[(grid_hz > 1_000) & (grid_hz < 2_500)].mean() < 1.1


def test_the_edges_are_where_the_gain_falls() -> None:
    grid_hz = np.linspace(0, RATE / 2, GRID)
    for response in responses(3, 40):
        near, far = response.ends_hz
        assert 800 < near <= far < RATE / 2
        if response.fold_hz is None:
            gain = np.abs(response.gain)
            assert gain[grid_hz > far].max() <= 10 ** (-25 / 20) < gain[grid_hz >= far].max()
            assert gain[grid_hz > near].max() <= 10 ** (-3 / 20) < gain[grid_hz >= near].max()


def test_the_same_seed_draws_the_same() -> None:
    first, second = (sample_response(np.random.default_rng(4)) for _ in range(2))
    assert first.ends_hz == second.ends_hz and np.array_equal(first.gain, second.gain)


def test_a_resampler_there_and_back_is_what_it_says() -> None:
    wave = noise(POINTS, 0)[np.newaxis]
    by_soxr = resample_samples(resample_samples(wave, RATE, 16_000), 16_000, RATE)
    ours = apply(wave, resampler_response(8_000.0))
    inside = slice(MARGIN, POINTS - MARGIN)
    # Their transitions differ, between 7.3 and 8 kHz; the rest is the same.
    spectra = [np.abs(np.fft.rfft(x[0, inside] * np.hanning(FRAMES))) for x in (by_soxr, ours)]
    low, high = (round(hz / RATE * FRAMES) for hz in (7_200, 8_100))
    np.testing.assert_allclose(spectra[0][:low], spectra[1][:low], atol=1e-3 * spectra[0].max())
    assert max(spectrum[high:].max() for spectrum in spectra) < 1e-4 * spectra[0].max()


def test_what_a_short_filter_lets_pass_is_mirrored() -> None:
    tone = np.sin(2 * np.pi * 4_500 * np.arange(POINTS) / RATE).astype(np.float32)
    left = apply(tone, Response(np.ones(GRID, np.float32), 4_000.0, (4_000.0, 4_000.0)))
    spectrum = np.abs(np.fft.rfft(left * np.hanning(POINTS)))
    assert np.argmax(spectrum) * RATE / POINTS == pytest.approx(3_500, abs=1)


def test_batches_come_from_the_generator_alone(corpus: Corpus) -> None:
    sampler = BatchSampler(corpus, 3, torch.device("cpu"), transcoded_count=0)
    first, again, other = (sampler(torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first.samples.shape == first.target.shape == (3, FRAMES)
    assert first.bandwidth_hz.shape == (3,) and (first.bandwidth_hz > 1_000).all()
    assert torch.equal(first.samples, again.samples) and not torch.equal(first.samples, other.samples)


def test_nothing_for_validation_is_trained_on(corpus: Corpus) -> None:
    sampler = BatchSampler(corpus, 8, torch.device("cpu"), transcoded_count=4)
    drawn = [sampler(torch.Generator().manual_seed(seed)).target for seed in range(4)]
    # The pieces for validation have a deviation of 1; others at most 0.1, and 1.35 times it.
    assert max(float(target.std(-1).max()) for target in drawn) < 0.2
    assert validation_pairs(corpus, 4_000.0, 5).target.std() > 0.5


def test_what_is_left_is_aligned_and_ends_at_the_bandwidth(corpus: Corpus) -> None:
    pairs = BatchSampler(corpus, 12, torch.device("cpu"), transcoded_count=0)(
        torch.Generator().manual_seed(0)
    )
    for left, target, end_hz in zip(pairs.samples, pairs.target, pairs.bandwidth_hz.tolist(), strict=True):
        spectra = [torch.fft.rfft(x * torch.hann_window(FRAMES)) for x in (left, target)]
        frequency_hz = torch.fft.rfftfreq(FRAMES, 1 / RATE)
        low = frequency_hz < 0.4 * end_hz
        phase = (spectra[0][low] * spectra[1][low].conj()).sum().angle()
        assert abs(float(phase)) < 0.01
        far_above = frequency_hz > 2.5 * end_hz
        if far_above.any():
            assert spectra[0][far_above].abs().mean() < 0.15 * spectra[1][far_above].abs().mean()


def test_coded_pieces_are_aligned(corpus: Corpus) -> None:
    sampler = BatchSampler(corpus, 1, torch.device("cpu"), transcoded_count=3)
    for left, target, end_hz in sampler.transcoded:
        spectrum = np.fft.rfft(left) * np.conj(np.fft.rfft(target))
        spectrum[round(0.8 * end_hz / RATE * FRAMES) :] = 0
        assert np.argmax(np.fft.irfft(spectrum)) == 0


def test_a_corpus_of_short_recordings_is_refused() -> None:
    short = Corpus(noise(1_000, 0), (Recording("speech", 0, 1_000, -1, False, "a.wav"),))
    with pytest.raises(InputError, match=r"No recording is .* s long\. Choose a folder with longer ones\."):
        BatchSampler(short, 1, torch.device("cpu"))
    with pytest.raises(
        InputError, match=r"No validation speech is long enough\. Add longer recordings to speech/\."
    ):
        validation_pairs(short, 4_000.0, 2)
