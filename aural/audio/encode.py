"""Encode a `Clip` into an audio file: WAV, FLAC, Ogg Vorbis, Opus or MP3."""

from __future__ import annotations

import errno
import os
import shutil
import struct
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from os import PathLike
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from aural.audio.clip import Clip, Samples
from aural.audio.resample import resample
from aural.audio.speakers import IMPLIED_LAYOUTS, SPEAKERS, VORBIS_SPEAKERS, speaker_names
from aural.audio.tags import Tags, info_strings, write_tags
from aural.errors import OptionError, OutOfSpaceError
from aural.files import write_then_rename

ANY_RATE = range(1, 2**31)


@dataclass(frozen=True)
class Encoding:
    """One way to write a file."""

    suffix: str
    container: str  # libsndfile's name; FFmpeg writes "OPUS"
    subtype: str  # libsndfile's name
    rates: Sequence[int] = ANY_RATE  # Hz, rising
    channels: int = 8  # at most
    compression_level: float | None = None  # libsndfile's: 0 keeps most, 1 is smallest


# A suffix chooses the first that has it. The lossy ones are set where listeners no longer hear a difference:
# Vorbis quality 8, MP3 V0, Opus 160 kbit/s a channel. libvorbis crashes on rates above 200 kHz.
ENCODINGS = {
    "wav24": Encoding(".wav", "WAV", "PCM_24"),
    "wav32f": Encoding(".wav", "WAV", "FLOAT"),
    "flac": Encoding(".flac", "FLAC", "PCM_24"),
    "ogg": Encoding(".ogg", "OGG", "VORBIS", range(1, 192_001), compression_level=0.2),
    "opus": Encoding(".opus", "OPUS", "OPUS", (8_000, 12_000, 16_000, 24_000, 48_000)),
    "mp3": Encoding(
        ".mp3",
        "MP3",
        "MPEG_LAYER_III",
        (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
        channels=2,
        compression_level=0.0,
    ),
}

# Where libsndfile's WAVEX header has the mask: after RIFF, size, WAVE; "fmt ", size; 20 bytes of format.
MASK_OFFSET = 12 + 8 + 20

OPUS_BITS_PER_SECOND = 160_000  # a channel

BLOCK_FRAMES = 2**14  # libsndfile's Vorbis encoder overruns its stack when handed minutes at once


def wav_encoding(clip: Clip) -> str:
    """The key of `ENCODINGS` for a WAV: floats above full scale, where 24 bits would clip."""
    return "wav32f" if max(clip.samples.max(), -clip.samples.min()) > 1 else "wav24"


def write(
    clip: Clip, path: str | PathLike[str], encoding: str | None = None, tags: Tags | None = None
) -> Path:
    """Encode a clip as the path's suffix says, or by a key of `ENCODINGS` ("wav32f"); returns the path.

    Integer formats saturate at full scale. If Vorbis, Opus or MP3 does not support the rate, the clip is
    resampled to the next higher one that it does, or else to the highest. The file appears under its name
    once it is complete.

    Args:
        tags: title, artist, cover and so on, as `read_tags` finds them in the source.

    Raises:
        InputError: the clip is empty or holds a NaN.
        OptionError: the suffix, the channels, their layout, the rate or the folder cannot be used.
        OutOfSpaceError: the disk is full.
    """
    path = Path(path)
    chosen = _encoding_of(path, encoding)
    clip = resample(clip.require_finite(), encodable_rate(clip.rate, chosen.rates))
    try:
        with write_then_rename(path) as temporary, _named_shortage(temporary.parent):
            _encode(clip, temporary, chosen, tags or Tags())
            if tags:
                write_tags(temporary, chosen.container, tags)
    except (OSError, soundfile.LibsndfileError) as error:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise OutOfSpaceError(
                f"There is no space left to write {path.name!r}. Free some, or choose another folder."
            ) from error
        reason = error.strerror if isinstance(error, OSError) else error.error_string
        raise OptionError(
            f"Can't write {path.name!r} at {clip.rate} Hz with {clip.channels} channels ({reason}). "
            "Choose another folder or format."
        ) from error
    return path


@contextmanager
def _named_shortage(folder: Path) -> Iterator[None]:
    """Tell a full disk from other failures: libsndfile calls each of them a "System error"."""
    try:
        yield
    except soundfile.LibsndfileError:
        if shutil.disk_usage(folder).free < 2**16:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
        raise


def _encoding_of(path: Path, encoding: str | None) -> Encoding:
    suffix = path.suffix.lower()
    if encoding is not None and encoding not in ENCODINGS:
        raise OptionError(f"There is no encoding {encoding!r}. Choose one of {', '.join(ENCODINGS)}.")
    for known in ENCODINGS.values() if encoding is None else [ENCODINGS[encoding]]:
        if known.suffix == suffix:
            return known
    suffixes = sorted({known.suffix for known in ENCODINGS.values()})
    raise OptionError(f"{path.name!r} doesn't end in a known format. Use one of {', '.join(suffixes)}.")


def encodable_rate(rate: int, rates: Sequence[int]) -> int:
    """The rate itself if it is among `rates`, else the next higher one, else the highest."""
    return rates[min(bisect_left(rates, rate), len(rates) - 1)]


def _encode(clip: Clip, path: Path, chosen: Encoding, tags: Tags) -> None:
    container = chosen.container
    if clip.channels > chosen.channels:
        raise OptionError(
            f"{container} files hold at most {chosen.channels} channels; the clip has {clip.channels}. "
            "Down-mix it, or write WAV or FLAC."
        )
    implied = IMPLIED_LAYOUTS[clip.channels]
    if clip.channels > 2 and container != "WAV" and clip.layout not in {None, implied, f"{implied}(side)"}:
        raise OptionError(f"{container} files can't store the layout {clip.layout}. Write WAV.")
    if container == "OPUS":
        _encode_opus(clip, path, implied)
    elif container == "WAV" and clip.channels > 2:
        mask = _channel_mask(clip)
        _encode_with_soundfile(clip, path, chosen, "WAVEX", info_strings(tags))
        with path.open("r+b") as handle:
            handle.seek(MASK_OFFSET)
            handle.write(struct.pack("<I", mask))
    else:
        strings = info_strings(tags) if container == "WAV" else {}
        _encode_with_soundfile(clip, path, chosen, container, strings)


def _encode_opus(clip: Clip, path: Path, layout: str) -> None:
    """By FFmpeg, as libsndfile does not flush the encoder and spoils the last 6 ms."""
    import av

    with av.open(f"file:{path}", "w", format="ogg") as container:
        # Mapping family 1 is the one with speakers.
        options = {"mapping_family": "1"} if clip.channels > 2 else {}
        stream = container.add_stream("libopus", rate=clip.rate, layout=layout, options=options)
        stream.bit_rate = OPUS_BITS_PER_SECOND * clip.channels
        for start, block in blocks(clip):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block).reshape(1, -1), "flt", layout)
            frame.rate, frame.pts, frame.time_base = clip.rate, start, Fraction(1, clip.rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _encode_with_soundfile(
    clip: Clip, path: Path, chosen: Encoding, container: str, strings: Mapping[str, str]
) -> None:
    order = list(range(clip.channels))
    if chosen.subtype == "VORBIS" and clip.channels > 2:
        stored = VORBIS_SPEAKERS[clip.channels]
        order = [sorted(stored, key=SPEAKERS.index).index(speaker) for speaker in stored]
    with soundfile.SoundFile(
        path,
        "w",
        clip.rate,
        clip.channels,
        chosen.subtype,
        format=container,
        compression_level=chosen.compression_level,
    ) as sound:
        for name, text in strings.items():
            setattr(sound, name, text)
        for _, block in blocks(clip):
            sound.write(to_24_bit(block) if chosen.subtype == "PCM_24" else block[:, order])


def blocks(clip: Clip) -> Iterator[tuple[int, Samples]]:
    """The first frame of each block, and the block: (time, channels)."""
    for start in range(0, clip.frames, BLOCK_FRAMES):
        yield start, clip.samples[:, start : start + BLOCK_FRAMES].T


def _channel_mask(clip: Clip) -> int:
    """One bit for each speaker of the clip's layout; 0 says that the layout is not known."""
    import av

    if clip.layout is None:
        return 0
    try:
        speakers = speaker_names(av.AudioLayout(clip.layout))
    except ValueError:
        speakers = None
    if speakers is None or len(speakers) != clip.channels:
        raise OptionError(
            f"{clip.layout!r} is not a speaker layout for {clip.channels} channels. "
            'Use FFmpeg\'s name ("quad", "5.1(side)"), or leave it out.'
        )
    return sum(1 << SPEAKERS.index(speaker) for speaker in speakers)


def to_24_bit(block: Samples) -> NDArray[np.int32]:
    """24-bit integers in the upper bytes of 32, saturated.

    Without dither: rounding to 24 bits leaves noise at -146 dBFS, beneath that of any converter, and a 24-bit
    file passes through unchanged.
    """
    full_scale = 2**23
    rounded = np.clip(np.rint(block * np.float32(full_scale)), -full_scale, full_scale - 1)
    shifted: NDArray[np.int32] = rounded.astype(np.int32) << 8
    return shifted
