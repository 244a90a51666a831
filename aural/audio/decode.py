"""Decode audio files into a `Clip`, within limits; tell what a file holds before it is decoded.

A format is recognised by a file's content, never by its name. libsndfile decodes WAV, AIFF, FLAC and Ogg
Vorbis. FFmpeg's libraries, which come with PyAV, decode the rest (MP3, AAC, Opus, MP4, WebM ...) without the
ffmpeg program.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from aural.audio.clip import Clip, Samples
from aural.audio.speakers import SPEAKERS, VORBIS_SPEAKERS, layout_name, speaker_names
from aural.errors import InputError
from aural.files import GIBIBYTE

if TYPE_CHECKING:  # PyAV takes 80 ms to import and is loaded by the functions that need it
    from av import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer


@dataclass(frozen=True)
class Limits:
    """How much audio one file may hold."""

    file_bytes: int = 2 * GIBIBYTE  # on disk
    minutes: float = 120.0
    decoded_bytes: int = 11 * GIBIBYTE // 4  # in memory, as float32: two hours of stereo at 48 kHz
    channels: int = 8
    min_rate: int = 4_000  # Hz
    max_rate: int = 384_000  # Hz

    def check(self, channels: int, rate: int, frames: int) -> None:
        """Raise `InputError` if audio of this size exceeds a limit."""
        if channels > self.channels:
            raise InputError(
                f"The file has {channels} channels; the limit is {self.channels}. Export fewer channels."
            )
        if not self.min_rate <= rate <= self.max_rate:
            raise InputError(
                f"The sample rate is {rate} Hz; it must be from {self.min_rate} to {self.max_rate} Hz. "
                "Export the file at another rate."
            )
        minutes = frames / rate / 60
        if minutes > self.minutes:
            raise InputError(
                f"The file lasts {minutes:.1f} minutes; the limit is {self.minutes:g}. "
                "Cut it into shorter parts."
            )
        decoded_bytes = 4 * channels * frames
        if decoded_bytes > self.decoded_bytes:
            raise InputError(
                f"Decoded, the file takes {decoded_bytes / GIBIBYTE:.1f} GiB; the limit is "
                f"{self.decoded_bytes / GIBIBYTE:.1f} GiB. Cut it, or export it at a lower sample rate."
            )


LIMITS = Limits()


@dataclass(frozen=True)
class Facts:
    """A file's rate, channels and length, known before it is decoded."""

    rate: int  # Hz
    channels: int
    seconds: float  # estimated if the file does not state it


# The formats that FFmpeg may recognise. Playlists and the like are left out: they make it open other files.
AV_CONTAINERS = "aac,aiff,amr,asf,avi,caf,flac,flv,matroska,mov,mp3,mpegts,ogg,w64,wav"

ESTIMATE_PACKETS = 2_000  # some 20 to 60 s, from which the length is estimated if the header lacks it

BLOCK_FRAMES = 2**14


def read(path: str | PathLike[str], limits: Limits = LIMITS) -> Clip:
    """Decode an audio file, or the sound of a video file.

    A truncated file is read up to where it ends. Opus always decodes at 48 kHz, every other format at the
    file's own rate. The encoder's delay and padding are removed if the file states them. The channels are in
    WAV's order; three or more also carry the layout that the file names.

    Raises:
        InputError: the file is missing, has no sound, exceeds a limit, or contains a NaN.
    """
    path = Path(path)
    _check_file(path, limits)
    clip = _read_with_soundfile(path, limits) or _read_with_av(path, limits)
    if clip is None:
        raise _no_audio(path)
    return clip.require_finite()


def probe(path: str | PathLike[str], limits: Limits = LIMITS) -> Facts:
    """The rate, the channels and the length of a file's sound, from its header and its first frame.

    This takes milliseconds. If the header lacks the length (a browser's recording, bare AAC), it is estimated
    from the first packets.

    Raises:
        InputError: as `read`, except for faults that only a full decode reveals.
    """
    path = Path(path)
    _check_file(path, limits)
    facts = _probe_with_soundfile(path, limits) or _probe_with_av(path, limits)
    if facts is None:
        raise _no_audio(path)
    return facts


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


def _read_with_soundfile(path: Path, limits: Limits) -> Clip | None:
    """The clip, or None if FFmpeg should decode the file."""
    with _open_sound(path, limits) as sound:
        if sound is None:
            return None
        speakers = None
        if sound.channels > 2:
            vorbis = sound.subtype == "VORBIS"
            speakers = VORBIS_SPEAKERS[sound.channels] if vorbis else _speakers_in_header(path)
        blocks = sound.blocks(BLOCK_FRAMES, dtype="float32", always_2d=True)
        try:
            return _gather(blocks, sound.channels, sound.samplerate, sound.frames, speakers, limits)
        except soundfile.LibsndfileError:
            return None  # damaged: FFmpeg gets more out of it


def _probe_with_soundfile(path: Path, limits: Limits) -> Facts | None:
    """The facts, or None if FFmpeg should decode the file."""
    with _open_sound(path, limits) as sound:
        return sound and Facts(sound.samplerate, sound.channels, sound.frames / sound.samplerate)


@contextmanager
def _open_sound(path: Path, limits: Limits) -> Iterator[soundfile.SoundFile | None]:
    """The file as libsndfile sees it, within the limits; None if FFmpeg should decode it."""
    with path.open("rb") as handle:
        try:
            # Handed a name, libsndfile would decode unknown bytes as what the suffix says.
            sound = soundfile.SoundFile(handle.fileno(), closefd=False)
        except soundfile.LibsndfileError:
            yield None
            return
        with sound:
            # libsndfile leaves gaps in an MP3 that is read in blocks, and fails on surround Opus of other
            # encoders. Where a recorder could not go back to write the length, it takes that for 0 in WAV
            # and for 2^63 - 1 in FLAC.
            exact = sound.subtype == "VORBIS" or sound.format in {"WAV", "WAVEX", "RF64", "AIFF", "FLAC"}
            if not exact or not 0 < sound.frames < 2**62:
                yield None
                return
            limits.check(sound.channels, sound.samplerate, sound.frames)
            yield sound


def _speakers_in_header(path: Path) -> list[str] | None:
    """The speakers that a WAV, AIFF or FLAC file names; soundfile does not tell them, FFmpeg does."""
    import av

    try:
        with _open_container(path) as container:
            stream = _audio_stream(container)
            return _take_layout(stream)[0] if stream else None
    except av.FFmpegError:
        return None


def _read_with_av(path: Path, limits: Limits) -> Clip | None:
    """The clip, or None if FFmpeg cannot read the file."""
    with _open_track(path, limits) as track:
        if track is None:
            return None
        # A tenth of a second more makes room for the padding at the end.
        room = track.header_frames + track.rate // 10 if track.header_frames else 0
        blocks = _av_blocks(chain([track.first], track.others))
        clip = _gather(blocks, track.channels, track.rate, room, track.speakers, limits)
        if track.container.format.name.startswith("mov"):
            # FFmpeg leaves an AAC file's last frame whole. MP4 states the length in steps of 1 ms or less.
            surplus = clip.frames - track.header_frames
            if 0 < surplus < 2_048:
                clip = clip.with_samples(clip.samples[:, : track.header_frames + track.rate // 1_000])
        return clip


def _probe_with_av(path: Path, limits: Limits) -> Facts | None:
    """The facts, or None if FFmpeg cannot read the file."""
    with _open_track(path, limits) as track:
        if track is None:
            return None
        seconds = track.header_frames / track.rate or _estimate_seconds(track, path.stat().st_size)
        limits.check(track.channels, track.rate, round(seconds * track.rate))
        return Facts(track.rate, track.channels, seconds)


def _estimate_seconds(track: _Track, file_bytes: int) -> float:
    """The length, if the bytes per second stay what they are at the start of the file."""
    import av

    time_base = track.stream.time_base
    if time_base is None:
        return track.first.samples / track.rate
    start, end, position, packets = track.stream.start_time or 0, 0, 0, 0
    try:
        for packet in islice(track.container.demux(track.stream), ESTIMATE_PACKETS):
            packets += 1
            if packet.pts is not None:
                end, position = packet.pts + (packet.duration or 0), (packet.pos or 0) + packet.size
    except (IndexError, av.FFmpegError):
        pass  # a damaged end
    seconds = max(track.first.samples / track.rate, float((end - start) * time_base))
    return seconds * file_bytes / position if packets == ESTIMATE_PACKETS and position > 0 else seconds


@dataclass(frozen=True)
class _Track:
    """A container's audio track, with its first frame decoded."""

    container: InputContainer
    stream: AudioStream
    speakers: list[str] | None  # in the stream's order, if it names them
    header_frames: int  # 0: unknown
    first: AudioFrame
    others: Iterator[AudioFrame]  # all after the first

    # The decoded frame is right where a header is not: HE-AAC may announce half its rate.
    @property
    def channels(self) -> int:
        return self.first.layout.nb_channels

    @property
    def rate(self) -> int:
        return self.first.sample_rate


@contextmanager
def _open_track(path: Path, limits: Limits) -> Iterator[_Track | None]:
    """The file's sound, within the limits; None if FFmpeg cannot read the file."""
    import av

    try:
        container = _open_container(path)
    except av.FFmpegError:
        yield None
        return
    with container:
        if container.streams.video and not container.streams.audio:
            raise InputError(f"{path.name!r} has no audio track. Choose a file that has one.")
        stream = _audio_stream(container)
        if stream is None:
            yield None
            return
        speakers, decodable = _take_layout(stream)
        if not decodable:
            raise InputError("Can't read the file's channel layout. Export it as stereo or 5.1.")
        frames = _av_frames(container, stream)
        first = next(frames, None)
        if first is None:
            yield None
            return
        header_frames = _header_frames(container, stream, first.sample_rate)
        track = _Track(
            container, stream, speaker_names(first.layout) or speakers, header_frames, first, frames
        )
        limits.check(track.channels, track.rate, header_frames)
        yield track


def _open_container(path: Path) -> InputContainer:
    import av

    # "file:", as FFmpeg would take some names for addresses and connect to them.
    options = {"format_whitelist": AV_CONTAINERS, "protocol_whitelist": "file"}
    return av.open(f"file:{path}", "r", metadata_errors="replace", options=options)


def _audio_stream(container: InputContainer) -> AudioStream | None:
    """The first audio track, None if there is none or FFmpeg has no decoder for it."""
    for stream in container.streams.audio:
        return stream if stream.codec_context else None
    return None


def _take_layout(stream: AudioStream) -> tuple[list[str] | None, bool]:
    """The stream's speakers in its own order, if it names them, and whether it is safe to decode.

    PyAV 18 frees a layout with a channel list of its own twice, which ends the process. Taken off the stream
    it is freed once: PCM decodes without it, compressed streams would bring it back with every frame.
    """
    context = stream.codec_context
    layout = context.layout
    if " channels (" not in layout.name and not layout.name.startswith("ambisonic"):
        return speaker_names(layout), True
    context.layout = f"{layout.nb_channels} channels"
    return speaker_names(layout), context.name.startswith("pcm_")


def _av_frames(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    """Decoded frames, up to the end of the file or its truncation; damaged packets are skipped."""
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, IndexError, av.FFmpegError):
            return  # an IndexError is how PyAV meets a track that appears midway
        try:
            yield from packet.decode()
        except av.FFmpegError:
            continue


def _header_frames(container: InputContainer, stream: AudioStream, rate: int) -> int:
    """The length that the header states, 0 if it states none."""
    if container.format.name in {"aac", "amr"}:
        return 0  # bare frames: FFmpeg would guess from the bit rate of the first ones
    if stream.duration is not None and stream.time_base is not None:
        return max(0, round(stream.duration * stream.time_base * rate))
    return max(0, (container.duration or 0) * rate // 1_000_000)


def _av_blocks(frames: Iterable[AudioFrame]) -> Iterator[Samples]:
    """Blocks of shape (time, channels)."""
    import av

    # Interleaved: PyAV 18 reads past the planes of planar frames with eight channels.
    to_float = av.AudioResampler(format="flt")
    kind = None
    for frame in frames:
        kind = kind or (frame.sample_rate, frame.layout.name, frame.format.name)
        if kind != (frame.sample_rate, frame.layout.name, frame.format.name):
            raise InputError("The file changes its sample rate or channels midway. Export it as WAV or FLAC.")
        yield from (_unpack(packed) for packed in to_float.resample(frame))
    yield from (_unpack(packed) for packed in to_float.resample(None))


def _unpack(frame: AudioFrame) -> Samples:
    return np.asarray(frame.to_ndarray(), np.float32).reshape(-1, frame.layout.nb_channels)


def _gather(
    blocks: Iterable[Samples],
    channels: int,
    rate: int,
    frames: int,
    speakers: list[str] | None,
    limits: Limits,
) -> Clip:
    """One clip from blocks of shape (time, channels).

    They are decoded into one array, which grows only if `frames` was too low.
    """
    if speakers is None or len(speakers) != channels:
        speakers = None
        order = list(range(channels))
    else:
        order = [speakers.index(speaker) for speaker in SPEAKERS if speaker in speakers]
    samples = np.empty((channels, frames or 60 * rate), np.float32)
    end = 0
    for block in blocks:
        start, end = end, end + len(block)
        if end > samples.shape[1]:
            limits.check(channels, rate, end)
            larger = np.empty((channels, end + end // 2), np.float32)
            larger[:, :start] = samples[:, :start]
            samples = larger
        samples[:, start:end] = block.T[order]
    return Clip(samples[:, :end], rate, layout_name(channels, speakers))
