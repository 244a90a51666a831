"""What a spectrum reads, and that every step of it can be undone."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch
from torch import Tensor

from aural.audio.spectral import (
    DEFAULT_FRONT_END,
    KNEE_MAGNITUDE,
    FrontEnd,
    istft,
    log_mel,
    magnitude_from_mel,
    mel_filters,
    mel_from_magnitude,
    scale,
    stft,
    unscale,
)
from aural.errors import OptionError


def noise(*shape: int, seed: int = 0) -> Tensor:
    """White noise that fills ±1."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def sine(bins: float, length: int = 22_050) -> Tensor:
    """A full-scale sine, its frequency in bins of the default front end."""
    return torch.sin(2 * torch.pi * bins * torch.arange(length) / DEFAULT_FRONT_END.fft)


@pytest.mark.parametrize(("bins", "level_db"), [(100, 0.0), (100.5, -1.42)])
def test_a_full_scale_sine_reads_0_db_and_1_42_db_less_between_two_bins(bins: float, level_db: float) -> None:
    middle = stft(sine(bins)).abs()[:, 10:-10].amax(dim=0)
    assert 20 * middle.log10() == pytest.approx(level_db, abs=0.01)


def test_the_transform_is_that_of_librosa_in_amplitude() -> None:
    samples = noise(2600)
    reference = librosa.stft(samples.numpy(), n_fft=1024, hop_length=260, pad_mode="constant") * (2 / 512)
    np.testing.assert_allclose(stft(samples).numpy(), reference, atol=1e-6)


@pytest.mark.parametrize("length", [1, 2, 129, 130, 259, 260, 261, 511, 512, 1023, 1024, 22_050, 22_051])
def test_the_inverse_gives_back_a_clip_of_any_length(length: int) -> None:
    samples = noise(3, 2, length)
    spectrum = stft(samples)
    assert spectrum.shape == (3, 2, 513, DEFAULT_FRONT_END.frames(length))
    torch.testing.assert_close(istft(spectrum, length), samples, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("window", "hop", "fft"),
    [(2, 1, 2), (64, 32, 64), (101, 50, 128), (401, 137, 512), (1000, 500, 1000), (1024, 16, 2048)],
)
def test_the_inverse_is_exact_for_any_window_and_any_hop_up_to_half_of_it(
    window: int, hop: int, fft: int
) -> None:
    front_end = FrontEnd(window=window, hop=hop, fft=fft)
    for length in (1, hop, 3 * hop + hop // 2 - 1, 3 * hop + hop // 2, 5 * window + 1):
        samples = noise(length)
        torch.testing.assert_close(
            istft(stft(samples, front_end), length, front_end), samples, rtol=0, atol=1e-6
        )


@pytest.mark.parametrize(("window", "hop", "fft"), [(1024, 260, 1024), (1536, 384, 1536), (801, 37, 1024)])
def test_the_inverse_of_a_spectrum_that_no_sound_has_is_the_one_by_least_squares(
    window: int, hop: int, fft: int
) -> None:
    front_end = FrontEnd(window=window, hop=hop, fft=fft)
    for length in (1, hop // 2 + 1, 6 * window + 1):
        spectrum = stft(noise(2, length), front_end)
        spectrum = spectrum * noise(*spectrum.shape).abs()
        hann = torch.hann_window(window) * (2 / torch.hann_window(window).sum())
        expected = torch.istft(spectrum, fft, hop, window, hann, center=True, length=length)
        torch.testing.assert_close(istft(spectrum, length, front_end), expected, rtol=0, atol=1e-6)


def test_five_seconds_at_the_default_are_425_frames_of_80_bands() -> None:
    assert log_mel(torch.zeros(5 * 22_050)).shape == (80, 425)


@pytest.mark.parametrize("bands", [40, 80, 128])
def test_mel_filters_are_those_of_librosa_with_an_area_of_one_bin(bands: int) -> None:
    front_end = FrontEnd(mel_bands=bands)
    reference = librosa.filters.mel(sr=22_050, n_fft=1024, n_mels=bands) * (22_050 / 1024)
    np.testing.assert_allclose(mel_filters(front_end).numpy(), reference, atol=1e-5)


def test_a_flat_spectrum_reads_the_same_in_every_mel_band() -> None:
    flat = mel_from_magnitude(torch.ones(513, 1))
    assert flat.numpy() == pytest.approx(1.0, abs=0.04)  # bands some four bins wide are not whole triangles


def test_magnitudes_found_for_mel_bands_have_those_bands() -> None:
    mel = mel_from_magnitude(stft(noise(2, 22_050)).abs())
    found = magnitude_from_mel(mel)
    assert found.shape == (2, 513, 86)
    assert (found >= 0).all()
    assert (mel_from_magnitude(found) - mel).norm() < 1e-2 * mel.norm()


def test_magnitudes_found_for_mel_bands_are_nearer_than_least_squares() -> None:
    harmonics = sum(sine(number * 9.7) / number for number in range(1, 40))
    assert isinstance(harmonics, Tensor)
    magnitude = stft(harmonics).abs()[:, 10:20]
    mel = mel_from_magnitude(magnitude)
    squares = torch.from_numpy(librosa.util.nnls(mel_filters().numpy(), mel.numpy()))
    assert (magnitude_from_mel(mel) - magnitude).norm() < (squares - magnitude).norm()


def test_silent_mel_bands_have_silent_magnitudes() -> None:
    assert not magnitude_from_mel(torch.zeros(80, 3)).any()


@pytest.mark.parametrize(
    "samples",
    [torch.zeros(4000), torch.ones(4000), sine(100), sine(100).sign(), noise(22_050), noise(4000) * 1e-6],
    ids=["silence", "constant", "sine", "square", "noise", "faint"],
)
def test_what_lies_within_full_scale_is_scaled_to_0_to_1(samples: Tensor) -> None:
    scaled = scale(stft(samples).abs())
    assert scaled.min() >= 0
    assert scaled.max() <= 1 + 1e-6
    assert log_mel(samples).max() <= 1


def test_scaling_inverts_from_silence_to_far_beyond_full_scale() -> None:
    magnitude = torch.cat([torch.zeros(1), torch.logspace(-9, 3, 200)])
    torch.testing.assert_close(unscale(scale(magnitude)), magnitude, rtol=2e-6, atol=1e-12)
    assert scale(magnitude)[0] == 0
    assert scale(magnitude)[-1] > 1


def test_scaling_follows_decibels_above_the_knee() -> None:
    low, high = scale(torch.tensor([100.0, 1000.0]) * KNEE_MAGNITUDE) * 106.02
    assert high - low == pytest.approx(20, abs=0.1)


def test_scaled_values_below_0_are_silence() -> None:
    assert unscale(torch.tensor([-0.5])) == 0


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"hop": 513}, r"gaps between windows of 1024 samples\. Choose a hop of 512 or less\.$"),
        ({"fft": 512}, r"does not fit a window of 1024\. Choose an even length of 1024 or more\.$"),
        ({"fft": 1025}, "even"),
        ({"window": 1}, "at least 2"),
        ({"hop": 0}, "at least 1"),
        ({"maximum_hz": 12_000.0}, r"between 0 and 11025 Hz \(half the sample rate\), not from"),
        ({"minimum_hz": 9000.0, "maximum_hz": 8000.0}, "between 0 and 11025 Hz"),
    ],
)
def test_a_front_end_that_cannot_work_names_the_remedy(settings: dict[str, float], remedy: str) -> None:
    with pytest.raises(OptionError, match=remedy):
        FrontEnd(**settings)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:At least one mel filterbank:UserWarning")
def test_more_mel_bands_than_bins_can_fill_name_the_remedy() -> None:
    with pytest.raises(OptionError, match=r"some would be empty\. Choose fewer bands or a longer window\.$"):
        mel_filters(FrontEnd(mel_bands=512))


def test_filters_that_were_first_used_in_inference_can_be_trained_with() -> None:
    with torch.inference_mode():
        filters = mel_filters(FrontEnd(mel_bands=17))
    power = torch.rand(filters.shape[1], 3, requires_grad=True)
    (filters @ power).square().sum().backward()
    assert power.grad is not None and bool(power.grad.any())
