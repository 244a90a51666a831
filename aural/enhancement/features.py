"""Features of a voice per frame, to condition the networks: pitch, voicing, loudness and sharpness.

Frames are those of `FRONT_END`: frame n is centred on sample n · HOP.

Sources: Boersma 1993 (autocorrelation divided by that of the window), Zwicker and Fastl 1999 (critical bands,
specific loudness), Terhardt 1979 (threshold in quiet, spreading), DIN 45692 (sharpness).
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torchaudio.functional
from torch import Tensor

from aural.audio.hearing import threshold_in_quiet_db
from aural.audio.spectral import FrontEnd, stft

RATE = 48_000
HOP = 768
FRONT_END = FrontEnd(rate=RATE, window=2 * HOP, hop=HOP, fft=2 * HOP, mel_bands=96)

MIN_PITCH_HZ, MAX_PITCH_HZ = 60.0, 500.0  # voices, from a deep bass to a child
PITCH_RATE = 8_000  # Hz; parabolic interpolation refines the lags
PITCH_HOP = HOP * PITCH_RATE // RATE
PITCH_WINDOW = 376  # 47 ms, nearly three periods of the deepest voice
PITCH_FFT = 512  # a window and the longest lag, so that the circular correlation does not wrap
MIN_LAG = int(PITCH_RATE / MAX_PITCH_HZ)
MAX_LAG = math.ceil(PITCH_RATE / MIN_PITCH_HZ)
PITCH_BAND_HZ = 1_500.0  # higher harmonics are noisy and vary from period to period
OCTAVE_TOLERANCE = 0.9  # two periods correlate as well as one: take the shortest lag this close to the best
SMOOTHING_FRAMES = 5
NOISE_CORRELATION, VOICE_CORRELATION = 0.35, 0.8  # voicing 0 and 1
SILENT_POWER = 1e-9  # -90 dB; quieter noise has no pitch
VOICED = 0.5  # voicing above which a frame counts as voiced
# If the mid channel is this far below the channels, they cancel and its phase means nothing.
MIN_MIDDLE = 0.1

# Edges of Zwicker's 24 critical bands.
BARK_EDGES_HZ = (
    *(0, 100, 200, 300, 400, 510, 630, 770, 920, 1_080, 1_270, 1_480, 1_720),
    *(2_000, 2_320, 2_700, 3_150, 3_700, 4_400, 5_300, 6_400, 7_700, 9_500, 12_000, 15_500),
)
BANDS = len(BARK_EDGES_HZ) - 1
FULL_SCALE_DB_SPL = 100.0  # assumed level of a full-scale sine: recordings are not calibrated
HANN_BANDWIDTH = 1.5  # bins: sum of a sine's powers under a Hann window
LOWER_SLOPE_DB, UPPER_SLOPE_DB = 27.0, 10.0  # masking slopes per Bark, the upper one at about 70 dB
SONE_SCALE = 1.12  # makes 1 kHz at 40 dB 1 sone
ACUM_SCALE = 0.11  # makes a critical band of noise at 1 kHz and 60 dB 1 acum
INAUDIBLE_SONE = 0.01  # below it, sharpness fades to 0


@torch.no_grad()
def conditioning(samples: Tensor, power: Tensor | None = None) -> Tensor:
    """Log-pitch, voicing, loudness and sharpness, each scaled to about [-1, 1]; finite for silence.

    Pitch is log2(f0 / 200 Hz) / 1.5 in voiced frames and 0 in others, voicing 0 to 1; loudness runs from -1
    for silence through 0 for 2 sone to 1 for 64 sone, and sharpness from -1 for 0 acum to 1 for 4 acum.

    Args:
        power: |STFT|² of the samples under `FRONT_END`, (batch, bins, frames); None: computed here.

    Shape:
        samples: (batch, time) at 48 kHz; result: (batch, 4, frames).
    """
    if power is None:
        power = stft(samples, FRONT_END).abs().square()
    f0_hz, voicing = pitch(samples)
    log_pitch = torch.where(voicing > VOICED, torch.log2(f0_hz / 200) / 1.5, 0.0)
    specific = specific_loudness(power)
    level = (torch.log2(specific.sum(1) + 2**-4) - 1) / 5
    return torch.stack((log_pitch, voicing, level, _sharpness(specific).clamp_max(6) / 2 - 1), 1)


def pitch(samples: Tensor) -> tuple[Tensor, Tensor]:
    """Fundamental frequency, 60 to 500 Hz, and voicing, 0 (noise, silence) to 1 (periodic).

    The autocorrelation of a windowed frame falls with the lag because the windows overlap less; dividing by
    the autocorrelation of the window corrects that. Frames that are not periodic get a frequency too: weight
    it by the voicing.

    Shape:
        samples: (batch, time) at 48 kHz; results: (batch, frames) each, in Hz and 0 to 1.
    """
    slow = torchaudio.functional.resample(samples, RATE, PITCH_RATE)
    count = FRONT_END.frames(samples.shape[-1])
    half = PITCH_WINDOW // 2
    missing = (count - 1) * PITCH_HOP + half - slow.shape[-1]
    frames = torch.nn.functional.pad(slow, (half, max(0, missing))).unfold(-1, PITCH_WINDOW, PITCH_HOP)
    frames = frames[:, :count]
    window, window_correlation, weights = (value.to(samples) for value in _pitch_tables())
    centred = (frames - frames.mean(-1, keepdim=True)) * window
    spectrum = torch.fft.rfft(centred, PITCH_FFT)
    energy = (spectrum.real.square() + spectrum.imag.square()) * weights
    correlation = torch.fft.irfft(energy, PITCH_FFT)[..., : MAX_LAG + 2] / window_correlation
    correlation = correlation / (correlation[..., :1] + SILENT_POWER)

    before, here, after = (correlation[..., MIN_LAG + i : MAX_LAG + 1 + i] for i in (-1, 0, 1))
    peaks = torch.where((here >= before) & (here > after), here, 0.0)
    best = peaks.amax(-1, keepdim=True)
    index = (peaks >= OCTAVE_TOLERANCE * best).to(torch.uint8).argmax(-1, keepdim=True)
    left, top, right = (values.gather(-1, index).squeeze(-1) for values in (before, here, after))
    curvature = (left - 2 * top + right).clamp_max(-1e-6)
    lag = index.squeeze(-1) + MIN_LAG + (0.5 * (left - right) / curvature).clamp(-0.5, 0.5)
    f0_hz = (PITCH_RATE / lag).clamp(MIN_PITCH_HZ, MAX_PITCH_HZ)
    voicing = ((top - NOISE_CORRELATION) / (VOICE_CORRELATION - NOISE_CORRELATION)).clamp(0, 1)
    return _smooth(f0_hz, voicing), voicing


def loudness(samples: Tensor) -> Tensor:
    """Loudness in sone, with a full-scale sine at 100 dB SPL. Shape: (batch, time) -> (batch, frames)."""
    return specific_loudness(stft(samples, FRONT_END).abs().square()).sum(1)


def sharpness(samples: Tensor) -> Tensor:
    """Sharpness in acum, DIN 45692. Shape: (batch, time) at 48 kHz -> (batch, frames)."""
    return _sharpness(specific_loudness(stft(samples, FRONT_END).abs().square()))


def specific_loudness(power: Tensor) -> Tensor:
    """Loudness of each critical band in sone per Bark.

    Zwicker's N' = 0.08 (E_TQ / E_0)^0.23 [(1/2 + E / 2 E_TQ)^0.23 - 1], where E is the band's excitation,
    including the slopes of its neighbours, and E_TQ that of the threshold in quiet. ISO 532-1 has an upper
    slope that depends on level; a fixed slope makes it a single matrix product.

    Shape:
        power: |STFT|² under `FRONT_END`, (batch, bins, frames); result: (batch, 24, frames).
    """
    excitation, threshold = (value.to(power) for value in _bark_tables())
    threshold = threshold[:, None]
    ratio = (excitation @ power) / threshold
    growth = (0.5 + 0.5 * ratio.clamp_min(1.0)) ** 0.23 - 1
    return SONE_SCALE * 0.08 * threshold**0.23 * growth


def _sharpness(specific: Tensor) -> Tensor:
    """S = k ∫ N'(z) g(z) z dz / N, DIN 45692, with z at the middle of each band.

    Shape: (batch, 24, frames) -> (batch, frames).
    """
    bark = torch.arange(BANDS, device=specific.device, dtype=specific.dtype) + 0.5
    weight = torch.where(bark > 15.8, 0.15 * torch.exp(0.42 * (bark - 15.8)) + 0.85, 1.0)
    moment = torch.einsum("bzn,z->bn", specific, weight * bark)
    return ACUM_SCALE * moment / (specific.sum(1) + INAUDIBLE_SONE)


def _smooth(f0_hz: Tensor, voicing: Tensor) -> Tensor:
    """Running median over voiced neighbours, against single octave jumps. Shape: (batch, frames), both."""
    half = SMOOTHING_FRAMES // 2
    known = torch.where(voicing > VOICED, f0_hz, math.nan)
    padded = torch.nn.functional.pad(known, (half, half), value=math.nan)
    median = padded.unfold(-1, SMOOTHING_FRAMES, 1).nanmedian(-1).values
    return torch.where(voicing > VOICED, median, f0_hz)


@lru_cache(maxsize=1)
@torch.inference_mode(False)  # cached: training needs it outside of inference mode too
def _pitch_tables() -> tuple[Tensor, Tensor, Tensor]:
    """The window, its autocorrelation by lag, and the weights of the power spectrum's bins."""
    window = torch.hann_window(PITCH_WINDOW, dtype=torch.float64)
    window = window / window.square().sum().sqrt()  # makes the correlation at lag 0 a mean power
    correlation = torch.fft.irfft(torch.fft.rfft(window, PITCH_FFT).abs().square(), PITCH_FFT)
    frequencies = torch.arange(PITCH_FFT // 2 + 1) * (PITCH_RATE / PITCH_FFT)
    weights = 1 / (1 + (frequencies / PITCH_BAND_HZ) ** 4)
    return window.float(), correlation[: MAX_LAG + 2].float(), weights


@lru_cache(maxsize=1)
@torch.inference_mode(False)  # cached: training needs it outside of inference mode too
def _bark_tables() -> tuple[Tensor, Tensor]:
    """Excitation of each band by each bin, (24, bins), and of the threshold in quiet, (24,), re 0 dB SPL."""
    width = RATE / FRONT_END.fft
    centres = torch.arange(FRONT_END.bins, dtype=torch.float64) * width
    edges = torch.tensor(BARK_EDGES_HZ, dtype=torch.float64)
    low, high = (centres - width / 2).clamp_min(0), centres + width / 2
    # A bin on the border of two bands is shared between them.
    shared = torch.minimum(high, edges[1:, None]) - torch.maximum(low, edges[:-1, None])
    collect = shared.clamp_min(0) / width / HANN_BANDWIDTH * 10 ** (FULL_SCALE_DB_SPL / 10)
    distance = torch.arange(BANDS)[:, None] - torch.arange(BANDS)  # from the exciting band up to the excited
    fall_db = torch.where(distance > 0, UPPER_SLOPE_DB * distance, -LOWER_SLOPE_DB * distance)
    spreading = 10 ** (-fall_db.double() / 10)
    kilohertz = (edges[1:] + edges[:-1]) / 2_000
    return (spreading @ collect).float(), (10 ** (threshold_in_quiet_db(kilohertz) / 10)).float()


def mix_to_mono(spectrum: Tensor) -> Tensor:
    """One channel with the mean power of all, and the phase of the mid channel.

    Where channels cancel each other, it has the phase of the loudest channel.

    Shape: (channels, bins, frames) -> (1, bins, frames), complex.
    """
    if len(spectrum) == 1:
        return spectrum
    magnitude = spectrum.abs()
    power = magnitude.square().mean(0, keepdim=True).sqrt()
    middle = spectrum.mean(0, keepdim=True)
    loudest = spectrum.gather(0, magnitude.argmax(0, keepdim=True))
    return power * torch.where(middle.abs() > MIN_MIDDLE * power, middle, loudest).sgn()
