"""A neural vocoder: scaled log-mel spectrogram -> waveform, by one network pass and a few inverse STFTs.

    mel --> smooth magnitude that has these bands --- x ------+
     |                                                |       |
     +--> ConvNeXt blocks --+-- log gain -------------+       |
     |                      |                                 +--> rounds: consistent spectrum,
     |                      +-- phasor --- + -----------------+    texture kept, bands met --> wave
     |                      |              |                  |
    noise's spectrum -------+------- phase-+                  |
                            +-- share of texture -------------+

Noise and tones differ in phase and texture. The phase starts as that of white noise, which suits rain and
wind. The network adds its own phasor to each bin; for tonal sound it is longer than the noise's. Each round
makes the spectrum consistent: one that a waveform can have. Its magnitude is then moved to the network's:
fully for tonal sound, less for noise, which should keep fluctuating. Finally it is scaled to match the mel
bands of the input. Training backpropagates through the rounds. Since all magnitudes are multiples of the mel
bands' own, silence stays exactly silent, and the level is right even before training.

The head "phase" is trained against discriminators and needs fewer rounds:

    mel --> smooth magnitude that has these bands --- x ---- magnitude --+
     |                                                |                  +--> few rounds, inverse STFT
     +--> ConvNeXt blocks --+-- log gain, texture ----+                  |
    noise's spectrum -------+-- phasor, added to the noise's ---- phase -+

For noise, the best spectrum is that of filtered white noise, with its phase and texture. For a tone, the
phase comes from the network and the magnitude does not fluctuate. The network chooses between them in each
bin.

Sources: Siuzdak 2023 (Vocos: ConvNeXt blocks, inverse STFT), Liu et al. 2022 (ConvNeXt), Lv et al. 2024
(FreeV: a prior from the mel bands), Perraudin, Balazs and Søndergaard 2013 (fast Griffin-Lim), Masuyama et
al. 2019 (learning through its rounds).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from aural.audio.spectral import FrontEnd, istft, magnitude_from_mel, mel_filters, stft, unscale
from aural.errors import OptionError
from aural.hub.config import NetworkConfig
from aural.hub.pretrained import Pretrained

# Normalises the mel bands from [0, 1] to about -1 to 1.
MEL_MEAN, MEL_DEVIATION = 0.5, 0.25
# Lower limit of the noise's magnitude before its logarithm.
MIN_NOISE = 1e-3
# Median magnitude of complex normal noise of power 1: sqrt(log 2).
MEDIAN_NOISE = 0.8326
# Dilations of the blocks of the head "phase", repeated: 8 blocks see half a second on both sides.
DILATIONS = (1, 1, 2, 4)
# Range of the log gains; outside it a bin is silent or far louder than its band allows.
MIN_GAIN, MAX_GAIN = -8.0, 4.0
MOMENTUM = 0.99
# A phasor much shorter than the target magnitude has almost no phase. It is not scaled to full length,
# since that would scale the gradient too.
MIN_PHASOR = 0.1
# (-140 dB) squared: keeps gradients finite in silence.
MIN_POWER = 1e-14


@dataclass(frozen=True)
class Config(NetworkConfig):
    """The size of a vocoder, and the spectrograms that it reads."""

    rate: int = 22_050  # Hz
    window: int = 1024  # samples under the Hann window; the FFT is as long
    hop: int = 260  # samples from frame to frame
    mel_bands: int = 80  # bands of the input spectrograms
    width: int = 256  # channels of the blocks
    layers: int = 8  # blocks
    expansion: int = 3  # width inside a block, in widths
    rounds: int = 32  # rounds of Griffin-Lim; training takes fewer, see `train.Objective`
    mel_iterations: int = 8  # iterations of Richardson-Lucy, from mel bands to the smooth magnitude
    head: Literal["rounds", "phase"] = "rounds"  # the source of the phase, see the module

    @property
    def front_end(self) -> FrontEnd:
        """The front end of the spectrograms it reads."""
        return FrontEnd(self.rate, self.window, self.hop, self.window, self.mel_bands)


@dataclass(frozen=True)
class Spectrum:
    """The network's output, (batch, bins, frames) each."""

    steady: Tensor  # the median magnitude, around which noise fluctuates
    magnitude: Tensor
    values: Tensor  # complex, with about this magnitude


def build(config: Mapping[str, Any]) -> Vocoder:
    """The vocoder of a checkpoint's config, with random weights; for `aural.hub.load`."""
    return Vocoder(Config.from_dict(config))


class Vocoder(Pretrained):
    """Scaled log-mel spectrogram -> samples at `config.rate`, see `aural.audio.spectral.log_mel`."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.front_end = config.front_end
        bins, width = self.front_end.bins, config.width
        self.mel_input = nn.Conv1d(config.mel_bands, width, 7, padding=3)
        by_phase = config.head == "phase"
        self.noise_input = nn.Linear(2 * bins if by_phase else bins, width)
        self.input_norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(
            _Block(width, config.expansion, DILATIONS[number % len(DILATIONS)] if by_phase else 1)
            for number in range(config.layers)
        )
        self.output_norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 4 * bins)
        # Initially it changes almost nothing: the rounds alone determine the output.
        nn.init.normal_(self.head.weight, std=0.002)
        nn.init.zeros_(self.head.bias)

    def forward(
        self, mel: Tensor, length: int, noise: Tensor | None = None, *, rounds: int | None = None
    ) -> Tensor:
        """Samples that have these mel bands.

        Shape:
            mel: (batch, mel_bands, frames), scaled to [0, 1]; result: (batch, length), on the same device.

        Args:
            length: samples to return; `front_end.frames(length)` must be the number of frames.
            noise: white noise of variance 1, (length,) or (batch, length), the source of phases and textures;
                None: `white_noise(length)`, the same for every call and every item of the batch.
            rounds: fewer are faster and match the bands less closely; None: those of the config.

        Raises:
            OptionError: a number of bands or frames that does not fit.
        """
        self._require_shape(mel, length)
        if self.config.head == "phase":
            spectrum = self.spectrum(mel, length, noise)
            return self.waveform(spectrum, length, rounds)
        noises, log_noise = self._noise(mel, length, noise)
        # Spectra stay in full precision, whatever the precision of the network.
        with torch.autocast(mel.device.type, enabled=False), torch.no_grad():
            bands = unscale(mel.float())
            magnitude = self._smooth_magnitude(bands)
        gain, texture, real, imaginary = self._network(mel, log_noise).float().chunk(4, dim=1)
        with torch.autocast(mel.device.type, enabled=False):
            magnitude = magnitude * gain.clamp(MIN_GAIN, MAX_GAIN).exp()
            phasors = _phasors(noises, torch.zeros_like(magnitude)) + torch.complex(real, imaginary)
            start = magnitude * _phasors(phasors, torch.ones_like(magnitude))
            return self._rounds(
                start,
                magnitude,
                texture.sigmoid(),
                bands,
                length,
                self.config.rounds if rounds is None else rounds,
            )

    def spectrum(self, mel: Tensor, length: int, noise: Tensor | None = None) -> Spectrum:
        """The output of the network with the head "phase", before any round; see `forward`."""
        noises, log_noise = self._noise(mel, length, noise)
        with torch.autocast(mel.device.type, enabled=False), torch.no_grad():
            smooth = self._smooth_magnitude(unscale(mel.float()))
            log_noise = log_noise - math.log(MEDIAN_NOISE)
            parts = torch.cat([noises.real, noises.imag], dim=1)
        gain, texture, real, imaginary = self._network(mel, parts).float().chunk(4, dim=1)
        with torch.autocast(mel.device.type, enabled=False):
            steady = smooth * gain.clamp(MIN_GAIN, MAX_GAIN).exp()
            # Initially noise stays unchanged: texture 0.9.
            magnitude = steady * ((texture + 2).sigmoid() * log_noise).exp()
            phasors = _phasors(noises, torch.zeros_like(steady)) + torch.complex(real, imaginary)
            return Spectrum(steady, magnitude, magnitude * _phasors(phasors, torch.ones_like(steady)))

    def waveform(self, spectrum: Spectrum, length: int, rounds: int | None = None) -> Tensor:
        """The samples of a spectrum after rounds of fast Griffin-Lim, (batch, length); see `forward`."""
        values, previous = spectrum.values, None
        with torch.autocast(values.device.type, enabled=False):
            for _ in range(self.config.rounds if rounds is None else rounds):
                consistent = stft(istft(values, length, self.front_end), self.front_end)
                ahead = consistent if previous is None else consistent + MOMENTUM * (consistent - previous)
                values, previous = spectrum.magnitude * _phasors(ahead, spectrum.magnitude), consistent
            return istft(values, length, self.front_end)

    def _noise(self, mel: Tensor, length: int, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        """The noise's spectrum and its log magnitude, (batch, bins, frames), both."""
        if noise is None:
            noise = white_noise(length)
        with torch.autocast(mel.device.type, enabled=False), torch.no_grad():
            noises = self._noise_spectrum(noise.to(mel.device, torch.float32)).expand(len(mel), -1, -1)
            return noises, noises.abs().clamp_min(MIN_NOISE).log()

    def _network(self, mel: Tensor, noise: Tensor) -> Tensor:
        """Shape: mel: (batch, mel_bands, frames); noise: (batch, channels, frames); result: 4 x bins."""
        values = self.mel_input((mel - MEL_MEAN) / MEL_DEVIATION).transpose(1, 2)
        values = self.input_norm(values + self.noise_input(noise.transpose(1, 2)))
        for block in self.blocks:
            values = block(values)
        output: Tensor = self.head(self.output_norm(values)).transpose(1, 2)
        return output

    def _smooth_magnitude(self, bands: Tensor) -> Tensor:
        return _fill_ends(magnitude_from_mel(bands, self.front_end, self.config.mel_iterations))

    def _noise_spectrum(self, noise: Tensor) -> Tensor:
        """Of mean power 1: the window w peaks at 2 / Σw, and Σw² of a Hann window is 3/8 of its length."""
        peak = 4 / self.front_end.window
        spectrum = stft(noise.reshape(-1, noise.shape[-1]), self.front_end)
        return spectrum / (peak * math.sqrt(0.375 * self.front_end.window))

    def _rounds(
        self, spectrum: Tensor, magnitude: Tensor, texture: Tensor, bands: Tensor, length: int, rounds: int
    ) -> Tensor:
        """Fast Griffin-Lim, see `aural.vocoding.griffin_lim`, in which the magnitude is only partly fixed."""
        filters = mel_filters(self.front_end).to(magnitude)
        band_to_bin = filters.T / filters.sum(0).clamp_min(MIN_POWER)[:, None]
        previous: Tensor | None = None
        for _ in range(rounds):
            consistent = stft(istft(spectrum, length, self.front_end), self.front_end)
            # |c|^texture · m^(1 - texture)
            found = (consistent.real.square() + consistent.imag.square() + MIN_POWER).sqrt()
            target = magnitude * (found / (magnitude + MIN_POWER**0.5)).pow(texture)
            target = target * _fill_ends(band_to_bin @ (bands / (filters @ target + MIN_POWER**0.5)))
            # The first round has no earlier step for the momentum.
            ahead = consistent if previous is None else consistent + MOMENTUM * (consistent - previous)
            spectrum, previous = target * _phasors(ahead, magnitude), consistent
        return istft(spectrum, length, self.front_end)

    def _require_shape(self, mel: Tensor, length: int) -> None:
        expected = (self.config.mel_bands, self.front_end.frames(length))
        if mel.dim() != 3 or mel.shape[1:] != expected or length < 1:
            raise OptionError(
                f"For {length} samples the vocoder needs a spectrogram of the shape (batch, {expected[0]}, "
                f"{expected[1]}), not {tuple(mel.shape)}. Use `log_mel` with its front end."
            )


def white_noise(length: int, generator: torch.Generator | None = None) -> Tensor:
    """Normal noise, (length,), sampled on the CPU; default generator: seed 0."""
    return torch.randn(length, generator=generator or torch.Generator().manual_seed(0))


class _Block(nn.Module):
    """Mixing along time, then along channels, around a shortcut: ConvNeXt in one dimension."""

    def __init__(self, width: int, expansion: int, dilation: int) -> None:
        super().__init__()
        self.mix = nn.Conv1d(width, width, 7, padding=3 * dilation, groups=width, dilation=dilation)
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, expansion * width)
        self.narrow = nn.Linear(expansion * width, width)
        self.gain = nn.Parameter(torch.full((width,), 0.2))

    def forward(self, values: Tensor) -> Tensor:
        """Shape: (batch, frames, width), both."""
        mixed = self.norm(self.mix(values.transpose(1, 2)).transpose(1, 2))
        added: Tensor = self.gain * self.narrow(functional.gelu(self.widen(mixed)))
        return values + added


def _fill_ends(magnitude: Tensor) -> Tensor:
    """Copy the neighbouring bins to 0 Hz and half the rate, which lie in no band."""
    return torch.cat([magnitude[:, 1:2], magnitude[:, 1:-1], magnitude[:, -2:-1]], dim=1)


def _phasors(spectrum: Tensor, magnitude: Tensor) -> Tensor:
    """The spectrum's phases as phasors of length 1, or less if it is far below the magnitude."""
    power = spectrum.real.square() + spectrum.imag.square()
    unit: Tensor = spectrum * (power + (MIN_PHASOR * magnitude).square() + MIN_POWER).rsqrt()
    return unit
