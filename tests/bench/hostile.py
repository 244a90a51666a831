"""Input that no well-meaning visitor sends: damaged files, odd sounds, names, settings, paths, requests."""

from __future__ import annotations

import functools
import io
import json
import math
import struct
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import av
import numpy as np
import soundfile

from aural.audio import Clip, write
from aural.ui.examples import FOLDER
from tests.serving import ROOT

# What keeps a run with default settings short. Everything else is as the API says.
QUICK: Mapping[str, Mapping[str, Any]] = {
    "/generate": {"steps": 2, "seconds": 0.5},
    "/measure": {"compare_downmixes": False},
    "/resynthesize": {"iterations": 4},
}

GOOD_NAME = "good.wav"  # of the files that are in order
META = {"_type": "gradio.FileData"}  # by which Gradio knows a file among the arguments


@dataclass(frozen=True)
class Upload:
    """A file as a client sends it."""

    name: str
    content: bytes
    raw_name: bool = False  # the name goes into the header as it stands, as no browser would send it


@dataclass(frozen=True)
class Place:
    """Stands in the arguments of a call for one of its uploads, or for all of them."""

    upload: int | None = None


@dataclass(frozen=True)
class Input:
    """One thing that is sent to the app."""

    number: int
    endpoint: str  # a public one's name; or what else is asked
    kind: str
    what: str = ""  # for people
    uploads: tuple[Upload, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)  # of a call, by parameter
    order: tuple[str, ...] = ()  # of the parameters
    body: Any = None  # of a call, or what is sent to the address
    address: str | None = None  # None: it is a call of the endpoint
    # Of a request to the address; "SEND": a POST of `content`; "JOIN": an event of the page; "TOOL".
    method: str = "GET"
    must_fail: bool = False  # a result would show that something was read which nobody uploaded
    headers: Mapping[str, str] = field(default_factory=dict)  # of a request to the address
    content: bytes | None = None  # of a request to the address, in the place of `body`
    must_be_refused: bool = False  # any answer but a refusal is one too many


@dataclass(frozen=True)
class Target:
    """A public endpoint, as the app describes it."""

    name: str
    parameters: Mapping[str, Mapping[str, Any]]  # by name, in order

    @property
    def files(self) -> list[str]:
        """The parameters that take files."""
        return [name for name, each in self.parameters.items() if each["component"] in ("Audio", "File")]

    def takes_many(self, name: str) -> bool:
        """Whether a parameter takes several files."""
        return "list[" in str(self.parameters[name]["python_type"]["type"])

    def needs(self, name: str) -> bool:
        """Whether a parameter must be given."""
        return not self.parameters[name]["parameter_has_default"]

    def defaults(self) -> dict[str, Any]:
        """Values that are in order, for all but the files."""
        quick = QUICK.get(self.name, {})
        return {
            name: quick.get(name, each["parameter_default"])
            for name, each in self.parameters.items()
            if name not in self.files
        }


@dataclass(frozen=True)
class Surroundings:
    """What the inputs are drawn for."""

    targets: tuple[Target, ...]
    files: Path  # the app's folder of uploads and results
    canary: str  # address of a service on loopback that must never be asked
    secrets: tuple[Path, ...]  # files outside of the app's folders
    server_functions: tuple[tuple[int, str], ...]  # that the page's own components call: component, name
    events: tuple[Mapping[str, Any], ...]  # that only the page calls: "id", "name", "inputs", "loads"
    has_tools: bool  # whether the endpoints are served as tools too


@dataclass(frozen=True)
class Draw:
    """What an input is drawn from."""

    random: np.random.Generator
    around: Surroundings
    target: Target
    start: Input  # the input, as far as it is known

    def one_of(self, choices: Sequence[Any]) -> Any:
        """Any of these."""
        return choices[int(self.random.integers(len(choices)))]


def draw_input(seed: int, number: int, around: Surroundings) -> Input:
    """Input `number` of a seed."""
    random = np.random.default_rng([seed, number])
    shares = np.array([share for share, _ in KINDS.values()])
    kind = list(KINDS)[int(random.choice(len(KINDS), p=shares / shares.sum()))]
    target = around.targets[int(random.integers(len(around.targets)))]
    return KINDS[kind][1](
        Draw(random, around, target, Input(number, target.name, kind, order=tuple(target.parameters)))
    )


# --- Sound files that are in order ------------------------------------------------------------------------


def tone(rate: int, channels: int) -> Clip:
    """A fifth of a second of a chord that decays."""
    time_s = np.arange(rate // 5) / rate
    chord = sum(np.sin(2 * np.pi * hz * time_s) for hz in (220, 440, 660)) * np.exp(-6 * time_s)
    spread = np.linspace(0.7, 1.0, channels)[:, np.newaxis]
    return Clip((0.2 * spread * chord).astype(np.float32), rate)


def _with_soundfile(container: str, subtype: str, rate: int, channels: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, tone(rate, channels).samples.T, rate, subtype, format=container)
    return file.getvalue()


def _with_aural(suffix: str, rate: int, channels: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return write(tone(rate, channels), Path(folder, f"tone{suffix}")).read_bytes()


def _with_av(container: str, codec: str, video: str | None, rate: int, channels: int) -> bytes:
    """By FFmpeg, with two pictures next to the sound where a video codec is named."""
    layout = "stereo" if channels == 2 else "mono"
    file = io.BytesIO()
    with av.open(file, "w", format=container, options={"fflags": "+bitexact"}) as output:
        if video:
            pictures = output.add_stream(video, rate=25)
            pictures.width = pictures.height = 32
            pictures.pix_fmt = "yuv420p"
        sound = output.add_stream(codec, rate=rate, layout=layout)
        if codec == "wmav2":  # its default of 128 kbit/s is too much for it
            sound.bit_rate = 64_000
        if video:
            for shade in (0, 128):
                picture = av.VideoFrame.from_ndarray(np.full((32, 32, 3), shade, np.uint8), "rgb24")
                output.mux(pictures.encode(picture))
            output.mux(pictures.encode(None))
        interleaved = tone(rate, channels).samples.T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(interleaved), "flt", layout)
        frame.rate = rate
        resampler, fifo = av.AudioResampler(sound.format, layout, rate), av.AudioFifo()
        for piece in resampler.resample(frame) + resampler.resample(None):
            piece.pts = None
            fifo.write(piece)
        while (piece := fifo.read(sound.codec_context.frame_size or 1_024, partial=True)) is not None:
            output.mux(sound.encode(piece))
        output.mux(sound.encode(None))
    return file.getvalue()


def _mono(container: str, subtype: str, rate: int, _: int) -> bytes:
    return _with_soundfile(container, subtype, rate, 1)


def _chained(suffix: str, rate: int, channels: int) -> bytes:
    """Two links, the second of another format."""
    return _with_aural(suffix, rate, channels) + _with_aural(suffix, rate // 2, 3 - channels)


def _with_gap(container: str, rate: int, _: int) -> bytes:
    """Two tracks, the second with a gap of two seconds and the default."""
    file = io.BytesIO()
    with av.open(file, "w", format=container, options={"fflags": "+bitexact"}) as output:
        tracks = [output.add_stream("libopus", rate=rate, layout="mono") for _ in range(2)]
        tracks[0].disposition, tracks[1].disposition = av.stream.Disposition(0), av.stream.Disposition.default
        samples = np.resize(tone(rate, 1).samples, (1, rate))
        for start in range(0, rate, rate // 50):
            for number, track in enumerate(tracks):
                piece = np.ascontiguousarray(samples[:, start : start + rate // 50])
                frame = av.AudioFrame.from_ndarray(piece, "flt", "mono")
                frame.rate, frame.time_base = rate, Fraction(1, rate)
                frame.pts = start + (2 * rate if number and start > rate // 2 else 0)
                output.mux(track.encode(frame))
        for track in tracks:
            output.mux(track.encode(None))
    return file.getvalue()


def _wrapped(rate: int, _: int) -> bytes:
    """AC-3 in bursts of IEC 61937, in a WAV file that says it is PCM."""
    file, coded = io.BytesIO(), io.BytesIO()
    with av.open(coded, "w", format="spdif") as output:
        track = output.add_stream("ac3", rate=rate, layout="stereo")
        samples = np.ascontiguousarray(np.resize(tone(rate, 2).samples, (2, rate)).T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, "flt", "stereo")
        frame.rate = rate
        output.mux([*track.encode(frame), *track.encode(None)])
    words = np.frombuffer(coded.getvalue(), "<i2")
    soundfile.write(file, words[: words.size // 2 * 2].reshape(-1, 2), rate, "PCM_16", format="WAV")
    return file.getvalue()


# Suffix, how a file of it is made, and at which rates.
FORMATS: dict[str, tuple[str, Callable[[int, int], bytes], Sequence[int]]] = {
    "WAV 16": (".wav", functools.partial(_with_soundfile, "WAV", "PCM_16"), (8_000, 44_100)),
    "WAV 24": (".wav", functools.partial(_with_aural, ".wav"), (8_000, 48_000)),
    "WAV 8": (".wav", functools.partial(_with_soundfile, "WAV", "PCM_U8"), (8_000, 11_025)),
    "WAV float": (".wav", functools.partial(_with_soundfile, "WAV", "FLOAT"), (16_000, 96_000)),
    "WAV double": (".wav", functools.partial(_with_soundfile, "WAV", "DOUBLE"), (16_000,)),
    "WAV IMA ADPCM": (".wav", functools.partial(_with_soundfile, "WAV", "IMA_ADPCM"), (8_000,)),
    "WAV MS ADPCM": (".wav", functools.partial(_with_soundfile, "WAV", "MS_ADPCM"), (8_000,)),
    "WAV mu-law": (".wav", functools.partial(_with_soundfile, "WAV", "ULAW"), (8_000,)),
    "WAVEX": (".wav", functools.partial(_with_soundfile, "WAVEX", "PCM_16"), (8_000, 44_100)),
    "RF64": (".wav", functools.partial(_with_soundfile, "RF64", "PCM_16"), (8_000,)),
    "W64": (".w64", functools.partial(_with_soundfile, "W64", "PCM_16"), (8_000,)),
    "AIFF": (".aiff", functools.partial(_with_soundfile, "AIFF", "PCM_16"), (8_000, 44_100)),
    "AU": (".au", functools.partial(_with_soundfile, "AU", "PCM_16"), (8_000,)),
    "CAF": (".caf", functools.partial(_with_soundfile, "CAF", "PCM_16"), (8_000, 44_100)),
    "CAF ALAC": (".caf", functools.partial(_with_soundfile, "CAF", "ALAC_16"), (16_000,)),
    "FLAC": (".flac", functools.partial(_with_aural, ".flac"), (8_000, 48_000)),
    "Ogg Vorbis": (".ogg", functools.partial(_with_aural, ".ogg"), (8_000, 44_100)),
    "Opus": (".opus", functools.partial(_with_aural, ".opus"), (16_000, 48_000)),
    "MP3": (".mp3", functools.partial(_with_aural, ".mp3"), (16_000, 44_100)),
    "AAC": (".aac", functools.partial(_with_av, "adts", "aac", None), (16_000, 44_100)),
    "M4A": (".m4a", functools.partial(_with_av, "ipod", "aac", None), (16_000, 44_100)),
    "M4A ALAC": (".m4a", functools.partial(_with_av, "ipod", "alac", None), (16_000,)),
    "MP4 video": (".mp4", functools.partial(_with_av, "mp4", "aac", "mpeg4"), (44_100,)),
    "MOV": (".mov", functools.partial(_with_av, "mov", "pcm_s16le", "mpeg4"), (44_100,)),
    "WebM": (".webm", functools.partial(_with_av, "webm", "libopus", "libvpx"), (48_000,)),
    "Matroska": (".mkv", functools.partial(_with_av, "matroska", "flac", None), (16_000,)),
    "AVI": (".avi", functools.partial(_with_av, "avi", "libmp3lame", "mpeg4"), (44_100,)),
    "FLV": (".flv", functools.partial(_with_av, "flv", "aac", None), (44_100,)),
    "MPEG-TS": (".ts", functools.partial(_with_av, "mpegts", "aac", None), (44_100,)),
    "WMA": (".wma", functools.partial(_with_av, "asf", "wmav2", None), (44_100,)),
    "WAV GSM": (".wav", functools.partial(_mono, "WAV", "GSM610"), (8_000,)),
    "WAV NMS ADPCM": (".wav", functools.partial(_mono, "WAV", "NMS_ADPCM_32"), (8_000,)),
    "AIFF GSM": (".aiff", functools.partial(_mono, "AIFF", "GSM610"), (8_000,)),
    "AU G.721": (".au", functools.partial(_mono, "AU", "G721_32"), (8_000,)),
    "chained Ogg": (".ogg", functools.partial(_chained, ".ogg"), (16_000, 44_100)),
    "chained Opus": (".opus", functools.partial(_chained, ".opus"), (48_000,)),
    "chained MP3": (".mp3", functools.partial(_chained, ".mp3"), (44_100,)),
    "WebM with a gap": (".webm", functools.partial(_with_gap, "webm"), (48_000,)),
    "Ogg with a gap": (".ogg", functools.partial(_with_gap, "ogg"), (48_000,)),
    "WAV AC-3": (".wav", _wrapped, (44_100, 48_000)),
    "AMR": (".amr", functools.partial(_with_av, "amr", "libopencore_amrnb", None), (8_000,)),
}


@functools.cache
def sound_file(name: str, rate: int, channels: int) -> bytes:
    """A fifth of a second in one of `FORMATS`."""
    return FORMATS[name][1](rate, channels)


def _any_file(draw: Draw) -> tuple[str, str, bytes]:
    """Format, suffix and content of a sound file that is in order."""
    name = draw.one_of(list(FORMATS))
    suffix, _, rates = FORMATS[name]
    channels = 1 if name == "AMR" else int(draw.random.integers(1, 3))
    return name, suffix, sound_file(name, draw.one_of(rates), channels)


def _good_upload(draw: Draw) -> Upload:
    return Upload(GOOD_NAME, sound_file("WAV 16", draw.one_of((8_000, 44_100)), 1))


# --- Hostile values ---------------------------------------------------------------------------------------

RATES = (0, 1, 2, 100, 3_999, 4_000, 8_000, 11_025, 44_100, 384_000, 384_001, 768_000, 2**31, 2**32 - 1)
CHANNELS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 24, 64, 255, 256, 65_535)
FRAMES = (0, 1, 2, 3, 39, 40, 41, 63, 100, 1_000)
BITS = (16, 16, 16, 24, 32, 8, 0, 1, 12, 64, 65_535)
TAGS = (1, 1, 1, 3, 2, 6, 0x11, 0x55, 0xFFFE, 0)  # of a WAV header: PCM, float, ADPCM ...
FIELDS = (0, 1, 127, 128, 255, 2**15 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)

# With which files of a kind begin.
MAGICS = (
    b"", b"RIFF\xff\xff\xff\xffWAVE", b"RF64\xff\xff\xff\xffWAVEds64", b"FORM\x00\x00\x00\x00AIFF",
    b"fLaC\x00\x00\x00\x22", b"OggS\x00\x02", b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f", b"\xff\xfb\x90\x00",
    b"\xff\xf1\x50\x80", b"\x00\x00\x00\x20ftypM4A ", b"\x1a\x45\xdf\xa3", b"caff\x00\x01\x00\x00",
    b"#!AMR\n", b"#!AMR-WB\n", b"FLV\x01", b"G" + bytes(187) + b"G", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
    b"riff\x2e\x91\xcf\x11", b".snd", b"PK\x03\x04", b"\x1f\x8b\x08", b"\x89PNG\r\n", b"%PDF-1.7",
)  # fmt: skip

NAMES = (
    "../../../../etc/passwd", "..\\..\\..\\windows\\win.ini", "/etc/passwd", "~/.bashrc", "..", ".", "", " ",
    "...", ".wav", ".hidden.wav", "a\x00b.wav", "a.wav\x00.exe", "line\nbreak.wav",
    "a\r\nSet-Cookie: a=b.wav",
    "x" * 300 + ".wav", "é" * 200 + ".wav", "\N{MUSICAL SYMBOL G CLEF}" * 90 + ".wav", "\u202egnp.wav",
    "a\u2066b\u2069.wav", "\ufeff.wav", "音 声 🎧.wav", "file:/etc/passwd", "concat:/etc/passwd|x.wav",
    "http:%2f%2f127.0.0.1.wav", "pipe:0.wav", "data:audio,x.wav", "subfile,,start,0,end,0,,:x.wav",
    "setup.wav.exe", "two.tar.gz", "CON", "CON.wav", "NUL", "COM1.wav", "aux.flac", "-rf.wav", "--help",
    "$(id).wav", "`id`.wav", "a;b|c&d.wav", "a'b\"c.wav", "<img src=x onerror=alert(1)>.wav",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "%00.wav", "a%s%n%d.wav", "{0}.wav", "name.WAV", "name.mp3.wav",
    "name.", "name .wav", "a" * 250, "wav", "x.m3u8", "x.html", "x.svg", "x.py", "*.wav", "?.wav",
    "dir/sub/x.wav", "x.wav/", "//host/share.wav", "\t.wav", "\x1b[31m.wav", "\u0301" * 80 + ".wav",
    "\udcff.wav",
)  # fmt: skip

VALUES: tuple[Any, ...] = (
    math.nan, math.inf, -math.inf, 1e308, -1e308, 1e-320, -1, -0.0, 0, 0.5, 1, 2**31, 2**63, 2**64, -(2**63),
    10**400, True, False, None, "", " ", "0", "1", "0.5", "-1", "NaN", "inf", "1e308", "true", "None", "null",
    "undefined", "[]", "\x00", "a\x00b", "é", "🎧" * 10, "\u202e", "\ud800", "'; DROP TABLE x; --",
    "../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "http://127.0.0.1:1/", "{0.__class__}", "%s%n",
    "<img src=x onerror=alert(1)>", "__import__('os').system('id')", "x" * 10_000, "9" * 5_000, "[" * 5_000,
    [], [1],
    ["a"], [None], [[[]]], {}, {"a": 1}, {"path": "/etc/passwd"}, {"path": "/etc/passwd", "meta": META},
    {"__class__": "x"}, {"value": 1}, {"__type__": "update", "value": 1}, list(range(1_000)),
    {"a": {"b": {"c": [1, 2, {"d": None}]}}}, {"preset": {"path": "/etc/passwd", "meta": META}},
)  # fmt: skip


def _short(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 90 else f"{text[:80]}... ({len(text)} characters)"


# --- Files ------------------------------------------------------------------------------------------------


def _with_file(draw: Draw, upload: Upload, what: str) -> Input:
    """The call with this file in one of its places, and a good one in each other that needs one."""
    arguments, uploads = draw.target.defaults(), [upload]
    chosen = draw.one_of(draw.target.files)
    for name in draw.target.files:
        if name == chosen:
            arguments[name] = Place(None if draw.target.takes_many(name) else 0)
        elif draw.target.needs(name):
            arguments[name] = Place(len(uploads))
            uploads.append(_good_upload(draw))
    if draw.target.takes_many(chosen) and draw.random.random() < 0.5:
        uploads.append(_good_upload(draw))
    if len(draw.target.files) > 1:
        what = f"{what}, as {chosen}"
    return replace(draw.start, what=what, uploads=tuple(uploads), arguments=arguments)


def _random_bytes(draw: Draw) -> Input:
    magic = draw.one_of(MAGICS)
    content = magic + draw.random.bytes(
        int(draw.random.integers(0, 6_000)) if draw.random.random() < 0.95 else 0
    )
    suffix = draw.one_of((".wav", ".mp3", ".m4a", ".flac", ".ogg", ".bin", ""))
    what = f"{len(content)} bytes, {magic!r} first"
    return _with_file(draw, Upload(f"random{suffix}", content), what)


def _truncated(draw: Draw) -> Input:
    name, suffix, content = _any_file(draw)
    # As often within the first bytes, where the headers are, as anywhere.
    end = int(draw.random.integers(0, min(300, len(content)) if draw.random.random() < 0.5 else len(content)))
    what = f"{name}, {end} of {len(content)} bytes"
    return _with_file(draw, Upload(f"cut{suffix}", content[:end]), what)


def _bits_flipped(draw: Draw) -> Input:
    name, suffix, content = _any_file(draw)
    damaged = bytearray(content)
    count = int(2 ** draw.random.integers(0, 8))
    reach = min(400, len(content)) if draw.random.random() < 0.5 else len(content)
    for _ in range(count):
        damaged[int(draw.random.integers(reach))] ^= 1 << int(draw.random.integers(8))
    what = f"{name}, {count} bits in {reach} bytes"
    return _with_file(draw, Upload(f"flipped{suffix}", bytes(damaged)), what)


def _extreme_fields(draw: Draw) -> Input:
    """Lengths, rates and counts in headers become huge, zero or negative."""
    name, suffix, content = _any_file(draw)
    damaged = bytearray(content)
    changed = []
    for _ in range(int(draw.random.integers(1, 4))):
        width = int(draw.one_of((1, 2, 4, 8)))
        # MP4 has its index at the end, the others at the start.
        at = int(draw.random.integers(min(250, len(content))))
        if draw.random.random() < 0.3:
            at = max(0, len(content) - 1 - int(draw.random.integers(1_200)))
        value = int(draw.one_of(FIELDS)) % 2 ** (8 * width)
        damaged[at : at + width] = value.to_bytes(width, draw.one_of(("little", "big")))
        changed.append(f"{value:#x} at {at}")
    what = f"{name}, {', '.join(changed)}"
    return _with_file(draw, Upload(f"header{suffix}", bytes(damaged)), what)


def _spliced(draw: Draw) -> Input:
    name, suffix, content = _any_file(draw)
    other, _, more = _any_file(draw)
    cut, end = sorted(int(draw.random.integers(len(content) + 1)) for _ in range(2))
    made = {
        "followed by": content + more,
        "broken off into": content[:cut] + more[int(draw.random.integers(len(more))) :],
        "with, inside it,": content[:cut] + more + content[cut:],
        "with a hole, not": content[:cut] + content[end:],
        "repeated, not": content[:end] + content[cut:end] * 3 + content[end:],
        "with zeros, not": content[:cut] + bytes(end - cut) + content[end:],
        "as the samples of a WAV, not": wav(8_000, 1, data=content),
    }
    how = draw.one_of(list(made))
    what = f"{name} {how} {other}, {cut} to {end}"
    return _with_file(draw, Upload(f"spliced{suffix}", made[how]), what)


def _odd_shape(draw: Draw) -> Input:
    """Rates, channels, lengths and sample formats at and beyond the limits."""
    rate, channels, frames = (int(draw.one_of(choices)) for choices in (RATES, CHANNELS, FRAMES))
    if draw.random.random() < 0.3:
        container = draw.one_of(("FLAC", "AIFF", "CAF", "W64", "AU"))
        rate, channels = min(max(rate, 1), 655_350), min(max(channels, 1), 8 if container == "FLAC" else 64)
        if rate > 65_535:
            rate -= rate % 10  # FLAC has no other rates as high
        noise, file = draw.random.uniform(-0.5, 0.5, (frames, channels)), io.BytesIO()
        soundfile.write(file, noise, rate, "PCM_16", format=container)
        what = f"{container}, {rate} Hz, {channels} channels, {frames} frames"
        return _with_file(draw, Upload("odd", file.getvalue()), what)
    bits, tag = int(draw.one_of(BITS)), int(draw.one_of(TAGS))
    block = int(draw.one_of((0, 1, 65_535))) if draw.random.random() < 0.1 else None
    told = int(draw.one_of(FIELDS)) if draw.random.random() < 0.3 else None
    data = draw.random.bytes(min(frames * channels * max(bits, 8) // 8, 200_000))
    content = wav(rate, channels, bits, tag, data, told_bytes=told, block=block)
    what = (
        f"WAV, {rate} Hz, {channels} channels, {frames} frames, {bits} bits, tag {tag:#x}, {told} bytes told"
    )
    return _with_file(draw, Upload("odd.wav", content), what)


def wav(
    rate: int,
    channels: int,
    bits: int = 16,
    tag: int = 1,
    data: bytes = b"",
    *,
    told_bytes: int | None = None,
    block: int | None = None,
) -> bytes:
    """A WAV header that says anything, and the data after it."""
    size = len(data) if told_bytes is None else told_bytes
    block = channels * bits // 8 if block is None else block
    words = (tag, channels, rate % 2**32, rate * block % 2**32, block % 2**16, bits)
    header = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, *words) + b"data" + struct.pack("<I", size % 2**32)
    return b"RIFF" + struct.pack("<I", (size + 36) % 2**32) + header + data


def _odd_samples(draw: Draw) -> Input:
    rate = int(draw.one_of((4_000, 8_000, 44_100, 384_000)))
    channels, frames = int(draw.random.integers(1, 9)), int(draw.one_of((1, 2, 7, 63, 500, 4_000)))
    samples = draw.random.uniform(-0.3, 0.3, (frames, channels))
    one = samples.copy()
    one[int(draw.random.integers(frames)), int(draw.random.integers(channels))] = draw.one_of(
        (math.nan, math.inf, -math.inf)
    )
    made = {
        "NaN or infinite": one,
        "huge": samples * 1e38,
        "tiny": samples * 1e-42,
        "silence": np.zeros_like(samples),
        "DC": np.full_like(samples, 0.7),
        "alternating": np.where(np.arange(frames) % 2, -1.0, 1.0)[:, np.newaxis] * np.ones((1, channels)),
        "clipped": np.clip(10 * samples, -1, 1),
        "one channel": samples * (np.arange(channels) == 0),
        "impulse": (np.arange(frames) == frames // 2)[:, np.newaxis] * np.ones((1, channels)),
        "noise": samples,
    }
    name = draw.one_of(list(made))
    subtype = "PCM_16" if np.abs(made[name]).max() <= 1 and draw.random.random() < 0.3 else "FLOAT"
    file = io.BytesIO()
    soundfile.write(file, made[name], rate, subtype, format="WAV")
    what = f"{name}, {rate} Hz, {channels} channels, {frames} frames, {subtype}"
    return _with_file(draw, Upload("samples.wav", file.getvalue()), what)


def _names(draw: Draw) -> Input:
    name, is_raw = draw.one_of(NAMES), bool(draw.random.random() < 0.3)
    content = sound_file("WAV 16", 8_000, 1) if draw.random.random() < 0.7 else b"This is no sound."
    return _with_file(draw, Upload(name, content, is_raw), _short(name))


def _playlists(draw: Draw) -> Input:
    """Files that make a careless decoder open other files, or connect to addresses."""
    upload, what = _playlist(draw)
    return replace(_with_file(draw, upload, what), must_fail=True)


def _playlist(draw: Draw) -> tuple[Upload, str]:
    """A list of what is nobody's business, under the name of a list or of a sound."""
    secret = str(draw.one_of(draw.around.secrets))
    place = draw.one_of((secret, f"file://{secret}", f"{draw.around.canary}x.wav", f"concat:{secret}"))
    xml = '<?xml version="1.0"?>'
    texts = {
        "m3u8": f"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10,\n{place}\n#EXT-X-ENDLIST\n",
        "key.m3u8": f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{place}"\n#EXTINF:1,\n{place}\n',
        "ffconcat": f"ffconcat version 1.0\nfile '{place}'\n",
        "sdp": f"v=0\nc=IN IP4 127.0.0.1\nt=0 0\na=control:{place}\nm=audio 5004 RTP/AVP 0\n",
        "mpd": f'{xml}<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
        f'<Representation id="1" mimeType="audio/mp4"><BaseURL>{place}</BaseURL></Representation>'
        "</AdaptationSet></Period></MPD>",
        "pls": f"[playlist]\nFile1={place}\nNumberOfEntries=1\n",
        "xspf": f"{xml}<playlist><trackList><track><location>{place}</location></track></trackList>",
        "ram": f"{place}\n",
        "svg": f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{place}"/></svg>',
        "xml": f'{xml}<!DOCTYPE a [<!ENTITY b SYSTEM "{place}">]><a>&b;</a>',
        "mov": "",
    }
    name = draw.one_of(list(texts))
    content = _mov_with_samples_in(place) if name == "mov" else texts[name].encode()
    upload = Upload(f"list{draw.one_of((f'.{name}', '.wav', '.mp3'))}", content)
    return upload, f"{name} of {_short(place)}"


def _mov_with_samples_in(place: str) -> bytes:
    """A QuickTime file whose samples lie elsewhere: its references become addresses. Sizes no longer fit."""
    content = sound_file("MOV", 44_100, 1)
    reference = struct.pack(">I", 12 + len(place) + 1) + b"url \x00\x00\x00\x00" + place.encode() + b"\x00"
    box = b"dref" + bytes(4) + struct.pack(">I", 1)
    return content.replace(box, box + reference)


# --- Calls ------------------------------------------------------------------------------------------------


def _parameters(draw: Draw) -> Input:
    made = _with_file(draw, _good_upload(draw), "")
    changed = _changed(draw)
    what = ", ".join(f"{name}={_short(value)}" for name, value in changed.items())
    return replace(made, what=what, arguments={**made.arguments, **changed})


def _changed(draw: Draw) -> dict[str, Any]:
    """One to three settings with other values, most of them hostile."""
    changed = {}
    for _ in range(int(draw.one_of((1, 1, 1, 2, 3)))):
        name = draw.one_of(list(draw.target.defaults()))
        choices = draw.target.parameters[name]["type"].get("enum")
        changed[name] = draw.one_of(choices if choices and draw.random.random() < 0.15 else VALUES)
    return changed


def _any_path(draw: Draw) -> str:
    """A file of the server that is nobody's business, or an address that only the server can reach."""
    secret, files, canary = str(draw.one_of(draw.around.secrets)), draw.around.files, draw.around.canary
    relative, host = "../" * 12 + secret.lstrip("/"), canary.removeprefix("http://")
    paths = (
        secret, relative, f"{files}/{relative}", f"{files}/results/{relative}", f"{FOLDER}/{relative}",
        f"{FOLDER}/../../hub.py", f"file://{secret}", f"file:{secret}", f"concat:{secret}",
        f"subfile,,start,0,end,0,,:{secret}", "/etc/passwd", "/proc/self/environ", "/dev/stdin", "app.py",
        "/proc/self/fd/0", str(ROOT / "app.py"), str(files), ".", "", "~", canary, f"{canary}x.wav",
        f"http://localhost@{host}", f"https://{host}", "http://[::1]/x.wav", "http://0/x.wav", "\x00",
        f"hls+{canary}", "ftp://127.0.0.1/x", "x" * 5_000,
    )  # fmt: skip
    return str(draw.one_of(paths))


def _paths(draw: Draw) -> Input:
    """A file of the server in the place of an upload."""
    path, name = _any_path(draw), draw.one_of(draw.target.files)
    values: dict[str, Any] = {
        "text": path,
        "file": {"path": path, "meta": META},
        "file without meta": {"path": path},
        "file with null meta": {"path": path, "meta": None},
        "stream": {"path": path, "meta": META, "is_stream": True},
        "url": {"path": f"{draw.around.files}/x.wav", "url": path, "meta": META, "orig_name": path},
        "path and url": {"path": path, "url": draw.around.canary, "meta": META},
        "no path": {"path": None, "url": path, "meta": META},
        "list": [{"path": path, "meta": META}],
        "texts": [path],
        "nested": {"path": {"path": path, "meta": META}, "meta": META},
        "number": 5,
        "true": True,
        "null": None,
        "empty list": [],
    }
    how = draw.one_of(list(values))
    value = values[how]
    if draw.target.takes_many(name) and draw.random.random() < 0.7 and not isinstance(value, list):
        value = [value]
    others = [other for other in draw.target.files if other != name and draw.target.needs(other)]
    return replace(
        draw.start,
        what=f"{name}: {how} {_short(path)}",
        uploads=tuple(_good_upload(draw) for _ in others),
        arguments={
            **draw.target.defaults(),
            **{other: Place(index) for index, other in enumerate(others)},
            name: value,
        },
        must_fail=draw.target.needs(name) or how not in ("null", "empty list"),
    )


def _bodies(draw: Draw) -> Input:
    """Calls that are not even calls."""
    nothing = [None] * len(draw.target.parameters)
    deep: Any = []
    for _ in range(200):
        deep = [deep]
    bodies = (
        {}, {"data": None}, {"data": {}}, {"data": "x"}, {"data": 5}, {"data": []}, {"data": nothing},
        {"data": [*nothing, None]}, {"data": [None] * 1_000}, [], "x", 5, None,
        *({"data": [value] * len(nothing)} for value in ([], {}, "x", 5, True, deep)),
        {"data": nothing, "session_hash": "../../x"}, {"data": nothing, "fn_index": 10**6},
        {"data": nothing, "event_data": {"a": 1}, "trigger_id": -1},
    )  # fmt: skip
    body = draw.one_of(bodies)
    return replace(
        draw.start,
        what=_short(body),
        body=body,
        address=f"/gradio_api/call{draw.target.name}",
        method="CALL",
    )


def _tools(draw: Draw) -> Input:
    """The endpoints as assistants call them, who name files instead of uploading them."""
    if not draw.around.has_tools:
        return _paths(draw)
    arguments = {**draw.target.defaults(), **(_changed(draw) if draw.random.random() < 0.7 else {})}
    secret = {"path": str(draw.one_of(draw.around.secrets)), "meta": META}
    if draw.random.random() < 0.5:
        # A client within the server would upload what it finds in here from the server's own disk.
        name = draw.one_of([*draw.target.parameters, "unknown"])
        arguments[name] = draw.one_of((secret, {"preset": secret}, [secret], {"a": [{"b": secret}]}))
    must_fail = False
    for name in draw.target.files:
        if name not in arguments and (draw.target.needs(name) or draw.random.random() < 0.5):
            path = _any_path(draw)
            arguments[name] = [path] if draw.target.takes_many(name) else path
            must_fail = True
    call = {"name": draw.target.name[1:], "arguments": arguments}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    return replace(
        draw.start,
        endpoint="tools",
        what=f"{draw.target.name}: {_short(arguments)}",
        body=body,
        address="/gradio_api/mcp/",
        method="TOOL",
        must_fail=must_fail,
    )


# --- Other requests ---------------------------------------------------------------------------------------


def _reads(draw: Draw) -> Input:
    """Files of the server, asked for outright."""
    files, canary = draw.around.files, draw.around.canary
    paths = (
        str(draw.one_of(draw.around.secrets)), "/etc/passwd", "/proc/self/environ", str(ROOT / "app.py"),
        str(ROOT / "aural/hub.py"), "app.py", str(ROOT / ".git/config"), str(files), f"{files}/results",
        f"{files}/../outside/secret.txt", f"{files}/results/../../outside/secret.txt",
        f"{FOLDER}/../../hub.py", f"{ROOT}/checkpoints/manifest.json",
    )  # fmt: skip
    path = draw.one_of(paths)
    relative = "../" * 12 + path.lstrip("/")
    disguises = (
        path, relative, quote(relative, safe=""), relative.replace("../", "..%2f"), f"//{path}", f"{path}/",
        relative.replace("../", "%2e%2e/"), relative.replace("../", "..%252f"), f"{files}/{relative}",
        relative.replace("../", "....//"), relative.replace("/", "\\"), f"{FOLDER}/{relative}", f"%00{path}",
        f"{path}%00.wav", f"file://{path}", f"{path}?x=1", f"{canary}x.wav", "http://[::1]:1/x",
    )  # fmt: skip
    places = (
        *(3 * ("gradio_api/file=",)), "file=", "gradio_api/file/", "file/", "", "gradio_api/proxy=", "proxy=",
        "static/", "assets/", "svelte/", "theme.css/", "gradio_api/stream/x/0/", "gradio_api/mcp/",
        "gradio_api/custom_component/1/client/component/", "custom_component/1/server/component/",
        "gradio_api/runs/", "gradio_api/call/", "gradio_api/upload_progress?upload_id=", "?deep_link=",
        "gradio_api/deep_link?session_hash=", "?__theme=", "pwa_icon/", "monitoring/",
    )  # fmt: skip
    asked = f"/{draw.one_of(places)}{draw.one_of(disguises)}"
    return replace(draw.start, endpoint="files", what=_short(asked), address=asked)


def _links(draw: Draw) -> Input:
    """Links to a page with hostile settings."""
    texts = [str(value) for value in VALUES if isinstance(value, (str, int, float))]
    query = {"tab": draw.one_of((draw.target.name[1:],) * 3 + ("x", "", "../x", "<script>1</script>"))}
    for name in draw.target.defaults():
        if draw.random.random() < 0.5:
            query[name] = draw.one_of(texts)[:2_000]
    asked = "?" + urlencode(query, errors="replace")
    loads = [event for event in draw.around.events if event["loads"]]
    if not loads or draw.random.random() < 0.2:
        return replace(draw.start, endpoint="links", what=_short(asked), address=f"/{asked}")
    return _event(draw, "links", draw.one_of(loads), [], asked)


def _private_events(draw: Draw) -> Input:
    """The events that only the page calls, called by someone else."""
    event = draw.one_of(draw.around.events)
    if draw.random.random() < 0.4:  # a careless component would hand the list to ffmpeg
        upload, what = _playlist(draw)
        made = _event(draw, "page's own events", event, [Place(0) for _ in event["inputs"]], "")
        return replace(made, what=f"{event['id']} {event['name']}: {what}", uploads=(upload,))
    path = _any_path(draw)
    values = [*VALUES, path, {"path": path}, {"path": path, "meta": META}, [{"path": path, "meta": META}]]
    return _event(draw, "page's own events", event, [draw.one_of(values) for _ in event["inputs"]], "")


def _event(draw: Draw, endpoint: str, event: Mapping[str, Any], data: list[Any], query: str) -> Input:
    body = {"data": data, "fn_index": event["id"], "session_hash": f"fuzz{draw.start.number}"}
    what = f"{event['id']} {event['name']}: {_short(query or data)}"
    return replace(draw.start, endpoint=endpoint, what=what, body=body, address=query, method="JOIN")


CHOICES: tuple[dict[str, Any], ...] = (
    {"narrow_rate": "8000", "method": "sinc"},
    {"strength": "1", "background_db": "-30"},
    {"strength": "9" * 999},
    {"method": ["sinc"], "narrow_rate": {}},
    {},
)


def _server_functions(draw: Draw) -> Input:
    """The functions that the page's own components call."""
    if not draw.around.server_functions:
        return _reads(draw)
    component, name = draw.one_of(draw.around.server_functions)
    data: Any = {"rate": 48_000, "choices": draw.one_of(CHOICES), "key": "x", "samples": "AAAA"}
    data = {
        field: draw.one_of(VALUES) if draw.random.random() < 0.4 else value for field, value in data.items()
    }
    if draw.random.random() < 0.2:
        data = draw.one_of(VALUES)
    body = {"data": data, "component_id": component, "session_hash": "fuzz", "fn_name": name}
    return replace(
        draw.start,
        endpoint=name,
        what=_short(data),
        body=body,
        address="/gradio_api/component_server",
        method="POST",
    )


# --- Requests that the gate refuses -----------------------------------------------------------------------

CLOSED = (
    "/gradio_api/deep_link?session_hash=x", "/monitoring", "/monitoring/summary",
    "/gradio_api/proxy=http://x.hf.space/",
    "/gradio_api/stream/a/b/1/playlist.m3u8", "/gradio_api/dev/reload", "/gradio_api/vibe-code", "/login",
    "/logout",
    "/gradio_api/runs", "/gradio_api/run-history/buckets", "/gradio_api/file/app.py", "/pwa_icon/100000",
    "/gradio_api/custom_component/1/client/a/b", "/gradio_api/profiling/traces", "/docs", "/openapi.json",
)  # fmt: skip
OTHER_SITES = (
    {"Host": "evil.example"}, {"Host": "127.0.0.1.nip.io:7860"}, {"Host": "localhost.evil.example"},
    {"Host": "192.168.0.7"}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://10.0.0.1"},
    {"Host": "[::ffff:8.8.8.8]"}, {"Host": "evil.example", "X-Forwarded-Host": "localhost"},
    {"Host": "evil.example", "X-Forwarded-For": "127.0.0.1"},
)  # fmt: skip
JSON_TYPE = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


def _closed_routes(draw: Draw) -> Input:
    """What Gradio offers and the page does not need; and the verbs past their queue."""
    if draw.random.random() < 0.3:
        nothing = [None] * len(draw.target.parameters)
        where = draw.one_of((f"run{draw.target.name}", f"api{draw.target.name}", "process_recording"))
        content = json.dumps({"data": nothing}).encode()
        return _request(draw, f"/gradio_api/{where}", content, JSON_TYPE, where)
    asked = draw.one_of(CLOSED)
    return replace(draw.start, endpoint="gate", what=asked, address=asked, must_be_refused=True)


def _other_sites(draw: Draw) -> Input:
    """Requests of a page of another site, also of one whose name leads to loopback."""
    headers = draw.one_of(OTHER_SITES)
    asked = draw.one_of(("/", "/config", "/gradio_api/info", "/gradio_api/queue/status", "/theme.css"))
    return replace(
        draw.start,
        endpoint="gate",
        what=f"{asked} {headers}",
        address=asked,
        headers=headers,
        must_be_refused=True,
    )


def _heavy_bodies(draw: Draw) -> Input:
    """JSON that is deep, large, long, or none."""
    depth, count = int(draw.random.integers(70, 5_000)), int(draw.random.integers(30_000, 200_000))
    bodies = {
        "deep lists": b'{"data": ' + b"[" * depth + b"]" * depth + b"}",
        "deep objects": b'{"a":' * depth + b"1" + b"}" * depth,
        "deep and open": b"[" * depth,
        "many values": b'{"data": [' + b"0," * count + b"0]}",
        "many keys": b"{" + b",".join(b'"%d": 1' % number for number in range(count // 2)) + b"}",
        "a long text": b'{"data": ["' + b"x" * (9 * 2**20) + b'"]}',
        "no JSON": draw.random.bytes(50),
        "many digits": b'{"data": [' + b"9" * count + b"]}",
    }
    kind = draw.one_of(list(bodies))
    name = draw.target.name
    where = draw.one_of((f"call{name}", f"call/v2{name}", "queue/join", "cancel", "component_server", "mcp/"))
    return _request(draw, f"/gradio_api/{where}", bodies[kind], JSON_TYPE, f"{kind} at {where}")


def _malformed_uploads(draw: Draw) -> Input:
    """Uploads that are cut, without names, or of another type."""
    disposition = b'Content-Disposition: form-data; name="files"'
    bodies = {
        "garbage": draw.random.bytes(200),
        "no disposition": b"--b\r\n\r\nx\r\n--b--\r\n",
        "a field": b"--b\r\n" + disposition + b"\r\n\r\nx\r\n--b--\r\n",
        "a large field": b"--b\r\n" + disposition + b"\r\n\r\n" + bytes(200_000) + b"\r\n--b--\r\n",
        "no end": b"--b\r\n" + disposition + b'; filename="a.wav"\r\n\r\nabc',
        "a long header": b"--b\r\nX: " + b"x" * 20_000 + b"\r\n\r\n--b--\r\n",
        "nothing": b"",
    }
    kind = draw.one_of(list(bodies))
    types = ("multipart/form-data; boundary=b",) * 3 + (
        "multipart/form-data",
        "application/json",
        "",
        "text/plain",
    )
    headers = {"Content-Type": draw.one_of(types)}
    query = draw.one_of(("", "?upload_id=abc"))
    return _request(draw, f"/gradio_api/upload{query}", bodies[kind], headers, f"{kind} {headers}")


def _request(draw: Draw, asked: str, content: bytes, headers: Mapping[str, str], what: str) -> Input:
    return replace(
        draw.start,
        endpoint="gate",
        what=what,
        address=asked,
        method="SEND",
        content=content,
        headers=headers,
        must_be_refused=True,
    )


Maker = Callable[[Draw], Input]

# How often each is sampled, relative to the others, and what samples it.
KINDS: dict[str, tuple[int, Maker]] = {
    "random bytes": (8, _random_bytes),
    "truncated": (10, _truncated),
    "bits flipped": (12, _bits_flipped),
    "extreme fields": (14, _extreme_fields),
    "spliced": (8, _spliced),
    "odd shape": (12, _odd_shape),
    "odd samples": (8, _odd_samples),
    "names": (8, _names),
    "playlists": (5, _playlists),
    "parameters": (24, _parameters),
    "paths": (14, _paths),
    "bodies": (4, _bodies),
    "tools": (12, _tools),
    "reads": (14, _reads),
    "links": (5, _links),
    "private events": (8, _private_events),
    "server functions": (4, _server_functions),
    "closed routes": (4, _closed_routes),
    "other sites": (4, _other_sites),
    "heavy bodies": (5, _heavy_bodies),
    "malformed uploads": (4, _malformed_uploads),
}
