"""Train a shipped network by one command, on this machine's cores or card, for as long as there is time.

    python -m tools.card.train denoiser --data DIR --minutes 120
    python -m tools.card.train denoiser --data DIR --minutes 120    # goes on, if the first was interrupted
    python -m tools.card.train denoiser --ship                      # -> checkpoints/denoiser

The training is that of the card (README.md). It packs the data at first, keeps its state in
`runs/NAME/state.pt`, writes it every ten minutes, and lets its learning rate fall by the clock: the minutes
are those of all its runs together. Other options go to the training itself.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from aural import hub
from aural.errors import OptionError
from aural.hub import manifest
from aural.training.checkpoints import FOLDER, save

MODULES = {"live_denoiser": "denoiser"}  # of the networks that share a training; the others have their own
PACKED = Path(".card")
RUNS = Path("runs")
RESPONSES, RESPONSES_SEED = 500, 7  # low-passes that the extender's training draws from

# What makes the shipped size, for a few cores; a card takes the trainings' own defaults.
OPTIONS: dict[str, tuple[str, ...]] = {
    "denoiser": ("--batch", "12"),
    "live_denoiser": ("--causal", "--batch", "8"),
    "extender": ("--look-ahead", "4", "--width", "256", "--batch", "8", "--discriminator-width", "16"),
    "vocoder": (),
    "generator": ("--batch", "32"),
}


def train(name: str, data: Path, minutes: float, more: list[str]) -> None:
    """Pack the data where it is not packed yet, and train until the minutes are over."""
    packed, responses = PACKED / "data", PACKED / "responses.npz"
    if not packed.is_dir():
        _call("tools.card.pack", "--data", str(data), "--out", str(packed))
    run = RUNS / name
    run.mkdir(parents=True, exist_ok=True)
    options = list(OPTIONS[name])
    if name == "extender":
        if not responses.is_file():
            from tools.card.lowpass import write

            write(responses, RESPONSES, RESPONSES_SEED)
        options += ["--responses", str(responses)]
    where = ["--data", str(packed), "--out", str(run), "--state", str(run / "state.pt")]
    _call(f"tools.card.{MODULES.get(name, name)}", *where, "--seconds", str(60 * minutes), *options, *more)


def ship(name: str, folder: Path = FOLDER) -> Path:
    """Write what a training has made, or its latest snapshot, as the checkpoint of its name.

    Returns:
        the checkpoint's folder.

    Raises:
        OptionError: there is no result yet.
    """
    from safetensors.torch import load_file

    weights, facts = (RUNS / name / f"{name}.{ending}" for ending in ("safetensors", "json"))
    if not (weights.is_file() and facts.is_file()):
        raise OptionError(f"{weights.parent} holds no result. Train first, to the end of the minutes.")
    config = json.loads(facts.read_text(encoding="utf-8"))["config"]
    model = hub.builder(name)(config)
    tensors = {
        key: value.float() if value.is_floating_point() else value
        for key, value in load_file(weights).items()
    }
    model.load_state_dict(tensors)
    return save(name, model, config, manifest.entries()[name].licence, folder=folder)


def main(command: list[str] | None = None) -> None:
    """Train or ship by the command line's settings."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=OPTIONS, help="the network")
    parser.add_argument("--data", type=Path, default=Path("data"), help="the folder with the data")
    parser.add_argument("--minutes", type=float, help="of all runs together")
    parser.add_argument("--ship", action="store_true", help="write the result to checkpoints/")
    chosen, more = parser.parse_known_args(command)
    if chosen.minutes is None and not chosen.ship:
        parser.error("Say how long: --minutes 120.")
    try:
        if chosen.minutes is not None:
            train(chosen.name, chosen.data, chosen.minutes, more)
        if chosen.ship:
            print(f"{ship(chosen.name)}: evaluate it, and write its card")
    except OptionError as error:
        sys.exit(str(error))


def _call(module: str, *options: str) -> None:
    finished = subprocess.run([sys.executable, "-m", module, *options], check=False)
    if finished.returncode:
        sys.exit(finished.returncode)


if __name__ == "__main__":
    main()
