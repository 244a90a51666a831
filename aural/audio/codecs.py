"""Lossy codecs: a sound encoded to Opus, AAC, MP3, AMR or G.711 and decoded again, without their delay.

FFmpeg's encoders and decoders do the work, through PyAV. Each codec's delay is measured once and removed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from numbers import Real
from typing import Literal, get_args

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from numpy.typing import NDArray

from aural.audio.clip import Samples, excerpt
from aural.audio.resample import resample_samples
from aural.errors import InputError, OptionError, shorten

CodecName = Literal["opus", "aac", "mp3", "amr", "g711"]
CODECS: tuple[CodecName, ...] = get_args(CodecName)
# Bit rates for speech; AMR and G.711 have no others.
KILOBITS: dict[CodecName, tuple[float, ...]] = {
    "opus": (6, 8, 10, 12, 14, 16, 20, 24),
    "aac": (24, 32, 48, 64),
    "mp3": (32, 40, 48, 64),
    "amr": (4.75, 5.15, 5.9, 6.7, 7.4, 7.95, 10.2, 12.2),
    "g711": (64,),
}
RATE = 48_000  # Hz, of input and output
CUT_OFF_CODECS: tuple[CodecName, ...] = ("aac", "mp3")  # their encoders' low-pass can be set
CUT_OFF_RANGE_HZ = (2_000.0, 20_000.0)


@dataclass(frozen=True)
class Codec:
    """A lossy codec.

    Raises:
        OptionError: an unknown codec, a value out of range, a cut-off for a codec that has none.
    """

    name: CodecName  # "amr" (narrow band) and "g711" work at 8 kHz
    kilobits: float  # per second, of one channel
    cutoff_hz: float | None = None  # of the encoder's low-pass ("aac" and "mp3"); None: its own choice

    def __post_init__(self) -> None:
        if self.name not in CODECS:
            raise OptionError(f'There is no codec "{shorten(self.name)}". Choose one of {", ".join(CODECS)}.')
        if not _is_within(self.kilobits, 1, 512):
            raise OptionError(
                f"The bit rate of the codec must be from 1 to 512 kbit/s, not {shorten(self.kilobits)}."
            )
        if self.cutoff_hz is not None:
            if self.name not in CUT_OFF_CODECS:
                raise OptionError(f'The codec "{self.name}" has no cut-off to set. Leave it out.')
            low_hz, high_hz = CUT_OFF_RANGE_HZ
            if not _is_within(self.cutoff_hz, low_hz, high_hz):
                raise OptionError(
                    f"The cut-off of the codec must be from {low_hz:g} to {high_hz:g} Hz, "
                    f"not {shorten(self.cutoff_hz)}."
                )


def _is_within(value: object, low: float, high: float) -> bool:
    """Whether a program sent a number in this range; True is none."""
    return isinstance(value, Real) and not isinstance(value, bool) and low <= float(value) <= high


def transcode(samples: Samples, codec: Codec) -> Samples:
    """Encode one channel at 48 kHz and decode it again, with the codec's delay removed.

    Shape:
        samples: (time,), 48 kHz
        returns: (time,), the same

    Raises:
        InputError: samples of another shape, or none.
        OptionError: this installation lacks the codec, or the codec does not support the bit rate.
    """
    if samples.ndim != 1 or not len(samples):
        raise InputError(
            f"Samples must have the shape (time,) and one of them at least, not {samples.shape}."
        )
    # The low-pass works on spectra and adds no delay, so all cut-offs share one measurement.
    delay = _delay(replace(codec, cutoff_hz=None))
    ended = np.pad(samples, (0, max(delay, 0) + RATE // 25))  # flushes the end out of the codec
    result: Samples = excerpt(_encode_decode(ended, codec)[np.newaxis], delay, delay + len(samples))[0]
    return result


@dataclass(frozen=True)
class _Format:
    """How FFmpeg encodes and decodes a codec's packets."""

    encoder: str
    decoder: str
    rate: int  # Hz
    sample_format: str
    options: tuple[tuple[str, str], ...] = ()  # of the encoder


_FORMATS = {
    "opus": _Format(
        "libopus",
        "libopus",
        RATE,
        "flt",
        (("application", "voip"), ("compression_level", "3"), ("vbr", "constrained")),
    ),
    "aac": _Format("aac", "aac", RATE, "fltp", (("aac_coder", "fast"),)),
    "mp3": _Format("libmp3lame", "mp3float", RATE, "fltp", (("compression_level", "7"),)),
    "amr": _Format("libopencore_amrnb", "amrnb", 8000, "s16"),
    "g711": _Format("pcm_mulaw", "pcm_mulaw", 8000, "s16"),
}


@cache
def _delay(codec: Codec) -> int:
    """A codec's delay in samples, measured with bursts of voice-like noise and a cross-correlation."""
    # scipy.signal takes long to import, and not every user of this module needs it.
    from scipy.signal import butter, fftconvolve, sosfilt

    generator = np.random.default_rng(0)
    seconds = np.arange(RATE) / RATE
    bursts = generator.standard_normal(RATE) * np.maximum(0, np.sin(2 * np.pi * 3 * seconds))
    probe = sosfilt(butter(2, (200, 2500), "bandpass", fs=RATE, output="sos"), bursts)
    probe = (probe * (0.3 / np.abs(probe).max())).astype(np.float32)
    response = _encode_decode(np.pad(probe, (0, RATE // 5)), codec)
    correlation = fftconvolve(response, probe[::-1])[len(probe) - 1 - RATE // 5 :]
    return int(np.argmax(correlation[: 2 * RATE // 5])) - RATE // 5


def _encode_decode(samples: Samples, codec: Codec) -> Samples:
    """Encode and decode, with the codec's delay. Shape: (time,) -> (about time,)."""
    form = _FORMATS[codec.name]
    encoder, decoder = _open(codec)
    sent = samples[np.newaxis]
    if form.rate != RATE:
        sent = resample_samples(sent, RATE, form.rate)
    size = encoder.frame_size or sent.shape[1]  # a codec without frames takes any number of samples
    sent = excerpt(sent, 0, -(-sent.shape[1] // size) * size)
    packets = []
    for start in range(0, sent.shape[1], size):
        piece = _to_format(sent[:, start : start + size], form.sample_format)
        frame = av.AudioFrame.from_ndarray(piece, form.sample_format, "mono")
        frame.sample_rate, frame.pts = form.rate, start
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    pieces = [frame.to_ndarray() for packet in (*packets, None) for frame in decoder.decode(packet)]
    scale = 32_768 if pieces[0].dtype == np.int16 else 1
    decoded: Samples = np.concatenate(pieces, axis=1).astype(np.float32) / np.float32(scale)
    if form.rate != RATE:
        decoded = resample_samples(decoded, form.rate, RATE)
    result: Samples = decoded[0]
    return result


def _to_format(samples: Samples, sample_format: str) -> NDArray[np.float32] | NDArray[np.int16]:
    if sample_format != "s16":
        return np.ascontiguousarray(samples)
    return np.clip(np.round(samples * 32_768), -32_768, 32_767).astype(np.int16)


def _open(codec: Codec) -> tuple[AudioCodecContext, AudioCodecContext]:
    """A new encoder and decoder."""
    form = _FORMATS[codec.name]
    kilobits = codec.kilobits
    if codec.name == "amr":
        kilobits = min(KILOBITS["amr"], key=lambda known: abs(known - codec.kilobits))
    try:
        encoder = av.CodecContext.create(form.encoder, "w")
        decoder = av.CodecContext.create(form.decoder, "r")
    except (ValueError, av.FFmpegError) as error:
        raise OptionError(
            f'This installation of PyAV lacks the codec "{codec.name}". '
            "Choose another codec, or install PyAV's wheel."
        ) from error
    assert isinstance(encoder, AudioCodecContext) and isinstance(decoder, AudioCodecContext)
    for context in (encoder, decoder):
        context.sample_rate = form.rate
        context.layout = "mono"
    encoder.format = form.sample_format
    encoder.bit_rate = round(kilobits * 1000)
    cutoff = {} if codec.cutoff_hz is None else {"cutoff": f"{codec.cutoff_hz:.0f}"}
    encoder.options = dict(form.options) | cutoff
    try:
        encoder.open()
    except (ValueError, av.FFmpegError) as error:
        raise OptionError(
            f'The codec "{codec.name}" does not work at {codec.kilobits:g} kbit/s. Choose another bit rate.'
        ) from error
    decoder.extradata = encoder.extradata
    return encoder, decoder
