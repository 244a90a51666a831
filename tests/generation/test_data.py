"""ESC-50 as spectrograms and as batches."""

from pathlib import Path

import pytest
import torch

from aural.audio.spectral import log_mel, unscale
from aural.errors import InputError
from aural.generation.data import Esc50, batch_sampler, fit_statistics, load, roll_loops, shift_bands
from aural.generation.model import FRAMES, REAL_FRAMES, Conditioning
from tests.generation.esc50 import write_esc50


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Esc50:
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        first = load(write_esc50(folder / "esc50"))
        second = load(folder / "esc50")
    assert len(list((folder / "cache" / "aural").iterdir())) == 1
    assert torch.equal(first.mel, second.mel)
    return second


def test_fold_5_is_for_validation_only(clips: Esc50) -> None:
    assert clips.training.folds.unique().tolist() == [1, 2, 3, 4]
    assert clips.validation.folds.unique().tolist() == [5]
    assert set(clips.validation.sources) == {"1005"}
    assert len(clips.training) + len(clips.validation) == len(clips) == 20
    assert clips.training.waves.shape == (16, 110_250)


def test_the_spectrogram_is_that_of_the_wave(clips: Esc50) -> None:
    expected = log_mel(torch.from_numpy(clips.waves[3].astype("float32") / 32767))
    torch.testing.assert_close(clips.mel[3].float(), expected, atol=1e-3, rtol=0)


def test_batches_depend_on_the_generator_alone(clips: Esc50) -> None:
    sample = batch_sampler(clips.training, 8)
    first, again, other = (sample(torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(first.mel, again.mel) and torch.equal(first.labels, again.labels)
    assert not torch.equal(first.mel, other.mel)
    assert first.mel.shape == (8, 80, FRAMES)
    assert first.mel.min() >= 0 and first.mel.max() <= 1


def test_augmentation_keeps_the_class_and_tells_the_active_share(clips: Esc50) -> None:
    sample = batch_sampler(clips.training, 64)
    batch = sample(torch.Generator().manual_seed(0))
    brightest = unscale(batch.mel).mean(2).argmax(1)
    for label in range(4):
        # Each class is a tone: its band, up to one band of augmentation and one of the folds' pitches.
        bands = brightest[batch.labels == label]
        assert bands.max() - bands.min() <= 4
    sounding = (batch.mel.amax(1) > 0.1).float().mean(1)
    assert (sounding - batch.active).abs().max() < 0.05
    assert batch.active[batch.labels % 2 == 0].min() > 0.95


def test_a_roll_is_circular() -> None:
    mel = torch.rand(2, 80, REAL_FRAMES)
    still, moved = roll_loops(mel, torch.tensor([0, 0])), roll_loops(mel, torch.tensor([10, 400]))
    assert torch.equal(still[..., :REAL_FRAMES], mel)
    assert torch.equal(still[..., REAL_FRAMES:], mel[..., : FRAMES - REAL_FRAMES])
    assert torch.equal(moved[0, :, 10:REAL_FRAMES], mel[0, :, : REAL_FRAMES - 10])
    assert torch.equal(moved[1, :, :400], mel[1, :, REAL_FRAMES - 400 :])


def test_pitch_moves_bands() -> None:
    mel = torch.rand(2, 80, 6)
    up, down = shift_bands(mel, torch.tensor([1, -1]))
    assert torch.equal(up[1:], mel[0, :-1]) and torch.equal(up[0], mel[0, 0])
    assert torch.equal(down[:-1], mel[1, 1:]) and torch.equal(down[-1], mel[1, -1])


def test_the_model_learns_the_scale_of_the_data(clips: Esc50) -> None:
    conditioning = Conditioning(width=16)
    fit_statistics(clips.training, conditioning)
    normalised = (clips.training.mel.float() - conditioning.mean) / conditioning.deviation
    assert normalised.mean((0, 2)).abs().max() < 1e-2
    torch.testing.assert_close(normalised.std((0, 2)), torch.ones(80), atol=1e-2, rtol=0)
    # Odd classes sound for 2 of 5 seconds.
    assert conditioning.active_quantiles[1, 5] == pytest.approx(0.4, abs=0.02)
    assert conditioning.active_quantiles[0, 5] == pytest.approx(1, abs=0.01)


def test_a_folder_without_esc50(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"has no meta/esc50\.csv\. Choose the folder of a clone of karolpiczak/ESC-50\."
    ):
        load(tmp_path)
