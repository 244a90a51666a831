"""The simulated phone: room, noise, microphone band, automatic gain, clipping, 16 bits and a codec.

The chain turns clean speech into training examples, and a user's clip into a phone recording:

    speech -> room -> + -> microphone band -> automatic gain -> + common gain -> clipping -> 16 bits -> codec
    noise  ---------> +

Up to the automatic gain every stage is linear once the gain curve is known, so voice and noise are processed
side by side and stay separate. Nothing is delayed: the direct sound of the room arrives at once, and the
delays of linear-phase filters and codecs are compensated. Minimum-phase filters keep their few samples.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft
from scipy.signal import butter, sosfilt

from aural.audio.clip import Samples, excerpt
from aural.audio.codecs import CODECS, KILOBITS, Codec, CodecName, transcode
from aural.audio.low_pass import LOW_PASSES, LowPass, low_pass, low_pass_sections
from aural.enhancement.degrade.room import RATE, Room, log_uniform, reverberate
from aural.errors import InputError
from aural.options import require, require_known

Degradation = Literal["room", "noise", "band", "automatic_gain", "clipping", "codec"]
DEGRADATIONS: tuple[Degradation, ...] = get_args(Degradation)  # in the order of the chain
# How often a recording has each of them.
PROBABILITIES: dict[Degradation, float] = {
    "room": 0.65,
    "noise": 0.9,
    "band": 0.7,
    "automatic_gain": 0.4,
    "clipping": 0.25,
    "codec": 0.4,
}
MAX_PEAK = 0.98  # before the codec, which may overshoot
FRAME = RATE // 50  # samples over which power is measured
ACTIVE_DB = -30.0  # a frame this far below the loudest one, or further, is a pause
SILENT_POWER = 1e-10  # -100 dB; anything below is silence
LOOP_FADE = RATE // 20  # samples of cross-fade where a looped noise restarts
CONTROL = RATE // 200  # samples per step of the automatic gain
VOICE_HZ = (300.0, 3400.0)  # the band all phones pass, used to match levels


@dataclass(frozen=True)
class Resonance:
    """A peak, or with a negative gain a dip, of a small microphone in its case."""

    frequency_hz: float
    gain_db: float
    quality: float  # frequency over bandwidth


@dataclass(frozen=True)
class AutomaticGain:
    """Automatic gain control: turns loud passages down and everything up, including pauses."""

    threshold_db: float  # relative to the speech's own active level
    ratio: float  # dB of input per dB of output above the threshold
    attack_seconds: float
    release_seconds: float


@dataclass(frozen=True)
class Clipping:
    """Overload of the microphone or the converter."""

    share: float  # level where clipping starts, relative to the recording's peak
    hard: bool  # hard clipping; else tanh


@dataclass(frozen=True)
class Chain:
    """All settings of one room, phone and transmission; None or empty switches a stage off."""

    room: Room | None = None
    snr_db: float | None = None  # reverberant speech to noise, active levels
    high_pass_hz: float | None = None  # -3 dB, second order
    resonances: tuple[Resonance, ...] = ()
    low_pass_hz: float | None = None
    low_pass_kind: LowPass = "butterworth_4"
    automatic_gain: AutomaticGain | None = None
    clipping: Clipping | None = None
    bits: int | None = 16  # resolution of the converter, without dither; None: not quantized
    codec: Codec | None = None

    def __post_init__(self) -> None:
        half = RATE / 2
        if self.room is not None:
            require("reverberation time", self.room.rt60_seconds, 0.05, 1, " s")
            require("distance", self.room.distance_m, 0.01, 100, " m")
        if self.snr_db is not None:
            require("signal-to-noise ratio", self.snr_db, -60, 100, " dB")
        for name, cutoff_hz in (("high-pass", self.high_pass_hz), ("low-pass", self.low_pass_hz)):
            if cutoff_hz is not None:
                require(f"cut-off of the {name}", cutoff_hz, 1, half - 1, " Hz")
        require_known("low-pass", self.low_pass_kind, LOW_PASSES)
        if self.automatic_gain is not None:
            require("ratio of the automatic gain", self.automatic_gain.ratio, 1, 100)
        if self.clipping is not None:
            require("clipping share", self.clipping.share, 0.001, 1)
        if self.bits is not None:
            require("number of bits", self.bits, 2, 24)


@dataclass(frozen=True, eq=False)
class Degraded:
    """A recording and its parts; all (time,), float32, equally long and sample-aligned."""

    samples: Samples  # the phone recording
    speech: Samples  # the clean speech, dry and full-band, at its level in the recording
    noise: Samples  # the noise in the recording, before clipping and codec


def sample_chain(generator: np.random.Generator, degradations: Collection[str] | None = None) -> Chain:
    """Random settings for one recording.

    All settings are sampled, used or not, so that a seed gives the same room whatever the degradations.

    Args:
        degradations: which of DEGRADATIONS to apply; None: each with its probability in PROBABILITIES.

    Raises:
        OptionError: an unknown degradation.
    """
    for degradation in degradations or ():
        require_known("degradation", degradation, DEGRADATIONS)
    chances = dict(zip(DEGRADATIONS, generator.random(len(DEGRADATIONS)), strict=True))
    chain = Chain(
        room=Room(
            rt60_seconds=generator.uniform(0.15, 0.9),
            distance_m=log_uniform(generator, 0.1, 2.0),
            seed=int(generator.integers(2**31)),
        ),
        snr_db=generator.uniform(-5, 25),
        high_pass_hz=log_uniform(generator, 80, 300),
        resonances=tuple(
            Resonance(
                log_uniform(generator, 300, 8000), generator.uniform(-6, 9), log_uniform(generator, 0.7, 5)
            )
            for _ in range(generator.integers(1, 5))
        ),
        low_pass_hz=log_uniform(generator, 3400, 16_000),
        low_pass_kind=LOW_PASSES[generator.integers(len(LOW_PASSES))],
        automatic_gain=AutomaticGain(
            threshold_db=generator.uniform(-15, 0),
            ratio=log_uniform(generator, 1.5, 5),
            attack_seconds=log_uniform(generator, 0.003, 0.05),
            release_seconds=log_uniform(generator, 0.08, 0.6),
        ),
        clipping=Clipping(generator.uniform(0.1, 0.5), hard=bool(generator.random() < 0.6)),
        codec=_sample_codec(generator),
    )
    present = (
        {degradation for degradation in DEGRADATIONS if chances[degradation] < PROBABILITIES[degradation]}
        if degradations is None
        else degradations
    )
    return _keep_only(chain, present)


def degrade(samples: Samples, chain: Chain, noise: Samples | None = None) -> Degraded:
    """Simulate the phone recording of clean speech.

    A noise shorter than the speech is looped; of a longer one, the start is used; a silent one is ignored.
    Silence stays silence, without noise, because a signal-to-noise ratio needs a speech level.

    Shape:
        samples, noise: (time,), 48 kHz; the results are as long as `samples` and within ±1

    Raises:
        InputError: samples of another shape, or none.
        OptionError: an invalid setting of the chain.
    """
    if samples.ndim != 1 or not len(samples):
        raise InputError(f"Speech must have the shape (time,) and at least one sample, not {samples.shape}.")
    speech = samples.astype(np.float32, copy=False)
    if not speech.any():
        return Degraded(*(np.zeros_like(speech) for _ in range(3)))
    voice = reverberate(speech[np.newaxis], chain.room)
    background = noise_at_snr(voice, chain.snr_db, noise)
    reference = active_power(voice[0])
    sounds = voice if background is None else np.concatenate((voice, background[np.newaxis]))
    sounds = limit_band(sounds, chain)
    mixture = sounds.sum(axis=0, keepdims=True)
    if chain.automatic_gain is not None:
        gains = automatic_gains(mixture, chain.automatic_gain, reference)
        sounds, mixture = sounds * gains, mixture * gains
    speech_gain = _match_gain(speech, sounds[0])
    recording = clip_peaks(mixture, chain.clipping, peak(mixture))
    gain = gain_below_full_scale(peak(recording), peak(speech) * speech_gain, peak(sounds[1:]))
    return Degraded(
        samples=transmit(recording * np.float32(gain), chain)[0],
        speech=speech * np.float32(speech_gain * gain),
        noise=sounds[1] * np.float32(gain) if background is not None else np.zeros_like(speech),
    )


def active_power(samples: Samples) -> float:
    """Mean power of the frames of 20 ms that are less than 30 dB below the loudest one. Shape: (time,)."""
    frames = max(1, len(samples) // FRAME)
    framed = samples[: frames * FRAME].reshape(frames, -1)
    powers = np.einsum("ft,ft->f", framed, framed, dtype=np.float64) / framed.shape[1]
    return float(powers[powers >= powers.max() * 10 ** (ACTIVE_DB / 10)].mean())


def _sample_codec(generator: np.random.Generator) -> Codec:
    # Calls are the most common. Few bit rates, because the delay of each one has to be measured once.
    names: tuple[CodecName, ...] = ("opus", *CODECS)
    name = names[generator.integers(len(names))]
    known = KILOBITS[name]
    return Codec(name, known[generator.integers(len(known))])


def _keep_only(chain: Chain, degradations: Collection[str]) -> Chain:
    """The chain with these degradations only."""
    if "band" not in degradations:
        chain = replace(chain, high_pass_hz=None, resonances=(), low_pass_hz=None)
    return replace(
        chain,
        room=chain.room if "room" in degradations else None,
        snr_db=chain.snr_db if "noise" in degradations else None,
        automatic_gain=chain.automatic_gain if "automatic_gain" in degradations else None,
        clipping=chain.clipping if "clipping" in degradations else None,
        codec=chain.codec if "codec" in degradations else None,
    )


# Noise


def noise_at_snr(voice: Samples, snr_db: float | None, noise: Samples | None) -> Samples | None:
    """The noise, as long as the voice and at the given ratio to it; None without noise.

    Shape: voice (channels, time), noise (any time,) -> (time,)
    """
    if snr_db is None or noise is None or not len(noise):
        return None
    fitted = _loop(noise.astype(np.float32, copy=False), voice.shape[1])
    power = active_power(fitted)
    if power < SILENT_POWER:
        return None
    return fitted * np.float32(math.sqrt(mean_active_power(voice) / power / 10 ** (snr_db / 10)))


def mean_active_power(sounds: Samples) -> float:
    """Shape: (channels, time)"""
    return float(np.mean([active_power(channel) for channel in sounds]))


def _loop(noise: Samples, length: int) -> Samples:
    """`length` samples of a noise; a short one is looped with an equal-power cross-fade."""
    if len(noise) >= length:
        return noise[:length]
    fade = min(LOOP_FADE, len(noise) // 2)
    phase = (np.arange(fade, dtype=np.float32) + 0.5) / max(fade, 1) * np.float32(np.pi / 2)
    period = noise[: len(noise) - fade].copy()
    period[:fade] = noise[:fade] * np.sin(phase) + noise[len(noise) - fade :] * np.cos(phase)
    # The first pass has nothing to cross-fade from.
    return np.concatenate((noise[:fade], np.resize(period, length + len(period))[fade:]))[:length]


# Microphone band and automatic gain


def limit_band(sounds: Samples, chain: Chain) -> Samples:
    sections = []
    if chain.high_pass_hz is not None:
        sections.append(butter(2, chain.high_pass_hz, "highpass", fs=RATE, output="sos"))
    sections += [_peaking_section(resonance) for resonance in chain.resonances]
    if chain.low_pass_hz is not None:
        recursive = low_pass_sections(RATE, chain.low_pass_hz, chain.low_pass_kind)
        if recursive is not None:
            sections.append(recursive)
        else:
            sounds = low_pass(sounds, RATE, chain.low_pass_hz, chain.low_pass_kind)
    if sections:
        sounds = sosfilt(np.concatenate(sections), sounds).astype(np.float32)
    return sounds


def _peaking_section(resonance: Resonance) -> NDArray[np.float64]:
    """One second-order section: the peaking equalizer of Bristow-Johnson's cookbook."""
    angle = 2 * math.pi * resonance.frequency_hz / RATE
    amplitude = 10 ** (resonance.gain_db / 40)
    alpha = math.sin(angle) / (2 * resonance.quality)
    middle = -2 * math.cos(angle)
    section = np.array(
        [
            1 + alpha * amplitude,
            middle,
            1 - alpha * amplitude,
            1 + alpha / amplitude,
            middle,
            1 - alpha / amplitude,
        ]
    )
    normalised: NDArray[np.float64] = section[np.newaxis] / section[3]
    return normalised


def automatic_gains(sounds: Samples, settings: AutomaticGain, reference_power: float) -> Samples:
    """The gain of every sample: speech at its usual level keeps it; quieter sounds get louder, up to a limit.

    Shape: (channels, time) -> (time,)
    """
    length = sounds.shape[1]
    blocks = -(-length // CONTROL)
    padded = excerpt(sounds, 0, blocks * CONTROL).reshape(len(sounds), blocks, CONTROL)
    powers = np.einsum("cbt,cbt->b", padded, padded, dtype=np.float64) / (len(sounds) * CONTROL)
    over_db = 10 * np.log10(powers / reference_power + 1e-12) - settings.threshold_db
    share = 1 - 1 / settings.ratio
    wanted_db = -share * np.maximum(over_db, 0)
    attack, release = (
        math.exp(-CONTROL / RATE / seconds) for seconds in (settings.attack_seconds, settings.release_seconds)
    )
    gains_db = []
    gain_db = float(wanted_db[0])
    for wanted in wanted_db.tolist():
        gain_db = wanted + (attack if wanted < gain_db else release) * (gain_db - wanted)
        gains_db.append(gain_db)
    made_up_db = np.array(gains_db) + share * max(0.0, -settings.threshold_db)
    # Linear interpolation between the middles of the blocks.
    middles = (np.arange(blocks) + 0.5) * CONTROL
    return np.interp(np.arange(length), middles, 10 ** (made_up_db / 20)).astype(np.float32)


def _match_gain(speech: Samples, voice: Samples) -> float:
    """The gain g that fits g |S| to |V| by least squares, over time and the band all phones pass.

    Of magnitudes, because phase shifts by filters and rooms would make the gain too small.

    Shape: (time,) each
    """
    size = 1024
    frames = -(-len(speech) // size)
    window = np.hanning(size).astype(np.float32)
    first, last = (round(hertz * size / RATE) for hertz in VOICE_HZ)
    spectra = [
        np.abs(rfft(np.resize(np.pad(part, (0, frames * size - len(part))), (frames, size)) * window))
        for part in (speech, voice)
    ]
    clean, degraded = (spectrum[:, first : last + 1] for spectrum in spectra)
    energy = float(np.vdot(clean, clean))
    return float(np.vdot(clean, degraded)) / energy if energy > 0 else 1.0


# Clipping, converter and codec


def peak(sounds: Samples) -> float:
    return max(float(sounds.max(initial=0)), -float(sounds.min(initial=0)))


def gain_below_full_scale(*peaks: float) -> float:
    """The gain that brings the largest peak down to MAX_PEAK; 1 if it is lower already."""
    return min(1.0, MAX_PEAK / max(*peaks, MAX_PEAK))


def clip_peaks(sounds: Samples, clipping: Clipping | None, peak: float) -> Samples:
    if clipping is None or not peak:
        return sounds
    limit = np.float32(clipping.share * peak)
    return np.clip(sounds, -limit, limit) if clipping.hard else limit * np.tanh(sounds / limit)


def transmit(sounds: Samples, chain: Chain) -> Samples:
    """Quantize and encode. Shape: (channels, time) -> (channels, time)."""
    if chain.bits is not None:
        steps = np.float32(2 ** (chain.bits - 1))
        sounds = (np.round(sounds * steps) / steps).astype(np.float32)
    if chain.codec is not None:
        sounds = np.stack([transcode(channel, chain.codec) for channel in sounds])
    return np.clip(sounds, -1, 1)
