"""Files as people have them: chained, with gaps, with several tracks, with wrong headers, changing midway."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from aural.audio import LIMITS, Clip, Limits, probe, read, write
from aural.audio.clip import Samples
from aural.audio.decode import is_wrapped
from aural.audio.decode_ffmpeg import open_track
from aural.audio.decode_parts import split
from aural.errors import InputError

RATE = 48_000
FRAME = 960  # samples handed to an encoder at a time


def sine(hz: float, seconds: float, rate: int = RATE, channels: int = 1) -> Samples:
    times = np.arange(round(seconds * rate)) / rate
    return np.tile((0.3 * np.sin(2 * np.pi * hz * times)).astype(np.float32), (channels, 1))


def pitch_hz(clip: Clip, start: float, end: float, channel: int = 0) -> float:
    """The strongest frequency between two times."""
    piece = clip.samples[channel, round(start * clip.rate) : round(end * clip.rate)]
    spectrum = np.abs(np.fft.rfft(piece * np.hanning(piece.size), 8 * piece.size))
    return float(spectrum.argmax() * clip.rate / (8 * piece.size))


def level_db(clip: Clip, start: float, end: float, channel: int = 0) -> float:
    piece = clip.samples[channel, round(start * clip.rate) : round(end * clip.rate)]
    return 10 * math.log10(float(np.mean(piece.astype(np.float64) ** 2)) + 1e-12)


class Track:
    """A track to be muxed."""

    def __init__(
        self,
        codec: str,
        samples: Samples,
        rate: int = RATE,
        start: float = 0.0,
        gap: tuple[float, float] | None = None,
    ) -> None:
        self.codec, self.samples, self.rate, self.start, self.gap = codec, samples, rate, start, gap
        self.layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(samples)]

    def packets(self, stream: av.AudioStream) -> list[av.Packet]:
        """Its packets, without those that start within the gap."""
        found = []
        for start in range(0, self.samples.shape[1], FRAME):
            packed = np.ascontiguousarray(self.samples[:, start : start + FRAME].T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(packed, "flt", self.layout)
            frame.sample_rate, frame.time_base = self.rate, Fraction(1, self.rate)
            frame.pts = start + round(self.start * self.rate)
            found += stream.encode(frame)
        found += stream.encode(None)
        low, high = self.gap or (math.inf, math.inf)
        return [packet for packet in found if not low <= float(packet.pts * packet.time_base) < high]


def mux(path: Path, *tracks: Track, picture_seconds: float = 0.0, default: int | None = None) -> Path:
    """A file with these tracks, and a picture from the start if it has a length."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream(one.codec, rate=one.rate, layout=one.layout) for one in tracks]
        picture = (
            container.add_stream({".webm": "libvpx", ".flv": "flv"}.get(path.suffix, "mpeg4"), rate=25)
            if picture_seconds
            else None
        )
        if picture:
            picture.width, picture.height, picture.pix_fmt = 32, 32, "yuv420p"
        for number, stream in enumerate(streams):
            if default is not None:
                stream.disposition = av.stream.Disposition(number == default)
        packets = [
            packet for one, stream in zip(tracks, streams, strict=True) for packet in one.packets(stream)
        ]
        if picture:
            for _ in range(round(25 * picture_seconds)):
                packets += picture.encode(av.VideoFrame(32, 32, "yuv420p"))
            packets += picture.encode(None)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


def agree(path: Path) -> Clip:
    """The clip, after comparing its facts with those told before."""
    clip, facts = read(path), probe(path)
    assert (facts.rate, facts.channels) == (clip.rate, clip.channels)
    assert facts.seconds == pytest.approx(clip.seconds, abs=0.03)
    return clip


# 1. Chained Ogg


def chain(path: Path, suffix: str, links: Sequence[Clip]) -> Path:
    parts = [write(clip, path.with_name(f"{number}{suffix}")) for number, clip in enumerate(links)]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


@pytest.mark.parametrize("suffix", [".ogg", ".opus"])
@pytest.mark.parametrize("seconds", [(1.0, 0.5), (0.3, 0.2, 1.7)])
def test_all_links_of_a_chained_ogg_file_are_read(
    tmp_path: Path, suffix: str, seconds: tuple[float, ...]
) -> None:
    links = [Clip(sine(300 * (k + 1), length, channels=2), RATE) for k, length in enumerate(seconds)]
    clip = agree(chain(tmp_path / "radio.bin", suffix, links))
    assert clip.frames == sum(link.frames for link in links)
    assert clip.notes == ()
    start = 0.0
    for k, length in enumerate(seconds):
        assert pitch_hz(clip, start + 0.05, start + length - 0.02, 1) == pytest.approx(300 * (k + 1), abs=3)
        start += length


def test_links_of_other_rates_and_channels_follow_the_first(tmp_path: Path) -> None:
    links = [Clip(sine(500, 1, channels=2), RATE), Clip(sine(700, 1, 22_050), 22_050)]
    clip = agree(chain(tmp_path / "radio.ogg", ".ogg", links))
    assert (clip.rate, clip.samples.shape) == (RATE, (2, 2 * RATE))
    assert pitch_hz(clip, 1.1, 1.9, 1) == pytest.approx(700, abs=2)
    assert level_db(clip, 1.1, 1.9) == pytest.approx(level_db(clip, 0.1, 0.9), abs=0.2)
    assert clip.notes == (
        "The file changes to 22050 Hz mono midway; all of it was converted to 48000 Hz stereo.",
    )


def test_a_chain_is_held_to_the_limit_as_a_whole(tmp_path: Path) -> None:
    path = chain(tmp_path / "radio.ogg", ".ogg", 3 * [Clip(sine(500, 1), RATE)])
    assert read(path, Limits(minutes=3.01 / 60)).seconds == pytest.approx(3)
    for function in (read, probe):
        with pytest.raises(InputError, match=r"minutes; the limit is 0\.04\."):
            function(path, Limits(minutes=0.04))


def with_granule(page: bytes, less: int) -> bytes:
    """A page of Ogg that ends some samples earlier, with its checksum (RFC 3533)."""
    granule = int.from_bytes(page[6:14], "little") - less
    head = page[:6] + granule.to_bytes(8, "little") + page[14:22]
    checksum = 0
    for byte in head + bytes(4) + page[26:]:
        checksum ^= byte << 24
        for _ in range(8):
            checksum = (checksum << 1) ^ (0x104C11DB7 if checksum & 0x80000000 else 0)
    return head + checksum.to_bytes(4, "little") + page[26:]


@pytest.mark.parametrize("less", [200, 1_500, 4_000])
def test_vorbis_that_ends_before_its_last_packets_has_the_length_that_it_states(
    tmp_path: Path, less: int
) -> None:
    whole = write(Clip(sine(500, 1), RATE), tmp_path / "whole.ogg")
    *others, last = pages(whole.read_bytes())
    path = tmp_path / "trimmed.ogg"
    path.write_bytes(b"".join([*others, with_granule(last, less)]))
    clip = agree(path)
    assert clip.frames == RATE - less and clip.notes == ()
    same = slice(0, clip.frames)
    np.testing.assert_allclose(clip.samples[:, same], read(whole).samples[:, same], atol=1e-6)
    # Also by FFmpeg, which tells a negative length of the last packet modulo 2^32.
    (part,) = split(path)
    with open_track(part, LIMITS) as track:
        assert track is not None and track.frames == RATE - less
        assert sum(len(samples) for _, samples in track.blocks) == RATE - less


# 2. Times


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.webm", "libopus", 48_000),
        ("a.mkv", "libopus", 48_000),
        ("a.mkv", "aac", 44_100),
        ("a.mp4", "aac", 48_000),
        ("a.m4a", "aac", 44_100),
        ("a.ts", "aac", 48_000),
        ("a.ts", "mp2", 44_100),
        ("a.flv", "aac", 44_100),
        ("a.flv", "libmp3lame", 44_100),
        ("a.ogg", "libopus", 48_000),
    ],
)
@pytest.mark.parametrize("gap", [(1.2, 1.7), (0.5, 2.0)])
def test_a_gap_between_packets_is_silence(
    tmp_path: Path, name: str, codec: str, rate: int, gap: tuple[float, float]
) -> None:
    samples = np.concatenate([sine(400, 1.7, rate, 2), sine(900, 1.3, rate, 2)], axis=1)
    samples = np.concatenate([samples[:, : round(1.7 * rate)], samples[:, round(1.7 * rate) :]], axis=1)
    clip = agree(mux(tmp_path / name, Track(codec, samples, rate, gap=gap)))
    assert clip.seconds == pytest.approx(3, abs=0.06)
    assert pitch_hz(clip, 2.2, 2.8) == pytest.approx(900, abs=2)
    if name != "a.ogg":  # Ogg gives times to pages, not to packets
        assert level_db(clip, gap[0] + 0.06, gap[1] - 0.06) < -70
        assert level_db(clip, gap[0] - 0.3, gap[0] - 0.03) > -25
        assert pitch_hz(clip, gap[0] - 0.3, gap[0] - 0.05) == pytest.approx(400, abs=3)


def pages(content: bytes) -> list[bytes]:
    """The pages of an Ogg file."""
    return [b"OggS" + page for page in content.split(b"OggS")[1:]]


@pytest.mark.parametrize(("suffix", "lost"), [(".opus", slice(3, 5)), (".ogg", slice(4, 6))])
def test_lost_pages_of_ogg_are_silence(tmp_path: Path, suffix: str, lost: slice) -> None:
    samples = np.concatenate([sine(400, 2, channels=2), sine(900, 4, channels=2)], axis=1)
    path = write(Clip(samples, RATE), tmp_path / f"call{suffix}")
    found = pages(path.read_bytes())
    del found[lost]
    path.write_bytes(b"".join(found))
    clip = agree(path)
    assert clip.frames == pytest.approx(6 * RATE, abs=RATE // 20)
    quiet = np.abs(clip.samples[0]) < 1e-4
    longest = np.diff(np.flatnonzero(np.diff(np.concatenate([[0], quiet, [0]]).astype(int))))[::2].max()
    assert longest > RATE  # two pages hold one second or more
    assert pitch_hz(clip, 0.2, 0.8) == pytest.approx(400, abs=2)
    assert pitch_hz(clip, 5.2, 5.8) == pytest.approx(900, abs=2)


@pytest.mark.parametrize("name", ["a.webm", "a.ogg"])
def test_packets_that_only_ask_to_conceal_a_loss_keep_their_length(tmp_path: Path, name: str) -> None:
    # RFC 7845, section 4.1: in place of what was not sent, packets of one byte.
    path, track = tmp_path / name, Track("libopus", np.concatenate([sine(400, 2), sine(900, 2)], axis=1))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libopus", rate=RATE, layout="mono")
        for packet in track.packets(stream):
            if 1 <= packet.pts * packet.time_base < 2:
                empty = av.Packet(bytes([bytes(packet)[0] & ~3]))
                empty.stream, empty.time_base = stream, packet.time_base
                empty.pts, empty.dts, empty.duration = packet.pts, packet.dts, packet.duration
                packet = empty
            container.mux(packet)
    clip = agree(path)
    assert clip.seconds == pytest.approx(4, abs=0.03)
    assert pitch_hz(clip, 2.2, 3.8) == pytest.approx(900, abs=2)


def test_one_lost_packet_of_20_ms_is_silence_too(tmp_path: Path) -> None:
    whole = mux(tmp_path / "whole.webm", Track("libopus", sine(400, 1)))
    lost = mux(tmp_path / "lost.webm", Track("libopus", sine(400, 1), gap=(0.5, 0.51)))
    assert read(lost).frames == pytest.approx(read(whole).frames, abs=RATE // 500)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "aac"),
        ("a.mkv", "aac"),
        ("a.mkv", "libopus"),
        ("a.ts", "aac"),
        ("a.mov", "pcm_s16le"),
        ("a.webm", "libopus"),
        ("a.flv", "aac"),
    ],
)
@pytest.mark.parametrize("late", [0.0, 0.25, 1.0])
def test_sound_that_starts_late_in_a_video_comes_late(
    tmp_path: Path, name: str, codec: str, late: float
) -> None:
    rate = 44_100 if name == "a.flv" else RATE
    clip = agree(mux(tmp_path / name, Track(codec, sine(400, 1, rate), rate, start=late), picture_seconds=2))
    loud = np.flatnonzero(np.abs(clip.samples[0]) > 0.1)
    assert loud[0] / clip.rate == pytest.approx(late, abs=0.03)


def test_times_that_only_jitter_add_nothing(tmp_path: Path) -> None:
    path, random = tmp_path / "phone.mkv", np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono")
        for packet in Track("aac", sine(400, 2)).packets(stream):
            packet.pts = packet.dts = max(0, packet.pts + int(random.integers(-400, 400)))
            container.mux(packet)
    clip = agree(path)
    assert clip.seconds == pytest.approx(2, abs=0.05)
    loud = np.flatnonzero(np.abs(clip.samples[0]) > 0.1)
    assert np.diff(loud).max() < RATE // 400  # no pause between two halves of the tone's period


@pytest.mark.parametrize("number", [30, -1])
def test_one_damaged_time_makes_no_hour_of_silence(tmp_path: Path, number: int) -> None:
    path = mux(tmp_path / "a.flv", Track("aac", sine(400, 2, 44_100), 44_100))
    content, place, times = bytearray(path.read_bytes()), 13, []
    while place < len(content):  # type, size, time in ms, its upper byte, stream
        if content[place] == 8:
            times.append(place + 4)
        place += 15 + int.from_bytes(content[place + 1 : place + 4], "big")
    content[times[number]] = 0x40  # more than an hour
    path.write_bytes(content)
    assert read(path).seconds == pytest.approx(2, abs=0.1)


def test_streams_joined_with_other_times_have_no_hour_of_silence_between_them(tmp_path: Path) -> None:
    parts = [mux(tmp_path / f"{k}.ts", Track("aac", sine(400, 1), start=3600.0 * k)) for k in (1, 0)]
    path = tmp_path / "joined.ts"
    for order in (parts, parts[::-1]):
        path.write_bytes(b"".join(part.read_bytes() for part in order))
        assert read(path).seconds == pytest.approx(2.05, abs=0.1)


# 3. What libsndfile cannot seek


@pytest.mark.parametrize(
    ("container", "subtype"),
    [
        ("WAV", "GSM610"),
        ("AIFF", "GSM610"),
        ("W64", "GSM610"),
        ("WAV", "G721_32"),
        ("AU", "G721_32"),
        ("AU", "G723_24"),
        ("AU", "G723_40"),
        ("WAV", "NMS_ADPCM_16"),
        ("WAV", "NMS_ADPCM_24"),
        ("WAV", "NMS_ADPCM_32"),
    ],
)
@pytest.mark.parametrize("seconds", [0.5, 5.0])
def test_codecs_that_cannot_seek_are_read(
    tmp_path: Path, container: str, subtype: str, seconds: float
) -> None:
    path = tmp_path / "voicemail.wav"
    soundfile.write(path, sine(400, seconds, 8_000)[0], 8_000, subtype, format=container)
    clip = agree(path)
    assert clip.seconds == pytest.approx(seconds, abs=0.07)  # GSM comes in pairs of frames
    assert pitch_hz(clip, 0.1, 0.4) == pytest.approx(400, abs=5)
    assert level_db(clip, 0.1, 0.4) == pytest.approx(20 * math.log10(0.3) - 3.01, abs=1.5)


# 4. Bit streams in PCM


def spdif(path: Path, rate: int = RATE) -> bytes:
    """Stereo AC-3 in bursts of IEC 61937: 16-bit words, little-endian."""
    with av.open(str(path), "w", format="spdif") as container:
        stream = container.add_stream("ac3", rate=rate, layout="stereo")
        stream.bit_rate = 192_000
        samples = np.concatenate([sine(400, 2, rate), sine(700, 2, rate)])
        for packet in Track("ac3", samples, rate).packets(stream):
            container.mux(packet)
    return path.read_bytes()


def as_pcm(
    path: Path, content: bytes, container: str, subtype: str, rate: int = RATE, silence: int = 0
) -> Path:
    words = np.frombuffer(content[: len(content) // 4 * 4], "<i2").reshape(-1, 2)
    words = np.concatenate([np.zeros((silence, 2), np.int16), words])
    soundfile.write(path, words, rate, subtype, format=container)
    return path


@pytest.mark.parametrize(
    ("container", "subtype"), [("WAV", "PCM_16"), ("WAV", "PCM_24"), ("AIFF", "PCM_16"), ("FLAC", "PCM_16")]
)
@pytest.mark.parametrize("silence", [0, 70_000])
@pytest.mark.parametrize("rate", [48_000, 44_100])
def test_ac3_in_pcm_is_decoded(tmp_path: Path, container: str, subtype: str, silence: int, rate: int) -> None:
    path = as_pcm(tmp_path / "film.wav", spdif(tmp_path / "film", rate), container, subtype, rate, silence)
    clip = agree(path)
    start = silence / rate
    assert (clip.rate, clip.channels) == (rate, 2)
    assert clip.seconds == pytest.approx(start + 2, abs=0.1)
    assert [round(pitch_hz(clip, start + 0.2, start + 1.8, k)) for k in (0, 1)] == pytest.approx(
        [400, 700], abs=2
    )
    assert level_db(clip, start + 0.2, start + 1.8) == pytest.approx(20 * math.log10(0.3) - 3.01, abs=0.5)
    assert clip.notes == ("The file says it is PCM but holds Dolby Digital or DTS, which was decoded.",)
    assert is_wrapped(path)


def test_ac3_with_swapped_bytes_is_decoded(tmp_path: Path) -> None:
    swapped = np.frombuffer(spdif(tmp_path / "film"), np.int16).byteswap().tobytes()
    clip = agree(as_pcm(tmp_path / "film.wav", swapped, "WAV", "PCM_16"))
    assert pitch_hz(clip, 0.2, 1.8) == pytest.approx(400, abs=2)


@pytest.mark.parametrize("swapped", [False, True])
def test_bare_ac3_in_pcm_is_decoded(tmp_path: Path, swapped: bool) -> None:
    bare = tmp_path / "film.ac3"
    with av.open(str(bare), "w", format="ac3") as container:
        stream = container.add_stream("ac3", rate=RATE, layout="stereo")
        for packet in Track("ac3", sine(400, 2, channels=2)).packets(stream):
            container.mux(packet)
    words = np.frombuffer(bare.read_bytes(), np.int16)
    clip = agree(
        as_pcm(tmp_path / "film.wav", (words.byteswap() if swapped else words).tobytes(), "WAV", "PCM_16")
    )
    assert clip.seconds == pytest.approx(2, abs=0.1)
    assert pitch_hz(clip, 0.2, 1.8) == pytest.approx(400, abs=2)


@pytest.mark.parametrize("sync", ["7ffe8001", "fe7f0180", "1fffe800", "ff1f00e8"])
def test_dts_that_cannot_be_decoded_is_refused(tmp_path: Path, sync: str) -> None:
    frame = bytes.fromhex(sync) + bytes(2_044)
    path = as_pcm(tmp_path / "film.wav", 20 * frame, "WAV", "PCM_16")
    with pytest.raises(
        InputError, match=r"^The file says it is PCM but holds DTS, which can't be decoded\. Decode"
    ):
        read(path)
    with pytest.raises(InputError, match="holds DTS"):
        probe(path)


def test_sound_is_not_taken_for_a_bit_stream(tmp_path: Path) -> None:
    path = tmp_path / "noise.wav"
    words = np.random.default_rng(0).integers(-(2**15), 2**15, (2 * RATE, 2)).astype(np.int16)
    for content in (words, np.zeros_like(words), np.tile(words[:100], (200, 1))):
        soundfile.write(path, content, RATE, "PCM_16")
        assert not is_wrapped(path)
        np.testing.assert_array_equal(read(path).samples, content.T / np.float32(2**15))


# 5. Tracks


@pytest.mark.parametrize(("suffix", "codec"), [(".mkv", "libopus"), (".mkv", "aac"), (".mp4", "aac")])
def test_the_default_track_is_read(tmp_path: Path, suffix: str, codec: str) -> None:
    silent = np.zeros((1, RATE), np.float32)
    path = mux(
        tmp_path / f"film{suffix}", Track(codec, silent), Track(codec, sine(440, 1, channels=2)), default=1
    )
    clip = agree(path)
    assert clip.channels == 2
    assert pitch_hz(clip, 0.1, 0.9) == pytest.approx(440, abs=2)
    assert clip.notes == ("The file has 2 audio tracks; track 2 (the default) was used.",)


def test_one_track_needs_no_note(tmp_path: Path) -> None:
    assert read(mux(tmp_path / "film.mkv", Track("aac", sine(440, 1)))).notes == ()


@pytest.mark.parametrize("is_default", [True, False])
def test_a_track_that_cannot_be_decoded_hides_none(tmp_path: Path, is_default: bool) -> None:
    path = mux(
        tmp_path / "film.mkv",
        Track("ac3", sine(300, 1)),
        Track("libopus", sine(440, 1)),
        Track("libopus", sine(550, 1)),
        default=0 if is_default else None,
    )
    content = path.read_bytes().replace(b"A_AC3", b"A_XC3")
    path.write_bytes(content)
    clip = agree(path)
    assert pitch_hz(clip, 0.1, 0.9) == pytest.approx(440, abs=2)
    assert clip.notes[0].startswith("The file has 3 audio tracks; track 2 (")


# 6. Lengths


def with_total(path: Path, frames: int) -> Path:
    """A FLAC file whose header tells another number of samples."""
    content = bytearray(path.read_bytes())
    packed = int.from_bytes(content[18:26], "big")
    content[18:26] = (packed >> 36 << 36 | frames).to_bytes(8, "big")
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("told", [0, 1, RATE, 3 * RATE + 1, 5 * 3_600 * RATE, 2**36 - 1])
def test_the_total_of_flac_is_only_a_hint(tmp_path: Path, told: int) -> None:
    path = write(Clip(sine(400, 3, channels=2), RATE), tmp_path / "a.flac")
    assert agree(with_total(path, told)).frames == 3 * RATE
    assert read(path, Limits(minutes=3 / 60)).frames == 3 * RATE
    for function in (read, probe):
        with pytest.raises(InputError, match="the limit is"):
            function(path, Limits(minutes=2.9 / 60))


def without_xing(path: Path) -> Path:
    """An MP3 without its first frame, which tells the length."""
    content = path.read_bytes()
    start = content.index(b"\xff\xfb")
    path.write_bytes(content[content.index(b"\xff\xfb", start + 4) :])
    return path


@pytest.mark.parametrize("rising", [True, False])
def test_the_length_of_a_variable_bit_rate_is_counted(tmp_path: Path, rising: bool) -> None:
    loud = np.random.default_rng(0).uniform(-0.9, 0.9, (2, 4 * RATE)).astype(np.float32)
    quiet = np.zeros((2, 4 * RATE), np.float32)
    samples = np.concatenate([quiet, loud] if rising else [loud, quiet], axis=1)
    path = without_xing(write(Clip(samples, RATE), tmp_path / "a.mp3"))
    assert agree(path).seconds == pytest.approx(8, abs=0.1)
    assert read(path, Limits(minutes=20.2 / 60)).seconds == pytest.approx(8, abs=0.1)
    with pytest.raises(InputError, match="the limit is"):
        read(path, Limits(minutes=7.5 / 60))


def test_the_duration_of_webm_is_only_a_hint(tmp_path: Path) -> None:
    path = mux(tmp_path / "a.webm", Track("libopus", sine(400, 3)))
    content = path.read_bytes()
    place = content.index(b"\x44\x89\x88") + 3  # Duration, a float of 8 bytes
    for told in (1.0, 500.0, 9e9):  # ms
        path.write_bytes(content[:place] + struct.pack(">d", told) + content[place + 8 :])
        assert agree(path).seconds == pytest.approx(3, abs=0.03)
        with pytest.raises(InputError, match="the limit is"):
            read(path, Limits(minutes=2.9 / 60))


@pytest.mark.parametrize("share", [0.05, 0.5, 3.0, 1e5])
def test_the_frames_that_xing_tells_are_only_a_hint(tmp_path: Path, share: float) -> None:
    path = write(Clip(sine(400, 3, channels=2), RATE), tmp_path / "a.mp3")
    content = bytearray(path.read_bytes())
    place = max(content.find(b"Xing"), content.find(b"Info")) + 8
    told = int.from_bytes(content[place : place + 4], "big")
    content[place : place + 4] = round(share * told).to_bytes(4, "big")
    path.write_bytes(content)
    assert agree(path).seconds == pytest.approx(3, abs=0.05)


def with_size(path: Path, size: int) -> Path:
    """A W64, RF64, WAV or AU file whose header tells another number of bytes of sound."""
    content = bytearray(path.read_bytes())
    place = content.find(b"data")
    if content[:4] == b"riff":
        content[place + 16 : place + 24] = struct.pack("<Q", 24 + size)
    elif content[:4] == b"RF64":
        content[28:36] = struct.pack("<Q", size)
    elif content[:4] == b".snd":
        content[8:12] = struct.pack(">I", size)
    else:
        content[place + 4 : place + 8] = struct.pack("<I", size)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("container", ["W64", "RF64", "WAV", "AU"])
@pytest.mark.parametrize("told", [0, 4_000, 96_000, 2**31, 2**32 - 1])
def test_the_size_in_the_header_is_only_a_hint(tmp_path: Path, container: str, told: int) -> None:
    path, samples = tmp_path / "a.wav", sine(400, 3)
    soundfile.write(path, samples.T, RATE, "PCM_16", format=container)
    clip = agree(with_size(path, told))
    np.testing.assert_allclose(clip.samples, samples, atol=1e-4)
    with pytest.raises(InputError, match="the limit is"):
        read(path, Limits(minutes=2.9 / 60))


def test_a_large_w64_total_is_not_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.w64"
    soundfile.write(path, sine(400, 3).T, RATE, "PCM_16", format="W64")
    assert agree(with_size(path, 2**40)).frames == 3 * RATE


@pytest.mark.parametrize(
    "chunk", [b"LIST" + struct.pack("<I", 8_000) + bytes(8_000), b"ID3\x04" + bytes(9_000)]
)
def test_what_follows_the_sound_of_a_wav_is_no_sound(tmp_path: Path, chunk: bytes) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sine(400, 1).T, RATE, "PCM_16")
    path.write_bytes(path.read_bytes() + chunk)
    assert agree(path).frames == RATE


# 7. A format that changes midway


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((44_100, 2), (48_000, 1)),
        ((22_050, 1), (44_100, 2)),
        ((48_000, 1), (48_000, 2)),
        ((32_000, 2), (24_000, 2)),
        ((8_000, 1), (48_000, 2)),
    ],
)
@pytest.mark.parametrize("suffix", [".mp3", ".aac"])
def test_an_inserted_ad_is_converted_to_the_first_format(
    tmp_path: Path, suffix: str, first: tuple[int, int], second: tuple[int, int]
) -> None:
    path = tmp_path / f"podcast{suffix}"
    codec = {".mp3": "libmp3lame", ".aac": "aac"}[suffix]
    content = b""
    for hz, (rate, channels) in ((400, first), (700, second), (500, first)):
        part = mux(tmp_path / f"part{suffix}", Track(codec, sine(hz, 2, rate, channels), rate))
        content += part.read_bytes()
    path.write_bytes(content)
    clip = read(path)
    assert (clip.rate, clip.channels) == first
    assert clip.seconds == pytest.approx(6, abs=0.4)  # each part with the encoder's padding
    assert pitch_hz(clip, 0.5, 1.5) == pytest.approx(400, abs=2)
    assert pitch_hz(clip, 2.6, 3.6) == pytest.approx(700, abs=2)
    assert pitch_hz(clip, 4.6, 5.6) == pytest.approx(500, abs=2)
    assert level_db(clip, 2.6, 3.6) == pytest.approx(level_db(clip, 0.5, 1.5), abs=0.5)
    names = {1: "mono", 2: "stereo"}
    assert clip.notes == (
        f"The file changes to {second[0]} Hz {names[second[1]]} midway; all of it was converted to "
        f"{first[0]} Hz {names[first[1]]}.",
    )


def test_surround_that_becomes_stereo_keeps_its_speakers(tmp_path: Path) -> None:
    surround = np.concatenate([sine(300 + 50 * k, 1) for k in range(6)])
    path = tmp_path / "film.ts"
    parts = [
        mux(tmp_path / f"{len(samples)}.ts", Track("ac3", samples))
        for samples in (surround, np.concatenate([sine(600, 1), sine(800, 1)]))
    ]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    clip = read(path)
    assert (clip.channels, clip.layout) == (6, "5.1(side)")
    assert [round(pitch_hz(clip, 0.2, 0.8, k)) for k in range(3)] == pytest.approx([300, 350, 400], abs=3)
    assert [round(pitch_hz(clip, 1.3, 1.8, k)) for k in (0, 1)] == pytest.approx([600, 800], abs=3)
    assert level_db(clip, 1.3, 1.8, 2) < -60
