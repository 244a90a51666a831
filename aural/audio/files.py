"""Audio files: decoding into a `Clip`, encoding out of one, and the limits on what is taken in.

A format is known by a file's content, never by its name. libsndfile decodes WAV, AIFF, FLAC and Ogg Vorbis;
FFmpeg's libraries, which PyAV brings along, decode the rest (MP3, AAC, Opus, MP4, WebM ...) without the
ffmpeg program. Channel orders: WAVEFORMATEXTENSIBLE for WAV; the Vorbis I specification, 4.3.9, for Vorbis
and Opus (RFC 7845, 5.1.1.2); RFC 9639, 9.1.3, for FLAC.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile
from numpy.typing import NDArray

from aural.audio.clip import Clip, Samples
from aural.audio.resample import resample
from aural.errors import InputError, OptionError
from aural.files import GIBIBYTE, write_then_rename

if TYPE_CHECKING:  # PyAV takes 80 ms to import and is loaded by the functions that need it
    from av import AudioFrame, AudioLayout
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
        """Raise `InputError` where audio of this size is beyond a limit."""
        if channels > self.channels:
            raise InputError(
                f"The file has {channels} channels and the limit is {self.channels}: export fewer channels."
            )
        if not self.min_rate <= rate <= self.max_rate:
            raise InputError(
                f"The sample rate is {rate} Hz and must lie between {self.min_rate} and {self.max_rate} Hz: "
                "export the file at another rate."
            )
        minutes = frames / rate / 60
        if minutes > self.minutes:
            raise InputError(
                f"The file lasts {minutes:.1f} minutes and the limit is {self.minutes:g}: "
                "cut it into shorter parts."
            )
        decoded_bytes = 4 * channels * frames
        if decoded_bytes > self.decoded_bytes:
            raise InputError(
                f"Decoded, the file takes {decoded_bytes / GIBIBYTE:.1f} GiB and the limit is "
                f"{self.decoded_bytes / GIBIBYTE:.1f} GiB: cut it, or export it at a lower sample rate."
            )


LIMITS = Limits()


@dataclass(frozen=True)
class Facts:
    """What a file tells of its sound before it is decoded."""

    rate: int  # Hz
    channels: int
    seconds: float  # estimated where the file does not tell it


ANY_RATE = range(1, 2**31)


@dataclass(frozen=True)
class Encoding:
    """One way to write a file."""

    suffix: str
    container: str  # libsndfile's name, but for Opus
    subtype: str  # likewise
    rates: Sequence[int] = ANY_RATE  # Hz, rising
    channels: int = 8  # at most
    compression_level: float | None = None  # libsndfile's: 0 keeps most, 1 is smallest


# A suffix chooses the first that has it. The lossy ones are set to where they are held to be transparent:
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

# WAV's order, in which every clip holds its channels: bit 0 of the channel mask first, those overhead last.
SPEAKERS = ["FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR"]
SPEAKERS += ["TC", "TFL", "TFC", "TFR", "TBL", "TBC", "TBR"]

# Vorbis, Opus and FLAC store no layout: the number of channels implies it. FLAC keeps WAV's order.
IMPLIED_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
VORBIS_SPEAKERS = {
    3: ["FL", "FC", "FR"],
    4: ["FL", "FR", "BL", "BR"],
    5: ["FL", "FC", "FR", "BL", "BR"],
    6: ["FL", "FC", "FR", "BL", "BR", "LFE"],
    7: ["FL", "FC", "FR", "SL", "SR", "BC", "LFE"],
    8: ["FL", "FC", "FR", "SL", "SR", "BL", "BR", "LFE"],
}

# What FFmpeg may take a file for. Playlists and the like are left out: they make it open other files.
AV_CONTAINERS = "aac,aiff,amr,asf,avi,caf,flac,flv,matroska,mov,mp3,mpegts,ogg,w64,wav"

# Where libsndfile's WAVEX header has the mask: after RIFF, size, WAVE; "fmt ", size; 20 bytes of format.
MASK_OFFSET = 12 + 8 + 20

OPUS_BITS_PER_SECOND = 160_000  # a channel

ESTIMATE_PACKETS = 2_000  # some 20 to 60 s, by which the length of a file is judged that does not tell it

BLOCK_FRAMES = 2**14  # libsndfile's Vorbis encoder overruns its stack when handed minutes at once


def read(path: str | PathLike[str], limits: Limits = LIMITS) -> Clip:
    """Decode an audio file, or the sound of a video file.

    A file that was cut short is read up to the cut. Opus comes at 48 kHz, whatever it was made from; all else
    at its own rate. The encoder's delay and padding are taken off where the file tells them. The channels are
    in WAV's order and, from three on, in the layout that the file names.

    Raises:
        InputError: the file is missing, holds no sound, is beyond the limits, or holds a NaN.
    """
    path = Path(path)
    _check_file(path, limits)
    clip = _read_with_soundfile(path, limits) or _read_with_av(path, limits)
    if clip is None:
        raise _no_audio(path)
    return clip.require_finite()


def probe(path: str | PathLike[str], limits: Limits = LIMITS) -> Facts:
    """The rate, the channels and the length of a file's sound, from its header and its first frame.

    That takes milliseconds. The length is the one that the file tells; where it tells none (a browser's
    recording, bare AAC) it is judged by the time that the first packets fill.

    Raises:
        InputError: as of `read`, but for what only shows when all is decoded.
    """
    path = Path(path)
    _check_file(path, limits)
    facts = _probe_with_soundfile(path, limits) or _probe_with_av(path, limits)
    if facts is None:
        raise _no_audio(path)
    return facts


def wav_encoding(clip: Clip) -> str:
    """What a WAV keeps the clip in, a key of `ENCODINGS`: 24 bits would clip above full scale."""
    return "wav32f" if max(clip.samples.max(), -clip.samples.min()) > 1 else "wav24"


def write(clip: Clip, path: str | PathLike[str], encoding: str | None = None) -> Path:
    """Encode a clip as the path's suffix says, or by a key of `ENCODINGS` ("wav32f"); returns the path.

    Integer formats saturate at full scale. A rate that Vorbis, Opus or MP3 does not have is resampled to the
    next higher one it has, or else to the highest. The file appears under its name once it is complete.

    Raises:
        InputError: the clip is empty or holds a NaN.
        OptionError: the suffix, the channels, their layout, the rate or the folder cannot be used.
    """
    path = Path(path)
    chosen = _encoding_of(path, encoding)
    clip = resample(clip.require_finite(), _encodable_rate(clip.rate, chosen.rates))
    try:
        with write_then_rename(path) as temporary:
            _encode(clip, temporary, chosen)
    except (OSError, soundfile.LibsndfileError) as error:
        raise OptionError(
            f"{path.name!r} cannot be written at {clip.rate} Hz with {clip.channels} channels ({error}): "
            "choose another folder or another format."
        ) from error
    return path


def _check_file(path: Path, limits: Limits) -> None:
    """Raise `InputError` where there is no file, or one that is empty, locked or too large."""
    try:
        if not path.is_file():
            raise InputError(f"There is no file {path.name!r}: choose an audio file.")
        path.open("rb").close()
        file_bytes = path.stat().st_size
    except OSError as error:
        raise InputError(
            f"{path.name!r} cannot be opened ({error.strerror}): choose another file."
        ) from error
    if file_bytes == 0:
        raise InputError(f"{path.name!r} is empty (0 bytes): upload it again, or choose another file.")
    if file_bytes > limits.file_bytes:
        raise InputError(
            f"The file has {file_bytes / GIBIBYTE:.1f} GiB and the limit is "
            f"{limits.file_bytes / GIBIBYTE:.1f} GiB: cut it into shorter parts, or export it as FLAC."
        )


def _no_audio(path: Path) -> InputError:
    return InputError(
        f"{path.name!r} holds no audio that can be read: "
        "choose a WAV, AIFF, FLAC, OGG, Opus, MP3, M4A, MP4 or WebM file."
    )


def _read_with_soundfile(path: Path, limits: Limits) -> Clip | None:
    """The clip, or None where the file is better left to FFmpeg."""
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
    """The facts, or None where the file is better left to FFmpeg."""
    with _open_sound(path, limits) as sound:
        return sound and Facts(sound.samplerate, sound.channels, sound.frames / sound.samplerate)


@contextmanager
def _open_sound(path: Path, limits: Limits) -> Iterator[soundfile.SoundFile | None]:
    """The file as libsndfile sees it, within the limits; None where it is better left to FFmpeg."""
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
    """The clip, or None where FFmpeg can make nothing of the file."""
    with _open_track(path, limits) as track:
        if track is None:
            return None
        # A tenth of a second more takes in the padding at the end.
        room = track.told_frames + track.rate // 10 if track.told_frames else 0
        blocks = _av_blocks(chain([track.first], track.others))
        clip = _gather(blocks, track.channels, track.rate, room, track.speakers, limits)
        if track.container.format.name.startswith("mov"):
            # FFmpeg leaves an AAC file's last frame whole. MP4 tells the length in steps of 1 ms or less.
            surplus = clip.frames - track.told_frames
            if 0 < surplus < 2_048:
                clip = clip.with_samples(clip.samples[:, : track.told_frames + track.rate // 1_000])
        return clip


def _probe_with_av(path: Path, limits: Limits) -> Facts | None:
    """The facts, or None where FFmpeg can make nothing of the file."""
    with _open_track(path, limits) as track:
        if track is None:
            return None
        seconds = track.told_frames / track.rate or _estimated_seconds(track, path.stat().st_size)
        limits.check(track.channels, track.rate, round(seconds * track.rate))
        return Facts(track.rate, track.channels, seconds)


def _estimated_seconds(track: _Track, file_bytes: int) -> float:
    """How long the rest is, if each second of it takes as many bytes as those at the start."""
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
    """A container's sound, of which the first frame is decoded."""

    container: InputContainer
    stream: AudioStream
    speakers: list[str] | None  # in the stream's order, if it names them
    told_frames: int  # 0: not told
    first: AudioFrame
    others: Iterator[AudioFrame]  # that follow the first

    # The decoded frame is right where a header is not: HE-AAC may announce half its rate.
    @property
    def channels(self) -> int:
        return self.first.layout.nb_channels

    @property
    def rate(self) -> int:
        return self.first.sample_rate


@contextmanager
def _open_track(path: Path, limits: Limits) -> Iterator[_Track | None]:
    """The file's sound, within the limits; None where FFmpeg can make nothing of the file."""
    import av

    try:
        container = _open_container(path)
    except av.FFmpegError:
        yield None
        return
    with container:
        if container.streams.video and not container.streams.audio:
            raise InputError(f"{path.name!r} has no sound: choose a file with an audio track.")
        stream = _audio_stream(container)
        if stream is None:
            yield None
            return
        speakers, decodable = _take_layout(stream)
        if not decodable:
            raise InputError("The file's speaker layout cannot be read: export it as stereo or 5.1.")
        frames = _av_frames(container, stream)
        first = next(frames, None)
        if first is None:
            yield None
            return
        told_frames = _told_frames(container, stream, first.sample_rate)
        track = _Track(container, stream, _named(first.layout) or speakers, told_frames, first, frames)
        limits.check(track.channels, track.rate, told_frames)
        yield track


def _open_container(path: Path) -> InputContainer:
    import av

    # "file:", as FFmpeg would take some names for addresses and connect to them.
    options = {"format_whitelist": AV_CONTAINERS, "protocol_whitelist": "file"}
    return av.open(f"file:{path}", "r", metadata_errors="replace", options=options)


def _audio_stream(container: InputContainer) -> AudioStream | None:
    """The first audio track, None where there is none or FFmpeg has no decoder for it."""
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
        return _named(layout), True
    context.layout = f"{layout.nb_channels} channels"
    return _named(layout), context.name.startswith("pcm_")


def _named(layout: AudioLayout) -> list[str] | None:
    """The names of a layout's speakers, or None where some have none."""
    names = [channel.name for channel in layout.channels]
    return names if set(names) <= set(SPEAKERS) and len(set(names)) == len(names) else None


def _av_frames(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    """Decoded frames, up to the end or to where the file is cut; damaged packets are passed over."""
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


def _told_frames(container: InputContainer, stream: AudioStream, rate: int) -> int:
    """The length that the header tells, 0 where it tells none."""
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
            raise InputError(
                "The file changes its rate or its channels midway: export it anew as WAV or FLAC."
            )
        yield from (_unpacked(packed) for packed in to_float.resample(frame))
    yield from (_unpacked(packed) for packed in to_float.resample(None))


def _unpacked(frame: AudioFrame) -> Samples:
    return np.asarray(frame.to_ndarray(), np.float32).reshape(-1, frame.layout.nb_channels)


def _gather(
    blocks: Iterable[Samples],
    channels: int,
    rate: int,
    frames: int,
    speakers: list[str] | None,
    limits: Limits,
) -> Clip:
    """One clip from blocks of shape (time, channels), decoded into one array, which grows only where `frames`
    was told too low."""
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
    return Clip(samples[:, :end], rate, _layout_name(channels, speakers))


def _layout_name(channels: int, speakers: list[str] | None) -> str | None:
    """FFmpeg's name for the speakers, or their own names joined by + where it has none."""
    if channels <= 2:
        return IMPLIED_LAYOUTS[channels]
    if speakers is None:
        return None
    import av

    joined = "+".join(sorted(speakers, key=SPEAKERS.index))
    name: str = av.AudioLayout(joined).name
    return joined if " " in name else name


def _encoding_of(path: Path, encoding: str | None) -> Encoding:
    suffix = path.suffix.lower()
    if encoding is not None and encoding not in ENCODINGS:
        raise OptionError(f"There is no encoding {encoding!r}: choose one of {', '.join(ENCODINGS)}.")
    for known in ENCODINGS.values() if encoding is None else [ENCODINGS[encoding]]:
        if known.suffix == suffix:
            return known
    suffixes = sorted({known.suffix for known in ENCODINGS.values()})
    raise OptionError(f"{path.name!r} does not end like a format to write: use one of {', '.join(suffixes)}.")


def _encodable_rate(rate: int, rates: Sequence[int]) -> int:
    """The rate itself if it is among `rates`, else the next higher one, else the highest."""
    return rates[min(bisect_left(rates, rate), len(rates) - 1)]


def _encode(clip: Clip, path: Path, chosen: Encoding) -> None:
    container = chosen.container
    if clip.channels > chosen.channels:
        raise OptionError(
            f"{container} files hold at most {chosen.channels} channels and the clip has {clip.channels}: "
            "fold it down, or write WAV or FLAC."
        )
    implied = IMPLIED_LAYOUTS[clip.channels]
    if clip.channels > 2 and container != "WAV" and clip.layout not in {None, implied, f"{implied}(side)"}:
        raise OptionError(f"{container} files cannot tell the layout {clip.layout}: write WAV.")
    if container == "OPUS":
        _encode_opus(clip, path, implied)
    elif container == "WAV" and clip.channels > 2:
        mask = _channel_mask(clip)
        _encode_with_soundfile(clip, path, chosen, "WAVEX")
        with path.open("r+b") as handle:
            handle.seek(MASK_OFFSET)
            handle.write(struct.pack("<I", mask))
    else:
        _encode_with_soundfile(clip, path, chosen, container)


def _encode_opus(clip: Clip, path: Path, layout: str) -> None:
    """By FFmpeg, as libsndfile does not flush the encoder and spoils the last 6 ms."""
    import av

    with av.open(f"file:{path}", "w", format="ogg") as container:
        # Mapping family 1 is the one with speakers.
        options = {"mapping_family": "1"} if clip.channels > 2 else {}
        stream = container.add_stream("libopus", rate=clip.rate, layout=layout, options=options)
        stream.bit_rate = OPUS_BITS_PER_SECOND * clip.channels
        for start, block in _blocks(clip):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block).reshape(1, -1), "flt", layout)
            frame.rate, frame.pts, frame.time_base = clip.rate, start, Fraction(1, clip.rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _encode_with_soundfile(clip: Clip, path: Path, chosen: Encoding, container: str) -> None:
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
        for _, block in _blocks(clip):
            sound.write(_as_24_bit(block) if chosen.subtype == "PCM_24" else block[:, order])


def _blocks(clip: Clip) -> Iterator[tuple[int, Samples]]:
    """The first frame of each block, and the block: (time, channels)."""
    for start in range(0, clip.frames, BLOCK_FRAMES):
        yield start, clip.samples[:, start : start + BLOCK_FRAMES].T


def _channel_mask(clip: Clip) -> int:
    """One bit for each speaker of the clip's layout; 0 says that the layout is not known."""
    import av

    if clip.layout is None:
        return 0
    try:
        speakers = _named(av.AudioLayout(clip.layout))
    except ValueError:
        speakers = None
    if speakers is None or len(speakers) != clip.channels:
        raise OptionError(
            f"{clip.layout!r} is no speaker layout for {clip.channels} channels: "
            'name one as FFmpeg does ("quad", "5.1(side)"), or leave it out.'
        )
    return sum(1 << SPEAKERS.index(speaker) for speaker in speakers)


def _as_24_bit(block: Samples) -> NDArray[np.int32]:
    """24-bit integers in the upper bytes of 32, saturated.

    Without dither: rounding to 24 bits leaves noise at -146 dBFS, beneath that of any converter, and a 24-bit
    file passes through unchanged.
    """
    full_scale = 2**23
    rounded = np.clip(np.rint(block * np.float32(full_scale)), -full_scale, full_scale - 1)
    shifted: NDArray[np.int32] = rounded.astype(np.int32) << 8
    return shifted
