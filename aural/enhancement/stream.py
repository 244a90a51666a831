"""Noise reduction of live sound: blocks in, blocks out, 40 ms late; a stream gives what a whole clip gives.

    input ── to 48 kHz ── pairs of frames ── CausalDenoiser ── overlap-add ── to the old rate ── result
                          of 32 ms

The network takes pairs of frames and remembers the earlier ones, so the result does not depend on how the
sound arrives, apart from the rounding of single precision, 120 dB below the peak. Importing this module does
not import torch.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from aural import hub
from aural.audio.clip import Clip, Samples, excerpt
from aural.audio.resample import ResampleStream
from aural.audio.steps import Steps, stepwise
from aural.hub.device import inference, pick_device
from aural.options import require

if TYPE_CHECKING:
    from torch import Tensor

    from aural.enhancement.denoiser_causal import CausalDenoiser

CHECKPOINT = "live_denoiser"
MODEL_RATE = 48_000  # Hz
BLOCK_SECONDS = 1.0  # of a clip, between two steps
BACKGROUND_DB = -30.0
MAX_BLOCKS = 64  # of two frames, 16 ms, at a time: more take more memory and are no faster
PROBED_SECONDS, PROBE_SECONDS = 2.0, 0.01  # to find how late a resampler is, and in blocks of which length


class Streamer:
    """Noise reduction of a stream of samples.

    Any partition of the input into blocks gives the same result. `push` returns the outputs that are complete
    so far, `finish` the rest. Together they are as many samples as were pushed, aligned with them. All
    channels get the same mask, so the stereo image stays. Memory does not grow with the length.

    >>> streamer = Streamer(channels=1, rate=48_000)
    >>> heard = [streamer.push(block) for block in np.zeros((10, 1, 4_800), np.float32)]
    >>> sum(block.shape[1] for block in (*heard, streamer.finish()))
    48000

    Args:
        rate: Hz.
        strength: share of the noise reduction, 0 to 1.
        adaptive: less of it where hardly any noise was heard so far.
        background_db: gain of the removed background that is mixed back in, -60 to 12 dB; None: off.

    Raises:
        OptionError: a value out of range.
        CheckpointError: the model is not available.
    """

    look_ahead_seconds: float  # an output depends on no input later than this

    def __init__(
        self,
        channels: int,
        rate: float,
        *,
        strength: float = 1.0,
        adaptive: bool = True,
        background_db: float | None = BACKGROUND_DB,
    ) -> None:
        require("strength", strength, 0, 1)
        if background_db is not None:
            require("gain of the background", background_db, -60, 12, " dB")
        share = 0.0 if background_db is None else 10 ** (background_db / 20)
        self._denoising = _DenoisingStream(channels, strength, adaptive, share)
        self._up = self._down = None
        self.look_ahead_seconds = self._denoising.look_ahead_seconds
        self._received = self._produced = 0
        if rate != MODEL_RATE:
            self._up, self._down = (
                ResampleStream(channels, *rates) for rates in ((rate, MODEL_RATE), (MODEL_RATE, rate))
            )
            self.look_ahead_seconds += _delay_seconds(rate, MODEL_RATE) + _delay_seconds(MODEL_RATE, rate)

    def push(self, samples: Samples) -> Samples:
        """Take the next samples and return the outputs that they complete.

        Shape: (channels, time) -> (channels, any number).
        """
        self._received += samples.shape[1]
        if self._up is not None:
            samples = self._up.push(samples)
        made = self._denoising.push(samples)
        if self._down is not None:
            made = self._down.push(made)
        self._produced += made.shape[1]
        return made

    def finish(self) -> Samples:
        """The remaining outputs, with silence after the end. Shape: (channels, any number).

        Nothing can be pushed afterwards.
        """
        left = self._received - self._produced
        if self._up is None or self._down is None:
            return self._denoising.finish()
        nothing = np.zeros((self._denoising.channels, 0), np.float32)
        made = self._denoising.push(self._up.push(nothing, is_last=True))
        ending = np.concatenate((made, self._denoising.finish()), axis=1)
        # By way of another rate, the length may differ by a sample.
        return excerpt(self._down.push(ending, is_last=True), 0, left)


@stepwise
def denoise(
    clip: Clip,
    *,
    strength: float = 1.0,
    adaptive: bool = True,
    background_db: float | None = BACKGROUND_DB,
) -> Steps[Clip]:
    """What `Streamer` makes of a whole clip.

    Raises:
        InputError: an empty clip, or samples that are not finite.
        OptionError: a value out of range.
        CheckpointError: the model is not available.
    """
    clip.require_finite()
    streamer = Streamer(
        clip.channels, clip.rate, strength=strength, adaptive=adaptive, background_db=background_db
    )
    block = round(BLOCK_SECONDS * clip.rate)
    made = []
    for start in range(0, clip.frames, block):
        yield start / clip.frames
        made.append(streamer.push(clip.samples[:, start : start + block]))
    made.append(streamer.finish())
    return clip.with_samples(np.concatenate(made, axis=1))


class _DenoisingStream:
    """`Streamer` at the model's rate."""

    def __init__(self, channels: int, strength: float, adaptive: bool, background: float) -> None:
        import torch

        from aural.enhancement.denoiser_causal import CAUSAL_TAPS, PAIR, Past

        self.channels = channels
        self._strength, self._adaptive, self._background = strength, adaptive, background
        self._device = pick_device()
        self._model: CausalDenoiser = hub.load(CHECKPOINT, device=self._device)
        front_end = self._model.front_end
        self._hop, self._size = front_end.hop, front_end.window
        self._block = PAIR * self._hop
        self._past = Past()
        self._earlier = torch.zeros(
            channels, front_end.bins, -CAUSAL_TAPS[0], dtype=torch.complex64, device=self._device
        )
        window = torch.hann_window(self._size, device=self._device)
        # As in `aural.audio.spectral`: amplitudes are those of a sine.
        self._window = window * (2 / window.sum())
        # The first frame is centred on the first sample.
        self._heard = np.zeros((channels, self._size // 2), np.float32)
        # What earlier frames add to the samples to come.
        self._sum = torch.zeros(channels, self._size - self._hop, device=self._device)
        self._weight = torch.zeros(self._size - self._hop, device=self._device)
        self._late = self._size // 2  # outputs before the first sample, to be dropped
        self._received = self._produced = 0
        # A block is complete with the last frame that reaches into it, and that one's partner.
        self.look_ahead_seconds = (self._size + self._block - self._hop - 1) / MODEL_RATE

    def push(self, samples: Samples) -> Samples:
        """Shape: (channels, time) -> (channels, any number)."""
        self._received += samples.shape[1]
        return self._steps(samples)

    def finish(self) -> Samples:
        """Shape: (channels, any number)."""
        left = self._received - self._produced
        silence = np.zeros((self.channels, self._size + self._block), np.float32)
        return self._steps(silence)[:, :left]

    def _steps(self, samples: Samples) -> Samples:
        heard = np.concatenate((self._heard, samples), axis=1)
        rest = self._size - self._hop  # by which the last frame of a block reaches beyond it
        ready = max(0, heard.shape[1] - rest) // self._block * self._block
        pieces = [
            self._step(heard[:, start : min(start + MAX_BLOCKS * self._block, ready) + rest])
            for start in range(0, ready, MAX_BLOCKS * self._block)
        ]
        self._heard = heard[:, ready:].copy()
        made = np.concatenate((heard[:, :0], *pieces), axis=1)
        dropped = min(self._late, made.shape[1])
        self._late -= dropped
        self._produced += made.shape[1] - dropped
        return made[:, dropped:]

    def _step(self, samples: Samples) -> Samples:
        """The next blocks: the samples that their frames cover -> those that no later frame reaches."""
        import torch
        from torch.nn import functional

        with inference(self._device):
            heard = torch.tensor(samples, device=self._device)
            frames = heard.unfold(1, self._size, self._hop) * self._window
            masked = self._mask(torch.fft.rfft(frames).transpose(1, 2))
            windows = torch.fft.irfft(masked.transpose(1, 2), self._size) * self._window
            ready = windows.shape[1] * self._hop
            sums = functional.pad(self._sum, (0, ready))
            weights = functional.pad(self._weight, (0, ready))
            for number in range(windows.shape[1]):
                covered = slice(number * self._hop, number * self._hop + self._size)
                sums[:, covered] += windows[:, number]
                weights[covered] += self._window.square()
            made: Samples = (sums[:, :ready] / weights[:ready].clamp_min(1e-11)).cpu().numpy()
            self._sum, self._weight = sums[:, ready:], weights[ready:]
            return made

    def _mask(self, spectrum: Tensor) -> Tensor:
        """The result of a pair of frames. Shape: (channels, bins, PAIR), complex, both."""
        import torch

        from aural.enhancement.adaptation import need_so_far
        from aural.enhancement.features import mix_to_mono

        masks = self._model(mix_to_mono(spectrum), self._past)
        voice = masks.apply(spectrum, self._earlier)
        reach = self._earlier.shape[-1]
        self._earlier = torch.cat((self._earlier, spectrum), -1)[..., -reach:]
        removed = self._background * masks.background(spectrum)
        share = need_so_far(spectrum, voice, self._past) if self._adaptive else 1.0
        made: Tensor = spectrum + self._strength * share * (voice + removed - spectrum)
        return made


@lru_cache(maxsize=16)
def _delay_seconds(rate_in: float, rate_out: float) -> float:
    """How late the resampler's outputs are at most, as it is found with silence."""
    stream = ResampleStream(1, rate_in, rate_out)
    block = np.zeros((1, round(PROBE_SECONDS * rate_in)), np.float32)
    late = sent = made = 0.0
    while sent < PROBED_SECONDS:
        sent += block.shape[1] / rate_in
        made += stream.push(block).shape[1] / rate_out
        late = max(late, sent - made)
    return late
