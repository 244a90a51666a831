"""How much sound each training learns from in a second on this machine's cores, earlier and now.

    python -m tools.card.throughput --data DIR --packed .card/data --responses .card/responses.npz

Each training runs for --seconds on its own, one after the other, with the sizes that it ships with. Counted
is the sound in its steps; reading the data is left out. Two networks of different size are compared as they
are: the later ones are larger, and mix their data anew for each step.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aural.evaluation.table import markdown_table
from aural.training.loop import CARD
from tools.card.train import OPTIONS


@dataclass(frozen=True)
class Training:
    """A training as a command, and how much sound a step has."""

    name: str
    when: str  # "earlier" or "now"
    module: str
    options: Sequence[str]
    batch: int
    seconds: float  # of each item


def trainings(packed: Path, responses: Path, data: Path) -> list[Training]:
    """Both ways to train the denoiser and the extender."""
    few = ["--data", str(data), "--steps", "100000", "--no-save"]
    new = ["--data", str(packed)]
    return [
        Training(
            *("denoiser", "earlier", "aural.enhancement.train"),
            [*few, "--examples", "60"],
            batch=6,
            seconds=2,
        ),
        Training(
            *("denoiser", "now", "tools.card.denoiser"),
            [*new, "--cpu", *OPTIONS["denoiser"]],
            batch=12,
            seconds=2,
        ),
        Training(
            *("extender", "earlier", "aural.superres.train"), [*few, "--adversarial"], batch=12, seconds=2
        ),
        Training(
            *("extender", "now", "tools.card.extender"),
            [*new, "--responses", str(responses), *OPTIONS["extender"]],
            batch=8,
            seconds=1.4,
        ),
    ]


def run(training: Training, seconds: float) -> float:
    """Seconds of sound that a training learns from in a second."""
    with tempfile.TemporaryDirectory() as folder:
        is_later = training.when == "now"
        limits = ["--out", folder, "--seconds", str(seconds)]
        if not is_later:
            limits = ["--folder", folder, "--minutes", str(seconds / 60)]
        command = [sys.executable, "-m", training.module, *training.options, *limits]
        subprocess.run(command, check=True, stdout=sys.stderr)
        steps, taken = (later_steps if is_later else earlier_steps)(Path(folder))
    return steps / taken * training.batch * training.seconds


def later_steps(folder: Path) -> tuple[int, float]:
    """Number of steps of a run of today, and their seconds, from its log; without the first ones logged."""
    lines = [line for path in folder.glob("*.log") for line in path.read_text(encoding="utf-8").splitlines()]
    entries = [entry for entry in map(json.loads, lines) if "step" in entry]
    if len(entries) < 2:
        sys.exit("The data was hardly read when the time was over. Give more --seconds.")
    first, last = entries[0], entries[-1]
    return last["step"] - first["step"], last["seconds"] - first["seconds"]


def earlier_steps(folder: Path) -> tuple[int, float]:
    """Number of steps of an earlier run, and their seconds, from its card."""
    (path,) = folder.rglob(CARD)
    card = json.loads(path.read_text(encoding="utf-8"))
    return card["step"], 60 * card["minutes"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--packed", type=Path, default=Path(".card/data"))
    parser.add_argument("--responses", type=Path, default=Path(".card/responses.npz"))
    parser.add_argument(
        "--seconds", type=float, default=400, help="of each training, its data's reading included"
    )
    chosen = parser.parse_args()
    rows = [
        (training.name, training.when, f"{run(training, chosen.seconds):.2f}")
        for training in trainings(chosen.packed, chosen.responses, chosen.data)
    ]
    print(markdown_table(["training", "", "seconds of sound per second"], rows, (0, 1)))


if __name__ == "__main__":
    main()
