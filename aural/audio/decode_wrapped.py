"""Dolby Digital (AC-3) or DTS stored as if it were PCM, as on a DTS CD: played as PCM it is loud noise.

Sources: IEC 61937-1 (bursts with a preamble, as on S/PDIF); ETSI TS 102 114 (DTS, its four sync words);
ETSI TS 102 366 (AC-3, its sync word and frame sizes).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from aural.audio.decode_ffmpeg import Silence, Track, as_blocks, decoded_frames
from aural.audio.speakers import Format, speaker_names
from aural.errors import InputError

if TYPE_CHECKING:  # PyAV takes 80 ms to import and is loaded by the functions that need it
    from av.container import InputContainer

LOSSLESS = ("PCM_16", "PCM_24", "PCM_32")  # in which a bit stream survives
SEARCH_FRAMES = 2**16  # from the first sample that is not 0

NAMES = {"ac3": "Dolby Digital (AC-3)", "dts": "DTS", "spdif": "Dolby Digital or DTS"}
# Bytes that a stream repeats, as they follow each other in 16-bit little-endian samples; whether each pair of
# bytes is swapped; and FFmpeg's format.
SYNCS = (
    (bytes.fromhex("72f81f4e"), False, "spdif"),
    (bytes.fromhex("f8724e1f"), True, "spdif"),
    (bytes.fromhex("fe7f0180"), True, "dts"),
    (bytes.fromhex("7ffe8001"), False, "dts"),
    (bytes.fromhex("ff1f00e8"), True, "dts"),  # 14 bits in each sample
    (bytes.fromhex("1fffe800"), False, "dts"),
)
MIN_SYNCS = 2  # in `SEARCH_FRAMES`; in sound even one is a matter of luck
AC3_SYNC = {False: bytes.fromhex("0b77"), True: bytes.fromhex("770b")}
AC3_KBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
AC3_RATES = (48_000, 44_100, 32_000)
AC3_FRAME = 1_536  # samples
AC3_CHAIN = 3  # frames that follow each other


@dataclass(frozen=True)
class Wrapped:
    """A bit stream found in PCM."""

    name: str  # FFmpeg's, of its format
    start: int  # frames of silence before it
    swapped: bool  # whether the bytes of each 16-bit word are in the wrong order


def find_wrapped(sound: soundfile.SoundFile) -> Wrapped | None:
    """The bit stream in a file that says it is PCM, or None; the file is at its start afterwards."""
    if sound.subtype not in LOSSLESS:
        return None
    start = 0
    while len(block := sound.read(SEARCH_FRAMES, "int16", always_2d=True)):
        sounding = np.flatnonzero(block.any(axis=1))
        if sounding.size:
            start += int(sounding[0])
            sound.seek(start)
            words = sound.read(SEARCH_FRAMES, "int16", always_2d=True).astype("<i2").tobytes()
            sound.seek(0)
            found = _find_sync(words)
            return None if found is None else Wrapped(found[0], start, found[1])
        start += len(block)
    sound.seek(0)
    return None


@contextmanager
def open_wrapped(sound: soundfile.SoundFile, wrapped: Wrapped) -> Iterator[Track]:
    """The sound of a bit stream.

    Raises:
        InputError: it cannot be decoded.
    """
    import av

    with ExitStack() as stack:
        try:
            container = stack.enter_context(_open(sound, wrapped))
            frames = decoded_frames(container, container.streams.audio[0])
            first = next(frames, None)
        except (IndexError, av.FFmpegError):
            first = None
        if first is None:
            raise InputError(
                f"The file says it is PCM but holds {NAMES[wrapped.name]}, which can't be decoded. "
                "Decode it with a media player, and export WAV or FLAC."
            )
        form = Format(first.sample_rate, first.layout.nb_channels, speaker_names(first.layout))
        silence = Silence(form, round(wrapped.start / sound.samplerate * form.rate))
        blocks = as_blocks(chain([silence] if silence.frames else [], [first], frames))
        note = f"The file says it is PCM but holds {NAMES[wrapped.name]}, which was decoded."
        yield Track(form, 0, blocks, [note])


def wrapped_seconds(sound: soundfile.SoundFile, wrapped: Wrapped) -> float:
    """How long the sound of a bit stream lasts, by its packets."""
    import av

    seconds = 0.0
    with _open(sound, wrapped) as container, suppress(IndexError, av.FFmpegError):
        for packet in container.demux(container.streams.audio[0]):
            if packet.duration and packet.time_base:
                seconds += float(packet.duration * packet.time_base)
    silent_seconds = float(wrapped.start / sound.samplerate)
    return silent_seconds + seconds if seconds else float(sound.frames / sound.samplerate)


def _find_sync(words: bytes) -> tuple[str, bool] | None:
    """FFmpeg's name of the bit stream in these words, and whether their bytes are swapped."""
    for sync, swapped, name in SYNCS:
        if sum(place % 2 == 0 for place in _places(words, sync)) >= MIN_SYNCS:
            return name, swapped
    for swapped, sync in AC3_SYNC.items():
        stream = np.frombuffer(words, np.uint16).byteswap().tobytes() if swapped else words
        places = [place for place in _places(words, sync) if place % 2 == 0]
        if any(_is_ac3_chain(stream, place) for place in places):
            return "ac3", swapped
    return None


def _places(words: bytes, sync: bytes) -> list[int]:
    return [found.start() for found in re.finditer(re.escape(sync), words)]


def _is_ac3_chain(stream: bytes, place: int) -> bool:
    """Whether `AC3_CHAIN` frames of AC-3 follow each other from here."""
    for _ in range(AC3_CHAIN):
        header = stream[place : place + 6]
        if len(header) < 6 or header[:2] != AC3_SYNC[False]:
            return False
        rate_code, size_code = header[4] >> 6, header[4] & 63
        if rate_code >= len(AC3_RATES) or size_code // 2 >= len(AC3_KBITS) or header[5] >> 3 > 10:
            return False
        words = AC3_KBITS[size_code // 2] * 1_000 * AC3_FRAME // (16 * AC3_RATES[rate_code])
        # At 44.1 kHz every other frame may be a word longer.
        place += 2 * (words + (size_code & 1 if rate_code == 1 else 0))
    return True


class _Words(io.RawIOBase):
    """The upper 16 bits of the samples as a stream of bytes."""

    def __init__(self, sound: soundfile.SoundFile, wrapped: Wrapped) -> None:
        sound.seek(wrapped.start)
        self.sound, self.swapped, self.left = sound, wrapped.swapped, b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if not self.left:
            words = self.sound.read(SEARCH_FRAMES, "int16", always_2d=True).astype("<i2")
            self.left = (words.byteswap() if self.swapped else words).tobytes()
        content, self.left = self.left[:size], self.left[size:]
        return content


@contextmanager
def _open(sound: soundfile.SoundFile, wrapped: Wrapped) -> Iterator[InputContainer]:
    import av

    options = {"format_whitelist": wrapped.name}
    with av.open(_Words(sound, wrapped), "r", format=wrapped.name, options=options) as container:
        yield container
