"""Tags, covers and loudness tags: read from every format, written into every format that AURAL writes."""

from __future__ import annotations

import base64
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import mutagen
import numpy as np
import pytest
import soundfile
from mutagen.flac import FLAC, Picture
from mutagen.id3 import ID3
from mutagen.mp4 import MP4, MP4Cover
from mutagen.wave import WAVE

from aural.audio import Clip, Cover, Tags, read, read_tags, write
from aural.audio.encode import ENCODINGS

RATE = 48_000
TEXTS = {
    "title": "Grüße aus 東京",
    "artist": "Someone & Friends",
    "album": "Live",
    "date": "2024-05-06",
    "track": "3/12",
    "comment": "first line",
    "album_artist": "Various",
    "genre": "Jazz",
    "composer": "A. N. Other",
    "disc": "1/2",
}
ASKED = ("title", "artist", "album", "date", "track", "comment")


def _png() -> bytes:
    """A picture of 2 by 2 pixels."""
    codec = av.CodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = 2, 2, "rgb24", Fraction(1, 25)
    return bytes(codec.encode(av.VideoFrame(2, 2, "rgb24"))[0])


PNG = _png()
TAGS = Tags(TEXTS, Cover(PNG, "image/png"))
CLIP = Clip((0.1 * np.random.default_rng(0).standard_normal((2, RATE))).astype(np.float32), RATE)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("channels", [2, 3])
def test_tags_come_back_and_the_sound_stays(tmp_path: Path, encoding: str, channels: int) -> None:
    if encoding == "mp3" and channels > 2:
        return
    clip = CLIP if channels == 2 else Clip(CLIP.samples[[0, 1, 0]], RATE, "3.0")
    suffix = ENCODINGS[encoding].suffix
    path = write(clip, tmp_path / f"tagged{suffix}", encoding, TAGS)
    bare = write(clip, tmp_path / f"bare{suffix}", encoding)
    assert read_tags(path) == TAGS
    assert read_tags(bare) == Tags()
    np.testing.assert_array_equal(read(path).samples, read(bare).samples)
    assert read(path).layout == read(bare).layout


def test_other_programs_find_the_tags_where_they_look(tmp_path: Path) -> None:
    flac = FLAC(write(CLIP, tmp_path / "a.flac", tags=TAGS))
    assert flac["title"] == [TEXTS["title"]] and flac["tracknumber"] == ["3/12"]
    assert (flac.pictures[0].type, flac.pictures[0].data) == (3, PNG)
    mp3 = ID3(write(CLIP, tmp_path / "a.mp3", tags=TAGS))
    assert mp3["TIT2"].text == [TEXTS["title"]] and str(mp3["TDRC"]) == "2024-05-06"
    assert mp3.getall("COMM")[0].text == ["first line"] and mp3.getall("APIC")[0].mime == "image/png"
    wav = write(CLIP, tmp_path / "a.wav", tags=TAGS)
    assert WAVE(wav).tags["TALB"].text == ["Live"]
    with soundfile.SoundFile(wav) as info:  # LIST INFO
        assert (info.title, info.artist, info.album) == (TEXTS["title"], TEXTS["artist"], "Live")
        assert (info.date, info.comment, info.tracknumber) == ("2024-05-06", "first line", "3/12")
    for suffix in (".ogg", ".opus"):
        ogg = mutagen.File(write(CLIP, tmp_path / f"a{suffix}", tags=TAGS))
        assert ogg["artist"] == [TEXTS["artist"]] and ogg["tracknumber"] == ["3/12"]
        assert Picture(base64.b64decode(ogg["metadata_block_picture"][0])).data == PNG


def tagged_m4a(path: Path) -> Path:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=RATE, layout="stereo")
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(CLIP.samples.T).reshape(1, -1), "flt", "stereo"
        )
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        container.mux([*stream.encode(frame), *stream.encode(None)])
    file = MP4(path)
    file["\xa9nam"], file["\xa9ART"], file["\xa9alb"] = TEXTS["title"], TEXTS["artist"], "Live"
    file["\xa9day"], file["\xa9cmt"], file["trkn"] = "2024-05-06", "first line", [(3, 12)]
    file["covr"] = [MP4Cover(PNG, MP4Cover.FORMAT_PNG)]
    file.save()
    return path


def tagged_mkv(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        container.metadata.update({name: TEXTS[name] for name in ASKED})
        stream = container.add_stream("pcm_s16le", rate=RATE, layout="stereo")
        packed = (CLIP.samples.T * 2**15).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(packed), "s16", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return path


def test_tags_of_what_only_ffmpeg_reads_are_carried(tmp_path: Path) -> None:
    found = read_tags(tagged_m4a(tmp_path / "a.m4a"))
    assert {name: found.texts[name] for name in ASKED} == {name: TEXTS[name] for name in ASKED}
    assert found.cover == Cover(PNG, "image/png")
    found = read_tags(tagged_mkv(tmp_path / "a.mkv"))
    assert {name: found.texts[name] for name in ASKED} == {name: TEXTS[name] for name in ASKED}


def test_a_cover_is_no_video_track(tmp_path: Path) -> None:
    assert read(tagged_m4a(tmp_path / "a.m4a")).frames == pytest.approx(RATE, abs=2_048)


@pytest.mark.parametrize(
    "content", [b"", b"no sound", b"RIFF\0\0\0\0WAVE", b"OggS\0\2", b"ID3\4\0\0\0\0\1\0"]
)
def test_a_file_that_cannot_be_read_has_no_tags(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    assert read_tags(path) == read_tags(tmp_path / "missing.wav") == Tags()


def test_loudness_tags_are_relative_to_what_their_standards_say(tmp_path: Path) -> None:
    tags = TAGS.with_loudness(-14.0, -1.0)
    flac = FLAC(write(CLIP, tmp_path / "a.flac", tags=tags))
    assert flac["replaygain_track_gain"] == ["-4.00 dB"]
    assert float(flac["replaygain_track_peak"][0]) == pytest.approx(10 ** (-1 / 20), abs=1e-5)
    for suffix in (".mp3", ".wav"):
        path = write(CLIP, tmp_path / f"a{suffix}", tags=tags)
        frames: Any = ID3(path) if suffix == ".mp3" else WAVE(path).tags
        assert frames["TXXX:REPLAYGAIN_TRACK_GAIN"].text == ["-4.00 dB"]
    assert mutagen.File(write(CLIP, tmp_path / "a.ogg", tags=tags))["replaygain_track_gain"] == ["-4.00 dB"]
    opus = mutagen.File(write(CLIP, tmp_path / "a.opus", tags=tags))
    assert opus["r128_track_gain"] == [str(-9 * 256)]
    assert "replaygain_track_gain" not in opus
    assert read_tags(tmp_path / "a.flac") == TAGS  # they are not carried to another result
    assert TAGS.with_loudness(-np.inf, -np.inf) == TAGS.with_loudness(None, None) == TAGS
