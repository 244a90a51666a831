"""Recordings of other kinds than the trainings': voices, rooms and noises that were held back, 4 s each.

Enhancement restores `Recording.samples` to `Recording.reference`; super-resolution takes from `full_band`
what it shall give back. Nothing is stored: all is made from a data folder with `speech/`, `noise/`, `rooms/`,
`music/` and `esc50/`, whose tables `meta.csv` mark what is held back (`split` is `val`). The same seed gives
the same recordings, and more of a kind begin with the fewer.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_toeplitz
from scipy.signal import butter, fftconvolve, lfilter, sosfilt

from aural.audio import read
from aural.audio.clip import Samples
from aural.audio.codecs import Codec, transcode
from aural.audio.resample import resample_samples
from aural.errors import InputError
from aural.evaluation.signal_metrics import active_level

Floats = NDArray[np.float64]

RATE = 48_000
SECONDS = 4.0
SEED = 2027
ACTIVE_RMS = 10 ** (-26 / 20)  # of every voice, before noise and room

EARLY_SECONDS, EARLY_FADE_SECONDS = 0.03, 0.01  # reflections that belong to the voice
BEFORE_DIRECT = RATE // 1_000  # samples of a room's response kept before the direct sound
MAX_RT60_SECONDS = 3.0
EARLIER_RECORDINGS_HZ = 16_000.0  # Vorbis has left holes above
READERS_HZ = 20_000.0
ESC50_NOISES = frozenset(
    {"rain", "sea_waves", "wind", "engine", "airplane", "train", "washing_machine", "crickets"}
)
VALIDATION_FOLD = "5"
QUIET_ENDS = {"inspectorj_robin"}  # pieces that have faded out before their last tenth
HELD_BACK = 0.1  # of the files of a speaker, or of a piece: the last ones
ACTORS, HELD_BACK_ACTORS = range(1, 21), range(21, 25)
SEEN_OF_A_SPEAKER = 3

LPC_ORDER = 48
LPC_SIZE = RATE // 25  # 40 ms
LPC_WHITENING = 1e-5  # of the power, as white noise: keeps the filter stable
VOWEL_PITCHES_HZ = (98.0, 131.0, 175.0, 220.0, 294.0, 392.0)
VIBRATO_HZ, VIBRATO_SHARE = 5.0, 0.01
ASPIRATION_DB = -25.0  # relative to the harmonics

CODECS = (
    Codec("opus", 12),
    Codec("aac", 32),
    Codec("amr", 12.2),
    Codec("mp3", 64),
    Codec("opus", 24),
    Codec("g711", 64),
)


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording, and what was in front of the microphone."""

    kind: str  # key of KINDS
    name: str
    samples: Samples  # (channels, time) at 48 kHz
    reference: Samples  # as the microphone heard it: its filter and the first 30 ms of the room belong to it
    solid_hz: float  # up to here the reference is good; above, codecs and microphones left holes
    is_speech: bool = True  # else PESQ, STOI and DNSMOS mean nothing

    @property
    def full_band(self) -> Samples:
        """What super-resolution shall give back: with the noise floor and the hum, without the codec."""
        return self.reference if self.kind == "codecs" else self.samples


@dataclass(frozen=True)
class Source:
    """A file, or the part of it that was held back."""

    path: Path
    solid_hz: float
    start_share: float = 0.0  # where the part begins


@dataclass(frozen=True)
class Sources:
    """What was held back of a data folder."""

    voices: tuple[Source, ...]  # strangers: sources of several kinds in turn
    studio: tuple[Source, ...]  # strangers without noise
    as_recorded: tuple[Source, ...]  # readers, actors and volunteers with the floor of their own rooms
    singing: tuple[Source, ...]
    music: tuple[Source, ...]
    noises: tuple[Source, ...]
    rooms: tuple[Source, ...]


Make = Callable[[Sources, int, np.random.Generator], Recording]


def recordings(
    data: Path,
    count: int = 6,
    kinds: Sequence[str] | None = None,
    seed: int = SEED,
    *,
    held_back: bool = True,
) -> list[Recording]:
    """`count` recordings of each kind.

    Args:
        kinds: keys of KINDS; None: all.
        held_back: False: of what was trained on, to choose settings by.

    Raises:
        InputError: the folder lacks a part.
    """
    sources = find_sources(data, held_back)
    found = []
    for kind in KINDS if kinds is None else kinds:
        for number in range(count):
            # Kinds that are added change no others.
            generator = np.random.default_rng((seed, zlib.crc32(kind.encode()), number))
            made = KINDS[kind](sources, number, generator)
            peak = np.float32(max(1.0, float(np.abs(made.samples).max()) / 0.99))
            found.append(
                replace(
                    made,
                    kind=kind,
                    name=f"{number + 1} {made.name}",  # there may be fewer sources than recordings
                    samples=made.samples / peak,
                    reference=made.reference / peak,
                )
            )
    return found


def find_sources(data: Path, held_back: bool = True) -> Sources:
    """The files that were held back, or those that were trained on.

    Raises:
        InputError: the folder lacks a part.
    """
    speech = data / "speech"
    many = _table(speech / "many", held_back)
    unseen = sorted((speech / "freesound_unseen").glob("*.ogg")) if held_back else []
    strangers = [Source(path, EARLIER_RECORDINGS_HZ) for path in unseen]
    actors = [
        Source(path, EARLIER_RECORDINGS_HZ)
        for number in (HELD_BACK_ACTORS if held_back else ACTORS)
        for path in sorted((speech / "ravdess").glob(f"{number:02}*"))[7:8]
    ]
    spoken = [
        Source(speech / "many" / row["file"], float(row["solid_bw_hz"]))
        for row in many
        if row["kind"] in ("speech", "phrases", "words")
    ]
    full = [each for each in spoken if each.path.parent.name == "full"]
    sources = Sources(
        voices=tuple(_in_turn(strangers, spoken, actors)),
        studio=tuple(_in_turn(full, strangers)),
        as_recorded=tuple(
            _in_turn(*_seen(speech, held_back), [each for each in spoken if each.path.parent.name == "wide"])
        ),
        singing=tuple(
            Source(speech / "many" / row["file"], float(row["solid_bw_hz"]))
            for row in many
            if row["kind"] == "singing"
        ),
        music=tuple(_in_turn(_music(data, held_back), _last_tenths(data / "music") if held_back else [])),
        noises=tuple(_in_turn(_noises(data, held_back), _esc50(data / "esc50", held_back))),
        rooms=tuple(
            Source(data / "rooms" / row["file"], RATE / 2)
            for row in _table(data / "rooms", held_back)
            if float(row["rt60_s"] or "inf") < MAX_RT60_SECONDS
        ),
    )
    missing = [name for name, found in vars(sources).items() if not found]
    if missing:
        which = "held back" if held_back else "trained on"
        raise InputError(f"{data} has no {' and no '.join(missing)} that was {which}. Choose another folder.")
    return sources


# Kinds: each makes one recording. `number` goes round the sources, beginning with another voice in each kind,
# but with the same one at all levels of noise; `generator` chooses everything else.


def _noisy(snr_db: float) -> Make:
    def make(sources: Sources, number: int, generator: np.random.Generator) -> Recording:
        plain = _spoken(sources.voices, number, generator)
        return _with_noise(plain, sources, number, snr_db, generator)

    return make


def _room(sources: Sources, number: int, generator: np.random.Generator) -> Recording:
    return _in_room(_spoken(sources.voices, number + 6, generator), sources, number)


def _everything(sources: Sources, number: int, generator: np.random.Generator) -> Recording:
    """Room, noise, microphone, gain control, and clipping or a codec."""
    made = _in_room(_spoken(sources.voices, number + 12, generator), sources, number)
    made = _with_noise(made, sources, number, generator.uniform(3, 18), generator)
    cutoff_hz = float(generator.uniform(5_000, 14_000))
    sections = np.concatenate(
        (
            butter(2, generator.uniform(80, 250), "highpass", fs=RATE, output="sos"),
            butter(4, cutoff_hz, fs=RATE, output="sos"),
        )
    )
    steps_db = np.cumsum(generator.normal(0, 1.5, 10))
    length = made.samples.shape[1]
    gains = 10 ** (np.interp(np.linspace(0, 9, length), np.arange(10), steps_db) / 20)
    samples, reference = (
        (sosfilt(sections, values) * gains).astype(np.float32) for values in (made.samples, made.reference)
    )
    if number % 2:
        limit = np.float32(0.4 * np.abs(samples).max())
        samples = samples.clip(-limit, limit)
    else:
        samples = _transcode(samples, Codec("opus", 16))
    return replace(made, samples=samples, reference=reference, solid_hz=min(made.solid_hz, cutoff_hz))


def _floor(sources: Sources, number: int, generator: np.random.Generator) -> Recording:
    """A noise floor up to half the rate, falling by 0 to 6 dB an octave, 35 to 60 dB below the voice."""
    plain = _spoken(sources.studio, number, generator)
    length = plain.samples.shape[1]
    hz = np.fft.rfftfreq(length, 1 / RATE)
    tilt_db = generator.uniform(-6, 0) * np.log2(np.maximum(hz, 100) / 1_000)
    noise = np.fft.irfft(np.fft.rfft(generator.standard_normal(length)) * 10 ** (tilt_db / 20), length)
    level = ACTIVE_RMS * 10 ** (-generator.uniform(35, 60) / 20) / np.std(noise)
    return replace(plain, samples=plain.samples + (level * noise).astype(np.float32), solid_hz=RATE / 2)


def _coded(sources: Sources, number: int, generator: np.random.Generator) -> Recording:
    plain = _spoken(sources.voices, number + 18, generator)
    codec = CODECS[number % len(CODECS)]
    name = f"{plain.name}, {codec.name} {codec.kilobits:g}"
    return replace(plain, name=name, samples=_transcode(plain.samples, codec))


def _low_disturbance(sources: Sources, number: int, generator: np.random.Generator) -> Recording:
    """In turn a DC offset, rumble below 30 Hz, and mains hum with its harmonics."""
    plain = _spoken(sources.voices, number + 9, generator)
    seconds = np.arange(plain.samples.shape[1]) / RATE
    if number % 3 == 0:
        disturbance = np.full(len(seconds), generator.uniform(0.03, 0.1))
    elif number % 3 == 1:
        low = butter(4, 30, fs=RATE, output="sos")
        disturbance = sosfilt(low, generator.standard_normal(len(seconds)))
        disturbance *= 2 * ACTIVE_RMS / np.std(disturbance)
    else:
        mains_hz = float(generator.choice((50, 60)))
        disturbance = np.zeros(len(seconds))
        for harmonic in range(1, 11):
            phase = generator.uniform(0, 2 * np.pi)
            disturbance += np.sin(2 * np.pi * mains_hz * harmonic * seconds + phase) / harmonic
        disturbance *= ACTIVE_RMS * 10 ** (-10 / 20) / np.std(disturbance)
    return replace(plain, samples=plain.samples + disturbance.astype(np.float32))


def _whispered(sources: Sources, number: int, generator: np.random.Generator) -> Recording:
    plain = _spoken(sources.studio, number, generator)
    return _unchanged(replace(plain, reference=whisper(plain.reference[0], generator)[np.newaxis]))


def _vowel(sources: Sources, number: int, generator: np.random.Generator) -> Recording:
    plain = _spoken(sources.studio, number, generator)
    pitch_hz = VOWEL_PITCHES_HZ[number % len(VOWEL_PITCHES_HZ)]
    held = held_vowel(plain.reference[0], pitch_hz, generator)[np.newaxis]
    return _unchanged(replace(plain, name=f"{plain.name}, {pitch_hz:g} Hz", reference=held, is_speech=False))


def _sung(sources: Sources, number: int, generator: np.random.Generator) -> Recording:
    return _spoken(sources.singing, number, generator)


def _musical(sources: Sources, number: int, generator: np.random.Generator) -> Recording:
    source = sources.music[number % len(sources.music)]
    piece = _piece(source, generator, mono=False)
    return Recording("", source.path.stem, piece, piece, source.solid_hz, is_speech=False)


def _clean(sources: Sources, number: int, generator: np.random.Generator) -> Recording:
    return _spoken(sources.studio, number, generator)


def _as_recorded(sources: Sources, number: int, generator: np.random.Generator) -> Recording:
    return _spoken(sources.as_recorded, number, generator)


KINDS: dict[str, Make] = {
    "noise, 0 dB": _noisy(0),
    "noise, 5 dB": _noisy(5),
    "noise, 10 dB": _noisy(10),
    "noise, 15 dB": _noisy(15),
    "room": _room,
    "everything": _everything,
    "noise floor": _floor,
    "codecs": _coded,
    "DC, rumble, hum": _low_disturbance,
    "whisper": _whispered,
    "held vowels": _vowel,
    "singing": _sung,
    "music": _musical,
    "clean": _clean,
    "as recorded": _as_recorded,
}


# Parts of kinds


def whisper(voice: Samples, generator: np.random.Generator) -> Samples:
    """A voice without pitch: noise through the filter that linear prediction finds for each 40 ms.

    Shape:
        voice: (time,) at 48 kHz; the result is as long.
    """
    hop = LPC_SIZE // 2
    frames = -(-len(voice) // hop) + 1
    padded = np.pad(voice.astype(np.float64), (hop, (frames + 1) * hop - len(voice)))
    # The powers of neighbouring windows add up to one, and so do those of independent noises.
    window = np.sin(np.pi * (np.arange(LPC_SIZE) + 0.5) / LPC_SIZE)
    made = np.zeros_like(padded)
    for number in range(frames):
        place = slice(number * hop, number * hop + LPC_SIZE)
        frame = padded[place] * window
        noise = generator.standard_normal(2 * LPC_SIZE)  # the first half lets the filter settle
        if not frame.any():
            continue
        breath = lfilter([1.0], predictor(frame), noise)[LPC_SIZE:] * window
        made[place] += breath * np.sqrt(np.sum(frame**2) / np.sum(breath**2))
    return made[hop : hop + len(voice)].astype(np.float32)


def held_vowel(voice: Samples, pitch_hz: float, generator: np.random.Generator) -> Samples:
    """The loudest 40 ms of a voice, held at a pitch with a little vibrato and breath.

    Shape:
        voice: (time,) at 48 kHz; the result is as long.
    """
    frames = np.lib.stride_tricks.sliding_window_view(voice, LPC_SIZE)[:: LPC_SIZE // 2]
    loudest = frames[int(np.argmax(np.square(frames).sum(1)))] * np.hanning(LPC_SIZE)
    seconds = np.arange(len(voice)) / RATE
    vibrato = VIBRATO_SHARE * np.sin(2 * np.pi * VIBRATO_HZ * seconds)
    half_phase = np.pi * np.cumsum(pitch_hz * (1 + vibrato)) / RATE
    # The sum of cos(n x) for n from 1 to N is sin((N + 1/2) x) / (2 sin(x / 2)) - 1/2.
    harmonics = int(0.9 * RATE / 2 / (pitch_hz * (1 + VIBRATO_SHARE)))
    divisor = np.sin(half_phase)
    divisor[np.abs(divisor) < 1e-9] = 1e-9
    pulses = np.sin((2 * harmonics + 1) * half_phase) / (2 * divisor) - 0.5
    breath = generator.standard_normal(len(voice)) * np.std(pulses) * 10 ** (ASPIRATION_DB / 20)
    made = lfilter([1.0], predictor(loudest), pulses + breath)
    fade = np.minimum(1, np.minimum(seconds, seconds[::-1]) / 0.05)
    made = fade * made
    held: Samples = (made * (ACTIVE_RMS / np.std(made))).astype(np.float32)
    return held


def predictor(frame: Floats) -> Floats:
    """The prediction error filter of order 48, by the autocorrelation method. Shape: (time,) -> (49,)."""
    spectrum = np.fft.rfft(frame, 2 * len(frame))
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[: LPC_ORDER + 1]
    correlation[0] *= 1 + LPC_WHITENING
    return np.concatenate(([1.0], -solve_toeplitz(correlation[:-1], correlation[1:])))


def split_response(response: Samples) -> tuple[Samples, Samples]:
    """The first 30 ms of a room from the direct sound on, and the rest. Shape: (time,), all."""
    response = response[max(0, int(np.abs(response).argmax()) - BEFORE_DIRECT) :]
    late = np.arange(len(response)) - BEFORE_DIRECT - EARLY_SECONDS * RATE
    share = (late / (EARLY_FADE_SECONDS * RATE)).clip(0, 1)
    fade = (np.cos(np.pi / 2 * share) ** 2).astype(np.float32)
    return response * fade, response * (1 - fade)


def _spoken(sources: Sequence[Source], number: int, generator: np.random.Generator) -> Recording:
    """A voice alone."""
    source = sources[number % len(sources)]
    voice = _piece(source, generator)
    voice *= np.float32(ACTIVE_RMS / max(active_level(voice, RATE), 1e-4))
    return Recording("", source.path.stem, voice, voice, source.solid_hz)


def _unchanged(made: Recording) -> Recording:
    return replace(made, samples=made.reference)


def _in_room(made: Recording, sources: Sources, number: int) -> Recording:
    response = _read(sources.rooms[number % len(sources.rooms)])[0]
    early, late = split_response(response / np.abs(response).max())
    voice = made.samples[0]
    reference, echo = (fftconvolve(voice, part)[: len(voice)].astype(np.float32) for part in (early, late))
    return replace(made, samples=(reference + echo)[np.newaxis], reference=reference[np.newaxis])


def _with_noise(
    made: Recording, sources: Sources, number: int, snr_db: float, generator: np.random.Generator
) -> Recording:
    noise = _piece(sources.noises[number % len(sources.noises)], generator)
    level = active_level(made.reference, RATE) * 10 ** (-snr_db / 20)
    noise *= np.float32(level / max(active_level(noise, RATE), 1e-4))
    return replace(made, samples=made.samples + noise)


def _transcode(samples: Samples, codec: Codec) -> Samples:
    return np.stack([transcode(channel, codec) for channel in samples])


def _piece(source: Source, generator: np.random.Generator, mono: bool = True) -> Samples:
    """The loudest of three places, so that it is not a pause. Shape: (channels, time)."""
    whole = _read(source, mono)
    whole = whole[:, round(source.start_share * whole.shape[1]) :]
    length = round(SECONDS * RATE)
    if whole.shape[1] < length:
        whole = np.concatenate([whole] * -(-length // whole.shape[1]), axis=1)
    starts = generator.integers(whole.shape[1] - length + 1, size=3)
    pieces = [whole[:, start : start + length] for start in starts]
    return max(pieces, key=lambda piece: float(np.square(piece).mean())).copy()


def _read(source: Source, mono: bool = True) -> Samples:
    clip = read(source.path)
    samples = clip.samples.mean(0, keepdims=True) if mono else clip.samples
    return resample_samples(samples, clip.rate, RATE)


# The folder


def _table(folder: Path, held_back: bool) -> list[dict[str, str]]:
    """The rows of a folder's `meta.csv` that are held back, or not."""
    return [row for row in _rows(folder / "meta.csv") if (row["split"] == "val") == held_back]


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise InputError(
            f"{path} is missing. Choose a folder with speech/, noise/, rooms/, music/ and esc50/."
        )
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def _in_turn(*groups: Sequence[Source]) -> list[Source]:
    """The first of each group, then the second of each, until all are there."""
    longest = max(map(len, groups), default=0)
    return [group[place] for place in range(longest) for group in groups if place < len(group)]


def _seen(speech: Path, held_back: bool) -> list[list[Source]]:
    """Some of the last tenth of each reader's files, or of the others, and of some actors'; all speakers were
    trained on."""
    groups = [(_audio_in(speech / reader), READERS_HZ) for reader in ("nathalie", "kathleen")]
    groups += [
        (sorted((speech / "ravdess").glob(f"{actor:02}*")), EARLIER_RECORDINGS_HZ) for actor in ACTORS[::7]
    ]
    found = []
    for files, solid_hz in groups:
        border = len(files) - round(HELD_BACK * len(files))
        part = files[border:] if held_back else files[:border]
        found.append([Source(path, solid_hz) for path in part[:: max(1, len(part) // SEEN_OF_A_SPEAKER)]])
    return [*found[:2], _in_turn(*found[2:])]


def _music(data: Path, held_back: bool) -> list[Source]:
    return [
        Source(data / "music" / "more" / row["file"], 0.9 * float(row["bandwidth_hz"]))
        for row in _table(data / "music" / "more", held_back)
    ]


def _last_tenths(folder: Path) -> list[Source]:
    return [
        Source(path, EARLIER_RECORDINGS_HZ, 1 - HELD_BACK)
        for path in _audio_in(folder)
        if path.stem not in QUIET_ENDS
    ]


def _noises(data: Path, held_back: bool) -> list[Source]:
    return [Source(data / "noise" / row["file"], RATE / 2) for row in _table(data / "noise", held_back)]


def _esc50(folder: Path, held_back: bool) -> list[Source]:
    rows = [
        row
        for row in _rows(folder / "meta" / "esc50.csv")
        if (row["fold"] == VALIDATION_FOLD) == held_back and row["category"] in ESC50_NOISES
    ]
    first = {row["category"]: Source(folder / "audio" / row["filename"], RATE / 2) for row in rows}
    return [first[category] for category in sorted(first)]


def _audio_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.suffix in (".ogg", ".opus", ".flac", ".wav"))
