"""Decode with libsndfile what it reads exactly: WAV, AIFF, AU, FLAC and Ogg Vorbis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import soundfile

from aural.audio.clip import Samples
from aural.audio.decode_ffmpeg import MIN_GAP_SECONDS, last_seconds, speakers_in_header
from aural.audio.decode_parts import Part
from aural.audio.limits import Limits
from aural.audio.speakers import VORBIS_SPEAKERS, Format

BLOCK_FRAMES = 2**14

# libsndfile leaves gaps in an MP3 that is read in blocks, and fails on surround Opus of other encoders.
EXACT = {"WAV", "WAVEX", "RF64", "AIFF", "AU", "FLAC"}


@contextmanager
def open_sound(part: Part, limits: Limits) -> Iterator[soundfile.SoundFile | None]:
    """A part as libsndfile sees it, within the limits; None if FFmpeg should decode it."""
    with ExitStack() as stack:
        file = stack.enter_context(part.open())
        try:
            # Handed a name, libsndfile would decode unknown bytes as what the suffix says.
            handle = file.fileno() if part.is_whole else file
            sound = stack.enter_context(soundfile.SoundFile(handle, closefd=False))
        except soundfile.SoundFileError:
            yield None
            return
        # Where a recorder could not go back to write the length, libsndfile takes that for 0 in WAV and for
        # 2^63 - 1 in FLAC.
        exact = sound.subtype == "VORBIS" or sound.format in EXACT
        if not exact or not 0 < sound.frames < 2**62:
            yield None
            return
        if sound.format == "FLAC" and sound.frames != round(last_seconds(part) * sound.samplerate):
            yield None  # its header tells a wrong length, at which libsndfile would stop
            return
        limits.check(sound.channels, sound.samplerate, sound.frames)
        yield sound


def sound_format(sound: soundfile.SoundFile, part: Part) -> Format:
    """Its rate and channels."""
    speakers = None
    if sound.channels > 2:
        vorbis = sound.subtype == "VORBIS"
        speakers = tuple(VORBIS_SPEAKERS[sound.channels]) if vorbis else speakers_in_header(part)
    return Format(sound.samplerate, sound.channels, speakers)


def sound_blocks(sound: soundfile.SoundFile) -> Iterator[Samples]:
    """Its samples in blocks of shape (time, channels).

    Raises:
        soundfile.SoundFileError: the sound is damaged here, or pages of Ogg Vorbis are missing, whose gaps
            libsndfile closes up.
    """
    left = sound.frames
    # Not `SoundFile.blocks`: it needs to seek, which libsndfile cannot in GSM 6.10, G.721 or NMS ADPCM.
    while len(block := sound.read(BLOCK_FRAMES, "float32", always_2d=True)):
        yield np.asarray(block, np.float32)
        left -= len(block)
    if sound.subtype == "VORBIS" and left > MIN_GAP_SECONDS * sound.samplerate:
        raise soundfile.SoundFileError("pages are missing")
