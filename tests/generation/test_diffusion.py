"""The diffusers pipeline: saving, batches, long clips, loops and gaps."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from aural.audio.steps import finish
from aural.generation.diffusion import (
    MAX_GUIDED_NOISE,
    MIN_GUIDED_NOISE,
    SpectrogramPipeline,
    noise_levels,
)
from aural.generation.model import (
    BANDS,
    FRAMES,
    REAL_FRAMES,
    SAMPLERS,
    TRAIN_STEPS,
    Config,
    DiffusionModel,
    Sampler,
    schedule,
)
from tests.generation.tiny import GENERATOR

STEPS = 4
Predict = Callable[[Tensor], Tensor]  # noisy to clean spectrograms, normalised


@pytest.fixture(scope="module")
def denoiser() -> DiffusionModel:
    torch.manual_seed(0)
    denoiser = DiffusionModel(GENERATOR).eval().requires_grad_(False)
    denoiser.conditioning.mean.fill_(0.4)
    denoiser.conditioning.deviation.fill_(0.1)
    return denoiser


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[[Predict], None]:
    """Replaces the network by a function."""
    return lambda predict: monkeypatch.setattr(DiffusionModel, "predict", lambda *values: predict(values[1]))


def pipeline_of(denoiser: DiffusionModel, sampler: Sampler = "dpm++") -> SpectrogramPipeline:
    pipeline = SpectrogramPipeline.of(denoiser, sampler)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def pointwise(noisy: Tensor) -> Tensor:
    """A network that sees one value at a time."""
    return (0.5 * noisy).tanh()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_what_is_saved_and_loaded_generates_the_same_bits(
    denoiser: DiffusionModel, sampler: Sampler, tmp_path: Path
) -> None:
    pipeline = pipeline_of(denoiser, sampler)
    pipeline.save_pretrained(tmp_path)
    loaded = SpectrogramPipeline.from_pretrained(tmp_path)
    loaded.set_progress_bar_config(disable=True)
    assert type(loaded.scheduler) is type(pipeline.scheduler)
    before, after = (one([3, 9], STEPS, 2.0, generators(1, 2)).mels for one in (pipeline, loaded))
    assert before.shape == (2, 80, REAL_FRAMES)
    assert 0 <= before.min() < before.max() <= 1
    np.testing.assert_array_equal(before, after)


def test_what_the_network_predicts_is_saved_too(tmp_path: Path) -> None:
    denoiser = DiffusionModel(type(GENERATOR)(GENERATOR.channels, groups=8, predicts="noise")).eval()
    pipeline_of(denoiser).save_pretrained(tmp_path)
    assert SpectrogramPipeline.from_pretrained(tmp_path).config["predicts"] == "noise"


def guide_of(denoiser: DiffusionModel, **changes: Any) -> DiffusionModel:
    """A smaller denoiser with the same conditions."""
    width = denoiser.config.width
    values = {"channels": (16, 32, 32), "groups": 8, "dropout": 0.0, "embedding": width, **changes}
    torch.manual_seed(1)
    guide = DiffusionModel(Config(**values), conditioning=denoiser.conditioning)
    return guide.eval().requires_grad_(False)


def test_a_guide_is_what_guidance_leads_away_from(denoiser: DiffusionModel) -> None:
    pipeline = SpectrogramPipeline.of(denoiser, "dpm++", guide_of(denoiser))
    pipeline.set_progress_bar_config(disable=True)
    plain = pipeline([3], STEPS, 1.0, generators(1)).mels
    np.testing.assert_array_equal(plain, pipeline_of(denoiser)([3], STEPS, 1.0, generators(1)).mels)
    by_guide = pipeline([3], STEPS, 2.0, generators(1)).mels
    by_null_class = pipeline_of(denoiser)([3], STEPS, 2.0, generators(1)).mels
    assert np.abs(by_guide - plain).max() > 1e-3
    assert np.abs(by_guide - by_null_class).max() > 1e-3


def test_a_guide_that_is_the_network_itself_changes_nothing(denoiser: DiffusionModel) -> None:
    pipeline = SpectrogramPipeline.of(denoiser, "dpm++", denoiser)
    pipeline.set_progress_bar_config(disable=True)
    found = pipeline([3], STEPS, 3.0, generators(1)).mels
    plain = pipeline_of(denoiser)([3], STEPS, 1.0, generators(1)).mels
    np.testing.assert_allclose(found, plain, atol=1e-4)


def test_a_guide_is_saved_and_loaded_too(denoiser: DiffusionModel, tmp_path: Path) -> None:
    pipeline = SpectrogramPipeline.of(denoiser, "dpm++", guide_of(denoiser))
    pipeline.save_pretrained(tmp_path)
    loaded = SpectrogramPipeline.from_pretrained(tmp_path)
    assert loaded.guide is not None
    for one in (pipeline, loaded):
        one.set_progress_bar_config(disable=True)
    before, after = (one([3], STEPS, 2.0, generators(1)).mels for one in (pipeline, loaded))
    np.testing.assert_allclose(before, after, atol=1e-5)


def test_a_guide_that_does_not_fit(denoiser: DiffusionModel) -> None:
    with pytest.raises(ValueError, match="patch_frames"):
        SpectrogramPipeline.of(denoiser, "dpm++", guide_of(denoiser, patch_frames=3))


def test_patches_are_saved_too(tmp_path: Path) -> None:
    fine = Config(channels=(16, 32, 32), groups=8, patch_bands=4, patch_frames=4, augmented=True)
    pipeline = pipeline_of(DiffusionModel(fine).eval().requires_grad_(False))
    pipeline.save_pretrained(tmp_path)
    loaded = pipeline_of_saved(tmp_path)
    before, after = (one([3], STEPS, 2.0, generators(1)).mels for one in (pipeline, loaded))
    assert before.shape == (1, 80, REAL_FRAMES)
    np.testing.assert_allclose(before, after, atol=1e-5)


def pipeline_of_saved(folder: Path) -> SpectrogramPipeline:
    pipeline = SpectrogramPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    assert isinstance(pipeline, SpectrogramPipeline)
    return pipeline


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_spectrogram_does_not_depend_on_its_company(denoiser: DiffusionModel, sampler: Sampler) -> None:
    pipeline = pipeline_of(denoiser, sampler)
    together = pipeline([3, 9, 3], STEPS, 2.0, generators(1, 2, 3)).mels
    alone = pipeline([9], STEPS, 2.0, generators(2)).mels
    np.testing.assert_allclose(together[1], alone[0], atol=1e-4)
    assert np.abs(together[0] - together[2]).max() > 0.01


def test_the_class_steers_and_guidance_steers_more(denoiser: DiffusionModel) -> None:
    pipeline = pipeline_of(denoiser)
    plain, other = (pipeline([label], STEPS, 1.0, generators(1)).mels for label in (3, 9))
    guided = pipeline([3], STEPS, 4.0, generators(1)).mels
    assert np.abs(plain - other).max() > 1e-3
    assert np.abs(plain - guided).max() > 1e-3


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("frames", [50, REAL_FRAMES, 849])
def test_windows_leave_no_trace(
    denoiser: DiffusionModel, pretend: Callable[[Predict], None], sampler: Sampler, loop: bool, frames: int
) -> None:
    """If the network sees single values, windows and rotations must make no difference."""
    pretend(pointwise)
    pipeline = pipeline_of(denoiser, sampler)
    found = pipeline([3], STEPS, 1.0, generators(1), num_frames=frames, loop=loop, output_type="pt").mels

    scheduler, timesteps = noise_levels(schedule(sampler), STEPS, 1.0, torch.device("cpu"))
    generator = torch.Generator().manual_seed(1)
    torch.rand(1, generator=generator)  # the active share is sampled first
    latents = torch.randn(1, 80, frames if loop else max(frames, FRAMES), generator=generator)
    for timestep in timesteps:
        clean = (0.5 * latents).tanh()
        latents = scheduler.step(clean, timestep, latents).prev_sample
    torch.testing.assert_close(found, denoiser.denormalise(clean)[..., :frames], atol=1e-5, rtol=0)


def test_a_loop_is_read_around_its_end(denoiser: DiffusionModel, pretend: Callable[[Predict], None]) -> None:
    """A network that marks the ends of its window must not mark the same frames of a loop at every step."""
    starts: list[Tensor] = []

    def keep(noisy: Tensor) -> Tensor:
        starts.append(noisy[0, :, 0].clone())
        return torch.zeros_like(noisy)

    pretend(keep)
    latents: list[Tensor] = []
    steps = pipeline_of(denoiser).denoise_steps(
        torch.zeros(1, 128),
        6,
        1.0,
        generators(1),
        num_frames=300,
        loop=True,
        watch=lambda _, __, tensors: latents.append(tensors["latents"][0]),
    )
    finish(steps)
    places = [
        int((picture - start[:, None]).abs().sum(0).argmin())
        for picture, start in zip(latents[:-1], starts[1:], strict=True)
    ]
    assert len(set(places)) > 3


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("frames", [300, 600])
def test_known_frames_are_exactly_the_source(denoiser: DiffusionModel, sampler: Sampler, frames: int) -> None:
    source, known = torch.rand(80, frames), torch.ones(frames, dtype=torch.bool)
    known[100:150] = False
    pipeline = pipeline_of(denoiser, sampler)
    mels = pipeline(
        [3], STEPS, 2.0, generators(1), num_frames=frames, source=source, known=known, output_type="pt"
    ).mels
    assert torch.equal(mels[0, :, known], source[:, known])
    assert (mels[0, :, ~known] - source[:, ~known]).abs().mean() > 0.05


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_known_frames_are_shown_with_the_noise_of_their_level(
    denoiser: DiffusionModel, sampler: Sampler
) -> None:
    """The result of adding the same noise to the source at every level."""
    source = torch.rand(80, REAL_FRAMES)
    noises: list[Tensor] = []
    pipeline = pipeline_of(denoiser, sampler)
    _, levels = noise_levels(schedule(sampler), 10, 1.0, torch.device("cpu"))
    following = dict(pairwise(levels.tolist()))

    def watch(_: int, timestep: int, tensors: dict[str, Tensor]) -> None:
        if timestep in following:
            signal, noise = denoiser.levels(torch.tensor([following[timestep]]))
            known = tensors["latents"][..., :REAL_FRAMES]
            noises.append((known - signal * denoiser.normalise(source)) / noise)

    known = torch.ones(REAL_FRAMES, dtype=torch.bool)
    condition = pipeline.condition(torch.tensor([3]), generators(1))
    finish(pipeline.denoise_steps(condition, 10, 2.0, generators(1), source=source, known=known, watch=watch))
    assert len(noises) == 9
    for noise in noises:
        torch.testing.assert_close(noise, noises[0], atol=1e-2, rtol=0)
    assert float(noises[0].std()) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("strength", [0.01, 0.6, 0.99])
def test_the_strength_is_the_level_of_noise_to_start_from(
    denoiser: DiffusionModel, pretend: Callable[[Predict], None], sampler: Sampler, strength: float
) -> None:
    pretend(pointwise)
    timesteps: list[int] = []
    pipeline = pipeline_of(denoiser, sampler)
    condition = pipeline.condition(torch.tensor([3]), generators(1))
    source = torch.rand(80, REAL_FRAMES)
    finish(
        pipeline.denoise_steps(
            condition,
            25,
            1.0,
            generators(1),
            source=source,
            strength=strength,
            watch=lambda _, timestep, __: timesteps.append(timestep),
        )
    )
    assert timesteps[0] == pytest.approx(strength * TRAIN_STEPS, abs=20)
    assert len(timesteps) <= 26


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 3, 25, 61, 200])
def test_any_number_of_steps_goes_down_from_pure_noise(
    denoiser: DiffusionModel, pretend: Callable[[Predict], None], sampler: Sampler, steps: int
) -> None:
    pretend(pointwise)
    timesteps: list[int] = []

    def watch(*values: Any) -> dict[str, Any]:
        timesteps.append(values[2])
        return {}

    mels = pipeline_of(denoiser, sampler)([3], steps, 1.0, generators(1), callback_on_step_end=watch).mels
    assert timesteps[0] == TRAIN_STEPS - 1
    assert timesteps[-1] >= 0
    assert all(late < early for early, late in pairwise(timesteps))
    assert np.isfinite(mels).all()


def test_the_callback_sees_every_step_and_can_change_the_latents(denoiser: DiffusionModel) -> None:
    pipeline = pipeline_of(denoiser)
    seen: list[int] = []

    def same(*values: Any) -> dict[str, Any]:
        number, tensors = values[1], values[3]
        seen.append(number)
        assert set(tensors) == {"latents", "clean"}
        return {"latents": torch.zeros_like(tensors["latents"])} if number == STEPS - 2 else {}

    both = ("latents", "clean")
    one, other = (
        pipeline(
            [3],
            STEPS,
            1.0,
            generators(seed),
            condition=None,
            callback_on_step_end=same,
            callback_on_step_end_tensor_inputs=both,
        ).mels
        for seed in (1, 2)
    )
    assert seen == 2 * list(range(STEPS))
    # The last step started from the same zeros, so what is left of the seeds is the active share alone.
    assert np.abs(one - other).max() < 0.05


def test_a_tuple_a_tensor_and_a_ready_condition(denoiser: DiffusionModel) -> None:
    pipeline = pipeline_of(denoiser)
    (mels,) = pipeline([3], STEPS, generator=generators(1), return_dict=False)
    assert isinstance(mels, np.ndarray)
    generator = generators(1)
    condition = pipeline.condition(torch.tensor([3]), generator)
    same = pipeline(
        condition=condition, num_inference_steps=STEPS, generator=generator, output_type="pt"
    ).mels
    assert torch.equal(same, torch.from_numpy(mels))


def test_what_a_program_may_get_wrong(denoiser: DiffusionModel) -> None:
    pipeline = pipeline_of(denoiser)
    with pytest.raises(ValueError, match="either"):
        pipeline()
    with pytest.raises(ValueError, match="generators"):
        pipeline([3, 4], STEPS, generator=generators(1))
    with pytest.raises(ValueError, match="latents"):
        pipeline([3], STEPS, callback_on_step_end_tensor_inputs=["noise"])


def test_a_scheduler_with_timesteps_of_its_own_is_refused(denoiser: DiffusionModel) -> None:
    pipeline = pipeline_of(denoiser)
    pipeline.scheduler = DDIMScheduler(prediction_type="sample")
    with pytest.raises(ValueError, match=r"DDIMScheduler can't .* schedule\(\"dpm\+\+\"\)"):
        pipeline([3], STEPS, generator=generators(1))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_finds_the_answer_that_the_model_knows(sampler: Sampler) -> None:
    # A model that always predicts the right clean spectrogram ends there with any sampler.
    scheduler, timesteps = noise_levels(schedule(sampler), 12, 1.0, torch.device("cpu"))
    answer = torch.linspace(-1, 1, 90).reshape(1, 9, 10)
    sample = torch.randn(1, 9, 10)
    for timestep in timesteps:
        sample = scheduler.step(answer, timestep, sample).prev_sample
    torch.testing.assert_close(sample, answer, atol=1e-4, rtol=0)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_levels_of_clips_are_as_different_as_in_the_data(sampler: Sampler) -> None:
    """Clips of one value each, for which the best prediction is known: the level depends on all pixels.

    With timesteps at even distances, 20 steps keep 14 to 18 % of the difference.
    """
    pixels, deviation = BANDS * FRAMES, 0.5
    scheduler, timesteps = noise_levels(schedule(sampler), 20, 1.0, torch.device("cpu"))
    means = torch.randn(2_000, 1, 1, 1, generator=torch.Generator().manual_seed(0)) / pixels**0.5
    for timestep in timesteps:
        power = scheduler.alphas_cumprod[timestep]
        clean = power.sqrt() * means * pixels / (power * pixels + (1 - power) / deviation**2)
        means = scheduler.step(clean, timestep, means).prev_sample
    assert float(clean.std()) == pytest.approx(deviation, rel=0.2)


@pytest.mark.parametrize(("steps", "strength"), [(1, 1.0), (20, 1.0), (50, 1.0), (25, 0.6), (25, 0.01)])
def test_steps_follow_the_logarithm_of_the_noise(steps: int, strength: float) -> None:
    scheduler, timesteps = noise_levels(schedule("dpm++"), steps, strength, torch.device("cpu"))
    assert timesteps[0] == round(strength * TRAIN_STEPS) - 1
    assert steps * strength - 4 <= len(timesteps) <= steps * strength + 1
    noise = scheduler.sigmas.numpy()
    assert noise[-1] == 0
    # Where timesteps lie close enough for it.
    steps_down = np.diff(np.log(noise[(noise > 0.1) & (noise < 10)]))
    if steps_down.size:
        np.testing.assert_allclose(steps_down, steps_down.mean(), rtol=0.2)


def test_guidance_costs_a_second_pass_between_two_levels_of_noise(
    denoiser: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: dict[int, int] = {}

    def predict(_: DiffusionModel, noisy: Tensor, timesteps: Tensor, __: Tensor) -> Tensor:
        passes[int(timesteps[0])] = len(noisy)
        return pointwise(noisy)

    monkeypatch.setattr(DiffusionModel, "predict", predict)
    pipeline_of(denoiser)([3], 20, 2.0, generators(1))
    signal, noise = denoiser.levels(torch.tensor(list(passes)))
    expected = [
        2 if MIN_GUIDED_NOISE < ratio < MAX_GUIDED_NOISE else 1 for ratio in (noise / signal).flatten()
    ]
    assert list(passes.values()) == expected
    assert set(expected) == {1, 2}
