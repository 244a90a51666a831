"""The two stages of enhancement: a denoiser that masks, and a completer that adds what the phone lost.

    spectrum ──> 128 bands ──> U-Net over frequency, ──> gain a band, filter a low bin ──> × spectrum = speech
                               GRUs over both axes  └──> noise gain, pitch, bands (pre-training)
    speech, spectrum ──> 96 mel bands ──> U-Net ──> mel bands of the studio ──> missing power × carrier

The denoiser keeps the original phase. Below 3 kHz, where harmonics are a few bins apart, each bin is filtered
by 5 complex taps over neighbouring frames, which undoes some of the room; above, bands after Moore and
Glasberg get a real gain. The completer only adds power, so words and pitch stay those that were spoken.

Sources: Valin 2018 (gains a band), Schröter et al. 2022 (filtering of the low bins), Le et al. 2021
(dual-path recurrence), Rong et al. 2024 (low bins kept, high bins in bands), Perez et al. 2018 (FiLM),
Dietz et al. 2002 (a band copied up and shaped as carrier), Lim and Ye 2017 (hinge loss).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from aural.audio.spectral import mel_filters, mel_from_magnitude, scale, unscale
from aural.enhancement.features import FRONT_END
from aural.hub.config import NetworkConfig

LOW_BINS = 96  # below 3 kHz each bin is its own band
HIGH_BANDS = 32
BANDS = LOW_BINS + HIGH_BANDS
TAPS = (-3, -2, -1, 0, 1)  # frames, relative to the one that is filtered
LARGEST_GAIN = 4.0
LEAST_POWER = 1e-12
CONDITIONS = 4  # log-f0, voicing, loudness, sharpness, see `features.conditioning`
PITCH_BINS = 64  # from LOWEST_HZ to HIGHEST_HZ, equal on a logarithmic scale; one more for "unvoiced"
LOWEST_HZ, HIGHEST_HZ = 60.0, 500.0
STRIDE = 4  # of the network on samples, at each step
COPIED_BINS = (48, 64)  # first and number: what the carrier is made of
COMPLETED_HZ = (4_000.0, 6_000.0)  # from a mere floor of noise to all that is missing
FLOOR_DB = -50.0  # of that floor, beneath the loudest of its band
NOISY_HZ = (3_000.0, 9_000.0)  # where the carrier goes over from copied voice to noise


@dataclass(frozen=True)
class DenoiserConfig(NetworkConfig):
    """The size of the denoiser."""

    widths: tuple[int, int, int] = (24, 32, 64)  # channels at 64, 32 and 16 steps of frequency
    hidden: int = 48  # of each direction of a GRU
    blocks: int = 2  # dual-path blocks


@dataclass(frozen=True)
class Masks:
    """What the denoiser makes of a mixture, to be applied to each of its channels alike."""

    taps: Tensor  # (batch, TAPS, LOW_BINS, frames), complex: the filter of each low bin
    gain: Tensor  # (batch, bins, frames), of the bins above; what it holds below is not used
    noise_gain: Tensor  # (batch, bins, frames), what of the mixture is background
    pitch: Tensor  # (batch, PITCH_BINS + 1, frames), logits
    bands: Tensor  # (batch, BANDS, frames), the clean bands as guessed in pre-training

    def apply(self, spectrum: Tensor) -> Tensor:
        """The speech in a spectrum (channels or batch, bins, frames), complex; one mask for all channels."""
        low = spectrum[:, :LOW_BINS]
        first, last = -TAPS[0], TAPS[-1]
        padded = functional.pad(low, (first, last))
        frames = spectrum.shape[-1]
        filtered = torch.zeros_like(low)
        for number, offset in enumerate(TAPS):
            start = first + offset
            filtered = filtered + self.taps[:, number] * padded[..., start : start + frames]
        return torch.cat((filtered, self.gain[:, LOW_BINS:] * spectrum[:, LOW_BINS:]), dim=1)

    def background(self, spectrum: Tensor) -> Tensor:
        """The background in a spectrum, likewise: what is neither voice nor its room."""
        return self.noise_gain * spectrum

    @property
    def voicing(self) -> Tensor:
        """(batch, frames): the probability that a frame has a pitch."""
        return 1 - self.pitch.softmax(1)[:, -1]

    @property
    def f0_hz(self) -> Tensor:
        """(batch, frames): the pitch, also where there is hardly one; see `voicing`."""
        best = self.pitch[:, :-1].argmax(1, keepdim=True)
        near = (best + torch.arange(-2, 3, device=best.device)[:, None]).clamp(0, PITCH_BINS - 1)
        weights = self.pitch.gather(1, near).softmax(1)
        return pitch_of_bin((near * weights).sum(1))


class _UNet(nn.Module):
    """A U-Net over frequency with dual-path blocks in its middle, modulated by the conditions (FiLM).

    Shape:
        in: (batch, channels, frequencies, frames), frequencies a multiple of 8; out: as many frequencies,
        widths[0] channels.
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
            [_Upwards(third, third, second), _Upwards(second, second, first), _Upwards(first, first, first)]
        )
        nn.init.zeros_(self.film.weight)

    def downwards(self, x: Tensor, conditioning: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """The middle of the U-Net, and what the way up is to be joined with."""
        if conditioning is None:
            conditions = x.new_zeros(len(x), CONDITIONS + 1, x.shape[-1])
        else:
            # The last one says that the others are known.
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

    def upwards(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        """From the middle back to all frequencies."""
        for layer, skip in zip(self.up, reversed(skips), strict=True):
            x = layer(x, skip)
        return x


class Denoiser(_UNet):
    """Stage 1: noise, room and clipping out, with the phase of the recording."""

    def __init__(self, config: DenoiserConfig = DenoiserConfig()) -> None:
        super().__init__(4, config.widths, config.hidden, config.blocks)
        first, _, third = config.widths
        self.config = config
        self.register_buffer("synthesis", _synthesis(), persistent=False)
        self.gains = nn.Conv2d(first, 3, (3, 1), padding=(1, 0))
        self.filters = nn.Conv2d(first, 2 * len(TAPS), (3, 3), padding=1)
        self.pitch = nn.Sequential(
            nn.Conv1d(third * 2, third, 3, padding=1), nn.SiLU(), nn.Conv1d(third, PITCH_BINS + 1, 1)
        )
        for head in (self.gains, self.filters):
            assert head.bias is not None
            nn.init.normal_(head.weight, std=1e-2)
            nn.init.zeros_(head.bias)

    def forward(
        self, spectrum: Tensor, conditioning: Tensor | None = None, hidden: Tensor | None = None
    ) -> Masks:
        """The masks of a mixture.

        Args:
            conditioning: from `features.conditioning`; None: the network makes do without.
            hidden: bands to be guessed rather than seen, as booleans; for pre-training.

        Shape:
            spectrum: (batch, bins, frames), complex; conditioning: (batch, 4, frames);
            hidden: (batch, BANDS, frames).
        """
        with torch.autocast(spectrum.device.type, enabled=False):
            power = spectrum.real.square() + spectrum.imag.square()
            bands = log_bands(power)
            low = spectrum[:, :LOW_BINS]
            parts = torch.stack((low.real, low.imag), 1) * (power[:, None, :LOW_BINS] + 1e-8).pow(-0.35)
            parts = functional.pad(parts, (0, 0, 0, HIGH_BANDS))
            seen = (torch.ones_like(bands) if hidden is None else (~hidden).float())[:, None]
            x = torch.cat((bands[:, None] * seen, parts * seen, seen), 1)
        x, skips = self.downwards(x, conditioning)
        pitch = self.pitch(torch.cat((x.mean(2), x.amax(2)), 1))
        x = self.upwards(x, skips)
        gains, filters = self.gains(x), self.filters(x[:, :, :LOW_BINS])
        with torch.autocast(spectrum.device.type, enabled=False):
            gains, filters = gains.float(), filters.float()
            # Where the heads say 0 the gain is 1 and the filter lets its own frame pass.
            gain = LARGEST_GAIN * torch.sigmoid(10 * gains[:, 0] - math.log(LARGEST_GAIN - 1))
            noise_gain = torch.sigmoid(10 * gains[:, 1])
            synthesis = self.get_buffer("synthesis")
            taps = torch.complex(*filters.unflatten(1, (2, len(TAPS))).mul(3).unbind(1))
            own = torch.tensor([float(offset == 0) for offset in TAPS], device=taps.device)
            return Masks(
                taps=taps + own[:, None, None],
                gain=synthesis @ gain,
                noise_gain=synthesis @ noise_gain,
                pitch=pitch.float(),
                bands=bands + 3 * gains[:, 2] if hidden is None else 3 * gains[:, 2],
            )


@dataclass(frozen=True)
class CompleterConfig(NetworkConfig):
    """The size of the completer."""

    widths: tuple[int, int, int] = (32, 48, 80)  # channels at 48, 24 and 12 steps of frequency
    hidden: int = 64  # of each direction of the GRU


class Completer(_UNet):
    """Stage 2: the mel bands of a studio recording, out of those that are left."""

    def __init__(self, config: CompleterConfig = CompleterConfig()) -> None:
        super().__init__(5, config.widths, config.hidden, 2)
        self.config = config
        self.exit = nn.Conv2d(config.widths[0], 2, (3, 3), padding=1)

    def forward(self, denoised: Tensor, noisy: Tensor, conditioning: Tensor | None = None) -> Tensor:
        """The completed mel bands; on the scale of `spectral.scale`, as all here.

        Shape:
            denoised, noisy, result: (batch, mel_bands, frames); conditioning: (batch, 4, frames).
        """
        # Where a band never has any power it was cut off: its loudest and its mean level tell.
        place = torch.linspace(-1, 1, denoised.shape[1], device=denoised.device)[:, None]
        x = torch.stack(
            (
                denoised,
                noisy,
                noisy.mean(-1, keepdim=True).expand_as(noisy),
                noisy.amax(-1, keepdim=True).expand_as(noisy),
                place.expand_as(noisy),
            ),
            1,
        )
        x = self.upwards(*self.downwards(x, conditioning))
        residual, gate = self.exit(x).float().unbind(1)
        completed: Tensor = denoised + torch.sigmoid(gate) * residual
        return completed

    def complete(
        self, denoised: Tensor, noisy: Tensor, conditioning: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        """The power that is missing from a spectrum, to be added to it; one completion for all channels.

        Args:
            noisy: the mixture that `denoised` was made of, mixed down to one channel.
            generator: of the noise in the carrier, on the CPU.

        Shape:
            denoised: (channels, bins, frames), complex; noisy: (1, bins, frames), complex;
            conditioning: (1, 4, frames); result: (channels, bins, frames), complex.
        """
        mels = mel_from_magnitude(denoised.abs(), FRONT_END)
        mel = mels.square().mean(0, keepdim=True).sqrt()
        completed = unscale(self(scale(mel), scale(mel_from_magnitude(noisy.abs(), FRONT_END)), conditioning))
        # What a channel has more of in the bands that are there it gets more of in the others.
        balance = mels.square().mean(1, keepdim=True)
        balance = (balance / balance.mean(0, keepdim=True).clamp_min(LEAST_POWER)).sqrt()
        return rendered(denoised, mels, mel, completed, generator) * balance


def rendered(
    spectrum: Tensor, mels: Tensor, present: Tensor, completed: Tensor, generator: torch.Generator | None
) -> Tensor:
    """What lacks to the completed mel bands, on a carrier: to be added to the spectrum.

    Shape:
        spectrum, result: (batch or channels, bins, frames), complex; mels: its own bands, (batch or channels,
        mel_bands, frames); present, completed: of all channels together, (batch or 1, mel_bands, frames).
    """
    missing = _kept_low(missing_magnitude(present, completed), completed)
    return carrier(spectrum, mels, generator) * _spread(missing)


def missing_magnitude(present: Tensor, wanted: Tensor) -> Tensor:
    """What brings mel bands up to the wanted ones, as powers add; 0 where nothing is missing."""
    power = wanted.square() - present.square()
    # The root's slope at 0 is infinite, so it is taken a little above.
    return torch.where(power > 0, power.clamp_min(1e-14).sqrt(), 0.0)


def _kept_low(missing: Tensor, completed: Tensor) -> Tensor:
    """What is missing, but beneath COMPLETED_HZ no more than a floor of noise under the loudest of each band.

    A phone passes the low band, and there the phase decides whether words stay clear: noise would blur them.

    Shape: (batch, mel_bands, frames), all.
    """
    filters = mel_filters(FRONT_END).to(missing)
    centres_hz = (filters @ torch.arange(FRONT_END.bins).to(missing)) / filters.sum(1)
    centres_hz = centres_hz * (FRONT_END.rate / FRONT_END.fft)
    low_hz, high_hz = COMPLETED_HZ
    share = ((centres_hz - low_hz) / (high_hz - low_hz)).clamp(0, 1)[:, None]
    floor = completed.amax(-1, keepdim=True) * 10 ** (FLOOR_DB / 20)
    return share * missing + (1 - share) * torch.minimum(missing, floor)


def carrier(spectrum: Tensor, mels: Tensor, generator: torch.Generator | None) -> Tensor:
    """A spectrum with a flat envelope and mean magnitude 1, to be shaped.

    What every phone passes, 1.5 to 3.5 kHz, is whitened and laid end to end, so that the highs pulse with the
    voice's pitch too. Upwards it gives way to noise, as it does in voices. (The period is an even number of
    bins, and the hop half the transform, so that a copied partial turns by whole turns too much: its phase
    still fits.)

    Shape:
        spectrum: (channels, bins, frames), complex; mels: (channels, mel_bands, frames); result: as spectrum.
    """
    bins, frames = spectrum.shape[1:]
    first, period = COPIED_BINS
    whitened = spectrum[:, first : first + period] / (_spread(mels)[:, first : first + period] + 1e-6)
    numbers = torch.arange(bins, device=spectrum.device)
    copied = whitened[:, (numbers - first) % period]
    gaussian = torch.randn(1, bins, frames, 2, generator=generator).to(spectrum.device)
    # The mean magnitude of a complex normal number is √(π/2).
    noise = torch.view_as_complex(gaussian) * math.sqrt(2 / math.pi)
    low_hz, high_hz = NOISY_HZ
    share = ((numbers * (FRONT_END.rate / FRONT_END.fft) - low_hz) / (high_hz - low_hz)).clamp(0, 1)[:, None]
    return (1 - share).sqrt() * copied + share.sqrt() * noise


def _spread(mel: Tensor) -> Tensor:
    """Mel bands -> bins, (..., mel_bands, frames) -> (..., bins, frames): each bin the mean of its bands."""
    filters = mel_filters(FRONT_END).to(mel)
    return (filters / filters.sum(0).clamp_min(1e-9)).T @ mel


def log_bands(power: Tensor) -> Tensor:
    """The logarithm of the mean power in each band, about 0 for a voice and -1 for silence.

    Shape:
        power: (batch, bins, frames); result: (batch, BANDS, frames).
    """
    bands = _analysis().to(power) @ power
    # 90 dB below a full-scale sine is well under what any phone records.
    return (bands + 1e-9).log10() / 4.5 + 1


def pitch_of_bin(number: Tensor) -> Tensor:
    """The frequency in Hz at a (fractional) pitch bin."""
    return LOWEST_HZ * (HIGHEST_HZ / LOWEST_HZ) ** (number / (PITCH_BINS - 1))


def bin_of_pitch(f0_hz: Tensor) -> Tensor:
    """The nearest pitch bin, an integer."""
    octaves = (f0_hz.clamp(LOWEST_HZ, HIGHEST_HZ) / LOWEST_HZ).log() / math.log(HIGHEST_HZ / LOWEST_HZ)
    return (octaves * (PITCH_BINS - 1)).round().long()


def build_denoiser(config: Mapping[str, Any]) -> Denoiser:
    """The denoiser that a checkpoint's config describes."""
    return Denoiser(DenoiserConfig.from_dict(config))


def build_completer(config: Mapping[str, Any]) -> Completer:
    """The completer that a checkpoint's config describes."""
    return Completer(CompleterConfig.from_dict(config))


@dataclass(frozen=True)
class WaveformConfig(NetworkConfig):
    """The size of the network that goes from samples to samples."""

    widths: tuple[int, ...] = (16, 32, 64, 96)  # channels after each step down by STRIDE
    hidden: int = 96  # of each direction of the GRU


class WaveformEnhancer(nn.Module):
    """Both stages in one, end to end: samples in, samples out, with no spectrum and no phase of their own.

    A U-Net of strided convolutions over time with a GRU in the middle, after Défossez et al. 2020. It learns
    what to add to the recording.
    """

    def __init__(self, config: WaveformConfig = WaveformConfig()) -> None:
        super().__init__()
        self.config = config
        pairs = list(pairwise((1, *config.widths)))
        self.down = nn.ModuleList(
            [
                nn.Sequential(
                    nn.Conv1d(before, after, 2 * STRIDE, STRIDE, padding=STRIDE // 2),
                    nn.BatchNorm1d(after),
                    nn.SiLU(),
                    nn.Conv1d(after, 2 * after, 1),
                    nn.GLU(1),
                )
                for before, after in pairs
            ]
        )
        deepest = config.widths[-1]
        self.along = nn.GRU(deepest, config.hidden, batch_first=True, bidirectional=True)
        self.along_out = nn.Linear(2 * config.hidden, deepest)
        self.up = nn.ModuleList(
            [
                nn.Sequential(
                    nn.Conv1d(after, 2 * after, 3, padding=1),
                    nn.BatchNorm1d(2 * after),
                    nn.GLU(1),
                    nn.ConvTranspose1d(after, before, 2 * STRIDE, STRIDE, padding=STRIDE // 2),
                )
                for before, after in reversed(pairs)
            ]
        )
        # At first nothing is added.
        for weight in self.up[-1][-1].parameters():  # type: ignore[index]
            nn.init.zeros_(weight)

    def forward(self, samples: Tensor) -> Tensor:
        """Shape: (batch, time) at 48 kHz -> the same."""
        whole = STRIDE ** len(self.down)
        x = functional.pad(samples, (0, -samples.shape[-1] % whole))[:, None]
        skips = []
        for layer in self.down:
            x = layer(x)
            skips.append(x)
        y = x.transpose(1, 2)
        x = (y + self.along_out(self.along(y)[0])).transpose(1, 2)
        for number, layer in enumerate(self.up):
            x = layer(x + skips[-1 - number])
            if number < len(self.up) - 1:
                x = functional.silu(x)
        enhanced: Tensor = samples + x[:, 0, : samples.shape[-1]].float()
        return enhanced


def build_waveform(config: Mapping[str, Any]) -> WaveformEnhancer:
    """The network that a checkpoint's config describes."""
    return WaveformEnhancer(WaveformConfig.from_dict(config))


class _Convolution(nn.Module):
    """Convolution over (frequency, time), each frame normalised over its channels, SiLU."""

    def __init__(self, before: int, after: int, kernel: tuple[int, int], stride: tuple[int, int]) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(before, after, kernel, stride, (kernel[0] // 2, kernel[1] // 2))
        self.normalise = nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = functional.silu(self.normalise(self.convolution(x)))
        return result


class _Upwards(nn.Module):
    """Joined with what the way down had there, and twice as fine in frequency."""

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
    """A GRU along frequency in each frame, then one along time at each frequency; both go both ways."""

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


@lru_cache(maxsize=1)
@torch.inference_mode(False)  # whoever asks first: others may train with it
def _analysis() -> Tensor:
    """(BANDS, bins): the mean over each band; the low bins as they are, triangles above."""
    weights = _triangles()
    means: Tensor = weights / weights.sum(1, keepdim=True)
    return means


@lru_cache(maxsize=1)
@torch.inference_mode(False)  # whoever asks first: others may train with it
def _synthesis() -> Tensor:
    """(bins, BANDS): what a bin takes of each band's gain; the rows add up to 1."""
    return _triangles().T.contiguous()


def _triangles() -> Tensor:
    bins = FRONT_END.bins
    bin_hz = FRONT_END.rate / FRONT_END.fft
    # The ERB-rate scale of Glasberg and Moore 1990: 21.4 log10(1 + 0.00437 f).
    edge, top = (21.4 * math.log10(1 + 0.00437 * hz) for hz in ((LOW_BINS - 1) * bin_hz, FRONT_END.rate / 2))
    centres = (10 ** (torch.linspace(edge, top, HIGH_BANDS + 1, dtype=torch.float64) / 21.4) - 1) / 0.00437
    weights = torch.zeros(BANDS, bins, dtype=torch.float64)
    weights[:LOW_BINS, :LOW_BINS] = torch.eye(LOW_BINS)
    frequencies = torch.arange(bins, dtype=torch.float64) * bin_hz
    for number in range(1, HIGH_BANDS + 1):
        here, before = centres[number], centres[number - 1]
        rising = (frequencies - before) / (here - before)
        if number < HIGH_BANDS:
            falling = (centres[number + 1] - frequencies) / (centres[number + 1] - here)
        else:
            falling = torch.ones_like(frequencies)
        weights[LOW_BINS + number - 1] = torch.minimum(rising, falling).clamp(0, 1)
    weights[:, :LOW_BINS] *= (torch.arange(BANDS) < LOW_BINS)[:, None]
    # The first triangle starts at full weight, where the bins of their own end.
    weights[LOW_BINS:] /= weights[LOW_BINS:].sum(0).clamp_min(1e-9)
    return weights.float()
