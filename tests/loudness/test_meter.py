"""What a loudness meter owes its reader beyond the EBU's signals."""

import json
from time import process_time

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import resample

from aural.audio import Clip
from aural.errors import InputError, OptionError
from aural.loudness import meter
from aural.loudness.layouts import LAYOUTS
from aural.loudness.meter import Loudness, gated_lufs, gating_blocks, measure
from aural.loudness.true_peak import BLOCK, true_peak
from tests.loudness.signals import SILENCE, programme, tone

RATE = 48_000
LEVELS = (
    "integrated_lufs",
    "momentary_max_lufs",
    "short_term_max_lufs",
    "true_peak_dbtp",
    "sample_peak_dbfs",
)

# The loudspeakers at 60 to 120 degrees to the side: those that weigh 1.41.
BESIDE = {
    **dict.fromkeys(["quad", "5.0", "5.1", "6.1(back)"], "BL BR"),
    **dict.fromkeys(
        ["quad(side)", "5.0(side)", "5.1(side)", "6.0", "6.1", "7.0", "7.1", "octagonal"], "SL SR"
    ),
}


def sine(frequency_hz: float, rate: int, seconds: float, peak: float = 1.0) -> Clip:
    time = np.arange(round(seconds * rate)) / rate
    return Clip((peak * np.sin(2 * np.pi * frequency_hz * time)).astype(np.float32)[np.newaxis], rate)


def in_one_channel(samples: NDArray[np.float32], channel: int, layout: str) -> Clip:
    spread = np.zeros((len(LAYOUTS[layout]), samples.size), np.float32)
    spread[channel] = samples
    return Clip(spread, RATE, layout)


def levels(loudness: Loudness) -> NDArray[np.float64]:
    return np.array([getattr(loudness, name) for name in LEVELS], np.float64)


def decibels(factor: float) -> float:
    return float(20 * np.log10(factor))


def test_a_997_hz_full_scale_sine_in_one_channel_reads_minus_3_01_lufs() -> None:
    loudness = measure(sine(997, RATE, 10))

    assert loudness.integrated_lufs == pytest.approx(-3.01, abs=0.005)
    assert loudness.true_peak_dbtp == pytest.approx(0, abs=0.01)


def test_gain_moves_every_level_and_leaves_the_range() -> None:
    clip = programme(RATE, 12)
    once, twice = measure(clip), measure(clip.with_samples(2 * clip.samples))

    assert levels(twice) - levels(once) == pytest.approx(decibels(2), abs=1e-4)
    assert twice.range_lu == pytest.approx(once.range_lu, abs=1e-6)
    assert twice.peak_to_loudness_lu == pytest.approx(once.peak_to_loudness_lu, abs=1e-4)


def test_a_second_channel_with_the_same_sound_adds_3_01_lu() -> None:
    mono = sine(1000, RATE, 4, 0.1)
    stereo = Clip(mono.samples.repeat(2, axis=0), RATE)

    added = levels(measure(stereo)) - levels(measure(mono))

    assert added == pytest.approx([3.01, 3.01, 3.01, 0, 0], abs=0.001)


def test_channels_may_be_swapped() -> None:
    clip = programme(RATE, 5)

    swapped = measure(clip.with_samples(clip.samples[::-1]))

    assert levels(swapped) == pytest.approx(levels(measure(clip)), abs=1e-9)


@pytest.mark.parametrize("block_seconds", [1, 3, 60])
def test_the_figures_do_not_depend_on_how_much_is_handled_at_a_time(
    monkeypatch: pytest.MonkeyPatch, block_seconds: int
) -> None:
    clip = programme(22_050, 9.537)  # 10 ms are 220.5 samples, and the end is no whole step
    whole = measure(clip)

    monkeypatch.setattr(meter, "BLOCK_SECONDS", block_seconds)
    blocks = measure(clip)

    assert blocks.powers.size == 954
    np.testing.assert_allclose(blocks.powers, whole.powers, rtol=1e-9)
    assert blocks.figures() == whole.figures()


def test_silence_before_and_after_is_gated_out() -> None:
    padded = measure(tone(RATE, [(5, SILENCE), (30, -23), (20, SILENCE)]))

    # The six blocks that reach over an end count, and are half full: 10 log10 of 300 / 303.
    assert padded.integrated_lufs == pytest.approx(-23, abs=0.05)


def test_nothing_below_minus_70_lufs_counts() -> None:
    assert measure(tone(RATE, [(5, -71)])).integrated_lufs is None
    assert measure(tone(RATE, [(5, -69)])).integrated_lufs == pytest.approx(-69, abs=0.1)

    loudness = measure(tone(RATE, [(60, -68), (20, -75)]))
    assert loudness.integrated_lufs == pytest.approx(-68, abs=0.1)
    assert loudness.range_lu == pytest.approx(0, abs=1)


def test_the_loudness_of_an_album_is_that_of_its_files_in_a_row() -> None:
    files = [programme(RATE, 10, seed=1), tone(RATE, [(20, -30)])]
    album = gated_lufs([gating_blocks(measure(clip).powers, clip.seconds) for clip in files])

    row = measure(Clip(np.concatenate([clip.samples for clip in files], axis=1), RATE))

    assert album == pytest.approx(
        row.integrated_lufs, abs=0.05
    )  # blocks across the border are in the row only


@pytest.mark.parametrize(
    ("rate", "tolerance"),
    # At 4 kHz the tone is half-way to the top, where a bilinear transform bends the shelf.
    [
        (4_000, 0.2),
        *((rate, 0.1) for rate in (8_000, 11_025, 22_050, 44_100, 47_953, 96_000, 192_000, 384_000)),
    ],
)
def test_any_rate_reads_the_same(rate: int, tolerance: float) -> None:
    loudness = measure(sine(1000, rate, 4, 0.5))

    assert loudness.integrated_lufs == pytest.approx(-9.03, abs=tolerance)
    assert loudness.short_term_max_lufs == pytest.approx(-9.03, abs=tolerance)


def test_a_rate_too_low_for_the_weighting_is_refused() -> None:
    with pytest.raises(InputError, match="4000 Hz"):
        measure(Clip(np.ones((1, 20_000), np.float32), 2_000))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights_follow_where_the_loudspeakers_stand(layout: str) -> None:
    sound = programme(RATE, 0.4).samples[0]
    front = measure(Clip(sound[np.newaxis], RATE)).momentary_max_lufs
    assert front is not None

    for index, channel in enumerate(LAYOUTS[layout]):
        level = measure(in_one_channel(sound, index, layout)).momentary_max_lufs
        heavier = 1.49 if channel in BESIDE.get(layout, "").split() else 0.0
        assert level == (None if channel == "LFE" else pytest.approx(front + heavier, abs=0.005)), channel


def test_a_layout_that_no_one_knows_has_to_be_chosen() -> None:
    samples = np.ones((6, 100), np.float32)

    with pytest.raises(OptionError, match=r"doesn't know .* hexagonal\. Choose .*5\.1"):
        measure(Clip(samples, RATE, "hexagonal"))
    assert measure(Clip(samples, RATE, "hexagonal"), layout="6.0").layout == "6.0"
    assert measure(Clip(samples, RATE, "7.1")).layout == "5.1"
    assert measure(Clip(samples, RATE, "6.0")).layout == "6.0"
    assert measure(Clip(samples, RATE), layout="5.1(side)").layout == "5.1(side)"


@pytest.mark.parametrize(
    ("channels", "layout", "remedy"),
    [
        (2, "hexagonal", r"\. Choose one of auto, mono, stereo"),
        (2, "5.1", r"6 channels and the audio 2\. Choose a layout that fits, or auto\.$"),
        (9, "auto", r"^The audio has 9 channels; AURAL takes 1 to 8\. Export fewer\.$"),
    ],
)
def test_a_layout_that_does_not_fit_is_refused(channels: int, layout: str | None, remedy: str) -> None:
    with pytest.raises(OptionError, match=remedy):
        measure(Clip(np.ones((channels, 100), np.float32), RATE), layout)


@pytest.mark.parametrize(
    ("left_right", "correlation", "mono_loss_db"),
    [
        ([[1, 0], [1, 0]], 1, 0),
        ([[1, 0], [-1, 0]], -1, -100),
        ([[1, 0], [0, 1]], 0, -3.01),
        ([[1, 0], [0, 0]], None, -3.01),
        ([[1, 0], [0.5, 0]], 1, -0.46),  # 10 log10 of (1.5 / 2)² / ((1 + 0.5²) / 2)
    ],
    ids=["in phase", "out of phase", "unrelated", "left alone", "panned"],
)
def test_the_stereo_image_of_known_pairs(
    left_right: list[list[float]], correlation: float | None, mono_loss_db: float
) -> None:
    sources = np.stack([sine(f, RATE, 1, 0.2).samples[0] for f in (1000, 1500)])

    loudness = measure(Clip(np.array(left_right, np.float32) @ sources, RATE))

    expected = None if correlation is None else pytest.approx(correlation, abs=1e-6)
    assert loudness.correlation == expected
    assert loudness.mono_loss_db == pytest.approx(mono_loss_db, abs=0.005)


def test_mono_has_no_stereo_image() -> None:
    loudness = measure(sine(1000, RATE, 1))

    assert loudness.correlation is None
    assert loudness.mono_loss_db is None


def test_samples_at_full_scale_are_counted() -> None:
    samples = np.full((2, 100_000), 0.9, np.float32)
    samples[0, [3, 70_000]] = 1 - 2**-15, -1.0
    samples[1, 99_999] = 1.5

    assert measure(Clip(samples, RATE)).full_scale_samples == 3
    assert measure(Clip(0.9 * samples[:1], RATE)).full_scale_samples == 0


def test_history_enters_each_window_where_it_ends() -> None:
    times, momentary, short_term = measure(tone(RATE, [(5, -20), (5, SILENCE)])).history()

    assert times[[0, -1]] == pytest.approx([0.4, 10.0])
    assert np.diff(times) == pytest.approx(0.1)
    assert momentary[times <= 5] == pytest.approx(-20, abs=0.1)
    assert np.isnan(short_term[times < 2.95]).all()
    assert short_term[(times > 2.95) & (times <= 5)] == pytest.approx(-20, abs=0.1)
    assert not (momentary[times > 6] > -100).any()  # so quiet, or not a number at all


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("seconds", [1 / RATE, 0.2, 5])
def test_silence_has_no_loudness(channels: int, seconds: float) -> None:
    loudness = measure(Clip(np.zeros((channels, round(seconds * RATE)), np.float32), RATE))

    figures = loudness.figures()
    known = {"seconds", "rate", "channels", "layout", "notes", "full_scale_samples"}
    assert {name for name, value in figures.items() if value is not None} == known
    assert "silence has no integrated loudness" in loudness.notes[0]
    assert np.isnan(loudness.history()[1]).all()


@pytest.mark.parametrize(
    "samples",
    [
        pytest.param(np.zeros((2, 48_000)), id="silence"),
        pytest.param(np.full((1, 1), 0.5), id="one sample"),
        pytest.param(np.full((8, 480_000), 0.5), id="DC"),
        pytest.param(np.full((2, 480_000), 1e-40), id="denormal"),
        pytest.param(np.sin(np.arange(48_000))[np.newaxis] * 1e19, id="huge"),
        pytest.param(np.array([[0.1], [-0.1]]).repeat(48_000, axis=1), id="out of phase"),
    ],
)
def test_the_figures_are_finite_whatever_comes(samples: NDArray[np.float64]) -> None:
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        figures = measure(Clip(samples.astype(np.float32), RATE)).figures()

    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_dc_is_silent_once_it_stands() -> None:
    loudness = measure(Clip(np.full((1, 5 * RATE), 0.5, np.float32), RATE))

    assert loudness.sample_peak_dbfs == pytest.approx(-6.02, abs=0.01)
    assert gated_lufs([gating_blocks(loudness.powers[100:], loudness.seconds - 1)]) is None


def test_short_audio_is_measured_over_its_own_length() -> None:
    clip = sine(1000, RATE, 5)

    for seconds, note in (
        (0.3, "Shorter than the 400 ms"),
        (1, "Shorter than 3 s"),
        (2.99, "Shorter than 3 s"),
    ):
        loudness = measure(clip.with_samples(clip.samples[:, : round(seconds * RATE)]))
        assert loudness.integrated_lufs == pytest.approx(-3.01, abs=0.05), seconds
        assert loudness.range_lu is None
        assert loudness.notes[0].startswith(note)
    assert measure(clip).notes == ()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused(value: float) -> None:
    samples = np.zeros((2, 1000), np.float32)
    samples[1, [3, 500]] = value

    with pytest.raises(InputError, match=r"^2 samples are NaN, .*\. Export the file again"):
        measure(Clip(samples, RATE))


def test_an_empty_clip_is_refused() -> None:
    with pytest.raises(InputError, match="Choose another file"):
        measure(Clip(np.zeros((2, 0), np.float32), RATE))


def test_progress_only_grows_and_measuring_can_be_broken_off() -> None:
    clip = programme(RATE, 20)

    shares = list(measure.steps(clip))
    assert len(shares) > 5
    assert shares == sorted(shares)
    assert shares[0] > 0
    assert shares[-1] <= 1

    for after in range(len(shares)):
        steps = measure.steps(clip)
        for _ in range(after):
            next(steps)
        steps.close()
        assert next(steps, None) is None


def test_measuring_leaves_the_clip_as_it_was() -> None:
    samples = programme(RATE, 2).samples.copy()
    before = samples.copy()

    measure(Clip(samples, RATE))

    np.testing.assert_array_equal(samples, before)
    assert samples.flags.writeable


def test_silence_after_sound_is_measured_as_fast_as_sound() -> None:
    noise = programme(RATE, 4).samples
    seconds = {}
    for name, repeats in (("sound", 20), ("silence", 1)):
        samples = np.zeros((2, 80 * RATE), np.float32)
        samples[:, : 4 * RATE * repeats] = np.tile(noise, repeats)
        start = process_time()
        measure(Clip(samples, RATE))
        seconds[name] = process_time() - start

    assert seconds["silence"] < 3 * seconds["sound"]  # a decaying filter must not end in denormal numbers


@pytest.mark.parametrize("rate", [44_100, 96_000])
@pytest.mark.parametrize("seed", range(5))
def test_true_peak_agrees_with_ideal_interpolation(rate: int, seed: int) -> None:
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(2**15))
    spectrum[round(0.8 * spectrum.size) :] = 0  # 0.4 of the rate
    samples = np.fft.irfft(spectrum) * np.hanning(2**15)

    ideal = np.abs(resample(samples, 32 * samples.size)).max()

    assert decibels(true_peak(samples.astype(np.float32)[np.newaxis], rate) / ideal) == pytest.approx(
        0, abs=0.02
    )


def test_true_peak_is_found_wherever_it_falls_among_the_blocks() -> None:
    click = np.where(np.arange(-600, 600) < 0, -0.3, 1.0) * (-1.0) ** np.arange(1200) * np.hanning(1200)
    peaks = []
    for offset in (0, 1, 12, 100, BLOCK // 2):
        # The rest is loud enough to be searched before the quiet start of the click.
        samples = 0.4 * np.sin(2 * np.pi * 100 * np.arange(100 * BLOCK) / RATE)
        samples[9 * BLOCK : 12 * BLOCK] = 0
        samples[10 * BLOCK - 600 + offset :][: click.size] = click
        peaks.append(decibels(true_peak(samples.astype(np.float32)[np.newaxis], RATE)))

    assert peaks == pytest.approx([peaks[-1]] * len(peaks), abs=0.01)
