"""Verdicts on measured sounds whose faults were put in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import aural
from aural.audio import Clip
from aural.loudness.meter import Loudness, measure
from aural.loudness.targets import TARGETS
from aural.loudness.verdicts import CEILING_DBTP, verdicts
from aural.ui.verdicts import LEVELS, chip_list
from tests.loudness.signals import peak_tone, tone
from tests.loudness.test_pipeline import programme

RATE = 48_000


def sine(level_dbfs: float, right: float = 1.0, seconds: float = 4) -> Clip:
    """A sine of 1 kHz with this peak, the right channel times `right`."""
    left = tone(RATE, [(seconds, level_dbfs)]).samples[0]
    return Clip(np.stack([left, np.float32(right) * left]), RATE)


def found(given: Clip | Loudness, kind: str) -> tuple[str, str] | None:
    """Level and text of a verdict; None if there is none of this kind."""
    loudness = measure(given) if isinstance(given, Clip) else given
    told = {one.kind: (one.level, one.text) for one in verdicts(loudness)}
    return told.get(kind)


PROGRAMME = measure(programme())  # coloured noise with rests: no fault in the stereo image


def test_a_sine_above_full_scale_clips() -> None:
    text = "True peak +1.0 dBTP: will clip in playback or after encoding"
    assert found(sine(1), "peak") == ("red", text)


def test_a_peak_between_samples_can_clip_and_is_not_told_as_certain() -> None:
    between = peak_tone(RATE, 4, 45, 1.3)  # Tech 3341: samples at 0.92 of full scale, 1.3 between them
    assert np.abs(between.samples).max() < 1
    level, text = found(between, "peak") or ("", "")
    assert level == "red" and text.endswith(" can clip in playback or after encoding")


def test_a_peak_above_what_services_ask_for_is_a_warning_and_one_below_it_is_good() -> None:
    asked = "the −1 dBTP that most services ask for"
    assert found(sine(-0.5), "peak") == ("amber", f"True peak −0.5 dBTP: above {asked}")
    assert found(sine(-1), "peak") == ("green", f"True peak −1.0 dBTP: within {asked}")
    platforms = [one.ceiling_dbtp for one in TARGETS.values() if one.kind == "platform"]
    assert sum(ceiling == CEILING_DBTP for ceiling in platforms) > len(platforms) / 2


def test_samples_at_full_scale_are_a_warning_and_many_a_problem() -> None:
    text = "samples at full scale"
    assert found(replace(PROGRAMME, full_scale_samples=0), "full_scale") is None
    few = replace(PROGRAMME, full_scale_samples=1)
    assert found(few, "full_scale") == ("amber", "1 sample at full scale: may be clipped")
    samples = PROGRAMME.seconds * PROGRAMME.rate * 2
    many = replace(PROGRAMME, full_scale_samples=1_058)
    assert samples == 1_058_400 and found(many, "full_scale") == ("amber", f"1,058 {text}: may be clipped")
    more = replace(many, full_scale_samples=1_059)  # one in a thousand
    assert found(more, "full_scale") == ("red", f"1,059 {text}: probably clipped audibly")
    clipped = programme().with_samples(np.clip(20 * programme().samples, -1, 1))
    assert (found(clipped, "full_scale") or [""])[0] == "red"


@pytest.mark.parametrize(
    ("lufs", "verdict"),
    [
        (-14.0, ("green", "−14.0 LUFS: fits Spotify, YouTube, Tidal")),
        (-14.96, ("green", "−15.0 LUFS: fits Spotify, YouTube, Tidal")),
        (-15.4, ("green", "−15.4 LUFS: fits Apple Music, Apple Podcasts, Google Assistant")),
        (-11.2, ("green", "−11.2 LUFS: fits Spotify, loud setting")),
        (-23.0, ("green", "−23.0 LUFS: fits EBU R 128")),
        (-26.9, ("green", "−26.9 LUFS: fits Netflix")),
        (-8.0, ("amber", "−8.0 LUFS: 6.0 LU above the −14 of streaming, which turns it down")),
        (-21.0, ("amber", "−21.0 LUFS: 7.0 LU below the −14 of streaming")),
    ],
)
def test_loudness_is_told_by_the_targets_that_it_fits_or_by_how_far_it_is_from_streaming(
    lufs: float, verdict: tuple[str, str]
) -> None:
    assert found(replace(PROGRAMME, integrated_lufs=lufs), "loudness") == verdict


@pytest.mark.parametrize("target", ["spotify", "apple_music", "ebu_r128", "netflix"])
def test_what_was_mastered_for_a_target_fits_it(target: str) -> None:
    result = aural.master(programme(), target=target)
    level, text = found(result.after, "loudness") or ("", "")
    assert level == "green" and TARGETS[target].name in text
    assert (found(result.after, "peak") or [""])[0] == "green"


def test_a_mono_file_fits_the_level_of_mono_files() -> None:
    mono = replace(PROGRAMME, integrated_lufs=-19.0, channels=1, correlation=None, mono_loss_db=None)
    assert found(mono, "loudness") == ("green", "−19.0 LUFS: fits Google Assistant")
    assert found(mono, "correlation") is None and found(mono, "mono") is None


def test_opposite_channels_cancel_and_equal_ones_are_mono() -> None:
    assert found(sine(-20, right=-1), "correlation") == (
        "red",
        "Stereo correlation −1.00: partly cancels in mono",
    )
    assert (found(sine(-20, right=-1), "mono") or [""])[0] == "amber"
    assert found(sine(-20), "correlation") == ("green", "Stereo correlation 1.00: practically mono")
    assert found(sine(-20), "mono") is None
    assert found(sine(-20, right=0), "correlation") == ("amber", "One side of the stereo image is silent")


def test_unrelated_channels_are_wide_and_lose_no_more_than_unrelated_channels_do() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal((2, 4 * RATE))
    common = 0.1 * np.random.default_rng(1).standard_normal(4 * RATE)
    wide = Clip((noise + 0.3 * common).astype(np.float32), RATE)
    level, text = found(wide, "correlation") or ("", "")
    assert level == "amber" and text.endswith(": very wide, so check it in mono")
    assert found(wide, "mono") is None
    usual = Clip((noise + common).astype(np.float32), RATE)
    level, text = found(usual, "correlation") or ("", "")
    assert level == "green" and text.endswith(": holds up in mono")


def test_heavy_limiting_lowers_the_peak_to_loudness_ratio_below_eight() -> None:
    loud = aural.master(programme(), target="free", loudness_lufs=-7, ceiling_dbtp=-1, max_limiting_db=40)
    level, text = found(loud.after, "limiting") or ("", "")
    assert level == "amber" and text.endswith(" LU: as low as after heavy limiting")
    assert (found(PROGRAMME, "limiting") or [""])[0] == "green"


@pytest.mark.parametrize(
    ("quiet_dbfs", "verdict"),
    [
        (-41, ("amber", "Loudness range 21.0 LU: quiet passages get lost in noise")),
        (-32, None),
        (-25, ("green", "Loudness range 5.0 LU: suits noisy places too")),
    ],
)
def test_a_large_loudness_range_asks_for_quiet(quiet_dbfs: float, verdict: tuple[str, str] | None) -> None:
    clip = tone(RATE, [(20, -20), (20, quiet_dbfs)])
    assert found(clip, "range") == verdict


def test_silence_has_no_verdict() -> None:
    assert verdicts(measure(Clip(np.zeros((2, RATE), np.float32), RATE))) == ()
    assert chip_list("Verdicts", ()) == ""


def test_a_reading_that_does_not_exist_has_no_verdict() -> None:
    short = measure(sine(-20, seconds=1))
    assert short.range_lu is None and found(short, "range") is None
    assert found(short, "loudness") is not None


def test_chips_tell_the_level_in_words_and_nothing_of_a_text_is_markup() -> None:
    (red, *_) = [one for one in verdicts(measure(sine(1))) if one.level == "red"]
    chips = chip_list("Verdicts", [red, replace(red, text="<b>")])
    assert f"{LEVELS['red']}: </span>{red.text}</li>" in chips
    assert 'aria-label="Verdicts"' in chips and "<b>" not in chips
