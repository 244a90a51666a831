"""The command line that all training modules share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from torch import nn

from aural.training.checkpoints import save
from aural.training.loop import Outcome, Settings

CORPUS = "a folder with esc50/, speech/, music/"
ESC50 = "a clone of karolpiczak/ESC-50"

SMOKE_SECONDS = 30
SMOKE_STEPS = 4


def arguments(
    description: str | None,
    *,
    data: str,
    steps: int,
    batch: int,
    folder: str,
    minutes: float | None = None,
) -> argparse.ArgumentParser:
    """The options that all training modules have; pass the parsed ones to `settings` and `save_outcome`.

    Args:
        data: the help text of --data.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help=data)
    parser.add_argument("--folder", type=Path, default=Path(folder), help="where the run is written")
    parser.add_argument("--steps", type=int, default=steps, help="steps of the whole run")
    parser.add_argument("--batch", type=int, default=batch, help="clips per step, on each process")
    parser.add_argument(
        "--minutes", type=float, default=minutes, help="stop after this time; --resume continues the run"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="continue from the folder's state")
    parser.add_argument(
        "--precision", choices=("no", "bf16"), default="no", help="precision of the forward pass"
    )
    parser.add_argument("--no-save", action="store_true", help="do not write to checkpoints/")
    parser.add_argument("--smoke", action="store_true", help="test: train a tiny model for a few seconds")
    return parser


def settings(chosen: argparse.Namespace, **others: Any) -> Settings:
    """The settings for the parsed options; `others` are further fields."""
    values = {
        name: getattr(chosen, name)
        for name in ("folder", "steps", "batch", "minutes", "seed", "resume", "precision")
    }
    if chosen.smoke:
        values |= {"steps": SMOKE_STEPS, "batch": 2, "minutes": SMOKE_SECONDS / 60}
        others |= {"warm_up": 1, "log_steps": 1, "validate_steps": SMOKE_STEPS}
    return Settings(**{**values, **others})


def save_outcome(
    chosen: argparse.Namespace,
    outcome: Outcome,
    name: str,
    module: nn.Module,
    config: dict[str, Any],
    licence: str,
    *,
    half: bool = True,
) -> None:
    """Print how long the run took and save its checkpoint, unless the options say otherwise.

    Args:
        name, module, config, licence, half: see `aural.training.checkpoints.save`.
    """
    print(f"{outcome.step} steps in {outcome.minutes:.1f} minutes")
    if not (chosen.smoke or chosen.no_save):
        print("Saved", save(name, module, config, licence, half=half))
