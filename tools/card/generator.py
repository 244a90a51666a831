"""The generator on a card: class-conditional diffusion of log-mel spectrograms, then its guide.

    python -m tools.card.generator --data DIR --out DIR --seconds N [--tiny] [--cpu]

The spectrograms of all training clips of ESC-50 are on the device as float16. Each step samples 128 of them
and augments them there: a circular shift, pitch (interpolated between bands), speed (between frames), gain,
and the power sum with another clip of the class. The network gets all values except the shift as conditions
(`Conditioning`), so with all values at 0 it generates clips without augmentation. After 88 % of the time a
smaller network is trained briefly with the same conditions: the guide, away from which sampling leads.

Cost: the network takes 8.7 GFLOP per clip, and three times that with the backward pass: 3.4 TFLOP for a step
of 128 clips, 20 ms of arithmetic at 170 TFLOP/s and about 10 ms of normalisation and copies.

Sources: those of `aural.generation.model`; Esser et al. 2024 (timesteps shifted to noise), Karras et al. 2022
(augmentation values as conditions) and 2024 (averages by share of the run; autoguidance).
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
import torchaudio.functional
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from aural.audio.spectral import DEFAULT_FRONT_END, log_mel, scale, unscale
from aural.files import write_then_rename
from aural.generation.classes import CLASSES
from aural.generation.model import (
    BANDS,
    FRAMES,
    NULL_CLASS,
    QUANTILES,
    REAL_FRAMES,
    SILENT_BELOW,
    TRAIN_STEPS,
    Config,
    DiffusionModel,
    active_share,
)
from tools.card import loop
from tools.card.bank import INDEX, decode

LENGTH = 5 * DEFAULT_FRONT_END.rate  # samples of a clip
CAPACITY = 1_600  # training clips of ESC-50
TIMEOUT_SECONDS = 60.0  # waiting for the second half of the clips
BATCH = 128
LEARNING_RATE = 5e-4
MAIN_SHARE = 0.88  # share of the time for the main network; the rest is for the guide
SNAPSHOT_SECONDS = 60.0
DROP_PROBABILITY = 0.1  # share of conditions that are replaced by the null class
MAX_WEIGHT = 5.0  # maximum weight of a squared error, see `errors`
NOISE_SHIFT = 1.75  # shift of the timesteps; 1: uniform, above: more noise
WARM_UP = 300  # steps
AVERAGE_WIDTH = 0.05  # width of the average of the weights, as a share of the run
CHUNK = 50  # clips in one pass of the front end

FINE = Config(
    channels=(80, 160, 256), patch_bands=4, patch_frames=4, embedding=320, augmented=True, dropout=0.12
)
GUIDE = replace(FINE, channels=(32, 64, 128), dropout=0.0)
TINY = replace(FINE, channels=(16, 32), groups=8, embedding=64)
TINY_GUIDE = replace(TINY, channels=(8, 32), dropout=0.0)


@dataclass(frozen=True)
class Augmentation:
    """How much training clips are augmented, and how often."""

    often: float = 0.5  # share of clips with another pitch; the same for gain and for speed
    bands: float = 2.0  # maximum pitch shift, in bands
    gain_db: float = 6.0
    speed: float = 1.15  # maximum speed, and minimum 1 / speed
    mixed: float = 0.3  # share of clips mixed with another one of the class


class Clips:
    """Spectrograms of ESC-50 on a device, at fixed addresses, for sampling by a captured graph."""

    def __init__(self, where: torch.device) -> None:
        self.where = where
        self.mel = torch.zeros(CAPACITY, BANDS, REAL_FRAMES, dtype=torch.float16, device=where)
        self.labels = torch.zeros(CAPACITY, dtype=torch.long, device=where)
        self.sounding = torch.zeros(CAPACITY, dtype=torch.long, device=where)  # frames up to the last sound
        self.count = torch.zeros((), device=where)
        self.members = torch.zeros(len(CLASSES), CAPACITY, dtype=torch.long, device=where)
        self.member_counts = torch.ones(len(CLASSES), device=where)
        self.held = 0
        self._seen: set[Path] = set()

    def refresh(self, folder: Path) -> int:
        """Add complete new parts from below a folder; returns the number of clips."""
        for index in sorted(folder.glob(f"*/{INDEX}")):
            if index not in self._seen and (index.parent / "complete").exists():
                self._seen.add(index)
                rows = json.loads(index.read_text(encoding="utf-8"))
                self.add(index.parent, [row for row in rows if row["kind"] == "esc50"])
        return self.held

    @torch.no_grad()
    def add(self, folder: Path, rows: list[dict[str, Any]]) -> None:
        """Decode files and compute their spectrograms; clips beyond CAPACITY are skipped."""
        rows = rows[: CAPACITY - self.held]
        with ThreadPoolExecutor(16) as workers:
            decoded = list(workers.map(lambda row: decode(folder / row["file"]), rows))
        for first in range(0, len(rows), CHUNK):
            part, size = decoded[first : first + CHUNK], len(decoded[first : first + CHUNK])
            mel = spectrograms([torch.from_numpy(wave) for wave, _ in part], part[0][1], self.where)
            place = slice(self.held, self.held + size)
            self.mel[place] = mel.to(torch.float16)
            sounds = (mel.amax(1) > SILENT_BELOW).long()
            self.sounding[place] = (sounds * torch.arange(1, REAL_FRAMES + 1, device=self.where)).amax(1)
            labels = [int(row["label"]) for row in rows[first : first + CHUNK]]
            self.labels[place] = torch.tensor(labels).to(self.where)
            self.held += size
        labels_held = self.labels[: self.held].cpu()
        members = torch.zeros(len(CLASSES), CAPACITY, dtype=torch.long)
        counts = torch.ones(len(CLASSES))
        for label in range(len(CLASSES)):
            found = torch.nonzero(labels_held == label)[:, 0]
            members[label, : len(found)] = found
            counts[label] = max(1, len(found))
        self.members.copy_(members)
        self.member_counts.copy_(counts)
        self.count.fill_(self.held)

    @torch.no_grad()
    def fit_statistics(self, denoiser: DiffusionModel) -> None:
        """Store the mean and deviation of each band in the model, once before training."""
        mel = self.mel[: self.held].float()
        denoiser.conditioning.mean.copy_(mel.mean((0, 2))[:, None])
        denoiser.conditioning.deviation.copy_(mel.std((0, 2))[:, None].clamp_min(1e-3))

    @torch.no_grad()
    def fit_active_shares(self, denoiser: DiffusionModel) -> None:
        """Store the active shares of each class in the model; only inference reads them."""
        active = active_share(self.mel[: self.held].float()).cpu()
        labels = self.labels[: self.held].cpu()
        for label in sorted(set(labels.tolist())):
            quantiles = torch.quantile(active[labels == label], torch.linspace(0, 1, QUANTILES))
            denoiser.conditioning.active_quantiles[label] = quantiles.to(self.where)

    def sample(self, size: int, augmentation: Augmentation) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """A batch: spectrograms (size, 80, FRAMES), labels, active shares, augmentation values."""

        def uniform(low: float = 0.0, high: float = 1.0) -> Tensor:
            return torch.rand(size, device=self.where) * (high - low) + low

        def sometimes(value: Tensor, share: float) -> Tensor:
            return torch.where(uniform() < share, value, torch.zeros_like(value))

        item = torch.minimum((uniform() * self.count).long(), (self.count - 1).long())
        label = self.labels[item]
        octaves = math.log2(augmentation.speed)
        speed = sometimes(uniform(-octaves, octaves), augmentation.often)
        bands = sometimes(uniform(-augmentation.bands, augmentation.bands), augmentation.often)
        gain_db = sometimes(uniform(-augmentation.gain_db, augmentation.gain_db), augmentation.often)
        is_mixed = uniform() < augmentation.mixed

        # A clip whose end is silent is only shifted into that silence, as in `aural.generation.data`.
        room = REAL_FRAMES - self.sounding[item]
        max_shift = torch.where(room > REAL_FRAMES // 10, room // 3, torch.full_like(room, REAL_FRAMES))
        first = move(self.mel[item].float(), (uniform() * max_shift).floor(), speed.exp2(), bands)
        place = torch.minimum(uniform() * self.member_counts[label], self.member_counts[label] - 1).long()
        other = self.mel[self.members[label, place]].float()
        second = move(other, (uniform() * REAL_FRAMES).floor(), speed.exp2(), bands)
        share = torch.where(is_mixed, uniform(0.2, 0.7), torch.zeros_like(speed))[:, None, None]
        powers = ((1 - share) * unscale(first)).square() + (share * unscale(second)).square()
        mel = scale(powers.sqrt() * (10 ** (gain_db / 20))[:, None, None])
        values = (bands / 2, gain_db / 6, speed / 0.2, is_mixed.float())
        return mel, label, active_share(mel), torch.stack(values, 1)


def spectrograms(waves: list[Tensor], rate: int, where: torch.device) -> Tensor:
    """Scaled log-mel (clips, 80, REAL_FRAMES) of clips of 5 s, as in `aural.generation.data`."""
    length = round(LENGTH / DEFAULT_FRONT_END.rate * rate)
    padded = [nn.functional.pad(wave[:length], (0, max(0, length - len(wave)))) for wave in waves]
    samples = torch.stack(padded).to(where)
    if rate != DEFAULT_FRONT_END.rate:
        # TF32 would add noise 60 to 70 dB below each clip, which may be all there is above its band.
        precise = torch.backends.cudnn.allow_tf32
        torch.backends.cudnn.allow_tf32 = False
        samples = torchaudio.functional.resample(
            samples, rate, DEFAULT_FRONT_END.rate, lowpass_filter_width=64, rolloff=0.955
        )
        torch.backends.cudnn.allow_tf32 = precise
    rounded = (samples[:, :LENGTH] * 32767).round().clamp(-32768, 32767) / 32767
    return log_mel(rounded)


def move(mel: Tensor, shift: Tensor, speed: Tensor, bands: Tensor) -> Tensor:
    """Shift each clip in time as a loop, change its speed, and shift it up by a number of bands.

    Between frames and between bands the scaled (logarithmic) values are interpolated. Whole
    numbers keep the values; the outermost band fills the gap.

    Shape: mel: (batch, 80, REAL_FRAMES); shift, speed, bands: (batch,); result: (batch, 80, FRAMES).
    """
    count = mel.shape[2]
    time = torch.arange(FRAMES, device=mel.device)[None] * speed[:, None] - shift[:, None]
    whole = time.floor()
    left = (whole.long() % count)[:, None].expand(-1, mel.shape[1], -1)
    right = ((whole.long() + 1) % count)[:, None].expand(-1, mel.shape[1], -1)
    mel = torch.lerp(mel.gather(2, left), mel.gather(2, right), (time - whole)[:, None])
    rows = torch.arange(mel.shape[1], device=mel.device)[None] - bands[:, None]
    whole = rows.floor()
    low = whole.long().clamp(0, mel.shape[1] - 1)[:, :, None].expand(-1, -1, FRAMES)
    high = (whole.long() + 1).clamp(0, mel.shape[1] - 1)[:, :, None].expand(-1, -1, FRAMES)
    return torch.lerp(mel.gather(1, low), mel.gather(1, high), (rows - whole)[:, :, None])


def shifted_timesteps(size: int, shift: float, where: torch.device) -> Tensor:
    """Stratified timesteps, shifted to noise: t = s u / (1 + (s - 1) u), in 0 .. TRAIN_STEPS - 1; (size,)."""
    place = (torch.arange(size, device=where) + torch.rand(size, device=where)) / size
    return (shift * place / (1 + (shift - 1) * place) * TRAIN_STEPS).long().clamp_max(TRAIN_STEPS - 1)


def errors(
    denoiser: DiffusionModel, mel: Tensor, timesteps: Tensor, condition: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean squared error of each clip's prediction, and its weight min(SNR + 1, 5): each (batch,)."""
    clean = denoiser.normalise(mel)
    signal, noise_level = denoiser.levels(timesteps)
    predicted = denoiser.predict(signal * clean + noise_level * noise, timesteps, condition)
    error = (predicted.float() - clean).square().mean((1, 2))
    return error, noise_level[:, 0, 0].square().reciprocal().clamp_max(MAX_WEIGHT)


class HalfPrecisionNorm(nn.GroupNorm):
    """Group normalisation that stays in bf16 under autocast: sums in float32, half the memory traffic."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        with torch.autocast(input.device.type, enabled=False):
            weight, bias = self.weight.to(input.dtype), self.bias.to(input.dtype)
            return nn.functional.group_norm(input, self.num_groups, weight, bias, self.eps)


def prepare_unet(unet: nn.Module) -> None:
    """Make a U-Net fast on a card: channels last, and norms that stay in bf16. No weight changes."""
    unet.to(memory_format=torch.channels_last)
    for module in unet.modules():
        if type(module) is nn.GroupNorm:
            module.__class__ = HalfPrecisionNorm


class Optimizer(loop.Optimizer):
    """AdamW without decay of norms and biases, and an average over a share of the run.

    The average after step n moves by 1 - (1 - 1/n)^(gamma + 1) (Karras et al. 2024, eq. 122), so its width
    grows with the run: the start is forgotten, and the number of steps need not be known.
    """

    def __init__(
        self,
        modules: list[nn.Module],
        learning_rate: float,
        schedule: loop.Schedule,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(modules, learning_rate, schedule, average=None, betas=(0.9, 0.99))
        where = self.parameters[0].device
        on_card = where.type == "cuda"
        groups = [
            {"params": [p for p in self.parameters if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in self.parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.adam = torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=self.rate if on_card else 0.0,
            betas=(0.9, 0.99),
            fused=True,
            capturable=on_card,
        )
        self.averaged = [weight.detach().clone() for weight in self.parameters]
        self.count = torch.zeros((), device=where)
        self.gamma = _gamma(AVERAGE_WIDTH)

    def state(self) -> dict[str, Any]:
        return {**super().state(), "count": self.count}

    def load(self, state: Mapping[str, Any]) -> None:
        super().load(state)
        self.count.copy_(state["count"])

    def step(self, loss: Tensor) -> None:
        super().step(loss)
        with torch.no_grad():
            self.count += 1
            share = 1 - (1 - 1 / self.count) ** (self.gamma + 1)
            change = torch._foreach_sub([weight.detach() for weight in self.parameters], self.averaged)
            torch._foreach_mul_(change, share)
            torch._foreach_add_(self.averaged, change)


def _gamma(width: float) -> float:
    """The exponent whose average has this relative width: width² = (γ + 1) / ((γ + 2)² (γ + 3))."""
    low, high = 0.0, 1e4
    for _ in range(100):
        middle = (low + high) / 2
        if (middle + 1) / ((middle + 2) ** 2 * (middle + 3)) > width**2:
            low = middle
        else:
            high = middle
    return low


def step_of(
    denoiser: DiffusionModel,
    clips: Clips,
    optimizer: loop.Optimizer,
    batch: int,
    augmentation: Augmentation,
    frozen: bool = False,
    half: bool = True,
) -> Callable[[], Mapping[str, Tensor]]:
    """One step of training, capturable.

    Args:
        frozen: the conditioning belongs to another network and is not trained.
        half: the network computes in bf16.
    """
    where = clips.where
    # A captured graph must not reuse a cached cast of an earlier weight.
    fast = torch.autocast(where.type, torch.bfloat16, enabled=half, cache_enabled=False)

    def step() -> Mapping[str, Tensor]:
        with torch.no_grad():
            mel, label, active, values = clips.sample(batch, augmentation)
            timesteps = shifted_timesteps(batch, NOISE_SHIFT, where)
            dropped = torch.rand(batch, device=where) < DROP_PROBABILITY
            label = torch.where(dropped, torch.full_like(label, NULL_CLASS), label)
            noise = torch.randn(batch, BANDS, FRAMES, device=where)
        with fast:
            condition = denoiser.condition(label, active, values)
            if frozen:
                condition = condition.detach()
            error, weight = errors(denoiser, mel, timesteps, condition, noise)
        loss = (weight * error).mean()
        optimizer.step(loss)
        thirds = {"noisy": (2 / 3, 1.0), "middle": (1 / 3, 2 / 3), "clear": (0.0, 1 / 3)}
        parts = {
            name: _mean_where(error.detach(), timesteps, low * TRAIN_STEPS, high * TRAIN_STEPS)
            for name, (low, high) in thirds.items()
        }
        return {"loss": loss.detach(), **parts}

    return step


def _mean_where(error: Tensor, timesteps: Tensor, low: float, high: float) -> Tensor:
    chosen = ((timesteps >= low) & (timesteps < high)).float()
    return (error * chosen).sum() / chosen.sum().clamp_min(1)


def train(
    denoiser: DiffusionModel,
    clips: Clips,
    deadline: float,
    *,
    log: Path,
    batch: int,
    frozen: bool = False,
    half: bool = True,
    learning_rate: float = LEARNING_RATE,
    augmentation: Augmentation = Augmentation(),
    snapshot: Callable[[list[Tensor]], None] | None = None,
    max_steps: int | None = None,
    state: Path | None = None,
) -> int:
    """Train until `time.monotonic()` reaches the deadline; the denoiser ends with averaged weights."""
    schedule = loop.Schedule(clips.where)
    prepare_unet(denoiser.unet)
    modules: list[nn.Module] = [denoiser.unet]
    if not frozen:
        modules.append(denoiser.conditioning)
    optimizer = Optimizer(modules, learning_rate, schedule)
    denoiser.train()
    step = step_of(denoiser, clips, optimizer, batch, augmentation, frozen, half)
    if clips.where.type == "cuda":
        _prime(step, clips.where)  # before the loop's clock starts, with a learning rate of 0
    optimizer.count.zero_()
    kept = None
    if state is not None:
        kept = loop.State(state, {"denoiser": denoiser}, {"denoiser": optimizer})
        kept.load()
    written = time.monotonic()

    def refresh() -> None:
        nonlocal written
        if snapshot is not None and time.monotonic() - written > SNAPSHOT_SECONDS:
            written = time.monotonic()
            snapshot(optimizer.averaged)

    seconds = max(1.0, deadline - time.monotonic() - (2.0 if clips.where.type == "cuda" else 0.0))
    steps = loop.run(
        step,
        schedule,
        seconds,
        log=log,
        warm_up=WARM_UP,
        hold=0.4,
        refresh=refresh,
        max_steps=max_steps,
        state=kept,
    )
    optimizer.load_average()
    denoiser.eval()
    return steps


def _prime(step: Callable[[], Mapping[str, Tensor]], where: torch.device) -> None:
    """Let cuDNN choose its algorithms before the loop, since it takes seconds."""
    side = torch.cuda.Stream(where)
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        step()
    torch.cuda.current_stream().wait_stream(side)
    torch.cuda.synchronize()


def write(path: Path, denoiser: DiffusionModel, averaged: list[Tensor] | None = None) -> None:
    """Write the weights as float16, like `aural.training.checkpoints.save`.

    Args:
        averaged: averages that replace the U-Net's and then the conditioning's parameters.
    """
    state = {name: value.detach() for name, value in denoiser.state_dict().items()}
    if averaged is not None:
        names = [f"unet.{name}" for name, _ in denoiser.unet.named_parameters()]
        names += [f"conditioning.{name}" for name, _ in denoiser.conditioning.named_parameters()]
        state.update(zip(names, averaged, strict=True))
    halves = {
        name: (value.half() if value.is_floating_point() else value).cpu().contiguous()
        for name, value in state.items()
    }
    with write_then_rename(path) as temporary:
        save_file(halves, temporary)


def wait(clips: Clips, folder: Path, expected: int) -> float:
    """Wait until all clips are there, or TIMEOUT_SECONDS after the first; returns the seconds waited."""
    begun = time.monotonic()
    first: float | None = None
    while True:
        held = clips.refresh(folder)
        now = time.monotonic()
        if held and first is None:
            first = now
        if held >= expected or (first is not None and now - first > TIMEOUT_SECONDS):
            print(f"{held} clips after {now - begun:.1f} s", flush=True)
            return now - begun
        time.sleep(0.5)


def main(command: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="a folder with part1, part2, ...")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True, help="total time, including waiting")
    parser.add_argument("--batch", type=int, default=None, help="clips per step")
    parser.add_argument("--clips", type=int, default=CAPACITY, help="number of clips to wait for")
    parser.add_argument("--rate", type=float, default=LEARNING_RATE, help="maximum learning rate")
    parser.add_argument("--dropout", type=float, default=None)
    parser.add_argument("--weights", type=Path, help="start the generator from these weights, safetensors")
    parser.add_argument("--no-guide", action="store_true", help="spend all the time on the generator")
    parser.add_argument("--tiny", action="store_true", help="test: train a tiny network")
    parser.add_argument("--cpu", action="store_true", help="use the CPU even if there is a card")
    parser.add_argument("--max-steps", type=int, default=None, help="maximum steps per network, for tests")
    parser.add_argument("--state", type=Path, default=None, help=f"of the generator: {loop.STATE_HELP}")
    chosen = parser.parse_args(command)
    start = time.monotonic()
    where = loop.prepare()
    if chosen.cpu:
        where = torch.device("cpu")
        torch.set_num_threads(1)
    torch.backends.cuda.enable_cudnn_sdp(False)  # flash attention can be captured reliably
    torch.manual_seed(0)
    config, guide_config = (TINY, TINY_GUIDE) if chosen.tiny else (FINE, GUIDE)
    if chosen.dropout is not None:
        config = replace(config, dropout=chosen.dropout)
    batch = chosen.batch or (8 if chosen.tiny else BATCH)
    chosen.out.mkdir(parents=True, exist_ok=True)

    clips = Clips(where)
    wait(clips, chosen.data, chosen.clips)
    denoiser = DiffusionModel(config).to(where)
    clips.fit_statistics(denoiser)
    clips.fit_active_shares(denoiser)
    if chosen.weights is not None:
        denoiser.load_state_dict(load_file(chosen.weights))
    card: dict[str, Any] = {"clips": clips.held, "batch": batch, "noise_shift": NOISE_SHIFT}

    def note(name: str, network: Config, steps: int, begun: float) -> None:
        logs = [json.loads(line) for line in _lines(chosen.out / f"{name}.log")[-3:]]
        card.update({"config": network.to_dict(), "seconds": time.monotonic() - begun, "steps": steps})
        text = json.dumps({**card, "log": logs}, indent=1)
        (chosen.out / f"{name}.json").write_text(text + "\n", encoding="utf-8")

    steps = train(
        denoiser,
        clips,
        start + (1.0 if chosen.no_guide else MAIN_SHARE) * chosen.seconds,
        log=chosen.out / "generator.log",
        batch=batch,
        learning_rate=chosen.rate,
        snapshot=lambda averaged: write(chosen.out / "generator.partial.safetensors", denoiser, averaged),
        max_steps=chosen.max_steps,
        state=chosen.state,
    )
    write(chosen.out / "generator.safetensors", denoiser)
    note("generator", config, steps, start)
    (chosen.out / "generator.partial.safetensors").unlink(missing_ok=True)
    print(f"generator: {steps} steps", flush=True)

    if chosen.no_guide:
        return
    # The guide gets the conditioning that the main network has learnt.
    begun = time.monotonic()
    guide = DiffusionModel(guide_config, conditioning=denoiser.conditioning).to(where)
    steps = train(
        guide,
        clips,
        start + chosen.seconds,
        log=chosen.out / "guide.log",
        batch=batch,
        frozen=True,
        learning_rate=2 * chosen.rate,
        max_steps=chosen.max_steps,
    )
    write(chosen.out / "guide.safetensors", guide)
    note("guide", guide_config, steps, begun)
    print(f"guide: {steps} steps", flush=True)


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def load_weights(path: Path, config: Mapping[str, Any]) -> DiffusionModel:
    """A network from weights written by `write` and the `config` of their JSON."""
    from aural.generation.model import build

    denoiser = build(config)
    denoiser.load_state_dict({name: value.float() for name, value in load_file(path).items()}, strict=True)
    return cast(DiffusionModel, denoiser.eval().requires_grad_(False))


if __name__ == "__main__":
    main()
