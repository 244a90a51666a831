"""Clips of a class: their number, length, level and reproducibility."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

import aural
from aural.audio import Clip
from aural.audio.spectral import log_mel
from aural.audio.steps import Run
from aural.errors import InputError, OptionError
from aural.generation import clap, model, pipeline, waveforms
from aural.generation.classes import CLASSES
from aural.generation.model import DiffusionModel
from aural.generation.pipeline import SAMPLERS, Options, Result, generate
from aural.generation.waveforms import JOIN_SECONDS, VOCODERS, Vocoder
from tests.generation.tiny import checkpoints
from tests.generation.tiny_clap import write_clap

RATE, HOP = 22_050, 260
DOG = Options("dog", steps=3, seed=7)


@pytest.fixture(scope="module", autouse=True)
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Small models and few rounds of Griffin-Lim, since these tests are not about quality."""
    with checkpoints(tmp_path_factory.mktemp("checkpoints")), pytest.MonkeyPatch.context() as patch:
        patch.setattr(waveforms, "GRIFFIN_LIM_ITERATIONS", 12)
        yield


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Tensor, Tensor], Tensor]], None]:
    """Replaces the network by a function of (noisy, timesteps) that returns values in [0, 1]."""

    def put(function: Callable[[Tensor, Tensor], Tensor]) -> None:
        monkeypatch.setattr(
            DiffusionModel, "predict", lambda self, *values: self.normalise(function(values[0], values[1]))
        )

    return put


def tone(seconds: float = 2.0, rate: int = 44_100, channels: int = 2) -> Clip:
    """A different harmonic sound in every channel, swelling and fading."""
    time = np.arange(round(seconds * rate)) / rate
    swell = 0.2 + 0.1 * np.sin(2 * np.pi * 3 * time)
    pitches_hz = 220 * (1 + np.arange(channels))
    waves = [
        swell * sum(np.sin(2 * np.pi * n * pitch_hz * time) / n for n in range(1, 6))
        for pitch_hz in pitches_hz
    ]
    return Clip(np.array(waves, np.float32), rate)


def samples(result: Result) -> NDArray[np.float32]:
    return np.stack([clip.samples for clip in result.clips])


def test_what_comes_out() -> None:
    result = generate(replace(DOG, count=3))
    assert len(result.clips) == len(result.mels) == len(result.guesses) == 3
    for clip, mel, guesses in zip(result.clips, result.mels, result.guesses, strict=True):
        assert clip.samples.shape == (1, 5 * RATE)
        assert clip.rate == RATE
        assert 0 < np.abs(clip.samples).max() <= 1
        assert mel.shape == (80, 425)
        assert 0 <= mel.min() < mel.max() <= 1
        assert len({guess.label for guess in guesses}) == 5
        assert {guess.label for guess in guesses} <= set(CLASSES)
        probabilities = [guess.probability for guess in guesses]
        assert probabilities == sorted(probabilities, reverse=True)
        assert 0 < sum(probabilities) <= 1


@pytest.mark.parametrize(
    ("sampler", "vocoder"), [*((sampler, "vocoder") for sampler in SAMPLERS), ("dpm++", "griffin_lim")]
)
def test_the_same_seed_gives_the_same_clip(sampler: Any, vocoder: Vocoder) -> None:
    options = replace(DOG, sampler=sampler, vocoder=vocoder, seconds=1)
    first, again, other = (generate(replace(options, seed=seed)) for seed in (7, 7, 8))
    np.testing.assert_array_equal(samples(first), samples(again))
    assert np.abs(first.mels[0] - other.mels[0]).max() > 1e-3


def test_a_random_seed_is_reported_and_repeats_the_clip() -> None:
    drawn = generate(replace(DOG, seed=None))
    again = generate(replace(DOG, seed=drawn.seed))
    np.testing.assert_array_equal(samples(drawn), samples(again))
    assert generate(replace(DOG, seed=None)).seed != drawn.seed


@pytest.mark.parametrize("vocoder", VOCODERS)
def test_each_clip_of_a_batch_is_what_its_own_seed_gives(vocoder: Vocoder) -> None:
    options = replace(DOG, vocoder=vocoder, seconds=1)
    together = generate(replace(options, count=3))
    alone = generate(replace(options, seed=9))
    np.testing.assert_allclose(together.mels[2], alone.mels[0], atol=1e-4)
    # Griffin-Lim makes more of a last bit than the vocoder does.
    spectra = [log_mel(torch.tensor(clip.samples)) for clip in (together.clips[2], alone.clips[0])]
    assert float((spectra[0] - spectra[1]).abs().mean()) < 0.01


@pytest.mark.parametrize("seconds", [0.5, 1.234, 5, 7.3])
@pytest.mark.parametrize("vocoder", VOCODERS)
def test_a_clip_lasts_as_long_as_asked_and_ends_without_a_click(seconds: float, vocoder: Vocoder) -> None:
    result = generate(replace(DOG, seconds=seconds, vocoder=vocoder))
    assert result.clips[0].frames == round(seconds * RATE)
    assert result.mels[0].shape == (80, 1 + round(round(seconds * RATE) / HOP))
    wave = result.clips[0].samples[0]
    assert abs(wave[-1]) < 1e-3
    assert wave[: RATE // 10].std() > 0


def test_a_short_clip_is_cut_where_something_happens(pretend: Callable[..., None]) -> None:
    def burst(noisy: Tensor, _: Tensor) -> Tensor:
        mel = torch.zeros_like(noisy)
        mel[..., 200:210] = 0.7
        return mel

    pretend(burst)
    result = generate(replace(DOG, seconds=0.5))
    assert (result.mels[0].max(axis=0) > 0.6).sum() == 10
    assert result.mels[0][:, 0].max() == 0
    assert result.mels[0][:, 10].max() > 0.6


def test_the_steps_show_the_spectrogram_as_it_emerges() -> None:
    pictures: list[NDArray[np.float32]] = []
    steps = generate.steps(replace(DOG, count=2), watch=pictures.append)
    shares = []
    while True:
        try:
            shares.append(next(steps))
        except StopIteration as end:
            result: Result = end.value
            break
    assert shares == sorted(shares)
    assert 0 <= shares[0] <= shares[-1] <= 1
    assert [picture.shape for picture in pictures] == 3 * [(2, 80, 425)]
    assert np.abs(pictures[0] - pictures[1]).max() > 0
    np.testing.assert_array_equal(pictures[-1], np.stack(result.mels))


@pytest.mark.parametrize(("count", "candidates"), [(1, 4), (2, 3), (5, 2)])  # the last one in two batches
def test_the_best_candidates_are_kept_and_are_what_their_seeds_give(count: int, candidates: int) -> None:
    options = replace(DOG, seconds=1, steps=1)
    best = generate(replace(options, count=count, candidates=candidates))
    alone = {
        seed: generate(replace(options, seed=seed)) for seed in range(DOG.seed, DOG.seed + count * candidates)
    }
    assert best.seed == DOG.seed and best.ranked_by == "classifier" and len(best.clips) == count
    ranking = sorted(alone, key=lambda seed: -alone[seed].scores[0])
    assert best.seeds == tuple(ranking[:count])
    assert list(best.scores) == sorted(best.scores, reverse=True)
    for seed, mel, score, guesses in zip(best.seeds, best.mels, best.scores, best.guesses, strict=True):
        np.testing.assert_allclose(mel, alone[seed].mels[0], atol=1e-4)
        assert score == pytest.approx(alone[seed].scores[0], abs=1e-3)
        assert guesses[0].label == alone[seed].guesses[0][0].label
    told = ", ".join(map(str, best.seeds))
    assert best.message.startswith("The best") and f"by the classifier: seed{'s' * (count > 1)} {told}." in (
        best.message
    )
    again = generate(replace(options, count=count, candidates=candidates))
    np.testing.assert_array_equal(samples(again), samples(best))
    assert (again.seeds, again.scores) == (best.seeds, best.scores)


def test_one_candidate_is_kept_whatever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clap, "ready", lambda *_: pytest.fail("nothing is to be ranked"))
    plain, described = (
        generate(replace(DOG, count=3, seconds=1, description=text)) for text in (None, "an old dog")
    )
    assert plain.seeds == (7, 8, 9) and plain.ranked_by is None and "best" not in plain.message
    np.testing.assert_array_equal(samples(plain), samples(described))
    for guesses, score in zip(plain.guesses, plain.scores, strict=True):
        assert all(guess.probability == score for guess in guesses if guess.label == "dog")


def test_candidates_of_a_morph_are_ranked_by_both_classes() -> None:
    options = replace(DOG, seconds=1, steps=1)
    dog, rain, both = (
        generate(replace(options, label=label, morph=morph)).scores[0]
        for label, morph in (("dog", None), ("rain", None), ("dog", "rain"))
    )
    assert 0 < dog < 1 and 0 < rain < 1 and both > 0
    best = generate(replace(options, morph="rain", candidates=3))
    every = generate(replace(options, morph="rain", count=3))
    assert best.scores[0] == pytest.approx(max(every.scores), abs=1e-3)


def test_clap_ranks_the_candidates_by_the_description(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clap(tmp_path)
    model = clap._open(tmp_path)
    monkeypatch.setattr(clap, "ready", lambda *_: model)
    options = replace(DOG, seconds=1, steps=1, count=2, candidates=2, description="a dog in the rain")
    best = generate(options)
    every = generate(replace(options, count=4, candidates=1))
    likeness = model.sounds(samples(every)[:, 0], RATE) @ model.texts(["a dog in the rain"])[0]
    order = np.argsort(-likeness)[:2]
    assert best.ranked_by == "CLAP" and "by CLAP: seeds" in best.message
    assert best.seeds == tuple(7 + order)
    assert best.scores == pytest.approx(likeness[order], abs=1e-3)
    monkeypatch.setattr(clap, "ready", lambda *_: None)
    assert generate(options).ranked_by == "classifier"
    monkeypatch.setattr(clap, "ready", lambda *_: pytest.fail("there is no description"))
    assert generate(replace(options, description=" ")).ranked_by == "classifier"


def test_candidates_of_a_filled_gap_leave_the_rest_as_it_is() -> None:
    source = tone(2.0, RATE, 1)
    result = generate(replace(DOG, steps=1, gap_start_seconds=0.8, gap_end_seconds=1.1, candidates=2), source)
    first = round((0.8 - JOIN_SECONDS) * RATE)
    np.testing.assert_array_equal(result.clips[0].samples[:, :first], source.samples[:, :first])
    assert len(result.clips) == 1 and result.seeds[0] in (7, 8)


def test_a_morph_leads_from_one_class_to_the_other() -> None:
    dog, rain = (generate(replace(DOG, label=label)).mels[0] for label in ("dog", "rain"))
    shares = (0, 0.5, 1)
    start, middle, end = (generate(replace(DOG, morph="rain", morph_share=share)).mels[0] for share in shares)
    np.testing.assert_allclose(start, dog, atol=1e-4)
    np.testing.assert_allclose(end, rain, atol=1e-4)
    assert np.abs(middle - dog).max() > 1e-3
    assert np.abs(middle - rain).max() > 1e-3


def test_a_variation_departs_from_the_sound_as_far_as_asked(pretend: Callable[..., None]) -> None:
    """With a network that keeps everything, the noise added at the start stays."""
    denoiser = DiffusionModel()

    def trusting(noisy: Tensor, timesteps: Tensor) -> Tensor:
        return 0.3 + 0.15 * noisy / denoiser.levels(timesteps)[0]

    pretend(trusting)
    source = tone()
    mono = Clip(source.samples.mean(axis=0, keepdims=True), source.rate)
    expected = log_mel(torch.tensor(aural.audio.resample.resample(mono, RATE).samples))[0].numpy()
    distances = []
    for strength in (0.01, 0.1, 0.4):
        result = generate(replace(DOG, steps=10, guidance=1, strength=strength), source)
        assert result.clips[0].samples.shape == (1, 2 * RATE)
        distances.append(float(np.abs(result.mels[0] - expected).mean()))
    assert distances == sorted(distances)
    assert distances[0] < 0.01 < 0.05 < distances[-1]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [22_050, 44_100])
@pytest.mark.parametrize(("start", "end"), [(0.8, 1.1), (0.0, 0.5), (1.5, 2.0), (2.0, 4.0), (1.7, 2.5)])
def test_a_filled_gap_leaves_the_rest_as_it_is(rate: int, channels: int, start: float, end: float) -> None:
    source = tone(2.0, rate, channels)
    result = generate(replace(DOG, gap_start_seconds=start, gap_end_seconds=end), source)
    filled = result.clips[0]
    assert filled.rate == rate
    assert filled.samples.shape == (channels, round(max(2.0, end) * rate))
    join = round(JOIN_SECONDS * rate)
    first, last = round(start * rate), round(end * rate)
    before, after = slice(0, max(0, first - join)), slice(last + join, None)
    np.testing.assert_array_equal(filled.samples[:, before], source.samples[:, before])
    np.testing.assert_array_equal(filled.samples[:, after], source.samples[:, after])
    inside = filled.samples[:, first : min(last, source.frames)]
    assert not inside.size or np.abs(inside - source.samples[:, first:last]).max() > 0.05
    if end >= 2.0:
        assert np.abs(filled.samples[:, -1]).max() < 1e-3


def test_silence_around_a_gap_does_not_ask_for_silence_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[Tensor] = []
    condition = DiffusionModel.condition
    monkeypatch.setattr(
        DiffusionModel,
        "condition",
        lambda self, *values: shares.append(values[1]) or condition(self, *values),
    )
    samples = np.zeros((1, 2 * RATE), np.float32)
    samples[:, : RATE // 4] = tone(0.25, RATE, 1).samples
    source = Clip(samples, RATE)
    generate(replace(DOG, gap_start_seconds=0.0, gap_end_seconds=0.5), source)
    assert shares[0] > 0


def test_the_spectrogram_around_a_gap_is_the_source_s() -> None:
    source = tone(2.0, RATE, 1)
    mel = generate(replace(DOG, gap_start_seconds=0.8, gap_end_seconds=1.1), source).mels[0]
    expected = log_mel(torch.tensor(source.samples))[0].numpy()
    middles = np.arange(mel.shape[1]) * HOP
    is_outside = (middles + 512 <= 0.8 * RATE) | (middles - 512 >= 1.1 * RATE)
    np.testing.assert_array_equal(mel[:, is_outside], expected[:, is_outside])
    assert np.abs(mel - expected)[:, ~is_outside].max() > 0.05


def flux(wave: NDArray[np.float32]) -> NDArray[np.float64]:
    """The rise in level from each spectrum to the next, across the ends of a loop; (frames,)."""
    around = np.concatenate((wave[-512:], wave, wave[:512]))
    frames = np.lib.stride_tricks.sliding_window_view(around, 512)[::64] * np.hanning(512)
    magnitudes = np.abs(np.fft.rfft(frames))
    return np.maximum(np.diff(magnitudes, axis=0), 0).sum(axis=1)


@pytest.mark.parametrize("vocoder", VOCODERS)
@pytest.mark.parametrize("seconds", [1.0, 3.0, 6.0])
def test_a_loop_has_no_seam(pretend: Callable[..., None], vocoder: Vocoder, seconds: float) -> None:
    def hum(noisy: Tensor, _: Tensor) -> Tensor:
        mel = torch.full_like(noisy, 0.2)
        mel[:, 10:60:10] = 0.65
        return mel

    pretend(hum)
    result = generate(replace(DOG, seconds=seconds, loop=True, vocoder=vocoder))
    wave = result.clips[0].samples[0]
    assert len(wave) == result.mels[0].shape[1] * HOP == pytest.approx(seconds * RATE, abs=HOP / 2)
    steps = np.abs(np.diff(wave))
    assert abs(wave[0] - wave[-1]) <= np.quantile(steps, 0.999)
    changes = flux(wave)
    # The spectra that hold some of both ends.
    at_the_seam = np.concatenate((changes[:8], changes[-8:]))
    assert at_the_seam.max() <= np.quantile(changes[8:-8], 0.99)


def test_what_would_clip_is_turned_down_and_says_so(pretend: Callable[..., None]) -> None:
    pretend(lambda noisy, _: torch.ones_like(noisy))
    result = generate(replace(DOG, seconds=1, count=2))
    assert np.abs(samples(result)).max() <= 1
    assert "dB" in result.message
    assert result.message.endswith(".")


@pytest.mark.parametrize("source", [None, tone(1.0)])
def test_a_seed_that_gives_silence_is_tried_from_other_noise_and_then_raised(
    pretend: Callable[[Callable[[Tensor, Tensor], Tensor]], None], source: Clip | None
) -> None:
    inputs: list[Tensor] = []

    def quiet_first(noisy: Tensor, _: Tensor) -> Tensor:
        inputs.append(noisy)
        return torch.full_like(noisy, 0.05 if len(inputs) <= silent_calls else 0.8)

    pretend(quiet_first)
    options = replace(DOG, seconds=1, guidance=1, count=2, strength=1.0)
    for silent_calls in (3, 1_000):  # the three steps of the first try; all
        inputs.clear()
        shares = []
        with Run(generate.steps(options, source)) as run:
            shares.extend(run)
        assert shares == sorted(shares)
        starts = inputs[::3]
        assert len(starts) == (2 if silent_calls == 3 else 3)
        for first, second in itertools.pairwise(starts):
            assert (first - second).abs().max() > 0.1
        assert (np.abs(samples(run.result)).max(axis=(1, 2)) > 10 ** (-40 / 20)).all()
        assert ("nearly silent" in run.result.message) == (silent_calls == 1_000)


def test_a_clip_that_is_tried_again_does_not_depend_on_the_others(
    pretend: Callable[[Callable[[Tensor, Tensor], Tensor]], None],
) -> None:
    # Some noise gives silence.
    pretend(
        lambda noisy, _: torch.where(noisy.mean((1, 2), keepdim=True) > 0, 0.6, 0.0) + 0.01 * noisy.sigmoid()
    )
    options = replace(DOG, seconds=1, guidance=1, steps=1)
    together = generate(replace(options, count=8))
    for number in (0, 3, 7):
        alone = generate(replace(options, seed=7 + number))
        np.testing.assert_allclose(together.mels[number], alone.mels[0], atol=1e-4)
    starts = [generator.initial_seed() for generator in pipeline._generators(7, 2, 1)]
    assert len({7, 8, *starts}) == 4


def test_a_single_click_of_the_vocoder_does_not_set_the_level() -> None:
    time = torch.arange(RATE) / RATE
    hum = 0.4 * torch.sin(2 * torch.pi * 300 * time)
    clicked = hum.clone()
    clicked[9_000:9_010] += torch.tensor([1.0, -3, 6, -5, 3, -2, 1, -1, 0.5, -0.5])
    loud = 3 * hum
    lone = torch.zeros(RATE)
    lone[5_000] = 3.0
    waves = torch.stack([hum, clicked, loud, lone, clicked])
    mels = log_mel(torch.stack([hum, hum, loud, lone, clicked]))  # in the last one, it is the sound
    ducked = waveforms.duck_clicks(waves, mels)
    torch.testing.assert_close(ducked[[0, 2, 3, 4]], waves[[0, 2, 3, 4]])
    assert ducked[1].abs().max() <= 0.81
    away = (torch.arange(RATE) - 9_002).abs() > 0.006 * RATE
    torch.testing.assert_close(ducked[1][away], hum[away])


def test_the_level_is_that_of_what_is_not_faded() -> None:
    waves = torch.full((2, RATE), 1e-3)
    waves[:, -5:] = 0.1
    waves[1, 5_000] = 0.02
    raised, message = waveforms.raise_quiet(waves)
    assert raised[0, 9_000] == pytest.approx(0.1)
    torch.testing.assert_close(raised[1], waves[1])
    assert message == "Sound 1 raised: it was nearly silent."
    assert waveforms.raise_quiet(torch.zeros(1, RATE))[1] == ""


def test_what_the_network_leaves_silent_is_raised(pretend: Callable[..., None]) -> None:
    pretend(lambda noisy, _: torch.full_like(noisy, 0.01))
    result = generate(replace(DOG, seconds=1))
    assert np.abs(result.clips[0].samples).max() > 10 ** (-40 / 20)
    assert "nearly silent" in result.message


def test_the_verb_takes_the_options() -> None:
    result = aural.generate("Dog", steps=3, seed=7, seconds=1)
    np.testing.assert_array_equal(samples(result), samples(generate(replace(DOG, seconds=1))))
    varied = aural.generate("dog", steps=3, seed=7, source=tone(1.0))
    assert varied.clips[0].seconds == 1


def test_numbers_of_numpy_are_numbers() -> None:
    plain, numpy = (
        generate(replace(DOG, seconds=kind(1), count=whole(2), steps=whole(3), seed=whole(7)))
        for kind, whole in ((float, int), (np.float32, np.int64))
    )
    np.testing.assert_array_equal(samples(plain), samples(numpy))
    assert type(numpy.seed) is int


def test_the_samplers_are_the_model_s() -> None:
    assert SAMPLERS == model.SAMPLERS


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label": "dgo"}, "Dog"),
        ({"label": ""}, "50 classes"),
        ({"label": None}, "50 classes"),
        ({"morph": "rian"}, "Rain"),
        ({"count": 0}, "1 to 8"),
        ({"count": 9}, "1 to 8"),
        ({"count": 1.5}, "whole"),
        ({"seconds": 0.4}, "0.5 to 10"),
        ({"seconds": 11}, "0.5 to 10"),
        ({"seconds": float("nan")}, "nan"),
        ({"seconds": 10**400}, "0.5 to 10"),
        ({"seconds": True}, "True"),
        ({"count": True}, "True"),
        ({"count": 3.0}, "whole"),
        ({"loop": "false"}, "loop"),
        ({"candidates": 0}, "1 to 4"),
        ({"candidates": 5}, "1 to 4"),
        ({"candidates": 1.5}, "whole"),
        ({"description": 201 * "a"}, "201 characters"),
        ({"steps": 0}, "1 to 200"),
        ({"steps": 201}, "1 to 200"),
        ({"guidance": 0.9}, "1 to 10"),
        ({"guidance": float("inf")}, "inf"),
        ({"guidance": None}, "empty"),
        ({"sampler": "euler"}, "dpm"),
        ({"vocoder": "tape"}, "griffin_lim"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "seed"),
        ({"seed": float("nan")}, "seed"),
        ({"morph_share": 1.1}, "0 to 1"),
        ({"strength": 0}, "strength"),
        ({"strength": 1.1}, "strength"),
        ({"gap_start_seconds": 1}, "both"),
        ({"gap_end_seconds": 1}, "both"),
        ({"gap_start_seconds": 2, "gap_end_seconds": 1}, "short"),
        ({"gap_start_seconds": -1, "gap_end_seconds": 1}, "start"),
        ({"gap_start_seconds": 1, "gap_end_seconds": 10.5}, "end"),
        ({"gap_start_seconds": float("nan"), "gap_end_seconds": 1}, "nan"),
    ],
)
def test_settings_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message) as failure:
        Options(**{"label": "dog", **options})
    assert str(failure.value).endswith(".")


GAP = {"gap_start_seconds": 0.5, "gap_end_seconds": 1.0}


@pytest.mark.parametrize(
    ("source", "options", "kind", "message"),
    [
        (None, GAP, OptionError, "needs a source"),
        (tone(0.4), GAP, OptionError, "0.40 s or earlier"),
        (tone(0.55), {"gap_start_seconds": 0.0, "gap_end_seconds": 1.0}, OptionError, "Shorten"),
        (tone(), {"loop": True}, OptionError, "loop"),
        (tone(10.5), {}, InputError, "10 s"),
        (tone(0.05), {}, InputError, "0.1 s"),
        (Clip(np.zeros((1, 0), np.float32), RATE), {}, InputError, "empty"),
        (Clip(np.zeros((1, RATE), np.float32), RATE), {}, InputError, "silent"),
        (
            Clip(np.full((1, RATE), np.nan, np.float32), RATE),
            {},
            InputError,
            "NaN, infinite or far beyond full scale",
        ),
    ],
)
def test_a_source_that_does_not_fit(
    source: Clip | None, options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message) as failure:
        generate(replace(DOG, **options), source)
    assert str(failure.value).endswith(".")
