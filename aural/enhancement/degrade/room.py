"""A simulated room: an impulse response with a direct path and a decaying tail.

Sources: Kuttruff, Room Acoustics (critical distance), Rubak and Johansen 1998 (velvet noise).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, fftconvolve, sosfilt

from aural.audio.clip import Samples

RATE = 48_000  # Hz, of everything in the chain
VELVET_PER_SECOND = 2000  # reflections; the tail sounds smooth from about 1500 on


@dataclass(frozen=True)
class Room:
    """A room, and the distance between mouth and phone."""

    rt60_seconds: float  # decay by 60 dB at middle frequencies
    distance_m: float  # sets the direct-to-reverberant ratio
    seed: int  # sets the reflections and the size of the room


def reverberate(sounds: Samples, room: Room | None) -> Samples:
    """Convolve with the room's impulse response. Shape: (channels, time) -> (channels, time)."""
    if room is None:
        return sounds
    response = impulse_response(room)
    reverberated: Samples = fftconvolve(sounds, response[np.newaxis], axes=-1)[:, : sounds.shape[1]]
    return reverberated


def impulse_response(room: Room) -> Samples:
    """Direct path and tail of velvet noise (sparse ±1 at random), at 48 kHz; the direct path is sample 0.

    Three bands decay at different speeds, the highs twice as fast as the middle, because air and furniture
    absorb them. The direct-to-reverberant ratio is 20 lg(critical distance / distance), with a critical
    distance of 0.057 √(V / RT60) m in a room of V m³ (Kuttruff, Room Acoustics). A mouth radiates 2 dB more
    to the front than on average. The energy is 1, so speech keeps its level.

    Shape: (time,)
    """
    generator = np.random.default_rng(room.seed)
    volume = (
        log_uniform(generator, 20, 200) * room.rt60_seconds / 0.4
    )  # m³: a long reverberation means a large room
    first_seconds = generator.uniform(0.001, 0.006)  # until the first reflection
    length = round(room.rt60_seconds * RATE)
    velvet = np.zeros(length, np.float32)
    reflections = np.arange(first_seconds, length / RATE, 1 / VELVET_PER_SECOND)
    places = ((reflections + generator.random(len(reflections)) / VELVET_PER_SECOND) * RATE).astype(int)
    signs = generator.choice(np.array([-1, 1], np.float32), len(places))
    velvet[places[places < length]] = signs[places < length]

    low = sosfilt(butter(2, 500, fs=RATE, output="sos"), velvet)
    below = sosfilt(butter(2, 4000, fs=RATE, output="sos"), velvet)
    seconds = np.arange(length, dtype=np.float32) / RATE
    # 60 dB are a factor of 1000.
    decay = np.exp(seconds * np.float32(-math.log(1000) / room.rt60_seconds))
    tail = low * decay ** np.float32(1 / 1.15) + (below - low) * decay + (velvet - below) * decay * decay
    critical_m = 0.057 * math.sqrt(volume / room.rt60_seconds)
    direct_to_tail_db = 20 * math.log10(critical_m / room.distance_m) + 2
    response = tail * (10 ** (-direct_to_tail_db / 20) / max(float(np.linalg.norm(tail)), 1e-9))
    response[0] = 1
    scaled: Samples = (response / float(np.linalg.norm(response))).astype(np.float32)
    return scaled


def log_uniform(generator: np.random.Generator, low: float, high: float) -> float:
    """A log-uniform random number: from 1 to 2 is as likely as from 2 to 4."""
    return float(math.exp(generator.uniform(math.log(low), math.log(high))))
