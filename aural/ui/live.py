"""Live sound from a visitor's microphone: blocks in, blocks out, a few visitors at a time.

The page (`live.js`) records, sends and plays the blocks; the key of a session ties them together. A tab says
what is made of the sound: see `LiveSection`.
"""

from __future__ import annotations

import base64
import binascii
import functools
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import gradio as gr
import numpy as np

from aural.audio import LIMITS
from aural.audio.clip import Samples
from aural.errors import AuralError, InputError
from aural.hub.workers import Workers
from aural.options import require

MAX_SESSIONS = 4  # of each tab
MAX_SECONDS = 180.0  # maximum length of a session
IDLE_SECONDS = 20.0  # a session without a block for this long is closed
MAX_BLOCK_SECONDS = 3.0

FULL_SCALE = 32_767

ASSETS = Path(__file__).parent

_workers = Workers(1)  # not those of the calls, whose steps may take seconds


class Stream(Protocol):
    """What makes the output of one channel, such as `aural.enhancement.stream.Streamer`."""

    look_ahead_seconds: float

    def push(self, samples: Samples) -> Samples:
        """The outputs that these samples complete. Shape: (1, time) -> (1, any time)."""


# Rate of the microphone in Hz, values of the choices by their names -> the stream; raises OptionError.
Start = Callable[[int, Mapping[str, Any]], Stream]


@dataclass(frozen=True)
class Choice:
    """A setting of a live session. Another value begins another session."""

    name: str
    label: str
    options: Sequence[tuple[str, str]]  # value, as the page sends it, and title
    value: str  # at first


class Session:
    """One visitor's microphone.

    Attributes:
        look_ahead_seconds: minimum delay of the result.
    """

    def __init__(self, rate: int, stream: Stream) -> None:
        self.rate = rate
        self.seconds = 0.0  # received so far
        self.opened = self.used = time.monotonic()  # start, and time of the last block
        self.look_ahead_seconds = stream.look_ahead_seconds
        self._lock = threading.Lock()
        self._stream = stream

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
            return self._stream.push(samples)


class Sessions:
    """The sessions of a tab, by their keys; thread-safe."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._sessions: dict[str, Session] = {}
        self._opening = 0  # places reserved by sessions that are being opened
        self._lock = threading.Lock()

    def open(self, rate: float, choices: Mapping[str, Any]) -> dict[str, Any]:
        """Begin a session; returns its key, its look-ahead in ms and how many seconds it may last.

        Args:
            rate: of the microphone, Hz.
            choices: the values of the tab's choices, as the page sent them.

        Raises:
            OptionError: a setting out of range.
            InputError: too many sessions at once.
        """
        require("rate of the microphone", rate, LIMITS.min_rate, LIMITS.max_rate, " Hz")
        if not isinstance(choices, Mapping):
            choices = {}
        self._sweep()
        with self._lock:
            if len(self._sessions) + self._opening >= MAX_SESSIONS:
                raise InputError("All live sessions are in use. Try again in a minute.")
            self._opening += 1
        try:
            # The first block takes longest, so it is run here and not by the visitor.
            first = self._start(round(rate), choices)
            _workers.run(first.push, np.zeros((1, round(rate / 10)), np.float32))
            session = Session(round(rate), self._start(round(rate), choices))
            key = secrets.token_urlsafe(12)
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


class LiveSection:
    """The section "Live from the microphone" of a tab, and its sessions.

    Args:
        start: makes the stream of a session.
        about: what one hears, for the visitor.
        choices: the settings; what the page sends is handed to `start`, unchecked.
        edge: name of the choice whose value is twice the frequency above which the output is drawn as made.
        rate: of the microphone in Hz, where the browser can choose it; None: the browser's own.
    """

    def __init__(
        self,
        start: Start,
        about: str,
        choices: Sequence[Choice],
        *,
        edge: str | None = None,
        rate: int | None = None,
    ) -> None:
        self.sessions = Sessions(start)
        self._about, self._choices, self._edge, self._rate = about, choices, edge, rate

    def build(self) -> None:
        """Add it to the Blocks being built."""
        with gr.Accordion("Live from the microphone", open=False):
            gr.Markdown(
                f"{self._about} Use headphones to avoid feedback. "
                f"A session ends after {MAX_SECONDS / 60:g} minutes."
            )
            gr.HTML(
                html_template='<div class="live-place"></div>',
                css_template=(ASSETS / "live.css").read_text(encoding="utf-8"),
                js_on_load=(ASSETS / "live.js").read_text(encoding="utf-8"),
                apply_default_css=False,
                server_functions=[_plain(one) for one in (self.live_open, self.live_push, self.live_close)],
                settings=[asdict(choice) for choice in self._choices],
                edge=self._edge,
                rate=self._rate,
            )

    def live_open(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Begin a session, for the page; see `Sessions.open`."""
        return _answer(self.sessions.open, asked, ("rate", "choices"))

    def live_push(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The next block of a session, for the page; see `Sessions.push`."""
        return _answer(self.sessions.push, asked, ("key", "samples"))

    def live_close(self, asked: dict[str, Any]) -> dict[str, Any]:
        """End a session, for the page; see `Sessions.close`."""
        return _answer(self.sessions.close, asked, ("key",))


def _plain(method: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """The function that a method is: Gradio marks a component's functions, and a method can't be marked."""

    @functools.wraps(method)
    def function(asked: dict[str, Any]) -> dict[str, Any]:
        return method(asked)

    return function


def _answer(call: Callable[..., Any], asked: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """The answer for the page, or an error as a sentence."""
    if not isinstance(asked, dict):
        asked = {}
    try:
        return call(*(asked.get(name) for name in names)) or {}
    except AuralError as error:
        return {"error": str(error)}
