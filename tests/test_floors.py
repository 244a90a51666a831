"""Imports point down only, and starting the app loads no model library."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# A room may import from the floors below its own, and from itself.
FLOORS = {
    "errors": 0,
    "audio": 1,
    "options": 1,
    "hub": 1,
    "training": 2,
    "evaluation": 2,
    "ui": 2,
    "vocoding": 3,
    "loudness": 3,
    "resynthesis": 4,
    "enhancement": 4,
    "superres": 4,
    "generation": 4,
    "studio": 5,
    "batch": 6,
    "__main__": 7,
}
TRAINING = {"training", "train", "train_classifier", "data", "degrade", "evaluate", "ablation"}


def modules() -> list[Path]:
    return sorted((ROOT / "aural").rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are written in full"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down_only(path: Path) -> None:
    parts = path.relative_to(ROOT / "aural").with_suffix("").parts
    room = parts[0]
    if room == "__init__":
        return  # the verbs, imported when they are called
    for name in imports(path):
        if not name.startswith("aural.") or name.split(".")[1] == room:
            continue
        other = name.split(".")[1]
        if other == "__version__":
            continue
        assert FLOORS[other] < FLOORS[room], f"{path} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_ui_and_the_tabs_know_gradio(path: Path) -> None:
    parts = path.relative_to(ROOT / "aural").parts
    if parts[0] == "ui" or parts[-1] == "tab.py":
        return
    assert not any(name.split(".")[0] == "gradio" for name in imports(path))


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
