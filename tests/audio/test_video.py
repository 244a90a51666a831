"""A video's sound replaced: the picture keeps its bytes and times, and what sounds is in sync with it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from aural.audio import Clip, read
from aural.audio.video import VIDEO_ENCODINGS, check_video, replace_sound
from aural.errors import InputError, OptionError

RATE, FRAMES_PER_SECOND = 48_000, 25
SECONDS = 3
FLASHES = (1.0, 2.2)  # seconds: a white frame, and a click
H264, VP8, MPEG4 = "libx264", "libvpx", "mpeg4"
PICTURES = {
    ".mp4": H264,
    ".mov": H264,
    ".m4v": H264,
    ".mkv": H264,
    ".ts": H264,
    ".webm": VP8,
    ".avi": MPEG4,
    ".flv": H264,
}
SOUNDS = {".mov": "pcm_s16le", ".mkv": "flac", ".webm": "libopus", ".avi": "pcm_s16le"}  # the others: AAC
TAGS = {"title": "A talk", "artist": "Someone", "comment": "Grüße"}


def clicks(start: float = 0.0) -> Clip:
    """Clicks of 2 ms in silence, at the times of the flashes in the picture, from a time in seconds on."""
    samples = np.zeros((2, round(SECONDS * RATE)), np.float32)
    for time in FLASHES:
        samples[:, round(time * RATE) : round((time + 0.002) * RATE)] = 0.5
    return Clip(samples[:, round(start * RATE) :], RATE)


def film(
    path: Path,
    *,
    sound_starts: float = 0.0,
    picture_starts: float = 0.0,
    tags: dict[str, str] | None = None,
    tracks: Sequence[str] = ("eng",),
    picture: str | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """A video file of grey noise whose picture flashes when a click sounds.

    Args:
        sound_starts, picture_starts: seconds that each track lacks at the start of the file.
        tracks: the languages of the audio tracks.
        picture: another codec of the picture than the usual one.
    """
    generator = np.random.default_rng(0)
    with av.open(str(path), "w", options=options or {}) as container:
        container.metadata.update(tags or {})
        seen: Any = container.add_stream(picture or PICTURES[path.suffix], rate=FRAMES_PER_SECOND)
        seen.width, seen.height, seen.pix_fmt, seen.bit_rate = 64, 48, "yuv420p", 200_000
        sounds: list[Any] = []
        for language in tracks:
            sounds.append(container.add_stream(SOUNDS.get(path.suffix, "aac"), rate=RATE, layout="stereo"))
            sounds[-1].metadata["language"] = language
        first = round(sound_starts * RATE)
        packed = clicks(sound_starts).samples.T
        for start in range(0, len(packed), 960):
            block = packed[start : start + 960]
            samples = (block * (2**15 - 1)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples).reshape(1, -1), "s16", "stereo")
            frame.rate, frame.pts, frame.time_base = RATE, first + start, Fraction(1, RATE)
            for sound in sounds:
                container.mux(sound.encode(frame))
        for sound in sounds:
            container.mux(sound.encode(None))
        for number in range(round(picture_starts * FRAMES_PER_SECOND), SECONDS * FRAMES_PER_SECOND):
            is_flash = any(round(time * FRAMES_PER_SECOND) == number for time in FLASHES)
            grey = 255 if is_flash else generator.integers(0, 60, (48, 64, 3))
            image = np.broadcast_to(np.uint8(grey), (48, 64, 3))
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FRAMES_PER_SECOND)
            container.mux(seen.encode(frame))
        container.mux(seen.encode(None))
    return path


def flash_times(path: Path) -> list[float]:
    """When the picture is white, by the file's own times."""
    with av.open(str(path)) as container:
        return [
            float(frame.time)
            for frame in container.decode(video=0)
            if frame.to_ndarray(format="gray").mean() > 150 and frame.time is not None
        ]


def click_times(path: Path, track: int = 0) -> list[float]:
    """When a click begins, by the file's own times: where half the peak is reached."""
    times, levels = [], []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=track):
            level = np.abs(av.AudioResampler(format="flt", layout="mono").resample(frame)[0].to_ndarray()[0])
            levels.append(level)
            times.append(float(frame.time or 0) + np.arange(level.size) / frame.sample_rate)
    level, time = np.concatenate(levels), np.concatenate(times)
    loud = time[level > max(level.max() / 2, 0.01)]
    return [float(now) for now, before in zip(loud, [-1.0, *loud], strict=False) if now - before > 0.1]


def picture_packets(path: Path) -> list[tuple[bytes, float]]:
    """The bytes of the picture and how long after its first one each is shown."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.pts is not None]
        first = min(float(packet.pts * packet.time_base) for packet in packets)
        return [(bytes(packet), float(packet.pts * packet.time_base) - first) for packet in packets]


@pytest.mark.parametrize(
    ("sound_starts", "picture_starts"),
    [(0.0, 0.0), (0.5, 0.0), (0.0, 0.4)],
    ids=["together", "the sound is late", "the picture is late"],
)
@pytest.mark.parametrize("suffix", VIDEO_ENCODINGS)
def test_what_sounds_is_in_sync_with_what_is_seen(
    suffix: str, sound_starts: float, picture_starts: float, tmp_path: Path
) -> None:
    source = film(
        tmp_path / f"talk{suffix}", sound_starts=sound_starts, picture_starts=picture_starts, tags=TAGS
    )
    clip = read(source)
    output = replace_sound(source, clip.with_samples(-clip.samples), tmp_path / f"out{suffix}")
    seen, heard = flash_times(output), click_times(output)
    assert len(seen) == len(heard) == len(FLASHES)
    np.testing.assert_allclose(heard, seen, atol=0.003)  # a frame of the picture lasts 0.04 s
    old, new = picture_packets(source), picture_packets(output)
    assert [content for content, _ in new] == [content for content, _ in old]
    np.testing.assert_allclose([time for _, time in new], [time for _, time in old], atol=0.0011)
    again = read(output)  # the sound keeps its place and its sign, and is not heard twice
    assert again.frames == pytest.approx(clip.frames, abs=0.03 * RATE)
    assert again.samples.min() < -0.3 and again.samples.max() < 0.3


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (".mkv", ".mp4"),
        (".mp4", ".mkv"),
        (".webm", ".mkv"),
        (".mov", ".mp4"),
        (".avi", ".mkv"),
        (".avi", ".mp4"),
        (".flv", ".mp4"),
    ],
)
def test_the_picture_goes_into_another_container(old: str, new: str, tmp_path: Path) -> None:
    # AVI has no times: its tracks start together.
    source = film(tmp_path / f"talk{old}", sound_starts=0.0 if old == ".avi" else 0.3)
    output = replace_sound(source, read(source), tmp_path / f"out{new}")
    np.testing.assert_allclose(click_times(output), flash_times(output), atol=0.003)
    assert len(picture_packets(output)) == SECONDS * FRAMES_PER_SECOND


def test_a_stream_that_starts_long_after_zero_starts_at_zero(tmp_path: Path) -> None:
    source = film(tmp_path / "talk.ts", sound_starts=0.5, options={"output_ts_offset": "1000"})
    assert flash_times(source)[0] > 1_000
    output = replace_sound(source, read(source), tmp_path / "out.mp4")
    assert flash_times(output)[0] == pytest.approx(FLASHES[0], abs=0.05)
    np.testing.assert_allclose(click_times(output), flash_times(output), atol=0.003)


@pytest.mark.parametrize("suffix", VIDEO_ENCODINGS)
def test_tags_and_languages_stay(suffix: str, tmp_path: Path) -> None:
    source = film(tmp_path / f"talk{suffix}", tags={**TAGS, "REPLAYGAIN_TRACK_GAIN": "-3 dB"})
    output = replace_sound(source, read(source), tmp_path / f"out{suffix}")
    with av.open(str(output)) as container:
        found = {name.lower(): text for name, text in container.metadata.items()}
        assert {name: found[name] for name in TAGS} == TAGS
        assert "replaygain_track_gain" not in found
        assert [stream.language for stream in container.streams.audio] == ["eng"]


def test_chapters_stay(tmp_path: Path) -> None:
    source = film(tmp_path / "plain.mkv")
    marked = tmp_path / "talk.mkv"
    with av.open(str(source)) as old, av.open(str(marked), "w") as new:
        streams = {stream.index: new.add_stream_from_template(stream, opaque=True) for stream in old.streams}
        new.set_chapters(
            [
                {
                    "id": 1,
                    "start": 0,
                    "end": 1_500,
                    "time_base": Fraction(1, 1_000),
                    "metadata": {"title": "One"},
                }
            ]
        )
        for packet in old.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                new.mux(packet)
    for suffix in (".mkv", ".mp4"):
        with av.open(str(replace_sound(marked, read(marked), tmp_path / f"out{suffix}"))) as container:
            (chapter,) = container.chapters()
            assert chapter["metadata"]["title"] == "One"
            assert chapter["end"] * chapter["time_base"] == Fraction(3, 2)


def test_other_tracks_stay_as_they_are(tmp_path: Path) -> None:
    source = film(tmp_path / "talk.mp4", tracks=("eng", "deu"))
    assert check_video(source, tmp_path / "out.mp4") == []
    output = replace_sound(source, Clip(np.zeros_like(read(source).samples), RATE), tmp_path / "out.mp4")
    with av.open(str(output)) as container:
        assert [stream.language for stream in container.streams.audio] == ["eng", "deu"]
    assert click_times(output, 0) == []
    assert click_times(output, 1) == pytest.approx(list(FLASHES), abs=0.003)


def test_what_a_container_cannot_hold_is_named(tmp_path: Path) -> None:
    source = film(tmp_path / "talk.mkv", tracks=("eng", "deu"), picture=VP8)
    notes = check_video(source, tmp_path / "out.webm")
    assert notes == ["A webm file can't hold 1 audio track, left out."]
    with av.open(str(replace_sound(source, read(source), tmp_path / "out.webm"))) as container:
        assert [stream.codec_context.name for stream in container.streams.audio] == ["opus"]


def test_a_phone_s_rotation_and_own_tags_stay(tmp_path: Path) -> None:
    tags = {"com.apple.quicktime.make": "Maker", "title": "A talk"}
    source = film(tmp_path / "talk.mov", tags=tags, options={"movflags": "use_metadata_tags"})
    content = source.read_bytes()
    # The matrix of the first track's header, 16.16 and 2.30 fixed point (ISO/IEC 14496-12, 8.3.2).
    upright = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    quarter_turn = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 48 << 16, 0, 1 << 30)
    place = content.index(upright, content.index(b"tkhd"))
    source.write_bytes(content[:place] + quarter_turn + content[place + len(upright) :])
    output = replace_sound(source, read(source), tmp_path / "out.mov")
    with av.open(str(output)) as container:
        assert container.metadata["com.apple.quicktime.make"] == "Maker"
        assert container.metadata["title"] == "A talk"
        frame = next(container.decode(video=0))
        assert frame.rotation in (90, -90)


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("rate", [8_000, 44_100, 192_000])
@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mkv"])
def test_each_rate_and_layout_is_stored_as_near_as_the_codec_can(
    suffix: str, rate: int, channels: int, tmp_path: Path
) -> None:
    source = film(tmp_path / f"talk{suffix}")
    time = np.arange(SECONDS * rate) / rate
    tones = [0.1 * np.sin(2 * np.pi * 100 * (number + 1) * time) for number in range(channels)]
    clip = Clip(np.stack(tones).astype(np.float32), rate)
    made = read(replace_sound(source, clip, tmp_path / f"out{suffix}"))
    stored = {".mp4": min(rate, 96_000), ".webm": 48_000, ".mkv": rate}[suffix]
    assert (made.rate, made.channels) == (stored, channels)
    middle = made.samples[:, made.rate : made.rate * 2]
    for number, row in enumerate(middle):
        if channels < 6 or number != 3:  # AAC and Opus cut the LFE off at some 100 Hz
            peak_hz = np.abs(np.fft.rfft(row)).argmax() * made.rate / row.size
            assert peak_hz == pytest.approx(100 * (number + 1), abs=2)


def test_flac_in_a_video_is_exact(tmp_path: Path) -> None:
    source = film(tmp_path / "talk.mkv")
    clip = Clip((0.2 * np.random.default_rng(0).standard_normal((2, 3 * RATE))).astype(np.float32), RATE)
    made = read(replace_sound(source, clip, tmp_path / "out.mkv"))
    np.testing.assert_allclose(made.samples, clip.samples.clip(-1, 1), atol=2**-23)


def test_what_cannot_be_done_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    source = film(tmp_path / "talk.mp4")
    clip = read(source)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OptionError, match=r"A webm file can't hold this picture \(h264\). Write .m4v, .mkv"):
        check_video(source, tmp_path / "out.webm")
    with pytest.raises(OptionError, match="A webm file can't hold"):
        replace_sound(source, clip, tmp_path / "out.webm")
    with pytest.raises(OptionError, match=r"Can't write 'out\.mp4'"):
        replace_sound(source, clip, tmp_path / "missing" / "out.mp4")
    assert sorted(tmp_path.iterdir()) == before
    with av.open(str(tmp_path / "memo.m4a"), "w", format="ipod") as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, RATE), np.float32), "flt", "mono")
        frame.rate, frame.pts = RATE, 0
        container.mux([*stream.encode(frame), *stream.encode(None)])
    with pytest.raises(InputError, match=r"'memo\.m4a' has no picture, so 'out\.mp4' can't"):
        check_video(tmp_path / "memo.m4a", tmp_path / "out.mp4")


@pytest.mark.parametrize("codec", ["libx265", "mpeg4"])
def test_the_name_of_a_codec_is_one_that_players_know(codec: str, tmp_path: Path) -> None:
    source = film(tmp_path / "talk.mkv", picture=codec)
    with av.open(str(replace_sound(source, read(source), tmp_path / "out.mp4"))) as container:
        assert container.streams.video[0].codec_tag == {"libx265": "hvc1", "mpeg4": "mp4v"}[codec]


def test_times_that_start_anew_are_refused(tmp_path: Path) -> None:
    source = film(tmp_path / "talk.ts", options={"output_ts_offset": "1000"})
    joined = tmp_path / "joined.ts"
    joined.write_bytes(source.read_bytes() + film(tmp_path / "next.ts").read_bytes())
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OptionError, match="The file's times jump"):
        replace_sound(joined, read(joined), tmp_path / "out.mp4")
    assert sorted(tmp_path.iterdir()) == before


def test_a_truncated_video_is_copied_up_to_where_it_ends(tmp_path: Path) -> None:
    content = film(tmp_path / "talk.mkv").read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(content[: len(content) * 2 // 3])
    output = replace_sound(cut, read(cut), tmp_path / "out.mkv")
    assert 20 < len(picture_packets(output)) == len(picture_packets(cut)) < SECONDS * FRAMES_PER_SECOND
    assert click_times(output)[0] == pytest.approx(FLASHES[0], abs=0.003)


def test_subtitles_and_attachments_go_where_they_fit(tmp_path: Path) -> None:
    source = film(tmp_path / "plain.mkv")
    rich = tmp_path / "talk.mkv"
    with av.open(str(source)) as old, av.open(str(rich), "w") as new:
        streams = {stream.index: new.add_stream_from_template(stream, opaque=True) for stream in old.streams}
        text = new.add_mux_stream("subrip", time_base=Fraction(1, 1_000))
        new.add_attachment("notes.txt", "text/plain", b"for the viewer")
        for packet in old.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                new.mux(packet)
        words = av.Packet(b"Hello")
        words.stream, words.pts, words.dts, words.duration = text, 500, 500, 700
        words.time_base = Fraction(1, 1_000)
        new.mux(words)
    assert check_video(rich, tmp_path / "out.mkv") == []
    with av.open(str(replace_sound(rich, read(rich), tmp_path / "out.mkv"))) as container:
        assert sorted(stream.type for stream in container.streams) == [
            "attachment",
            "audio",
            "subtitle",
            "video",
        ]
        (said,) = [packet for packet in container.demux(subtitles=0) if packet.size]
        assert (bytes(said), said.pts * said.time_base) == (b"Hello", Fraction(1, 2))
    notes = check_video(rich, tmp_path / "out.mp4")
    assert notes == ["A mp4 file can't hold 1 subtitle track and 1 attachment, left out."]
    assert len(picture_packets(replace_sound(rich, read(rich), tmp_path / "out.mp4"))) > 70
