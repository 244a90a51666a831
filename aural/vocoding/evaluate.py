"""Quality and speed of Griffin-Lim and the vocoder, compared with the real sound.

    python -m aural.vocoding.evaluate --data DIR [--limit 100]

Every row gets the same scaled log-mel spectrograms of validation recordings, up to 5 seconds of each. Figures
are means over the recordings:

- LSD: the root mean square over frequency, then the mean over time, of the difference in dB between the
  magnitudes of the two STFTs (the front end's own), limited below at -100 dBFS;
- mel error: the mean absolute difference of the scaled log-mel bands, in thousandths of their span of 106 dB;
- convergence: the norm of the difference of the magnitudes, relative to that of the real ones, in dB;
- movement: the mean change of a bin from frame to frame in dB, minus that of the real sound. Smeared sound
  moves too little, which LSD rewards, since the mean of a noise is closest to it;
- seconds for one recording, from mel bands to samples.

`aural.generation.evaluate` measures whether a classifier still recognises the sounds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from aural import hub
from aural.audio.comparison import frame_distances
from aural.audio.spectral import (
    DEFAULT_FRONT_END,
    KNEE_MAGNITUDE,
    FrontEnd,
    log_mel,
    magnitude_from_mel,
    stft,
    unscale,
)
from aural.evaluation.harness import evenly_spaced
from aural.hub import manifest
from aural.training.corpus import KINDS, Corpus, Recording, load
from aural.vocoding.griffin_lim import griffin_lim
from aural.vocoding.model import Vocoder

MAX_SECONDS = 5
COLUMNS = ("LSD dB", "mel error", "convergence", "movement", "seconds")

# Scaled mel (mel_bands, frames), and the real samples (time,) for their length -> samples (time,).
Method = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Row:
    """Means over the recordings."""

    lsd_db: float
    mel_error: float  # relative to the scale; the table shows thousandths
    convergence_db: float  # over the recordings that are not silent
    movement_db: float
    seconds: float


def evaluate(methods: dict[str, Method], waves: list[Tensor]) -> dict[str, Row]:
    """One row for each method, on waves (time,) at the default front end's rate."""
    return {name: _row(method, waves) for name, method in methods.items()}


def methods(vocoder: Vocoder | None) -> dict[str, Method]:
    """The methods to compare; without a vocoder, only the others."""
    found: dict[str, Method] = {
        f"Griffin-Lim {iterations}": _griffin_lim(iterations) for iterations in (32, 100)
    }
    if vocoder is not None:
        device = next(vocoder.parameters()).device
        found["vocoder"] = lambda mel, reference: vocoder(mel.to(device)[None], len(reference))[0].cpu()
    found["real sound"] = lambda _mel, reference: reference
    return found


def validation_recordings(corpus: Corpus, limit: int | None = None) -> dict[str, list[Recording]]:
    """The validation recordings of each kind, evenly spaced if there are more than the limit."""
    found = {}
    for kind in KINDS:
        recordings = corpus.of(kind, validation=True)
        found[kind] = evenly_spaced(recordings, limit or len(recordings))
    return found


def excerpt(corpus: Corpus, recording: Recording, rate: int) -> Tensor:
    """The first seconds of a recording. Shape: (time,)."""
    return corpus.wave(recording, 0, min(recording.length, MAX_SECONDS * rate))


def log_spectral_distance_db(
    output: Tensor, reference: Tensor, front_end: FrontEnd = DEFAULT_FRONT_END
) -> float:
    """LSD in dB, as defined above. Shape: (time,), both."""
    output_db, reference_db = (_levels_db(stft(samples, front_end).abs()) for samples in (output, reference))
    return float(frame_distances(output_db, reference_db, axis=-2).mean())


def _row(method: Method, waves: list[Tensor]) -> Row:
    figures: dict[str, list[float]] = {name: [] for name in COLUMNS}
    for wave in waves:
        mel = log_mel(wave)
        start = perf_counter()
        with torch.inference_mode():
            output = method(mel, wave)
        figures["seconds"].append(perf_counter() - start)
        reference_magnitude, magnitude = stft(wave).abs(), stft(output).abs()
        figures["LSD dB"].append(log_spectral_distance_db(output, wave))
        output_mel = log_mel(output)
        figures["mel error"].append(float((output_mel - mel).abs().mean()))
        if reference_magnitude.any():
            ratio = (magnitude - reference_magnitude).norm() / reference_magnitude.norm()
            figures["convergence"].append(float(20 * ratio.clamp_min(1e-10).log10()))
        movements = [
            _levels_db(values).diff(dim=-1).abs().mean() for values in (magnitude, reference_magnitude)
        ]
        figures["movement"].append(float(movements[0] - movements[1]))
    means = [float(np.mean(values)) if values else float("nan") for values in figures.values()]
    return Row(*means)


def _griffin_lim(iterations: int) -> Method:
    def method(mel: Tensor, reference: Tensor) -> Tensor:
        return griffin_lim(magnitude_from_mel(unscale(mel)), len(reference), iterations=iterations)

    return method


def _levels_db(magnitude: Tensor) -> Tensor:
    return 20 * magnitude.clamp_min(KNEE_MAGNITUDE).log10()


def _print_table(title: str, rows: dict[str, Row]) -> None:
    print(f"\n{title}\n{'':16}" + "".join(f"{name:>13}" for name in COLUMNS))
    for name, row in rows.items():
        print(
            f"{name:16}{row.lsd_db:13.2f}{1000 * row.mel_error:13.2f}{row.convergence_db:13.2f}"
            f"{row.movement_db:13.2f}{row.seconds:13.3f}",
            flush=True,
        )


def main(command: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="a folder with esc50/, speech/, music/")
    parser.add_argument("--limit", type=int, help="recordings of each kind (default: all)")
    chosen = parser.parse_args(command)
    corpus = load(chosen.data)
    compared = methods(hub.load("vocoder") if "vocoder" in manifest.entries() else None)
    for kind, recordings in validation_recordings(corpus, chosen.limit).items():
        if not recordings:
            continue
        waves = [excerpt(corpus, recording, DEFAULT_FRONT_END.rate) for recording in recordings]
        _print_table(f"{kind}, {len(waves)} recordings", evaluate(compared, waves))


if __name__ == "__main__":
    main()
