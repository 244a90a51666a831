"""Enhancement around the networks: level, time, rate and image come out as they went in."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import aural
from aural import hub
from aural.audio import Clip, sample_file, wav_encoding
from aural.audio.resample import resample
from aural.enhancement import analysis, pipeline, voice_chain
from aural.enhancement.features import FRONT_END
from aural.enhancement.level import ACTIVE_RMS, active_level
from aural.enhancement.pipeline import PRESETS, SETTINGS, Options, Setting, enhance
from aural.errors import InputError, OptionError
from aural.loudness.meter import measure
from aural.training.checkpoints import save
from aural.vocoding import model as vocoder
from tests.enhancement.tiny import write_checkpoints

RATE, HOP = FRONT_END.rate, FRONT_END.hop
TINY_VOCODER = vocoder.Config(width=16, layers=1, rounds=2)
# Short chunks, so that seconds of sound are many of them.
CHUNK_FRAMES, OVERLAP_FRAMES = 80, 16


@dataclass(frozen=True)
class Plain:
    """Masks that pass a share of every bin and call the rest background."""

    share: Tensor | float
    frames: int

    def apply(self, spectrum: Tensor) -> Tensor:
        return self.share * spectrum

    def background(self, spectrum: Tensor) -> Tensor:
        return (1 - self.share) * spectrum

    @property
    def f0_hz(self) -> Tensor:
        return torch.full((1, self.frames), 120.0)

    @property
    def voicing(self) -> Tensor:
        return torch.ones(1, self.frames)


class PlainDenoiser(nn.Module):
    """Passes the same share of everything, or of each bin by its own level in this frame."""

    def __init__(self, share: float | None) -> None:
        super().__init__()
        self.share = share

    def forward(self, spectrum: Tensor, conditioning: Tensor) -> Plain:
        assert spectrum.shape[0] == 1 and spectrum.shape[1] == FRONT_END.bins
        assert conditioning.shape == (1, 4, spectrum.shape[2])
        magnitude = spectrum.abs()
        return Plain(magnitude / (magnitude + 1e-3) if self.share is None else self.share, spectrum.shape[2])


@dataclass(frozen=True)
class Late(Plain):
    """Delays everything by two frames, 32 ms."""

    def apply(self, spectrum: Tensor) -> Tensor:
        return torch.roll(spectrum, 2, -1)


class LateDenoiser(nn.Module):
    """Continues after the end of the sound, as filters over frames do."""

    def forward(self, spectrum: Tensor, _conditioning: Tensor) -> Plain:
        return Late(1.0, spectrum.shape[2])


class PlainCompleter(nn.Module):
    """Adds noise in proportion to each frame's level."""

    def complete(
        self, denoised: Tensor, noisy: Tensor, conditioning: Tensor, generator: torch.Generator
    ) -> Tensor:
        assert noisy.shape[0] == 1 and conditioning.shape[-1] == denoised.shape[-1]
        noise = torch.randn(1, *denoised.shape[1:], 2, generator=generator)
        return 0.1 * torch.view_as_complex(noise) * denoised.abs().mean(1, keepdim=True)


class PlainExtender(nn.Module):
    """Adds a tone, in pieces of 2 s, and keeps what it was given."""

    AMPLITUDE, TONE_HZ = 0.01, 15_000

    def __init__(self) -> None:
        super().__init__()
        self.band_hz: float | None = None
        self.seen = np.zeros((1, 0), np.float32)

    def pieces(self, samples: Tensor, bandwidth_hz: float, gain: float) -> Iterator[tuple[int, Tensor]]:
        self.band_hz, self.seen = bandwidth_hz, gain * samples.numpy()
        time = torch.arange(samples.shape[1], dtype=torch.float64) / RATE
        tone = self.AMPLITUDE * torch.sin(2 * torch.pi * self.TONE_HZ * time).float()
        for start in range(0, samples.shape[1], 2 * RATE):
            yield start, tone[start : start + 2 * RATE].expand(len(samples), -1) / gain


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints of a few kilobytes with random weights."""
    folder = tmp_path_factory.mktemp("checkpoints")
    write_checkpoints(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = TINY_VOCODER.to_dict()
        save("vocoder", vocoder.build(config), config, "MIT", folder=folder)
    return folder


@pytest.fixture(autouse=True)
def tiny(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_models", {})
    monkeypatch.delenv("AURAL_HUB_REPO", raising=False)
    monkeypatch.setenv("AURAL_CHECKPOINTS", str(folder))


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Replaces the networks by simple models."""

    def put(**models: nn.Module) -> None:
        load = hub.load

        def loaded(name: str, **keywords: Any) -> nn.Module:
            return models[name] if name in models else load(name, **keywords)

        monkeypatch.setattr(hub, "load", loaded)

    return put


@pytest.fixture
def any_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the result at the level that the networks give it."""

    def keep(voice: Clip, *_: Any) -> Any:
        yield 1.0
        return voice, measure(voice), ""

    monkeypatch.setattr(pipeline, "_keep_loudness_steps", keep)


@pytest.fixture
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "CHUNK_FRAMES", CHUNK_FRAMES)
    monkeypatch.setattr(pipeline, "OVERLAP_FRAMES", OVERLAP_FRAMES)


def voice(seconds: float = 2.0, rate: int = RATE, channels: int = 1, seed: int = 0) -> Clip:
    """A buzz in syllables in a noise, different in every channel, nothing of it above 3 kHz but the noise."""
    generator = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    syllable = 0.05 + np.maximum(0, np.sin(2 * np.pi * 2.5 * time))
    waves = [
        syllable * sum(np.sin(2 * np.pi * (120 + 10 * number) * n * time + n) / n for n in range(1, 20))
        + 0.02 * generator.standard_normal(time.size)
        for number in range(channels)
    ]
    return Clip(0.1 * np.array(waves, np.float32), rate)


NARROW_HZ = 4_000


def narrow(seconds: float, channels: int = 1) -> Clip:
    """Noise in syllables, without anything above `NARROW_HZ`, different in every channel."""
    frames = round(seconds * RATE)
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal((channels, frames)))
    spectrum[:, round(NARROW_HZ * seconds) :] = 0
    syllable = 0.3 + np.square(np.sin(2 * np.pi * 2 * np.arange(frames) / RATE))
    return Clip((0.05 * syllable * np.fft.irfft(spectrum, frames)).astype(np.float32), RATE)


def difference_db(made: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    error = np.square(made.astype(np.float64) - wanted).sum()
    return float(10 * np.log10(error / np.square(wanted.astype(np.float64)).sum() + 1e-20))


@pytest.mark.parametrize(
    "options",
    [
        {"strength": 0.0},
        {"strength": 0.0, "preset": "podcast", "expand_rate": 44_100, "background_db": 0.0},
        {"noise_reduction": False, "completion": False},
        {"noise_reduction": False, "completion": False, "preset": "podcast", "mastering": False},
    ],
)
def test_a_bypass_returns_the_input_bit_for_bit(options: dict[str, Any]) -> None:
    clip = voice(channels=2)
    result = enhance(clip, Options(**options))
    assert np.array_equal(result.clip.samples, clip.samples)
    assert result.clip.rate == clip.rate
    assert not result.background.samples.any()
    assert result.after == result.before
    assert "No change" in result.message


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("preset", ["restore", "podcast"])
def test_silence_stays_silence(setting: Setting, preset: str) -> None:
    clip = Clip(np.zeros((2, 30_000), np.float32), 44_100)
    result = enhance(clip, Options(preset=preset, setting=setting))
    assert result.clip.samples.shape == clip.samples.shape
    assert not result.clip.samples.any()
    assert "silent" in result.message


@pytest.mark.parametrize("rate", [16_000, RATE])
@pytest.mark.parametrize("setting", SETTINGS)
def test_where_the_input_is_silent_the_result_is_too(rate: int, setting: Setting) -> None:
    clip = voice(1.5, rate)
    samples = clip.samples.copy()
    samples[:, round(0.5 * rate) : rate] = 0
    samples[:, round(1.4 * rate) :] = 0
    result = enhance(clip.with_samples(samples), Options(setting=setting, background_db=0.0))
    for sound in (result.clip.samples, result.background.samples):
        assert not sound[:, round(0.54 * rate) : round(0.96 * rate)].any()
        assert not sound[:, round(1.44 * rate) :].any()
        assert sound[:, : round(0.5 * rate)].any()


@pytest.mark.parametrize("rate", [8_000, 44_100, RATE])
def test_what_goes_on_into_silence_ends_without_a_click(put: Any, rate: int) -> None:
    put(denoiser=LateDenoiser())
    tone = 0.2 * np.sin(2 * np.pi * 200 * np.arange(2 * rate) / rate)
    tone[round(0.5 * rate) : rate] = 0
    made = enhance(Clip(tone[np.newaxis].astype(np.float32), rate), Options(completion=False)).clip.samples[0]
    after = made[round(0.5 * rate) : round(0.55 * rate)]
    assert np.abs(after).max() > 0.05, "there is something to end"
    assert not after[-round(0.015 * rate) :].any()
    # The tone's own steepest step, and that of the fade.
    steepest = 0.25 * (2 * np.pi * 200 / rate + 1 / (0.016 * rate))
    assert np.abs(np.diff(made[round(0.3 * rate) : rate])).max() < steepest


@pytest.mark.parametrize(
    ("rate", "channels"), [(8_000, 2), (22_050, 1), (44_100, 2), (47_999, 1), (RATE, 1), (96_000, 2)]
)
def test_rate_length_and_channels_are_kept(rate: int, channels: int) -> None:
    clip = voice(0.7123, rate, channels)
    result = enhance(clip)
    for sound in (result.clip, result.background):
        assert (sound.rate, sound.samples.shape) == (rate, clip.samples.shape)
        assert np.isfinite(sound.samples).all()
    assert result.pitch_seconds.shape == result.f0_hz.shape == result.voicing.shape
    assert result.pitch_seconds[-1] == pytest.approx(clip.seconds, abs=HOP / RATE)


@pytest.mark.parametrize("frames", [1, 2, 767])
@pytest.mark.parametrize(
    ("rate", "setting"),
    [
        (8_000, "original_phase"),
        (RATE, "original_phase"),
        (96_000, "original_phase"),
        (RATE, "griffin_lim"),
        (8_000, "vocoder"),
        (RATE, "vocoder"),
    ],
)
def test_the_shortest_clips_go_through(frames: int, rate: int, setting: Setting) -> None:
    clip = Clip(np.full((2, frames), 0.25, np.float32), rate)
    result = enhance(clip, Options(setting=setting))
    assert result.clip.samples.shape == clip.samples.shape
    assert np.isfinite(result.clip.samples).all()


@pytest.mark.usefixtures("short_chunks")
def test_what_the_denoiser_passes_keeps_its_level_time_and_phase(put: Any) -> None:
    put(denoiser=PlainDenoiser(1.0))
    for rate in (RATE, 44_100, 16_000):
        clip = voice(3, rate, channels=2)
        result = enhance(clip, Options(completion=False))
        # Resampling by itself passes 91 % of the band.
        wanted = resample(resample(clip, RATE), rate).samples[:, : clip.frames]
        assert difference_db(result.clip.samples, wanted) < -100
        assert np.abs(result.background.samples).max() < 1e-6


@pytest.mark.parametrize("gain_db", [-60, 0, 6])
def test_the_result_follows_the_level_of_the_input(gain_db: float) -> None:
    clip, gain = voice(1.0), np.float32(10 ** (gain_db / 20))
    plain, scaled = enhance(clip), enhance(clip.with_samples(clip.samples * gain))
    assert difference_db(scaled.clip.samples / gain, plain.clip.samples) < -60
    assert difference_db(scaled.background.samples / gain, plain.background.samples) < -60


LOWS = {
    "offset": lambda time: np.full(time.size, -0.4),
    "rumble": lambda time: 0.3 * np.sin(2 * np.pi * 25 * time),
    "hum": lambda time: 0.2 * np.sin(2 * np.pi * 55 * time),
}


@pytest.mark.parametrize("name", LOWS)
@pytest.mark.parametrize("preset", ["restore", "podcast"])
def test_what_nobody_hears_changes_no_level(put: Any, name: str, preset: str) -> None:
    """The network masks by level: fed 20 dB too low, it would take the voice for noise."""
    put(denoiser=PlainDenoiser(None))
    clip = voice(3.0)
    quiet = clip.with_samples(clip.samples * np.float32(0.1))
    low = LOWS[name](np.arange(clip.frames) / RATE).astype(np.float32)
    options = Options(preset, completion=False)
    plain, heard = (enhance(each, options) for each in (quiet, quiet.with_samples(quiet.samples + low)))
    assert difference_db(heard.clip.samples, plain.clip.samples) < -20
    assert heard.after.integrated_lufs == pytest.approx(plain.after.integrated_lufs, abs=0.1)
    assert "removed." in heard.message and "removed." not in plain.message
    assert heard.before.snr_db == pytest.approx(plain.before.snr_db, abs=1)


@pytest.mark.parametrize("place", [0, 30_000])
def test_a_damaged_sample_is_mended_and_said_to_be(put: Any, place: int) -> None:
    put(denoiser=PlainDenoiser(None))
    clip = voice(2.0)
    samples = clip.samples.copy()
    samples[0, place] = 10 ** (85 / 20)
    plain, mended = (enhance(each, Options(completion=False)) for each in (clip, clip.with_samples(samples)))
    assert mended.message.startswith("1 damaged sample mended. ")
    assert difference_db(mended.clip.samples, plain.clip.samples) < -30


@pytest.mark.usefixtures("any_level")
@pytest.mark.parametrize("strength", [0.25, 1.0])
def test_strength_is_the_share_of_the_way_from_the_input_to_the_denoised(put: Any, strength: float) -> None:
    put(denoiser=PlainDenoiser(0.2))
    clip = voice(1.0)
    result = enhance(clip, Options(completion=False, strength=strength))
    np.testing.assert_allclose(result.clip.samples, (1 - 0.8 * strength) * clip.samples, atol=1e-6)
    np.testing.assert_allclose(result.background.samples, 0.8 * clip.samples, atol=1e-6)


def test_strength_scales_what_is_completed(put: Any) -> None:
    put(completer=PlainCompleter())
    clip = narrow(1.0)
    added = [
        enhance(
            clip, Options(noise_reduction=False, completion_method="completer", strength=strength)
        ).clip.samples
        - clip.samples
        for strength in (0.5, 1.0)
    ]
    assert np.abs(added[1]).max() > 1e-3
    np.testing.assert_allclose(added[0], added[1] / 2, atol=1e-6)


def test_what_was_recorded_is_not_completed(put: Any) -> None:
    put(completer=PlainCompleter())
    options = Options(noise_reduction=False, completion_method="completer")
    full, phone = voice(1.0), narrow(1.0)
    np.testing.assert_allclose(enhance(full, options).clip.samples, full.samples, atol=1e-6)
    spectrum = np.abs(np.fft.rfft(enhance(phone, options).clip.samples - phone.samples))[0]
    below, above = spectrum[: round(0.8 * NARROW_HZ)], spectrum[round(1.1 * NARROW_HZ) :]
    assert np.square(below).mean() < 1e-4 * np.square(above).mean()


@pytest.mark.usefixtures("any_level")
@pytest.mark.parametrize(("share", "made"), [(0.95, 1.0), (0.2, 0.2)])
def test_small_errors_of_the_denoiser_change_nothing_and_noise_is_reduced(
    put: Any, share: float, made: float
) -> None:
    put(denoiser=PlainDenoiser(share))
    clip = voice(1.0)
    result = enhance(clip, Options(completion=False))
    np.testing.assert_allclose(result.clip.samples, made * clip.samples, atol=1e-6)
    assert result.strength == pytest.approx(float(made < 1), abs=1e-3)
    assert ("Strength 0.0: the recording is nearly clean." in result.message) == (made == 1)
    plain = enhance(clip, Options(completion=False, adaptive=False))
    np.testing.assert_allclose(plain.clip.samples, share * clip.samples, atol=1e-6)
    assert plain.strength == pytest.approx(1) and "Strength" not in plain.message


@pytest.mark.usefixtures("any_level")
def test_the_background_is_mixed_back_at_its_gain(put: Any) -> None:
    put(denoiser=PlainDenoiser(0.25))
    clip = voice(1.0)
    result = enhance(clip, Options(completion=False, background_db=-6.0))
    wanted = (0.25 + 0.75 * 10 ** (-6 / 20)) * clip.samples
    np.testing.assert_allclose(result.clip.samples, wanted, atol=1e-6)


def test_what_is_mixed_back_goes_by_the_strength(put: Any) -> None:
    put(denoiser=PlainDenoiser(0.25))
    clip = voice(1.0)
    for strength in (1.0, 0.5, 0.01):
        result = enhance(clip, Options(completion=False, strength=strength, background_db=0.0))
        np.testing.assert_allclose(result.clip.samples, clip.samples, atol=1e-6)


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_stereo_image_stays(setting: Setting) -> None:
    mono = voice(0.5).samples[0]
    clip = Clip(np.stack([mono, mono, mono / 2, -mono]), RATE)
    result = enhance(clip, Options(setting=setting, completion=False))
    for sound in (result.clip.samples, result.background.samples):
        assert np.array_equal(sound[0], sound[1])
        np.testing.assert_allclose(2 * sound[2], sound[0], atol=1e-5)
        np.testing.assert_allclose(-sound[3], sound[0], atol=1e-5)


def test_what_is_completed_stays_where_the_voice_is() -> None:
    mono = narrow(1.0).samples[0]
    clip = Clip(np.stack([mono, mono, mono / 2]), RATE)
    result = enhance(clip, Options(noise_reduction=False, completion_method="completer")).clip.samples
    assert difference_db(result[0], mono) > -50, "there is something to compare"
    assert np.array_equal(result[0], result[1])
    assert difference_db(2 * result[2], result[0]) < -30


@pytest.mark.usefixtures("any_level")
def test_the_extender_adds_what_lies_above_the_band_and_nothing_else() -> None:
    clip = narrow(2.0, channels=2)
    options = Options(noise_reduction=False, completion_method="extender")
    result = enhance(clip, options).clip.samples
    before, after = (np.fft.rfft(samples) for samples in (clip.samples, result))
    below, above = slice(0, round(0.8 * NARROW_HZ * 2)), slice(round(1.5 * NARROW_HZ * 2), 36_000)  # 2 s
    change, own = (np.linalg.norm(spectrum[:, below]) for spectrum in (after - before, before))
    assert change < 1e-3 * own
    assert (np.abs(after[:, above]).mean(1) > 30 * np.abs(before[:, above]).mean(1)).all()


@pytest.mark.usefixtures("any_level")
def test_the_extender_gets_the_denoised_band_at_its_level(put: Any) -> None:
    extender = PlainExtender()
    put(denoiser=PlainDenoiser(0.5), extender=extender)
    clip = narrow(5.0)
    results = [
        enhance(clip, Options(strength=strength, completion_method="extender")).clip.samples
        for strength in (0.5, 1.0)
    ]
    assert extender.band_hz == pytest.approx(NARROW_HZ, rel=0.05)
    assert active_level(extender.seen) == pytest.approx(0.5 * ACTIVE_RMS, rel=0.1)
    time = np.arange(clip.frames) / RATE
    added = [
        result[0] - clip.samples[0] * (1 - 0.5 * strength)
        for result, strength in zip(results, (0.5, 1.0), strict=True)
    ]
    wanted = PlainExtender.AMPLITUDE * np.sin(2 * np.pi * PlainExtender.TONE_HZ * time)
    scale = ACTIVE_RMS / active_level(clip.samples)
    np.testing.assert_allclose(scale * added[1], wanted, atol=1e-3)
    np.testing.assert_allclose(added[0], added[1] / 2, atol=1e-5)


def test_a_full_band_is_given_no_highs(put: Any) -> None:
    extender = PlainExtender()
    put(extender=extender)
    clip = voice(1.0)
    result = enhance(clip, Options(noise_reduction=False, completion_method="extender"))
    assert extender.band_hz is None
    assert difference_db(result.clip.samples, clip.samples) < -100


def test_channels_that_cancel_each_other_are_enhanced_too(put: Any) -> None:
    put(denoiser=PlainDenoiser(None))
    mono = voice(1.0).samples[0]
    options = Options(completion=False)
    alone = enhance(Clip(mono[np.newaxis], RATE), options).clip.samples
    alike, opposite = (
        enhance(Clip(np.stack([mono, sign * mono]), RATE), options).clip.samples for sign in (1, -1)
    )
    np.testing.assert_allclose(alike[0], alone[0], atol=1e-6)
    np.testing.assert_allclose(opposite[0], alone[0], atol=1e-6)


@pytest.mark.parametrize(("seconds", "rate"), [(2.304, RATE), (3.3337, RATE), (2.5, 16_000)])
def test_chunked_equals_whole_for_masks_that_look_a_few_frames_around(
    put: Any, monkeypatch: pytest.MonkeyPatch, seconds: float, rate: int
) -> None:
    put(denoiser=PlainDenoiser(None))
    # How much a recording needs depends on the seconds around.
    clip, options = voice(seconds, rate, channels=2), Options(completion=False, adaptive=False)
    whole = enhance(clip, options)
    monkeypatch.setattr(pipeline, "CHUNK_FRAMES", CHUNK_FRAMES)
    monkeypatch.setattr(pipeline, "OVERLAP_FRAMES", OVERLAP_FRAMES)
    chunked = enhance(clip, options)
    np.testing.assert_allclose(chunked.clip.samples, whole.clip.samples, atol=1e-6)
    np.testing.assert_allclose(chunked.background.samples, whole.background.samples, atol=1e-6)
    assert np.array_equal(chunked.f0_hz, whole.f0_hz)
    assert (chunked.f0_hz == 120).all(), "no frame is left out"


@pytest.mark.parametrize("rate", [RATE, 44_100])
def test_a_background_on_disk_is_the_one_in_memory(monkeypatch: pytest.MonkeyPatch, rate: int) -> None:
    samples = voice(9.0, rate, channels=2).samples.copy()
    samples[:, 3 * rate : 5 * rate] = 0
    clip = Clip(samples, rate)
    in_memory = enhance(clip).background.samples
    monkeypatch.setattr(sample_file, "MIN_BYTES", 1)
    on_disk = enhance(clip).background.samples
    assert in_memory.any() and np.array_equal(on_disk, in_memory)
    assert not on_disk[:, round(3.1 * rate) : round(4.9 * rate)].any()


def test_pieces_are_those_of_the_clip_although_it_is_overwritten_behind_them() -> None:
    chunk, overlap = CHUNK_FRAMES * HOP, OVERLAP_FRAMES * HOP
    whole = np.random.default_rng(0).normal(0, 1, (2, 3 * chunk + 17)).astype(np.float32)
    samples = whole.copy()
    for start, piece in pipeline._pieces(samples, chunk, overlap, HOP):
        assert np.array_equal(piece, whole[:, start : start + chunk])
        samples[:, : start + piece.shape[1]] = 0


def test_the_result_is_silenced_in_any_blocks_alike() -> None:
    clip = Clip(np.ones((1, 10_000), np.float32), 8_000)
    silencer = pipeline._Silencer(clip, 12_000, [(0, 1_000), (2_000, 2_500), (2_700, 6_000), (9_000, 10_000)])
    whole, cut = np.ones((1, 15_000), np.float32), np.ones((1, 15_000), np.float32)
    silencer.apply(whole, 0)
    for start in range(0, 15_000, 70):
        silencer.apply(cut[:, start : start + 70], start)
    assert np.array_equal(cut, whole)
    assert not whole[:, :1_500].any() and not whole[:, 3_000:3_750].any() and not whole[:, 13_500:].any()
    assert (whole[:, 2_000:2_800] == 1).all() and 0 < whole[0, 2_900] < 1


@pytest.mark.parametrize("preset", ["restore", "podcast"])
def test_memory_grows_with_the_length_by_the_result_alone(
    put: Any, monkeypatch: pytest.MonkeyPatch, preset: str
) -> None:
    put(denoiser=PlainDenoiser(0.5))
    monkeypatch.setattr(sample_file, "MIN_BYTES", 1)
    options = Options(preset, completion=False)
    enhance(voice(1.0), options)  # loads what it needs
    peaks = []
    # More than 30 s, so that what is handled at a time is as large in both.
    for seconds in (32, 56):
        clip = voice(seconds)
        tracemalloc.start()
        enhance(clip, options)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    growth = (peaks[1] - peaks[0]) / (4 * 24 * RATE)  # per byte of the clip
    # The result, and with a voice chain also what its limiter starts from; statistics take the rest.
    assert growth < (1.2 if preset == "restore" else 2.2)


@pytest.mark.usefixtures("short_chunks")
def test_the_pitch_is_that_of_the_voice_where_no_mask_tells_it() -> None:
    result = enhance(voice(4.0), Options(noise_reduction=False))
    voiced = result.voicing > 0.5
    assert voiced.mean() > 0.3
    assert np.median(result.f0_hz[voiced]) == pytest.approx(120, abs=2)


@pytest.mark.parametrize("setting", ["original_phase", "griffin_lim", "vocoder"])
@pytest.mark.usefixtures("short_chunks")
def test_the_same_seed_gives_the_same_sound(setting: Setting) -> None:
    clip, options = narrow(1.4), Options(setting=setting)  # two chunks
    first, again = (enhance(clip, options).clip.samples for _ in range(2))
    other = enhance(clip, replace(options, seed=1)).clip.samples
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("setting", ["griffin_lim", "vocoder"])
def test_a_rebuilt_voice_stays_in_time_with_the_input(put: Any, setting: Setting) -> None:
    put(denoiser=PlainDenoiser(1.0))
    clip = voice(2.0)
    made = enhance(clip, Options(setting=setting, completion=False)).clip.samples[0]
    envelopes = []
    for samples in (clip.samples[0], made):
        power = np.square(samples[: samples.size // 48 * 48]).reshape(-1, 48).mean(1)  # by the millisecond
        envelopes.append(np.convolve(power, np.hanning(41), "same") - power.mean() * np.hanning(41).sum())
    lags_ms = np.arange(-50, 51)
    correlation = [np.dot(np.roll(envelopes[0], lag), envelopes[1]) for lag in lags_ms]
    assert abs(lags_ms[np.argmax(correlation)]) <= 2


@pytest.mark.usefixtures("any_level")
def test_the_vocoder_leaves_the_enhanced_sound_as_it_is_above_its_band(put: Any) -> None:
    put(denoiser=PlainDenoiser(1.0))
    clip = voice(2.0)
    noise = np.random.default_rng(0).standard_normal(clip.samples.shape).astype(np.float32)
    clip = clip.with_samples(clip.samples + 0.02 * noise)
    made = enhance(clip, Options(setting="vocoder", completion=False)).clip
    hz = np.fft.rfftfreq(clip.frames, 1 / RATE)
    before, after = (np.fft.rfft(sound.samples[0])[hz > 10_500] for sound in (clip, made))
    assert np.linalg.norm(after - before) < 0.01 * np.linalg.norm(before)


@pytest.mark.parametrize("expand_rate", [44_100, 48_000])
@pytest.mark.parametrize("rate", [8_000, 96_000])
def test_expansion_gives_the_requested_rate_and_fills_its_band(put: Any, expand_rate: int, rate: int) -> None:
    put(completer=PlainCompleter())
    clip = voice(1.0, rate)
    result = enhance(clip, Options(expand_rate=expand_rate, completion_method="completer"))
    assert result.clip.rate == expand_rate
    assert result.clip.frames == expand_rate
    assert result.background.samples.shape == clip.samples.shape
    spectrum = np.abs(np.fft.rfft(result.clip.samples[0]))
    assert np.median(spectrum[12_000:18_000]) > 1e-2 * np.median(spectrum[:3000])
    # With nothing to fill it, it is still that rate.
    switched_off = Options(expand_rate=expand_rate, noise_reduction=False, completion=False)
    assert enhance(clip, switched_off).clip.rate == expand_rate


@pytest.mark.parametrize("preset", [preset for preset in PRESETS if preset != "restore"])
def test_a_preset_lands_on_its_loudness_and_restore_keeps_the_level(preset: str, put: Any) -> None:
    put(denoiser=PlainDenoiser(1.0))
    clip, options = voice(4.0), Options(preset=preset, completion=False)
    assert options.voice_chain is not None
    result = enhance(clip, options)
    assert result.voice_chain is not None
    assert measure(result.clip).integrated_lufs == pytest.approx(options.voice_chain.loudness_lufs, abs=0.1)
    assert result.after.integrated_lufs == pytest.approx(options.voice_chain.loudness_lufs, abs=0.1)
    quieter = enhance(clip, replace(options, loudness_lufs=-23.0))
    assert quieter.after.integrated_lufs == pytest.approx(-23, abs=0.1)
    for kept in (Options(completion=False), replace(options, mastering=False)):
        unfinished = enhance(clip, kept)
        assert unfinished.voice_chain is None
        assert unfinished.after.integrated_lufs == pytest.approx(result.before.integrated_lufs, abs=0.01)


def test_nothing_is_measured_twice(put: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The input before, the denoised voice for the compressor; the mastering's figures are the result's."""
    put(denoiser=PlainDenoiser(0.5))
    measured: list[Clip] = []

    class Counting:
        @staticmethod
        def steps(clip: Clip, *arguments: Any) -> Any:
            measured.append(clip)
            return measure.steps(clip, *arguments)

    for module in (analysis, voice_chain):
        monkeypatch.setattr(module, "measure", Counting)
    clip = voice(2.0)
    assert enhance(clip, Options(preset="podcast", completion=False)).after.integrated_lufs is not None
    assert len(measured) == 2 and measured[0] is clip
    # Nothing changes before the voice chain: the first figure serves it too.
    enhance(clip, Options(preset="podcast", noise_reduction=False, completion=False))
    assert len(measured) == 3 and measured[2] is clip


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("peak", [0.1, 1.0])
def test_restoring_keeps_the_loudness_and_the_ceiling(setting: Setting, peak: float, put: Any) -> None:
    """Whatever the networks do to the level: here they take 8 dB, and add the peaks of a noise."""
    clip = voice(4.0)
    clip = clip.with_samples(clip.samples * (peak / np.abs(clip.samples).max()))
    for options in (
        Options(setting=setting),
        Options(setting=setting, completion_method="extender"),
        Options("podcast", mastering=False, setting=setting),
    ):
        put(denoiser=PlainDenoiser(0.4), completer=PlainCompleter(), extender=PlainExtender())
        result = enhance(clip, options)
        for measured in (result.after, measure(result.clip)):
            assert measured.integrated_lufs == pytest.approx(result.before.integrated_lufs, abs=0.5)
            assert measured.true_peak_dbtp is not None and measured.true_peak_dbtp <= -1
        assert wav_encoding(result.clip) == "wav24"


def test_a_level_that_cannot_stay_is_said_to_be_lower(put: Any) -> None:
    put(denoiser=PlainDenoiser(1.0))
    clip = voice(2.0)
    result = enhance(clip.with_samples(clip.samples * np.float32(100)), Options(completion=False))
    assert result.after.true_peak_dbtp is not None and result.after.true_peak_dbtp <= -1
    assert "LU lower, to keep the true peak below −1 dBTP." in result.message


def test_the_last_of_a_noise_is_not_raised_to_the_noise(put: Any) -> None:
    put(denoiser=PlainDenoiser(1e-2))
    result = enhance(voice(2.0), Options(completion=False))
    assert result.before.integrated_lufs is not None and result.after.integrated_lufs is not None
    assert result.after.integrated_lufs == pytest.approx(result.before.integrated_lufs - 40 + 12, abs=0.1)


def test_a_loudness_without_a_finish_is_one_gain(put: Any) -> None:
    put(denoiser=PlainDenoiser(1.0))
    clip = voice(2.0)
    made = enhance(clip, Options(completion=False, loudness_lufs=-30.0)).clip.samples
    gain = np.dot(made[0], clip.samples[0]) / np.dot(clip.samples[0], clip.samples[0])
    np.testing.assert_allclose(made, gain * clip.samples, atol=1e-5)


@pytest.mark.usefixtures("short_chunks")
def test_progress_rises_from_0_to_1_and_work_can_be_given_up() -> None:
    shares = list(enhance.steps(voice(4.0), Options(preset="podcast")))
    assert shares == sorted(shares) and shares[0] >= 0 and shares[-1] <= 1
    assert sum(0.15 < share < 0.65 for share in shares) >= 3
    steps = enhance.steps(voice(4.0))
    for share in steps:
        if share > 0.3:
            break
    steps.close()
    with pytest.raises(StopIteration):
        next(steps)
    assert not torch.is_inference_mode_enabled()


@pytest.mark.usefixtures("short_chunks")
@pytest.mark.usefixtures("any_level")
@pytest.mark.parametrize("expand_rate", [None, 44_100])
def test_the_effects_channel_is_taken_for_no_noise(put: Any, expand_rate: int | None) -> None:
    put(denoiser=PlainDenoiser(0.1))
    samples = voice(1.0, channels=6).samples.copy()
    samples[3] = 0.2 * np.sin(2 * np.pi * 40 * np.arange(RATE) / RATE)
    result = enhance(Clip(samples, RATE, "5.1"), Options(completion=False, expand_rate=expand_rate)).clip
    time = np.arange(result.frames) / result.rate
    middle = slice(result.rate // 10, -result.rate // 10)
    wanted = 0.2 * np.sin(2 * np.pi * 40 * time)
    np.testing.assert_allclose(result.samples[3][middle], wanted[middle], atol=2e-4)
    assert np.std(result.samples[0]) < 0.2 * np.std(samples[0])


def test_no_step_is_taken_inside_of_inference_mode() -> None:
    for setting in ("original_phase", "griffin_lim"):
        options = Options(setting=setting, preset="podcast", completion_method="extender")
        for _ in enhance.steps(narrow(1.4), options):
            assert not torch.is_inference_mode_enabled()


def test_the_figures_and_the_verb() -> None:
    clip = voice(1.0)
    result = aural.enhance(clip, preset="voice_memo", seed=3)
    assert np.array_equal(result.clip.samples, enhance(clip, Options("voice_memo", seed=3)).clip.samples)
    figures = result.figures()
    assert figures["before"] == result.before.figures()
    assert figures["after"]["integrated_lufs"] == pytest.approx(-18, abs=0.1)
    assert figures["finish"]["message"] in figures["message"]
    assert aural.enhance(clip).figures()["finish"] is None


def test_degrading_by_the_verb_keeps_the_form() -> None:
    clip = voice(1.0, 44_100, channels=2)
    made = aural.degrade(clip, seed=1)
    assert (made.rate, made.samples.shape) == (clip.rate, clip.samples.shape)
    assert not np.array_equal(made.samples, clip.samples)


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"preset": "studio"}, r"\. Choose one of restore, podcast"),
        ({"setting": "magic"}, r"\. Choose one of original_phase"),
        ({"strength": 1.5}, "from 0 to 1"),
        ({"strength": float("nan")}, "from 0 to 1"),
        ({"strength": "1"}, "from 0 to 1"),
        ({"strength": True}, "from 0 to 1"),
        ({"strength": None}, "from 0 to 1"),
        ({"mix": -0.1}, "from 0 to 1"),
        ({"completion": 1}, "on .* or off"),
        ({"noise_reduction": "yes"}, "on .* or off"),
        ({"mastering": None}, "on .* or off"),
        ({"expand_rate": 32_000}, "Choose"),
        ({"background_db": 20.0}, "from -60 to 12"),
        ({"background_db": float("inf")}, "from -60 to 12"),
        ({"loudness_lufs": 3.0}, "from -60 to 0"),
        ({"seed": -1}, "whole number"),
        ({"seed": 1.5}, "whole number"),
    ],
)
def test_a_setting_out_of_range_is_refused_with_a_remedy(options: dict[str, Any], remedy: str) -> None:
    with pytest.raises(OptionError, match=remedy):
        Options(**options)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_sound_are_refused(value: float) -> None:
    samples = voice(1.0).samples.copy()
    samples[0, 100] = value
    with pytest.raises(InputError, match=r"far beyond full scale\. Export the file again"):
        enhance(Clip(samples, RATE))
    with pytest.raises(InputError, match="empty"):
        enhance(Clip(samples[:, :0], RATE))


def test_chunks_cover_the_clip_on_frames_and_overlap_enough() -> None:
    chunk, overlap = CHUNK_FRAMES * HOP, OVERLAP_FRAMES * HOP
    for length in (1, chunk - 1, chunk, chunk + 1, 3 * chunk - 2 * overlap, 3 * chunk + 17):
        starts = pipeline._starts(length, chunk, overlap, HOP)
        assert starts[0] == 0 and all(start % HOP == 0 for start in starts)
        assert starts == sorted(set(starts))
        ends = [min(start + chunk, length) for start in starts]
        assert ends[-1] == length
        assert all(end - start >= overlap for end, start in zip(ends[:-1], starts[1:], strict=True))
