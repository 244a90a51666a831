"""Griffin-Lim, and the settings for the source of the phase."""

from __future__ import annotations

import math
import subprocess
import sys

import librosa
import pytest
import torch
import torchaudio
from torch import Tensor

from aural.audio.spectral import DEFAULT_FRONT_END, stft
from aural.errors import OptionError
from aural.vocoding import PhaseSetting, reconstruct
from aural.vocoding.griffin_lim import griffin_lim

LENGTH = 100 * DEFAULT_FRONT_END.hop  # 1.2 s; whole hops, as other tools count frames otherwise


def tune(seed: int) -> Tensor:
    """Plucked notes with harmonics and vibrato over soft noise."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(LENGTH) / DEFAULT_FRONT_END.rate
    samples = 0.003 * torch.randn(LENGTH, generator=generator)
    for start in torch.arange(0, 1.1, 0.2):
        pitch_hz = 110 * 2 ** (torch.rand((), generator=generator) * 2)
        since = (time - start).clamp_min(0)
        phase = 2 * torch.pi * pitch_hz * (since + 0.0005 * torch.sin(2 * torch.pi * 5 * since))
        for harmonic in range(1, 12):
            samples += 0.1 / harmonic * torch.exp(-4 * since) * torch.sin(harmonic * phase)
    return samples


def convergence_db(samples: Tensor, magnitude: Tensor) -> float:
    return 20 * math.log10((stft(samples).abs() - magnitude).norm() / magnitude.norm())


def test_32_iterations_reach_20_db_and_more_iterations_and_momentum_reach_further() -> None:
    magnitude = stft(tune(0)).abs()
    reached = convergence_db(griffin_lim(magnitude, LENGTH), magnitude)
    assert reached < -20
    assert convergence_db(griffin_lim(magnitude, LENGTH, iterations=100), magnitude) < reached - 3
    assert convergence_db(griffin_lim(magnitude, LENGTH, momentum=0), magnitude) > reached + 3


def test_it_converges_as_far_as_torchaudio_and_librosa_in_as_many_iterations() -> None:
    # The random phase alone moves a result by a decibel: means over six tunes are compared, to half of one.
    peer = torchaudio.transforms.GriffinLim(
        n_fft=1024, n_iter=32, hop_length=260, power=1, momentum=0.99, length=LENGTH
    )
    ours_db, torchaudio_db, librosa_db = 0.0, 0.0, 0.0
    for seed in range(6):
        magnitude = stft(tune(seed)).abs()
        generator = torch.Generator().manual_seed(seed)
        ours_db += convergence_db(griffin_lim(magnitude, LENGTH, generator=generator), magnitude) / 6
        torch.manual_seed(seed)
        as_they_scale = magnitude * 256
        torchaudio_db += convergence_db(peer(as_they_scale), magnitude) / 6
        rebuilt = librosa.griffinlim(
            as_they_scale.numpy(),
            n_iter=32,
            hop_length=260,
            momentum=0.99,
            length=LENGTH,
            pad_mode="constant",
            random_state=seed,
        )
        librosa_db += convergence_db(torch.from_numpy(rebuilt), magnitude) / 6
    assert ours_db < torchaudio_db + 0.5
    assert ours_db < librosa_db + 0.5


def test_a_batch_sounds_like_its_items_one_by_one() -> None:
    magnitude = stft(torch.stack([tune(0), tune(1)])).abs()
    together = griffin_lim(magnitude[:, None], LENGTH, iterations=4)
    assert together.shape == (2, 1, LENGTH)
    for item, alone in zip(together[:, 0], magnitude, strict=True):
        torch.testing.assert_close(item, griffin_lim(alone, LENGTH, iterations=4), rtol=0, atol=1e-5)


def test_a_seed_repeats_the_audio_and_another_seed_does_not() -> None:
    magnitude = stft(tune(0)).abs()
    first, again, other = (
        griffin_lim(magnitude, LENGTH, iterations=2, generator=torch.Generator().manual_seed(seed))
        for seed in (7, 7, 8)
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=1e-2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_seed_gives_the_same_audio_on_a_gpu() -> None:
    magnitude = stft(tune(0)).abs()
    on_gpu = griffin_lim(magnitude.cuda(), LENGTH, iterations=4)
    assert on_gpu.is_cuda
    torch.testing.assert_close(on_gpu.cpu(), griffin_lim(magnitude, LENGTH, iterations=4), rtol=0, atol=1e-3)


def test_the_level_is_kept() -> None:
    samples = tune(0)
    rebuilt = griffin_lim(stft(samples).abs(), LENGTH)
    assert 20 * (rebuilt.norm() / samples.norm()).log10() == pytest.approx(0, abs=0.3)


def test_silence_stays_silent() -> None:
    assert not griffin_lim(torch.zeros(513, 5), 1000).any()


@pytest.mark.parametrize("length", [1, 100, 1023])
def test_any_length_is_possible(length: int) -> None:
    magnitude = stft(tune(0)[:length]).abs()
    rebuilt = griffin_lim(magnitude, length, iterations=3)
    assert rebuilt.shape == (length,)
    assert rebuilt.isfinite().all()


def test_each_iteration_reports_the_share_done_and_the_work_can_be_stopped() -> None:
    magnitude = stft(tune(0)).abs()
    assert list(griffin_lim.steps(magnitude, LENGTH, iterations=4)) == [0.25, 0.5, 0.75, 1.0]
    steps = griffin_lim.steps(magnitude, LENGTH, iterations=1000)
    assert next(steps) == 0.001
    steps.close()
    assert next(steps, None) is None


@pytest.mark.parametrize(("iterations", "momentum"), [(0, 0.99), (32, 1.0), (32, -0.1), (32, math.nan)])
def test_settings_that_cannot_converge_are_refused(iterations: int, momentum: float) -> None:
    with pytest.raises(
        OptionError,
        match=r"at least 1 iteration and a momentum from 0 to below 1, not .*\. 0\.99 is a good momentum\.",
    ):
        griffin_lim(torch.ones(513, 5), 1000, iterations=iterations, momentum=momentum)


def test_the_original_phase_gives_back_the_original() -> None:
    samples = tune(0)
    spectrum = stft(samples)
    rebuilt = reconstruct(spectrum.abs(), "original", LENGTH, DEFAULT_FRONT_END, original=spectrum)
    torch.testing.assert_close(rebuilt, samples, rtol=0, atol=1e-6)


def test_griffin_lim_as_a_setting_is_griffin_lim() -> None:
    magnitude = stft(tune(0)).abs()
    rebuilt = reconstruct(magnitude, "griffin_lim", LENGTH, DEFAULT_FRONT_END, iterations=2, momentum=0.5)
    assert torch.equal(rebuilt, griffin_lim(magnitude, LENGTH, iterations=2, momentum=0.5))


@pytest.mark.parametrize("phase", ["original", "griffin_lim"])
def test_every_setting_that_keeps_the_magnitude_works(phase: PhaseSetting) -> None:
    spectrum = stft(tune(0))
    rebuilt = reconstruct(spectrum.abs(), phase, LENGTH, DEFAULT_FRONT_END, original=spectrum)
    assert convergence_db(rebuilt, spectrum.abs()) < -20


def test_the_original_phase_needs_the_original() -> None:
    with pytest.raises(
        OptionError, match=r"needs the original spectrogram\. Pass it, or choose \"griffin_lim\"\."
    ):
        reconstruct(torch.ones(513, 5), "original", 1000, DEFAULT_FRONT_END)


def test_an_unknown_setting_lists_the_known_ones() -> None:
    with pytest.raises(
        OptionError, match=r"There is no phase setting .*\. Choose original or griffin_lim or vocoder\."
    ):
        reconstruct(torch.ones(513, 5), "guess", 1000, DEFAULT_FRONT_END)  # type: ignore[arg-type]


def test_settings_are_known_without_loading_torch() -> None:
    code = "import sys, aural.resynthesis.pipeline; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
