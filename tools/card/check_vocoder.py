"""Compare a trained vocoder with the shipped one and Griffin-Lim, on held-back recordings.

    python -m tools.card.check_vocoder --weights vocoder.safetensors --config vocoder.json --data DIR
        [--rounds 0 2 4 8 12] [--speech 20] [--clips 100] [--seconds 4]

Tables for speech (five speakers of `freesound_unseen`, held-back speakers of `many`) and for ESC-50's fold 5:

- PESQ-WB: the mean over the speech, resampled to 16 kHz; also for the five speakers alone;
- LSD: log-spectral distance, dB, see `aural.vocoding.evaluate`;
- mel error: error of the scaled log-mel, in thousandths;
- movement: how much more a bin changes from frame to frame than in the real sound, dB; negative is smeared;
- class: the share of clips whose class the shipped classifier recognises; level: dB relative to the real
  sound;
- seconds per second of sound, on this machine.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import soundfile
import torch
import torchaudio.functional
from safetensors.torch import load_file
from torch import Tensor

from aural import hub
from aural.audio.spectral import log_mel, magnitude_from_mel, stft, unscale
from aural.generation.classifier import load as load_classifier
from aural.training.esc50 import esc50_clips
from aural.vocoding.evaluate import log_spectral_distance_db
from aural.vocoding.griffin_lim import griffin_lim
from aural.vocoding.model import Vocoder, build

RATE = 22_050
PESQ_RATE = 16_000

# Scaled mel (mel_bands, frames) and the length -> samples (time,).
Method = Callable[[Tensor, int], Tensor]


@dataclass(frozen=True)
class Sample:
    """A recording."""

    wave: Tensor  # (time,)
    label: int  # ESC-50's class; -1: speech
    is_studio: bool  # one of the five speakers


def load_trained(weights: Path, card: Path) -> Vocoder:
    """The vocoder from the training's two files."""
    config = json.loads(card.read_text(encoding="utf-8"))
    vocoder = build(config.get("config", config))
    vocoder.load_state_dict({name: value.float() for name, value in load_file(weights).items()})
    return vocoder.eval().requires_grad_(False)


def methods(trained: Vocoder | None, rounds: list[int]) -> dict[str, Method]:
    """The methods to compare."""
    found: dict[str, Method] = {"real sound": lambda _mel, _length: torch.empty(0)}
    for count in (32, 100):
        found[f"Griffin-Lim {count}"] = lambda mel, length, count=count: griffin_lim(  # type: ignore[misc]
            magnitude_from_mel(unscale(mel)), length, iterations=count
        )
    shipped = hub.load("vocoder", build, device="cpu")
    found["shipped"] = lambda mel, length: shipped(mel[None], length)[0]
    if trained is not None:
        for count in rounds:
            found[f"trained, {count} rounds"] = lambda mel, length, count=count: trained(  # type: ignore[misc]
                mel[None], length, rounds=count
            )[0]
    return found


def speech(data: Path, count: int, seconds: float) -> Iterator[Sample]:
    """Excerpts of held-back speakers, the five studio speakers first."""
    unseen = sorted((data / "speech" / "freesound_unseen").glob("*.ogg"))
    for path in unseen:
        yield Sample(read(path, seconds, skip=1.0), -1, True)
    with (data / "speech" / "many" / "meta.csv").open(encoding="utf-8", newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["split"] == "val"]
    for row in rows[: max(0, count - len(unseen))]:
        yield Sample(read(data / "speech" / "many" / row["file"], seconds), -1, False)


def clips(data: Path, count: int) -> Iterator[Sample]:
    """Clips of ESC-50's fold 5, evenly distributed over the classes."""
    held_out = [clip for clip in esc50_clips(data / "esc50") if clip.is_validation]
    held_out.sort(key=lambda clip: (clip.label, clip.path.name))
    for place in np.linspace(0, len(held_out) - 1, min(count, len(held_out))).round().astype(int):
        clip = held_out[place]
        yield Sample(read(clip.path, 5.0), clip.label, False)


def read(path: Path, seconds: float, skip: float = 0.0) -> Tensor:
    """(time,) mono at 22,050 Hz."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True, frames=-1)
    begin = round(skip * rate)
    wave = torch.from_numpy(samples[begin : begin + round(seconds * rate)].mean(1))
    return torchaudio.functional.resample(wave, rate, RATE, lowpass_filter_width=32, rolloff=0.97)


def pesq_wb(output: Tensor, real: Tensor) -> float:
    """ITU-T P.862.2; NaN where it finds no speech."""
    from pesq import PesqError, pesq

    first, second = (torchaudio.functional.resample(wave, RATE, PESQ_RATE).numpy() for wave in (real, output))
    found = pesq(PESQ_RATE, first, second, "wb", on_error=PesqError.RETURN_VALUES)
    return float(found) if found > 0 else float("nan")


def movement_db(wave: Tensor) -> float:
    """The mean change of a bin from frame to frame."""
    levels = 20 * stft(wave).abs().clamp_min(1e-5).log10()
    return float(levels.diff(dim=-1).abs().mean())


def compare(found: dict[str, Method], samples: list[Sample]) -> None:
    """Print a table with a row for each method."""
    columns = ("PESQ", "5 studio", "LSD dB", "mel error", "movement", "class", "level dB", "s per s")
    print(f"{'':22}" + "".join(f"{name:>11}" for name in columns))
    classifier = load_classifier()
    for name, method in found.items():
        figures: dict[str, list[float]] = {column: [] for column in columns}
        for sample in samples:
            wave, length = sample.wave, len(sample.wave)
            mel = log_mel(wave)
            start = perf_counter()
            with torch.inference_mode():
                output = wave if name == "real sound" else method(mel, length)
            figures["s per s"].append((perf_counter() - start) / length * RATE)
            figures["LSD dB"].append(log_spectral_distance_db(output, wave))
            made_mel = log_mel(output)
            figures["mel error"].append(1000 * float((made_mel - mel).abs().mean()))
            figures["movement"].append(movement_db(output) - movement_db(wave))
            if wave.any():
                figures["level dB"].append(20 * float((output.norm() / wave.norm()).clamp_min(1e-9).log10()))
            if sample.label < 0:
                score = pesq_wb(output, wave)
                figures["PESQ"].append(score)
                if sample.is_studio:
                    figures["5 studio"].append(score)
            else:
                # As a listener hears it: 16 bits, limited to full scale.
                audible_mel = log_mel((output.clamp(-1, 1) * 32767).round() / 32767)
                with torch.inference_mode():
                    found_class = int(classifier(audible_mel[None].to(classifier.mean)).argmax())
                figures["class"].append(float(found_class == sample.label))
        means = [float(np.nanmean(values)) if values else float("nan") for values in figures.values()]
        print(f"{name:22}" + "".join(f"{mean:11.3f}" for mean in means), flush=True)


def main(command: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, help="safetensors file (default: only the others)")
    parser.add_argument("--config", type=Path, help="its JSON (default: the file next to the weights)")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, nargs="*", default=[0, 2, 4, 8, 12])
    parser.add_argument("--speech", type=int, default=20)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=4.0, help="seconds of each speech recording")
    parser.add_argument("--listen", type=Path, help="a folder for the results of a few recordings")
    chosen = parser.parse_args(command)
    trained = None
    if chosen.weights is not None:
        trained = load_trained(chosen.weights, chosen.config or chosen.weights.with_suffix(".json"))
        silence = trained(torch.zeros(1, 80, 86), 85 * 260)
        print(f"Loudest output sample for silence: {float(silence.abs().amax()):.2e}")
    found = methods(trained, chosen.rounds)
    for title, samples in (
        ("Speech", list(speech(chosen.data, chosen.speech, chosen.seconds))),
        ("ESC-50, fold 5", list(clips(chosen.data, chosen.clips))),
    ):
        if samples:
            print(f"\n{title}, {len(samples)} recordings")
            compare(found, samples)
        if chosen.listen is not None:
            chosen.listen.mkdir(parents=True, exist_ok=True)
            for number, sample in enumerate(samples[:6]):
                for name, method in found.items():
                    with torch.inference_mode():
                        output = method(log_mel(sample.wave), len(sample.wave))
                    wave = sample.wave if name == "real sound" else output
                    file = f"{title[:3]}-{number}-{name}.wav".replace(" ", "_").replace(",", "")
                    soundfile.write(chosen.listen / file, wave.clamp(-1, 1).numpy(), RATE)


if __name__ == "__main__":
    main()
