"""The extender adds the missing band and nothing below it, at any level, in blocks of any size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from aural.superres.model import BIN_HZ, BINS, RATE, TRAINED_HZ, Extender, ExtenderConfig, build_extender

TINY = ExtenderConfig(width=16, expansion=2, dilations=(1, 4))
WITH_FLOOR = ExtenderConfig(width=16, expansion=2, dilations=(1, 4), look_ahead=9, floor=True)
SECONDS = 0.4
EDGE_HZ = 4_000.0


def sound(seed: int = 0, edge_hz: float = EDGE_HZ, seconds: float = SECONDS) -> Tensor:
    """Noise up to an edge. Shape: (1, time)."""
    noise = torch.randn(round(seconds * RATE), generator=torch.Generator().manual_seed(seed))
    spectrum = torch.fft.rfft(noise)
    frequency_hz = torch.fft.rfftfreq(len(noise), 1 / RATE)
    return 0.1 * torch.fft.irfft(spectrum * (frequency_hz < edge_hz), len(noise))[None]


@pytest.fixture(scope="module", params=[TINY, WITH_FLOOR], ids=["plain", "floor"])
def extender(request: pytest.FixtureRequest) -> Extender:
    """Random weights, large enough to matter."""
    torch.manual_seed(0)
    model = Extender(request.param).eval().requires_grad_(False)
    torch.nn.init.normal_(model.exit.weight, std=0.1)
    return model


def power_db(samples: Tensor, low_hz: float, high_hz: float) -> float:
    """Of the samples between two frequencies."""
    spectrum = torch.fft.rfft(samples * torch.hann_window(samples.shape[-1])).abs().square()
    frequency_hz = torch.fft.rfftfreq(samples.shape[-1], 1 / RATE)
    band = (frequency_hz >= low_hz) & (frequency_hz < high_hz)
    return float(10 * torch.log10(spectrum[..., band].sum() + 1e-20))


def error_db(samples: Tensor, reference: Tensor) -> float:
    """Power of the difference, relative to the reference's."""
    return float(10 * torch.log10((samples - reference).square().mean() / reference.square().mean()))


def test_its_own_band_is_left_alone(extender: Extender) -> None:
    x = sound()
    made = extender(x, torch.tensor([EDGE_HZ]))
    assert power_db(made, 5_000, 20_000) > power_db(x, 0, EDGE_HZ) - 40
    # Its window's side lobes reach below the edge, far down.
    assert power_db(made, 0, 0.85 * EDGE_HZ) < power_db(x, 0, 0.85 * EDGE_HZ) - 75


@pytest.mark.parametrize("edge_hz", [1_800.0, 8_000.0, 16_000.0])
def test_the_missing_band_starts_at_the_given_edge(extender: Extender, edge_hz: float) -> None:
    made = extender(sound(edge_hz=edge_hz), torch.tensor([edge_hz]))
    assert power_db(made, 0, 0.8 * edge_hz) < power_db(made, edge_hz, RATE / 2) - 60


@pytest.mark.parametrize("gain", [1e-3, 10.0])
def test_the_result_scales_with_the_input(extender: Extender, gain: float) -> None:
    x, bandwidth = sound(), torch.tensor([EDGE_HZ])
    whole = extender(x, bandwidth)
    # Rounding differs with the processor and its threads, and here it lies 88 dB below the result.
    assert error_db(extender(gain * x, bandwidth) / gain, whole) < -80


def test_silence_stays_silent(extender: Extender) -> None:
    x = sound()
    x[:, : RATE // 5] = 0
    made = extender(x, torch.tensor([EDGE_HZ]))
    assert made[:, : RATE // 5 - 1024].abs().max() < 1e-7
    assert not extender(torch.zeros(1, 3_000), torch.tensor([EDGE_HZ])).any()


@pytest.mark.parametrize("length", [1, 255, 256, 257, 5_000])
def test_as_long_as_the_input(extender: Extender, length: int) -> None:
    assert extender(torch.randn(2, length), torch.tensor([EDGE_HZ, 7_000.0])).shape == (2, length)


@pytest.mark.parametrize("blocks", [(1,), (3, 1, 7), (40,)])
def test_any_steps_give_what_the_whole_gives(extender: Extender, blocks: tuple[int, ...]) -> None:
    x, bandwidth = torch.cat((sound(0), sound(1))), torch.tensor([EDGE_HZ, 7_000.0])
    whole = extender(x, bandwidth)
    length = x.shape[1]
    padded = torch.nn.functional.pad(x, (0, extender.delay + -length % extender.block))
    state, made, start, turn = extender.start(2), [], 0, 0
    while start < padded.shape[1]:
        count = blocks[turn % len(blocks)] * extender.block
        made.append(extender.step(padded[:, start : start + count], bandwidth, state))
        start, turn = start + count, turn + 1
    assert error_db(torch.cat(made, 1)[:, extender.delay :][:, :length], whole) < -115


def test_a_long_recording_gets_the_same_in_pieces_that_are_added_in_place(extender: Extender) -> None:
    whole = sound(seconds=4.6)
    wanted = whole + extender(whole, torch.tensor([EDGE_HZ]))
    changed, end = whole.clone(), 0
    for start, piece in extender.pieces(changed, EDGE_HZ):
        assert start == end
        changed[:, start : start + piece.shape[1]] += piece
        end = start + piece.shape[1]
    assert end == whole.shape[1]
    torch.testing.assert_close(changed, wanted, rtol=0, atol=1e-5)


def test_it_looks_no_further_ahead_than_its_delay(extender: Extender) -> None:
    x, bandwidth = sound(), torch.tensor([EDGE_HZ])
    changed = x.clone()
    place = 40 * extender.block  # the start of a block
    changed[:, place:] = sound(5)[:, place:]
    difference = (extender(x, bandwidth) - extender(changed, bandwidth)).abs()[0]
    assert difference[: place - extender.delay].max() < 1e-7
    assert difference[place:].max() > 1e-3


def test_each_of_a_batch_has_its_own_band(extender: Extender) -> None:
    x = torch.cat((sound(0), sound(1, 9_000)))
    edges = torch.tensor([EDGE_HZ, 9_000.0])
    together = extender(x, edges)
    for number in range(2):
        alone = extender(x[number : number + 1], edges[number : number + 1])
        torch.testing.assert_close(together[number : number + 1], alone, atol=1e-6, rtol=1e-4)


def test_a_bent_edge_can_be_straightened() -> None:
    """Without carriers and with the right gain the band edge is restored exactly by the transforms."""
    model = Extender(TINY).eval().requires_grad_(False)
    torch.nn.init.zeros_(model.exit.weight)
    torch.nn.init.zeros_(model.exit.bias)
    bins = BINS
    model.exit.bias[:bins] = -100.0  # no carrier
    model.exit.bias[bins : 2 * bins] = torch.log(torch.tensor(2.0))  # twice the own spectrum
    x = sound(edge_hz=20_000)
    made = model(x, torch.tensor([1_000.0]))
    above = torch.fft.rfft(x)
    frequency_hz = torch.fft.rfftfreq(x.shape[1], 1 / RATE)
    wanted = torch.fft.irfft(above * (frequency_hz > 900), x.shape[1])
    middle = slice(2_000, -2_000)
    error = (made - wanted)[:, middle].square().mean() / wanted[:, middle].square().mean()
    assert error < 0.01


def silenced(config: ExtenderConfig) -> Extender:
    """Generates only the noise floor above the band, at the detected level."""
    model = Extender(config).eval().requires_grad_(False)
    torch.nn.init.zeros_(model.exit.weight)
    torch.nn.init.zeros_(model.exit.bias)
    model.exit.bias[:BINS] = -100.0
    return model


def test_the_noise_floor_goes_on_above_the_band_whatever_is_louder_for_a_while() -> None:
    noise = 0.01 * sound(seconds=3.0)
    burst = noise.clone()
    burst[:, RATE : RATE + RATE // 2] += sound(7, seconds=0.5)
    model = silenced(WITH_FLOOR)
    # Equal widths, so that equal powers are equal densities.
    own_db = power_db(noise, 2_000, 3_000)
    for x in (noise, burst):
        made = model(x, torch.tensor([EDGE_HZ]))[:, RATE // 2 :]
        for low_hz in (5_000, 12_000, 22_000):
            assert power_db(made, low_hz, low_hz + 1_000) + 10 * np.log10(3 / 2.5) == pytest.approx(
                own_db, abs=2.5
            )


def test_channels_are_made_as_wide_as_they_are() -> None:
    a, b = sound(0, seconds=2.0), sound(1, seconds=2.0)
    channels = torch.cat((a, a, -a, b, (a + b) / 2**0.5, 0 * a))
    torch.manual_seed(0)
    model = Extender(WITH_FLOOR).eval().requires_grad_(False)
    padded = torch.nn.functional.pad(channels, (0, model.block * model.config.look_ahead * 2))
    padded = padded[:, : padded.shape[1] // model.block * model.block]
    bandwidth = torch.full((len(channels),), EDGE_HZ)
    made = model.step(padded, bandwidth, model.start(len(channels), channels=True))[:, RATE // 2 :]
    correlations = torch.corrcoef(made[:5])[0]
    expected = torch.tensor([1.0, 1.0, -1.0, 0.0, 0.5**0.5])
    torch.testing.assert_close(correlations, expected, atol=0.12, rtol=0)
    torch.testing.assert_close(made[1], made[0], atol=1e-6, rtol=1e-4)
    assert made[5].abs().max() < 1e-6


@pytest.mark.parametrize("is_top_shared", [True, False])
def test_the_highs_are_as_wide_as_the_top_of_the_band(is_top_shared: bool) -> None:
    """Music is often narrow in the highs and wide below, or the reverse."""
    shared, first, second = (sound(seed, seconds=2.0) for seed in range(3))
    low = [sound(seed, edge_hz=0.7 * EDGE_HZ, seconds=2.0) for seed in range(3)]
    tops = [x - part for x, part in zip((shared, first, second), low, strict=True)]
    parts = (
        [(tops[0], low[1]), (tops[0], low[2])] if is_top_shared else [(tops[1], low[0]), (tops[2], low[0])]
    )
    channels = torch.cat([top + below for top, below in parts])
    model = silenced(WITH_FLOOR)  # only the noise floor
    length = channels.shape[1] // model.block * model.block
    state = model.start(2, channels=True)
    made = model.step(channels[:, :length], torch.full((2,), EDGE_HZ), state)[:, RATE // 2 :]
    assert torch.corrcoef(made)[0, 1] == pytest.approx(float(is_top_shared), abs=0.15)


def test_an_offset_changes_nothing(extender: Extender) -> None:
    x = sound(seconds=2.2)
    bandwidth = torch.tensor([EDGE_HZ])
    late = slice(round(1.8 * RATE), -RATE // 10)  # when the jump at the start is forgotten
    plain, shifted = (extender(each, bandwidth)[:, late] for each in (x, x + 0.5))
    assert error_db(shifted, plain) < -50


def test_gains_above_the_trained_band_have_no_effect() -> None:
    torch.manual_seed(0)
    model = Extender(WITH_FLOOR).eval().requires_grad_(False)
    x, bandwidth = sound(), torch.tensor([EDGE_HZ])
    made = model(x, bandwidth)
    trained = int(TRAINED_HZ / BIN_HZ) + 1
    model.exit.bias[trained:BINS] = 3.0  # a thousand times as loud
    assert torch.equal(model(x, bandwidth), made)
    model.exit.bias[trained - 1] = 3.0
    assert power_db(model(x, bandwidth), TRAINED_HZ, RATE / 2) > power_db(made, TRAINED_HZ, RATE / 2) + 40


def test_each_pair_of_channels_is_made_as_wide_as_it_is() -> None:
    """Also pairs that have nothing in common with the first channel, which may be silent."""
    a, b = sound(0, seconds=2.0), sound(1, seconds=2.0)
    torch.manual_seed(0)
    model = Extender(WITH_FLOOR).eval().requires_grad_(False)
    for first in (b, 0 * a):
        channels = torch.cat((first, a, -a, a, 0.8 * a + 0.6 * b))
        length = channels.shape[1] // model.block * model.block
        bandwidth = torch.full((len(channels),), EDGE_HZ)
        state = model.start(len(channels), channels=True)
        made = model.step(channels[:, :length], bandwidth, state)[:, RATE // 2 :]
        correlations = torch.corrcoef(made)[1, 2:]
        torch.testing.assert_close(correlations, torch.tensor([-1.0, 1.0, 0.8]), atol=0.12, rtol=0)
        torch.testing.assert_close(made[3], made[1], atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(made[2], -made[1], atol=1e-6, rtol=1e-4)


def test_the_config_makes_the_same_network_again() -> None:
    built = build_extender(TINY.to_dict())
    assert built.config == TINY
    assert {k: v.shape for k, v in built.state_dict().items()} == {
        k: v.shape for k, v in Extender(TINY).state_dict().items()
    }
