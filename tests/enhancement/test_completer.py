"""The completer: what it adds, how much, and its carrier."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from aural.audio.spectral import istft, scale, unscale
from aural.enhancement.completer import (
    COMPLETED_HZ,
    COPIED_BINS,
    FLOOR_DB,
    Completer,
    carrier,
    missing_magnitude,
)
from aural.enhancement.denoiser import (
    LOW_BINS,
)
from aural.enhancement.features import FRONT_END, RATE
from tests.enhancement.signals import below_db, complete, mel_of, spectrum_of, voice, white
from tests.enhancement.tiny import COMPLETER

BIN_HZ = RATE / FRONT_END.fft


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def completer_of(wanted: Callable[[Tensor], Tensor]) -> Completer:
    """A completer whose predicted mel amplitudes are a function of the present ones."""
    completer = Completer(COMPLETER).eval()
    completer.forward = lambda denoised, *_: scale(wanted(unscale(denoised)))  # type: ignore[method-assign]
    return completer


def test_what_is_missing_adds_up_by_power_and_nothing_is_taken_away() -> None:
    present, wanted = torch.tensor([0.0, 3.0, 5.0, 7.0]), torch.tensor([2.0, 5.0, 5.0, 1.0])
    assert missing_magnitude(present, wanted).tolist() == [2.0, 4.0, 0.0, 0.0]


def test_completion_adds_nothing_where_nothing_is_missing() -> None:
    spectrum = spectrum_of(white(2))
    for share in (0.0, 0.5, 0.99):
        assert not complete(completer_of(lambda mel, share=share: share * mel), spectrum).any()
    # If the network predicts no change, only rounding is added.
    assert below_db(complete(completer_of(lambda mel: mel), spectrum), spectrum) < -40


def test_completion_fills_what_is_missing_to_the_predicted_level() -> None:
    spectrum = spectrum_of(white(seconds=2))
    studio = mel_of(spectrum)
    low = spectrum.clone()
    low[:, round(4_000 / BIN_HZ) :] = 0
    added = complete(completer_of(lambda _: studio), low)
    whole = mel_of(low + added)
    ratio_db = 20 * (whole.mean(-1) / studio.mean(-1)).log10()[0]
    # Bands above 9 kHz hold enough bins for a steady mean.
    assert ratio_db[70:].abs().max() < 1
    # Where nothing was cut nothing is added.
    assert added[:, : round(3_000 / BIN_HZ)].abs().max() < 1e-2 * low.abs().max()


def test_the_band_that_every_phone_passes_gets_a_faint_floor_at_most() -> None:
    spectrum = spectrum_of(white())
    added = complete(completer_of(lambda mel: 10 * mel), spectrum)
    low, high = (round(hz / BIN_HZ) for hz in COMPLETED_HZ)
    # Relative to the prediction, which is 20 dB above the input.
    wanted = 10 * spectrum
    assert below_db(added[:, : low - 8], wanted[:, : low - 8]) < FLOOR_DB + 10
    assert abs(below_db(added[:, high + 16 :], wanted[:, high + 16 :])) < 1.5


def test_silence_is_not_completed_whatever_the_network_predicts() -> None:
    loud = completer_of(lambda mel: mel + 0.1)
    assert not complete(loud, torch.zeros(2, FRONT_END.bins, 10, dtype=torch.complex64)).any()
    spectrum = spectrum_of(white())
    spectrum[..., 20:30] = 0
    both = torch.cat((spectrum, 0 * spectrum))
    added = complete(loud, both)
    assert added[0, :, :20].any()
    assert not added[0, :, 20:30].any()
    assert not added[1].any()


def test_one_completion_for_all_channels_keeps_the_levels_between_them() -> None:
    one = spectrum_of(white())
    added = complete(completer_of(lambda mel: 2 * mel), torch.cat((one, 0.25 * one)))
    assert below_db(added[1] - 0.25 * added[0], added[1]) < -40


def test_what_is_completed_is_as_wide_as_the_channels() -> None:
    """One noise for all would be in phase where the voice is inverse, and mono where there are two."""
    a, b = white(2)[:, None]
    signals = torch.cat((a, -a, b, 0.6 * a + 0.8 * b, a))
    made = complete(completer_of(lambda mel: 3 * mel), spectrum_of(signals))
    top = made[:, round(10_000 / BIN_HZ) : round(18_000 / BIN_HZ), 20:-20].flatten(1)
    product = (top @ top.conj().T).real
    root = product.diagonal().sqrt()
    correlations = (product / (root[:, None] * root))[0]
    expected = torch.tensor([1.0, -1.0, 0.0, 0.6, 1.0])
    torch.testing.assert_close(correlations, expected, atol=0.1, rtol=0)
    torch.testing.assert_close(made[0], made[4], atol=1e-5, rtol=1e-3)


def test_a_completion_is_of_its_seed() -> None:
    spectrum = spectrum_of(white())
    double = completer_of(lambda mel: 2 * mel)
    assert torch.equal(complete(double, spectrum, 1), complete(double, spectrum, 1))
    assert not torch.equal(complete(double, spectrum, 1), complete(double, spectrum, 2))


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
    """Its phase advances from frame to frame like that of a tone so much higher."""
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
