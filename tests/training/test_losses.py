"""Distances between sounds, and the optimum of the energy distance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import butter, sosfiltfilt
from torch import Tensor

from aural.audio.decode import read
from aural.audio.resample import resample_samples
from aural.audio.spectral import FrontEnd, stft
from aural.training.losses import (
    energy_distance,
    perceptual_loss,
    resolutions,
    scaled_spectra,
    spectral_distance,
)

FRONT_ENDS = resolutions(22_050, (256, 1024))
SPEECH = Path(__file__).parents[2] / "aural" / "ui" / "examples" / "speech.ogg"
SPEECH_RATE = 16_000


def spectra(samples: Tensor) -> list[Tensor]:
    return scaled_spectra(samples, FRONT_ENDS)


def noise(seed: int, count: int = 4) -> Tensor:
    return 0.1 * torch.randn(count, 8000, generator=torch.Generator().manual_seed(seed))


def distance(first: Tensor, second: Tensor) -> float:
    return float(spectral_distance(spectra(first), spectra(second)))


def test_a_sound_is_nowhere_but_at_itself_and_as_far_there_as_back() -> None:
    assert distance(noise(0), noise(0)) < 1e-6
    assert distance(noise(0), noise(1)) == pytest.approx(distance(noise(1), noise(0)))
    assert distance(noise(0), noise(1)) > 0.05


def test_6_db_more_are_twice_6_of_the_106_db_that_the_scale_spans() -> None:
    assert distance(noise(0), 2 * noise(0)) == pytest.approx(2 * 6.02 / 106.02, rel=0.01)


def test_the_phase_does_not_count() -> None:
    assert distance(noise(0), -noise(0)) < 1e-6


def test_a_silent_sound_has_a_finite_gradient() -> None:
    samples = torch.zeros(1, 4000, requires_grad=True)
    spectral_distance(spectra(samples), spectra(noise(0, 1)[:, :4000])).backward()
    assert samples.grad is not None
    assert samples.grad.isfinite().all()


def constant(value: float) -> list[Tensor]:
    return [torch.full((64, 1, 1), value)]


def normal(seed: int, spread: float) -> list[Tensor]:
    return [spread * torch.randn(4096, 1, 1, generator=torch.Generator().manual_seed(seed))]


def test_without_repulsion_the_middle_is_the_best_guess_and_with_all_of_it_the_right_spread() -> None:
    """The real values are normal with deviation 1; the models' deviations go from 0 to 2."""
    spreads = (0.0, 0.5, 1.0, 1.5, 2.0)

    def best(repulsion: float) -> float:
        losses = [
            float(energy_distance(normal(1, spread), normal(2, spread), normal(0, 1.0), repulsion)[1])
            for spread in spreads
        ]
        return spreads[losses.index(min(losses))]

    assert best(0.0) == 0.0
    assert best(1.0) == 1.0


def test_the_attraction_is_the_mean_of_both_distances() -> None:
    attraction, loss = energy_distance(constant(0.0), constant(0.4), constant(0.1), 0.5)
    # Each distance counts the same difference twice, once in each of its terms.
    assert float(attraction) == pytest.approx(2 * (0.1 + 0.3) / 2, abs=1e-5)
    assert float(loss) == pytest.approx(0.4 - 0.5 / 2 * 2 * 0.4, abs=1e-5)


# The perceptual loss


@pytest.fixture(scope="module")
def speech() -> Tensor:
    """4 s of a sentence at 16 kHz. Shape: (time,)."""
    clip = read(SPEECH)
    samples = resample_samples(clip.samples[:, : 4 * clip.rate], clip.rate, SPEECH_RATE)
    return torch.from_numpy(samples.mean(0))


def perceptual(estimate: Tensor, clean: Tensor, rate: int = SPEECH_RATE) -> float:
    front_end = FrontEnd(rate, rate // 1000 * 32, rate // 1000 * 16, rate // 1000 * 32)
    powers = [stft(samples[None], front_end).abs().square() for samples in (estimate, clean)]
    return float(perceptual_loss(*powers, rate))


def noisy(clean: Tensor, snr_db: float) -> Tensor:
    hiss = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    return clean + hiss * clean.std() * 10 ** (-snr_db / 20)


def low_passed(clean: Tensor, cutoff_hz: float) -> Tensor:
    filtered = sosfiltfilt(butter(4, cutoff_hz, fs=SPEECH_RATE, output="sos"), clean.numpy())
    return torch.from_numpy(np.ascontiguousarray(filtered, np.float32))


def test_the_same_sound_at_another_level_has_no_perceptual_loss(speech: Tensor) -> None:
    for gain in (1.0, 0.01, 3.0, -1.0):
        assert perceptual(gain * speech, speech) < 0.01
    assert perceptual(0.1 * noisy(speech, 10), speech) == pytest.approx(
        perceptual(noisy(speech, 10), speech), rel=1e-3
    )


def test_more_noise_is_minded_more_and_so_is_a_narrower_band(speech: Tensor) -> None:
    by_noise = [perceptual(noisy(speech, snr_db), speech) for snr_db in (40, 30, 20, 10, 0)]
    by_band = [perceptual(low_passed(speech, hz), speech) for hz in (7_000, 4_000, 2_000, 1_000, 500)]
    for rising in (by_noise, by_band):
        assert (np.diff(rising) > 0.1).all()
    # The scale is that of PESQ, from 4.5 down to -0.5.
    assert by_noise[0] < 1.5 and 4.5 < by_noise[-1] < 6


@pytest.mark.parametrize("by_db", [10, 15])
def test_what_is_added_is_minded_more_than_what_is_taken_away(speech: Tensor, by_db: float) -> None:
    power = stft(speech[None], FrontEnd(SPEECH_RATE, 512, 256, 512)).abs().square()
    some = torch.rand(power.shape, generator=torch.Generator().manual_seed(0)) < 0.2
    factor = 10 ** (by_db / 10)
    added = float(perceptual_loss(torch.where(some, power * factor, power), power, SPEECH_RATE))
    taken = float(perceptual_loss(torch.where(some, power / factor, power), power, SPEECH_RATE))
    assert added > 1.5 * taken > 0


def test_a_lasting_colour_is_minded_less_than_one_that_changes(speech: Tensor) -> None:
    power = stft(speech[None], FrontEnd(SPEECH_RATE, 512, 256, 512)).abs().square()
    tilt = torch.linspace(2, 0.5, power.shape[1])[:, None]
    lasting = float(perceptual_loss(power * tilt, power, SPEECH_RATE))
    turns = torch.where(torch.arange(power.shape[-1]) // 10 % 2 == 0, tilt, tilt.flip(0))
    assert lasting < 0.3 * float(perceptual_loss(power * turns, power, SPEECH_RATE))


def test_the_rate_hardly_matters_as_only_what_lies_below_8_khz_is_heard(speech: Tensor) -> None:
    for made in (noisy(speech, 15), low_passed(speech, 2_000)):
        high = [
            torch.from_numpy(resample_samples(x.numpy()[None], SPEECH_RATE, 48_000)[0])
            for x in (made, speech)
        ]
        assert perceptual(*high, rate=48_000) == pytest.approx(perceptual(made, speech), rel=0.05)


def test_each_item_of_a_batch_counts_alone(speech: Tensor) -> None:
    waves = torch.stack((noisy(speech, 20), noisy(speech, 5)))
    powers = stft(waves, FrontEnd(SPEECH_RATE, 512, 256, 512)).abs().square()
    clean = stft(speech[None], FrontEnd(SPEECH_RATE, 512, 256, 512)).abs().square()
    both = perceptual_loss(powers, clean.expand_as(powers), SPEECH_RATE).tolist()
    assert both == pytest.approx([perceptual(wave, speech) for wave in waves], rel=1e-4)


def test_the_gradient_leads_out_of_noise_and_is_finite_at_the_goal_and_in_silence(speech: Tensor) -> None:
    front_end = FrontEnd(SPEECH_RATE, 512, 256, 512)
    clean, noise = (stft(x[None], front_end).abs().square() for x in (speech, noisy(speech, 10)))
    for start in (clean, noise, 0 * clean):
        estimate = start.clone().requires_grad_()
        value = perceptual_loss(estimate, clean, SPEECH_RATE)
        value.sum().backward()
        assert estimate.grad is not None and value.isfinite().all() and estimate.grad.isfinite().all()
        if start is noise:
            better = (noise - 0.1 * noise * estimate.grad.sign()).clamp_min(0)
            assert perceptual_loss(better, clean, SPEECH_RATE) < value - 0.1
    assert perceptual_loss(0 * clean, 0 * clean, SPEECH_RATE) < 0.01


@pytest.mark.parametrize("frames", [1, 19, 21])
def test_a_few_frames_are_enough(speech: Tensor, frames: int) -> None:
    power = stft(speech[None], FrontEnd(SPEECH_RATE, 512, 256, 512)).abs().square()[..., 60 : 60 + frames]
    worse = power + power.mean() * torch.rand(power.shape, generator=torch.Generator().manual_seed(0))
    assert perceptual_loss(power, power, SPEECH_RATE) < 0.01 < perceptual_loss(worse, power, SPEECH_RATE)


def test_pesq_agrees(speech: Tensor) -> None:
    """The perceptual loss approximates PESQ before its last mapping."""
    pesq = pytest.importorskip("pesq").pesq
    degraded = [noisy(speech, snr_db) for snr_db in (5, 10, 15, 20, 30)]
    degraded += [low_passed(speech, hz) for hz in (500, 1_000, 2_000, 4_000, 6_000)]
    ours, theirs = [], []
    for made in degraded:
        ours.append(4.5 - perceptual(made, speech))
        mapped = pesq(SPEECH_RATE, speech.numpy(), made.numpy(), "wb")
        # P.862.2: mapped = 0.999 + 4 / (1 + exp(3.8224 - 1.3669 raw)).
        theirs.append((3.8224 - np.log(4 / (mapped - 0.999) - 1)) / 1.3669)
    assert np.abs(np.subtract(ours, theirs)).max() < 0.5
    # Of any two that are no near tie, both prefer the same.
    ahead, ahead_to_pesq = (np.subtract.outer(scores, scores) for scores in (ours, theirs))
    apart = np.abs(ahead_to_pesq) > 0.2
    assert apart.sum() > 80
    assert (ahead[apart] * ahead_to_pesq[apart] > 0).all()
