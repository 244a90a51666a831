"""Live super-resolution of a microphone: blocks in, blocks out, a few visitors at a time.

The sound is first downsampled, for example to the rate of a phone, so that there is something to restore. The
page (`live.js`) records, sends and plays the blocks; the key of their session ties them together.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import threading
import time
from typing import Any

import numpy as np

from aural.audio import LIMITS
from aural.audio.clip import Samples
from aural.errors import InputError, OptionError
from aural.hub.workers import Workers
from aural.options import require
from aural.superres.pipeline import METHODS, Method

NARROW_RATES = (4_000, 8_000, 11_025, 16_000, 24_000)  # Hz, to which the microphone can be downsampled

MAX_SESSIONS = 4
MAX_SECONDS = 180.0  # maximum length of a session
IDLE_SECONDS = 20.0  # a session without a block for this long is closed
MAX_BLOCK_SECONDS = 3.0

FULL_SCALE = 32_767

_workers = Workers(1)  # not those of the calls, whose steps may take seconds


class Live:
    """One visitor's microphone: downsampled, then super-resolved to its own rate.

    Attributes:
        look_ahead_seconds: minimum delay of the result.
    """

    def __init__(self, rate: int, narrow_rate: int, method: Method) -> None:
        from aural.superres.sinc import SincStream
        from aural.superres.streaming import Streamer

        self.rate = rate
        self.seconds = 0.0  # received so far
        self.opened = self.used = time.monotonic()  # start, and time of the last block
        self._lock = threading.Lock()
        self._cut = SincStream(rate, narrow_rate, 1)
        self._streamer = Streamer(1, narrow_rate, rate, narrow_rate / 2, method)
        self.look_ahead_seconds = self._cut.look_ahead_seconds + self._streamer.look_ahead_seconds

    @property
    def is_over(self) -> bool:
        """Whether the session has reached its maximum length."""
        late = time.monotonic() - self.opened > MAX_SECONDS + IDLE_SECONDS
        return late or self.seconds > MAX_SECONDS

    def push(self, samples: Samples) -> Samples:
        """The next block; returns what is ready. Shape: (1, time) -> (1, any time), both at `rate`."""
        with self._lock:
            self.used = time.monotonic()
            self.seconds += samples.shape[1] / self.rate
            return self._streamer.push(self._cut.push(samples))


class Sessions:
    """The sessions of a server, by their keys; thread-safe."""

    def __init__(self) -> None:
        self._sessions: dict[str, Live] = {}
        self._opening = 0  # places reserved by sessions that are being opened
        self._lock = threading.Lock()

    def open(self, rate: float, narrow_rate: float, method: str) -> dict[str, Any]:
        """Begin a session; returns its key, its look-ahead in ms and how many seconds it may last.

        Args:
            rate: of the microphone, Hz.
            narrow_rate: one of `NARROW_RATES`, below `rate`.
            method: one of `aural.superres.pipeline.METHODS`.

        Raises:
            OptionError: a setting out of range.
            InputError: too many sessions at once.
        """
        require("rate of the microphone", rate, LIMITS.min_rate, LIMITS.max_rate, " Hz")
        if narrow_rate not in NARROW_RATES or narrow_rate >= rate:
            known = ", ".join(str(each) for each in NARROW_RATES)
            raise OptionError(f"Can't downsample {rate:g} Hz to {narrow_rate}. Choose a lower of {known} Hz.")
        chosen = next((known for known in METHODS if known == method), None)
        if chosen is None:
            raise OptionError(f'There is no method "{method}". Choose {" or ".join(METHODS)}.')
        self._sweep()
        with self._lock:
            if len(self._sessions) + self._opening >= MAX_SESSIONS:
                raise InputError("All live sessions are in use. Try again in a minute.")
            self._opening += 1
        try:
            # The first block takes longest, so it is run here and not by the visitor.
            first = Live(round(rate), int(narrow_rate), chosen)
            _workers.run(first.push, np.zeros((1, round(rate / 10)), np.float32))
            session, key = Live(round(rate), int(narrow_rate), chosen), secrets.token_urlsafe(12)
            with self._lock:
                self._sessions[key] = session
        finally:
            with self._lock:
                self._opening -= 1
        return {
            "key": key,
            "look_ahead_ms": 1000 * session.look_ahead_seconds,
            "longest_seconds": MAX_SECONDS,
        }

    def push(self, key: str, block: str) -> dict[str, Any]:
        """The next block of a session; returns the block that is ready, and the ms that it took to compute.

        A block is one channel of 16-bit samples, little-endian, as base64.

        Raises:
            InputError: an unknown session, one that is over, or an invalid block.
        """
        with self._lock:
            session = self._sessions.get(key) if isinstance(key, str) else None
        if session is None:
            raise InputError("This session has ended. Start again.")
        if session.is_over:
            self.close(key)
            raise InputError(f"A session lasts up to {MAX_SECONDS / 60:g} minutes. Start again.")
        # Base64 takes 2.7 characters for 16 bits, so a block that is too long need not be decoded.
        if not isinstance(block, str) or len(block) > 2.7 * MAX_BLOCK_SECONDS * session.rate:
            raise InputError(f"A block may last up to {MAX_BLOCK_SECONDS:g} s. Send shorter ones.")
        samples = _decode(block)
        start = time.perf_counter()
        output = _workers.run(session.push, samples)
        return {"samples": _encode(output), "took_ms": 1000 * (time.perf_counter() - start)}

    def close(self, key: str) -> None:
        """End a session; an unknown one has already ended."""
        if isinstance(key, str):
            with self._lock:
                self._sessions.pop(key, None)

    def _sweep(self) -> None:
        """Close the sessions of pages that were left."""
        now = time.monotonic()
        with self._lock:
            for key, session in list(self._sessions.items()):
                if session.is_over or now - session.used > IDLE_SECONDS:
                    del self._sessions[key]


def _decode(block: str) -> Samples:
    """Shape: (1, time)."""
    try:
        samples = np.frombuffer(base64.b64decode(block, validate=True), "<i2")
    except (TypeError, ValueError, binascii.Error):
        raise InputError("A block must hold 16-bit samples as base64. Reload the page.") from None
    return (samples.astype(np.float32) / np.float32(FULL_SCALE))[np.newaxis]


def _encode(samples: Samples) -> str:
    """Shape: (1, time)."""
    scaled = np.rint(np.clip(samples[0], -1, 1) * np.float32(FULL_SCALE))
    return base64.b64encode(scaled.astype("<i2").tobytes()).decode("ascii")
