"""Reading and writing audio files."""

import math
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
import pytest
import soundfile

from aural.audio import Clip, Limits, probe, read, write
from aural.audio.clip import Samples
from aural.audio.encode import ENCODINGS
from aural.errors import AuralError, InputError, OptionError

RATE = 48_000

# Container and FFmpeg's encoder for it.
FFMPEG_FILES = {
    "m4a": "aac",
    "mp4": "aac",
    "aac": "aac",
    "webm": "libopus",
    "opus": "libopus",
    "mp3": "libmp3lame",
    "flac": "flac",
    "aiff": "pcm_s24be",
    "mov": "pcm_s16le",
    "caf": "pcm_s16be",
}


def encode(
    path: Path, samples: Samples, codec: str, layout: str, rate: int = RATE, video: bool = False
) -> Path:
    """Write a file with FFmpeg's encoders, which `aural` does not use."""
    with av.open(path, "w") as container:
        options = {"mapping_family": "1"} if codec == "libopus" and layout not in {"mono", "stereo"} else {}
        stream = container.add_stream(codec, rate=rate, layout=layout, options=options)
        picture = (
            container.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p") if video else None
        )
        for start in range(0, samples.shape[1], 4_096):
            packed = np.ascontiguousarray(samples[:, start : start + 4_096].T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            container.mux(stream.encode(frame))
            if picture:
                container.mux(picture.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(stream.encode(None))
        if picture:
            container.mux(picture.encode(None))
    return path


def decode_with_av(path: Path) -> tuple[Samples, str]:
    """The samples and the layout as FFmpeg alone sees them."""
    to_float = av.AudioResampler(format="flt")
    with av.open(path) as container:
        layout = container.streams.audio[0].layout
        packed = [out for frame in container.decode(audio=0) for out in to_float.resample(frame)]
    samples = np.concatenate([frame.to_ndarray().reshape(-1, layout.nb_channels) for frame in packed])
    return samples.T, layout.name


def click(frames: int, at: int, channels: int = 1) -> Samples:
    """A short 1 kHz burst around frame `at`."""
    seconds = (np.arange(frames) - at) / RATE
    burst = 0.5 * np.exp(-((seconds / 2e-3) ** 2)) * np.sin(2 * np.pi * 1_000 * seconds + 0.7)
    return np.tile(burst.astype(np.float32), (channels, 1))


def lag(reference: Samples, samples: Samples) -> int:
    """By how many frames the first channel of `samples` comes later than that of `reference`."""
    frames = min(reference.shape[1], samples.shape[1])
    spectrum = np.fft.rfft(samples[0, :frames], 2 * frames) * np.conj(
        np.fft.rfft(reference[0, :frames], 2 * frames)
    )
    best = int(np.argmax(np.fft.irfft(spectrum)))
    return best if best < frames else best - 2 * frames


def tones(channels: int) -> Samples:
    """One second in which channel k holds 40 + 10 k Hz: low enough for a coded LFE channel."""
    seconds = np.arange(RATE) / RATE
    return np.stack([0.2 * np.sin(2 * np.pi * (40 + 10 * k) * seconds) for k in range(channels)]).astype(
        np.float32
    )


def tone_numbers(samples: Samples) -> list[int]:
    """Which of `tones` each channel holds."""
    spectra = np.abs(np.fft.rfft(samples[:, :RATE], n=RATE))
    return [round((peak - 40) / 10) for peak in spectra.argmax(axis=1)]


def noise(channels: int, frames: int) -> Samples:
    return np.random.default_rng(0).uniform(-0.5, 0.5, (channels, frames)).astype(np.float32)


@pytest.mark.parametrize(
    ("container", "subtype", "bits"),
    [
        ("WAV", "PCM_U8", 8),
        ("WAV", "PCM_16", 16),
        ("WAV", "PCM_24", 24),
        ("WAV", "PCM_32", 24),
        ("WAV", "FLOAT", 24),
        ("WAV", "DOUBLE", 24),
        ("WAVEX", "PCM_24", 24),
        ("RF64", "PCM_24", 24),
        ("W64", "PCM_16", 16),
        ("AIFF", "PCM_16", 16),
        ("AIFF", "FLOAT", 24),
        ("CAF", "PCM_24", 24),
        ("FLAC", "PCM_16", 16),
        ("FLAC", "PCM_24", 24),
    ],
)
def test_lossless_formats_come_back_to_one_step(
    tmp_path: Path, container: str, subtype: str, bits: int
) -> None:
    samples = noise(2, 10_001)
    path = tmp_path / "noise.bin"
    soundfile.write(path, samples.T, 44_100, subtype, format=container)
    clip = read(path)
    assert (clip.rate, clip.layout) == (44_100, "stereo")
    np.testing.assert_allclose(clip.samples, samples, rtol=0, atol=2.0 ** (1 - bits))


def test_64_bit_integers_are_read(tmp_path: Path) -> None:
    samples = noise(1, 5_000)
    clip = read(encode(tmp_path / "a.wav", samples, "pcm_s64le", "mono"))
    np.testing.assert_allclose(clip.samples, samples, rtol=0, atol=2.0**-23)


@pytest.mark.parametrize("suffix", FFMPEG_FILES)
def test_a_click_comes_back_at_its_place_and_the_length_with_it(tmp_path: Path, suffix: str) -> None:
    samples = click(50_003, 20_011, 2)
    path = encode(tmp_path / f"click.{suffix}", samples, FFMPEG_FILES[suffix], "stereo")
    clip = read(path)
    assert (clip.rate, clip.channels) == (RATE, 2)
    if suffix == "aac":  # bare frames tell neither the encoder's delay nor the length
        assert lag(samples, clip.samples) == 1_024
        return
    assert lag(samples, clip.samples) == 0
    # MP4 tells its length in milliseconds, rounded up or down.
    assert 0 <= clip.frames - 50_003 <= (2 * RATE // 1_000 if suffix in {"m4a", "mp4"} else 0)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_is_written_comes_back_at_its_place_and_length(tmp_path: Path, encoding: str) -> None:
    samples = click(50_003, 20_011, 2)
    path = write(Clip(samples, RATE), tmp_path / f"click{ENCODINGS[encoding].suffix}", encoding)
    clip = read(path)
    assert (clip.rate, clip.samples.shape) == (RATE, samples.shape)
    assert lag(samples, clip.samples) == 0
    assert np.abs(clip.samples - samples).max() < 0.02


def test_the_sound_of_a_video_is_read(tmp_path: Path) -> None:
    samples = click(50_000, 20_000)
    clip = read(encode(tmp_path / "film.mp4", samples, "aac", "mono", video=True))
    assert lag(samples, clip.samples) == 0


def test_the_content_tells_the_format_whatever_the_name(tmp_path: Path) -> None:
    samples = click(10_000, 5_000)
    for name in ("a.wav", "a.raw", "a", "a.m3u8", "concat:a|b", "http:a.mp3", "%d.wav", "-"):
        path = tmp_path / name
        encode(tmp_path / "a.mp4", samples, "aac", "mono").rename(path)
        assert lag(samples, read(path).samples) == 0


@pytest.mark.parametrize(
    ("suffix", "codec", "layout"),
    [
        ("opus", "libopus", "5.1"),
        ("opus", "libopus", "7.1"),
        ("webm", "libopus", "6.1"),
        ("m4a", "aac", "5.1"),
        ("m4a", "aac", "7.1"),
        ("flac", "flac", "5.1(side)"),
        ("flac", "flac", "7.1"),
        ("wav", "pcm_s24le", "5.1"),
        ("wav", "pcm_s24le", "7.1(wide)"),
        ("mov", "pcm_s16le", "quad"),
    ],
)
def test_each_speaker_of_a_surround_file_is_found(
    tmp_path: Path, suffix: str, codec: str, layout: str
) -> None:
    samples = tones(av.AudioLayout(layout).nb_channels)
    clip = read(encode(tmp_path / f"surround.{suffix}", samples, codec, layout))
    assert clip.layout == layout
    assert tone_numbers(clip.samples) == list(range(clip.channels))


def test_speakers_in_another_order_are_put_in_wavs(tmp_path: Path) -> None:
    # FFmpeg labels a 7.1 CAF file's last four channels SL SR BL BR, though it wrote BL BR SL SR.
    clip = read(encode(tmp_path / "surround.caf", tones(8), "pcm_s16be", "7.1"))
    assert clip.layout == "7.1"
    assert tone_numbers(clip.samples) == [0, 1, 2, 3, 6, 7, 4, 5]


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".opus"])
@pytest.mark.parametrize("layout", ["3.0", "quad", "5.0", "5.1", "6.1", "7.1"])
def test_each_speaker_is_written_where_others_look_for_it(tmp_path: Path, suffix: str, layout: str) -> None:
    samples = tones(av.AudioLayout(layout).nb_channels)
    path = write(Clip(samples, RATE, layout), tmp_path / f"surround{suffix}")
    elsewhere, name = decode_with_av(path)
    assert name.replace("(side)", "") == layout
    assert tone_numbers(elsewhere) == list(range(len(samples)))
    clip = read(path)
    assert clip.layout == name
    assert tone_numbers(clip.samples) == list(range(len(samples)))


@pytest.mark.parametrize(
    "layout", ["5.1", "5.1(side)", "7.1", "7.1(wide)", "quad", "2.1", "FL+FR+LFE+BC", None]
)
def test_wav_keeps_the_layout(tmp_path: Path, layout: str | None) -> None:
    channels = av.AudioLayout(layout).nb_channels if layout else 6
    clip = Clip(noise(channels, 1_000), RATE, layout)
    for encoding in ("wav24", "wav32f"):
        again = read(write(clip, tmp_path / "layout.wav", encoding))
        assert again.layout == layout
        np.testing.assert_allclose(again.samples, clip.samples, rtol=0, atol=2.0**-23)


def write_text(path: Path) -> None:
    path.write_text("This is not audio, it is a text with a misleading name.\n" * 100)


def write_silent_film(path: Path) -> None:
    with av.open(path, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(stream.encode(None))


def write_playlist(path: Path) -> None:
    soundfile.write(path.with_name("secret.wav"), noise(1, 5_000).T, RATE)
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nsecret.wav\n#EXT-X-ENDLIST\n")


def write_bad_sample(path: Path, value: float) -> None:
    samples = noise(2, 1_000)
    samples[1, 500] = value
    soundfile.write(path, samples.T, RATE, "FLOAT")


def write_pcm(path: Path, channels: int, frames: int, rate: int) -> None:
    """16-bit silence; the file is sparse, so that hours of it take no room."""
    bytes_per_frame, size = 2 * channels, 2 * channels * frames
    header = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, channels, rate,
                         rate * bytes_per_frame, bytes_per_frame, 16)  # fmt: skip
    with path.open("wb") as file:
        file.write(header + struct.pack("<4sI", b"data", size))
        file.truncate(44 + size)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda _: None, "File 'case.wav' not found"),
        (Path.mkdir, "File 'case.wav' not found"),
        (Path.touch, "0 bytes"),
        (write_text, "Can't read any audio"),
        (write_playlist, "Can't read any audio"),
        (write_silent_film, "no audio track"),
        (lambda path: write_bad_sample(path, math.nan), "NaN, infinite or far beyond full scale"),
        (lambda path: write_bad_sample(path, -math.inf), "NaN, infinite or far beyond full scale"),
        (lambda path: write_pcm(path, 1, 0, RATE), "Can't read any audio"),
        (
            lambda path: write_pcm(path, 9, 100, RATE),
            "The file has 9 channels; the limit is 8",
        ),
        (lambda path: write_pcm(path, 1, 100, 3_999), r"3999 Hz; it must be from 4000 to 384000 Hz\. Export"),
        (lambda path: write_pcm(path, 1, 100, 384_001), "384001 Hz"),
        (
            lambda path: write_pcm(path, 1, 3 * 3_600 * 8_000, 8_000),
            r"180\.0 minutes; the limit is 120\. Cut it into shorter parts\.$",
        ),
        (
            lambda path: write_pcm(path, 8, 119 * 60 * 16_000, 16_000),
            r"takes 3\.4 GiB; the limit is 2\.8 GiB\. Cut it",
        ),
        (lambda path: write_pcm(path, 8, 119 * 60 * 24_000, 24_000), r"2\.6 GiB; the limit is 2\.0 GiB"),
    ],
)
def test_an_unusable_file_is_refused_in_a_sentence(
    tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    path = tmp_path / "case.wav"
    make(path)
    with pytest.raises(InputError, match=message) as of_read:
        read(path)
    if "NaN, infinite or far beyond full scale" in message:
        assert probe(path).channels == 2  # that shows only when all is decoded
        return
    with pytest.raises(InputError) as of_probe:
        probe(path)
    assert str(of_probe.value) == str(of_read.value)


@pytest.mark.parametrize("name", ["nothing\0here.wav", "", "x" * 300, "/dev/zero"])
def test_a_hostile_name_is_refused_in_a_sentence(name: str) -> None:
    for function in (read, probe):
        with pytest.raises(InputError):
            function(name)


def test_three_hours_are_refused_without_decoding_them(tmp_path: Path) -> None:
    write_pcm(tmp_path / "long.wav", 1, 3 * 3_600 * 40_000, 40_000)
    start = time.process_time()  # other processes may be at work too
    with pytest.raises(InputError, match=r"180\.0 minutes"):
        read(tmp_path / "long.wav")
    assert time.process_time() - start < 0.2


@pytest.mark.parametrize("suffix", [*FFMPEG_FILES, "wav", "ogg"])
def test_a_file_tells_its_facts_before_it_is_read(tmp_path: Path, suffix: str) -> None:
    samples, path = noise(2, 150_000), tmp_path / f"sound.{suffix}"
    if suffix in FFMPEG_FILES:
        encode(path, samples, FFMPEG_FILES[suffix], "stereo")
    else:
        write(Clip(samples, RATE), path)
    facts, clip = probe(path), read(path)
    assert (facts.rate, facts.channels) == (clip.rate, clip.channels) == (RATE, 2)
    assert facts.seconds == pytest.approx(clip.seconds, abs=0.03)


def write_without_length(path: Path, seconds: int) -> Path:
    """A recording as a browser makes it: it cannot go back to write the length at the file's start."""
    with path.open("wb") as file, av.open(Unseekable(file), "w", format="webm") as container:
        stream = container.add_stream("libopus", rate=RATE, layout="mono")
        stream.bit_rate = 32_000
        for start in range(0, seconds * RATE, 960):
            frame = av.AudioFrame.from_ndarray(0.2 * noise(1, 960), "flt", "mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


class Unseekable:
    """A file that only takes more."""

    def __init__(self, file: BinaryIO) -> None:
        self.write = file.write


@pytest.mark.parametrize("seconds", [3, 90])
def test_a_length_that_no_header_tells_is_estimated(tmp_path: Path, seconds: int) -> None:
    path = write_without_length(tmp_path / "recorded.webm", seconds)
    with av.open(path) as container:
        assert container.duration is None and container.streams.audio[0].duration is None
    # 90 s are more packets than are looked at.
    assert probe(path).seconds == pytest.approx(seconds, rel=0.05)
    bare = encode(tmp_path / "bare.aac", np.tile(tones(1), 3), "aac", "mono")
    bare.write_bytes((seconds // 3) * bare.read_bytes())
    assert probe(bare).seconds == pytest.approx(read(bare).seconds, rel=0.02)


def test_an_estimated_length_is_held_to_the_limit_before_anything_is_decoded(tmp_path: Path) -> None:
    path = write_without_length(tmp_path / "recorded.webm", 6)
    with pytest.raises(InputError, match=r"lasts 0\.1 minutes; the limit is 0\.05\. Cut"):
        probe(path, Limits(minutes=0.05))


def test_a_length_that_no_header_tells_is_held_to_the_limit_too(tmp_path: Path) -> None:
    path = encode(tmp_path / "bare.aac", tones(1), "aac", "mono")
    path.write_bytes(100 * path.read_bytes())
    assert read(path).seconds == pytest.approx(100 * 1.03, abs=1)
    with pytest.raises(InputError, match=r"minutes; the limit is 1\.5\."):
        read(path, Limits(minutes=1.5))


def test_the_decoded_size_is_held_to_the_limit(tmp_path: Path) -> None:
    write_pcm(tmp_path / "large.wav", 2, RATE, RATE)
    with pytest.raises(InputError, match=r"takes 0\.0 GiB; the limit is 0\.0 GiB\."):
        read(tmp_path / "large.wav", Limits(decoded_bytes=2 * 4 * RATE - 1))
    assert read(tmp_path / "large.wav", Limits(decoded_bytes=2 * 4 * RATE)).frames == RATE


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".opus", ".mp3", ".aac", ".webm"])
def test_a_file_that_was_cut_is_read_up_to_the_cut(tmp_path: Path, suffix: str) -> None:
    samples = noise(2, 100_000)
    whole = tmp_path / f"whole{suffix}"
    if suffix in {".aac", ".webm"}:
        encode(whole, samples, FFMPEG_FILES[suffix[1:]], "stereo")
    else:
        write(Clip(samples, RATE), whole)
    cut = tmp_path / f"cut{suffix}"
    content = whole.read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    clip, reference = read(cut), read(whole)
    assert 40_000 < clip.frames < 60_000
    sound = slice(0, clip.frames - 2_000)  # the last block may be missing its successor
    np.testing.assert_allclose(clip.samples[:, sound], reference.samples[:, sound], atol=1e-6)


def test_a_recording_whose_length_was_never_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "stream.wav"
    write_pcm(path, 2, 5_000, RATE)
    for size in (0, 2**32 - 1):
        content = bytearray(path.read_bytes())
        content[4:8] = content[40:44] = struct.pack("<I", size)
        path.write_bytes(content)
        assert read(path).frames == 5_000
    path = write(Clip(noise(2, 5_000), RATE), tmp_path / "stream.flac")
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # the 36 bits of STREAMINFO's total samples
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert read(path).frames == 5_000


def test_no_content_at_all_ends_in_a_traceback(tmp_path: Path) -> None:
    random = np.random.default_rng(20)
    samples = click(12_000, 6_000, 2)
    originals = [write(Clip(samples, RATE), tmp_path / f"a{e.suffix}", name) for name, e in ENCODINGS.items()]
    originals += [encode(tmp_path / f"b.{s}", samples, c, "stereo") for s, c in FFMPEG_FILES.items()]
    contents = [path.read_bytes() for path in originals]
    path = tmp_path / "damaged.wav"
    read_without_error = 0
    for trial in range(200):
        content = bytearray(contents[trial % len(contents)])
        match trial // len(contents) % 4:
            case 0:
                del content[random.integers(1, len(content)) :]
            case 1:
                for position in random.integers(len(content), size=10):
                    content[position] ^= 1 << random.integers(8)
            case 2:
                for position in random.integers(min(300, len(content)), size=6):
                    content[position] = random.integers(256)
            case 3:
                content = bytearray(random.bytes(5_000)) if trial % 2 else content[:64] + random.bytes(5_000)
        path.write_bytes(content)
        with suppress(AuralError):
            assert probe(path).seconds >= 0
        try:
            assert read(path).require_finite().frames > 0
            read_without_error += 1
        except AuralError:
            pass
    assert 20 < read_without_error < 180


MEASURE_READ = """
import sys, av, soundfile
from aural.audio import read

def peak_bytes():
    with open("/proc/self/status") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM"))

before = peak_bytes()
clip = read(sys.argv[1])
print((peak_bytes() - before) / clip.samples.nbytes, clip.samples.nbytes)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize("suffix", ["wav", "m4a"])
def test_decoding_needs_little_more_memory_than_the_clip(tmp_path: Path, suffix: str) -> None:
    if suffix == "wav":
        write_pcm(tmp_path / "long.wav", 2, 5 * 60 * RATE, RATE)
    else:
        encode(tmp_path / "long.m4a", np.tile(tones(2), 90), "aac", "stereo")
    command = [sys.executable, "-c", MEASURE_READ, str(tmp_path / f"long.{suffix}")]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    ratio, decoded_bytes = map(float, output.split())
    assert decoded_bytes > 30e6
    assert ratio < 1.3


def test_24_bit_audio_passes_through_wav_and_flac_unchanged(tmp_path: Path) -> None:
    steps = np.random.default_rng(0).integers(-(2**23), 2**23, (3, 20_000))
    steps[0, :2] = -(2**23), 2**23 - 1
    clip = Clip((steps / 2**23).astype(np.float32), 96_000)
    for name in ("a.wav", "a.flac"):
        again = read(write(clip, tmp_path / name))
        assert again.rate == 96_000
        np.testing.assert_array_equal(again.samples, clip.samples)


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_integers_saturate_at_full_scale(tmp_path: Path, name: str) -> None:
    clip = Clip(np.float32([[1.0, 1.5, 1e9, -1.0, -1.5, -1e9]]), RATE)
    expected = np.float32([[1 - 2**-23] * 3 + [-1] * 3])
    np.testing.assert_array_equal(read(write(clip, tmp_path / name)).samples, expected)


def test_32_bit_float_keeps_every_sample(tmp_path: Path) -> None:
    clip = Clip(np.float32([[1e-30, 1 / 3, -1.5, 1e9]]), 22_050)
    np.testing.assert_array_equal(read(write(clip, tmp_path / "a.wav", "wav32f")).samples, clip.samples)


@pytest.mark.parametrize("name", ["a.ogg", "a.opus", "a.mp3"])
def test_lossy_formats_do_not_wrap_around_beyond_full_scale(tmp_path: Path, name: str) -> None:
    samples = (7.5 * tones(1)).astype(np.float32)  # 1.5 at its peaks
    again = read(write(Clip(samples, RATE), tmp_path / name)).samples[:, : samples.shape[1]]
    assert (again * samples).min() > -0.05


@pytest.mark.parametrize(
    ("suffix", "rate", "expected"),
    [
        (".wav", 47_953, 47_953),
        (".wav", 384_000, 384_000),
        (".flac", 11_025, 11_025),
        (".flac", 384_000, 384_000),
        (".ogg", 47_953, 47_953),
        (".ogg", 384_000, 192_000),
        (".mp3", 4_000, 8_000),
        (".mp3", 22_050, 22_050),
        (".mp3", 37_000, 44_100),
        (".mp3", 96_000, 48_000),
        (".opus", 16_000, 48_000),
        (".opus", 44_100, 48_000),
        (".opus", 96_000, 48_000),
    ],
)
def test_the_rate_is_the_clips_own_or_the_next_the_format_has(
    tmp_path: Path, suffix: str, rate: int, expected: int
) -> None:
    clip = read(write(Clip(noise(1, rate), rate), tmp_path / f"a{suffix}"))
    assert (clip.rate, clip.frames) == (expected, expected)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_single_sample_is_a_file(tmp_path: Path, encoding: str) -> None:
    path = write(Clip(np.float32([[0.5]]), RATE), tmp_path / f"a{ENCODINGS[encoding].suffix}", encoding)
    clip = read(path)
    assert clip.frames == 1
    if encoding in {"wav24", "wav32f", "flac"}:
        assert clip.samples[0, 0] == 0.5


@pytest.mark.parametrize(
    ("clip", "name", "encoding", "error", "message"),
    [
        (
            Clip(noise(6, 10), RATE, "5.1"),
            "a.mp3",
            None,
            OptionError,
            r"at most 2 channels; the clip has 6\. Down-mix it, or write WAV or FLAC\.$",
        ),
        (Clip(noise(9, 10), RATE), "a.wav", None, OptionError, "at most 8 channels"),
        (
            Clip(noise(3, 10), RATE, "2.1"),
            "a.flac",
            None,
            OptionError,
            r"layout 2\.1\. Write WAV\.$",
        ),
        (
            Clip(noise(6, 10), RATE, "7.1"),
            "a.wav",
            None,
            OptionError,
            "'7.1' is not a speaker layout for 6",
        ),
        (Clip(noise(3, 10), RATE, "nonsense"), "a.wav", None, OptionError, "is not a speaker layout"),
        (Clip(noise(1, 10), 200_001), "a.flac", None, OptionError, "^Can't write 'a.flac' at 200001 Hz"),
        (
            Clip(noise(1, 10), RATE),
            "a.doc",
            None,
            OptionError,
            r"format\. Use one of \.flac, \.mp3",
        ),
        (Clip(noise(1, 10), RATE), "a.wav", "wav8", OptionError, r"no encoding 'wav8'\. Choose one of wav24"),
        (Clip(noise(1, 10), RATE), "a.mp3", "wav24", OptionError, "Use one of"),
        (
            Clip(noise(1, 10), RATE),
            "missing/a.wav",
            None,
            OptionError,
            "Choose another folder or format",
        ),
        (Clip(noise(1, 0), RATE), "a.wav", None, InputError, "empty"),
        (
            Clip(np.float32([[math.nan]]), RATE),
            "a.wav",
            None,
            InputError,
            "NaN, infinite or far beyond full scale",
        ),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_the_old_file(
    tmp_path: Path, clip: Clip, name: str, encoding: str | None, error: type[Exception], message: str
) -> None:
    old = tmp_path / name
    if old.parent.exists():
        old.write_bytes(b"old")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(error, match=message):
        write(clip, old, encoding)
    assert sorted(tmp_path.iterdir()) == before
    assert not old.exists() or old.read_bytes() == b"old"
