"""Verdicts on sounds whose faults are known, because they were put in."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

from aural.audio import Clip, read
from aural.enhancement.analysis import Analysis, analyze
from aural.loudness.targets import TARGETS
from aural.studio.verdicts import Plan, plan, sound_of, verdicts
from aural.ui.examples import EXAMPLES, PHONE_EXAMPLES
from aural.ui.verdicts import Verdict

PODCAST = TARGETS["apple_podcasts"]  # -16 LUFS, -1 dBTP
LEVEL = 10 ** ((-16 + 26.5) / 20)  # brings the speech to it
SPEECH = next(example.path for example in EXAMPLES if example.title.startswith("Speech"))


@cache
def speech() -> Clip:
    """A studio voice at -26 LUFS."""
    return read(SPEECH)


def changed(samples: np.ndarray) -> Analysis:
    return analyze(speech().with_samples(samples.astype(np.float32)))


def noisy(snr_db: float) -> Analysis:
    voice = speech().samples
    noise = np.random.default_rng(0).standard_normal(voice.shape)
    return changed(voice + noise * np.sqrt(np.mean(voice**2)) * 10 ** (-snr_db / 20))


def found(analysis: Analysis, kind: str, target: str = "apple_podcasts") -> Verdict | None:
    return next((one for one in verdicts(analysis, TARGETS[target]) if one.kind == kind), None)


def switched(chosen: Plan) -> tuple[bool, bool, bool]:
    return chosen.enhancement.on, chosen.super_resolution.on, chosen.mastering.on


def test_a_clean_voice_at_the_target_needs_nothing() -> None:
    clean = analyze(speech())
    told = [(one.kind, one.level) for one in verdicts(clean, replace(PODCAST, loudness_lufs=-26))]
    assert told == [("sound", "green"), ("clean", "green"), ("loudness", "green")]
    chosen = plan(clean, replace(PODCAST, loudness_lufs=-26))
    assert switched(chosen) == (False, False, False)
    assert chosen.super_resolution.reason == "Nothing to do: already full-band (19.9 kHz)."
    assert chosen.mastering.reason == "Nothing to do: already −26 LUFS."


@pytest.mark.parametrize(("snr_db", "level", "word"), [(17, "amber", "Noisy"), (6, "red", "Very noisy")])
def test_noise_is_told_with_its_level(snr_db: float, level: str, word: str) -> None:
    analysis = noisy(snr_db)
    verdict = found(analysis, "noise")
    assert verdict is not None and verdict.level == level
    assert verdict.text == f"{word} ({analysis.snr_db:.0f} dB SNR)"
    assert analysis.snr_db == pytest.approx(snr_db, abs=2.5)
    assert found(analysis, "clean") is None
    chosen = plan(analysis, PODCAST)
    assert chosen.enhancement.on and verdict.text in chosen.enhancement.reason


def test_a_room_is_told_with_its_time() -> None:
    rate, generator = speech().rate, np.random.default_rng(0)
    time_s = np.arange(rate) / rate
    room = generator.standard_normal(rate) * 10 ** (-3 * time_s / 0.7)
    room[0] = 0.5 * np.sqrt(np.square(room).sum())
    wet = np.fft.irfft(np.fft.rfft(speech().samples, 2**19) * np.fft.rfft(room, 2**19))
    verdict = found(changed(wet[:, : speech().frames] / 40), "echo")
    assert verdict is not None and verdict.level in ("amber", "red")
    assert 0.4 < float(verdict.text.removeprefix("Room echo (").removesuffix(" s)")) < 1.2


@pytest.mark.parametrize(("hz", "level"), [(3_600, "red"), (11_000, "amber")])
def test_a_band_that_ends_early_is_told_with_its_end(hz: float, level: str) -> None:
    low = sosfiltfilt(butter(12, hz, fs=speech().rate, output="sos"), speech().samples)
    analysis = changed(low)
    verdict = found(analysis, "band")
    assert verdict is not None and verdict.level == level
    assert float(verdict.text.removeprefix("Band ends at ").removesuffix(" kHz")) == pytest.approx(
        hz / 1000, rel=0.15
    )
    assert plan(analysis, PODCAST).super_resolution.on


def test_clipping_is_told_with_its_share() -> None:
    loud = 2 * LEVEL * speech().samples
    verdict = found(changed(np.clip(loud, -0.9, 0.9)), "clipping")
    assert verdict is not None and verdict.level == "red"
    share = np.mean(np.abs(loud) >= 0.9)
    assert float(verdict.text.removeprefix("Clipped (").removesuffix(" %)")) == pytest.approx(
        100 * share, rel=0.3
    )


@pytest.mark.parametrize(
    ("target", "gain_db", "level", "text"),
    [
        ("apple_podcasts", -8.5, "red", "−35 LUFS: too quiet for Apple Podcasts"),
        ("apple_podcasts", 8.5, "amber", "−18 LUFS: too quiet for Apple Podcasts"),
        ("ebu_r128", 8.5, "amber", "−18 LUFS: too loud for EBU R 128"),
        ("apple_podcasts", 11.0, "green", "−16 LUFS: right for Apple Podcasts"),
        ("google_assistant", 7.5, "green", "−19 LUFS: right for Google Assistant"),  # of mono it wants less
    ],
)
def test_loudness_is_judged_by_the_target(target: str, gain_db: float, level: str, text: str) -> None:
    quiet = changed(np.tanh(speech().samples * 10 ** (gain_db / 20)))
    verdict = found(quiet, "loudness", target)
    assert verdict is not None and (verdict.level, verdict.text) == (level, text)
    assert plan(quiet, TARGETS[target]).mastering.on == (level != "green")


@pytest.mark.parametrize(("peak", "level", "text"), [(1.25, "red", "will clip"), (0.95, "amber", "−1")])
def test_a_true_peak_above_the_limit_is_told(peak: float, level: str, text: str) -> None:
    hot = changed(speech().samples * peak / np.abs(speech().samples).max())
    verdict = found(hot, "peak")
    assert verdict is not None and verdict.level == level and verdict.text.endswith(text)
    assert plan(hot, PODCAST).mastering.on


def test_a_platform_that_only_turns_down_leaves_a_quiet_file() -> None:
    chosen = plan(analyze(speech()), TARGETS["youtube"])
    assert not chosen.mastering.on and "leaves quiet files" in chosen.mastering.reason


def test_what_the_other_stages_change_is_brought_to_the_target() -> None:
    target = replace(PODCAST, loudness_lufs=noisy(6).integrated_lufs or 0.0)
    assert switched(plan(noisy(6), target)) == (True, False, True)


def test_music_is_not_cleaned_as_a_voice() -> None:
    for example in EXAMPLES[:3]:
        analysis = analyze(read(example.path))
        assert sound_of(analysis) == "music", example.title
        assert found(analysis, "noise") is None and found(analysis, "echo") is None
        assert not plan(analysis, PODCAST).enhancement.on


@pytest.mark.parametrize("example", PHONE_EXAMPLES, ids=lambda example: example.title)
def test_voices_through_a_phone_are_speech_to_be_cleaned(example) -> None:  # type: ignore[no-untyped-def]
    analysis = analyze(read(example.path))
    assert sound_of(analysis) == "speech"
    assert switched(plan(analysis, PODCAST)) == (True, True, True)


def test_noise_is_neither_speech_nor_music() -> None:
    noise = np.random.default_rng(0).standard_normal((1, 48_000 * 3))
    assert sound_of(analyze(Clip((0.1 * noise).astype(np.float32), 48_000))) == "other"


def test_silence_is_told_and_nothing_is_done_to_it() -> None:
    silent = analyze(Clip(np.zeros((1, 48_000), np.float32), 48_000))
    (verdict,) = verdicts(silent, PODCAST)
    assert verdict.kind == "silence"
    assert switched(plan(silent, PODCAST)) == (False, False, False)
