"""Train stage 1 of Enhance on a card, on mixtures made there for each step, with matched targets.

    python -m tools.card.denoiser --data DIR --out DIR --seconds 500
    python -m tools.card.denoiser --causal --data DIR --out DIR --seconds 500    # that of live sound

Cost of a step of 32 pieces of 2 s, forward and backward: the network takes 1.9 GMAC per second of sound,
hence 1.9e9 · 2 · 3 · 64 = 0.73 TFLOP, about 8 ms at 100 TFLOP/s; normalisation and activations move about 20
GB, 7 ms; mixing (six FFTs of 163,840 samples a piece, noise) and the loss (spectra at three resolutions)
about 10 ms.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from aural.audio.spectral import stft
from aural.enhancement.denoiser_causal import CausalConfig, CausalDenoiser
from aural.enhancement.denoiser_convolutional import (
    MASK_FRONT_END,
    ConvolutionalConfig,
    ConvolutionalDenoiser,
)
from aural.enhancement.denoiser_loss import DenoiserLoss
from aural.enhancement.denoiser_mixtures import (
    CURVE,
    ROOM_LENGTH,
    SOURCE_LENGTH,
    Mixture,
    Odds,
    Sources,
    active_rms,
    mix,
)
from aural.enhancement.features import RATE
from aural.enhancement.level import ACTIVE_RMS, BLOCK
from tools.card.bank import INDEX, MAX_ITEMS, Bank, decode
from tools.card.loop import STATE_HELP, Optimizer, Schedule, State, autocast, prepare, run

NAME, LIVE_NAME = "denoiser", "live_denoiser"
BATCH = 32
TINY = ConvolutionalConfig((12, 24, 32, 48), 3)  # for rehearsals
LIVE_TINY = CausalConfig((8, 12, 16), 2)
LEARNING_RATE = 2e-3
VOICE_SECONDS, NOISE_SECONDS = 4 * 3_600, 3 * 3_600
SNAPSHOT_SECONDS = 60.0
CALIBRATION_BATCHES = 40
CAPTURE_SECONDS = 3.0  # capture of the graph, after the first step
DRY_RT60_SECONDS = 1.0  # rooms that echo longer are sampled a third as often

# How often a source is sampled, and about how many rows share this.
VOICES = {
    "many/full": (0.26, 37),
    "many/wide": (0.20, 35),
    "many/low": (0.12, 35),
    "kathleen": (0.12, 450),
    "nathalie": (0.12, 945),
    "ravdess": (0.13, 540),
}
MUSIC = (0.05, 20)
# Classes of ESC-50. Laughter and a crying baby are voices, too; machines are common in recordings.
RARE = {20, 26}
COMMON = {10, 11, 16, 19, 31, 32, 35, 36, 40, 41, 44, 45, 47}


def voice_weight(row: dict[str, Any]) -> float:
    """How often a row is sampled as speech."""
    if row["kind"] == "music":
        return MUSIC[0] / MUSIC[1]
    if row["kind"] not in ("speech", "singing"):
        return 0.0
    share, rows = VOICES.get(row["source"], (0.05, 300))
    return share / rows


def noise_weight(row: dict[str, Any]) -> float:
    """How often a row is sampled as noise."""
    if row["kind"] == "noise":
        return 0.4 / 37
    if row["kind"] != "esc50":
        return 0.0
    label = int(row["label"])
    return (0.3 if label in RARE else 2.5 if label in COMMON else 1.0) * 0.6 / 2_000


class Responses:
    """Impulse responses of one kind on the device."""

    def __init__(self, kind: str, length: int, where: torch.device, room: int = 128) -> None:
        self.kind, self.where = kind, where
        self.responses = torch.zeros(room, length, device=where)
        self.responses[:, 0] = 1.0
        self.order = torch.zeros(4 * room, dtype=torch.long, device=where)
        self.count = torch.ones((), device=where)
        self.held = 0
        self._order: list[int] = []
        self._seen: set[Path] = set()

    def refresh(self, folder: Path) -> int:
        """Add responses from complete new parts; returns the number of responses."""
        for index in sorted(folder.glob(f"*/{INDEX}")):
            if index in self._seen or not (index.parent / "complete").exists():
                continue
            self._seen.add(index)
            for row in json.loads(index.read_text(encoding="utf-8")):
                if row["kind"] == self.kind and self.held < len(self.responses):
                    self._add(decode(index.parent / row["file"])[0], row)
        if self._order:
            self.order[: len(self._order)] = torch.tensor(self._order, device=self.where)
            self.count.fill_(len(self._order))
        return self.held

    def _add(self, samples: Any, row: dict[str, Any]) -> None:
        response = torch.from_numpy(samples)[: self.responses.shape[1]].to(self.where)
        fade = min(len(response), self.responses.shape[1] // 10)
        response[-fade:] *= torch.linspace(1, 0, fade, device=self.where)
        self.responses[self.held] = 0
        self.responses[self.held, : len(response)] = response
        echoes = float(row.get("meta", {}).get("rt60_s") or 0) > DRY_RT60_SECONDS
        self._order += [self.held] * (1 if echoes else 3)
        self.held += 1

    def sample(self, batch: int) -> Tensor:
        """Random responses, (batch, length)."""
        place = (torch.rand(batch, device=self.where) * self.count).long()
        return self.responses[self.order[place]]


class Data:
    """The sources of the mixtures."""

    def __init__(
        self, folder: Path, where: torch.device, seconds: tuple[float, float], is_matched: bool = True
    ) -> None:
        self.folder, self.odds = folder, Odds(matched=is_matched)
        self.voices = Bank(RATE, seconds[0], SOURCE_LENGTH, where, voice_weight)
        self.noises = Bank(RATE, seconds[1], SOURCE_LENGTH, where, noise_weight)
        self.rooms = Responses("room", ROOM_LENGTH, where)
        self.microphones = Responses("device", min(CURVE, 2_400), where)
        self.levels = torch.full((MAX_ITEMS,), ACTIVE_RMS, device=where)
        self.is_music = torch.zeros(MAX_ITEMS, device=where)
        self._leveled = 0

    def refresh(self) -> bool:
        """Add the data that has arrived; True once there is enough to begin."""
        self.voices.refresh(self.folder)
        noises = self.noises.refresh(self.folder)
        rooms, microphones = self.rooms.refresh(self.folder), self.microphones.refresh(self.folder)
        # A voice is scaled by the level of its whole recording, as in inference, not of the piece.
        for number in range(self._leveled, len(self.voices.rows)):
            start, length = int(self.voices.starts[number]), int(self.voices.lengths[number])
            whole = self.voices.samples[start : start + length // BLOCK * BLOCK].float() / 32767
            self.levels[number] = active_rms(whole[None])[0].clamp_min(1e-3)
            self.is_music[number] = float(self.voices.rows[number]["kind"] == "music")
        self._leveled = len(self.voices.rows)
        return bool(self._leveled and noises and rooms and microphones)

    def sample(self, batch: int) -> Mixture:
        """A batch of mixtures; capturable."""
        voices = self.voices.sample(batch)
        level = self.levels[voices.item]
        return mix(
            Sources(
                voice=voices.waves * (ACTIVE_RMS / level)[:, None],
                solid_hz=voices.solid_hz,
                noise=self.noises.sample(batch).waves,
                room=self.rooms.sample(batch),
                microphone=self.microphones.sample(batch),
                untouched=self.is_music[voices.item],
            ),
            self.odds,
        )


class Training:
    """The training: its step and its results."""

    def __init__(
        self,
        data: Data,
        config: ConvolutionalConfig | CausalConfig,
        batch: int,
        where: torch.device,
        learning_rate: float = LEARNING_RATE,
    ) -> None:
        self.data, self.config, self.batch, self.where = data, config, batch, where
        model = CausalDenoiser(config) if isinstance(config, CausalConfig) else ConvolutionalDenoiser(config)
        self.model = model.to(where, memory_format=torch.channels_last)
        self.objective = DenoiserLoss(where)
        self.schedule = Schedule(where)
        self.optimizer = Optimizer([self.model], learning_rate, self.schedule, betas=(0.9, 0.98))

    def load(self, weights: Path) -> None:
        """Start from the weights of an earlier training."""
        self.model.load_state_dict(load_file(weights))
        self.optimizer.restart_average()

    def step(self) -> dict[str, Tensor]:
        """One step of the training; capturable."""
        mixture = self.data.sample(self.batch)
        with torch.no_grad():
            spectrum = stft(mixture.recording, MASK_FRONT_END)
        masks = self.masks(spectrum)
        loss, logs = self.objective(masks, spectrum, mixture)
        self.optimizer.step(loss)
        return logs

    def masks(self, spectrum: Tensor) -> Any:
        """The network, in bf16 if that is fast."""
        with autocast(self.where):
            return self.model(spectrum)

    @torch.no_grad()
    def calibrate(self, batches: int) -> None:
        """Compute the normalisations' statistics for the averaged weights."""
        normalisations = [module for module in self.model.modules() if isinstance(module, nn.BatchNorm2d)]
        for module in normalisations:
            module.reset_running_stats()
            module.momentum = None  # type: ignore[assignment]  # a cumulative mean
        for _ in range(batches):
            self.masks(stft(self.data.sample(self.batch).recording, MASK_FRONT_END))

    def weights(self) -> dict[str, Tensor]:
        """The averaged weights as float16, on the host."""
        averaged = dict(
            zip((name for name, _ in self.model.named_parameters()), self.optimizer.averaged, strict=True)
        )
        state = {name: averaged.get(name, value) for name, value in self.model.state_dict().items()}
        return {
            name: (value.half() if value.is_floating_point() else value).detach().cpu().contiguous()
            for name, value in state.items()
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True, help="duration from the start of the program")
    parser.add_argument("--batch", type=int, default=None)
    parser.add_argument("--weights", type=Path, default=None, help="start from these weights, safetensors")
    parser.add_argument("--learning-rate", type=float, default=LEARNING_RATE)
    parser.add_argument("--tiny", action="store_true", help="test: train a tiny network")
    parser.add_argument("--causal", action="store_true", help="train the network of live sound")
    parser.add_argument("--unmatched", action="store_true", help="to compare: targets from before the phone")
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--state", type=Path, default=None, help=STATE_HELP)
    arguments = parser.parse_args()
    begun = time.monotonic()
    where = prepare()
    if arguments.cpu:
        where = torch.device("cpu")
    torch.manual_seed(arguments.seed)
    arguments.out.mkdir(parents=True, exist_ok=True)
    tiny = arguments.tiny
    hours = (1_800.0, 1_800.0) if tiny else (VOICE_SECONDS, NOISE_SECONDS)
    data = Data(arguments.data, where, hours, not arguments.unmatched)
    while not data.refresh():
        if time.monotonic() - begun > arguments.seconds:
            raise SystemExit(f"No part with voices, noises, rooms and microphones came to {arguments.data}.")
        time.sleep(0.5)
    name = LIVE_NAME if arguments.causal else NAME
    if arguments.causal:
        config: ConvolutionalConfig | CausalConfig = LIVE_TINY if tiny else CausalConfig()
    else:
        config = TINY if tiny else ConvolutionalConfig()
    batch = arguments.batch or (6 if tiny else BATCH)
    training = Training(data, config, batch, where, arguments.learning_rate)
    if arguments.weights is not None:
        training.load(arguments.weights)
    state = None
    if arguments.state is not None:
        state = State(arguments.state, {name: training.model}, {name: training.optimizer})
        state.load()
    count = sum(weight.numel() for weight in training.model.parameters())
    print(f"{count} parameters, {len(data.voices.rows)} voices, {len(data.noises.rows)} noises", flush=True)
    if where.type == "cuda":
        # The libraries choose their algorithms here, at a learning rate of 0.
        for _ in range(2):
            training.step()
        torch.cuda.synchronize()
    last = time.monotonic()

    def refresh() -> None:
        nonlocal last
        data.refresh()
        if time.monotonic() - last > SNAPSHOT_SECONDS:
            last = time.monotonic()
            save_file(training.weights(), arguments.out / f"{name}.partial.safetensors")

    log = arguments.out / f"{name}.log"
    log.unlink(missing_ok=True)
    spent = time.monotonic() - begun + (CAPTURE_SECONDS if where.type == "cuda" else 0)
    steps = run(
        training.step,
        training.schedule,
        arguments.seconds - spent,
        log=log,
        refresh=refresh,
        optimizers=[training.optimizer],
        warm_up=100 if tiny else 200,
        state=state,
    )
    training.optimizer.load_average()
    training.calibrate(1 if tiny else CALIBRATION_BATCHES)
    save_file(training.weights(), arguments.out / f"{name}.safetensors")
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    summary = {
        "config": config.to_dict(),
        "seconds": round(time.monotonic() - begun, 1),
        "steps": steps,
        "batch": batch,
        "parameters": count,
        "voices": len(data.voices.rows),
        "noises": len(data.noises.rows),
        "logs": json.loads(lines[-1]) if lines else {},
    }
    (arguments.out / f"{name}.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(summary), flush=True)


if __name__ == "__main__":
    main()
