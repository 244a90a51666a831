"""Live sessions: who may open one, how long it lasts, and what a page may send."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from aural.audio.clip import Samples
from aural.errors import InputError, OptionError
from aural.options import require_known
from aural.ui import live

RATE = 48_000
DELAY = 480  # samples
CHOICES = {"gain": "half"}
SECTION = live.LiveSection(lambda rate, choices: Halved(rate, choices), "", [])


class Halved:
    """A stream that is softer, and 10 ms late."""

    look_ahead_seconds = DELAY / RATE

    def __init__(self, rate: int, choices: Mapping[str, Any]) -> None:
        assert rate == RATE
        require_known("gain", choices.get("gain"), ["half"])
        self._waiting = np.zeros((1, 0), np.float32)

    def push(self, samples: Samples) -> Samples:
        heard = np.concatenate((self._waiting, samples), axis=1)
        ready = max(heard.shape[1] - DELAY, 0)
        self._waiting = heard[:, ready:]
        return heard[:, :ready] / 2


@pytest.fixture
def sessions() -> Iterator[live.Sessions]:
    yield live.Sessions(Halved)


def encoded(samples: np.ndarray) -> str:
    return base64.b64encode((32_767 * samples).astype("<i2").tobytes()).decode()


def test_what_comes_back_is_what_the_stream_makes(sessions: live.Sessions) -> None:
    samples = (0.1 * np.random.default_rng(0).standard_normal(RATE)).astype(np.float32)
    opened = sessions.open(RATE, CHOICES)
    assert opened["look_ahead_ms"] == pytest.approx(10)
    answers = [sessions.push(opened["key"], encoded(block)) for block in samples.reshape(10, -1)]
    assert all(answer["took_ms"] >= 0 for answer in answers)
    heard = np.concatenate([np.frombuffer(base64.b64decode(answer["samples"]), "<i2") for answer in answers])
    assert len(heard) == RATE - DELAY
    assert np.abs(heard / 32_767 - samples[:-DELAY] / 2).max() < 1.5 / 32_767


def test_a_session_ends_when_it_is_long_idle_or_closed(
    sessions: live.Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = encoded(np.zeros(4_800, np.float32))
    key = sessions.open(RATE, CHOICES)["key"]
    sessions.close(key)
    with pytest.raises(InputError, match="Start again"):
        sessions.push(key, block)
    key = sessions.open(RATE, CHOICES)["key"]
    monkeypatch.setattr(live, "MAX_SECONDS", 0.15)
    sessions.push(key, block)
    sessions.push(key, block)
    with pytest.raises(InputError, match="Start again"):
        sessions.push(key, block)
    for _ in range(live.MAX_SESSIONS):
        sessions.open(RATE, CHOICES)
    with pytest.raises(InputError, match="in a minute"):
        sessions.open(RATE, CHOICES)
    monkeypatch.setattr(live, "IDLE_SECONDS", -1.0)
    sessions.open(RATE, CHOICES)


@pytest.mark.parametrize("rate", [None, 1e9, "fast", float("nan")], ids=str)
@pytest.mark.parametrize("choices", [CHOICES, None, [], {"gain": ["half"]}], ids=str)
def test_what_cannot_be_live_is_told_in_a_sentence(rate: Any, choices: Any) -> None:
    for asked in ({"rate": rate, "choices": choices}, {"rate": RATE, "choices": {}}):
        answer = SECTION.live_open(asked)
        assert set(answer) == {"error"} and answer["error"].endswith(".")


def test_a_hostile_block_is_told_in_a_sentence(sessions: live.Sessions) -> None:
    key = sessions.open(RATE, CHOICES)["key"]
    for block in ("not base64!", "AAAA", None, 7, encoded(np.zeros(RATE * 4, np.float32))):
        with pytest.raises(InputError, match=r"\.$"):
            sessions.push(key, block)  # type: ignore[arg-type]
    for asked in (None, [], {}, {"key": 1, "samples": ""}, {"key": "?" * 1000, "samples": ""}):
        assert SECTION.live_push(asked)["error"].endswith(".")  # type: ignore[arg-type]
    assert SECTION.live_close({"key": "unknown"}) == {}
    with pytest.raises(OptionError):
        sessions.open(RATE, {"gain": ""})


def test_no_more_sessions_open_at_once_than_there_are_places(sessions: live.Sessions) -> None:
    def opened(_: int) -> bool:
        try:
            sessions.open(RATE, CHOICES)
        except InputError:
            return False
        return True

    with ThreadPoolExecutor(12) as visitors:
        assert sum(visitors.map(opened, range(12))) == live.MAX_SESSIONS


def test_empty_blocks_keep_no_session_alive(sessions: live.Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    key = sessions.open(RATE, CHOICES)["key"]
    sessions.push(key, "")
    later = time.monotonic() + live.MAX_SECONDS + live.IDLE_SECONDS + 1
    monkeypatch.setattr(live.time, "monotonic", lambda: later)
    with pytest.raises(InputError, match="up to 3 minutes"):
        sessions.push(key, "")


def test_a_key_that_is_none_closes_nothing() -> None:
    SECTION.live_open({"rate": RATE, "choices": CHOICES})
    for key in ([], {}, None, 7):
        assert SECTION.live_close({"key": key}) == {}
