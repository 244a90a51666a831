"""Low-passes of all kinds, applied to batches on the device.

The responses are those of `aural.superres.data` (resamplers, analogue and digital filters, codecs' brick
walls), sampled in advance on the CPU. Each item of a batch is filtered by one of them, as a product of
spectra.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

RATE = 48_000
GRID = 4097  # frequencies of a response, from 0 to half the rate


def write(path: Path, count: int, seed: int) -> None:
    """Sample responses and save them: gains of both filters, folding frequency, ends of the band."""
    from aural.superres.data import _interpolation, responses

    sampled = responses(seed, count)
    second = np.ones((count, GRID), np.float16)
    for number, response in enumerate(sampled):
        if response.fold_hz is not None:
            second[number] = _interpolation(round(response.fold_hz))
    np.savez_compressed(
        path,
        first=np.stack([response.gain for response in sampled]).astype(np.float16),
        second=second,
        fold_hz=np.array([response.fold_hz or 0.0 for response in sampled], np.float32),
        ends_hz=np.array([response.ends_hz for response in sampled], np.float32),
    )


class LowPasses:
    """The saved responses on a device, for pieces of one length.

    Args:
        points: samples of the pieces; filters wrap around, so the margins of a piece must be cut off.
    """

    def __init__(self, path: Path, points: int, where: torch.device) -> None:
        with np.load(path) as arrays:
            self.first, self.second, self.fold_hz, self.ends_hz = (
                torch.from_numpy(arrays[name]).to(where) for name in ("first", "second", "fold_hz", "ends_hz")
            )
        self.points, self.where = points, where
        bins = torch.arange(points // 2 + 1, device=where)
        self.bin_hz = RATE / points
        self.bins = bins
        place = bins * (self.bin_hz / (RATE / 2) * (GRID - 1))
        self.low = place.floor().long().clamp_max(GRID - 2)
        self.share = (place - self.low).float()

    def sample(self, batch: int) -> tuple[Tensor, Tensor]:
        """Random numbers of responses, and each one's bandwidth in Hz as a detector might report it."""
        number = (
            (torch.rand(batch, device=self.where) * len(self.fold_hz)).long().clamp_max(len(self.fold_hz) - 1)
        )
        ends = self.ends_hz[number]
        end_hz = ends[:, 0] + (ends[:, 1] - ends[:, 0]) * torch.rand(batch, device=self.where)
        return number, end_hz * torch.exp(0.015 * torch.randn(batch, device=self.where))

    def __call__(self, waves: Tensor, number: Tensor) -> Tensor:
        """Apply the low-passes. Shape: waves (batch, points); number (batch,); result as waves."""
        spectrum = torch.fft.rfft(waves) * self._gain(self.first, number)
        # Frequencies above half the low rate alias around it.
        last = (self.fold_hz[number] / self.bin_hz).round().long()[:, None]
        source = 2 * last - self.bins
        is_mirrored = (self.bins < last) & (source < len(self.bins))
        mirrored = spectrum.gather(1, source.clamp(0, len(self.bins) - 1)).conj()
        spectrum = spectrum + torch.where(is_mirrored, mirrored, torch.zeros_like(mirrored))
        return torch.fft.irfft(spectrum * self._gain(self.second, number), self.points)

    def _gain(self, grid: Tensor, number: Tensor) -> Tensor:
        rows = grid[number].float()
        return torch.lerp(rows[:, self.low], rows[:, self.low + 1], self.share)
