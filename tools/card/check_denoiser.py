"""Evaluate stage 1 on speakers, rooms and noises that were not trained on.

    python -m tools.card.check_denoiser --data shared/data --weights denoiser.safetensors [--items 4]
        [--peers deepfilternet gtcrn rnnoise]

Kinds: noise alone at 0 to 15 dB, room alone, everything at once (room, microphone, noise, gain, clipping),
and clean. The reference includes what belongs to a recording: the microphone, and the first 30 ms of the
room. Rows: the recording, the shipped pipeline with its defaults, the new network alone, and those of
`aural.enhancement.peers` that are named.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from pesq import pesq
from pystoi import stoi
from safetensors.torch import load_file
from scipy.signal import butter, fftconvolve, sosfilt

from aural.audio.clip import Clip
from aural.audio.resample import resample_samples
from aural.audio.spectral import istft, stft
from aural.enhancement.denoiser_convolutional import (
    MASK_FRONT_END,
    ConvolutionalDenoiser,
    build_convolutional,
)
from aural.enhancement.level import ACTIVE_RMS, active_level
from aural.enhancement.peers import PEERS, installed
from aural.evaluation.metrics import dnsmos
from aural.training.esc50 import esc50_clips

Wave = NDArray[np.float32]
RATE = 48_000
SECONDS = 4.0
OCTAVES_HZ = (125, 250, 500, 1_000, 2_000, 4_000, 8_000)
KINDS = ("noise 0", "noise 5", "noise 10", "noise 15", "room", "everything", "clean")


@dataclass(frozen=True)
class Item:
    """A recording and its target, (time,) each."""

    kind: str
    speaker: str
    recording: Wave
    wanted: Wave


def items(data: Path, count: int, seed: int = 2027) -> list[Item]:
    """`count` items of each kind; the same for the same seed."""
    voices, noises, rooms = _voices(data), _noises(data), _rooms(data)
    made = []
    for number, kind in enumerate(KINDS):
        for turn in range(count):
            generator = np.random.default_rng((seed, number, turn))
            path = voices[(turn + number * count) % len(voices)]
            voice = _piece(path, generator)
            voice = voice * np.float32(ACTIVE_RMS / max(active_level(voice[None]), 1e-4))
            recording, wanted = voice, voice
            if kind in ("room", "everything"):
                response = _read(rooms[int(generator.integers(len(rooms)))])
                early, late = _split(response / np.abs(response).max())
                wanted = fftconvolve(voice, early)[: len(voice)].astype(np.float32)
                recording = wanted + fftconvolve(voice, late)[: len(voice)].astype(np.float32)
            if kind.startswith("noise") or kind == "everything":
                noise = _piece(noises[int(generator.integers(len(noises)))], generator)
                snr_db = float(kind.split()[1]) if kind.startswith("noise") else generator.uniform(3, 18)
                scale = (
                    active_level(wanted[None]) * 10 ** (-snr_db / 20) / max(active_level(noise[None]), 1e-4)
                )
                recording = recording + noise * np.float32(scale)
            if kind == "everything":
                sections = np.concatenate(
                    (
                        butter(2, generator.uniform(80, 250), "highpass", fs=RATE, output="sos"),
                        butter(4, generator.uniform(5_000, 14_000), fs=RATE, output="sos"),
                    )
                )
                level_db = np.cumsum(generator.normal(0, 1.5, 10))
                gain = 10 ** (np.interp(np.linspace(0, 9, len(voice)), np.arange(10), level_db) / 20)
                recording, wanted = (
                    (sosfilt(sections, x) * gain).astype(np.float32) for x in (recording, wanted)
                )
                if turn % 2:
                    limit = 0.4 * np.abs(recording).max()
                    recording = recording.clip(-limit, limit)
            peak = max(1.0, float(np.abs(recording).max()) / 0.99)
            made.append(Item(kind, path.stem, recording / np.float32(peak), wanted / np.float32(peak)))
    return made


def denoiser(weights: Path) -> ConvolutionalDenoiser:
    """The network from a card's training; its config is in the JSON file next to it."""
    plain = weights.with_name(weights.name.split(".")[0] + ".json")
    config = json.loads(plain.read_text(encoding="utf-8"))["config"] if plain.exists() else None
    tensors = {
        key: value.float() if value.is_floating_point() else value
        for key, value in load_file(weights).items()
    }
    if config is None:
        # An interrupted run leaves no config; the size follows from the weights.
        shapes = [
            tensors[f"{name}.convolution.weight"].shape[0] for name in ("entry", "down.0", "down.1", "down.2")
        ]
        blocks = 1 + max(int(key.split(".")[1]) for key in tensors if key.startswith("blocks."))
        config = {"widths": shapes, "blocks": blocks}
    model = build_convolutional(config)
    model.load_state_dict(tensors)
    return model.eval().to(memory_format=torch.channels_last)


@torch.inference_mode()
def denoise(model: ConvolutionalDenoiser, samples: Wave) -> Wave:
    """Apply the network alone, at the level that it expects."""
    gain = ACTIVE_RMS / max(active_level(samples[None]), 1e-5)
    spectrum = stft(torch.from_numpy(samples * np.float32(gain))[None], MASK_FRONT_END)
    voice = istft(model(spectrum).apply(spectrum), len(samples), MASK_FRONT_END)
    result: Wave = (voice[0] / gain).numpy()
    return result


def figures(made: Wave, wanted: Wave) -> dict[str, float]:
    """The metrics compared with the target; level errors are those of active frames."""
    slow = [resample_samples(x[None], RATE, 16_000)[0] for x in (wanted, made)]
    found = {
        "PESQ": float(pesq(16_000, slow[0], slow[1], "wb")),
        "STOI": float(stoi(wanted, made, RATE)),
        "SI-SDR": _si_sdr_db(made, wanted),
        "LU": _loudness_db(made) - _loudness_db(wanted),
    }
    rated = dnsmos(made * np.float32(ACTIVE_RMS / max(active_level(made[None]), 1e-5)), RATE)
    found |= {"DNS sig": rated.speech, "DNS bak": rated.background, "DNS ovr": rated.overall}
    spectra = [stft(torch.from_numpy(x)[None], MASK_FRONT_END)[0].abs().square() for x in (made, wanted)]
    frames = spectra[1].sum(0)
    active = frames > frames.max() * 1e-3
    hz = torch.arange(MASK_FRONT_END.bins) * (RATE / MASK_FRONT_END.fft)
    for octave in OCTAVES_HZ:
        band = (hz >= octave / 2**0.5) & (hz < octave * 2**0.5)
        given, right = (float(power[band][:, active].mean()) for power in spectra)
        # Bands without voice have no level error.
        quiet = right < 1e-6 * float(frames[active].mean())
        found[f"{octave}"] = (
            float("nan") if quiet else 10 * float(np.log10((given + 1e-14) / (right + 1e-14)))
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, nargs="*", default=[])
    parser.add_argument("--items", type=int, default=4)
    parser.add_argument("--peers", nargs="*", choices=installed(), default=[], help="others to compare with")
    parser.add_argument("--no-pipeline", action="store_true", help="skip the shipped pipeline")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--json", type=Path, help="write all figures to this file, one line per item and row")
    arguments = parser.parse_args()
    chosen = [item for item in items(arguments.data, arguments.items) if item.kind in arguments.kinds]
    with ProcessPoolExecutor(2, get_context("spawn"), _begin, (arguments,)) as workers:
        lines = [line for found in workers.map(_score_item, chosen) for line in found]
    rows = list(dict.fromkeys(line["row"] for line in lines))
    if arguments.json:
        arguments.json.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    columns = [key for key in lines[0] if key not in ("kind", "speaker", "row", "spent")]
    print(f"{'':27}" + "".join(f"{column:>8}" for column in columns))
    for kind in [kind for kind in KINDS if kind in arguments.kinds]:
        for name in rows:
            own = [line for line in lines if line["kind"] == kind and line["row"] == name]
            means = [_mean([line[column] for line in own]) for column in columns]
            print(
                f"{kind:11}{name:16}"
                + "".join(f"{mean:8.3f}" if abs(mean) < 5 else f"{mean:8.1f}" for mean in means)
            )
    for name in rows:
        spent = sum(line["spent"] for line in lines if line["row"] == name)
        whole = sum(len(item.recording) for item in chosen) / RATE
        print(f"{name}: {whole / spent:.0f} times real time on one core, the other one busy")


_rows: dict[str, Callable[[Wave], Wave]] = {}  # the methods in a worker


def _begin(arguments: argparse.Namespace) -> None:
    """Load the compared methods in a worker."""
    torch.set_num_threads(1)
    _rows["recording"] = np.copy
    if not arguments.no_pipeline:
        from aural.enhancement.pipeline import enhance

        _rows["pipeline"] = lambda x: enhance(Clip(x[None], RATE)).clip.samples[0]
    for weights in arguments.weights:
        name = "new" if len(arguments.weights) == 1 else weights.parent.name
        _rows[name] = partial(denoise, denoiser(weights))
    for peer in arguments.peers:
        _rows[PEERS[peer].name] = PEERS[peer].load()


def _score_item(item: Item) -> list[dict[str, Any]]:
    """A line for each row."""
    lines = []
    for name, process in _rows.items():
        begun = time.perf_counter()
        made = np.array(process(item.recording), np.float32)
        spent = time.perf_counter() - begun
        line = {"kind": item.kind, "speaker": item.speaker, "row": name, "spent": spent}
        lines.append({**line, **figures(made, item.wanted)})
    return lines


def _mean(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _voices(data: Path) -> list[Path]:
    """Held-back voices, alternating between kinds of sources."""
    speech = data / "speech"
    strangers = sorted((speech / "freesound_unseen").glob("*.ogg"))
    table = csv.DictReader((speech / "many" / "meta.csv").read_text(encoding="utf-8").splitlines())
    many = [
        speech / "many" / row["file"] for row in table if row["split"] == "val" and row["kind"] == "speech"
    ]
    actors = [sorted((speech / "ravdess").glob(f"{number}*"))[7] for number in (21, 22, 23, 24)]
    interleaved = []
    for place in range(max(map(len, (strangers, many, actors)))):
        interleaved += [group[place] for group in (strangers, many, actors) if place < len(group)]
    return interleaved


def _noises(data: Path) -> list[Path]:
    """Held-back noises, and those clips of ESC-50's fold 5 that are noise as in recordings."""
    table = csv.DictReader((data / "noise" / "meta.csv").read_text(encoding="utf-8").splitlines())
    noises = [data / "noise" / row["file"] for row in table if row["split"] == "val"]
    wanted = {10, 16, 32, 35, 36, 44, 45, 47}
    clips = [clip.path for clip in esc50_clips(data / "esc50") if clip.is_validation and clip.label in wanted]
    return noises + sorted(clips)[::4]


def _rooms(data: Path) -> list[Path]:
    table = csv.DictReader((data / "rooms" / "meta.csv").read_text(encoding="utf-8").splitlines())
    return [
        data / "rooms" / row["file"]
        for row in table
        if row["split"] == "val" and float(row["rt60_s"] or 9) < 2
    ]


def _read(path: Path) -> Wave:
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(1)[None]
    return mono[0] if rate == RATE else resample_samples(mono, rate, RATE)[0]


def _piece(path: Path, generator: np.random.Generator) -> Wave:
    """The loudest of three places, so that it is not a pause."""
    wave, length = _read(path), round(SECONDS * RATE)
    if len(wave) < length:
        wave = np.resize(wave, length)
    starts = generator.integers(len(wave) - length + 1, size=3)
    pieces = [wave[start : start + length] for start in starts]
    return max(pieces, key=lambda piece: float(np.square(piece).mean()))


def _split(response: Wave) -> tuple[Wave, Wave]:
    """The first 30 ms from the direct sound, and the rest."""
    direct = int(np.abs(response).argmax())
    response = response[max(0, direct - 48) :]
    share = ((np.arange(len(response)) - 48 - 0.03 * RATE) / (0.01 * RATE)).clip(0, 1)
    fade = (np.cos(np.pi / 2 * share) ** 2).astype(np.float32)
    return response * fade, response * (1 - fade)


def _loudness_db(samples: Wave) -> float:
    """K-weighted, gated: ITU-R BS.1770."""
    from aural.loudness.meter import measure

    found = measure(Clip(samples[None], RATE)).integrated_lufs
    return float("nan") if found is None else found


def _si_sdr_db(made: Wave, wanted: Wave) -> float:
    target = wanted * (np.vdot(made, wanted) / np.vdot(wanted, wanted))
    return float(10 * np.log10(np.square(target).sum() / (np.square(made - target).sum() + 1e-12)))


if __name__ == "__main__":
    main()
