"""Studio -> phone: room, noise, microphone band, automatic gain, clipping, 16 bits and a codec, all seeded.

The chain makes training examples of clean speech, and of a user's clip what a phone would have recorded:

    speech -> room -> + -> microphone band -> automatic gain -> + common gain -> clipping -> 16 bits -> codec
    noise  ---------> +

Up to the automatic gain every stage is linear once the gain curve is known, so that voice and noise run
through it side by side and stay known apart. Nothing is delayed: the direct path of the room arrives at once,
and what linear-phase filters and codecs delay is taken back. Minimum-phase filters keep their few samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Literal, get_args

import numpy as np
from annotated_doc import Doc
from numpy.typing import NDArray
from scipy.fft import irfft, rfft
from scipy.signal import butter, fftconvolve, sosfilt

from aural.audio.chunks import process_in_chunks
from aural.audio.clip import Clip, Samples, excerpt
from aural.audio.codecs import CODECS, KILOBITS, Codec, CodecName, coded
from aural.audio.low_pass import LOW_PASSES, LowPass, low_pass, low_pass_sections
from aural.audio.resample import resample
from aural.audio.steps import Steps, part, stepwise
from aural.errors import InputError
from aural.options import Outcome, require, require_known, require_whole

Fault = Literal["room", "noise", "band", "level", "clipping", "codec"]
FAULTS: tuple[Fault, ...] = get_args(Fault)  # in the order in which they strike
# How often a recording has each of them.
PROBABILITIES: dict[Fault, float] = {
    "room": 0.65,
    "noise": 0.9,
    "band": 0.7,
    "level": 0.4,
    "clipping": 0.25,
    "codec": 0.4,
}

RATE = 48_000  # Hz, of all that runs through the chain
LARGEST_PEAK = 0.98  # before the codec, which may overshoot
FRAME = RATE // 50  # samples over which power is measured
ACTIVE_DB = -30.0  # a frame this far below the loudest one, or further, is a pause
SILENT_POWER = 1e-10  # -100 dB: what is below is no noise
LOOP_FADE = RATE // 20  # samples of cross-fade where a noise starts again
CONTROL = RATE // 200  # samples for which the automatic gain decides at once
VOICE_HZ = (300.0, 3400.0)  # what all phones pass: here the target is brought to the recording's level
# A user's clip at once; a quarter of the overlap takes the longest room's tail.
CHUNK_SECONDS, CHUNK_OVERLAP_SECONDS = 30.0, 4.0
VELVET_PER_SECOND = 2000  # reflections; the ear hears a smooth tail from about 1500 on


@dataclass(frozen=True)
class Room:
    """A room and how far away from the phone one speaks in it."""

    rt60_seconds: float  # time in which the tail falls by 60 dB, at middle frequencies
    distance_m: float  # from mouth to phone: sets the direct-to-reverberant ratio
    seed: int  # of the reflections and of the room's size


@dataclass(frozen=True)
class Resonance:
    """A peak, or with negative dB a dip, of a small microphone in a case."""

    frequency_hz: float
    gain_db: float
    quality: float  # frequency over bandwidth


@dataclass(frozen=True)
class Level:
    """Automatic gain: brings what is above or below the threshold nearer to it, pauses and all."""

    threshold_db: float  # relative to the speech's own active level
    ratio: float  # dB of input to one of output
    attack_seconds: float
    release_seconds: float


@dataclass(frozen=True)
class Clipping:
    """Overload of microphone or converter."""

    share: float  # of the recording's peak, at which it starts
    hard: bool  # a corner; else tanh


@dataclass(frozen=True)
class Chain:
    """One phone, room and line: every setting; what is None or empty is off."""

    room: Room | None = None
    snr_db: float | None = None  # of the speech in the room, over the noise, both where they are active
    high_pass_hz: float | None = None  # -3 dB, second order
    resonances: tuple[Resonance, ...] = ()
    low_pass_hz: float | None = None
    low_pass_kind: LowPass = "butterworth_4"
    level: Level | None = None
    clipping: Clipping | None = None
    bits: int | None = 16  # of the converter, without dither; None: not rounded
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
        if self.level is not None:
            require("ratio of the automatic gain", self.level.ratio, 1, 100)
        if self.clipping is not None:
            require("clipping share", self.clipping.share, 0.001, 1)
        if self.bits is not None:
            require("number of bits", self.bits, 2, 24)


@dataclass(frozen=True, eq=False)
class Degraded:
    """A recording and what it is made of; all (time,), float32, of equal length and aligned to the sample."""

    samples: Samples  # the phone recording
    speech: Samples  # the clean speech, dry and full band, at the level that the voice has in the recording
    noise: Samples  # the noise in the recording, before clipping and codec


def draw(generator: np.random.Generator, faults: Collection[str] | None = None) -> Chain:
    """Settings of one recording, by chance.

    All settings are drawn, used or not, so that one seed gives the same room with other faults too.

    Args:
        faults: those that it has, of FAULTS; None: each by chance, as often as PROBABILITIES says.

    Raises:
        OptionError: a fault of another name.
    """
    for fault in faults or ():
        require_known("fault", fault, FAULTS)
    chances = dict(zip(FAULTS, generator.random(len(FAULTS)), strict=True))
    chain = Chain(
        room=Room(
            rt60_seconds=generator.uniform(0.15, 0.9),
            distance_m=_between(generator, 0.1, 2.0),
            seed=int(generator.integers(2**31)),
        ),
        snr_db=generator.uniform(-5, 25),
        high_pass_hz=_between(generator, 80, 300),
        resonances=tuple(
            Resonance(_between(generator, 300, 8000), generator.uniform(-6, 9), _between(generator, 0.7, 5))
            for _ in range(generator.integers(1, 5))
        ),
        low_pass_hz=_between(generator, 3400, 16_000),
        low_pass_kind=LOW_PASSES[generator.integers(len(LOW_PASSES))],
        level=Level(
            threshold_db=generator.uniform(-15, 0),
            ratio=_between(generator, 1.5, 5),
            attack_seconds=_between(generator, 0.003, 0.05),
            release_seconds=_between(generator, 0.08, 0.6),
        ),
        clipping=Clipping(generator.uniform(0.1, 0.5), hard=bool(generator.random() < 0.6)),
        codec=_draw_codec(generator),
    )
    present = (
        {fault for fault in FAULTS if chances[fault] < PROBABILITIES[fault]} if faults is None else faults
    )
    return _only(chain, present)


def degrade(samples: Samples, chain: Chain, noise: Samples | None = None) -> Degraded:
    """What a phone makes of clean speech.

    A noise shorter than the speech is looped, of a longer one the start is used; a silent one is no noise.
    Silence comes back as silence, with no noise: it has no level that a noise could be set against.

    Shape:
        samples, noise: (time,), 48 kHz; the results are as long as `samples`, with no sample beyond ±1

    Raises:
        InputError: samples of another shape, or none.
        OptionError: a setting of the chain that cannot be used.
    """
    if samples.ndim != 1 or not len(samples):
        raise InputError(f"Speech must have the shape (time,) and a sample at least, not {samples.shape}.")
    speech = samples.astype(np.float32, copy=False)
    if not speech.any():
        return Degraded(*(np.zeros_like(speech) for _ in range(3)))
    voice = _reverberated(speech[np.newaxis], chain.room)
    background = _background(voice, chain.snr_db, noise)
    reference = active_power(voice[0])
    sounds = voice if background is None else np.concatenate((voice, background[np.newaxis]))
    sounds = _band_limited(sounds, chain)
    mixture = sounds.sum(axis=0, keepdims=True)
    if chain.level is not None:
        gains = _level_gains(mixture, chain.level, reference)
        sounds, mixture = sounds * gains, mixture * gains
    speech_gain = _fitting_gain(speech, sounds[0])
    recording = _clipped(mixture, chain.clipping, _peak(mixture))
    gain = _gain_below_full_scale(_peak(recording), _peak(speech) * speech_gain, _peak(sounds[1:]))
    return Degraded(
        samples=_transmitted(recording * np.float32(gain), chain)[0],
        speech=speech * np.float32(speech_gain * gain),
        noise=sounds[1] * np.float32(gain) if background is not None else np.zeros_like(speech),
    )


def active_power(samples: Samples) -> float:
    """Mean power of the frames of 20 ms that are less than 30 dB below the loudest one. Shape: (time,)."""
    frames = max(1, len(samples) // FRAME)
    framed = samples[: frames * FRAME].reshape(frames, -1)
    powers = np.einsum("ft,ft->f", framed, framed, dtype=np.float64) / framed.shape[1]
    return float(powers[powers >= powers.max() * 10 ** (ACTIVE_DB / 10)].mean())


# For a user's clip


@dataclass(frozen=True)
class Options:
    """What sort of phone recording to make.

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


def _like(chain: Chain) -> Callable[[np.random.Generator], Chain]:
    """Makes chains like this one, each with reflections and a microphone of its own."""

    def make(generator: np.random.Generator) -> Chain:
        drawn = draw(generator, ("room", "band"))
        assert chain.room is not None and drawn.room is not None
        room = replace(chain.room, seed=drawn.room.seed)
        return replace(chain, room=room, resonances=drawn.resonances)

    return make


# What a user picks; each makes its chain from a seeded generator.
PRESETS: dict[str, Callable[[np.random.Generator], Chain]] = {
    "phone_call": _like(
        Chain(
            room=Room(rt60_seconds=0.3, distance_m=0.15, seed=0),
            snr_db=18.0,
            high_pass_hz=250.0,
            low_pass_hz=3500.0,
            low_pass_kind="elliptic",
            level=Level(threshold_db=-10.0, ratio=2.0, attack_seconds=0.005, release_seconds=0.2),
            codec=Codec("amr", 12.2),
        )
    ),
    "voice_memo": _like(
        Chain(
            room=Room(rt60_seconds=0.35, distance_m=0.5, seed=0),
            snr_db=20.0,
            high_pass_hz=110.0,
            low_pass_hz=12_000.0,
            level=Level(threshold_db=-10.0, ratio=2.0, attack_seconds=0.01, release_seconds=0.2),
            codec=Codec("aac", 48),
        )
    ),
    "video_call": _like(
        Chain(
            room=Room(rt60_seconds=0.45, distance_m=0.7, seed=0),
            snr_db=14.0,
            high_pass_hz=150.0,
            low_pass_hz=7500.0,
            level=Level(threshold_db=-10.0, ratio=3.0, attack_seconds=0.005, release_seconds=0.3),
            codec=Codec("opus", 14),
        )
    ),
    "far_away": _like(
        Chain(
            room=Room(rt60_seconds=0.95, distance_m=4.0, seed=0),
            snr_db=12.0,
            high_pass_hz=110.0,
            low_pass_hz=10_000.0,
            level=Level(threshold_db=-10.0, ratio=2.5, attack_seconds=0.01, release_seconds=0.4),
            codec=Codec("aac", 48),
        )
    ),
    "random": draw,
}


@stepwise
def degrade_clip(clip: Clip, options: Options | None = None) -> Steps[Clip]:
    """The clip as a phone would have recorded it: rate, length and channels stay, silence stays silence.

    All channels go through the same chain. The background is a room tone with traffic, made from the seed.

    Raises:
        InputError: an empty or not finite clip.
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

    # Three passes, since noise, automatic gain and clipping go by levels of the clip as a whole.
    heard = resample(clip, RATE)
    if chain.room is not None:
        room = chain.room
        heard = yield from part(_in_chunks(heard, lambda sounds: _reverberated(sounds, room)), 0.0, 0.3)
    reference = _mean_active_power(heard.samples)
    background = _background(heard.samples, chain.snr_db, tone)
    if background is not None:
        heard = heard.with_samples(heard.samples + background)
        del background

    def capture(sounds: Samples) -> Samples:
        sounds = _band_limited(sounds, chain)
        return sounds if chain.level is None else sounds * _level_gains(sounds, chain.level, reference)

    heard = yield from part(_in_chunks(heard, capture), 0.3, 0.6)
    peak = _peak(heard.samples)
    gain = np.float32(_gain_below_full_scale(peak * (chain.clipping.share if chain.clipping else 1)))

    def transmit(sounds: Samples) -> Samples:
        return _transmitted(_clipped(sounds, chain.clipping, peak) * gain, chain)

    heard = yield from part(_in_chunks(heard, transmit), 0.6, 1.0)
    # Resampling there and back may end a few samples early or late, and overshoot.
    samples = excerpt(resample(heard, clip.rate).samples, 0, clip.frames)
    return clip.with_samples(np.clip(samples, -1, 1))


def outcome_steps(clip: Clip, options: Options) -> Steps[Outcome]:
    """The verb `degrade`, and what the enhancement would find in its result."""
    from aural.enhancement.findings import find

    degraded = yield from part(degrade_clip.steps(clip, options), 0.0, 0.7)
    found = yield from part(find.steps(degraded), 0.7, 1.0)
    signs = [] if found.snr_db is None else [f"signal to noise {found.snr_db:.0f} dB"]
    if found.bandwidth_hz is not None:
        signs.append(f"band up to {found.bandwidth_hz / 1000:.1f} kHz")
    message = f"Found in it: {', '.join(signs)}." if signs else "Silence stays silence."
    return Outcome((degraded,), {**asdict(options), "found": found.figures()}, message)


def room_tone(generator: np.random.Generator) -> Samples:
    """Noise of a room, falling by 4.5 dB an octave, and of traffic below about 200 Hz that swells and passes.

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


def _between(generator: np.random.Generator, low: float, high: float) -> float:
    """Uniform in pitch, so to speak: as likely from 1 to 2 as from 2 to 4."""
    return float(math.exp(generator.uniform(math.log(low), math.log(high))))


def _draw_codec(generator: np.random.Generator) -> Codec:
    # Calls are the commonest. Few bit rates: each one's delay has to be found, once.
    names: tuple[CodecName, ...] = ("opus", *CODECS)
    name = names[generator.integers(len(names))]
    known = KILOBITS[name]
    return Codec(name, known[generator.integers(len(known))])


def _only(chain: Chain, faults: Collection[str]) -> Chain:
    """The chain without all other faults."""
    if "band" not in faults:
        chain = replace(chain, high_pass_hz=None, resonances=(), low_pass_hz=None)
    return replace(
        chain,
        room=chain.room if "room" in faults else None,
        snr_db=chain.snr_db if "noise" in faults else None,
        level=chain.level if "level" in faults else None,
        clipping=chain.clipping if "clipping" in faults else None,
        codec=chain.codec if "codec" in faults else None,
    )


# Room


def _reverberated(sounds: Samples, room: Room | None) -> Samples:
    """Shape: (channels, time) -> (channels, time)."""
    if room is None:
        return sounds
    response = impulse_response(room)
    reverberated: Samples = fftconvolve(sounds, response[np.newaxis], axes=-1)[:, : sounds.shape[1]]
    return reverberated


def impulse_response(room: Room) -> Samples:
    """Direct path and tail of velvet noise (sparse ±1 at random), at 48 kHz; the direct path is sample 0.

    Three bands decay at their own speeds, the highs twice as fast as the middle: air and furniture take them.
    The direct-to-reverberant ratio is 20 lg(critical distance / distance), the critical distance of a room of
    V m³ being 0.057 √(V / RT60) m (Kuttruff, Room Acoustics); a mouth sends 2 dB more forward than all
    around. The energy is 1, so that speech keeps its level.

    Shape: (time,)
    """
    generator = np.random.default_rng(room.seed)
    volume = _between(generator, 20, 200) * room.rt60_seconds / 0.4  # m³: what sounds long is large
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


# Noise


def _background(voice: Samples, snr_db: float | None, noise: Samples | None) -> Samples | None:
    """The noise as long as the voice and at its level under it; None where there is none.

    Shape: voice (channels, time), noise (any time,) -> (time,)
    """
    if snr_db is None or noise is None or not len(noise):
        return None
    fitted = _looped(noise.astype(np.float32, copy=False), voice.shape[1])
    power = active_power(fitted)
    if power < SILENT_POWER:
        return None
    return fitted * np.float32(math.sqrt(_mean_active_power(voice) / power / 10 ** (snr_db / 10)))


def _mean_active_power(sounds: Samples) -> float:
    """Shape: (channels, time)"""
    return float(np.mean([active_power(channel) for channel in sounds]))


def _looped(noise: Samples, length: int) -> Samples:
    """`length` samples of a noise; one that is too short starts again, by a cross-fade of equal power."""
    if len(noise) >= length:
        return noise[:length]
    fade = min(LOOP_FADE, len(noise) // 2)
    phase = (np.arange(fade, dtype=np.float32) + 0.5) / max(fade, 1) * np.float32(np.pi / 2)
    period = noise[: len(noise) - fade].copy()
    period[:fade] = noise[:fade] * np.sin(phase) + noise[len(noise) - fade :] * np.cos(phase)
    # The first round has nothing before it to fade out of.
    return np.concatenate((noise[:fade], np.resize(period, length + len(period))[fade:]))[:length]


# Microphone band and automatic gain


def _band_limited(sounds: Samples, chain: Chain) -> Samples:
    sections = []
    if chain.high_pass_hz is not None:
        sections.append(butter(2, chain.high_pass_hz, "highpass", fs=RATE, output="sos"))
    sections += [_peaking(resonance) for resonance in chain.resonances]
    if chain.low_pass_hz is not None:
        recursive = low_pass_sections(RATE, chain.low_pass_hz, chain.low_pass_kind)
        if recursive is not None:
            sections.append(recursive)
        else:
            sounds = low_pass(sounds, RATE, chain.low_pass_hz, chain.low_pass_kind)
    if sections:
        sounds = sosfilt(np.concatenate(sections), sounds).astype(np.float32)
    return sounds


def _peaking(resonance: Resonance) -> NDArray[np.float64]:
    """One second-order section: the peaking equaliser of Bristow-Johnson's cookbook."""
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


def _level_gains(heard: Samples, level: Level, reference_power: float) -> Samples:
    """Gain of every sample: speech at its usual level keeps it, softer sounds come up, by so much at most.

    Shape: (channels, time) -> (time,)
    """
    length = heard.shape[1]
    blocks = -(-length // CONTROL)
    padded = excerpt(heard, 0, blocks * CONTROL).reshape(len(heard), blocks, CONTROL)
    powers = np.einsum("cbt,cbt->b", padded, padded, dtype=np.float64) / (len(heard) * CONTROL)
    over_db = 10 * np.log10(powers / reference_power + 1e-12) - level.threshold_db
    share = 1 - 1 / level.ratio
    wanted_db = -share * np.maximum(over_db, 0)
    attack, release = (
        math.exp(-CONTROL / RATE / seconds) for seconds in (level.attack_seconds, level.release_seconds)
    )
    gains_db = []
    gain_db = float(wanted_db[0])
    for wanted in wanted_db.tolist():
        gain_db = wanted + (attack if wanted < gain_db else release) * (gain_db - wanted)
        gains_db.append(gain_db)
    made_up_db = np.array(gains_db) + share * max(0.0, -level.threshold_db)
    # A block's gain holds at its middle; between two of them the gain moves in a straight line.
    middles = (np.arange(blocks) + 0.5) * CONTROL
    return np.interp(np.arange(length), middles, 10 ** (made_up_db / 20)).astype(np.float32)


def _fitting_gain(speech: Samples, voice: Samples) -> float:
    """The gain g that makes g |S| fit |V| best, in least squares over time and the band all phones pass.

    Magnitudes, because the phases of filters and rooms would make a fit of waveforms too soft.

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
    clean, heard = (spectrum[:, first : last + 1] for spectrum in spectra)
    energy = float(np.vdot(clean, clean))
    return float(np.vdot(clean, heard)) / energy if energy > 0 else 1.0


# Clipping, converter and codec


def _peak(sounds: Samples) -> float:
    return max(float(sounds.max(initial=0)), -float(sounds.min(initial=0)))


def _gain_below_full_scale(*peaks: float) -> float:
    """What brings the largest peak down to LARGEST_PEAK; 1 where it is there already."""
    return min(1.0, LARGEST_PEAK / max(*peaks, LARGEST_PEAK))


def _clipped(sounds: Samples, clipping: Clipping | None, peak: float) -> Samples:
    if clipping is None or not peak:
        return sounds
    limit = np.float32(clipping.share * peak)
    return np.clip(sounds, -limit, limit) if clipping.hard else limit * np.tanh(sounds / limit)


def _transmitted(sounds: Samples, chain: Chain) -> Samples:
    """Through converter and codec. Shape: (channels, time) -> (channels, time)."""
    if chain.bits is not None:
        steps = np.float32(2 ** (chain.bits - 1))
        sounds = (np.round(sounds * steps) / steps).astype(np.float32)
    if chain.codec is not None:
        sounds = np.stack([coded(channel, chain.codec) for channel in sounds])
    return np.clip(sounds, -1, 1)
