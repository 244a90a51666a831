"""The ablation study: each arm runs once and differs from the recipe in one thing."""

from __future__ import annotations

from pathlib import Path

import pytest

from aural.errors import OptionError
from aural.generation import ablation
from aural.generation.data import Esc50
from aural.generation.train import TINY
from aural.training.loop import Settings
from tests.generation.tones import pitch_scorer

pytestmark = pytest.mark.usefixtures("tiny_checkpoints")


def small_run(folder: Path) -> Settings:
    return Settings(folder=folder, steps=1, batch=2, warm_up=1)


def test_ablation_runs_each_arm_once_and_compares_it_with_the_studys(
    tmp_path: Path, esc50: Esc50, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ablation, "SAMPLING_STEPS", 1)
    evaluator = ablation.Evaluator.of(esc50, pitch_scorer, [0, 10])
    arms = ablation.arms(TINY)
    found = {
        name: (arms[name], ablation.run_arm(arms[name], esc50, small_run(tmp_path / name), evaluator, 2))
        for name in ("no-normalisation", "noise")
    }
    for _, row in found.values():
        assert row.plain.clips == row.guided.clips == 4
    text = ablation.report(found, evaluator.real(2))
    (noise,) = [line for line in text.splitlines() if line.startswith(f"| {arms['noise'].name} | 0.")]
    cells = [cell.strip() for cell in noise.strip("|").split("|")]
    assert cells[8] == "1.00", "its distance, in terms of itself"
    assert cells[9:] == ["14.4", "0.220", "0.504", "0.674", "0.341"]

    monkeypatch.delattr(ablation, "train_denoiser")
    name = "noise"
    assert ablation.run_arm(arms[name], esc50, small_run(tmp_path / name), evaluator, 2) == found[name][1]
    with pytest.raises(OptionError, match=r"holds an arm with other settings\. Choose another --folder\."):
        ablation.run_arm(arms["l1"], esc50, small_run(tmp_path / name), evaluator, 2)


def test_arms_differ_from_the_recipe_in_one_thing() -> None:
    arms = ablation.arms()
    recipe = arms.pop("recipe")
    for arm in arms.values():
        whole, other = (
            {**vars(recipe.config), **vars(recipe.objective)},
            {
                **vars(arm.config),
                **vars(arm.objective),
            },
        )
        if not arm.config.normalise:  # the same variance in other units
            assert other["texture"] == ablation.RAW_TEXTURE
            other["texture"] = whole["texture"]
        assert sum(whole[key] != other[key] for key in whole) == 1, arm.name
