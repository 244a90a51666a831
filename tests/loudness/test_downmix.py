"""Fold-downs by their published coefficients, and a phase-safe mono that loses nothing."""

import numpy as np
import pytest
from numpy.typing import NDArray

from aural.audio import Clip, read
from aural.errors import OptionError
from aural.loudness import downmix as downmix_module
from aural.loudness.downmix import METHODS, downmix
from aural.loudness.layouts import LAYOUTS
from tests.loudness.examples import MUSIC
from tests.loudness.signals import programme

RATE = 48_000
STEREO = ("stereo", "stereo_lt_rt", "stereo_pro_logic_ii")
MONO = tuple(method for method in METHODS if method.startswith("mono"))

# ITU-R BS.775-4, table 2: what each channel gives to left and right. The LFE gives nothing.
LO_RO = {
    "FL": (1.0, 0.0),
    "FR": (0.0, 1.0),
    "FC": (0.7071, 0.7071),
    "LFE": (0.0, 0.0),
    "BL": (0.7071, 0.0),
    "BR": (0.0, 0.7071),
    "SL": (0.7071, 0.0),
    "SR": (0.0, 0.7071),
    "BC": (0.5, 0.5),
}
SIDES_BESIDE_BACKS = {"SL": (0.5, 0.0), "SR": (0.0, 0.5)}  # 7.1 folds to 5.1 by back + 0.7071 side


def responses(layout: str, method: str, normalise: bool = False) -> NDArray[np.float32]:
    """What an impulse in each channel gives in each output. Shape: (outputs, channels)."""
    impulses = np.eye(len(LAYOUTS[layout]), dtype=np.float32)
    return downmix(Clip(impulses, RATE, layout), method, normalise=normalise).samples


def lo_ro(layout: str) -> NDArray[np.float64]:
    channels = LAYOUTS[layout]
    coefficients = LO_RO | (SIDES_BESIDE_BACKS if {"SL", "BL"} <= set(channels) else {})
    return np.array([coefficients[channel] for channel in channels]).T


def level_db(samples: NDArray[np.float32]) -> float:
    """Mean power over all channels."""
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-30))


def phase_safe_change_db(samples: NDArray[np.float32], rate: int = RATE) -> float:
    """Level of the phase-safe mono against that of the channels."""
    return level_db(downmix(Clip(samples, rate), "mono_phase_safe").samples) - level_db(samples)


def noise(seconds: float, rate: int = RATE, channels: int = 1) -> NDArray[np.float32]:
    random = np.random.default_rng(7)
    return (0.1 * random.standard_normal((channels, round(seconds * rate)))).astype(np.float32)


def tone(frequency_hz: float, rate: int = RATE) -> NDArray[np.float32]:
    sine: NDArray[np.float64] = np.sin(2 * np.pi * frequency_hz / rate * np.arange(rate))
    return sine[np.newaxis].astype(np.float32)


def panned(sound: NDArray[np.float32], left: float, right: float) -> NDArray[np.float32]:
    return np.array([[left], [right]], np.float32) * sound


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_folds_to_stereo_and_mono_by_bs_775(layout: str) -> None:
    left, right = lo_ro(layout)

    np.testing.assert_allclose(responses(layout, "stereo"), [left, right], atol=1e-4)
    if layout != "mono":
        np.testing.assert_allclose(responses(layout, "mono"), [0.7071 * (left + right)], atol=1e-4)
        np.testing.assert_allclose(responses(layout, "mono_mid"), [0.5 * (left + right)], atol=1e-4)
        np.testing.assert_allclose(responses(layout, "mono_left"), [left], atol=1e-4)
        np.testing.assert_allclose(responses(layout, "mono_right"), [right], atol=1e-4)


def test_5_1_to_mono_is_the_printed_formula() -> None:
    np.testing.assert_allclose(responses("5.1", "mono"), [[0.7071, 0.7071, 1, 0, 0.5, 0.5]], atol=1e-4)


@pytest.mark.parametrize(
    ("method", "left", "right"),
    [
        ("stereo_lt_rt", [1, 0, 0.7071, 0, -0.5, -0.5], [0, 1, 0.7071, 0, 0.5, 0.5]),
        ("stereo_pro_logic_ii", [1, 0, 0.7071, 0, -0.866, -0.5], [0, 1, 0.7071, 0, 0.5, 0.866]),
    ],
)
def test_matrixed_stereo_carries_the_surrounds_out_of_phase(
    method: str, left: list[float], right: list[float]
) -> None:
    for layout in ("5.1", "5.1(side)"):
        np.testing.assert_allclose(responses(layout, method), [left, right], atol=1e-4)
    rear = responses("5.1", method)[:, 4:].sum(axis=1)
    assert rear[0] == pytest.approx(-rear[1])  # a sound in both surrounds: what a decoder sends behind


def test_mono_listeners_of_a_matrixed_mix_lose_the_rear() -> None:
    mono = responses("5.1", "mono_lt_rt")[0]

    np.testing.assert_allclose(mono[:4], [0.7071, 0.7071, 1, 0], atol=1e-4)
    np.testing.assert_allclose(mono[4:], 0, atol=1e-6)


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout != "mono"])
def test_normalised_nothing_can_exceed_full_scale_and_the_balance_stays(layout: str) -> None:
    for method in set(METHODS) - {"keep", "mono_phase_safe"}:
        plain, normalised = responses(layout, method), responses(layout, method, normalise=True)
        assert np.abs(normalised).sum(axis=1).max() == pytest.approx(1)
        np.testing.assert_allclose(normalised * np.abs(plain).sum(axis=1).max(), plain, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_length_rate_and_the_name_of_the_layout_are_right(method: str) -> None:
    for layout in LAYOUTS:
        clip = Clip(np.full((len(LAYOUTS[layout]), 1001), 0.1, np.float32), 44_100, layout)
        folded = downmix(clip, method)
        expected = layout if method == "keep" else "stereo" if method in STEREO else "mono"
        assert (folded.layout, folded.channels) == (expected, len(LAYOUTS[expected]))
        assert (folded.frames, folded.rate) == (1001, 44_100)
        assert np.isfinite(folded.samples).all()


@pytest.mark.parametrize("method", ["keep", *MONO])
def test_mono_stays_as_it_is(method: str) -> None:
    samples = noise(0.1)

    np.testing.assert_array_equal(downmix(Clip(samples, RATE), method).samples, samples)


def test_left_right_and_mid_of_stereo_are_what_they_say() -> None:
    clip = programme(RATE, 1)
    left, right = clip.samples

    for method, expected in (("mono_left", left), ("mono_right", right), ("mono_mid", 0.5 * (left + right))):
        np.testing.assert_allclose(downmix(clip, method).samples[0], expected, atol=1e-7)
    for method in ("keep", *STEREO):
        np.testing.assert_array_equal(downmix(clip, method).samples, clip.samples)


def test_the_layout_may_be_told() -> None:
    clip = Clip(np.eye(6, dtype=np.float32), RATE)

    np.testing.assert_allclose(downmix(clip, "stereo").samples[0, 3], 0)  # 5.1: the LFE
    np.testing.assert_allclose(downmix(clip, "stereo", layout="6.0").samples[0, 3], 0.5)  # the centre back


@pytest.mark.parametrize("method", ["", "MONO", "mono_loud"])
def test_an_unknown_method_is_refused(method: str) -> None:
    with pytest.raises(OptionError, match=r"\. Choose one of keep, stereo"):
        downmix(programme(RATE, 1), method)


def test_a_layout_that_does_not_fit_is_refused() -> None:
    with pytest.raises(
        OptionError,
        match=r"^The layout 5\.1 has 6 channels and the audio 2\. Choose a layout that fits, or auto\.$",
    ):
        downmix(programme(RATE, 1), "mono", layout="5.1")


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_phase_safe_sound_out_of_phase_keeps_the_level_of_its_channels(rate: int) -> None:
    sounds = [tone(f, rate) for f in (40, 100, 440, 3_000)] + [noise(1, rate)]
    for sound in sounds:
        assert phase_safe_change_db(panned(sound, 1, -1), rate) == pytest.approx(0, abs=0.2)


def test_phase_safe_music_out_of_phase_keeps_the_level_of_its_channels() -> None:
    for clip in [programme(44_100, 10), *map(read, MUSIC)]:
        samples = panned(clip.samples[:1, : 10 * clip.rate], 1, -1)
        assert phase_safe_change_db(samples, clip.rate) == pytest.approx(0, abs=1)


@pytest.mark.parametrize("right", [-0.9, -0.5, -0.1, 0.0, 0.5])
def test_phase_safe_a_panned_sound_keeps_its_power(right: float) -> None:
    for sound in (tone(440), noise(1)):
        for samples in (panned(sound, 1, right), panned(sound, right, 1), panned(sound, -1, -right)):
            assert phase_safe_change_db(samples) == pytest.approx(0, abs=0.1)


def test_phase_safe_unrelated_channels_keep_their_power() -> None:
    assert phase_safe_change_db(noise(2, channels=2)) == pytest.approx(0, abs=0.1)


def test_phase_safe_a_delayed_channel_leaves_no_comb_filter() -> None:
    sound = noise(2)[0]
    delayed = np.roll(sound, RATE // 1000)  # (L + R) / 2 cancels 500 Hz, 1500 Hz, ...

    mono = downmix(Clip(np.stack([sound, delayed]), RATE), "mono_phase_safe").samples[0]

    frequencies = np.fft.rfftfreq(sound.size, 1 / RATE)
    notch = (frequencies > 450) & (frequencies < 550)
    before, after = (np.sum(np.abs(np.fft.rfft(x)[notch]) ** 2) for x in (sound, mono))
    assert 10 * np.log10(after / before) == pytest.approx(0, abs=1)


def test_phase_safe_sound_in_phase_passes_bit_for_bit() -> None:
    sound = programme(RATE, 3).samples[:1]

    mono = downmix(Clip(sound.repeat(2, axis=0), RATE), "mono_phase_safe").samples

    np.testing.assert_array_equal(mono, sound)


@pytest.mark.parametrize(("left", "right"), [(1, 1), (1, 0), (0, 1), (1, -0.5), (1, -1)])
def test_phase_safe_a_click_stays_a_click_where_it_is(left: float, right: float) -> None:
    samples = np.zeros((2, RATE), np.float32)
    samples[:, 20_000] = left, right

    energy = downmix(Clip(samples, RATE), "mono_phase_safe").samples[0].astype(np.float64) ** 2

    milliseconds = (np.arange(RATE) - 20_000) * 1000 / RATE
    assert (energy @ milliseconds) / energy.sum() == pytest.approx(0, abs=0.1)
    assert energy[np.abs(milliseconds) > 5].sum() < 0.002 * energy.sum()
    assert energy.sum() == pytest.approx((left**2 + right**2) / 2, rel=0.01)


def test_phase_safe_nothing_is_heard_before_a_sound_begins() -> None:
    samples = panned(noise(1), 1, -1)
    samples[:, : RATE // 2] = 0

    mono = downmix(Clip(samples, RATE), "mono_phase_safe").samples[0]

    window = round(downmix_module.WINDOW_SECONDS * RATE)
    assert np.abs(mono[: RATE // 2 - window]).max() < 1e-6
    early = mono[RATE // 2 - window : RATE // 2 - RATE // 100]
    assert level_db(early) < level_db(samples[:, RATE // 2 :]) - 40


def test_phase_safe_a_channel_that_flips_is_heard_again_within_50_ms() -> None:
    sound = noise(2)
    samples = sound.repeat(2, axis=0)
    samples[1, RATE:] *= -1

    mono = downmix(Clip(samples, RATE), "mono_phase_safe").samples[0]

    after = mono[RATE + RATE // 20 : RATE + RATE // 10]
    assert level_db(after) == pytest.approx(level_db(sound), abs=3)


@pytest.mark.parametrize("frames", [1, 2, 3, 100, 511, 512, 513, 2_047, 2_048, 2_049, 5_001])
def test_phase_safe_any_length_is_kept(frames: int) -> None:
    for rate in (8_000, 44_100, 192_000):
        sound = noise(1, rate)[:, :frames]
        for right in (1, -1, 0.3):
            mono = downmix(Clip(panned(sound, 1, right), rate), "mono_phase_safe").samples
            assert mono.shape == sound.shape
            assert np.isfinite(mono).all()
            assert level_db(mono) <= level_db(panned(sound, 1, right)) + 3


@pytest.mark.parametrize("frames_at_a_time", [1, 7, 100_000])
def test_phase_safe_the_result_does_not_depend_on_how_much_is_handled_at_a_time(
    monkeypatch: pytest.MonkeyPatch, frames_at_a_time: int
) -> None:
    clip = programme(RATE, 8.123)
    whole = downmix(clip, "mono_phase_safe").samples

    monkeypatch.setattr(downmix_module, "FRAMES_AT_A_TIME", frames_at_a_time)

    np.testing.assert_allclose(downmix(clip, "mono_phase_safe").samples, whole, atol=1e-6)


def test_phase_safe_surround_is_folded_to_stereo_first() -> None:
    surround = np.zeros((6, 2 * RATE), np.float32)
    surround[4:] = panned(noise(2), 1, -1)  # out of phase in the surrounds only

    mono = downmix(Clip(surround, RATE, "5.1"), "mono_phase_safe").samples

    assert level_db(mono) == pytest.approx(level_db(surround[4:]) - 3.01, abs=0.1)


def test_phase_safe_progress_only_grows_and_folding_can_be_broken_off() -> None:
    clip = programme(RATE, 20)

    shares = list(downmix.steps(clip, "mono_phase_safe"))
    assert len(shares) > 2
    assert shares == sorted(shares)
    assert shares[-1] == 1

    steps = downmix.steps(clip, "mono_phase_safe")
    next(steps)
    steps.close()
    assert next(steps, None) is None


@pytest.mark.parametrize("method", METHODS)
def test_folding_leaves_the_clip_as_it_was(method: str) -> None:
    samples = noise(0.2, channels=6)
    before = samples.copy()

    downmix(Clip(samples, RATE), method)

    np.testing.assert_array_equal(samples, before)
