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
    "audio": 0,
    "options": 0,
    "hub": 1,
    "device": 1,
    "download": 1,
    "pace": 1,
    "publishing": 1,
    "vocoding": 1,
    "training": 1,
    "ui": 1,
    "loudness": 2,
    "enhancement": 2,
    "superres": 2,
    "generation": 2,
    "releasing": 3,
    "jobs": 3,
    "shell": 3,
    "preload": 3,
    "batch": 3,
    "__main__": 3,
}
# Floor-mates: `hub` puts models on a `device` and fetches them by `download`; the vocoder is trained too.
# `publishing` is the other half of `hub`; `ui` tells what the machine has loaded and how long it will take.
# `jobs` runs all verbs, for the shell, for many machines, and for the tab of `releasing`.
ALLOWED = {
    ("audio", "errors"),
    ("options", "errors"),
    ("hub", "device"),
    ("hub", "download"),
    ("vocoding", "hub"),
    ("hub", "publishing"),
    ("publishing", "hub"),
    ("publishing", "download"),
    ("ui", "hub"),
    ("ui", "device"),
    ("ui", "pace"),
    ("vocoding", "training"),
    ("jobs", "releasing"),
    ("releasing", "jobs"),
    ("shell", "jobs"),
    ("batch", "jobs"),
    ("batch", "shell"),
    ("__main__", "jobs"),
    ("__main__", "shell"),
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
        if other not in FLOORS:
            continue  # a name, not a module
        down = FLOORS[other] < FLOORS[room]
        measure = other == "loudness" and FLOORS[room] == 2
        assert down or measure or (room, other) in ALLOWED, f"{path} imports {name}"


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
        "import aural.audio, aural.hub, aural.hub.device, aural.vocoding, aural.jobs, aural.releasing.pipeline"
    )
    assert loaded.isdisjoint({"torch", "librosa", "matplotlib", "gradio", "av", "transformers", "diffusers"})


def test_importing_the_app_loads_no_model_library_and_no_training() -> None:
    loaded = loaded_after("import app")
    assert "gradio" in loaded
    assert loaded.isdisjoint({"torch", "torchaudio", "librosa", "matplotlib", "transformers", "diffusers"})
    ours = {name for name in loaded if name.startswith("aural.")}
    assert not {name for name in ours if name.split(".")[-1] in TRAINING}
