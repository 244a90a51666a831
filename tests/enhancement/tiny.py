"""Checkpoints of a few kilobytes with random weights, for tests that do not depend on quality."""

from __future__ import annotations

from pathlib import Path

import torch

from aural.enhancement import completer, denoiser, denoiser_causal
from aural.training.checkpoints import save
from tests.superres import tiny as superres

DENOISER = denoiser.DenoiserConfig(widths=(4, 4, 8), hidden=4, blocks=1)
LIVE_DENOISER = denoiser_causal.CausalConfig(widths=(4, 4, 8), blocks=1)
COMPLETER = completer.CompleterConfig(widths=(4, 4, 8), hidden=4)


def write_checkpoints(folder: Path) -> None:
    """Write the networks of this slice, and the extender, with their manifest; always the same weights."""
    models = {
        "denoiser": (denoiser.build_denoiser, DENOISER),
        "completer": (completer.build_completer, COMPLETER),
        "live_denoiser": (denoiser_causal.build_causal_denoiser, LIVE_DENOISER),
    }
    superres.write_checkpoints(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for name, (build, config) in models.items():
            save(name, build(config.to_dict()), config.to_dict(), "MIT", folder=folder)
