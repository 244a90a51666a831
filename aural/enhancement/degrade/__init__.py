"""Make a clip sound as if a phone had recorded it, and the simulated phone that does it.

`room` simulates the room, `phone` the microphone, the noise and the codec. This file is the verb.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Annotated

import numpy as np
from annotated_doc import Doc
from scipy.fft import irfft, rfft

from aural.audio.chunks import process_in_chunks
from aural.audio.clip import Clip, Samples, excerpt
from aural.audio.codecs import Codec
from aural.audio.resample import resample
from aural.audio.steps import Steps, part, stepwise
from aural.enhancement.degrade.phone import (
    AutomaticGain,
    Chain,
    automatic_gains,
    clip_peaks,
    gain_below_full_scale,
    limit_band,
    mean_active_power,
    noise_at_snr,
    peak,
    sample_chain,
    transmit,
)
from aural.enhancement.degrade.room import RATE, Room, reverberate
from aural.options import Outcome, require, require_known, require_whole

# A quarter of the overlap covers the longest reverberation.
CHUNK_SECONDS, CHUNK_OVERLAP_SECONDS = 30.0, 4.0


@dataclass(frozen=True)
class Options:
    """Which phone to simulate.

    Raises:
        OptionError: a value out of range.
    """

    preset: Annotated[str, Doc(f"kind of phone recording, one of {', '.join(PRESETS)}")] = "voice_memo"
    seed: Annotated[int, Doc("random seed for room, microphone and noise, 0 to 2³² - 1")] = 0
    snr_db: Annotated[float | None, Doc("signal-to-noise ratio in dB, -20 to 60; None: from the preset")] = (
        None
    )

    def __post_init__(self) -> None:
        require_known("preset", self.preset, PRESETS)
        require_whole("seed", self.seed, 0, 2**32 - 1)
        if self.snr_db is not None:
            require("signal-to-noise ratio", self.snr_db, -20, 60, " dB")


def _variations_of(chain: Chain) -> Callable[[np.random.Generator], Chain]:
    """Chains like this one, each with different reflections and a different microphone."""

    def make(generator: np.random.Generator) -> Chain:
        sampled = sample_chain(generator, ("room", "band"))
        assert chain.room is not None and sampled.room is not None
        room = replace(chain.room, seed=sampled.room.seed)
        return replace(chain, room=room, resonances=sampled.resonances)

    return make


# Each makes a chain from a seeded generator.
PRESETS: dict[str, Callable[[np.random.Generator], Chain]] = {
    "phone_call": _variations_of(
        Chain(
            room=Room(rt60_seconds=0.3, distance_m=0.15, seed=0),
            snr_db=18.0,
            high_pass_hz=250.0,
            low_pass_hz=3500.0,
            low_pass_kind="elliptic",
            automatic_gain=AutomaticGain(
                threshold_db=-10.0, ratio=2.0, attack_seconds=0.005, release_seconds=0.2
            ),
            codec=Codec("amr", 12.2),
        )
    ),
    "voice_memo": _variations_of(
        Chain(
            room=Room(rt60_seconds=0.35, distance_m=0.5, seed=0),
            snr_db=20.0,
            high_pass_hz=110.0,
            low_pass_hz=12_000.0,
            automatic_gain=AutomaticGain(
                threshold_db=-10.0, ratio=2.0, attack_seconds=0.01, release_seconds=0.2
            ),
            codec=Codec("aac", 48),
        )
    ),
    "video_call": _variations_of(
        Chain(
            room=Room(rt60_seconds=0.45, distance_m=0.7, seed=0),
            snr_db=14.0,
            high_pass_hz=150.0,
            low_pass_hz=7500.0,
            automatic_gain=AutomaticGain(
                threshold_db=-10.0, ratio=3.0, attack_seconds=0.005, release_seconds=0.3
            ),
            codec=Codec("opus", 14),
        )
    ),
    "far_away": _variations_of(
        Chain(
            room=Room(rt60_seconds=0.95, distance_m=4.0, seed=0),
            snr_db=12.0,
            high_pass_hz=110.0,
            low_pass_hz=10_000.0,
            automatic_gain=AutomaticGain(
                threshold_db=-10.0, ratio=2.5, attack_seconds=0.01, release_seconds=0.4
            ),
            codec=Codec("aac", 48),
        )
    ),
    "random": sample_chain,
}


@stepwise
def degrade_clip(clip: Clip, options: Options | None = None) -> Steps[Clip]:
    """Simulate a phone recording of the clip. Rate, length and channels stay; silence stays silent.

    All channels go through the same chain. The background is room tone and traffic, made from the seed.

    Raises:
        InputError: an empty clip, or samples that are not finite.
        OptionError: this installation lacks the preset's codec.
    """
    options = options or Options()
    clip.require_finite()
    if not clip.samples.any():
        return clip
    generator = np.random.default_rng(options.seed)
    chain = PRESETS[options.preset](generator)
    if options.snr_db is not None:
        chain = replace(chain, snr_db=options.snr_db)
    tone = room_tone(generator)
    yield 0.0

    # Three passes, because noise, automatic gain and clipping depend on levels of the whole clip.
    recording = resample(clip, RATE)
    if chain.room is not None:
        room = chain.room
        recording = yield from part(_in_chunks(recording, lambda sounds: reverberate(sounds, room)), 0.0, 0.3)
    reference = mean_active_power(recording.samples)
    background = noise_at_snr(recording.samples, chain.snr_db, tone)
    if background is not None:
        recording = recording.with_samples(recording.samples + background)
        del background

    def capture(sounds: Samples) -> Samples:
        sounds = limit_band(sounds, chain)
        if chain.automatic_gain is None:
            return sounds
        return sounds * automatic_gains(sounds, chain.automatic_gain, reference)

    recording = yield from part(_in_chunks(recording, capture), 0.3, 0.6)
    largest = peak(recording.samples)
    gain = np.float32(gain_below_full_scale(largest * (chain.clipping.share if chain.clipping else 1)))

    def send(sounds: Samples) -> Samples:
        return transmit(clip_peaks(sounds, chain.clipping, largest) * gain, chain)

    recording = yield from part(_in_chunks(recording, send), 0.6, 1.0)
    # Resampling twice can change the length by a few samples, and overshoot.
    samples = excerpt(resample(recording, clip.rate).samples, 0, clip.frames)
    return clip.with_samples(np.clip(samples, -1, 1))


def outcome_steps(clip: Clip, options: Options) -> Steps[Outcome]:
    """The verb `degrade`, with an analysis of its result."""
    from aural.enhancement.analysis import analyze

    degraded = yield from part(degrade_clip.steps(clip, options), 0.0, 0.7)
    found = yield from part(analyze.steps(degraded), 0.7, 1.0)
    detected = [] if found.snr_db is None else [f"SNR {found.snr_db:.0f} dB"]
    if found.bandwidth_hz is not None:
        detected.append(f"bandwidth {found.bandwidth_hz / 1000:.1f} kHz")
    message = f"Detected: {', '.join(detected)}." if detected else "The clip is silent."
    return Outcome((degraded,), {**asdict(options), "found": found.figures()}, message, after=found.loudness)


def room_tone(generator: np.random.Generator) -> Samples:
    """Room noise that falls by 4.5 dB per octave, and passing traffic below about 200 Hz.

    Shape: (ten seconds,) at 48 kHz, of mean power 1; the end leads into the start
    """
    length = 10 * RATE
    white = rfft(generator.standard_normal((2, length), dtype=np.float32))
    frequency_hz = np.linspace(0, RATE / 2, white.shape[1], dtype=np.float32)
    white[:, frequency_hz < 20] = 0
    room = irfft(white[0] * np.maximum(frequency_hz, 50) ** np.float32(-0.75), length)
    traffic = irfft(white[1] / (1 + (frequency_hz / 150) ** 2), length)
    turns = np.linspace(0, 2 * np.pi, length, endpoint=False, dtype=np.float32)
    swells = np.zeros(length, np.float32)
    for count in range(1, 4):
        swells += np.sin(count * turns + np.float32(generator.uniform(0, 2 * np.pi)))
    tone = room / room.std() + traffic / traffic.std() * np.exp(swells / 2)
    scaled: Samples = (tone / tone.std()).astype(np.float32)
    return scaled


def _in_chunks(clip: Clip, function: Callable[[Samples], Samples]) -> Steps[Clip]:
    return process_in_chunks(
        clip, function, chunk_seconds=CHUNK_SECONDS, overlap_seconds=CHUNK_OVERLAP_SECONDS
    )
