"""The networks of enhancement: what passes them, what they add, and what does not depend on what."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from aural import hub
from aural.audio.spectral import istft, mel_from_magnitude, scale, stft, unscale
from aural.enhancement.completer import (
    COMPLETED_HZ,
    COPIED_BINS,
    FLOOR_DB,
    Completer,
    build_completer,
    carrier,
    missing_magnitude,
)
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
    build_denoiser,
    log_bands,
    pitch_of_bin,
)
from aural.enhancement.features import FRONT_END, MAX_PITCH_HZ, MIN_PITCH_HZ, RATE, conditioning
from aural.enhancement.unet import CONDITIONS
from aural.enhancement.waveform import WaveformEnhancer, build_waveform
from aural.training.checkpoints import save
from tests.checkpoints import instead
from tests.enhancement.tiny import COMPLETER, DENOISER, WAVEFORM

BIN_HZ = RATE / FRONT_END.fft


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def voice(seconds: float = 1.0) -> Tensor:
    """Harmonics of a gliding pitch that fall by 6 dB an octave, up to 12 kHz. Shape: (1, time)."""
    time = torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE
    phase = 2 * math.pi * (120 * time + 10 * (1 - torch.cos(2 * math.pi * time)))
    harmonics = torch.arange(1, 80)[:, None]
    syllables = 0.6 + 0.4 * torch.sin(2 * math.pi * 4 * time)
    return (0.05 * syllables * ((harmonics * phase).sin() / harmonics).sum(0)).float()[None]


def white(channels: int = 1, seconds: float = 1.0) -> Tensor:
    return 0.05 * torch.randn(channels, round(seconds * RATE), generator=torch.Generator().manual_seed(0))


def spectrum_of(samples: Tensor) -> Tensor:
    return stft(samples, FRONT_END)


def mel_of(spectrum: Tensor) -> Tensor:
    return mel_from_magnitude(spectrum.abs(), FRONT_END)


def passing(frames: int, batch: int = 1) -> Masks:
    """Gain 1 everywhere, and of the taps the one on the frame itself."""
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


def tensors(masks: Masks) -> list[Tensor]:
    return [masks.taps, masks.gain, masks.noise_gain, masks.pitch, masks.bands]


def below_db(difference: Tensor, whole: Tensor) -> float:
    return 20 * math.log10(float(difference.norm() / whole.norm()))


# Bands


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


# Masks


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


# Pitch


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


# The denoiser


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


def test_conditions_matter_once_they_are_learned_and_can_be_left_out() -> None:
    samples = voice(0.3)
    spectrum, conditions = spectrum_of(samples), conditioning(samples)
    assert conditions.shape[1] == CONDITIONS
    denoiser, completer = Denoiser(DENOISER).eval(), Completer(COMPLETER).eval()
    mel = scale(mel_of(spectrum))
    runs: list[tuple[nn.Conv1d, Callable[[Tensor | None], Tensor]]] = [
        (denoiser.film, lambda given: denoiser(spectrum, given).gain),
        (completer.film, lambda given: completer(mel, mel, given)),
    ]
    for film, run in runs:
        torch.testing.assert_close(run(conditions), run(None))
        nn.init.normal_(film.weight)
        assert run(None).isfinite().all()
        # No conditions are told from conditions that are 0.
        for given in (conditions, 0 * conditions):
            assert (run(given) - run(None)).abs().max() > 1e-4


def test_hidden_bands_are_not_seen_but_in_what_they_are_compared_with() -> None:
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


# The completer


def completer_of(wanted: Callable[[Tensor], Tensor]) -> Completer:
    """One that asks for the mel bands, as amplitudes, that a function makes of those that are there."""
    completer = Completer(COMPLETER).eval()
    completer.forward = lambda denoised, *_: scale(wanted(unscale(denoised)))  # type: ignore[method-assign]
    return completer


def completed(completer: Completer, spectrum: Tensor, seed: int = 0) -> Tensor:
    mixture = spectrum.mean(0, keepdim=True)
    with torch.inference_mode():
        return completer.complete(spectrum, mixture, None, torch.Generator().manual_seed(seed))


def test_what_is_missing_adds_up_by_power_and_nothing_is_taken_away() -> None:
    present, wanted = torch.tensor([0.0, 3.0, 5.0, 7.0]), torch.tensor([2.0, 5.0, 5.0, 1.0])
    assert missing_magnitude(present, wanted).tolist() == [2.0, 4.0, 0.0, 0.0]


def test_completion_adds_nothing_where_nothing_is_missing() -> None:
    spectrum = spectrum_of(white(2))
    for share in (0.0, 0.5, 0.99):
        assert not completed(completer_of(lambda mel, share=share: share * mel), spectrum).any()
    # Where the network says "as it is", rounding is all that is added.
    assert below_db(completed(completer_of(lambda mel: mel), spectrum), spectrum) < -40


def test_completion_fills_what_is_missing_to_the_level_that_is_asked_for() -> None:
    spectrum = spectrum_of(white(seconds=2))
    studio = mel_of(spectrum)
    low = spectrum.clone()
    low[:, round(4_000 / BIN_HZ) :] = 0
    added = completed(completer_of(lambda _: studio), low)
    whole = mel_of(low + added)
    ratio_db = 20 * (whole.mean(-1) / studio.mean(-1)).log10()[0]
    # Bands above 9 kHz hold enough bins for a steady mean.
    assert ratio_db[70:].abs().max() < 1
    # Where nothing was cut nothing is added.
    assert added[:, : round(3_000 / BIN_HZ)].abs().max() < 1e-2 * low.abs().max()


def test_the_band_that_every_phone_passes_gets_a_faint_floor_at_most() -> None:
    spectrum = spectrum_of(white())
    added = completed(completer_of(lambda mel: 10 * mel), spectrum)
    low, high = (round(hz / BIN_HZ) for hz in COMPLETED_HZ)
    # Of what is asked for, 20 dB more than there is.
    wanted = 10 * spectrum
    assert below_db(added[:, : low - 8], wanted[:, : low - 8]) < FLOOR_DB + 10
    assert abs(below_db(added[:, high + 16 :], wanted[:, high + 16 :])) < 1.5


def test_silence_is_not_completed_whatever_the_network_asks_for() -> None:
    loud = completer_of(lambda mel: mel + 0.1)
    assert not completed(loud, torch.zeros(2, FRONT_END.bins, 10, dtype=torch.complex64)).any()
    spectrum = spectrum_of(white())
    spectrum[..., 20:30] = 0
    both = torch.cat((spectrum, 0 * spectrum))
    added = completed(loud, both)
    assert added[0, :, :20].any()
    assert not added[0, :, 20:30].any()
    assert not added[1].any()


def test_one_completion_for_all_channels_keeps_the_levels_between_them() -> None:
    one = spectrum_of(white())
    added = completed(completer_of(lambda mel: 2 * mel), torch.cat((one, 0.25 * one)))
    assert below_db(added[1] - 0.25 * added[0], added[1]) < -40


def test_a_completion_is_of_its_seed() -> None:
    spectrum = spectrum_of(white())
    double = completer_of(lambda mel: 2 * mel)
    assert torch.equal(completed(double, spectrum, 1), completed(double, spectrum, 1))
    assert not torch.equal(completed(double, spectrum, 1), completed(double, spectrum, 2))


# The carrier


def carried(spectrum: Tensor, seed: int = 0) -> Tensor:
    return carrier(spectrum, mel_of(spectrum), torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sound", [white, voice])
def test_the_carrier_is_flat_with_mean_magnitude_1_whatever_the_level(sound: Callable[[], Tensor]) -> None:
    made = carried(spectrum_of(sound()))
    assert float(made.abs().mean()) == pytest.approx(1, abs=0.03)
    for part in made[0].split(64)[:-1]:
        assert float(part.abs().mean()) == pytest.approx(1, abs=0.1)
    softer = carried(0.1 * spectrum_of(sound()))
    assert float(softer.abs().mean()) == pytest.approx(float(made.abs().mean()), abs=0.03)


def test_the_carrier_is_of_its_seed_above_and_of_the_voice_below() -> None:
    spectrum = spectrum_of(voice())
    assert torch.equal(carried(spectrum, 1), carried(spectrum, 1))
    below, above = carried(spectrum, 1) == carried(spectrum, 2), carried(spectrum, 1) != carried(spectrum, 2)
    assert below[:, : LOW_BINS + 1].all()
    assert above[:, LOW_BINS + 1 :].all()


@pytest.mark.parametrize("place", [60.0, 60.3, 99.5])
@pytest.mark.parametrize("times", [1, 2])
def test_a_partial_that_is_copied_up_is_a_steady_partial(place: float, times: int) -> None:
    """Its phase goes on from frame to frame as that of a tone so much higher does."""
    time = torch.arange(RATE // 2, dtype=torch.float64) / RATE
    spectrum = spectrum_of((0.1 * torch.sin(2 * math.pi * place * BIN_HZ * time)).float()[None])
    mel = mel_of(spectrum)
    # The carrier of silence is its noise alone.
    copied = carried(spectrum) - carrier(0 * spectrum, mel, torch.Generator().manual_seed(0))
    higher = place + times * COPIED_BINS[1]
    bin_number = math.floor(place) + times * COPIED_BINS[1]
    inside = copied[0, bin_number, 3:-3]
    # Half a transform a frame: half a turn for each bin.
    advance = torch.angle(
        inside[1:] / inside[:-1] * torch.polar(torch.tensor(1.0), torch.tensor(-math.pi * higher))
    )
    assert advance.abs().max() < 1e-3
    # Played, nearly all of it is that one tone.
    alone = torch.zeros_like(copied)
    alone[:, bin_number - 3 : bin_number + 5] = copied[:, bin_number - 3 : bin_number + 5]
    heard = istft(alone, time.numel(), FRONT_END)[0, 4800:-4800].double()
    turned = heard * torch.polar(torch.ones_like(heard), -2 * math.pi * higher * BIN_HZ * time[4800:-4800])
    assert 2 * float(turned.mean().abs().square() / heard.square().mean()) > 0.99


# From samples to samples


@pytest.mark.parametrize("length", [1, 15, 16, 17, 4_801])
def test_the_network_on_samples_keeps_any_length(length: int) -> None:
    samples = white(2)[:, :length]
    made = WaveformEnhancer(WAVEFORM).eval()(samples)
    assert made.shape == samples.shape
    assert made.isfinite().all()


def test_the_network_on_samples_starts_by_adding_nothing() -> None:
    samples = voice(0.1)
    assert torch.equal(WaveformEnhancer(WAVEFORM).eval()(samples), samples)


# All three


def run_denoiser(module: nn.Module, samples: Tensor) -> Tensor:
    return torch.cat(
        [torch.view_as_real(tensor + 0j).flatten() for tensor in tensors(module(spectrum_of(samples)))]
    )


def run_completer(module: nn.Module, samples: Tensor) -> Tensor:
    mel = scale(mel_of(spectrum_of(samples)))
    result: Tensor = module(mel, mel)
    return result


def run_waveform(module: nn.Module, samples: Tensor) -> Tensor:
    result: Tensor = module(samples)
    return result


NETWORKS: list[Any] = [
    pytest.param(build_denoiser, DENOISER.to_dict(), run_denoiser, id="denoiser"),
    pytest.param(build_completer, COMPLETER.to_dict(), run_completer, id="completer"),
    pytest.param(build_waveform, WAVEFORM.to_dict(), run_waveform, id="waveform_enhancer"),
]
Build = Callable[[Mapping[str, Any]], nn.Module]
Run = Callable[[nn.Module, Tensor], Tensor]


@pytest.mark.parametrize(("build", "config", "run"), NETWORKS)
def test_a_saved_network_comes_back_the_same(
    build: Build, config: dict[str, Any], run: Run, tmp_path: Path
) -> None:
    network = build(config).eval()
    # Training moves the means of the normalisation too: they belong to what is saved.
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
    save("network", network, config, "MIT", half=False, folder=tmp_path)
    with instead(tmp_path), torch.inference_mode():
        loaded = hub.load("network", build, device="cpu")
        assert loaded is not network
        for name, value in network.state_dict().items():
            assert torch.equal(loaded.state_dict()[name], value)
        torch.testing.assert_close(run(loaded, voice(0.2)), run(network, voice(0.2)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("build", "config", "run"), NETWORKS)
def test_half_the_precision_is_enough_to_run(build: Build, config: dict[str, Any], run: Run) -> None:
    network = build(config).eval()
    samples = voice(0.2)
    with torch.inference_mode():
        for weight in network.parameters():  # some heads start at 0, where every precision is exact
            weight.add_(torch.randn_like(weight), alpha=0.02)
        exact = run(network, samples)
        with torch.autocast("cpu", torch.bfloat16):
            rough = run(network, samples)
    assert rough.dtype == exact.dtype == torch.float32
    assert rough.isfinite().all()
    assert 0 < (rough - exact).norm() / exact.norm() < 0.05


@pytest.mark.parametrize(("build", "config", "run"), NETWORKS)
def test_every_weight_has_a_finite_gradient(build: Build, config: dict[str, Any], run: Run) -> None:
    network = build(config).train()
    run(network, voice(0.2)).square().sum().backward()
    idle = [
        name
        for name, weight in network.named_parameters()
        if weight.grad is None or not weight.grad.isfinite().all()
    ]
    assert idle == []


@pytest.mark.parametrize("frames", [1, 2, 3, 17])
def test_any_number_of_frames_from_1(frames: int) -> None:
    spectrum = torch.randn(2, FRONT_END.bins, frames, dtype=torch.complex64)
    masks = Denoiser(DENOISER).eval()(spectrum, torch.zeros(2, CONDITIONS, frames))
    assert masks.apply(spectrum).shape == spectrum.shape
    assert masks.f0_hz.shape == masks.voicing.shape == (2, frames)
    mel = scale(mel_of(spectrum))
    assert Completer(COMPLETER).eval()(mel, mel).shape == mel.shape
    assert completed(Completer(COMPLETER).eval(), spectrum).shape == spectrum.shape


def test_the_first_stage_is_small_and_both_are_quick_to_send() -> None:
    count = {network: sum(w.numel() for w in network().parameters()) for network in (Denoiser, Completer)}
    assert count[Denoiser] < 250_000
    assert count[Completer] < 1_000_000
