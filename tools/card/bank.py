"""All recordings of a kind on the device as 16 bits, and batches sampled from them there.

The tensors have a fixed size and address, so that a captured graph may sample from a bank while further parts
of the data are still arriving: `add` writes into them, and the next replay uses the new data.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchaudio.functional
from torch import Tensor

INDEX = "index.json"  # index of a part: a list of rows
MAX_ITEMS = 8_192


@dataclass(frozen=True)
class Drawn:
    """A batch of pieces."""

    waves: Tensor  # (batch, length), full scale 1
    solid_hz: Tensor  # (batch,), the frequency up to which the recording is a valid target
    label: Tensor  # (batch,), ESC-50's class; -1 elsewhere
    item: Tensor  # (batch,), number of the recording
    start: Tensor  # (batch,), first sample of the piece


class Bank:
    """Recordings at one rate, one after the other on the device.

    Args:
        rate: Hz.
        seconds: capacity.
        weight: how often a row of the index is sampled, relative to others; 0: never.
        length: samples of a piece; shorter recordings are repeated to this length.
    """

    def __init__(
        self,
        rate: int,
        seconds: float,
        length: int,
        where: torch.device,
        weight: Callable[[dict[str, Any]], float],
    ) -> None:
        self.rate, self.length, self.where, self.weight = rate, length, where, weight
        self.samples = torch.zeros(math.ceil(rate * seconds), dtype=torch.int16, device=where)
        self.starts = torch.zeros(MAX_ITEMS, dtype=torch.long, device=where)
        self.lengths = torch.full((MAX_ITEMS,), length, dtype=torch.long, device=where)
        self.cumulative = torch.full((MAX_ITEMS,), 2.0, dtype=torch.float64, device=where)
        self.solid_hz = torch.full((MAX_ITEMS,), rate / 2, device=where)
        self.labels = torch.full((MAX_ITEMS,), -1, dtype=torch.long, device=where)
        self.rows: list[dict[str, Any]] = []
        self._weights: list[float] = []
        self._end = 0
        self._seen: set[Path] = set()

    def refresh(self, folder: Path) -> int:
        """Add complete new parts from below a folder; returns the number of rows."""
        for index in sorted(folder.glob(f"*/{INDEX}")):
            if index not in self._seen and (index.parent / "complete").exists():
                self._seen.add(index)
                self.add(index.parent, json.loads(index.read_text(encoding="utf-8")))
        return len(self.rows)

    def add(self, folder: Path, rows: list[dict[str, Any]]) -> None:
        """Decode the rows' files, resample them and append them."""
        chosen = [row for row in rows if self.weight(row) > 0]
        with ThreadPoolExecutor(16) as workers:
            waves = list(workers.map(lambda row: _try_decode(folder / row["file"]), chosen))
        # TF32 would add noise to resampled audio, and cuDNN would benchmark every new length.
        flags = torch.backends.cudnn
        held = flags.allow_tf32, flags.benchmark
        flags.allow_tf32 = flags.benchmark = False
        for row, decoded in zip(chosen, waves, strict=True):
            if decoded is None:
                continue
            wave, rate = decoded
            samples = torch.from_numpy(wave).to(self.where)
            if rate != self.rate:
                samples = torchaudio.functional.resample(
                    samples, rate, self.rate, lowpass_filter_width=32, rolloff=0.97
                )
            if len(samples) < self.length:
                samples = samples.repeat(math.ceil(self.length / len(samples)))[: self.length]
            if self._end + len(samples) > len(self.samples) or len(self.rows) == MAX_ITEMS:
                print(f"the bank is full after {len(self.rows)} recordings", flush=True)
                break
            number = len(self.rows)
            clipped = samples.mul(32767).round().clamp(-32768, 32767).to(torch.int16)
            self.samples[self._end : self._end + len(samples)] = clipped
            self.starts[number] = self._end
            self.lengths[number] = len(samples)
            self.solid_hz[number] = min(float(row.get("solid_hz") or rate / 2), 0.98 * rate / 2)
            self.labels[number] = int(row.get("label", -1))
            self._end += len(samples)
            self.rows.append(row)
            self._weights.append(self.weight(row))
        flags.allow_tf32, flags.benchmark = held
        weights = torch.tensor(self._weights, dtype=torch.float64)
        cumulative = torch.cumsum(weights, 0) / weights.sum()
        self.cumulative[: len(cumulative)] = cumulative.to(self.where)
        self.cumulative[len(cumulative) - 1] = 2.0

    def sample(self, batch: int) -> Drawn:
        """Random pieces of recordings sampled by their weights; capturable."""
        item = torch.searchsorted(
            self.cumulative, torch.rand(batch, device=self.where, dtype=torch.float64), right=True
        ).clamp_max(MAX_ITEMS - 1)
        room = self.lengths[item] - self.length + 1
        start = (torch.rand(batch, device=self.where, dtype=torch.float64) * room).long()
        index = (self.starts[item] + start)[:, None] + torch.arange(self.length, device=self.where)
        waves = self.samples[index].float() / 32767
        return Drawn(waves, self.solid_hz[item], self.labels[item], item, start)


def decode(path: Path) -> tuple[np.ndarray[Any, np.dtype[np.float32]], int]:
    """Mono samples (time,) float32 and the rate in Hz."""
    import soundfile

    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return np.ascontiguousarray(samples.mean(1)), rate


def _try_decode(path: Path) -> tuple[np.ndarray[Any, np.dtype[np.float32]], int] | None:
    try:
        return decode(path)
    except RuntimeError as error:  # one damaged file must not end a training
        print(f"left out: {path.name}: {error}", flush=True)
        return None
