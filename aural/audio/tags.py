"""What a file says about its sound: title, artist, album, date, comment, track, cover; and its loudness.

FFmpeg reads them from every format. mutagen writes them: as Vorbis comments into FLAC, Ogg Vorbis and Opus,
as ID3v2.4 into MP3 and WAV; libsndfile adds WAV's own LIST INFO, which some programs look for instead.

Loudness is stored as ReplayGain 2.0, relative to -18 LUFS, and in Opus as R128 gain, relative to -23 LUFS
(RFC 7845, section 5.2.1). Those of a source are never carried over: they do not fit the result.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from aural.audio.decode_ffmpeg import is_cover, open_container
from aural.audio.decode_parts import RIFF, WAVE, split, wav_chunks

if TYPE_CHECKING:
    from av.container import InputContainer

# FFmpeg's name of a text -> its Vorbis comment, its ID3 frame, and soundfile's name for LIST INFO.
NAMES: Mapping[str, tuple[str, str, str | None]] = MappingProxyType(
    {
        "title": ("title", "TIT2", "title"),
        "artist": ("artist", "TPE1", "artist"),
        "album": ("album", "TALB", "album"),
        "album_artist": ("ALBUMARTIST", "TPE2", None),
        "composer": ("composer", "TCOM", None),
        "genre": ("genre", "TCON", "genre"),
        "date": ("date", "TDRC", "date"),
        "track": ("TRACKNUMBER", "TRCK", "tracknumber"),
        "disc": ("DISCNUMBER", "TPOS", None),
        "comment": ("comment", "COMM", "comment"),
        "copyright": ("copyright", "TCOP", "copyright"),
    }
)
OTHER_NAMES = {
    "description": "comment",
    "tracknumber": "track",
    "year": "date",
    "albumartist": "album_artist",
}
MAX_TEXT_LENGTH = 10_000  # characters
MAX_COVER_BYTES = 16 * 2**20
COVER_TYPES = {
    "mjpeg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "bmp": "image/bmp",
    "webp": "image/webp",
}
FRONT_COVER = 3  # of ID3 and FLAC

REPLAY_GAIN_LUFS, R128_GAIN_LUFS = -18.0, -23.0
R128_STEPS = 256  # a dB
MAX_R128_STEPS = 2**15 - 1


@dataclass(frozen=True)
class Cover:
    """A picture on the front of a release."""

    data: bytes  # of the picture's file
    mime: str  # "image/jpeg"


@dataclass(frozen=True)
class Tags:
    """What is written beside the sound."""

    texts: Mapping[str, str] = field(default_factory=dict)  # by the keys of `NAMES`
    cover: Cover | None = None
    loudness_lufs: float | None = None  # integrated; None: no loudness tags
    peak: float | None = None  # true peak, linear, full scale is 1

    def __bool__(self) -> bool:
        return bool(self.texts) or self.cover is not None or self.loudness_lufs is not None

    def with_loudness(self, integrated_lufs: float | None, true_peak_dbtp: float | None) -> Tags:
        """The same with ReplayGain or R128 tags, as the format has; silence gets none."""
        if integrated_lufs is None or true_peak_dbtp is None or not math.isfinite(integrated_lufs):
            return self
        return replace(self, loudness_lufs=integrated_lufs, peak=10 ** (true_peak_dbtp / 20))


def read_tags(path: str | PathLike[str]) -> Tags:
    """The tags of a file, without its loudness tags; none if it has none or cannot be read."""
    source = Path(path)
    try:
        if not _may_have_tags(source):
            return Tags()
        import av

        try:
            with open_container(split(source)[0]) as container:
                return Tags(_texts(container), _cover(container))
        except (IndexError, ValueError, av.FFmpegError):
            return Tags()
    except (OSError, ValueError):
        return Tags()


def write_tags(path: Path, container: str, tags: Tags) -> None:
    """Write tags into a file.

    Args:
        container: as in `aural.audio.encode.Encoding`.

    Raises:
        OSError: the file cannot be written.
    """
    from mutagen import MutagenError

    try:
        if container in {"WAV", "MP3"}:
            _write_id3(path, container, tags)
        else:
            _write_comments(path, container, tags)
    except MutagenError as error:
        if error.args and isinstance(error.args[0], OSError):
            raise error.args[0] from error


def info_strings(tags: Tags) -> dict[str, str]:
    """The texts for a WAV's LIST INFO, by soundfile's names."""
    named = {NAMES[name][2]: text for name, text in tags.texts.items()}
    return {name: text for name, text in named.items() if name is not None}


def _may_have_tags(path: Path) -> bool:
    """False for a WAV file without them, so that FFmpeg need not be loaded."""
    with path.open("rb") as file:
        start = file.read(12)
        if start[:4] not in RIFF or start[8:] != WAVE:
            return bool(start)
        return any(name.lower() in {b"list", b"id3 "} for name, _, _ in wav_chunks(file))


def _texts(container: InputContainer) -> dict[str, str]:
    found: dict[str, str] = {}
    for metadata in (*(stream.metadata for stream in container.streams.audio[:1]), container.metadata):
        for key, value in metadata.items():
            name = OTHER_NAMES.get(key.lower(), key.lower())
            text = "".join(c for c in value if c.isprintable() or c in "\n\t").strip()[:MAX_TEXT_LENGTH]
            if name in NAMES and text:
                found[name] = text
    return found


def _cover(container: InputContainer) -> Cover | None:
    for stream in container.streams.video:
        mime = COVER_TYPES.get(stream.codec_context.name) if stream.codec_context else None
        if mime is None or not is_cover(stream):
            continue
        for packet in container.demux(stream):
            if 0 < packet.size <= MAX_COVER_BYTES:
                return Cover(bytes(packet), mime)
            break
    return None


def _gains(tags: Tags) -> dict[str, str]:
    """ReplayGain's texts by name."""
    if tags.loudness_lufs is None:
        return {}
    return {
        "REPLAYGAIN_TRACK_GAIN": f"{REPLAY_GAIN_LUFS - tags.loudness_lufs:+.2f} dB",
        "REPLAYGAIN_TRACK_PEAK": f"{tags.peak or 0.0:.6f}",
        "REPLAYGAIN_REFERENCE_LOUDNESS": f"{REPLAY_GAIN_LUFS:.2f} LUFS",
    }


def _r128_gain(tags: Tags) -> dict[str, str]:
    if tags.loudness_lufs is None:
        return {}
    steps = round(R128_STEPS * (R128_GAIN_LUFS - tags.loudness_lufs))
    return {"R128_TRACK_GAIN": str(max(-MAX_R128_STEPS - 1, min(MAX_R128_STEPS, steps)))}


def _write_id3(path: Path, container: str, tags: Tags) -> None:
    from mutagen import id3
    from mutagen import wave as wav

    wave = wav.WAVE(path) if container == "WAV" else None
    if wave is not None and wave.tags is None:
        wave.add_tags()
    frames: Any = id3.ID3() if wave is None else wave.tags
    for name, text in tags.texts.items():
        frame = NAMES[name][1]
        settings = {"lang": "XXX", "desc": ""} if frame == "COMM" else {}
        frames.add(getattr(id3, frame)(encoding=id3.Encoding.UTF8, text=text, **settings))
    for name, text in _gains(tags).items():
        frames.add(id3.TXXX(encoding=id3.Encoding.UTF8, desc=name, text=text))
    if tags.cover is not None:
        frames.add(
            id3.APIC(
                encoding=id3.Encoding.UTF8,
                mime=tags.cover.mime,
                type=FRONT_COVER,
                desc="",
                data=tags.cover.data,
            )
        )
    if wave is None:
        frames.save(path)
    else:
        wave.save()


def _write_comments(path: Path, container: str, tags: Tags) -> None:
    from mutagen.flac import FLAC, Picture
    from mutagen.oggopus import OggOpus
    from mutagen.oggvorbis import OggVorbis

    file: Any = {"FLAC": FLAC, "OGG": OggVorbis, "OPUS": OggOpus}[container](path)
    if file.tags is None:
        file.add_tags()
    for name, text in tags.texts.items():
        file[NAMES[name][0]] = text
    for name, text in (_r128_gain(tags) if container == "OPUS" else _gains(tags)).items():
        file[name] = text
    if tags.cover is not None:
        picture = Picture()
        picture.type, picture.mime, picture.data = FRONT_COVER, tags.cover.mime, tags.cover.data
        if container == "FLAC":
            file.add_picture(picture)
        else:
            file["METADATA_BLOCK_PICTURE"] = base64.b64encode(picture.write()).decode("ascii")
    file.save()
