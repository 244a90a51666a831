"""Train the extender (super-resolution) on a card, with discriminators, by the clock.

    python -m tools.card.extender --data DIR --responses FILE --out DIR --seconds N [--look-ahead 48] [--tiny]

A target is speech, singing, music or another sound plus a noise floor of random shape up to half the rate, so
that there is a floor to continue, and sometimes rumble, hum or an offset, from which nothing follows for the
highs. The input is the low-passed target. Frequencies above `solid_hz`, up to
which a recording is good, do not count: output and target are cut off there.

Cost of a step at batch 16 and 1.4 s: extender 0.2 TFLOP, discriminators 2 TFLOP, about 20 ms on an H100.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from aural.audio.comparison import LSD_FLOOR, LSD_WINDOW
from aural.superres.model import NOISE_FRAMES, RATE, Extender, ExtenderConfig
from aural.training.adversarial import generator_loss, hinge
from tools.card.bank import Bank
from tools.card.extender_discriminators import Discriminators
from tools.card.loop import STATE_HELP, Optimizer, Schedule, State, autocast, prepare, run
from tools.card.lowpass import LowPasses

FRAMES = 256  # frames of a piece in the losses, 1.4 s
HOP = 256
MARGIN = 2_176  # samples on both sides for the filters' ringing
WINDOWS = ((512, 0.5), (2048, 1.0), (128, 0.25))  # samples and weights of the log-spectral distances
ERB_BANDS = 48
DISCRIMINATED = 32_768  # samples of a piece that the discriminators see
DISTURBED = 0.3  # share of the pieces with rumble, hum or an offset
PARTS = {"speech": 0.56, "singing": 0.16, "esc50": 0.12, "music": 0.16}


@dataclass(frozen=True)
class Objective:
    """Weights of the losses, and learning rates."""

    distance: float = 1.0  # log-spectral distance above the band, of log10 powers
    bands: float = 1.0  # error of the log10 energies per band and 21 ms
    long_term: float = 1.5  # error of the log10 energies per band over the piece
    adversarial: float = 0.08  # the generator's adversarial loss
    features: float = 0.6  # feature matching loss
    learning_rate: float = 1e-3
    discriminator_rate: float = 4e-4


def weight(row: Mapping[str, Any]) -> float:
    """How often a row is sampled: by kind, then by the source's variety rather than its length."""
    if row["kind"] not in PARTS or row["solid_hz"] < 13_000:
        return 0.0
    seconds = max(1.0, float(row["seconds"]))
    by_source = {
        "kathleen": 0.10 / 450,
        "nathalie": 0.20 / 1017,
        "ravdess": 0.06 / 600,
        "many/full": 0.36 * seconds / 764,
        "many/wide": 0.14 * seconds / 1160,
        "esc50": 0.12 / 1600,
        "music/more": 0.10 * seconds / 300,
        "music": 0.06 * seconds / 300,
    }
    return by_source.get(row["source"], 0.0)


class BatchSampler:
    """Makes batches: target, input, its bandwidth, and the end of the target's solid band."""

    def __init__(
        self, bank: Bank, low_passes: LowPasses, batch: int, points: int, where: torch.device
    ) -> None:
        self.bank, self.low_passes, self.batch = bank, low_passes, batch
        self.where, self.points = where, points
        bins = torch.arange(points // 2 + 1, device=where)
        self.octaves = torch.log2((bins * (RATE / points)).clamp_min(50.0) / 1_000)
        mel = torch.log1p(bins * (RATE / points) / 700)
        place = mel / mel[-1] * 9
        self.low, self.share = place.floor().long().clamp_max(8), place - place.floor().clamp_max(8)

    def __call__(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Shape: target, input (batch, points - 2 MARGIN); end of the band, solid band (batch,)."""
        batch_of_recordings = self.bank.sample(self.batch)
        waves = batch_of_recordings.waves - batch_of_recordings.waves.mean(1, keepdim=True)
        # The level of the louder half of the frames is taken as that of the voice.
        powers = waves.unfold(1, 1024, 1024).square().mean(-1)
        active = powers.sort(1, descending=True).values[:, : powers.shape[1] // 2].mean(1, keepdim=True)
        level = torch.pow(10.0, (-34 + 22 * self._uniform()) / 20)
        waves = waves * (level / (active + 1e-9).sqrt()).clamp_max(300.0)
        waves = waves / (waves.abs().amax(1, keepdim=True) / 0.98).clamp_min(1.0)
        target = waves + self._noise(level) + self._low_disturbance(level)
        number, end_hz = self.low_passes.sample(self.batch)
        # Soft recordings use fewer bits: down to 12 of 16.
        step = torch.pow(2.0, -(11 + 4 * self._uniform())) * (self._uniform() < 0.3)
        rounded = target + step * (torch.rand_like(target) - 0.5)
        left = self.low_passes(rounded, number)
        inside = slice(MARGIN, self.points - MARGIN)
        return target[:, inside], left[:, inside], end_hz, batch_of_recordings.solid_hz

    def _noise(self, level: Tensor) -> Tensor:
        """A random noise floor, -85 to -32 dB relative to the voice; none for a fifth of the items."""
        tilt_db = -9 + 11 * self._uniform()
        bumps_db = 5 * torch.randn(self.batch, 10, device=self.where)
        shape_db = torch.lerp(bumps_db[:, self.low], bumps_db[:, self.low + 1], self.share.float())
        gain = torch.pow(10.0, (tilt_db * self.octaves + shape_db) / 20)
        white = torch.randn(self.batch, self.points, device=self.where)
        noise = torch.fft.irfft(torch.fft.rfft(white) * gain, self.points)
        noise = noise / noise.square().mean(1, keepdim=True).sqrt()
        under_db = -85 + 53 * self._uniform()
        return noise * level * torch.pow(10.0, under_db / 20) * (self._uniform() < 0.8)

    def _low_disturbance(self, level: Tensor) -> Tensor:
        """An offset, rumble or mains hum, -35 to 10 dB relative to the voice; none for most of the items."""
        time = torch.arange(self.points, device=self.where) / RATE
        corner_hz = 15 * torch.pow(5.0, self._uniform())
        hertz = torch.fft.rfftfreq(self.points, 1 / RATE, device=self.where)
        white = torch.fft.rfft(torch.randn(self.batch, self.points, device=self.where))
        rumble = torch.fft.irfft(white / (1 + (hertz / corner_hz) ** 4), self.points)
        mains_hz = torch.where(self._uniform() < 0.6, 50.0, 60.0)
        steepness = 0.3 + 1.5 * self._uniform()
        hum = torch.zeros_like(rumble)
        for harmonic in range(1, 13):
            phase = 2 * torch.pi * (harmonic * mains_hz * time + self._uniform())
            hum = hum + phase.sin() * harmonic**-steepness * self._uniform()
        kind = self._uniform()
        low = torch.where(kind < 1 / 3, 1.0, torch.where(kind < 2 / 3, rumble, hum))
        low = low / low.square().mean(1, keepdim=True).sqrt()
        gain = torch.pow(10.0, (-35 + 45 * self._uniform()) / 20) * (self._uniform() < DISTURBED)
        return low * level * gain

    def _uniform(self) -> Tensor:
        return torch.rand(self.batch, 1, device=self.where)


class Spectra:
    """The quantities in the losses: log powers at several resolutions and energies in bands."""

    def __init__(self, length: int, where: torch.device) -> None:
        self.length, self.where = length, where
        self.windows = {window: torch.hann_window(window, device=where) for window, _ in WINDOWS}
        self.windows[1024] = torch.hann_window(1024, device=where)
        frequency = torch.arange(513, device=where) * (RATE / 1024)
        self.band_hz = 21.4  # Glasberg and Moore: number of ERBs below a frequency
        erb = 21.4 * torch.log10(1 + 0.00437 * frequency)
        place = erb / erb[-1] * (ERB_BANDS - 1)
        triangles = (1 - (place - torch.arange(ERB_BANDS, device=where)[:, None]).abs()).clamp_min(0)
        self.collect = triangles
        self.centres_hz = (triangles @ frequency) / triangles.sum(1)
        self.bins = torch.arange(length // 2 + 1, device=where) * (RATE / length)

    def cut(self, waves: Tensor, solid_hz: Tensor) -> Tensor:
        """Cut off everything above the solid band. Shape: (batch, time)."""
        keep = ((solid_hz[:, None] - self.bins) / 100).clamp(0, 1)
        return torch.fft.irfft(torch.fft.rfft(waves) * keep, self.length)

    def power(self, waves: Tensor, window: int) -> Tensor:
        """(batch, bins, frames)."""
        spectrum = torch.stft(
            waves, window, window // 4, window=self.windows[window], center=True, return_complex=True
        )
        return spectrum.real.square() + spectrum.imag.square()

    def distance(self, made: Tensor, target: Tensor, low_hz: Tensor, high_hz: Tensor) -> Tensor:
        """Log-spectral distance between two frequencies, averaged over the resolutions."""
        total = made.new_zeros(())
        for window, share in WINDOWS:
            floor = LSD_FLOOR * window / LSD_WINDOW
            ours, theirs = (torch.log10(self.power(x, window) + floor) for x in (made, target))
            frequency = torch.arange(window // 2 + 1, device=self.where) * (RATE / window)
            counts = _between(frequency, low_hz, high_hz)
            squares = ((ours - theirs).square() * counts[..., None]).sum(1) / (
                counts.sum(1, keepdim=True) + 1e-3
            )
            total = total + share * (squares + 1e-6).sqrt().mean()
        return total

    def energies(
        self, made: Tensor, target: Tensor, low_hz: Tensor, high_hz: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Errors of log10 band energies: per frame, over the piece, and signed over the piece."""
        floor = LSD_FLOOR * 512 / LSD_WINDOW
        ours, theirs = (self.collect @ self.power(x, 1024) for x in (made, target))
        counts = _between(self.centres_hz, low_hz, high_hz)
        total = counts.sum() + 1e-3
        frame = (torch.log10(ours + floor) - torch.log10(theirs + floor)).abs().mean(2)
        mean = torch.log10(ours.mean(2) + floor) - torch.log10(theirs.mean(2) + floor)
        return (
            (frame * counts).sum() / total,
            (mean.abs() * counts).sum() / total,
            (mean * counts).sum() / total,
        )


def _between(frequency: Tensor, low_hz: Tensor, high_hz: Tensor) -> Tensor:
    """1 between the two, else 0. Shape: (bins,), (batch,), (batch,) -> (batch, bins)."""
    return ((frequency >= low_hz[:, None]) & (frequency <= high_hz[:, None])).float()


def train(
    bank: Bank,
    folder: Path,
    responses: Path,
    out: Path,
    config: ExtenderConfig,
    *,
    seconds: float,
    batch: int,
    width: int,
    name: str,
    noise_rounds: int = 400,
    max_steps: int | None = None,
    weights: Mapping[str, Tensor] | None = None,
    learning_rate: float | None = None,
    discriminated_items: int | None = None,
    state: Path | None = None,
) -> int:
    """Train by the clock and write the averaged weights; returns the number of steps.

    Args:
        weights: to start from.
        learning_rate: of the extender; None: the objective's.
        discriminated_items: of each batch, how many the discriminators see, which cost most of a step;
            None: all.
        state: a file that an interrupted training goes on from.
    """
    begin = time.monotonic()
    where = bank.where
    objective = Objective() if learning_rate is None else Objective(learning_rate=learning_rate)
    shown_items = slice(discriminated_items)
    torch.manual_seed(0)
    extender = Extender(config)
    if weights is not None:
        extender.load_state_dict(weights)
    extender = extender.to(where)
    if weights is None:
        extender.noise.data.copy_(0.1 * even_noise(extender.noise.shape[0], noise_rounds, where))
    discriminators = Discriminators(width).to(where).to(memory_format=torch.channels_last)
    ahead = config.look_ahead * HOP + 1024 - HOP
    length = FRAMES * HOP
    sampler = BatchSampler(bank, LowPasses(responses, bank.length, where), batch, bank.length, where)
    assert bank.length == length + ahead + 2 * MARGIN + (-(length + ahead + 2 * MARGIN)) % 1024
    spectra = Spectra(length, where)
    schedule = Schedule(where)
    generator_step = Optimizer([extender], objective.learning_rate, schedule, betas=(0.8, 0.98))
    discriminator_step = Optimizer(
        [discriminators], objective.discriminator_rate, schedule, betas=(0.8, 0.98), average=None
    )

    def step() -> dict[str, Tensor]:
        with torch.no_grad():
            target, given, end_hz, solid_hz = sampler()
            # The detected bandwidth is clamped as in a stream.
            end_hz = end_hz.clamp(1_700.0, 17_000.0)
            offsets = (torch.rand(batch, device=where) * NOISE_FRAMES).long()
        with autocast(where):
            missing = extender(given, end_hz, offsets).float()
        made = spectra.cut((given + missing)[:, :length], solid_hz)
        with torch.no_grad():
            target, given = (spectra.cut(x[:, :length], solid_hz) for x in (target, given))
        low_hz = 0.85 * end_hz
        distance = spectra.distance(made, target, low_hz, solid_hz)
        per_frame, long_term, bias = spectra.energies(made, target, low_hz, solid_hz)
        total = objective.distance * distance + objective.bands * per_frame + objective.long_term * long_term
        # The discriminators see half of a piece. One pass serves both losses: their update comes after the
        # gradient is taken.
        first = (torch.rand(batch, 1, device=where) * (length - DISCRIMINATED)).long()
        index = (first + torch.arange(DISCRIMINATED, device=where))[shown_items]
        excerpt = made[shown_items].gather(1, index)
        shown = excerpt.detach().requires_grad_()
        context = given[shown_items].gather(1, index)
        with autocast(where):
            fake = discriminators(shown, context)
        with autocast(where):
            real = discriminators(target[shown_items].gather(1, index), context)
        adversarial = generator_loss(fake)
        matching = sum(
            (ours.float() - theirs.detach().float()).abs().mean()
            / (theirs.detach().float().abs().mean() + 1e-4)
            for a, b in zip(fake, real, strict=True)
            for ours, theirs in zip(a[:-1], b[:-1], strict=True)
        ) / sum(len(a) - 1 for a in fake)
        generator_term = objective.adversarial * adversarial + objective.features * matching
        (pull,) = torch.autograd.grad(generator_term, shown, retain_graph=True)
        hinge_loss = hinge(real, fake)
        discriminator_step.step(hinge_loss)
        total = total + schedule.ramp * (excerpt * pull).sum()
        generator_step.step(total)
        return {
            "distance": distance,
            "bands": per_frame,
            "long_term": long_term,
            "bias": bias,
            "hinge": hinge_loss,
            "adversarial": adversarial,
            "matching": matching,
        }

    out.mkdir(parents=True, exist_ok=True)
    kept = None
    if state is not None:
        modules = {"extender": extender, "discriminators": discriminators}
        kept = State(state, modules, {"extender": generator_step, "discriminators": discriminator_step})
        kept.load()
    saved = time.monotonic()

    def refresh() -> None:
        nonlocal saved
        bank.refresh(folder)
        if time.monotonic() - saved > 60:
            saved = time.monotonic()
            write(out / f"{name}.partial.safetensors", extender, generator_step)

    steps = run(
        step,
        schedule,
        seconds - (time.monotonic() - begin),
        log=out / f"{name}.log",
        refresh=refresh,
        optimizers=[generator_step],
        max_steps=max_steps,
        state=kept,
    )
    write(out / f"{name}.safetensors", extender, generator_step)
    card = {"config": config.to_dict(), "objective": asdict(objective), "steps": steps, "batch": batch}
    (out / f"{name}.json").write_text(json.dumps(card), encoding="utf-8")
    return steps


def write(path: Path, extender: Extender, optimizer: Optimizer) -> None:
    """The averaged weights as float16 (the noise too)."""
    names = [name for name, _ in extender.named_parameters()]
    averaged = dict(zip(names, optimizer.averaged, strict=True))
    save_file({name: value.half().cpu().contiguous() for name, value in averaged.items()}, path)


def even_noise(length: int, rounds: int, where: torch.device) -> Tensor:
    """`aural.superres.train.even_noise` on the device: noise whose spectra fluctuate little."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(length, generator=generator).to(where).requires_grad_()
    adam = torch.optim.Adam([noise], 0.03)
    for _ in range(rounds):
        loss = noise.new_zeros(())
        for window in (512, 1024, 2048):
            repeated = torch.cat((noise, noise[:window])) / noise.square().mean().sqrt()
            hann = torch.hann_window(window, device=where)
            spectrum = torch.stft(
                repeated, window, window // 4, window=hann, center=False, return_complex=True
            )[2:-2]
            power = spectrum.real.square() + spectrum.imag.square()
            loss = loss + torch.log10(power + 1e-9 * window).std().square()
        adam.zero_grad()
        loss.backward()
        adam.step()
    return noise.detach() / noise.detach().square().mean().sqrt()


def main() -> None:
    """Train with the command line's settings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--responses", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--look-ahead", type=int, default=48)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--discriminator-width", type=int, default=32)
    parser.add_argument("--discriminated-items", type=int, help="of each batch; default: all")
    parser.add_argument("--weights", type=Path, help="start from these weights, safetensors")
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--name", default="extender")
    parser.add_argument("--bank-seconds", type=float, default=20_000)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--state", type=Path, help=STATE_HELP)
    chosen = parser.parse_args()
    begin = time.monotonic()
    where = prepare()
    config = ExtenderConfig(width=chosen.width, look_ahead=chosen.look_ahead, floor=True)
    if chosen.tiny:
        config = ExtenderConfig(32, 2, (1, 2, 4), look_ahead=chosen.look_ahead, floor=True)
    points = FRAMES * HOP + chosen.look_ahead * HOP + 1024 - HOP + 2 * MARGIN
    bank = Bank(RATE, chosen.bank_seconds, points + -points % 1024, where, weight)
    while not bank.refresh(chosen.data):
        time.sleep(0.2)
    print(f"{len(bank.rows)} recordings after {time.monotonic() - begin:.1f} s", flush=True)
    steps = train(
        bank,
        chosen.data,
        chosen.responses,
        chosen.out,
        config,
        seconds=chosen.seconds - (time.monotonic() - begin),
        batch=chosen.batch,
        width=4 if chosen.tiny else chosen.discriminator_width,
        name=chosen.name,
        noise_rounds=20 if chosen.tiny else 300,
        weights=None if chosen.weights is None else load_file(chosen.weights),
        learning_rate=chosen.learning_rate,
        discriminated_items=chosen.discriminated_items,
        state=chosen.state,
    )
    print(f"{steps} steps in {time.monotonic() - begin:.1f} s", flush=True)


if __name__ == "__main__":
    main()
