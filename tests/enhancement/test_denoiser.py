"""The recurrent denoiser: its bands, masks and pitch, and what passes it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from aural.audio.spectral import istft
from aural.enhancement.denoiser import (
    BANDS,
    LOW_BINS,
    MAX_GAIN,
    PITCH_BINS,
    TAPS,
    Denoiser,
    Masks,
    _analysis,
    _synthesis,
    bin_of_pitch,
    log_bands,
    pitch_of_bin,
)
from aural.enhancement.features import FRONT_END, MAX_PITCH_HZ, MIN_PITCH_HZ
from tests.enhancement.signals import below_db, spectrum_of, tensors, voice, white
from tests.enhancement.tiny import DENOISER


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def passing(frames: int, batch: int = 1) -> Masks:
    """Gain 1 everywhere, and the tap on the frame itself."""
    taps = torch.zeros(batch, len(TAPS), LOW_BINS, frames, dtype=torch.complex64)
    taps[:, TAPS.index(0)] = 1
    ones = torch.ones(batch, FRONT_END.bins, frames)
    return Masks(
        taps=taps,
        gain=ones,
        noise_gain=ones,
        pitch=torch.zeros(batch, PITCH_BINS + 1, frames),
        bands=torch.zeros(batch, BANDS, frames),
    )


def test_each_low_bin_is_a_band_and_the_bands_share_the_bins_above() -> None:
    analysis, synthesis = _analysis(), _synthesis()
    assert analysis.shape == (BANDS, FRONT_END.bins) and synthesis.shape == (FRONT_END.bins, BANDS)
    torch.testing.assert_close(analysis.sum(1), torch.ones(BANDS))
    torch.testing.assert_close(synthesis.sum(1), torch.ones(FRONT_END.bins))
    for weights in (analysis, synthesis.T):
        assert (weights >= 0).all()
        assert torch.equal(weights[:LOW_BINS, :LOW_BINS], torch.eye(LOW_BINS))
        assert not weights[:LOW_BINS, LOW_BINS:].any() and not weights[LOW_BINS:, :LOW_BINS].any()
    # A bin is shared by two neighbours at most.
    assert (synthesis > 0).sum(1).max() == 2


def test_bands_widen_upwards_as_those_of_hearing_do() -> None:
    widths = (_analysis() > 0).sum(1)[LOW_BINS:-1]
    assert (widths.diff() >= 0).all()
    assert widths[-1] > 5 * widths[0]


def test_bands_are_0_for_a_loud_tone_and_fall_to_minus_1_for_silence() -> None:
    power = torch.ones(1, FRONT_END.bins, 1)
    torch.testing.assert_close(log_bands(power), torch.ones(1, BANDS, 1))
    torch.testing.assert_close(log_bands(1e-4 * power), torch.full((1, BANDS, 1), 1 - 4 / 4.5))
    torch.testing.assert_close(log_bands(0 * power), torch.full((1, BANDS, 1), -1.0))


def test_gain_1_and_the_tap_on_the_frame_itself_return_the_spectrum_exactly() -> None:
    spectrum = spectrum_of(white(2))
    assert torch.equal(passing(spectrum.shape[-1]).apply(spectrum), spectrum)
    assert torch.equal(passing(spectrum.shape[-1]).background(spectrum), spectrum)


@pytest.mark.parametrize("number", range(len(TAPS)))
def test_a_tap_takes_the_frame_that_its_offset_says(number: int) -> None:
    spectrum = spectrum_of(white())
    frames = spectrum.shape[-1]
    taps = torch.zeros(1, len(TAPS), LOW_BINS, frames, dtype=torch.complex64)
    taps[:, number] = 2j
    made = replace(passing(frames), taps=taps).apply(spectrum)
    offset = TAPS[number]
    wanted = torch.zeros_like(spectrum[:, :LOW_BINS])
    inside = slice(max(0, -offset), frames - max(0, offset))
    wanted[..., inside] = 2j * spectrum[:, :LOW_BINS, inside.start + offset : inside.stop + offset]
    # Before the start and after the end there is silence.
    assert torch.equal(made[:, :LOW_BINS], wanted)
    assert torch.equal(made[:, LOW_BINS:], spectrum[:, LOW_BINS:])


def test_one_mask_for_all_channels_keeps_the_levels_between_them() -> None:
    one = spectrum_of(white())
    spectrum = torch.cat((one, 0.25 * one, -one))
    masks = Denoiser(DENOISER).eval()(one)
    for made in (masks.apply(spectrum), masks.background(spectrum)):
        torch.testing.assert_close(made[1:2], 0.25 * made[:1])
        torch.testing.assert_close(made[2:], -made[:1])


def test_each_item_of_a_batch_has_its_own_mask() -> None:
    spectrum = spectrum_of(torch.cat((white(), voice())))
    denoiser = Denoiser(DENOISER).eval()
    both = denoiser(spectrum).apply(spectrum)
    for number in range(2):
        alone = spectrum[number : number + 1]
        torch.testing.assert_close(denoiser(alone).apply(alone)[0], both[number], rtol=1e-4, atol=1e-7)


def test_pitch_bins_are_even_steps_between_the_lowest_and_the_highest() -> None:
    hz = pitch_of_bin(torch.arange(PITCH_BINS))
    assert float(hz[0]) == pytest.approx(MIN_PITCH_HZ) and float(hz[-1]) == pytest.approx(MAX_PITCH_HZ)
    torch.testing.assert_close(hz[1:] / hz[:-1], torch.full((PITCH_BINS - 1,), float(hz[1] / hz[0])))
    assert torch.equal(bin_of_pitch(hz), torch.arange(PITCH_BINS))
    # Within half a bin, 1.7 %, every pitch is its own; what lies outside has the bin at the end.
    some = torch.linspace(MIN_PITCH_HZ, MAX_PITCH_HZ, 1000)
    assert (pitch_of_bin(bin_of_pitch(some)) / some - 1).abs().max() < 0.0171
    assert bin_of_pitch(torch.tensor([1.0, 9_000.0])).tolist() == [0, PITCH_BINS - 1]


@pytest.mark.parametrize("f0_hz", [60.0, 97.3, 221.0, 333.0, 500.0])
def test_a_pitch_between_two_bins_is_read_from_both(f0_hz: float) -> None:
    place = (PITCH_BINS - 1) * math.log(f0_hz / MIN_PITCH_HZ) / math.log(MAX_PITCH_HZ / MIN_PITCH_HZ)
    logits = -((torch.arange(PITCH_BINS + 1) - place) ** 2)
    logits[-1] = -20
    masks = replace(passing(1), pitch=logits[None, :, None])
    assert float(masks.f0_hz) == pytest.approx(f0_hz, rel=0.02)
    assert float(masks.voicing) > 0.999
    unvoiced = replace(masks, pitch=masks.pitch + torch.tensor([0.0] * PITCH_BINS + [40.0])[:, None])
    assert float(unvoiced.voicing) < 1e-3
    assert float(unvoiced.f0_hz) == pytest.approx(float(masks.f0_hz))


def test_a_fresh_denoiser_passes_a_voice_nearly_unchanged() -> None:
    samples = voice()
    spectrum = spectrum_of(samples)
    for number in range(3):
        torch.manual_seed(number)
        with torch.inference_mode():
            masks = Denoiser().eval()(spectrum)
        made = istft(masks.apply(spectrum), samples.shape[-1], FRONT_END)
        assert below_db(made - samples, samples) < -20
        assert (20 * masks.gain[:, LOW_BINS:].log10()).abs().max() < 1
        # What is background is not known yet.
        assert (masks.noise_gain - 0.5).abs().max() < 0.1


def test_gains_stay_between_0_and_the_largest() -> None:
    denoiser = Denoiser(DENOISER).eval()
    spectrum = spectrum_of(voice(0.2))
    for bias in (-100.0, 100.0):
        nn.init.constant_(denoiser.gains.bias, bias)
        masks = denoiser(spectrum)
        torch.testing.assert_close(masks.gain, torch.full_like(masks.gain, MAX_GAIN * (bias > 0)))
        torch.testing.assert_close(masks.noise_gain, torch.full_like(masks.gain, float(bias > 0)))


def test_silence_gives_silence() -> None:
    silence = torch.zeros(1, FRONT_END.bins, 20, dtype=torch.complex64)
    masks = Denoiser(DENOISER).eval()(silence)
    assert all(tensor.isfinite().all() for tensor in tensors(masks))
    assert not masks.apply(silence).any() and not masks.background(silence).any()


def test_hidden_bands_do_not_affect_the_prediction() -> None:
    denoiser = Denoiser(DENOISER).eval()
    spectrum = spectrum_of(white())
    frames = spectrum.shape[-1]
    changed = spectrum.clone()
    rectangle, rest = torch.zeros(1, BANDS, frames, dtype=torch.bool), torch.zeros(1, BANDS, frames) > 0
    rectangle[:, 20:60, 10:30] = True
    changed[:, 20:60, 10:30] *= 100
    assert torch.equal(denoiser(changed, None, rectangle).bands, denoiser(spectrum, None, rectangle).bands)
    assert not torch.equal(denoiser(changed, None, rest).bands, denoiser(spectrum, None, rest).bands)
    rest[..., 40:] = True
    after = spectrum.clone()
    after[..., 40:] = 0
    assert torch.equal(denoiser(after, None, rest).bands, denoiser(spectrum, None, rest).bands)
