"""A recording goes through all stages, each as its own verb would do it, and nothing is refused late."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import aural
from aural.audio import Clip
from aural.enhancement import pipeline as enhancement
from aural.errors import InputError, OptionError
from aural.loudness import pipeline as mastering
from aural.studio.pipeline import Options, release
from aural.superres import pipeline as superres

pytestmark = pytest.mark.usefixtures("tiny_checkpoints")

RATE = 16_000


def recording(seconds: float = 4.0, rate: int = RATE, channels: int = 1) -> Clip:
    """Noise in bursts, over noise: what speaks and pauses."""
    generator = np.random.default_rng(1)
    time = np.arange(round(seconds * rate)) / rate
    bursts = np.clip(3 * np.sin(2 * np.pi * 1.5 * time), 0.02, 1)
    noise = generator.standard_normal((channels, time.size))
    return Clip((0.05 * noise * bursts).astype(np.float32), rate)


def test_it_is_the_three_verbs_in_a_row() -> None:
    clip = recording()
    made = release(clip, Options(strength=0.7, target="spotify", seed=3))
    enhanced = aural.enhance(clip, preset="podcast", strength=0.7, loudness_lufs=-14.0, seed=3)
    resolved = aural.super_resolve(enhanced.clip, rate=48_000)
    mastered = aural.master(resolved.clip, target="spotify")
    for one, other in (
        (made.enhanced.clip, enhanced.clip),
        (made.super_resolved.clip, resolved.clip),
        (made.clip, mastered.clip),
    ):
        assert one.rate == other.rate
        np.testing.assert_array_equal(one.samples, other.samples)
    assert made.clip is made.mastered.clip and made.super_resolved.source is made.enhanced.clip


@pytest.mark.parametrize(("target", "lufs"), [("apple_podcasts", -16), ("ebu_r128", -23), ("youtube", -14)])
def test_the_result_meets_the_target_at_the_rate_asked_for(target: str, lufs: float) -> None:
    clip = recording(channels=2)
    made = release(clip, Options(target=target, rate=44_100))
    measured = aural.measure(made.clip)
    assert measured.integrated_lufs == pytest.approx(lufs, abs=0.1)
    assert measured.true_peak_dbtp is not None and measured.true_peak_dbtp <= -1
    assert (made.clip.rate, made.clip.channels) == (44_100, 2)
    assert made.clip.frames == round(clip.frames * 44_100 / RATE)


def test_a_soft_target_is_reached_without_pressing_peaks_down() -> None:
    made = release(recording(), Options(target="ebu_r128"))
    assert made.enhanced.voice_chain is not None
    assert made.enhanced.voice_chain.limiting_db == made.mastered.limiting_db == 0
    assert made.enhanced.voice_chain.compression_db > 0  # the tone of the preset is there all the same


def test_without_a_preset_with_a_finish_the_mastering_alone_sets_the_level() -> None:
    made = release(recording(), Options(preset="restore"))
    assert made.enhanced.voice_chain is None
    assert made.mastered.after.integrated_lufs == pytest.approx(-16, abs=0.1)


def test_a_fold_down_to_mono_meets_the_loudness_of_mono() -> None:
    made = release(recording(channels=2), Options(target="google_assistant", downmix="mono"))
    assert (made.clip.channels, made.enhanced.clip.channels) == (1, 2)
    assert made.mastered.target_lufs == -19  # of stereo it wants -16
    assert made.enhanced.after.integrated_lufs == pytest.approx(-19, abs=0.2)


@pytest.mark.parametrize("on", [(), ("enhancement",), ("super_resolution",), ("mastering",)])
def test_a_stage_that_is_off_is_left_out(on: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    def work(*_: Any, **__: Any) -> None:
        pytest.fail("a stage that is off has begun")

    stages = {
        "enhancement": ("enhanced", enhancement.enhance),
        "super_resolution": ("super_resolved", superres.super_resolve),
        "mastering": ("mastered", mastering.master),
    }
    for option, (_, stage) in stages.items():
        if option not in on:
            monkeypatch.setattr(stage, "steps", work)
    clip = recording()
    made = release(clip, Options(**{option: option in on for option in stages}))
    for option, (name, _) in stages.items():
        assert (getattr(made, name) is not None) == (option in on)
    assert list(made.figures()) == ["message", *(stages[option][0] for option in on)]
    assert list(made.loudness()) == ["before", *(stages[option][0] for option in on)]
    assert made.clip.rate == 48_000 and made.clip.seconds == clip.seconds
    measured = aural.measure(made.clip)
    assert made.after.integrated_lufs == pytest.approx(measured.integrated_lufs, abs=0.01)
    assert made.before.integrated_lufs == pytest.approx(aural.measure(clip).integrated_lufs, abs=0.01)
    if "mastering" in on:
        assert measured.integrated_lufs == pytest.approx(-16, abs=0.1)
    else:
        assert measured.integrated_lufs == pytest.approx(made.before.integrated_lufs, abs=1)


def test_with_every_stage_off_a_clip_at_the_rate_is_returned_as_it_is() -> None:
    clip = recording(1, 48_000)
    made = release(clip, Options(enhancement=False, super_resolution=False, mastering=False))
    assert made.clip is clip and made.before is made.after
    assert made.message == "No change: every stage is off."


def test_a_new_rate_without_super_resolution_adds_no_highs() -> None:
    made = release(recording(), Options(super_resolution=False, mastering=False))
    powers = np.abs(np.fft.rfft(made.clip.samples[0])) ** 2
    above = round(1.05 * RATE / 2 / 48_000 * made.clip.frames)
    assert powers[above:].sum() < 1e-6 * powers.sum()


def test_without_mastering_the_level_stays_that_of_the_recording() -> None:
    made = release(recording(), Options(mastering=False))
    assert made.enhanced is not None and made.enhanced.voice_chain is None
    assert made.after.integrated_lufs == pytest.approx(made.before.integrated_lufs, abs=1)


def test_the_figures_are_those_of_the_stages() -> None:
    made = release(recording())
    figures = made.figures()
    assert list(figures) == ["message", "enhanced", "super_resolved", "mastered"]
    assert figures["mastered"] == made.mastered.figures()
    assert figures["super_resolved"]["source_rate"] == RATE
    assert "Noise:" in made.message and "48 kHz" not in made.enhanced.message
    assert made.message.count("LUFS") == made.mastered.message.count("LUFS")  # the last word alone
    assert made.message.endswith(made.mastered.message)


def test_silence_stays_silence_and_says_so() -> None:
    made = release(Clip(np.zeros((1, RATE), np.float32), RATE))
    assert made.clip.frames == 48_000 and not made.clip.samples.any()
    assert "silent" in made.message


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"preset": "radio"}, "preset"),
        ({"preset": ["podcast"]}, "preset"),
        ({"strength": 1.5}, "strength"),
        ({"completion": "yes"}, "completion"),
        ({"enhancement": 1}, "enhancement"),
        ({"super_resolution": "off"}, "super_resolution"),
        ({"mastering": None}, "mastering"),
        ({"rate": 1_000}, "rate"),
        ({"rate": 44_100.5}, "rate"),
        ({"target": "free"}, "target"),
        ({"target": "nowhere"}, "target"),
        ({"downmix": "sideways"}, "down-mix"),
        ({"downmix": 3}, "down-mix"),
        ({"seed": -1}, "seed"),
    ],
)
def test_an_option_of_any_stage_is_refused_at_once(options: dict[str, Any], word: str) -> None:
    with pytest.raises(OptionError, match=word):
        Options(**options)


def test_programs_may_send_the_rate_as_a_float() -> None:
    rate = Options(rate=48_000.0).rate  # type: ignore[arg-type]
    assert rate == 48_000 and isinstance(rate, int)


@pytest.mark.parametrize(
    ("clip", "error", "sentence"),
    [
        (
            Clip(np.ones((3, RATE), np.float32), RATE, "FL+FR+FR"),
            OptionError,
            r"channel layout FL\+FR\+FR\. Choose the closest one yourself",
        ),
        (recording(0.005), InputError, r"too short .*\. Choose one of at least 10 ms\.$"),
        (
            Clip(np.full((1, 800), np.nan, np.float32), RATE),
            InputError,
            r"^800 samples are NaN, .*\. Export the file again",
        ),
    ],
)
def test_a_clip_that_a_later_stage_refuses_is_refused_before_the_first(
    clip: Clip, error: type[Exception], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*_: Any) -> None:
        pytest.fail("the first stage has begun")

    monkeypatch.setattr(enhancement.enhance, "steps", work)
    with pytest.raises(error, match=sentence):
        release(clip, Options())


@pytest.mark.parametrize("strength", [0.5, 0.0])
@pytest.mark.parametrize(("rate", "new_rate"), [(48_000, 44_100), (96_000, 48_000), (48_000, 16_000)])
def test_a_full_band_goes_to_a_lower_rate(strength: float, rate: int, new_rate: int) -> None:
    clip = recording(1, rate)
    made = release(clip, Options(rate=new_rate, strength=strength))
    assert made.clip.rate == new_rate
    assert made.clip.frames == round(clip.frames * new_rate / rate)
    assert made.mastered.after.integrated_lufs == pytest.approx(-16, abs=0.1)


def test_without_a_rate_it_never_falls() -> None:
    rates = [release(recording(1, rate), Options(rate=None)).clip.rate for rate in (16_000, 96_000)]
    assert rates == [48_000, 96_000]


def test_the_steps_rise_from_0_to_1_and_can_be_closed() -> None:
    shares = list(release.steps(recording()))
    assert shares == sorted(shares)
    assert shares[0] >= 0 and 0.95 < shares[-1] <= 1
    assert len(shares) > 10
    steps = release.steps(recording())
    next(steps)
    steps.close()
    with pytest.raises(StopIteration):
        next(steps)


def test_the_same_seed_gives_the_same_samples() -> None:
    first, again = (release(recording(2), Options(seed=5)) for _ in range(2))
    np.testing.assert_array_equal(first.clip.samples, again.clip.samples)
