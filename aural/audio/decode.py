"""Decode audio files into a `Clip`, within limits; tell what a file holds before it is decoded.

A format is recognised by a file's content, never by its name. libsndfile decodes WAV, AIFF, AU, FLAC and Ogg
Vorbis. FFmpeg's libraries, which come with PyAV, decode the rest (MP3, AAC, Opus, MP4, WebM ...) without the
ffmpeg program.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

import numpy as np
import soundfile
import soxr

from aural.audio.clip import Clip, Samples
from aural.audio.decode_ffmpeg import Track, open_track, probe_track
from aural.audio.decode_parts import Part, split
from aural.audio.decode_soundfile import open_sound, sound_blocks, sound_format
from aural.audio.decode_wrapped import find_wrapped, open_wrapped, wrapped_seconds
from aural.audio.limits import LIMITS, Facts, Limits
from aural.audio.speakers import Format, channel_matrix, layout_name
from aural.errors import InputError
from aural.files import GIBIBYTE

__all__ = ["LIMITS", "Facts", "Limits", "is_wrapped", "probe", "read"]

ROOM_SECONDS = 60  # of memory to start with, if a file's length is not known
MIN_NOTED_SECONDS = 0.1  # of another format: a damaged frame may name any


def read(path: str | PathLike[str], limits: Limits = LIMITS) -> Clip:
    """Decode an audio file, or the sound of a video file.

    Of several tracks the default one is read, or else the first that can be decoded. All links of a chained
    Ogg file are read. Where a container's times leave a gap, and where the sound starts later than the
    picture, there is silence. If the rate or the channels change midway, all is converted to the first ones.
    The clip's notes say what was chosen or converted.

    A truncated file is read up to where it ends, whatever length its header tells. Opus always decodes at
    48 kHz, every other format at the file's own rate. The encoder's delay and padding are removed if the file
    states them. The channels are in WAV's order; three or more also carry the layout that the file names.

    Raises:
        InputError: the file is missing, has no sound, exceeds a limit, or contains a NaN.
    """
    path = Path(path)
    _check_file(path, limits)
    recording = _Recording(limits)
    for part in split(path):
        _read_part(part, limits, recording)
    if recording.target is None:
        raise _no_audio(path)
    return recording.clip().require_finite()


def probe(path: str | PathLike[str], limits: Limits = LIMITS) -> Facts:
    """The rate, the channels and the length of a file's sound, from its header and its first and last frames.

    This takes milliseconds, but a second for a long MP3, whose frames are counted. If the length cannot be
    found so (bare AMR), it is estimated from the first packets.

    Raises:
        InputError: as `read`, except for faults that only a full decode reveals.
    """
    path = Path(path)
    _check_file(path, limits)
    found = [facts for part in split(path) if (facts := _probe_part(part, limits)) is not None]
    if not found:
        raise _no_audio(path)
    first, seconds = found[0], sum(facts.seconds for facts in found)
    limits.check(first.channels, first.rate, round(seconds * first.rate))
    return Facts(first.rate, first.channels, seconds)


def is_wrapped(path: str | PathLike[str]) -> bool:
    """Whether a file says that it is PCM but holds AC-3 or DTS."""
    try:
        with soundfile.SoundFile(path) as sound:
            return find_wrapped(sound) is not None
    except soundfile.SoundFileError:
        return False


def _check_file(path: Path, limits: Limits) -> None:
    """Raise `InputError` if the file is missing, empty, locked or too large."""
    try:
        if not path.is_file():
            raise InputError(f"File {path.name!r} not found. Choose an audio file.")
        path.open("rb").close()
        file_bytes = path.stat().st_size
    except OSError as error:
        raise InputError(f"Can't open {path.name!r} ({error.strerror}). Choose another file.") from error
    if file_bytes == 0:
        raise InputError(f"{path.name!r} is empty (0 bytes). Upload it again, or choose another file.")
    if file_bytes > limits.file_bytes:
        raise InputError(
            f"The file has {file_bytes / GIBIBYTE:.1f} GiB; the limit is "
            f"{limits.file_bytes / GIBIBYTE:.1f} GiB. Cut it into shorter parts, or export it as FLAC."
        )


def _no_audio(path: Path) -> InputError:
    return InputError(
        f"Can't read any audio in {path.name!r}. "
        "Try a WAV, AIFF, FLAC, OGG, Opus, MP3, M4A, MP4 or WebM file."
    )


def _read_part(part: Part, limits: Limits, recording: _Recording) -> None:
    """Decode a part of a file to the end of the recording; nothing if it cannot be read."""
    before = recording.target, recording.end, list(recording.notes), dict(recording.seconds)
    try:
        with _open_with_soundfile(part, limits) as track:
            if track is not None:
                recording.append(track)
                return
    except soundfile.SoundFileError:  # damaged: FFmpeg gets more out of it
        recording.target, recording.end, recording.notes, recording.seconds = before
    with open_track(part, limits) as track:
        if track is not None:
            recording.append(track)


@contextmanager
def _open_with_soundfile(part: Part, limits: Limits) -> Iterator[Track | None]:
    """The sound of a part; None if FFmpeg should decode it."""
    with open_sound(part, limits) as sound:
        if sound is None:
            yield None
        elif wrapped := find_wrapped(sound):
            with open_wrapped(sound, wrapped) as track:
                yield track
        else:
            form = sound_format(sound, part)
            blocks = ((form, samples) for samples in sound_blocks(sound))
            yield Track(form, sound.frames, blocks, [])


def _probe_part(part: Part, limits: Limits) -> Facts | None:
    """The facts of a part of a file; None if it cannot be read."""
    try:
        with open_sound(part, limits) as sound:
            if sound is not None:
                if wrapped := find_wrapped(sound):
                    seconds = wrapped_seconds(sound, wrapped)
                    with open_wrapped(sound, wrapped) as track:
                        return Facts(track.format.rate, track.format.channels, seconds)
                return Facts(sound.samplerate, sound.channels, sound.frames / sound.samplerate)
    except soundfile.SoundFileError:
        pass  # damaged: FFmpeg gets more out of it
    return probe_track(part, limits)


class _Recording:
    """A clip that grows block by block, in the format of the first one."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.target: Format | None = None
        self.samples: Samples = np.empty((0, 0), np.float32)  # (channels, time), with room at the end
        self.end = 0
        self.notes: list[str] = []
        self.seconds: dict[Format, float] = {}  # of each rate and number of channels

    def append(self, track: Track) -> None:
        """Add a track. Raises `InputError` if that exceeds a limit."""
        if self.target is None:
            self.target = track.format.wav_order()
            self.limits.check(self.target.channels, self.target.rate, track.frames)
            # A tenth of a second more makes room for the padding at the end.
            rate = self.target.rate
            room = track.frames + rate // 10 if track.frames else ROOM_SECONDS * rate
            self.samples = np.empty((self.target.channels, room), np.float32)
        self.notes += track.notes
        source: Format | None = None
        converter = _Converter(self.target, self.target)
        for new, samples in track.blocks:
            if new != source:
                self._add(converter.finish())
                source, converter = new, _Converter(new, self.target)
            self._add(converter.convert(samples))
            form = Format(new.rate, new.channels, None)
            self.seconds[form] = self.seconds.get(form, 0.0) + len(samples) / new.rate
        self._add(converter.finish())

    def clip(self) -> Clip:
        """What was added so far."""
        assert self.target is not None
        layout = layout_name(self.target.channels, self.target.speakers)
        own = Format(self.target.rate, self.target.channels, None)
        others = [
            form for form, seconds in self.seconds.items() if form != own and seconds >= MIN_NOTED_SECONDS
        ]
        changes = (
            f"The file changes to {' and '.join(map(_in_words, others))} midway; all of it was converted to "
        )
        notes = [*self.notes, *([f"{changes}{_in_words(own)}."] if others else [])]
        return Clip(self.samples[:, : self.end], self.target.rate, layout, tuple(dict.fromkeys(notes)))

    def _add(self, samples: Samples) -> None:
        """Add samples of shape (channels, time); the room grows if the length was told too low."""
        assert self.target is not None
        channels, rate = self.target.channels, self.target.rate
        start, end = self.end, self.end + samples.shape[1]
        if end > self.limits.max_frames(channels, rate):
            self.limits.check(channels, rate, end)
        if end > self.samples.shape[1]:
            larger = np.empty((channels, end + end // 2), np.float32)
            larger[:, :start] = self.samples[:, :start]
            self.samples = larger
        self.samples[:, start:end] = samples
        self.end = end


class _Converter:
    """Brings blocks (time, channels) from one format to samples (channels, time) of another."""

    def __init__(self, source: Format, target: Format) -> None:
        ordered = source.wav_order()
        names = source.speakers if ordered.speakers else None
        self.order = [names.index(name) for name in ordered.speakers or ()] if names else slice(None)
        same = ordered.channels == target.channels and ordered.speakers == target.speakers
        self.matrix = None if same else channel_matrix(ordered, target)
        self.stream = None
        if source.rate != target.rate:
            self.stream = soxr.ResampleStream(source.rate, target.rate, target.channels, "float32", "VHQ")
        self.channels = target.channels

    def convert(self, samples: Samples) -> Samples:
        mixed: Samples = samples.T[self.order]
        if self.matrix is not None:
            mixed = self.matrix @ mixed
        if self.stream is None:
            return mixed
        resampled: Samples = self.stream.resample_chunk(np.ascontiguousarray(mixed.T)).T
        return resampled

    def finish(self) -> Samples:
        """What the resampler still holds."""
        silence = np.zeros((0, self.channels), np.float32)
        last: Samples = silence.T if self.stream is None else self.stream.resample_chunk(silence, last=True).T
        return last


def _in_words(form: Format) -> str:
    channels = {1: "mono", 2: "stereo"}.get(form.channels, f"{form.channels} channels")
    return f"{form.rate} Hz {channels}"
