"""Imports point down only, nothing goes in a circle, and starting the app loads no model library."""

import subprocess
import sys

import pytest

from tools.import_map import FLOORS, ROOT, arrows, circles, modules, named, reached, upward

MODULES = modules()
TRAINING = {"training", "train", "train_classifier", "data", "degrade", "evaluate", "ablation"}


def test_imports_point_down_only() -> None:
    assert not upward(MODULES)


def test_every_room_has_a_floor_and_every_floor_a_room() -> None:
    assert {module.room for module in MODULES.values()} <= set(FLOORS)
    assert set(FLOORS.values()) == set(range(8))


def test_only_a_verb_its_home_and_the_hub_its_networks_are_named_in_texts() -> None:
    """Such a file is imported when it is asked for, which no import shows."""
    for name, other in named(MODULES):
        own_home = name.endswith(".verb") and MODULES[name].room == MODULES[other].room
        assert own_home or name == "aural.hub", f"{name} names {other}"


def test_no_file_imports_itself_by_way_of_others() -> None:
    assert circles(arrows(MODULES)) == []


@pytest.mark.parametrize("name", MODULES)
def test_only_the_app_the_ui_and_the_tabs_know_gradio(name: str) -> None:
    module = MODULES[name]
    if module.room not in ("app", "harp", "ui") and module.path.name != "tab.py":
        assert not {one for one in module.imports if one.split(".")[0] == "gradio"}


def test_the_player_for_other_apps_imports_nothing_of_ours() -> None:
    """It is a package of its own: packages/abplayer."""
    (player,) = [module for name, module in MODULES.items() if name.startswith("aural.ui.abplayer")]
    roots = {name.partition(".")[0] for name in player.imports} - sys.stdlib_module_names
    assert roots == {"gradio", "numpy", "soundfile"}


def test_nothing_that_the_app_reaches_belongs_to_training_or_evaluation() -> None:
    """By any import, those inside of functions too."""
    ours = reached("app", arrows(MODULES))
    assert "aural.batch.job" in ours and "aural.enhancement.denoiser" in ours
    parts = {part for name in ours for part in name.split(".")}
    apart = {"training", "evaluation", "train", "train_lisa", "data", "evaluate", "ablation"}
    assert parts.isdisjoint(apart | {"evaluate_items", "evaluate_filters", "evaluate_kinds"})


def loaded_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print('\\n'.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_importing_aural_loads_nothing_heavy() -> None:
    loaded = loaded_after(
        "import aural.audio, aural.hub, aural.hub.device, aural.vocoding, aural.batch.job;"
        "import aural.studio.pipeline"
    )
    assert loaded.isdisjoint({"torch", "librosa", "matplotlib", "gradio", "av", "transformers", "diffusers"})


def test_importing_the_app_loads_no_model_library_and_no_training() -> None:
    loaded = loaded_after("import app")
    assert "gradio" in loaded
    assert loaded.isdisjoint({"torch", "torchaudio", "librosa", "matplotlib", "transformers", "diffusers"})
    ours = {name for name in loaded if name.startswith("aural.")}
    assert not {name for name in ours if name.split(".")[-1] in TRAINING}
