"""Simulated phone recordings for training: a new batch of mixtures for every step.

    voice ─> pitch, whisper ─> room ─> microphone ─> gain control ──────────────> speech (early room only)
                                 └─ late room ─┐           │
    noise, hum, babble ─────────────────> + ───┴───────────┴──> clipping ─> codec ─> recording

The targets match the recordings: the speech has passed the same microphone (magnitude and phase), the same
gain control and the first 30 ms of the room. So a network only has to remove noise, late reverberation,
clipping and codec artifacts. Everything runs in torch on the device of the sources, without synchronization,
so a CUDA graph can capture it; a captured graph needs the device's own generator, the default.

Sources: Oppenheim and Schafer 1989 (minimum phase by the cepstrum), Polack 1988 (late room as decaying
noise), Bradley 1999 (the first reflections help speech), Smith 1984 (resampling by a windowed sinc).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from aural.audio.spectral import overlap_add
from aural.enhancement.features import RATE
from aural.enhancement.level import ACTIVE_RANGE_DB, ACTIVE_RMS, BLOCK, LOUD_PERCENTILE

LENGTH = 2 * RATE  # samples of a mixture
# Sources are longer: a voice played faster needs more, and the room needs time to fill.
SHIFTS = (0.85, 1.2)
LEAD = 19_200
SOURCE_LENGTH = LENGTH + LEAD
ROOM_LENGTH = RATE  # samples of an impulse response
CONVOLUTION = 163_840  # 2^15 * 5, at least SOURCE_LENGTH + ROOM_LENGTH
CURVE = 4_096  # samples of a microphone's response
EARLY_SECONDS = (0.030, 0.040)  # the early part fades out between these
DIRECT_DELAY = 48  # samples before the direct sound in a measured response
WHISPER_FFT, WHISPER_HOP = 1024, 256
CODEC_FFT, CODEC_HOP = 1024, 512
SINC_TAPS = 16
GAIN_SECONDS = 0.25  # between two points of a gain curve
MIN_POWER = 1e-12

assert CONVOLUTION >= SOURCE_LENGTH + ROOM_LENGTH


@dataclass(frozen=True)
class Sources:
    """The parts of a batch of mixtures. Shapes: (batch, ...)."""

    voice: Tensor  # (batch, SOURCE_LENGTH), a voice; its whole recording is at ACTIVE_RMS
    solid_hz: Tensor  # (batch,), the frequency up to which it is a valid target
    noise: Tensor  # (batch, SOURCE_LENGTH), of any level
    room: Tensor  # (batch, ROOM_LENGTH), measured impulse responses
    microphone: Tensor  # (batch, up to CURVE), impulse responses
    untouched: Tensor  # (batch,), 1 where nothing is degraded (music), else 0


@dataclass(frozen=True)
class Odds:
    """How often each degradation occurs, and how strong it is."""

    shifted: float = 0.15  # share of voices at another speed
    whispered: float = 0.05
    room: float = 0.55
    measured_room: float = 0.45  # share of measured rooms; the others are simulated
    microphone: float = 0.75
    gain: float = 0.4  # automatic gain
    noiseless: float = 0.15
    untouched: float = 0.10
    synthetic_noise: float = 0.28  # share of the noises
    babble: float = 0.12  # share of the noises
    second_noise: float = 0.25
    hum: float = 0.12
    clipping: float = 0.15
    codec: float = 0.20
    low_pass: float = 0.35  # share of microphones with a low-pass; every codec has one
    snr_db: tuple[float, float] = (-5.0, 30.0)
    rt60_seconds: tuple[float, float] = (0.12, 1.0)
    level_db: float = 2.5  # standard deviation of the recording's level about ACTIVE_RMS
    matched: bool = True  # False, to compare: of room and microphone, the targets get the delay alone


@dataclass(frozen=True)
class Mixture:
    """A batch of training pairs, at the level that the networks expect."""

    recording: Tensor  # (batch, LENGTH), from the phone
    speech: Tensor  # (batch, LENGTH), the target
    noise: Tensor  # (batch, LENGTH), the background as it is in the recording
    solid_hz: Tensor  # (batch,), the frequency up to which the speech is a valid target


class _Random:
    """Random tensors of one device and, if given, one generator."""

    def __init__(self, where: torch.device, generator: torch.Generator | None) -> None:
        self.where, self.generator = where, generator

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=self.generator, device=self.where)

    def log_uniform(self, *shape: int, low: float, high: float) -> Tensor:
        return self.uniform(*shape, low=math.log(low), high=math.log(high)).exp()

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, device=self.where)

    def happens(self, odds: float, *shape: int) -> Tensor:
        """1 with these odds, else 0."""
        return (torch.rand(shape, generator=self.generator, device=self.where) < odds).float()


@torch.no_grad()
def mix(sources: Sources, odds: Odds = Odds(), generator: torch.Generator | None = None) -> Mixture:
    """A batch of recordings and targets; the same for the same sources and generator.

    Random numbers differ between kinds of devices.

    Args:
        generator: on the device of the sources; None: the device's default.
    """
    batch = len(sources.voice)
    random = _Random(sources.voice.device, generator)
    solid_hz, voice = sources.solid_hz, sources.voice
    # The order is random, so the expensive effects can go to the first pieces.
    shifted = round(odds.shifted * batch)
    whispered = round(odds.whispered * batch)
    if shifted:
        speed = random.log_uniform(shifted, low=SHIFTS[0], high=SHIFTS[1])
        faster = functional.pad(change_speed(voice[:shifted], speed, LENGTH), (LEAD, 0))
        voice = torch.cat((faster, voice[shifted:]))
        solid_hz = torch.cat(((solid_hz[:shifted] * speed).clamp_max(0.49 * RATE), solid_hz[shifted:]))
    if whispered:
        made = whisper(voice[shifted : shifted + whispered], random.normal(whispered, SOURCE_LENGTH))
        voice = torch.cat((voice[:shifted], made, voice[shifted + whispered :]))

    untouched = torch.maximum(sources.untouched, random.happens(odds.untouched, batch))[:, None]
    touched = 1 - untouched
    has_codec = random.happens(odds.codec, batch)[:, None] * touched
    early, late = _sample_rooms(sources.room, odds, random)
    microphone = _sample_microphones(sources.microphone, has_codec[:, 0], odds, random)
    spectrum = torch.fft.rfft(voice, CONVOLUTION)
    speech = _convolve(spectrum * torch.fft.rfft(early, CONVOLUTION) * microphone)
    tail = _convolve(spectrum * torch.fft.rfft(late, CONVOLUTION) * microphone)
    # Room and microphone change the tone of a voice, not its level.
    kept = (_power(voice[:, LEAD:]) / (_power(speech) + MIN_POWER)).sqrt().clamp(0.05, 20.0)
    speech, tail = speech * kept, tail * kept * touched

    noise = _sample_noises(sources.noise, voice, odds, random)
    noise = _convolve(torch.fft.rfft(noise, CONVOLUTION) * microphone)
    snr_db = random.uniform(batch, 1, low=odds.snr_db[0], high=odds.snr_db[1])
    own = active_rms(noise)[:, None]
    # Digital silence stays silent.
    scale = ACTIVE_RMS * 10 ** (-snr_db / 20) / own.clamp_min(1e-4)
    noise = noise * scale * touched * (1 - random.happens(odds.noiseless, batch)[:, None])

    gain = _sample_gains(odds, random, batch)
    speech, tail, noise = speech * gain, tail * gain, noise * gain
    recording = speech + tail + noise
    recording = torch.lerp(
        recording, _clip(recording, random), random.happens(odds.clipping, batch)[:, None] * touched
    )
    recording = torch.lerp(recording, simulate_codec(recording, random.uniform(batch, 3), random), has_codec)

    # A pause is not brought up to the level of speech.
    level = active_rms(recording).clamp_min(0.6 * ACTIVE_RMS)[:, None]
    scale = ACTIVE_RMS / level * 10 ** (odds.level_db / 20 * random.normal(batch, 1))
    if not odds.matched:
        response = torch.fft.irfft(torch.fft.rfft(early, CONVOLUTION) * microphone, CONVOLUTION)
        delay = response.abs().argmax(-1, keepdim=True)
        direct = torch.zeros_like(response).scatter_(-1, delay, 1.0)
        speech = _convolve(spectrum * torch.fft.rfft(direct, CONVOLUTION))
    return Mixture(recording * scale, speech * scale, noise * scale, solid_hz)


def active_rms(samples: Tensor) -> Tensor:
    """`level.active_rms` of each row. Shape: (batch, time), time a multiple of 768 -> (batch,)."""
    powers = samples.reshape(len(samples), -1, BLOCK).square().mean(-1)
    count = powers.shape[-1]
    ordered = powers.sort(-1).values
    silent = (powers <= 0).sum(-1, keepdim=True)
    place = silent + LOUD_PERCENTILE / 100 * (count - 1 - silent).clamp_min(0)
    below = place.floor().long().clamp(0, count - 1)
    above = (below + 1).clamp_max(count - 1)
    loud = torch.lerp(ordered.gather(-1, below), ordered.gather(-1, above), (place - below).to(powers))
    active = ((powers >= loud * 10 ** (-ACTIVE_RANGE_DB / 10)) & (powers > 0)).to(powers)
    result: Tensor = ((powers * active).sum(-1) / active.sum(-1).clamp_min(1)).sqrt()
    return result


def change_speed(samples: Tensor, speed: Tensor, length: int) -> Tensor:
    """Play at another speed: pitch, formants and tempo change together.

    Shape:
        samples: (batch, time); speed: (batch,), 1 for none; result: (batch, length).
    """
    place = speed[:, None].double() * torch.arange(length, device=samples.device)
    first = place.floor()
    part = (place - first).to(samples)
    first = first.long()
    result = torch.zeros_like(part)
    half = SINC_TAPS // 2
    for tap in range(1 - half, half + 1):
        distance = part - tap
        window = (distance * (math.pi / (2 * half + 1))).cos().square()
        taken = samples.gather(-1, (first + tap).clamp(0, samples.shape[-1] - 1))
        result = result + taken * torch.sinc(distance) * window
    return result


def whisper(samples: Tensor, noise: Tensor) -> Tensor:
    """Replace the harmonics of a voice by noise, quieter below 500 Hz: a whisper.

    Shape: (batch, time), all.
    """
    spectrum, excitation = (_spectra_of_frames(x, WHISPER_FFT, WHISPER_HOP) for x in (samples, noise))
    logarithm = (spectrum.abs() + 1e-5).log()
    # The envelope varies slowly along frequency: formants, not harmonics above 500 Hz.
    cepstrum = torch.fft.irfft(logarithm, dim=-1)
    kept = torch.zeros(WHISPER_FFT, device=samples.device)
    kept[:80], kept[-79:] = 1.0, 1.0
    envelope = torch.fft.rfft(cepstrum * kept, dim=-1).real.exp()
    hz = torch.arange(WHISPER_FFT // 2 + 1, device=samples.device) * (RATE / WHISPER_FFT)
    softer = 1 / (1 + (500 / (hz + 50)).square()).sqrt()
    made = _samples_of_frames(
        envelope * softer * excitation / WHISPER_FFT**0.5, WHISPER_HOP, samples.shape[-1]
    )
    scale = (_power(samples) / (_power(made) + MIN_POWER)).sqrt().clamp_max(20)
    return made * scale


def minimum_phase(level_db: Tensor) -> Tensor:
    """The minimum-phase impulse response of a magnitude.

    Shape: (batch, CURVE / 2 + 1) in dB from 0 Hz to half the rate -> (batch, CURVE).
    """
    cepstrum = torch.fft.irfft(level_db * (math.log(10) / 20), CURVE)
    folded = cepstrum.clone()
    folded[:, 1 : CURVE // 2] *= 2
    folded[:, CURVE // 2 + 1 :] = 0
    result: Tensor = torch.fft.irfft(torch.fft.rfft(folded, CURVE).exp(), CURVE)
    return result


def simulate_codec(samples: Tensor, severity: Tensor, random: _Random) -> Tensor:
    """Simulate a low-bit-rate codec: noise relative to each band's level, and missing bands.

    Args:
        severity: (batch, 3), 0 to 1: how little noise, how few missing bands, how short the gaps.

    Shape:
        samples, result: (batch, time).
    """
    spectrum = _spectra_of_frames(samples, CODEC_FFT, CODEC_HOP)  # (batch, frames, bins)
    bands = _bark_bands(spectrum.device)
    power = spectrum.real.square() + spectrum.imag.square()
    levels = power @ bands.T / bands.sum(1)
    # Lower bands get more bits.
    slope = torch.linspace(1, 0, len(bands), device=samples.device)
    snr_db = 3 + 12 * severity[:, :1] + 10 * slope
    noise_level = (levels * 10 ** (-snr_db / 10)[:, None]) @ bands
    noise = torch.complex(*random.normal(2, *spectrum.shape).unbind(0)) * (noise_level / 2).sqrt()
    # Bands far below the loudest one of the frame are masked or get no bits.
    least_db = -55 + 25 * (1 - severity[:, 1:2])
    loudest = levels.amax(-1, keepdim=True)
    masked = (levels < loudest * 10 ** (least_db / 10)[:, None]).float()
    luck = functional.avg_pool1d(random.normal(len(samples), len(bands), spectrum.shape[1]), 3, 1, 1)
    out = (luck.transpose(1, 2) > 0.9 + severity[:, 2:3, None]).float() * (slope < 0.5)
    kept = (1 - torch.maximum(masked, out)) @ bands
    return _samples_of_frames((spectrum + noise) * kept, CODEC_HOP, samples.shape[-1])


def _sample_rooms(measured: Tensor, odds: Odds, random: _Random) -> tuple[Tensor, Tensor]:
    """Early and late impulse responses, (batch, ROOM_LENGTH) each; the late one is 0 without a room."""
    batch, length = len(measured), ROOM_LENGTH
    seconds = torch.arange(length, device=random.where) / RATE
    # Simulated: sparse reflections, then noise whose high frequencies decay faster.
    rt60 = random.log_uniform(batch, 1, low=odds.rt60_seconds[0], high=odds.rt60_seconds[1])
    white = torch.fft.rfft(random.normal(batch, length))
    hz = torch.arange(length // 2 + 1, device=random.where) * (RATE / length)
    lows = torch.fft.irfft(white / (1 + (hz / 1_500).square()), length)
    highs = torch.fft.irfft(white * (1 - 1 / (1 + (hz / 1_500).square())), length)
    faster = random.uniform(batch, 1, low=0.35, high=0.9)
    fall = -math.log(1000) * seconds
    diffuse = lows * (fall / rt60).exp() + highs * (fall / (rt60 * faster)).exp()
    diffuse = diffuse * (seconds > random.uniform(batch, 1, low=0.002, high=0.03))
    diffuse = diffuse / (diffuse.square().sum(-1, keepdim=True) + MIN_POWER).sqrt()
    reflections = (random.uniform(batch, length) < 12 / (0.03 * RATE)) & (seconds < 0.04) & (seconds > 0.0008)
    first = reflections * random.normal(batch, length) * (fall / (0.5 * rt60)).exp()
    direct_db = random.uniform(batch, 1, low=-8.0, high=14.0)
    simulated = diffuse * 10 ** (-direct_db / 20) + 0.3 * random.uniform(batch, 1) * first
    simulated[:, 0] = 1.0
    simulated = functional.pad(simulated, (DIRECT_DELAY, 0))[:, :length]
    # Measured: unchanged, or shortened by a faster decay.
    shorter = random.happens(0.5, batch, 1) / random.log_uniform(batch, 1, low=0.2, high=2.0)
    real = measured * (fall * shorter).exp()
    response = torch.where(random.happens(odds.measured_room, batch, 1) > 0, real, simulated)
    begin, end = (DIRECT_DELAY + second * RATE for second in EARLY_SECONDS)
    share = ((torch.arange(length, device=random.where) - begin) / (end - begin)).clamp(0, 1)
    fade = torch.cos(math.pi / 2 * share).square()
    there = random.happens(odds.room, batch, 1)
    early = response * fade
    norm = (early.square().sum(-1, keepdim=True) + MIN_POWER).sqrt()
    late = response * (1 - fade) / norm * 10 ** (random.uniform(batch, 1, low=-8.0, high=2.0) / 20) * there
    flat = torch.zeros_like(early)
    flat[:, DIRECT_DELAY] = 1.0
    return torch.lerp(flat, early / norm, there), late


def _sample_microphones(measured: Tensor, simulate_codec: Tensor, odds: Odds, random: _Random) -> Tensor:
    """Minimum-phase responses, (batch, CONVOLUTION / 2 + 1) complex; some are flat."""
    batch = len(measured)
    hz = torch.arange(CURVE // 2 + 1, device=random.where) * (RATE / CURVE)
    octaves = ((hz + 5) / 1_000).log2()
    # The measured response at a random strength, with a floor at -80 dB.
    power = torch.fft.rfft(measured, CURVE).abs().square() + 1e-8
    smooth = functional.avg_pool1d(functional.pad(power[:, None], (4, 4), mode="replicate"), 9, 1)[:, 0]
    level_db = 10 * smooth.log10()
    level_db = level_db - level_db[:, 43:256].mean(-1, keepdim=True)  # 0.5 to 3 kHz
    curve = level_db * random.uniform(batch, 1) * random.happens(0.6, batch, 1)
    tilt = random.uniform(batch, 1, low=-3.0, high=3.0) * random.happens(0.6, batch, 1)
    curve = curve + (tilt * octaves).clamp(-12, 12)
    for _ in range(4):
        centre = random.uniform(batch, 1, low=-3.3, high=3.6)
        width = random.log_uniform(batch, 1, low=0.15, high=1.5)
        peak_db = 5.0 * random.normal(batch, 1) * random.happens(0.6, batch, 1)
        curve = curve + peak_db * (-((octaves - centre) / width).square()).exp()
    low = random.log_uniform(batch, 1, low=40, high=320)
    order = random.uniform(batch, 1, low=1, high=3)
    high_pass_db = -10 * (1 + (low / (hz + 1)).pow(2 * order)).log10()
    curve = curve + high_pass_db * random.happens(0.7, batch, 1)
    curve = curve * random.happens(odds.microphone, batch, 1)
    high = random.log_uniform(batch, 1, low=3_400, high=16_000)
    steep = random.log_uniform(batch, 1, low=2, high=24)
    low_pass_db = -10 * (1 + (hz / high).pow(2 * steep).clamp_max(1e8)).log10()
    passes = torch.maximum(random.happens(odds.low_pass * odds.microphone, batch), simulate_codec)[:, None]
    curve = (curve + low_pass_db * passes).clamp(-65, 20)
    result: Tensor = torch.fft.rfft(minimum_phase(curve), CONVOLUTION)
    return result


def _sample_noises(recorded: Tensor, voices: Tensor, odds: Odds, random: _Random) -> Tensor:
    """(batch, SOURCE_LENGTH) at a level near 1: recorded, synthetic, or babble of other voices."""
    batch, length = recorded.shape
    recorded = recorded / active_rms(recorded)[:, None].clamp_min(1e-3)
    synthetic = _colored_noise(batch, length, random)
    babble = torch.zeros_like(recorded)
    loudness = random.uniform(8, batch, 1, low=0.2, high=1.0)
    talks = random.happens(0.7, 8, batch, 1)
    for number in range(min(8, batch - 1)):
        babble = babble + loudness[number] * talks[number] * voices.roll(number + 1, 0)
    babble = babble / active_rms(babble)[:, None].clamp_min(1e-3)
    which = random.uniform(batch, 1)
    main = torch.where(which < odds.synthetic_noise, synthetic, recorded)
    main = torch.where(which > 1 - odds.babble, babble, main)
    second_db = random.uniform(batch, 1, low=-20.0, high=0.0)
    other = torch.where(which < odds.synthetic_noise, recorded, synthetic)
    main = main + other * 10 ** (second_db / 20) * random.happens(odds.second_noise, batch, 1)
    return main + _hum(batch, length, random) * random.happens(odds.hum, batch, 1)


def _colored_noise(batch: int, length: int, random: _Random) -> Tensor:
    """Synthetic noise with random spectra and fluctuations, (batch, length), of about unit level."""
    white = torch.fft.rfft(random.normal(batch, length))
    hz = torch.arange(length // 2 + 1, device=random.where) * (RATE / length)
    octaves = ((hz + 5) / 1_000).log2()
    slope = random.uniform(batch, 1, low=-8.0, high=2.0)
    curve = slope * (octaves - random.uniform(batch, 1, low=-4.0, high=2.0)).clamp_min(0)
    for _ in range(3):
        centre = random.uniform(batch, 1, low=-4.0, high=4.0)
        width = random.log_uniform(batch, 1, low=0.05, high=2.0)
        curve = curve + 8.0 * random.normal(batch, 1) * (-((octaves - centre) / width).square()).exp()
    curve = curve - 20 * (1 + (20 / (hz + 1)).square()).log10()
    noise = torch.fft.irfft(white * 10 ** (curve / 20), length)
    noise = noise / (_power(noise) + MIN_POWER).sqrt()
    points = length // 2_400 + 1  # 50 ms apart
    walk = functional.avg_pool1d(random.normal(batch, 1, points + 8), 9, 1) * 3
    depth = random.uniform(batch, 1, 1, low=0.0, high=10.0) * random.happens(0.6, batch, 1, 1)
    swell = functional.interpolate(walk * depth, size=length, mode="linear", align_corners=True)[:, 0]
    noise = noise * 10 ** (swell / 20)
    level: Tensor = noise / (_power(noise) + MIN_POWER).sqrt()
    return level


def _hum(batch: int, length: int, random: _Random) -> Tensor:
    """Mains hum at 50 or 60 Hz with harmonics, (batch, length), of about unit level."""
    seconds = torch.arange(length, device=random.where) / RATE
    mains_hz = 50 + 10 * random.happens(0.5, batch, 1) + random.uniform(batch, 1, low=-0.2, high=0.2)
    fall = random.uniform(batch, 1, low=0.3, high=2.0)
    hum = torch.zeros(batch, length, device=random.where)
    for harmonic in (1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 18, 22):
        phase = 2 * math.pi * (harmonic * mains_hz * seconds + random.uniform(batch, 1))
        hum = hum + random.uniform(batch, 1) * harmonic**-fall * phase.sin()
    return hum / (_power(hum) + MIN_POWER).sqrt()


def _sample_gains(odds: Odds, random: _Random, batch: int) -> Tensor:
    """The smooth gain curve of an automatic gain control, (batch, LENGTH)."""
    points = round(LENGTH / RATE / GAIN_SECONDS) + 1
    walk = functional.avg_pool1d(random.normal(batch, 1, points + 2), 3, 1) * 1.7
    depth_db = random.uniform(batch, 1, 1, low=0.0, high=5.0) * random.happens(odds.gain, batch, 1, 1)
    gain_db = functional.interpolate(walk * depth_db, size=LENGTH, mode="linear", align_corners=True)[:, 0]
    return 10 ** (gain_db / 20)


def _clip(samples: Tensor, random: _Random) -> Tensor:
    """Clip at a share of the peak, hard or soft."""
    share = random.log_uniform(len(samples), 1, low=0.08, high=0.6)
    limit = share * samples.abs().amax(-1, keepdim=True).clamp_min(1e-5)
    hard = torch.maximum(torch.minimum(samples, limit), -limit)
    soft = limit * torch.tanh(samples / limit)
    return torch.where(random.happens(0.7, len(samples), 1) > 0, hard, soft)


def _convolve(spectrum: Tensor) -> Tensor:
    """The samples of a product of spectra, without the lead."""
    result: Tensor = torch.fft.irfft(spectrum, CONVOLUTION)[:, LEAD:SOURCE_LENGTH]
    return result


def _power(samples: Tensor) -> Tensor:
    return samples.square().mean(-1, keepdim=True)


def _spectra_of_frames(samples: Tensor, size: int, hop: int) -> Tensor:
    """STFT with a root-Hann window, (batch, frames, bins)."""
    padded = functional.pad(samples, (size - hop, size))
    frames = padded.unfold(-1, size, hop) * _root_hann(size, samples.device)
    result: Tensor = torch.fft.rfft(frames)
    return result


def _samples_of_frames(spectra: Tensor, hop: int, length: int) -> Tensor:
    """The samples of spectra as from `_spectra_of_frames`, windowed again and overlap-added."""
    size = 2 * (spectra.shape[-1] - 1)
    frames = torch.fft.irfft(spectra, size) * _root_hann(size, spectra.device) * (2 * hop / size)
    return overlap_add(frames, hop)[:, size - hop : size - hop + length]


def _root_hann(size: int, where: torch.device) -> Tensor:
    return torch.hann_window(size, device=where).sqrt()


def _bark_bands(where: torch.device) -> Tensor:
    """(bands, bins): 1 where a bin of the codec lies in a band of one Bark."""
    hz = torch.arange(CODEC_FFT // 2 + 1, device=where) * (RATE / CODEC_FFT)
    bark = (6 * torch.asinh(hz / 600)).floor()  # Wang, Sekey and Gersho 1992
    bark = bark - (bark >= 26) * (bark - 25)
    return (bark == torch.arange(26, device=where)[:, None]).float()
