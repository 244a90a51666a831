"""What the trainings import: on the card, which has no network, nothing else can be had."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "tools" / "card" / "README.md"
# Of this project's requirements, those that the card's Python has; its README names the wheels that are sent.
THERE = {"annotated_doc", "huggingface_hub", "numpy", "safetensors", "scipy", "torch", "torchaudio"}
HIDE = """
import importlib, sys
from importlib.machinery import PathFinder

absent = set(sys.argv[1].split(","))

class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] in absent else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
for name in ("denoiser", "extender", "generator", "vocoder"):
    importlib.import_module("tools.card." + name)
"""


def test_trainings_import_nothing_but_what_the_card_has_and_what_is_sent() -> None:
    root = README.parents[2]
    required = {
        re.split(r"[^\w-]", line)[0].lower().replace("-", "_")
        for line in (root / "requirements.txt").read_text(encoding="utf-8").splitlines()
        if re.match(r"\w", line)
    }
    sent = set(re.findall(r"\w+", README.read_text(encoding="utf-8").split("-d .whl")[1].split("```")[0]))
    absent = required - THERE - sent
    assert {"gradio", "av"} <= absent
    command = [sys.executable, "-c", HIDE, ",".join(sorted(absent))]
    finished = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
