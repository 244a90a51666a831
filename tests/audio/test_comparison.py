"""What comparisons must tell of known differences, and what they must not care about."""

import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from aural.audio import comparison, read
from aural.audio.comparison import (
    Floats,
    log_spectral_distance,
    matching_gain,
    pesq_wideband,
    si_sdr_db,
    snr_db,
    stoi,
)
from aural.errors import InputError

try:
    import pesq  # noqa: F401

    HAS_PESQ = True
except ImportError:
    HAS_PESQ = False

# It has no wheels: who has no C compiler does without.
needs_pesq = pytest.mark.skipif(not HAS_PESQ, reason="the package pesq is not installed")
PESQ = pytest.param(pesq_wideband, marks=needs_pesq)

RATE = 48_000
SpeechMeasure = Callable[[NDArray[np.float32], NDArray[np.float32], int], float]
SPEECH = Path(__file__).parents[2] / "aural" / "ui" / "examples" / "speech.ogg"


def normal(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.fixture(scope="module")
def speech() -> NDArray[np.float32]:
    """4 s of a sentence at 48 kHz. Shape: (time,)."""
    return read(SPEECH).samples[0, : 4 * RATE]


def noisy(speech: NDArray[np.float32], snr_db: float) -> NDArray[np.float32]:
    noise = normal(len(speech)).astype(np.float32)
    return speech + noise * np.float32(np.std(speech) / np.std(noise) * 10 ** (-snr_db / 20))


def test_snr_of_noise_20_db_down() -> None:
    signal = normal(48_000)
    assert snr_db(1.1 * signal, signal) == pytest.approx(20)
    assert snr_db(signal, signal) == math.inf
    with pytest.raises(InputError, match="silent"):
        snr_db(signal, np.zeros_like(signal))


@pytest.mark.parametrize("gain", [1.0, 0.01, -3.0])
def test_si_sdr_of_noise_at_right_angles_whatever_the_gain(gain: float) -> None:
    time = np.arange(RATE) / RATE
    signal, other = np.sin(2 * np.pi * 100 * time), np.cos(2 * np.pi * 100 * time)
    assert si_sdr_db(gain * (signal + 0.1 * other), signal) == pytest.approx(20)
    assert si_sdr_db(gain * signal, signal) > 100
    assert si_sdr_db(gain * other, signal) < -100


def test_si_sdr_does_not_reward_a_softer_estimate() -> None:
    # Half the level brings the noise nearer to nothing, and SNR praises it for being nearer to the signal.
    signal, estimate = normal(RATE), normal(RATE) + 2 * normal(RATE, seed=1)
    assert snr_db(0.2 * estimate, signal) > snr_db(estimate, signal) + 5
    assert si_sdr_db(0.2 * estimate, signal) == pytest.approx(si_sdr_db(estimate, signal))


@pytest.mark.parametrize("measure", [snr_db, si_sdr_db])
def test_a_clip_of_many_channels_is_compared_as_one(measure: Callable[[Floats, Floats], float]) -> None:
    a, b = normal(2, RATE), normal(2, RATE, seed=1)
    assert measure(a + b, b) == pytest.approx(measure((a + b).reshape(-1), b.reshape(-1)))


def test_log_spectral_distance_of_a_gain_is_the_gain_in_every_bin() -> None:
    signal = normal(2, 30_000)
    assert log_spectral_distance(signal, signal) == 0
    assert log_spectral_distance(10 ** (6 / 20) * signal, signal) == pytest.approx(0.6)  # 6 dB of power
    # Beneath the floor nothing differs: silence and near silence are one.
    assert log_spectral_distance(1e-8 * signal, 0 * signal) == 0


def test_log_spectral_distance_of_a_band() -> None:
    # A sine of 15 kHz added to noise leaves the band beneath 12 kHz as it was.
    signal, time = normal(48_000), np.arange(48_000) / 48_000
    # Its reflection at the ends has a kink, which is heard a little everywhere.
    louder = signal + 0.1 * np.sin(2 * np.pi * 15_000 * time)
    low = log_spectral_distance(louder, signal, rate=48_000, high_hz=12_000)
    high = log_spectral_distance(louder, signal, rate=48_000, low_hz=12_000)
    assert 10 * low < high
    with pytest.raises(InputError, match=r"Hz\. Widen the band\.$"):
        log_spectral_distance(louder, signal, rate=48_000, low_hz=30_000)


def test_log_spectral_distance_needs_signals_alike_and_long_enough() -> None:
    with pytest.raises(InputError, match=r"Align them first\.$"):
        log_spectral_distance(np.ones(4000), np.ones(4001))
    with pytest.raises(InputError, match="1024"):
        log_spectral_distance(np.ones(1024), np.ones(1024))


def test_log_spectral_distance_agrees_with_librosa() -> None:
    import librosa

    a, b = normal(20_000, seed=1), normal(20_000, seed=2)
    powers = [
        np.log10(
            np.maximum(np.abs(librosa.stft(x, n_fft=2048, hop_length=512, pad_mode="reflect")) ** 2, 1e-8)
        )
        for x in (a, b)
    ]
    expected = np.mean(np.sqrt(np.mean((powers[0] - powers[1]) ** 2, axis=0)))
    assert log_spectral_distance(a, b) == pytest.approx(expected, rel=1e-6)


def test_log_spectral_distance_does_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = normal(2, 30_000, seed=1), normal(2, 30_000, seed=2)
    whole = log_spectral_distance(a, b)
    monkeypatch.setattr(comparison, "BLOCK", 7)
    assert log_spectral_distance(a, b) == pytest.approx(whole, rel=1e-12)


def test_matching_gain_undoes_a_gain_whatever_the_sign_and_phase() -> None:
    signal = normal(2, RATE)
    assert matching_gain(0.25 * signal, signal) == pytest.approx(4)
    assert matching_gain(-0.25 * signal, signal) == pytest.approx(4)
    # A turn of every phase by 90° leaves samples that have nothing in common.
    turned = np.fft.irfft(1j * np.fft.rfft(signal), signal.shape[-1])
    assert abs(np.sum(turned * signal) / np.sum(turned**2)) < 0.01
    assert matching_gain(turned, signal) == pytest.approx(1, abs=0.01)
    assert matching_gain(0 * signal, signal) == matching_gain(signal, 0 * signal) == 1


def test_speech_is_as_good_as_itself_at_any_level(speech: NDArray[np.float32]) -> None:
    assert stoi(speech, speech, RATE) == pytest.approx(1)
    estimate = noisy(speech, 10)
    assert stoi(0.1 * estimate, speech, RATE) == pytest.approx(stoi(estimate, speech, RATE), abs=1e-6)


@needs_pesq
def test_speech_has_the_pesq_of_itself_at_any_level(speech: NDArray[np.float32]) -> None:
    # 4.644 is where the mapping of P.862.2 ends.
    assert pesq_wideband(speech, speech, RATE) == pytest.approx(4.644, abs=0.001)
    estimate = noisy(speech, 10)
    assert pesq_wideband(0.1 * estimate, speech, RATE) == pytest.approx(
        pesq_wideband(estimate, speech, RATE), abs=0.02
    )


@pytest.mark.parametrize("measure", [PESQ, stoi])
def test_more_noise_is_worse(measure: SpeechMeasure, speech: NDArray[np.float32]) -> None:
    scores = [measure(noisy(speech, snr), speech, RATE) for snr in (30, 10, -5)]
    assert scores[0] > scores[1] + 0.05 > scores[2] + 0.1


@pytest.mark.parametrize("measure", [PESQ, stoi])
def test_what_lies_above_8_khz_does_not_count(measure: SpeechMeasure, speech: NDArray[np.float32]) -> None:
    time = np.arange(len(speech)) / RATE
    whistle = 0.1 * np.sin(2 * np.pi * 15_000 * time).astype(np.float32)
    estimate = noisy(speech, 10)
    assert measure(estimate + whistle, speech, RATE) == pytest.approx(
        measure(estimate, speech, RATE), abs=0.01
    )


@pytest.mark.parametrize("measure", [PESQ, stoi])
def test_of_several_channels_the_mean_is_heard(measure: SpeechMeasure, speech: NDArray[np.float32]) -> None:
    estimate, silence = noisy(speech, 10), np.zeros_like(speech)
    alone = measure(estimate, speech, RATE)
    both = measure(np.stack((estimate, estimate)), np.stack((speech, speech)), RATE)
    left = measure(np.stack((estimate, silence)), np.stack((speech, silence)), RATE)
    assert both == pytest.approx(alone, abs=0.01)
    assert left == pytest.approx(alone, abs=0.02)


@needs_pesq
def test_pesq_of_more_utterances_than_the_reference_code_has_room_for() -> None:
    # 71 bursts in 30 s at once end the process.
    time = np.arange(30 * 16_000) / 16_000
    bursts = 0.2 * normal(len(time)) * (time % 0.42 < 0.21)
    estimate = bursts + 0.01 * normal(len(time), seed=1)
    whole = pesq_wideband(estimate, bursts, 16_000)
    halves = [
        pesq_wideband(a, b, 16_000) for a, b in zip(np.split(estimate, 2), np.split(bursts, 2), strict=True)
    ]
    assert whole == pytest.approx(np.mean(halves), abs=1e-6)


@needs_pesq
def test_pesq_leaves_out_pieces_in_which_nobody_speaks(speech: NDArray[np.float32]) -> None:
    estimate, silence = noisy(speech, 10), np.zeros(16 * RATE - len(speech), np.float32)
    reference = np.concatenate((speech, silence, silence))
    padded = np.concatenate((estimate, silence, silence + np.float32(0.001)))
    assert 1.04 < pesq_wideband(padded, reference, RATE) < 4


@pytest.mark.parametrize("measure", [PESQ, stoi])
def test_speech_that_cannot_be_measured(measure: SpeechMeasure, speech: NDArray[np.float32]) -> None:
    with pytest.raises(InputError, match=r"^Can't compare signals of the shapes .*\. Align them first\.$"):
        measure(speech[1:], speech, RATE)
    with pytest.raises(InputError, match="The reference is silent, so there is nothing to compare"):
        measure(speech, 0 * speech, RATE)
    with pytest.raises(InputError, match="The estimate is silent, so there is nothing to compare"):
        measure(0 * speech, speech, RATE)
    with pytest.raises(InputError, match=r" s of sound\. Choose a longer clip\.$"):
        measure(speech[: RATE // 5], speech[: RATE // 5], RATE)
    with pytest.raises(InputError, match="not finite"):
        measure(speech + np.float32(np.nan), speech, RATE)


def test_a_short_noise_is_no_speech() -> None:
    knock = np.zeros(3 * RATE, np.float32)
    knock[RATE : RATE + RATE // 50] = normal(RATE // 50)
    if HAS_PESQ:
        with pytest.raises(InputError, match="PESQ finds no speech in the reference"):
            pesq_wideband(knock, knock, RATE)
    with (
        pytest.warns(RuntimeWarning),
        pytest.raises(InputError, match=r"of sound in the reference\. Choose a longer one\.$"),
    ):
        stoi(knock, knock, RATE)


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100])
@pytest.mark.parametrize(
    ("measure", "seconds"),
    [
        pytest.param(pesq_wideband, comparison.PESQ_MIN_SECONDS, marks=needs_pesq),
        (stoi, comparison.STOI_MIN_SECONDS),
    ],
)
def test_speech_may_be_as_short_as_is_said(measure: SpeechMeasure, seconds: float, rate: int) -> None:
    noise = normal(math.ceil(seconds * rate)).astype(np.float32)
    assert measure(noise, noise, rate) > 0.9


@pytest.mark.parametrize(("measure", "package"), [(pesq_wideband, "pesq"), (stoi, "pystoi")])
def test_a_package_that_is_missing_is_named(
    measure: SpeechMeasure, package: str, speech: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=f"pip install {package}"):
        measure(speech, speech, RATE)


def test_signals_that_have_no_si_sdr() -> None:
    signal = normal(100)
    with pytest.raises(InputError, match="The reference is silent, so there is nothing to compare"):
        si_sdr_db(signal, 0 * signal)
    with pytest.raises(InputError, match="The estimate is silent, so there is nothing to compare"):
        si_sdr_db(0 * signal, signal)
    with pytest.raises(InputError, match=r"Align them first\.$"):
        si_sdr_db(signal, signal[1:])
