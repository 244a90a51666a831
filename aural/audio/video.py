"""Replace the sound of a video file and copy its picture as it is.

The packets of the picture, of other audio tracks, subtitles and attachments go into the new file unchanged,
at their times; the new sound is encoded in what the container carries. Chapters, tags and languages are kept.

A clip that `aural.audio.read` made starts where the file starts to play, with silence where its sound starts
later, so the new track starts there too:

    picture      |--------------------      times as in the file
    read clip  |~~~~~~~~~~~~~~~~~~~~~~      0 is the earliest start of a track
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from aural.audio.clip import Clip
from aural.audio.decode import probe
from aural.audio.decode_ffmpeg import JUMPING, MAX_JUMP_SECONDS, is_cover, open_container, track_place
from aural.audio.decode_parts import Part
from aural.audio.encode import ANY_RATE, ENCODINGS, OPUS_BITS_PER_SECOND, blocks, encodable_rate, to_24_bit
from aural.audio.resample import resample
from aural.audio.speakers import IMPLIED_LAYOUTS
from aural.errors import InputError, OptionError, OutOfSpaceError
from aural.files import write_then_rename

if TYPE_CHECKING:  # PyAV takes 80 ms to import and is loaded by the functions that need it
    from av import Packet
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer
    from av.stream import Stream


@dataclass(frozen=True)
class VideoEncoding:
    """One way to write a video file."""

    container: str  # FFmpeg's name
    codec: str  # FFmpeg's encoder of the sound
    sample_format: str  # that it is handed
    rates: Sequence[int] = ANY_RATE  # Hz, rising
    options: tuple[tuple[str, str], ...] = ()  # of the container


AAC_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000)
AAC_BITS_PER_SECOND = 160_000  # a channel
AAC_BITS_PER_SAMPLE = 6  # at most: 6,144 bits a channel in a frame of 1,024 samples (ISO/IEC 14496-3, 4.5.3)

MAX_BACK_SECONDS = 0.5  # by which a time may be before the one of the packet before it

# The index at the front of the file, so that a browser plays it while it loads.
_FAST_START = (("movflags", "+faststart"),)
_ALL_TAGS = (("movflags", "+faststart+use_metadata_tags"),)
_APPLE_TAGS = "com.apple.quicktime."
MP4, MOV = (VideoEncoding(name, "aac", "flt", AAC_RATES, _FAST_START) for name in ("mp4", "mov"))
# Suffix -> how it is written.
VIDEO_ENCODINGS = {
    ".m4v": MP4,
    ".mkv": VideoEncoding("matroska", "flac", "s32", range(1, 655_351)),
    ".mov": MOV,
    ".mp4": MP4,
    ".webm": VideoEncoding("webm", "libopus", "flt", ENCODINGS["opus"].rates),
}

# What FFmpeg tells of the old container among its tags.
CONTAINER_TAGS = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder"})
# Tags of the old track that still hold for the new one; its bit rate or its loudness would not.
TRACK_TAGS = frozenset({"language", "title", "handler_name"})
# FFmpeg's names of the containers that came from QuickTime.
_MOV_FAMILY = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "mp4", "mov"})


def is_video(path: Path) -> bool:
    """Whether the name is that of a video file that `replace_sound` can write."""
    return path.suffix.lower() in VIDEO_ENCODINGS


def check_video(source: Path, path: Path) -> list[str]:
    """Whether the sound of a video file can be replaced in a file of such a name, before any work.

    Returns:
        sentences on the tracks that would be left out.

    Raises:
        InputError: the source has no picture, or no sound that can be read.
        OptionError: the container cannot hold its picture.
    """
    probe(source)
    index, _ = track_place(Part(source))
    with _open(source, path) as container:
        return _notes(container, _choose(container, path, index), path)


def replace_sound(source: Path, clip: Clip, path: Path) -> Path:
    """Write a video file with the clip as its sound and everything else from the source; returns the path.

    If the codec does not support the rate, the clip is resampled to the next higher one that it does, or else
    to the highest. FLAC saturates at full scale. The file appears under its name once it is complete.

    Args:
        source: the video file that `clip` was read from.
        path: the suffix chooses the container: `VIDEO_ENCODINGS`.

    Raises:
        InputError: the source has no picture; the clip is empty or holds a NaN.
        OptionError: the container cannot hold the picture or the clip, or the folder cannot be used.
        OutOfSpaceError: the disk is full.
    """
    import av

    chosen = VIDEO_ENCODINGS[path.suffix.lower()]
    clip = resample(clip.require_finite(), encodable_rate(clip.rate, chosen.rates))
    index, origin = track_place(Part(source))
    try:
        with write_then_rename(path) as temporary, _open(source, path) as old:
            options = _options(old, chosen)
            with av.open(f"file:{temporary}", "w", format=chosen.container, options=options) as new:
                _copy(old, new, _choose(old, path, index), index, origin, clip, chosen)
    except (av.FFmpegError, OSError, ValueError) as error:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise OutOfSpaceError(
                f"There is no space left to write {path.name!r}. Free some, or choose another folder."
            ) from error
        reason = getattr(error, "strerror", None) or str(error)
        raise OptionError(
            f"Can't write {path.name!r} at {clip.rate} Hz with {clip.channels} channels ({reason}). "
            "Choose another folder, or write .mkv."
        ) from error
    return path


@contextmanager
def _open(source: Path, path: Path) -> Iterator[InputContainer]:
    """The video file. Raises `InputError` if there is no picture in it."""
    with open_container(Part(source)) as container:
        if all(is_cover(stream) for stream in container.streams.video):
            raise InputError(
                f"{source.name!r} has no picture, so {path.name!r} can't be made from it. "
                f"Write {', '.join(sorted({encoding.suffix for encoding in ENCODINGS.values()}))}."
            )
        yield container


def _choose(container: InputContainer, path: Path, index: int) -> list[Stream]:
    """The tracks to copy. Raises `OptionError` if one is a picture that the container cannot hold.

    index: of the track whose sound is replaced.
    """
    import av

    encoding = VIDEO_ENCODINGS[path.suffix.lower()]
    with av.open(os.devnull, "w", format=encoding.container) as output:
        supported = output.supported_codecs
    copied = []
    for stream in container.streams:
        codec = stream.codec_context.name if stream.codec_context else None
        if stream.type == "attachment":
            fits = encoding.container == "matroska"
        elif stream.type == "video" and is_cover(stream):
            fits = {container.format.name, encoding.container} <= _MOV_FAMILY
        else:
            fits = codec in supported
        if stream.type == "video" and not is_cover(stream) and not fits:
            others = [
                suffix for suffix, other in VIDEO_ENCODINGS.items() if other.container != encoding.container
            ]
            raise OptionError(
                f"A {path.suffix[1:]} file can't hold this picture ({codec or 'of an unknown codec'}). "
                f"Write {', '.join(others)}."
            )
        if fits and stream.index != index:
            copied.append(stream)
    return copied


def _notes(container: InputContainer, copied: Sequence[Stream], path: Path) -> list[str]:
    """What is left out, in sentences; the sound that is replaced is one of the audio tracks."""
    missing = []
    for kind, name in (
        ("audio", "audio track"),
        ("subtitle", "subtitle track"),
        ("attachment", "attachment"),
    ):
        present = sum(stream.type == kind for stream in container.streams) - (kind == "audio")
        if count := present - sum(stream.type == kind for stream in copied):
            missing.append(f"{count} {name}{'s' if count > 1 else ''}")
    return [f"A {path.suffix[1:]} file can't hold {' and '.join(missing)}, left out."] if missing else []


def _options(old: InputContainer, chosen: VideoEncoding) -> dict[str, str]:
    """Those of the container; tags by a phone's own names need another way to store them."""
    has_own = any(name.startswith(_APPLE_TAGS) for name in old.metadata)
    return dict(_ALL_TAGS if has_own and chosen.options else chosen.options)


def _copy(
    old: InputContainer,
    new: OutputContainer,
    copied: Sequence[Stream],
    index: int,
    origin: Fraction,
    clip: Clip,
    chosen: VideoEncoding,
) -> None:
    """Write all packets in the order of their times.

    origin: when the clip starts, in the times of the old file, in seconds.
    """
    new.metadata.update(_lasting_tags(old.metadata))
    new.set_chapters(old.chapters())
    streams: dict[int, Stream] = {}
    sound: AudioStream | None = None
    for stream in old.streams:  # the tracks keep their order
        if stream.index == index:
            sound = _add_sound(new, clip, chosen, stream)
        elif stream in copied:
            streams[stream.index] = _add_copy(old, new, stream)
    assert sound is not None
    # The picture's times move by whole ticks of its clock; the rest of the origin is left to the sound.
    tick = next(s.time_base for s in copied if s.type == "video" and not is_cover(s)) or Fraction(1, 90_000)
    shift = round(origin / tick) * tick
    encoder = _Encoder(clip, sound, chosen, origin - shift)
    last: dict[int, int] = {}  # the time of each track's last packet
    for packet in _packets(old, [stream for stream in copied if stream.type != "attachment"]):
        base, index = packet.time_base, packet.stream_index
        assert base is not None and packet.dts is not None
        packet.dts -= round(shift / base)
        packet.pts = packet.dts if packet.pts is None else packet.pts - round(shift / base)
        _check_jump(old, float((packet.dts - last.get(index, packet.dts)) * base))
        # Two packets at one time are a recorder's rounding, but no container takes them.
        packet.dts = max(packet.dts, last.get(index, packet.dts - 1) + 1)
        packet.pts = max(packet.pts, packet.dts)
        last[index] = packet.dts
        new.mux(encoder.until(packet.dts * base))
        packet.stream = streams[packet.stream.index]
        new.mux(packet)
    new.mux(encoder.until(None))


def _check_jump(container: InputContainer, seconds: float) -> None:
    """Raise `OptionError` where times start anew: the sound, read without that gap, would not fit."""
    can_jump = container.format.name.startswith(JUMPING) and seconds > MAX_JUMP_SECONDS
    if can_jump or seconds < -MAX_BACK_SECONDS:
        raise OptionError(
            "The file's times jump, so sound and picture would not stay in sync. Convert it to MP4 first, or "
            "write the sound alone."
        )


def _packets(container: InputContainer, streams: Sequence[Stream]) -> Iterator[Packet[Stream]]:
    """The packets of tracks, each with the time at which it is to be decoded.

    Matroska and AVI store only one time. Where pictures are shown in another order than they are decoded,
    FFmpeg finds the other time from the third picture on; those before are decoded one picture earlier each.
    """
    import av

    waiting: dict[int, list[Packet[Stream]]] = {}
    packets = container.demux(streams)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, IndexError, av.FFmpegError):
            return  # a damaged end
        index, is_end = packet.stream_index, packet.size == 0 and packet.dts is None
        if packet.dts is None and not is_end:
            waiting.setdefault(index, []).append(packet)
            continue
        for place, early in enumerate(reversed(waiting.pop(index, []))):
            step = early.duration or 1
            early.dts = early.pts if packet.dts is None else packet.dts - (place + 1) * step
            if early.dts is not None:
                waiting.setdefault(index, []).insert(0, early)
        yield from waiting.pop(index, [])
        if not is_end:
            yield packet


def _add_copy(old: InputContainer, new: OutputContainer, stream: Stream) -> Stream:
    """A track of the new file for the packets of an old one."""
    added = new.add_stream_from_template(stream, opaque=True)
    added.metadata.update(stream.metadata)
    added.disposition = stream.disposition
    if stream.type == "video" and new.format.name in _MOV_FAMILY:
        is_hevc = stream.codec_context.name == "hevc"
        if old.format.name in _MOV_FAMILY and (is_hevc or new.format.name == "mov"):
            added.codec_context.codec_tag = stream.codec_context.codec_tag  # it tells ProRes 422 from 4444
        elif is_hevc:
            added.codec_context.codec_tag = "hvc1"  # with its other name Apple's players show nothing
    return added


def _add_sound(new: OutputContainer, clip: Clip, chosen: VideoEncoding, replaced: Stream) -> AudioStream:
    """The track of the new sound."""
    layout = clip.layout or IMPLIED_LAYOUTS[clip.channels]
    # Mapping family 1 of Opus is the one with speakers.
    options = {"mapping_family": "1"} if chosen.codec == "libopus" and clip.channels > 2 else {}
    added = cast("AudioStream", new.add_stream(chosen.codec, rate=clip.rate, layout=layout, options=options))
    if chosen.codec == "aac":
        added.bit_rate = min(AAC_BITS_PER_SECOND, AAC_BITS_PER_SAMPLE * clip.rate) * clip.channels
    elif chosen.codec == "libopus":
        added.bit_rate = OPUS_BITS_PER_SECOND * clip.channels
    else:
        added.format = chosen.sample_format
    tags = {name: text for name, text in replaced.metadata.items() if name.lower() in TRACK_TAGS}
    added.metadata.update(tags)
    added.disposition = replaced.disposition
    return added


class _Encoder:
    """Encodes a clip piece by piece, so that it can be written beside the picture.

    start: the time of its first sample in the new file, in seconds.
    """

    def __init__(self, clip: Clip, stream: AudioStream, chosen: VideoEncoding, start: Fraction) -> None:
        self.blocks = blocks(clip)
        self.stream, self.sample_format = stream, chosen.sample_format
        self.rate, self.layout = clip.rate, clip.layout or IMPLIED_LAYOUTS[clip.channels]
        self.start = round(start * clip.rate)
        self.encoded = start  # seconds: what is before it has been encoded

    def until(self, time: Fraction | None) -> list[Packet[Stream]]:
        """What is heard until a time in seconds that was not encoded so far; None: all the rest."""
        import av

        packets: list[Packet[Stream]] = []
        while time is None or self.encoded <= time:
            first, block = next(self.blocks, (None, None))
            if first is None or block is None:
                return packets if time is not None else [*packets, *self.stream.encode(None)]
            samples: Any = to_24_bit(block) if self.sample_format == "s32" else block
            packed = np.ascontiguousarray(samples).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(packed, self.sample_format, self.layout)
            frame.rate, frame.pts = self.rate, self.start + first
            frame.time_base = Fraction(1, self.rate)
            packets += self.stream.encode(frame)
            self.encoded = Fraction(self.start + first + len(block), self.rate)
        return packets


def _lasting_tags(tags: dict[str, str]) -> dict[str, str]:
    """The tags but for those that tell the loudness of the old sound, or its container."""
    return {
        name: text
        for name, text in tags.items()
        if not name.upper().startswith(("REPLAYGAIN_", "R128_")) and name.lower() not in CONTAINER_TAGS
    }
