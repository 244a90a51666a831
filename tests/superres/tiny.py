"""Checkpoints of a few kilobytes with random weights, for tests that do not depend on quality."""

from __future__ import annotations

from pathlib import Path

import torch

from aural.superres.lisa import LisaConfig, build_lisa
from aural.superres.model import ExtenderConfig, build_extender
from aural.training.checkpoints import save

EXTENDER = ExtenderConfig(width=8, dilations=(1, 2))
LISA = LisaConfig(widths=(2, 3, 4), latent=4, hidden=8, layers=2, level=16)


def write_checkpoints(folder: Path) -> None:
    """Write the two networks with their manifest; always the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = EXTENDER.to_dict()
        save("extender", build_extender(config), config, "MIT", folder=folder)
        config = LISA.to_dict()
        save("lisa", build_lisa(config), config, "MIT", folder=folder)
