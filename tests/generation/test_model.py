"""The denoiser: lossless patches, noise levels, conditions."""

import json

import pytest
import torch

from aural.errors import OptionError
from aural.generation.model import (
    AUGMENTATIONS,
    FRAMES,
    MIN_ACTIVE,
    NULL_CLASS,
    QUANTILES,
    TRAIN_STEPS,
    Config,
    DiffusionModel,
    active_share,
    build,
    from_patches,
    schedule,
    to_patches,
)

TINY = Config(channels=(16, 32, 32))
FINE = Config(channels=(16, 32), patch_bands=4, patch_frames=4, embedding=48, augmented=True)


@pytest.fixture(scope="module")
def denoiser() -> DiffusionModel:
    torch.manual_seed(0)
    return DiffusionModel(TINY).eval()


@pytest.mark.parametrize(("bands", "frames", "shape"), [(5, 9, (45, 16, 48)), (4, 4, (16, 20, 108))])
def test_patches_lose_nothing_and_keep_neighbours_together(
    bands: int, frames: int, shape: tuple[int, int, int]
) -> None:
    mel = torch.randn(2, 80, FRAMES)
    picture = to_patches(mel, bands, frames)
    assert picture.shape == (2, *shape)
    assert torch.equal(from_patches(picture, bands, frames), mel)
    patch = mel[1, 3 * bands : 4 * bands, 7 * frames : 8 * frames]
    assert torch.equal(picture[1, :, 3, 7], patch.flatten())


@pytest.mark.parametrize("config", [TINY, FINE])
def test_any_multiple_of_frames_goes_in_and_comes_out(config: Config) -> None:
    torch.manual_seed(0)
    denoiser = DiffusionModel(config).eval()
    multiple = config.frame_multiple
    assert FRAMES % multiple == 0
    for frames in (multiple, FRAMES, FRAMES + multiple):
        condition = denoiser.condition(torch.tensor([3]), torch.ones(1))
        with torch.no_grad():
            clean = denoiser(torch.randn(1, 80, frames), torch.tensor([500]), condition)
        assert clean.shape == (1, 80, frames)


def test_a_clip_does_not_depend_on_the_rest_of_its_batch(denoiser: DiffusionModel) -> None:
    noisy = torch.randn(3, 80, FRAMES)
    timesteps, labels, active = torch.tensor([10, 500, 999]), torch.tensor([0, 7, NULL_CLASS]), torch.rand(3)
    with torch.no_grad():
        together = denoiser(noisy, timesteps, denoiser.condition(labels, active))
        alone = denoiser(noisy[1:2], timesteps[1:2], denoiser.condition(labels[1:2], active[1:2]))
    torch.testing.assert_close(together[1:2], alone, atol=1e-4, rtol=1e-4)


def test_the_condition_tells_classes_and_shares_apart_and_the_null_class_knows_neither(
    denoiser: DiffusionModel,
) -> None:
    def condition(label: int, active: float) -> torch.Tensor:
        return denoiser.condition(torch.tensor([label]), torch.tensor([active]))

    assert not torch.allclose(condition(0, 1.0), condition(1, 1.0))
    assert not torch.allclose(condition(0, 1.0), condition(0, 0.3))
    assert torch.equal(condition(NULL_CLASS, 1.0), condition(NULL_CLASS, 0.3))


def test_noise_levels_go_from_almost_none_to_almost_all(denoiser: DiffusionModel) -> None:
    signal, noise = denoiser.levels(torch.arange(TRAIN_STEPS))
    torch.testing.assert_close(signal**2 + noise**2, torch.ones(TRAIN_STEPS, 1, 1))
    assert (signal.diff(dim=0) < 0).all()
    assert signal[0] > 0.999 and signal[-1] < 0.001


def test_an_unknown_sampler() -> None:
    with pytest.raises(OptionError, match=r"There is no sampler \"euler\"\. Choose one of .*dpm"):
        schedule("euler")  # type: ignore[arg-type]


def test_a_denoiser_that_predicts_noise_returns_the_clean_spectrogram() -> None:
    denoiser = DiffusionModel(Config(channels=(16, 32, 32), predicts="noise"))
    clean, noise = torch.rand(1, 80, FRAMES), torch.randn(1, 80, FRAMES)
    timesteps = torch.tensor([600])
    signal, level = denoiser.levels(timesteps)
    denoiser.predict = lambda *_: noise  # type: ignore[method-assign,assignment]
    found = denoiser(signal * clean + level * noise, timesteps, torch.zeros(1, 64))
    torch.testing.assert_close(found, clean, atol=1e-4, rtol=0)


@pytest.mark.parametrize("config", [TINY, FINE])
def test_the_config_survives_json(config: Config) -> None:
    rebuilt = build(json.loads(json.dumps(config.to_dict())))
    assert rebuilt.config == config


def test_a_config_of_before_patches_could_be_chosen_gives_the_model_of_then() -> None:
    old = {"channels": [16, 32, 32], "layers": 1, "attention": True, "normalise": True, "predicts": "clean",
           "texture": 0.03, "dropout": 0.1, "groups": 16}  # fmt: skip
    rebuilt = build(old)
    assert rebuilt.config == TINY
    assert not any("augmentation" in name for name in rebuilt.state_dict())


def test_augmentation_is_part_of_the_condition_and_none_means_zero() -> None:
    denoiser = DiffusionModel(FINE).eval()
    labels, active = torch.tensor([3, NULL_CLASS]), torch.ones(2)
    with torch.no_grad():
        plain = denoiser.condition(labels, active)
        zero = denoiser.condition(labels, active, torch.zeros(2, AUGMENTATIONS))
        shifted = denoiser.condition(labels, active, torch.ones(2, AUGMENTATIONS))
    assert plain.shape == (2, 48)
    assert torch.equal(plain, zero)
    assert not torch.allclose(plain[0], shifted[0])
    assert torch.equal(plain[1], shifted[1])  # nothing is known where no class is


def test_active_shares() -> None:
    mel = torch.zeros(2, 80, 100)
    mel[0, 5, :30] = 0.5
    mel[1] = 0.05  # below the threshold
    assert active_share(mel).tolist() == pytest.approx([0.3, 0.0])


def test_active_shares_are_sampled_from_the_class() -> None:
    denoiser = DiffusionModel(TINY)
    denoiser.conditioning.active_quantiles[4] = torch.linspace(0.2, 0.4, QUANTILES)
    drawn = denoiser.sample_active(torch.full((500,), 4), torch.Generator().manual_seed(0))
    # From the 20 % quantile on.
    assert 0.24 <= drawn.min() < 0.26 and 0.38 < drawn.max() <= 0.4


def test_no_active_share_is_sampled_that_would_be_silence() -> None:
    denoiser = DiffusionModel(TINY)
    denoiser.conditioning.active_quantiles[4] = torch.linspace(0.0, 0.02, QUANTILES)
    assert denoiser.sample_active(torch.full((50,), 4)).min() == pytest.approx(MIN_ACTIVE)
