"""From generated spectrograms to waveforms: vocoding, loops, fades, and a gap filled in its source.

Importing this module does not import torch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from aural import hub
from aural.audio.clip import Clip, Samples, excerpt
from aural.audio.resample import resample
from aural.audio.steps import Steps

if TYPE_CHECKING:
    from torch import Tensor

Vocoder = Literal["vocoder", "griffin_lim"]
VOCODERS: tuple[Vocoder, ...] = get_args(Vocoder)
GRIFFIN_LIM_ITERATIONS = 100
GRIFFIN_LIM_MOMENTUM = 0.99
FADE_SECONDS = 0.01  # at the ends of a clip
JOIN_SECONDS = 0.02  # cross-fade around a filled gap and at the end of a loop
QUIET = 10 ** (-40 / 20)  # a peak below is hardly heard
RAISED = 10 ** (-20 / 20)  # the peak that such a clip gets
CLICK_SECONDS = 0.005  # on either side
CLICK_EXCESS = 4.0  # 12 dB above the rest
CLICK_RATIO = 2.0  # to the magnitudes of the spectrogram, in half of its bands
MAX_CLICKS = 3
# Frames that a loop is vocoded beyond its ends, at least the vocoder's receptive field.
RUN_UP_FRAMES = 40


def waveforms_steps(
    mels: Tensor, length: int, vocoder: Vocoder, noise: Tensor | None = None
) -> Steps[Tensor]:
    """Waveforms (batch, length) of spectrograms (batch, 80, frames).

    Args:
        noise: (length,), the vocoder's input for phases; None: its own.
    """
    from aural.audio.spectral import DEFAULT_FRONT_END, magnitude_from_mel, unscale
    from aural.hub.device import inference
    from aural.vocoding import reconstruct

    if vocoder == "griffin_lim":
        magnitude = magnitude_from_mel(unscale(mels))
        return (
            yield from reconstruct.steps(
                magnitude, vocoder, length, DEFAULT_FRONT_END, iterations=GRIFFIN_LIM_ITERATIONS
            )
        )
    model = hub.load("vocoder")
    yield 0.1
    device = next(model.parameters()).device
    with inference("cuda" if device.type == "cuda" else "cpu"):
        waves: Tensor = model(mels.to(device), length, noise).float().cpu()
    return waves


def loops_steps(mels: Tensor, vocoder: Vocoder) -> Steps[Tensor]:
    """Seamless loops of circular spectrograms.

    Shape: mels: (batch, 80, frames); returns (batch, frames * hop).
    """
    if vocoder == "griffin_lim":
        return (yield from _griffin_lim_loops_steps(mels))
    return (yield from _vocoded_loops_steps(mels))


def _vocoded_loops_steps(mels: Tensor) -> Steps[Tensor]:
    """Loops by the vocoder, which gets the frames around each end as context:

    vocoded   ──────────┬─────────────────────────┬──────────
                 run-up │ the loop            ╲╲╲ │
                    ╱╱╱ │ - - - - - - - - - - - > here
    """
    import torch

    from aural.audio.spectral import DEFAULT_FRONT_END
    from aural.vocoding.model import white_noise

    frames, hop = mels.shape[-1], DEFAULT_FRONT_END.hop
    period, start = frames * hop, RUN_UP_FRAMES * hop
    around = torch.arange(-RUN_UP_FRAMES, frames + RUN_UP_FRAMES) % frames
    length = (len(around) - 1) * hop
    noise = white_noise(period)[(torch.arange(length) - start) % period]
    vocoded = yield from waveforms_steps(mels[..., around], length, "vocoder", noise)
    loops = vocoded[:, start : start + period].numpy().copy()
    join = round(JOIN_SECONDS * DEFAULT_FRONT_END.rate)
    loops[:, -join:] = _cross_fade(loops[:, -join:], vocoded[:, start - join : start].numpy())
    return torch.from_numpy(loops)


def _griffin_lim_loops_steps(mels: Tensor) -> Steps[Tensor]:
    """Loops by fast Griffin-Lim on a circle, so that the phases fit at the end."""
    import torch

    from aural.audio.spectral import DEFAULT_FRONT_END, istft, magnitude_from_mel, stft, unscale

    frames, hop = mels.shape[-1], DEFAULT_FRONT_END.hop
    # Enough for every window that reaches into the loop.
    margin = DEFAULT_FRONT_END.window // hop
    around = torch.arange(-margin, frames + margin) % frames
    places = torch.arange(-margin * hop, (frames + margin - 1) * hop) % (frames * hop)

    def wave_of(spectrum: Tensor) -> Tensor:
        return istft(spectrum[..., around], len(places), DEFAULT_FRONT_END)[
            :, margin * hop : (margin + frames) * hop
        ]

    magnitude = magnitude_from_mel(unscale(mels))
    turns = torch.rand(magnitude.shape[1:], generator=torch.Generator().manual_seed(0))
    spectrum = torch.polar(magnitude, (2 * math.pi * turns).expand_as(magnitude))
    previous = torch.zeros_like(spectrum)
    for number in range(GRIFFIN_LIM_ITERATIONS):
        consistent = stft(wave_of(spectrum)[:, places], DEFAULT_FRONT_END)[..., margin : margin + frames]
        ahead = consistent + GRIFFIN_LIM_MOMENTUM * (consistent - previous)
        spectrum, previous = ahead.sgn() * magnitude, consistent
        yield (number + 1) / GRIFFIN_LIM_ITERATIONS
    return wave_of(spectrum)


def fill_gap(source: Clip, new: Clip, start_seconds: float, end_seconds: float) -> Clip:
    """The source with the new sound in its gap, and a cross-fade on either side."""
    start, end = (round(at * source.rate) for at in (start_seconds, end_seconds))
    start, total = min(start, source.frames), max(source.frames, end)
    joined = excerpt(source.samples, 0, total).copy()
    fill = np.broadcast_to(excerpt(resample(new, source.rate).samples, 0, total), joined.shape)
    join = round(JOIN_SECONDS * source.rate)
    before, after = slice(max(0, start - join), start), slice(end, min(end + join, total))
    joined[:, before] = _cross_fade(joined[:, before], fill[:, before])
    joined[:, start:end] = fill[:, start:end]
    joined[:, after] = _cross_fade(fill[:, after], joined[:, after])
    filled = source.with_samples(joined)
    return filled if end < total else fade(filled)


def fade(clip: Clip, *, is_cut_before: bool = False) -> Clip:
    """Fade out the end, and fade in a start that was cut, to avoid clicks."""
    samples = clip.samples.copy()
    ramp = np.linspace(1, 0, round(FADE_SECONDS * clip.rate), dtype=np.float32)
    samples[:, -len(ramp) :] *= ramp
    if is_cut_before:
        samples[:, : len(ramp)] *= ramp[::-1]
    return clip.with_samples(samples)


def _cross_fade(before: Samples, after: Samples) -> Samples:
    """Cross-fade two sounds at a constant level, whatever their correlation.

    The sum of two sounds with gains a and b and correlation r has the power a² + b² + 2rab, at most 1. The
    result is divided by its square root.

    Shape: before, after, result: (channels, time).
    """
    gain = 0.5 - 0.5 * np.cos(np.pi * (np.arange(before.shape[1]) + 0.5) / max(1, before.shape[1]))
    powers = (before**2).sum(1, keepdims=True) * (after**2).sum(1, keepdims=True)
    correlation = np.clip((before * after).sum(1, keepdims=True) / np.sqrt(powers + 1e-20), 0, 1)
    power = (1 - gain) ** 2 + gain**2 + 2 * correlation * gain * (1 - gain)
    faded: Samples = (((1 - gain) * before + gain * after) / np.sqrt(power)).astype(np.float32)
    return faded


def duck_clicks(waves: Tensor, mels: Tensor) -> Tensor:
    """Waveforms (batch, length) in which no single click of the vocoder beyond full scale sets the level.

    A click of a few milliseconds that towers over the rest is brought to twice the rest, unless it is in the
    spectrogram (batch, 80, frames): then it is the sound, as it is where the rest is inaudible.
    """
    from aural.audio.spectral import DEFAULT_FRONT_END, log_mel, unscale

    block = round(CLICK_SECONDS * DEFAULT_FRONT_END.rate)
    ducked = waves.clone()
    for wave, mel in zip(ducked, mels, strict=True):
        for _ in range(MAX_CLICKS):
            peak, place = wave.abs().max(0)
            first, last = max(0, int(place) - block), int(place) + block + 1
            rest = max(part.abs().amax().item() for part in (wave[:first], wave[last:]) if len(part))
            if peak <= 1 or rest < QUIET or peak < CLICK_EXCESS * rest:
                break
            frame = min(round(int(place) / DEFAULT_FRONT_END.hop), mel.shape[1] - 1)
            made, asked = (unscale(one[:, frame]) for one in (log_mel(wave[None])[0], mel))
            if (made / asked).median() < CLICK_RATIO:
                break
            # Full depth in the middle half, and no step at its ends.
            distance = (wave.new_tensor(range(first, min(last, len(wave)))) - place).abs() / block
            depth = (2 * (1 - distance)).clamp(0, 1) * (1 - 2 * rest / peak)
            wave[first:last] *= 1 - depth
    return ducked


def inner_peaks(waves: Tensor) -> list[float]:
    """The peak of each waveform (batch, length) without its ends, which are faded."""
    from aural.audio.spectral import DEFAULT_FRONT_END

    faded = round(FADE_SECONDS * DEFAULT_FRONT_END.rate)
    peaks: list[float] = waves[:, faded:-faded].abs().amax(1).tolist()
    return peaks


def raise_quiet(waves: Tensor) -> tuple[Tensor, str]:
    """Waveforms (batch, length) that can be heard, and a message about those that were turned up."""
    peaks = inner_peaks(waves)
    quiet = [number for number, peak in enumerate(peaks) if 0 < peak < QUIET]
    if not quiet:
        return waves, ""
    gains = waves.new_tensor([RAISED / peak if number in quiet else 1.0 for number, peak in enumerate(peaks)])
    names = ", ".join(str(number + 1) for number in quiet)
    return waves * gains[:, None], f"Sound {names} raised: it was nearly silent."


def limit_to_full_scale(waves: Tensor) -> tuple[Tensor, str]:
    """Waveforms (batch, length) within ±1, and a message about those that were turned down."""
    peaks = waves.abs().amax(1)
    loud = [number for number, peak in enumerate(peaks.tolist()) if peak > 1]
    if not loud:
        return waves, ""
    gains_db = [20 * math.log10(float(peaks[number])) for number in loud]
    rest = "".join(
        f", {number + 1} by {gain:.1f} dB" for number, gain in zip(loud[1:], gains_db[1:], strict=True)
    )
    message = f"Sound {loud[0] + 1} lowered by {gains_db[0]:.1f} dB{rest} to avoid clipping."
    return waves / peaks.clamp_min(1)[:, None], message
