"""Train the vocoder with the head "phase" against discriminators, for a given time.

    python -m tools.card.vocoder --data DIR --out DIR --seconds 420 [--tiny] [--cpu]

Cost of a step with 32 pieces of 64 hops, 0.75 s each; a multiply-add counts as two operations:

- vocoder: 15 MFLOP per frame, 65 frames, forward and backward: 0.1 TFLOP;
- spectrogram discriminators (windows 512, 1024, 2048, width 32): 7.2 GFLOP per second of sound and pass,
  174 GFLOP per batch; forward for real and generated sound, back to the generated, back to the weights of
  both (twice each): 7 passes, 1.2 TFLOP;
- period discriminators (2, 3, 5, 7, 11, width 8): 1.5 GFLOP per second and pass: 0.25 TFLOP.

About 1.6 TFLOP. Their layers are narrow (32 channels), so 60 to 100 TFLOP/s: 16 to 27 ms, and 2 to 4 ms of
FFTs and element-wise work.

The gradients at the samples are balanced: that of the discriminators' terms is scaled to the size of that of
the spectral terms (Défossez et al. 2022), so it needs no weight to be tuned. Sizes are measured for gradients
with respect to the logarithm of the samples; otherwise soft passages would dominate.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from aural.audio.spectral import (
    KNEE_MAGNITUDE,
    PEAK_MAGNITUDE,
    FrontEnd,
    log_mel,
    mel_from_magnitude,
    scale,
    stft,
)
from aural.training.adversarial import feature_matching_loss, generator_loss, hinge
from aural.training.discriminators import PeriodDiscriminator, SpectrogramDiscriminator
from aural.vocoding.model import Config, Vocoder
from tools.card import loop
from tools.card.bank import Bank

NAME = "vocoder"
BANK_SECONDS = 19_000.0
SNAPSHOT_SECONDS = 60.0
CAPTURE_SECONDS = 12.0  # set-up and capture on a card, about; part of the given time
SHARES = {"esc50": 0.5, "speech": 0.3, "singing": 0.05, "music": 0.15}
# Weights of the kinds, and of readers with many recordings, relative to the others.
KIND_SECONDS = {"esc50": 7_985.0, "speech": 5_600.0, "singing": 337.0, "music": 653.0}
READERS = {"nathalie": 0.4, "kathleen": 0.5, "ravdess": 0.6}
GAIN_DB = (-12.0, 6.0)
# Windows and mel bands of the spectral losses; the hop is a quarter window.
RESOLUTIONS = ((512, 40), (1024, 80), (2048, 160))
PERIODS = (2, 3, 5, 7, 11)
# Keeps the gradient of a magnitude finite at 0: (-140 dB) squared.
MIN_POWER = 1e-14
# Span of the scale in nepers, so that losses in natural logarithms fit their weights.
NEPERS = math.log1p(PEAK_MAGNITUDE / KNEE_MAGNITUDE)


@dataclass(frozen=True)
class Sizes:
    """The sizes of a training."""

    width: int = 384
    # With an eighth block, the float16 weights would exceed 16 MiB.
    layers: int = 7
    rounds: int = 2  # rounds of Griffin-Lim, with backpropagation
    batch: int = 32
    hops: int = 64  # hops of a segment
    spectrogram_width: int = 32
    period_width: int = 8
    learning_rate: float = 8e-4
    discriminator_rate: float = 4e-4
    warm_up: int = 200  # steps


TINY = Sizes(
    width=64,
    layers=3,
    batch=3,
    hops=32,
    spectrogram_width=8,
    period_width=2,
    learning_rate=3e-3,
    discriminator_rate=1e-3,
    warm_up=10,
)


@dataclass(frozen=True)
class Weights:
    """The weights of the losses; those of magnitudes are mean differences in nepers."""

    mel: float = 45.0
    spectral: float = 5.0
    phase: float = 3.0
    steady: float = 10.0  # magnitude before any phase
    matching: float = 8.0  # feature matching, relative to 1 for the scores
    discriminators: float = 0.5  # size of the discriminators' gradient, relative to that of the other losses
    disturbed: float = 0.3  # share of segments with disturbed mel bands, like those of a generator


class Training:
    """The vocoder, its discriminators, and one step."""

    def __init__(self, bank: Bank, sizes: Sizes, weights: Weights, where: torch.device) -> None:
        self.bank, self.sizes, self.weights, self.where = bank, sizes, weights, where
        config = Config(head="phase", width=sizes.width, layers=sizes.layers, rounds=sizes.rounds)
        self.vocoder = Vocoder(config).to(where)
        spectrograms = [
            SpectrogramDiscriminator(window, sizes.spectrogram_width) for window, _ in RESOLUTIONS
        ]
        periods = [PeriodDiscriminator(period, sizes.period_width) for period in PERIODS]
        self.discriminators = nn.ModuleList([*spectrograms, *periods]).to(
            where, memory_format=torch.channels_last
        )
        self.schedule = loop.Schedule(where)
        self.optimizer = loop.Optimizer([self.vocoder], sizes.learning_rate, self.schedule, betas=(0.8, 0.95))
        self.opponent = loop.Optimizer(
            [self.discriminators], sizes.discriminator_rate, self.schedule, betas=(0.8, 0.95), average=None
        )
        rate = config.rate
        self.front_ends = [
            FrontEnd(rate, window, window // 4, window, bands) for window, bands in RESOLUTIONS
        ]

    def step(self) -> Mapping[str, Tensor]:
        """Sample a batch, update the discriminators, update the vocoder."""
        vocoder, weights = self.vocoder, self.weights
        length = self.bank.length
        with torch.no_grad():
            waves = self.bank.sample(self.sizes.batch).waves
            low_db, high_db = GAIN_DB
            gain_db = low_db + (high_db - low_db) * torch.rand(len(waves), 1, device=self.where)
            real = waves * (gain_db * (math.log(10) / 20)).exp()
            mel = disturb(log_mel(real, vocoder.front_end), weights.disturbed)
            noise = torch.randn(len(real), length, device=self.where)
            wanted = self._magnitudes(real)
            real_spectrum = stft(real, vocoder.front_end)
        with loop.autocast(self.where):
            spectrum = vocoder.spectrum(mel, length, noise)
        made = vocoder.waveform(spectrum, length)

        magnitudes = self._magnitudes(made)
        spectral = torch.stack([distance(a, b) for a, b in zip(magnitudes, wanted, strict=True)]).mean()
        mel_distance = torch.stack(
            [
                distance(mel_from_magnitude(a, front_end), mel_from_magnitude(b, front_end))
                for a, b, front_end in zip(magnitudes, wanted, self.front_ends, strict=True)
            ]
        ).mean()
        phase = phase_distance(stft(made, vocoder.front_end), real_spectrum)
        steady = distance(spectrum.steady, real_spectrum.abs())
        rebuilt = weights.mel * mel_distance + weights.spectral * spectral + weights.phase * phase
        (by_spectra,) = torch.autograd.grad(rebuilt, made, retain_graph=True)

        # One pass of the discriminators serves both losses: their update comes after the gradient is taken.
        shown = made.detach().requires_grad_()
        with loop.autocast(self.where):
            of_real = [discriminator(real) for discriminator in self.discriminators]
        with loop.autocast(self.where):
            of_made = [discriminator(shown) for discriminator in self.discriminators]
        scores, features = generator_loss(of_made), feature_matching_loss(of_made, of_real)
        (by_discriminators,) = torch.autograd.grad(
            scores + weights.matching * features, shown, retain_graph=True
        )
        told_apart = hinge(of_real, of_made)
        self.opponent.step(told_apart)

        with torch.no_grad():
            ratio = effect(by_spectra, made) / (effect(by_discriminators, made) + 1e-12)
            share = weights.discriminators * self.schedule.ramp * ratio
            pull = torch.nan_to_num(by_spectra + share * by_discriminators, 0.0, 0.0, 0.0)
        self.optimizer.step((made * pull).sum() + weights.steady * steady)
        return {
            "mel": mel_distance,
            "spectral": spectral,
            "phase": phase,
            "steady": steady,
            "scores": scores,
            "features": features,
            "told_apart": told_apart,
            "ratio": ratio,
        }

    def averaged_weights(self) -> dict[str, Tensor]:
        """The vocoder's averaged weights as float16, on the CPU."""
        names = [name for name, _ in self.vocoder.named_parameters()]
        return {
            name: mean.detach().half().cpu().contiguous()
            for name, mean in zip(names, self.optimizer.averaged, strict=True)
        }

    def _magnitudes(self, waves: Tensor) -> list[Tensor]:
        """(batch, bins, frames) for each resolution."""
        spectra = [torch.view_as_real(stft(waves, front_end)) for front_end in self.front_ends]
        return [(spectrum.square().sum(-1) + MIN_POWER).sqrt() for spectrum in spectra]


def distance(first: Tensor, second: Tensor) -> Tensor:
    """The mean difference of magnitudes in nepers, linear below -100 dB."""
    return NEPERS * (scale(first) - scale(second)).abs().mean()


def phase_distance(made: Tensor, real: Tensor) -> Tensor:
    """1 minus the mean cosine of the error of the phase's step to the next frame, and to the next bin.

    The same phase offset everywhere costs nothing. Louder bins count more, by the root of their magnitude.

    Shape:
        made, real: (batch, bins, frames), complex; result: (), 0 to 2.
    """
    terms = []
    for axis in (-1, -2):
        ours, theirs = (
            spectrum.narrow(axis, 1, spectrum.shape[axis] - 1)
            * spectrum.narrow(axis, 0, spectrum.shape[axis] - 1).conj()
            for spectrum in (made, real)
        )
        lengths = [(step.real.square() + step.imag.square() + 1e-24).sqrt() for step in (ours, theirs)]
        cosine = (ours.real * theirs.real + ours.imag * theirs.imag) / (lengths[0] * lengths[1])
        loudness = lengths[1].sqrt()
        loudness = loudness / (loudness.mean((-2, -1), keepdim=True) + 1e-6)
        terms.append((loudness * (1 - cosine)).mean())
    return torch.stack(terms).mean()


def effect(gradient: Tensor, waves: Tensor) -> Tensor:
    """The size of a gradient with respect to the logarithm of the samples."""
    return (gradient * waves).square().mean().sqrt()


def disturb(mel: Tensor, share: float) -> Tensor:
    """Disturb some of the items as a generator does: with noise, or smoothing over time or bands.

    Shape:
        mel: (batch, mel_bands, frames); result: the same, not below 0.
    """

    def chance() -> Tensor:
        return torch.rand(len(mel), 1, 1, device=mel.device)

    noisy = mel + 0.02 * chance() * torch.randn_like(mel)
    noisy = torch.where(chance() < 0.4, smooth(noisy), noisy)
    noisy = torch.where(chance() < 0.3, smooth(noisy.transpose(1, 2)).transpose(1, 2), noisy)
    return torch.where(chance() < share, noisy.clamp_min(0), mel)


def smooth(values: Tensor) -> Tensor:
    """Smooth along the last axis with weights of a quarter, a half and a quarter."""
    padded = functional.pad(values, (1, 1), mode="replicate")
    return (padded[..., :-2] + 2 * values + padded[..., 2:]) / 4


def weight(row: Mapping[str, Any]) -> float:
    """The weight of a recording, by the share of its kind and by its length."""
    kind = str(row["kind"])
    if kind not in SHARES:
        return 0.0
    share = SHARES[kind] / KIND_SECONDS[kind] * READERS.get(str(row["source"]), 1.0)
    return share * float(row["seconds"] or 5.0)


def main(command: list[str] | None = None) -> None:
    """Wait for data, train and save."""
    begin = time.monotonic()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--rounds", type=int, help="rounds of Griffin-Lim in training")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--max-steps", type=int)
    parser.add_argument("--state", type=Path, help=loop.STATE_HELP)
    chosen = parser.parse_args(command)
    where = torch.device("cpu") if chosen.cpu else loop.prepare()
    sizes = TINY if chosen.tiny else Sizes()
    if chosen.rounds is not None:
        sizes = Sizes(**{**vars(sizes), "rounds": chosen.rounds})
    torch.manual_seed(0)
    chosen.out.mkdir(parents=True, exist_ok=True)
    bank = Bank(Config.rate, BANK_SECONDS, sizes.hops * Config.hop, where, weight)
    while not bank.refresh(chosen.data):
        time.sleep(0.5)
    training = Training(bank, sizes, Weights(), where)
    state = None
    if chosen.state is not None:
        modules = {"vocoder": training.vocoder, "discriminators": training.discriminators}
        optimizers = {"vocoder": training.optimizer, "discriminators": training.opponent}
        state = loop.State(chosen.state, modules, optimizers)
        state.load()
    log = chosen.out / f"{NAME}.log"
    saved = time.monotonic()

    def refresh() -> None:
        nonlocal saved
        bank.refresh(chosen.data)
        if time.monotonic() - saved > SNAPSHOT_SECONDS:
            saved = time.monotonic()
            write(chosen.out, training, ".partial", {"seconds": saved - begin})

    spent = time.monotonic() - begin + (CAPTURE_SECONDS if where.type == "cuda" else 0.0)
    steps = loop.run(
        training.step,
        training.schedule,
        max(1.0, chosen.seconds - spent),
        log=log,
        warm_up=sizes.warm_up,
        refresh=refresh,
        optimizers=[training.optimizer],
        max_steps=chosen.max_steps,
        state=state,
    )
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    facts = {
        "seconds": round(time.monotonic() - begin, 1),
        "steps": steps,
        "recordings": len(bank.rows),
        "last": json.loads(lines[-1]) if lines else {},
    }
    write(chosen.out, training, "", facts)


def write(folder: Path, training: Training, mark: str, facts: Mapping[str, Any]) -> None:
    """Write the averaged weights and their card, each atomically."""
    weights = folder / f"{NAME}{mark}.safetensors"
    scratch = weights.with_suffix(".writing")
    save_file(training.averaged_weights(), scratch)
    scratch.replace(weights)
    card = {"config": training.vocoder.config.to_dict(), "sizes": vars(training.sizes), **facts}
    (folder / f"{NAME}{mark}.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
