"""The U-Net over frequency that the denoiser and the completer share.

    x ──> entry ──> down ──> down ──> FiLM ──> GRUs over both axes ──> up ──> up ──> up
             └────────┴────────┴───────── skip connections ───────────┴──────┴──────┘

Sources: Ronneberger et al. 2015 (U-Net), Le et al. 2021 (dual-path recurrence), Perez et al. 2018 (FiLM).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

CONDITIONS = 4  # log-f0, voicing, loudness, sharpness, see `features.conditioning`


class UNet(nn.Module):
    """A U-Net over frequency with dual-path blocks at the bottom, modulated by the conditions (FiLM).

    Shape:
        in: (batch, channels, frequencies, frames), frequencies a multiple of 8;
        out: (batch, widths[0], frequencies, frames).
    """

    def __init__(self, channels: int, widths: tuple[int, int, int], hidden: int, blocks: int) -> None:
        super().__init__()
        first, second, third = widths
        self.entry = _Convolution(channels, first, (5, 3), (2, 1))
        self.down = nn.ModuleList(
            [_Convolution(first, second, (3, 3), (2, 1)), _Convolution(second, third, (3, 3), (2, 1))]
        )
        self.film = nn.Conv1d(CONDITIONS + 1, 2 * third, 1)
        self.blocks = nn.ModuleList([_DualPath(third, hidden) for _ in range(blocks)])
        self.up = nn.ModuleList(
            [
                _Upsampling(third, third, second),
                _Upsampling(second, second, first),
                _Upsampling(first, first, first),
            ]
        )
        nn.init.zeros_(self.film.weight)

    def encode(self, x: Tensor, conditioning: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """The features at the bottom of the U-Net, and the skip connections."""
        if conditioning is None:
            conditions = x.new_zeros(len(x), CONDITIONS + 1, x.shape[-1])
        else:
            # The last channel says whether the others are known.
            conditions = functional.pad(conditioning, (0, 0, 0, 1), value=1.0)
        x = self.entry(x)
        skips = []
        for layer in self.down:
            skips.append(x)
            x = layer(x)
        factor, shift = self.film(conditions)[:, :, None].chunk(2, dim=1)
        x = x * (1 + factor) + shift
        skips.append(x)
        for block in self.blocks:
            x = block(x)
        return x, skips

    def decode(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        """Upsample from the bottom to all frequencies."""
        for layer, skip in zip(self.up, reversed(skips), strict=True):
            x = layer(x, skip)
        return x


class _Convolution(nn.Module):
    """Convolution over (frequency, time), batch normalization, SiLU."""

    def __init__(self, before: int, after: int, kernel: tuple[int, int], stride: tuple[int, int]) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(before, after, kernel, stride, (kernel[0] // 2, kernel[1] // 2))
        self.normalise = nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = functional.silu(self.normalise(self.convolution(x)))
        return result


class _Upsampling(nn.Module):
    """Adds the skip connection and doubles the frequency resolution."""

    def __init__(self, before: int, skipped: int, after: int) -> None:
        super().__init__()
        self.skip = nn.Conv2d(skipped, before, 1)
        self.convolution = nn.Conv2d(before, 2 * after, (3, 3), padding=1)
        self.normalise = nn.BatchNorm2d(after)

    def forward(self, x: Tensor, skipped: Tensor) -> Tensor:
        y = self.convolution(x + self.skip(skipped))
        batch, channels, frequencies, frames = y.shape
        y = y.reshape(batch, channels // 2, 2, frequencies, frames).transpose(2, 3)
        result: Tensor = functional.silu(
            self.normalise(y.reshape(batch, channels // 2, 2 * frequencies, frames))
        )
        return result


class _DualPath(nn.Module):
    """A GRU along frequency in each frame, then one along time at each frequency; both bidirectional."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.across = nn.GRU(width, hidden // 2, batch_first=True, bidirectional=True)
        self.across_out = nn.Linear(hidden // 2 * 2, width)
        self.across_norm = nn.LayerNorm(width)
        self.along = nn.GRU(width, hidden, batch_first=True, bidirectional=True)
        self.along_out = nn.Linear(2 * hidden, width)
        self.along_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        batch, width, frequencies, frames = x.shape
        y = x.permute(0, 3, 2, 1)  # (batch, frames, frequencies, width)
        rows = self.across(self.across_norm(y).reshape(batch * frames, frequencies, width))[0]
        y = y + self.across_out(rows).reshape(batch, frames, frequencies, width)
        y = y.transpose(1, 2)  # (batch, frequencies, frames, width)
        rows = self.along(self.along_norm(y).reshape(batch * frequencies, frames, width))[0]
        y = y + self.along_out(rows).reshape(batch, frequencies, frames, width)
        result: Tensor = y.permute(0, 3, 1, 2)
        return result
