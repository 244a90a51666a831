"""The Extender, the app's super-resolution: generates the missing band above a recording's own.

    samples at 48 kHz ──> spectra, 187.5 a second ──> causal network ──> gains ──┐
                             ├─> the band copied up, whitened ──────────────────┤
                             ├─> spectrum of |samples|, whitened ───────────────┼──> overlap-add = the rest
                             ├─> noise ─────────────────────────────────────────┤
                             ├─> noise at the level of the recording's floor ───┤
                             └─> its own edge, where a filter attenuated it ────┘

It grew from LISA: an encoder gives each short segment a code, here the spectrum of the missing band, and a
decoder returns the signal at any time from the codes around it. Here the decoder is fixed: the windowed
inverse transform, which is band-limited by construction. 48,000 samples per second define the sound, and sinc
gives every value between them. LISA's local ensemble is the overlap of four windows.

The network sees logarithms of powers relative to the level of the last second, and all carriers scale with
the sound, so the result scales with the input. It is causal, and its output for a frame comes look_ahead
frames later: a stream needs `Extender.delay` samples of the future, and gives the same as the whole file.

Sources: Kim et al. 2022 (LISA), Dietz et al. 2002 (a band copied up and shaped), Makhoul and Berouti 1979
(rectified excitation), Liu et al. 2022 (ConvNeXt blocks), Perez et al. 2018 (FiLM), Yu et al. 2023 (the
input's cut-off as a condition).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from aural.audio.spectral import channel_mix
from aural.hub.config import NetworkConfig
from aural.hub.pretrained import Pretrained

RATE = 48_000  # Hz
WINDOW = 1024  # samples of the Hann window, 21 ms
HOP = 256
PIECE = 375 * HOP  # 2 s: longer ones take more memory and are no faster
BINS = WINDOW // 2 + 1
BIN_HZ = RATE / WINDOW
TRAINED_HZ = 23_400.0  # above it, converters' filters leave nothing to train on
LEVEL_FRAMES = 192  # one second: the level that powers are relative to
WHITENED_BINS = 9  # over which a carrier is whitened
CARRIERS = 3  # copy and rectified, with a complex gain each; noise, with a real one
MIX_BANDS = 48  # number of bands in which the carriers are mixed
NOISE_FRAMES = 256  # until the noise repeats, 1.4 s
MIN_POWER = 1e-30  # keeps logarithms and quotients finite; far below any sound
ZONE = (0.88, 0.92)  # crossover, relative to the bandwidth; below it the input stays unchanged
LOG_RANGE = (-9.0, 2.0)  # range of the features, in powers of 10 relative to the level
FLOOR_BANDS = 32  # number of bands in which the noise floor is tracked
FLOOR_SMOOTHING = 8  # frames, 43 ms, over which powers are averaged before their minimum is taken
FLOOR_FRAMES = 288  # 1.5 s: the minimum over so long is the floor
FLOOR_SPAN = (0.55, 0.85)  # where the floor is measured, relative to the bandwidth
FLOOR_BIAS = 0.15  # log10 of the amplitude by which a minimum lies below the mean
UNKNOWN = 1e30  # power of a frame without information about the floor
TOP = (0.8, 0.98)  # where the correlation of channels is measured, relative to the bandwidth
NOISE_STEP = 97  # frames between the noises of two channels
RELATED = 0.5  # correlation from which on a channel has the sign of another


@dataclass(frozen=True)
class ExtenderConfig(NetworkConfig):
    """The size of the network."""

    width: int = 256  # channels
    expansion: int = 2  # factor of the channels inside a block
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 1, 2)  # one block each, in frames
    look_ahead: int = 4  # frames after the current one
    floor: bool = False  # continue the recording's noise floor above its band


@dataclass
class State:
    """The memory of a stream between two steps; all of the shape (batch, ...)."""

    samples: Tensor  # (batch, WINDOW - HOP), the last ones
    powers: Tensor  # (batch, LEVEL_FRAMES - 1), of the last frames
    carried: Tensor  # (batch, look-ahead, BINS, 2), complex: spectra of frames whose output is still to come
    pasts: list[Tensor]  # for each block (batch, past frames, width)
    overlap: Tensor  # (batch, WINDOW - HOP), of the output
    noise_offsets: Tensor  # (batch,), frames: where each item's noise begins
    bands: Tensor  # (batch, FLOOR_SMOOTHING - 1, FLOOR_BANDS), powers of the last frames
    minima: Tensor  # (batch, FLOOR_FRAMES - 1, FLOOR_BANDS), smoothed powers of the last frames
    floors: Tensor  # (batch, look-ahead), amplitudes of the floor at frames whose output is still to come
    products: Tensor | None  # (LEVEL_FRAMES - 1, channels, channels), of the tops of their bands
    correlations: Tensor  # (look-ahead, channels, channels), at the same frames as the floors
    frame: int = 0  # index of the next frame


class _Block(nn.Module):
    """Depthwise over the past, then dense over the channels (ConvNeXt), modulated by the cut-off.

    Shape: (batch, frames, width) -> the same.
    """

    TAPS = 5

    def __init__(self, width: int, expansion: int, dilation: int, conditions: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.taps = nn.Parameter(torch.randn(self.TAPS, width) / math.sqrt(self.TAPS))
        self.norm = nn.LayerNorm(width)
        self.film = nn.Linear(conditions, 2 * width)
        self.inner = nn.Linear(width, expansion * width)
        self.outer = nn.Linear(expansion * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.3))
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, x: Tensor, past: Tensor, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """The result and the past of the next call. Shape: past (batch, (TAPS - 1) * dilation, width)."""
        frames = x.shape[1]
        seen = torch.cat((past, x), 1)
        y = seen[:, :frames] * self.taps[0]
        for tap in range(1, self.TAPS):
            start = tap * self.dilation
            y = torch.addcmul(y, seen[:, start : start + frames], self.taps[tap])
        factor, shift = self.film(conditions)[:, None].chunk(2, dim=-1)
        y = self.norm(y) * (1 + factor) + shift
        y = self.outer(functional.gelu(self.inner(y), approximate="tanh"))
        return x + self.scale * y, seen[:, frames:]


class Extender(Pretrained):
    """Generates the band above that of a signal at 48 kHz."""

    rate = RATE
    block = HOP  # samples; a step takes a multiple of it

    def __init__(self, config: ExtenderConfig = ExtenderConfig()) -> None:
        super().__init__()
        self.config = config
        self.delay = WINDOW - HOP + config.look_ahead * HOP  # samples of delay of `step`
        conditions = 32
        self.cutoff = nn.Sequential(nn.Linear(7, conditions), nn.SiLU(), nn.Linear(conditions, conditions))
        self.entry = nn.Linear(BINS + 1 + (FLOOR_BANDS if config.floor else 0), config.width)
        self.blocks = nn.ModuleList(
            [_Block(config.width, config.expansion, dilation, conditions) for dilation in config.dilations]
        )
        self.norm = nn.LayerNorm(config.width)
        # A bin's log gain, and its log gain at the band edge; a band's mix of the carriers, and its floor.
        bands = 2 * CARRIERS - 1 + config.floor
        self.exit = nn.Linear(config.width, 2 * BINS + bands * MIX_BANDS)
        nn.init.normal_(self.exit.weight, std=1e-2)
        nn.init.zeros_(self.exit.bias)
        # White until `train.even_noise` replaces it; trained with the other weights.
        self.noise = nn.Parameter(torch.randn(NOISE_FRAMES * HOP))
        self.register_buffer("window", torch.hann_window(WINDOW) / (WINDOW / 2), persistent=False)
        self.register_buffer("slope", _slope(self.get_buffer("window")), persistent=False)
        self.register_buffer("band_to_bin", _band_to_bin(), persistent=False)
        self.register_buffer("collect", _band_to_bin(FLOOR_BANDS), persistent=False)

    def forward(self, samples: Tensor, bandwidth_hz: Tensor, noise_offsets: Tensor | None = None) -> Tensor:
        """The missing band, to be added to the samples; aligned with them.

        Shape:
            samples: (batch, time), 48 kHz; bandwidth_hz: (batch,);
            noise_offsets: (batch,), see `start`; result: (batch, time).
        """
        length = samples.shape[-1]
        padded = functional.pad(samples, (0, self.delay + -length % HOP))
        missing_band = self.step(padded, bandwidth_hz, self.start(len(samples), noise_offsets))
        return missing_band[:, self.delay : self.delay + length]

    def pieces(self, samples: Tensor, bandwidth_hz: float, gain: float = 1.0) -> Iterator[tuple[int, Tensor]]:
        """The missing band of a long recording, in pieces of 2 s: where each starts, and its samples.

        A piece may be added to the samples in place before the next one is asked for. They may be on another
        device than the network.

        Args:
            gain: brings the samples to an ordinary level; the pieces are at that of the samples.

        Shape:
            samples: (channels, time), 48 kHz; pieces: (channels, any number), aligned with them.
        """
        channels, length = samples.shape
        where = self.noise.device
        ends_hz = torch.full((channels,), bandwidth_hz, device=where)
        state = self.start(channels, channels=channels > 1)
        for start in range(0, length + self.delay, PIECE):
            piece = gain * samples[:, start : start + PIECE].to(where)
            made = self.step(functional.pad(piece, (0, PIECE - piece.shape[1])), ends_hz, state) / gain
            first = start - self.delay
            yield max(0, first), made[:, max(0, -first) : max(0, length - first)].to(samples.device)

    def start(self, batch: int, noise_offsets: Tensor | None = None, *, channels: bool = False) -> State:
        """The state before the first sample: silence.

        Args:
            noise_offsets: (batch,) whole frames, at which each item's noise begins; None: 0 for all.
            channels: the items are channels of one recording. The outputs are correlated as the tops of
                their own bands are, so that mono stays mono and wide stays wide.
        """
        if channels:
            noise_offsets = NOISE_STEP * torch.arange(batch, device=self.noise.device)
        like = self.get_buffer("window")
        ahead = self.config.look_ahead
        return State(
            samples=like.new_zeros(batch, WINDOW - HOP),
            powers=like.new_zeros(batch, LEVEL_FRAMES - 1),
            carried=like.new_zeros(batch, ahead, BINS, 2, dtype=torch.complex64),
            pasts=[
                like.new_zeros(batch, (_Block.TAPS - 1) * dilation, self.config.width)
                for dilation in self.config.dilations
            ],
            overlap=like.new_zeros(batch, WINDOW - HOP),
            noise_offsets=(
                like.new_zeros(batch, dtype=torch.long) if noise_offsets is None else noise_offsets
            ),
            bands=like.new_zeros(batch, FLOOR_SMOOTHING - 1, FLOOR_BANDS),
            minima=like.new_full((batch, FLOOR_FRAMES - 1, FLOOR_BANDS), UNKNOWN),
            floors=like.new_zeros(batch, ahead),
            products=like.new_zeros(LEVEL_FRAMES - 1, batch, batch) if channels else None,
            correlations=torch.eye(batch, device=like.device).expand(ahead, batch, batch),
        )

    def step(self, samples: Tensor, bandwidth_hz: Tensor, state: State) -> Tensor:
        """The next block of a stream: the same as `forward`, delayed by `delay` samples.

        Shape:
            samples: (batch, n * block); bandwidth_hz: (batch,); result: (batch, n * block).
        """
        joined = torch.cat((state.samples, samples.float()), 1)
        state.samples = joined[:, joined.shape[1] - (WINDOW - HOP) :]
        with torch.autocast(samples.device.type, enabled=False):
            spectra = self._spectra(joined)
            features, floors = self._features(spectra[..., 0], bandwidth_hz, state)
            conditions = _conditions(bandwidth_hz)
        x = self.entry(features)
        conditions = self.cutoff(conditions)
        pasts = []
        for block, past in zip(self.blocks, state.pasts, strict=True):
            x, kept = block(x, past, conditions)
            pasts.append(kept)
        state.pasts = pasts
        answers = self.exit(self.norm(x))
        with torch.autocast(samples.device.type, enabled=False):
            frames = features.shape[1]
            seen = torch.cat((state.carried, spectra), 1)
            state.carried = seen[:, frames:]
            kept = torch.cat((state.floors, floors), 1)
            state.floors = kept[:, frames:]
            first = state.frame - self.config.look_ahead
            state.frame += frames
            carried = seen[:, :frames]
            # The floor uses the other half of the noise, so that it is independent of the voice's.
            noises = [
                self._noise(first, frames, state.noise_offsets + offset) for offset in (0, NOISE_FRAMES // 2)
            ]
            if state.products is not None:
                found = self._correlation(spectra, bandwidth_hz, state)
                correlation = torch.cat((state.correlations, found))
                state.correlations = correlation[frames:]
                carried, noises = _correlate_channels(carried, noises, correlation[:frames])
            missing_band = self._missing_spectrum(carried, answers.float(), bandwidth_hz, noises[0])
            if self.config.floor:
                is_sound = _power(carried[..., 0]).sum(-1) > MIN_POWER  # digital silence stays silent
                floor = kept[:, :frames] * is_sound
                missing_band = missing_band + self._floor(floor, answers.float(), bandwidth_hz, noises[1])
            return self._overlap_add(missing_band, state)

    def _spectra(self, joined: Tensor) -> Tensor:
        """The complex amplitudes of the samples and of their magnitudes.

        Each frame loses an offset and a slope, so that its first bin and the imaginary part of the second
        become 0: an offset or rumble would drown the level, and hide the zeros at which rectifying makes
        harmonics.

        Shape: (batch, time) -> (batch, frames, bins, 2).
        """
        window, line = self.get_buffer("window"), self.get_buffer("slope")
        frames = joined.unfold(1, WINDOW, HOP)
        spectrum = torch.fft.rfft(frames * window)
        offset, slope = spectrum[..., :1].real, spectrum[..., 1:2].imag
        # Elementwise, so that blocks of any size are rounded alike.
        frames = frames - (offset + slope * line)
        return torch.stack([torch.fft.rfft(x * window) for x in (frames, frames.abs())], -1)

    def _features(self, spectrum: Tensor, bandwidth_hz: Tensor, state: State) -> tuple[Tensor, Tensor]:
        """The network's input, (batch, frames, features), and the floor's amplitude, (batch, frames)."""
        power = _power(spectrum)
        total = power.sum(-1)
        history = torch.cat((state.powers, total), 1)
        frames = total.shape[1]
        numbers = torch.arange(state.frame, state.frame + frames, device=total.device)
        sums = history.unfold(1, LEVEL_FRAMES, 1).sum(-1)
        level = torch.log10(sums / (numbers + 1).clamp_max(LEVEL_FRAMES) / BINS + MIN_POWER)
        top = torch.log10(_top_mean(power, bandwidth_hz) + MIN_POWER)
        state.powers = history[:, frames:]
        logarithms = [torch.log10(power + MIN_POWER), top[..., None]]
        floor = total.new_zeros(total.shape)
        if self.config.floor:
            minima = self._minima(power, state)
            logarithms.append(torch.log10(minima + MIN_POWER))
            weights = _floor_weights(bandwidth_hz, self.get_buffer("collect").shape[0])
            mean = (torch.log10(minima + MIN_POWER) * weights[:, None]).sum(-1)
            floor = torch.pow(10.0, mean / 2 + FLOOR_BIAS) * (mean > math.log10(MIN_POWER) / 2)
        features = torch.cat(logarithms, -1) - level[..., None]
        low, high = LOG_RANGE
        return (features.clamp(low, high) + 3) / 2, floor

    def _minima(self, power: Tensor, state: State) -> Tensor:
        """The noise floor by minimum statistics, (batch, frames, FLOOR_BANDS); 0 while it is unknown.

        Martin 2001: between words, the smoothed power of a band falls to that of the noise.
        """
        collect = self.get_buffer("collect")
        bands = power @ (collect / collect.sum(1, keepdim=True)).T
        raw = torch.cat((state.bands, bands), 1)
        state.bands = raw[:, bands.shape[1] :]
        smooth = functional.avg_pool1d(raw.transpose(1, 2), FLOOR_SMOOTHING, 1)
        numbers = torch.arange(state.frame, state.frame + bands.shape[1], device=power.device)
        # Digital silence is not a noise floor, and the first frames are not averages yet.
        is_unknown = (numbers < FLOOR_SMOOTHING - 1) | (smooth <= MIN_POWER)
        smooth = torch.where(is_unknown, UNKNOWN, smooth)
        seen = torch.cat((state.minima.transpose(1, 2), smooth), 2)
        state.minima = seen[..., bands.shape[1] :].transpose(1, 2)
        lowest = -functional.max_pool1d(-seen, FLOOR_FRAMES, 1).transpose(1, 2)
        return torch.where(lowest >= UNKNOWN, 0.0, lowest)

    def _correlation(self, spectra: Tensor, bandwidth_hz: Tensor, state: State) -> Tensor:
        """Correlation of the channels at the tops of their bands, over 1 s.

        Shape: (channels, frames, bins, 2) -> (frames, channels, channels).
        """
        assert state.products is not None
        # The band is the same for all channels.
        first, end = (int(share * float(bandwidth_hz[0]) / BIN_HZ) for share in TOP)
        top = torch.view_as_real(spectra[..., first:end, 0]).flatten(2).transpose(0, 1)
        history = torch.cat((state.products, top @ top.transpose(1, 2)))
        state.products = history[top.shape[0] :]
        product = history.unfold(0, LEVEL_FRAMES, 1).sum(-1)
        root = product.diagonal(dim1=1, dim2=2).clamp_min(0).sqrt()
        correlation = product / (root[:, :, None] * root[:, None] + MIN_POWER)
        correlation.diagonal(dim1=1, dim2=2).fill_(1)  # of silence too
        return correlation.clamp(-1, 1)

    def _floor(self, floors: Tensor, answers: Tensor, bandwidth_hz: Tensor, noise: Tensor) -> Tensor:
        """(batch, frames, bins), complex: noise at the level of the recording's own floor."""
        shape = answers[..., 2 * BINS + (2 * CARRIERS - 1) * MIX_BANDS :] @ self.get_buffer("band_to_bin")
        gain = torch.pow(10.0, (5 * shape).clamp(-4, 1.5))
        floor: Tensor = _zone(bandwidth_hz)[:, None] * floors[..., None] * gain * noise
        return floor

    def _missing_spectrum(
        self, spectra: Tensor, answers: Tensor, bandwidth_hz: Tensor, noise: Tensor
    ) -> Tensor:
        """(batch, frames, bins), complex: the spectrum of the missing band."""
        gain, own = (_hold_top(values) for values in (answers[..., :BINS], answers[..., BINS : 2 * BINS]))
        mix = answers[..., 2 * BINS : 2 * BINS + (2 * CARRIERS - 1) * MIX_BANDS]
        own_spectrum, rectified = spectra.unbind(-1)
        power = _power(own_spectrum)
        amplitude = _top_mean(power, bandwidth_hz)[..., None].sqrt() * torch.pow(
            10.0, (gain - 0.5).clamp(-6, 3)
        )
        weights = mix.reshape(*mix.shape[:2], 2 * CARRIERS - 1, MIX_BANDS) @ self.get_buffer("band_to_bin")
        copy_real, copy_imaginary, rectified_real, rectified_imaginary, noise_gain = weights.unbind(-2)
        copy = _copy_up(_whiten(own_spectrum, power), bandwidth_hz)
        whitened_rectified = _whiten(rectified, _power(rectified))
        carrier = (
            torch.complex(0.5 + copy_real, copy_imaginary) * copy
            + torch.complex(rectified_real, rectified_imaginary) * whitened_rectified
            + (0.7 + noise_gain) * noise
        )
        zone = _zone(bandwidth_hz)[:, None]
        missing: Tensor = zone * (amplitude * carrier + torch.expm1(own.clamp(-4, 7)) * own_spectrum)
        return missing

    def _noise(self, first: int, frames: int, offsets: Tensor) -> Tensor:
        """Spectra of the noise, of mean power 1, from a frame on. Shape: (batch, frames, bins), complex."""
        noise = self.noise / self.noise.square().mean().sqrt()
        numbers = torch.arange(first, first + frames, device=noise.device) + offsets[:, None]
        index = numbers[..., None] * HOP + torch.arange(WINDOW, device=noise.device)
        window = self.get_buffer("window")
        spectra: Tensor = torch.fft.rfft(noise[index % len(noise)] * (window / window.square().sum().sqrt()))
        return spectra

    def _overlap_add(self, spectrum: Tensor, state: State) -> Tensor:
        """(batch, frames, bins) -> (batch, frames * HOP), overlapped with the earlier frames."""
        # Squared Hann windows at a hop of a quarter add up to 1.5; the analysis divided by WINDOW / 2.
        synthesis = self.get_buffer("window") * (WINDOW / 2) ** 2 / 1.5
        pieces = torch.fft.irfft(spectrum, WINDOW) * synthesis
        frames = pieces.shape[1]
        summed = functional.pad(state.overlap, (0, frames * HOP))
        parts = pieces.reshape(*pieces.shape[:2], WINDOW // HOP, HOP)
        blocks = summed.reshape(len(summed), -1, HOP)
        for number in range(WINDOW // HOP):
            early = functional.pad(parts[:, :, number], (0, 0, number, WINDOW // HOP - 1 - number))
            blocks = blocks + early
        summed = blocks.flatten(1)
        state.overlap = summed[:, frames * HOP :]
        return summed[:, : frames * HOP]


def build_extender(config: Mapping[str, Any]) -> Extender:
    """The network of a checkpoint's config, with random weights."""
    return Extender(ExtenderConfig.from_dict(config))


def _hold_top(values: Tensor) -> Tensor:
    """Continue the values of the last bin below TRAINED_HZ up to 24 kHz. Shape: (batch, frames, bins)."""
    last = int(TRAINED_HZ / BIN_HZ)
    held = values[..., last : last + 1].expand(*values.shape[:-1], BINS - last)
    return torch.cat((values[..., :last], held), -1)


def _power(spectrum: Tensor) -> Tensor:
    return spectrum.real.square() + spectrum.imag.square()


def _conditions(bandwidth_hz: Tensor) -> Tensor:
    """The cut-off on a logarithmic scale, and sines and cosines of it. Shape: (batch,) -> (batch, 7)."""
    octaves = torch.log2(bandwidth_hz.float() / 6_000)[:, None]
    waves = octaves * 2 ** torch.arange(3, device=octaves.device)
    return torch.cat((octaves, waves.sin(), waves.cos()), -1)


def _copied_bins(bandwidth_hz: Tensor) -> tuple[Tensor, Tensor]:
    """First bin and number of the upper half of the band; (batch,) each.

    A multiple of four bins: with a hop of a quarter, such a shift keeps the phase from frame to frame.
    """
    end = (ZONE[0] * bandwidth_hz / BIN_HZ).floor().long().clamp(8, BINS)
    number = 4 * (end // 8)
    return end - number, number


def _correlate_channels(
    spectra: Tensor, noises: list[Tensor], correlation: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """Give the carriers the correlation of the channels; the first channel stays unchanged.

    Shape:
        spectra: (channels, frames, bins, 2), of the samples and of their magnitudes; each noise (channels,
        frames, bins); correlation: (frames, channels, channels).
    """
    mix = channel_mix(correlation).to(noises[0].dtype)
    noises = [torch.einsum("fck,kfb->cfb", mix, noise) for noise in noises]
    # |x| is the same for x and -x: each channel takes the sign towards the earlier one that is most like it.
    signs = [torch.ones_like(correlation[:, 0, 0])]
    for channel in range(1, correlation.shape[-1]):
        earlier = correlation[:, channel, :channel]
        nearest = earlier.abs().argmax(-1, keepdim=True)
        value = earlier.gather(-1, nearest)[:, 0]
        sign = value.sign() * torch.stack(signs, -1).gather(-1, nearest)[:, 0]
        signs.append(torch.where(value.abs() > RELATED, sign, 1.0))
    return torch.stack((spectra[..., 0], torch.stack(signs)[..., None] * spectra[..., 1]), -1), noises


def _top_mean(power: Tensor, bandwidth_hz: Tensor) -> Tensor:
    """Mean power in the upper half of the band. Shape: (batch, frames, bins) -> (batch, frames)."""
    first, number = _copied_bins(bandwidth_hz)
    bins = torch.arange(BINS, device=power.device)
    inside = (bins >= first[:, None]) & (bins < (first + number)[:, None])
    weights = inside / number[:, None]
    return (power @ weights[..., None].to(power))[..., 0]


def _whiten(spectrum: Tensor, power: Tensor) -> Tensor:
    """Divide the spectrum by the root of its power around each bin. Shape: (batch, frames, bins), all."""
    around = functional.avg_pool1d(power, WHITENED_BINS, 1, WHITENED_BINS // 2, count_include_pad=False)
    return spectrum * (around + MIN_POWER).rsqrt()


def _copy_up(spectrum: Tensor, bandwidth_hz: Tensor) -> Tensor:
    """Repeat the upper half of the band, end to end. Shape: (batch, frames, bins)."""
    first, number = _copied_bins(bandwidth_hz)
    bins = torch.arange(BINS, device=spectrum.device)
    source = first[:, None] + (bins - first[:, None]) % number[:, None]
    index = source[:, None].expand(spectrum.shape)
    return spectrum.gather(-1, index)


def _slope(window: Tensor) -> Tensor:
    """A rising line whose spectrum under the window is i in the second bin. Shape: (time,), both."""
    line = torch.arange(WINDOW) - WINDOW / 2.0  # 0 in the middle of a periodic window
    slope: Tensor = line / torch.fft.rfft(line * window)[1].imag
    return slope


def _zone(bandwidth_hz: Tensor) -> Tensor:
    """0 in the input's own band, 1 above its end. Shape: (batch,) -> (batch, bins)."""
    low, high = ZONE
    share = torch.arange(BINS, device=bandwidth_hz.device) * BIN_HZ / bandwidth_hz[:, None].float()
    ramp = ((share - low) / (high - low)).clamp(0, 1)
    return 0.5 - 0.5 * torch.cos(math.pi * ramp)


def _band_to_bin(bands: int = MIX_BANDS) -> Tensor:
    """Linear interpolation from bands, equal on the mel scale, to bins. Shape: (bands, bins)."""
    mel = torch.log1p(torch.arange(BINS) * BIN_HZ / 700)
    place = mel / mel[-1] * (bands - 1)
    return (1 - (place - torch.arange(bands)[:, None]).abs()).clamp_min(0)


def _floor_weights(bandwidth_hz: Tensor, bands: int) -> Tensor:
    """Weights of the bands near the top of the recording's own band. Shape: (batch,) -> (batch, bands).

    A triangle around the middle of FLOOR_SPAN that always covers a band; the weights sum to 1.
    """
    low, high = FLOOR_SPAN
    centre = torch.log1p((low + high) / 2 * bandwidth_hz.float() / 700)
    place = centre / math.log1p(RATE / 2 / 700) * (bands - 1)
    weights = (1.2 - (torch.arange(bands, device=place.device) - place[:, None]).abs()).clamp_min(0)
    return weights / weights.sum(-1, keepdim=True)
