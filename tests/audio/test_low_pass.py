"""Low-passes of every kind: what is below stays, what is above goes, and nothing comes late."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import sosfreqz

from aural.audio.clip import Samples
from aural.audio.low_pass import LOW_PASSES, LowPass, low_pass, low_pass_sections
from aural.errors import InputError, OptionError

# Gain in dB at the cut-off, and at the least an octave above it.
KINDS: dict[LowPass, tuple[float, float]] = {
    "butterworth_2": (-3, -12),
    "butterworth_4": (-3, -24),
    "butterworth_8": (-3, -48),
    "chebyshev": (-1, -56),
    "elliptic": (-0.5, -60),
    "bessel": (-3, -14),
    "linear": (-6, -80),
    "resampled": (-60, -100),
}


def impulse(rate: int, channels: int = 1) -> Samples:
    samples = np.zeros((channels, rate + 1), np.float32)
    samples[:, rate // 2] = 1
    return samples


def gains_db(response: Samples, rate: int, *frequencies_hz: float) -> list[float]:
    gains = np.abs(np.fft.rfft(response.astype(np.float64), rate))  # a bin for every Hz
    return [float(20 * np.log10(gains[round(frequency)] + 1e-12)) for frequency in frequencies_hz]


def test_all_kinds_are_here() -> None:
    assert tuple(KINDS) == LOW_PASSES


@pytest.mark.parametrize("zero_phase", [True, False])
@pytest.mark.parametrize("rate", [16_000, 48_000, 192_000])
@pytest.mark.parametrize("kind", LOW_PASSES)
def test_each_kind_has_its_gain_at_any_rate(kind: LowPass, rate: int, zero_phase: bool) -> None:
    filtered = low_pass(impulse(rate), rate, 3_000, kind, zero_phase=zero_phase)[0]
    low, edge, octave = gains_db(filtered, rate, 300, 3_000, 6_000)

    assert low == pytest.approx(0, abs=1.05)
    if kind == "resampled":
        assert edge < -20
    else:
        assert edge == pytest.approx(KINDS[kind][0], abs=0.1)
    assert octave < KINDS[kind][1] + 1


@pytest.mark.parametrize("kind", LOW_PASSES)
@pytest.mark.parametrize("cutoff_hz", [100, 1_700, 16_000, 23_900])
def test_nothing_comes_late(kind: LowPass, cutoff_hz: float) -> None:
    response = low_pass(impulse(48_000), 48_000, cutoff_hz, kind)[0]

    assert np.argmax(response) == 24_000
    np.testing.assert_allclose(response, response[::-1], atol=3e-6)


@pytest.mark.parametrize("kind", [kind for kind in LOW_PASSES if kind not in ("linear", "resampled")])
def test_without_zero_phase_it_is_the_recursive_filter(kind: LowPass) -> None:
    aligned, causal = (
        low_pass(impulse(48_000), 48_000, 5_000, kind, zero_phase=on)[0] for on in (True, False)
    )
    sections = low_pass_sections(48_000, 5_000, kind)
    assert sections is not None
    _, wanted = sosfreqz(sections, np.arange(24_001) / 24_000 * np.pi)

    assert not causal[:24_000].any()
    for response in (aligned, causal):
        # Not right at the elliptic filter's corner, where windowing its ringing softens it by a hair.
        np.testing.assert_allclose(np.abs(np.fft.rfft(response[:48_000])), np.abs(wanted), atol=0.01)


@pytest.mark.parametrize("kind", LOW_PASSES)
@pytest.mark.parametrize("frames", [0, 1, 7, 3_000])
def test_length_channels_and_level_stay(kind: LowPass, frames: int) -> None:
    sound = 0.1 * np.random.default_rng(0).standard_normal((2, frames), dtype=np.float32)
    filtered = low_pass(sound, 22_050, 4_000, kind)

    assert filtered.shape == sound.shape
    assert filtered.dtype == np.float32
    np.testing.assert_allclose(low_pass(4 * sound, 22_050, 4_000, kind), 4 * filtered, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(low_pass(sound[1:], 22_050, 4_000, kind), filtered[1:], atol=1e-6)


def test_mistakes_are_named() -> None:
    with pytest.raises(OptionError, match=r'^There is no low-pass "brick"\. Choose one of butterworth_2'):
        low_pass(impulse(8_000), 8_000, 1_000, "brick")  # type: ignore[arg-type]
    for cutoff_hz in (0, 4_000, float("nan")):
        with pytest.raises(OptionError, match="cut-off"):
            low_pass(impulse(8_000), 8_000, cutoff_hz, "linear")
    with pytest.raises(InputError, match="shape"):
        low_pass(impulse(8_000)[0], 8_000, 1_000, "linear")
