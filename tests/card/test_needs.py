"""What the trainings import: on the card, which has no network, nothing else can be had."""

from __future__ import annotations

import re

from tests.absent import ROOT, run_without

README = ROOT / "tools" / "card" / "README.md"
# Of this project's requirements, those that the card's Python has; its README names the wheels that are sent.
THERE = {"annotated_doc", "huggingface_hub", "numpy", "safetensors", "scipy", "torch", "torchaudio"}
IMPORTS = """
import importlib
for name in ("denoiser", "extender", "generator", "vocoder"):
    importlib.import_module("tools.card." + name)
"""


def test_trainings_import_nothing_but_what_the_card_has_and_what_is_sent() -> None:
    required = {
        re.split(r"[^\w-]", line)[0].lower().replace("-", "_")
        for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
        if re.match(r"\w", line)
    }
    sent = set(re.findall(r"\w+", README.read_text(encoding="utf-8").split("-d .whl")[1].split("```")[0]))
    absent = required - THERE - sent
    assert {"gradio", "av"} <= absent
    finished = run_without(absent, IMPORTS)
    assert finished.returncode == 0, finished.stderr
