"""Loops: no click and no dip at the seam, in phase where there is a phase, and nothing else is changed."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from subprocess import run

import gradio as gr
import numpy as np
import pytest
from numpy.typing import NDArray

import aural
from aural.audio import Clip, Tags, read, read_tags, write
from aural.audio.clip import Samples
from aural.errors import InputError, OptionError
from aural.generation import tab
from aural.generation.loop import Options, loop

RATE = 48_000
ROUNDS = 8  # that a loop is heard


def tone(hz: float, seconds: float = 3.0, rate: int = RATE) -> Clip:
    turns = 2 * np.pi * hz * np.arange(round(seconds * rate)) / rate
    return Clip(0.5 * np.sin(turns, dtype=np.float64)[np.newaxis].astype(np.float32), rate)


def noise(seconds: float = 4.0, channels: int = 2, rate: int = RATE, seed: int = 0) -> Clip:
    generator = np.random.default_rng(seed)
    return Clip(0.1 * generator.standard_normal((channels, round(seconds * rate)), dtype=np.float32), rate)


def repeated(clip: Clip) -> NDArray[np.float64]:
    return np.tile(clip.samples[0].astype(np.float64), ROUNDS)


def rest_db(sound: NDArray[np.float64], hz: float, rate: int = RATE) -> float:
    """Power of what is no sine of this frequency, beside the sine's."""
    turns = 2 * np.pi * hz * np.arange(sound.size) / rate
    waves = np.stack((np.sin(turns), np.cos(turns)), axis=1)
    rest = sound - waves @ np.linalg.lstsq(waves, sound)[0]
    return float(10 * np.log10(np.mean(rest**2) / np.mean(sound**2)))


def level_db(samples: Samples) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64))))


@pytest.mark.parametrize("hz", [100.0, 440.0, 441.37])
@pytest.mark.parametrize("crossfade_seconds", [0.01, 0.5, 10.0])
def test_a_repeated_sine_stays_a_sine(hz: float, crossfade_seconds: float) -> None:
    sound = tone(hz)
    assert rest_db(repeated(sound.with_samples(sound.samples[:, :100_100])), hz) > -30  # a cut anywhere
    result = loop(sound, Options(crossfade_seconds))
    assert rest_db(repeated(result.clip), hz) < -60
    assert result.similarity == pytest.approx(1, abs=1e-4)
    assert result.seam_db == pytest.approx(0, abs=0.01)
    assert result.clip.seconds > 2.2 - result.crossfade_seconds


def test_a_sine_whose_period_fits_goes_on_for_ever() -> None:
    result = loop(tone(480))
    heard = repeated(result.clip)
    start = round(result.start_seconds * RATE)
    assert result.clip.frames % 100 == 0
    assert np.allclose(heard, tone(480, 30).samples[0, start : start + heard.size], atol=1e-6)


@pytest.mark.parametrize("sound", [tone(439.3), noise(rate=8_000), aural.degrade(noise(channels=1))])
def test_the_step_from_end_to_start_is_one_of_many(sound: Clip) -> None:
    samples = loop(sound).clip.samples
    steps = np.abs(np.diff(samples, axis=1))
    assert (np.abs(samples[:, 0] - samples[:, -1]) <= steps.max(axis=1)).all()


@pytest.mark.parametrize("crossfade_seconds", [0.1, 0.5, 1.0])
def test_noise_keeps_its_level_in_the_crossfade(crossfade_seconds: float) -> None:
    sound = noise()
    result = loop(sound, Options(crossfade_seconds))
    frames = round(crossfade_seconds * RATE)
    assert result.crossfade_seconds == crossfade_seconds
    for part in np.array_split(result.clip.samples[:, :frames], 5, axis=1):
        assert level_db(part) == pytest.approx(level_db(sound.samples), abs=1)
    assert result.seam_db == pytest.approx(0, abs=0.2)
    # Fades whose gains add up to 1 have a dip of 3 dB there.
    start, end = (round(at * RATE) for at in (result.start_seconds, result.end_seconds))
    share = np.linspace(0, 1, frames, dtype=np.float32)
    plain = share * sound.samples[:, start:][:, :frames] + (1 - share) * sound.samples[:, end:][:, :frames]
    middle = slice(2 * frames // 5, 3 * frames // 5)
    assert level_db(plain[:, middle]) < level_db(sound.samples) - 2


def test_behind_the_crossfade_the_loop_is_the_sound() -> None:
    sound = noise(channels=3)
    result = loop(sound, Options(0.2))
    start, end = (round(at * RATE) for at in (result.start_seconds, result.end_seconds))
    frames = round(0.2 * RATE)
    assert result.clip.frames == end - start
    assert np.array_equal(result.clip.samples[:, frames:], sound.samples[:, start + frames : end])
    assert end + frames <= sound.frames
    # The sample after the last is nearly the one that followed it in the sound.
    assert np.allclose(result.clip.samples[:, 0], sound.samples[:, end], atol=1e-4)


def test_a_rhythm_is_kept() -> None:
    """Beats of noise every half a second, of unequal lengths in a bar of two seconds."""
    beats = np.zeros((1, 11 * RATE), np.float32)
    bar = np.zeros(2 * RATE, np.float32)
    for number, length in enumerate((4_000, 2_000, 9_000, 3_000)):
        bar[number * RATE // 2 :][:length] = noise(1, 1, seed=number).samples[0, :length]
    beats[0] = np.resize(bar, 11 * RATE)
    beats += noise(11, 1).samples / 100
    assert loop(Clip(beats, RATE)).clip.frames % (2 * RATE) == 0


def test_the_loop_ends_where_the_level_is_that_of_the_start() -> None:
    """A drone that dies away slowly, at the end at once."""
    drone = tone(200, 8).samples * np.exp(-np.arange(8 * RATE) / RATE / 8).astype(np.float32)
    drone[:, 7 * RATE :] *= np.linspace(1, 0, RATE, dtype=np.float32) ** 2
    result = loop(Clip(drone, RATE))
    assert 3.9 < result.end_seconds < 6.8
    assert result.similarity > 0.85


def test_silence_at_the_ends_is_left_out() -> None:
    sound = noise(2).samples
    quiet = np.full((2, RATE), 1e-5, np.float32)
    result = loop(Clip(np.concatenate((quiet, sound, quiet), axis=1), RATE))
    alone = loop(Clip(sound, RATE))
    assert result.start_seconds == pytest.approx(1, abs=1e-3)
    assert result.end_seconds == pytest.approx(1 + alone.end_seconds, abs=1e-3)
    assert result.end_seconds < 3 - result.crossfade_seconds + 1e-3


def test_a_sound_twice_as_loud_gives_a_loop_twice_as_loud() -> None:
    sound = noise()
    once, twice = loop(sound), loop(sound.with_samples(2 * sound.samples))
    assert np.array_equal(twice.clip.samples, 2 * once.clip.samples)
    assert twice.similarity == once.similarity


def test_the_same_sound_gives_the_same_loop() -> None:
    assert np.array_equal(loop(noise()).clip.samples, loop(noise()).clip.samples)


def test_all_channels_are_cut_and_faded_alike() -> None:
    mono = noise(channels=1).samples
    pair = loop(Clip(np.concatenate((mono, -0.25 * mono)), RATE, layout="stereo"))
    assert np.allclose(pair.clip.samples[1], -0.25 * pair.clip.samples[0], atol=1e-8)
    six = loop(Clip(noise(channels=6).samples, 44_100, layout="5.1(side)")).clip
    assert (six.channels, six.rate, six.layout) == (6, 44_100, "5.1(side)")
    # A channel without sound stays one.
    half = loop(Clip(np.concatenate((mono, 0 * mono)), RATE)).clip
    assert not half.samples[1].any() and half.samples[0].any()


def test_a_constant_offset_stays_constant() -> None:
    sound = noise(channels=1).samples
    shifted = loop(Clip(sound + np.float32(0.4), RATE)).clip.samples
    frames = round(0.5 * RATE)
    for part in np.array_split(shifted[0, :frames], 5):
        assert part.mean() == pytest.approx(0.4, abs=0.01)
    flat = loop(Clip(np.full((1, RATE), 0.3, np.float32), RATE))
    assert np.allclose(flat.clip.samples, 0.3) and flat.seam_db == 0


@pytest.mark.parametrize("frames", [960, 961, 1_000, 5_000, 47_999])
def test_a_short_sound_gets_a_shorter_crossfade(frames: int) -> None:
    sound = noise(frames / RATE)
    result = loop(sound, Options(10))
    assert result.crossfade_seconds == frames // 4 / RATE
    assert frames / 2 <= result.clip.frames <= frames - frames // 4
    assert result.message.endswith(" A longer crossfade needs a longer sound.")
    json.dumps(result.figures(), allow_nan=False)


@pytest.mark.parametrize("rate", [1, 10, 400])
def test_a_low_rate_needs_a_few_samples(rate: int) -> None:
    assert 4 <= loop(Clip(noise(8 / RATE).samples, rate)).clip.frames <= 6
    with pytest.raises(InputError, match=rf"Choose one of at least {8000 / rate:.0f} ms\.$"):
        loop(Clip(noise(7 / RATE).samples, rate))


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (np.zeros((1, 0)), "The audio is empty. Choose another file."),
        (np.zeros((2, RATE)), "The sound is silent. Choose another file."),
        (np.ones((1, 1)), "The sound is too short for a loop (0 ms). Choose one of at least 20 ms."),
        (noise(0.019).samples, "The sound is too short for a loop (19 ms). Choose one of at least 20 ms."),
        (np.eye(1, RATE), "The sound is too short for a loop (0 ms). Choose one of at least 20 ms."),
        (np.full((1, RATE), np.nan), "48000 samples are NaN, infinite or far beyond full scale."),
    ],
)
def test_what_gives_no_loop_is_told_with_the_remedy(samples: Samples, said: str) -> None:
    with pytest.raises(InputError) as refusal:
        loop(Clip(samples.astype(np.float32), RATE))
    assert str(refusal.value).startswith(said)


@pytest.mark.parametrize("seconds", [0.0, 0.009, 10.1, math.nan, True, "1"])
def test_a_crossfade_out_of_range_is_refused(seconds: float) -> None:
    with pytest.raises(OptionError, match=r"^The crossfade must be from 0.01 to 10 s, not "):
        Options(seconds)


def test_extreme_levels_stay_finite() -> None:
    for factor in (1e19, 1e-30, 1e-42):
        result = loop(noise(1).with_samples(noise(1).samples * np.float32(factor)))
        assert np.isfinite(result.clip.samples).all() and result.clip.samples.any()
        json.dumps(result.figures(), allow_nan=False)


def test_the_library_makes_a_loop_without_pytorch() -> None:
    code = (
        "import sys, numpy, aural; from aural.audio import Clip;"
        "sound = Clip(numpy.random.default_rng(0).standard_normal((1, 8000)), 8000);"
        "print(aural.loop(sound, crossfade_seconds=0.1).clip.frames, 'torch' in sys.modules)"
    )
    done = run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    frames, has_torch = done.stdout.split()
    assert 4_000 <= int(frames) <= 7_200 and has_torch == "False"


def test_the_page_gets_the_loop_and_the_same_part_uncut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    source = write(noise(), tmp_path / "rain.wav", tags=Tags({"title": "Rain"}))
    *_, (path, figures, cut) = tab.loop(str(source), 0.25)
    expected = loop(read(source), Options(0.25))
    assert Path(path).name == "rain-loop.wav" and read_tags(path).texts == {"title": "Rain"}
    assert np.allclose(read(path).samples, expected.clip.samples, atol=2**-23)
    assert figures == expected.figures()
    frames = round(0.25 * RATE)
    assert read(cut).samples.shape == read(path).samples.shape
    assert np.array_equal(read(cut).samples[:, frames:], read(path).samples[:, frames:])
    message, versions = tab._show_loop(path, figures, cut)
    assert message == f"**{expected.message}**"
    assert [one.label for one in versions] == ["Loop", "Without crossfade"]
    assert all(one.loudness_lufs is not None for one in versions)


def test_the_page_is_told_what_gives_no_loop(tmp_path: Path) -> None:
    for audio, said in ((None, "No audio yet"), (str(write(noise(0.01), tmp_path / "a.wav")), "too short")):
        with pytest.raises(gr.Error, match=said):
            list(tab.loop(audio))
    with pytest.raises(gr.Error, match=r"crossfade must be from 0.01 to 10 s, not empty"):
        list(tab.loop(str(tmp_path / "a.wav"), None))
