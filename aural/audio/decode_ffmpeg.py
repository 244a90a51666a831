"""Decode one audio track with FFmpeg's libraries, which come with PyAV, at the times that the file gives it.

A container such as MP4, WebM, MPEG-TS, FLV or Ogg gives each packet a time. Where packets are missing (lost
on the way, or left out in silence) and where the sound starts later than the picture, there is silence.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from aural.audio.clip import Samples
from aural.audio.decode_parts import Part
from aural.audio.limits import Facts, Limits
from aural.audio.speakers import Format, speaker_names
from aural.errors import InputError

if TYPE_CHECKING:  # PyAV takes 80 ms to import and is loaded by the functions that need it
    from av import AudioFrame, Packet
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream

# The formats that FFmpeg may recognise. Playlists and the like are left out: they make it open other files.
CONTAINERS = "aac,aiff,amr,asf,avi,caf,flac,flv,matroska,mov,mp3,mpegts,ogg,w64,wav"

# Those whose packets have times; the others only count.
TIMED = ("matroska", "mov", "mpegts", "flv", "ogg")
# Those whose times may jump without a gap, where a recorder was restarted or streams were joined.
JUMPING = ("mpegts", "ogg")
MAX_JUMP_SECONDS = 10.0  # a larger one is no gap in those

# A gap is at least nearly one frame long: shorter ones are a recorder's jitter, or rounded times.
GAP_FRAMES = 0.9
MIN_GAP_SECONDS, MAX_GAP_SECONDS = 0.005, 0.1  # the least gap, for very short and very long frames
# Ogg gives times to pages. FFmpeg works out those of packets, in Vorbis up to a quarter of a long block off.
MIN_GAP_FRAMES_OF_OGG = 512
MIN_LATE_SECONDS = 0.0015  # of the sound, after the picture; times of WebM and FLV are rounded to 1 ms

MAX_PADDING_SECONDS = 0.1  # that an encoder adds at the end
MAX_PADDING_FRAMES = 2_048
MAX_PADDING_FRAMES_OF_OGG = 8_192  # the longest block of Vorbis

SILENCE_FRAMES = 2**16  # of a block

ESTIMATE_PACKETS = 2_000  # some 20 to 60 s, from which the length is estimated if it cannot be found
END_SECONDS = 10**7  # beyond the end of any file
MIN_BYTES_PER_SECOND = 1_000  # of a file; where there are fewer, its times may have jumped

Block = tuple[Format, Samples]  # of shape (time, channels)


@dataclass(frozen=True)
class Track:
    """A track that is being decoded."""

    format: Format  # of its first frame
    frames: int  # of the whole, with the silence in it; 0: unknown
    blocks: Iterator[Block]
    notes: list[str]  # what was chosen, in sentences


@contextmanager
def open_track(part: Part, limits: Limits) -> Iterator[Track | None]:
    """The sound of a part; None if FFmpeg cannot read it.

    Raises:
        InputError: there is no sound, or it exceeds a limit.
    """
    with _open_first(part) as opened:
        if opened is None:
            yield None
            return
        form = _format(opened.first, opened.speakers)
        frames = round(_seconds(opened, part) * form.rate)
        limits.check(form.channels, form.rate, frames)
        timeline = _Timeline(opened, part, limits.max_frames(form.channels, form.rate) / form.rate)
        blocks = as_blocks(_fill(chain([opened.first], opened.others), timeline, form), form.speakers)
        # FFmpeg leaves the last frame of AAC or Vorbis whole. MP4 states the length in steps of 1 ms or less.
        if opened.container.format.name.startswith("mov"):
            blocks = _up_to(frames + form.rate // 1_000, blocks, MAX_PADDING_FRAMES)
        elif opened.container.format.name == "ogg":
            blocks = _up_to(frames, blocks, MAX_PADDING_FRAMES_OF_OGG)
        yield Track(form, frames, blocks, opened.notes)


def probe_track(part: Part, limits: Limits) -> Facts | None:
    """The facts of a part's sound; None if FFmpeg cannot read it."""
    with _open_first(part) as opened:
        if opened is None:
            return None
        seconds = _seconds(opened, part) or _estimate_seconds(opened, part)
        rate, channels = opened.first.sample_rate, opened.first.layout.nb_channels
        limits.check(channels, rate, round(seconds * rate))
        return Facts(rate, channels, seconds)


def track_place(part: Part) -> tuple[int, Fraction]:
    """The index of the track that `open_track` reads, and when it starts, in seconds of the file's own times.

    Raises:
        InputError: there is no sound that FFmpeg can read.
    """
    with _open_first(part) as opened:
        if opened is None:
            raise InputError(f"Can't read any audio in {part.path.name!r}. Choose another video file.")
        return opened.stream.index, Fraction(_origin_seconds(opened, part))


def speakers_in_header(part: Part) -> tuple[str, ...] | None:
    """The speakers that a WAV, AIFF or FLAC file names; soundfile does not tell them, FFmpeg does."""
    import av

    try:
        with open_container(part) as container:
            for stream in container.streams.audio:
                return _take_layout(stream)[0] if stream.codec_context else None
    except av.FFmpegError:
        pass
    return None


def last_seconds(part: Part, index: int = 0) -> float:
    """When the last packet of a stream ends, by its own time; 0 if no packet has one."""
    # In a very short file FFmpeg may find nothing behind a seek.
    return _last_seconds(part, index, seek=True) or _last_seconds(part, index, seek=False)


def _last_seconds(part: Part, index: int, *, seek: bool) -> float:
    import av

    end = 0.0
    try:
        with open_container(part) as container:
            stream = container.streams[index]
            if stream.time_base is None:
                return 0.0
            if seek:
                container.seek(int(END_SECONDS / stream.time_base), stream=stream)
            for packet in container.demux(stream):
                if packet.pts is not None:
                    duration = duration_of(packet)
                    ends = float((packet.pts + duration) * stream.time_base)
                    end = max(end, ends) if duration >= 0 else ends
    except (IndexError, OverflowError, av.FFmpegError):
        pass  # a damaged end
    return end


def duration_of(packet: Packet[Any]) -> int:
    """How long a packet lasts, in its stream's time base; 0 if unknown.

    Negative in the last packet of an Ogg file that ends before it: FFmpeg tells this modulo 2^32.
    """
    duration: int = packet.duration or 0
    return duration - 2**32 if 2**31 <= duration < 2**32 else duration


@contextmanager
def open_container(part: Part) -> Iterator[InputContainer]:
    """A part, opened by FFmpeg."""
    import av

    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
    if part.is_whole:
        # "file:", as FFmpeg would take some names for addresses and connect to them.
        with av.open(f"file:{part.path}", "r", metadata_errors="replace", options=options) as container:
            yield container
        return
    with part.open() as file, av.open(file, "r", metadata_errors="replace", options=options) as container:
        yield container


def decoded_frames(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    """Decoded frames, up to the end of the file or its truncation; damaged packets are skipped."""
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, IndexError, av.FFmpegError):
            return  # an IndexError is how PyAV meets a track that appears midway
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue
        for frame in frames:
            if stream.codec_context.name.startswith("mp"):
                # FFmpeg gives the first frame of MP3 after a change of the rate the old one.
                frame.sample_rate = stream.codec_context.sample_rate
            yield frame


def as_blocks(
    frames: Iterable[AudioFrame | Silence], speakers: tuple[str, ...] | None = None
) -> Iterator[Block]:
    """Frames as blocks, each in its own format.

    speakers: of the first frame, if it does not name them itself.
    """
    import av

    kind, packer, form = None, None, None
    for frame in frames:
        if isinstance(frame, Silence):
            if packer is not None and form is not None:
                yield from ((form, _unpack(packed)) for packed in packer.resample(None))
                packer, kind = None, None
            for start in range(0, frame.frames, SILENCE_FRAMES):
                count = min(SILENCE_FRAMES, frame.frames - start)
                yield frame.form, np.zeros((count, frame.form.channels), np.float32)
            continue
        if kind != (frame.sample_rate, frame.layout.name, frame.format.name):
            if packer is not None and form is not None:
                yield from ((form, _unpack(packed)) for packed in packer.resample(None))
            form = _format(frame, speaker_names(frame.layout) or speakers)
            kind = (frame.sample_rate, frame.layout.name, frame.format.name)
            # Interleaved: PyAV 18 reads past the planes of planar frames with eight channels.
            packer = av.AudioResampler(format="flt")
        assert packer is not None and form is not None
        yield from ((form, _unpack(packed)) for packed in packer.resample(frame))
    if packer is not None and form is not None:
        yield from ((form, _unpack(packed)) for packed in packer.resample(None))


@dataclass(frozen=True)
class Silence:
    """A gap between two frames."""

    form: Format
    frames: int


class _Timeline:
    """Finds the gaps between frames or packets, so that each can be put at its time.

    Args:
        max_seconds: a file may last; a time beyond it is damaged.
    """

    def __init__(self, opened: _Opened, part: Part, max_seconds: float) -> None:
        name = opened.container.format.name
        self.max_seconds = max_seconds
        self.is_timed = name.startswith(TIMED)
        of_ogg = MIN_GAP_FRAMES_OF_OGG / opened.first.sample_rate
        self.min_gap_seconds = max(MIN_GAP_SECONDS, of_ogg) if name == "ogg" else MIN_GAP_SECONDS
        self.max_jump_seconds = MAX_JUMP_SECONDS if name.startswith(JUMPING) else max_seconds
        self.zero = _origin_seconds(opened, part)  # the time at which `written` was 0
        self.expected = self.zero  # the time at which the next one should start
        self.written = 0.0  # seconds

    def add(self, start: float | None, seconds: float, following: float | None = None) -> float:
        """Add a frame; returns how long the silence before it is.

        Args:
            start: its time; None: it has none.
            following: the time of the next one, which must confirm a long gap; None: not known.
        """
        missing = 0.0
        if self.is_timed and start is not None and not self._is_damaged(start, seconds, following):
            missing = self._missing_seconds(start, seconds)
            self.expected = start
        self.expected += seconds
        self.written += missing + seconds
        return missing

    def _is_damaged(self, start: float, seconds: float, following: float | None) -> bool:
        """Whether a time is far off, and the next one is not."""
        is_far = abs(start - self.expected) > MAX_JUMP_SECONDS
        return is_far and following is not None and abs(following - start - seconds) > MAX_JUMP_SECONDS

    def _missing_seconds(self, start: float, seconds: float) -> float:
        jump = start - self.expected
        late = start - self.zero - self.written
        if self.written == 0:
            least = MIN_LATE_SECONDS
        else:
            least = min(max(GAP_FRAMES * seconds, self.min_gap_seconds), MAX_GAP_SECONDS)
        if jump < -MAX_JUMP_SECONDS or jump > self.max_jump_seconds or late + self.written > self.max_seconds:
            self.zero = start - self.written  # the times start anew
            return 0.0
        return late if min(jump, late) >= least else 0.0


def _fill(frames: Iterable[AudioFrame], timeline: _Timeline, form: Format) -> Iterator[AudioFrame | Silence]:
    """The frames, and silence where some are missing.

    form: of the first frame.
    """
    for frame, following in _with_following(frames):
        seconds = frame.samples / frame.sample_rate
        if following is None:  # nothing would confirm a long gap
            following = timeline.expected + seconds
        missing = timeline.add(_start(frame), seconds, following)
        if count := round(missing * frame.sample_rate):
            yield Silence(_format(frame, speaker_names(frame.layout) or form.speakers), count)
        yield frame


def _with_following(frames: Iterable[AudioFrame]) -> Iterator[tuple[AudioFrame, float | None]]:
    """Each frame with the time of the next one; None if that has none."""
    held = None
    for frame in frames:
        if held is not None:
            yield held, _start(frame)
        held = frame
    if held is not None:
        yield held, None


def _start(frame: AudioFrame) -> float | None:
    return None if frame.pts is None or frame.time_base is None else float(frame.pts * frame.time_base)


def _up_to(end: int, blocks: Iterator[Block], max_padding: int) -> Iterator[Block]:
    """The blocks up to a number of frames, if no more padding follows; else all: that number is wrong."""
    written = 0
    held: list[Block] | None = []  # from the block on that reaches beyond the end
    for form, samples in blocks:
        written += len(samples)
        if held is None or written <= end:
            yield form, samples
            continue
        held.append((form, samples))
        if written - end > max_padding:
            yield from held
            held = None
    left = end - written + sum(len(samples) for _, samples in held or ())
    for form, samples in held or ():
        yield form, samples[: max(left, 0)]
        left -= len(samples)


@dataclass(frozen=True)
class _Opened:
    """A container whose track is being decoded."""

    container: InputContainer
    stream: AudioStream
    first: AudioFrame
    others: Iterator[AudioFrame]
    speakers: tuple[str, ...] | None  # of the first frame, in its order
    notes: list[str]


@contextmanager
def _open_first(part: Part) -> Iterator[_Opened | None]:
    """The chosen track of a part with its first frame; None if there is none that FFmpeg can read."""
    import av

    with ExitStack() as stack:
        try:
            chosen, notes = _choose(part)
            container = stack.enter_context(open_container(part))
            opened = None if chosen is None else _decode_first(container, chosen, notes)
        except av.FFmpegError:
            opened = None
        yield opened


def _choose(part: Part) -> tuple[int | None, list[str]]:
    """The index of the track to read, and a note if there are several.

    It is the default one, or else the first that can be decoded.

    Raises:
        InputError: there are only pictures, or only layouts that are not safe to decode.
    """
    with open_container(part) as container:
        streams = container.streams
        if streams.video and not streams.audio:
            raise InputError(f"{part.path.name!r} has no audio track. Choose a file that has one.")
        indices = [stream.index for stream in streams.audio]
        defaults = [stream.index for stream in streams.audio if _is_default(stream)]
        safe = [stream.index for stream in streams.audio if _is_decodable(stream)]
        has_decoder = [stream.index for stream in streams.audio if stream.codec_context]
    if has_decoder and not safe:
        raise InputError("Can't read the file's channel layout. Export it as stereo or 5.1.")
    if len(indices) < 2:
        return (safe[0] if safe else None), []
    for index in sorted(safe, key=lambda index: index not in defaults):
        with open_container(part) as container:
            if _decode_first(container, index, []) is None:
                continue
        reason = "the default" if index in defaults else "the first that can be decoded"
        number = indices.index(index) + 1
        return index, [f"The file has {len(indices)} audio tracks; track {number} ({reason}) was used."]
    return None, []


def _is_decodable(stream: AudioStream) -> bool:
    return bool(stream.codec_context) and _take_layout(stream)[1]


def _decode_first(container: InputContainer, index: int, notes: list[str]) -> _Opened | None:
    stream = cast("AudioStream", container.streams[index])
    speakers, _ = _take_layout(stream)
    frames = decoded_frames(container, stream)
    first = next(frames, None)
    if first is None:
        return None
    return _Opened(container, stream, first, frames, speaker_names(first.layout) or speakers, notes)


def _take_layout(stream: AudioStream) -> tuple[tuple[str, ...] | None, bool]:
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


def _format(frame: AudioFrame, speakers: tuple[str, ...] | None) -> Format:
    # The decoded frame is right where a header is not: HE-AAC may announce half its rate.
    return Format(frame.sample_rate, frame.layout.nb_channels, speakers)


def _unpack(frame: AudioFrame) -> Samples:
    return np.asarray(frame.to_ndarray(), np.float32).reshape(-1, frame.layout.nb_channels)


def _header_seconds(opened: _Opened) -> float:
    """The length that the header states, or that FFmpeg guesses; 0: none."""
    container, stream = opened.container, opened.stream
    if container.format.name in {"aac", "amr"}:
        return 0.0  # bare frames: FFmpeg would guess from the bit rate of the first ones
    if stream.duration is not None and stream.time_base is not None:
        return max(0.0, float(stream.duration * stream.time_base))
    return max(0.0, (container.duration or 0) / 1e6)


def _seconds(opened: _Opened, part: Part) -> float:
    """The length of a track with the silence in it, by its last packet, or else by its header; 0: unknown."""
    told = _header_seconds(opened)
    start = _origin_seconds(opened, part)
    end = last_seconds(part, opened.stream.index)
    name = opened.container.format.name
    if name.startswith(("mp3", "mov")):
        # Only the header tells how much of the last packet is padding.
        first = float((opened.stream.start_time or 0) * (opened.stream.time_base or 0))
        padded_end = first + told if name.startswith("mov") else told
        if told and (not end or abs(padded_end - end) < MAX_PADDING_SECONDS):
            end = padded_end
    seconds = end - start if end > start else told
    with part.open() as file:
        longest = file.seek(0, io.SEEK_END) / MIN_BYTES_PER_SECOND
    if seconds > longest and name.startswith(TIMED):
        return _count_seconds(opened, part, seconds) or seconds
    return seconds


def _count_seconds(opened: _Opened, part: Part, max_seconds: float) -> float:
    """The length by all packets, for a file whose last time says nothing."""
    import av

    timeline = _Timeline(opened, part, max_seconds)
    with suppress(IndexError, av.FFmpegError), open_container(part) as container:
        for packet in container.demux(container.streams[opened.stream.index]):
            if packet.pts is not None and packet.time_base is not None:
                timeline.add(
                    float(packet.pts * packet.time_base), float(duration_of(packet) * packet.time_base)
                )
    return timeline.written


def _origin_seconds(opened: _Opened, part: Part) -> float:
    """The time at which the file starts to play: where its first track does."""
    container, own = opened.container, opened.stream
    if not container.format.name.startswith(TIMED):
        return 0.0
    streams = (*container.streams.audio, *container.streams.video)
    starts = [
        float(stream.start_time * stream.time_base)
        for stream in streams
        if stream.start_time is not None and stream.time_base is not None and not is_cover(stream)
    ]
    own_start = float((own.start_time or 0) * (own.time_base or 0))
    if container.format.name == "ogg" and part.number == 0 and own_start < MAX_JUMP_SECONDS:
        return min(own_start, 0.0)  # Ogg counts samples from 0: those before were lost
    return min([own_start, *starts])


def is_cover(stream: Stream) -> bool:
    from av.stream import Disposition

    return Disposition.attached_pic in stream.disposition


def _is_default(stream: Stream) -> bool:
    from av.stream import Disposition

    return Disposition.default in stream.disposition


def _estimate_seconds(opened: _Opened, part: Part) -> float:
    """The length, if the bytes per second stay what they are at the start of the file."""
    import av

    time_base = opened.stream.time_base
    first_seconds = opened.first.samples / opened.first.sample_rate
    if time_base is None:
        return first_seconds
    start, end, position, packets = opened.stream.start_time or 0, 0, 0, 0
    try:
        for packet in islice(opened.container.demux(opened.stream), ESTIMATE_PACKETS):
            packets += 1
            if packet.pts is not None:
                end, position = packet.pts + duration_of(packet), (packet.pos or 0) + packet.size
    except (IndexError, av.FFmpegError):
        pass  # a damaged end
    seconds = max(first_seconds, float((end - start) * time_base))
    if packets < ESTIMATE_PACKETS or position <= 0:
        return seconds
    with part.open() as file:
        return seconds * file.seek(0, io.SEEK_END) / position
