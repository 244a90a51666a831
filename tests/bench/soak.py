"""Many clients for minutes on the running app: `python -m tests.bench.soak --clients 20 --minutes 5`.

The app runs in a process of its own with the shipped checkpoints. Each client calls one endpoint after the
other with short files and middling ones, sometimes two at once, and cancels some. The warm-up, of a minute or
as long as it takes to call every endpoint once in every way, is followed by a moment of rest, and so is the
end; between the two the server's memory may grow by a tenth.
Every answer is held against its input, so that two clients' files cannot be mixed up. Nothing may fail, but a
call that comes while the queue is full is refused. What the app stores stays within its bound.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before Gradio's client is imported

import httpx
import numpy as np
import psutil
import soundfile
from gradio_client import Client, handle_file
from gradio_client.client import Job
from gradio_client.exceptions import AppError
from gradio_client.utils import QueueError

from aural.audio import Clip, read, write
from aural.ui.examples import FOLDER
from tests.serving import Server

WARM_UP_SECONDS = 60.0
REST_SECONDS = 10.0  # until what the last calls held is let go
MEMORY_GROWTH = 0.10
KEPT_GIB = 0.25  # of uploads and results together: far below what a run makes, so that the bound is at work
ANSWER_SECONDS = 600.0  # with twenty before it in the queue
SECOND_CALL, MIDDLING, CANCELLED = 0.3, 0.15, 0.05  # shares

# What an endpoint is called with on top of its files; one that is not here is called as it is.
SETTINGS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "/measure": ({}, {"compare_downmixes": False}),
    "/master": ({}, {"target": "apple_podcasts"}, {"target": "spotify", "downmix": "mono"}),
    "/resynthesize": ({"iterations": 8}, {"phase": "original"}),
    "/enhance": ({}, {"preset": "podcast"}, {"setting": "griffin_lim"}),
    "/degrade": ({}, {"preset": "phone_call"}),
    "/super_resolve": ({}, {"method": "lisa"}, {"rate": 96_000}),
    "/batch": ({"verb": "enhance"}, {"verb": "measure"}),
    "/generate": ({"steps": 6}, {"label": "rain", "steps": 4, "count": 2}),
}


@dataclass(frozen=True)
class Sound:
    """A file to send."""

    path: Path
    seconds: float


@dataclass
class Tally:
    """What the clients have met; any thread may add."""

    seconds: dict[str, list[float]] = field(
        default_factory=lambda: defaultdict(list)
    )  # of answers, by endpoint
    counts: Counter[str] = field(default_factory=Counter)  # of answers, refusals and cancelled calls
    errors: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def make_sounds(folder: Path) -> tuple[list[Sound], list[Sound]]:
    """Short files and middling ones, each of a length of its own."""
    speech, song = read(FOLDER / "speech.ogg"), read(FOLDER / "song.ogg")
    short = [
        _sound(folder / f"short{i}.wav", speech, 2 + 0.11 * i, 8_000 if i % 2 else None) for i in range(8)
    ]
    short += [_sound(folder / f"song{i}.flac", song, 3 + 0.13 * i) for i in range(4)]
    middling = [_sound(folder / f"middling{i}.mp3", song, 15 + 1.7 * i) for i in range(4)]
    return short, middling


def _sound(path: Path, clip: Clip, seconds: float, rate: int | None = None) -> Sound:
    """As much of a clip as is wanted, again and again."""
    from aural.audio.resample import resample

    if rate:
        clip = resample(clip, rate)
    frames = round(seconds * clip.rate)
    samples = np.tile(clip.samples, (1, -(-frames // clip.frames)))[:, :frames]
    write(clip.with_samples(samples), path)
    return Sound(path, frames / clip.rate)


Call = tuple[str, Mapping[str, Any]]  # endpoint and settings


class Visitor:
    """One client, which calls the endpoints one after the other."""

    def __init__(
        self, number: int, address: str, sounds: tuple[list[Sound], list[Sound]], downloads: Path
    ) -> None:
        self._random = random.Random(number)
        self._short, self._middling = sounds
        self._downloads = downloads / str(number)
        self._client = Client(
            address, verbose=False, download_files=str(self._downloads), httpx_kwargs={"timeout": 120}
        )
        api = self._client.view_api(return_format="dict", print_info=False)["named_endpoints"]
        self._parameters = {name: endpoint["parameters"] for name, endpoint in api.items()}
        self._next = number  # each starts elsewhere, so that all endpoints are called from the start
        self.endpoints = sorted(api)

    def visit(self, until: float, tally: Tally, first: SimpleQueue[Call]) -> None:
        """Call until this time of the monotonic clock; the last answers are waited for.

        Args:
            first: what is called before all else, with middling files; shared with the other visitors.
        """
        while time.monotonic() < until or not first.empty():
            try:
                begun = [self._begin(*first.get_nowait(), self._middling)]
            except Empty:
                begun = [
                    self._begin(*self._drawn()) for _ in range(1 + (self._random.random() < SECOND_CALL))
                ]
            for call in begun:
                self._finish(*call, tally)
            shutil.rmtree(self._downloads, ignore_errors=True)

    def close(self) -> None:
        """Leave the app."""
        self._client.close()

    def _drawn(self) -> tuple[str, Mapping[str, Any], list[Sound]]:
        name = self.endpoints[self._next % len(self.endpoints)]
        self._next += 1
        sounds = self._middling if self._random.random() < MIDDLING else self._short
        return name, self._random.choice(SETTINGS.get(name, ({},))), sounds

    def _begin(
        self, name: str, settings: Mapping[str, Any], sounds: list[Sound]
    ) -> tuple[str, list[Sound], float, Job]:
        arguments, sent = dict(settings), []
        for parameter in self._parameters[name]:
            if parameter["component"] in ("Audio", "File") and not parameter["parameter_has_default"]:
                several = "list[" in str(parameter["python_type"]["type"])
                chosen = self._random.sample(sounds, 2 if several else 1)
                files = [handle_file(sound.path) for sound in chosen]
                arguments[parameter["parameter_name"]] = files if several else files[0]
                sent += chosen
        return name, sent, time.monotonic(), self._client.submit(**arguments, api_name=name)

    def _finish(self, name: str, sounds: list[Sound], start: float, job: Job, tally: Tally) -> None:
        what, error = "answered", ""
        try:
            if self._random.random() < CANCELLED:
                time.sleep(self._random.uniform(0, 2))
                job.cancel()
                what = "cancelled"
            else:
                error = _mistake(name, sounds, job.result(timeout=ANSWER_SECONDS))
        except (QueueError, CancelledError) as refusal:
            what = "queue full" if isinstance(refusal, QueueError) else "cancelled"
        except AppError as refusal:
            what = "queue full" if "queue is full" in str(refusal).lower() else "failed"
            error = "" if what == "queue full" else str(refusal)
        except httpx.HTTPStatusError as refusal:
            # To the gate all clients are one visitor, whose share of the queue is limited.
            is_full = refusal.response.status_code == httpx.codes.TOO_MANY_REQUESTS
            what, error = ("queue full", "") if is_full else ("failed", str(refusal))
        except Exception as failure:
            what, error = "failed", f"{type(failure).__name__}: {failure}"
        with tally.lock:
            tally.counts[what] += 1
            if what == "answered":
                tally.seconds[name].append(time.monotonic() - start)
            if error:
                tally.errors.append(f"{name}: {error}")
        if what == "queue full":
            time.sleep(1)


def _mistake(name: str, sounds: list[Sound], answer: Any) -> str:
    """What is wrong with an answer: another file's, or none at all."""
    parts = answer if isinstance(answer, (tuple, list)) else [answer]
    if name == "/measure":
        seconds = parts[0]["seconds"]
        return "" if abs(seconds - sounds[0].seconds) < 0.1 else f"{seconds} s of {sounds[0].seconds} s"
    first = parts[0][0] if isinstance(parts[0], list) else parts[0]
    if not Path(first).is_file():
        return f"no file: {first}"
    if first.endswith(".wav") and len(sounds) == 1:
        seconds = soundfile.info(first).duration
        if name == "/loop":  # of a part of its sound
            return "" if seconds < sounds[0].seconds else f"{seconds} s of {sounds[0].seconds} s"
        # MP3 tells its length in whole frames.
        return "" if abs(seconds - sounds[0].seconds) < 0.1 else f"{seconds} s of {sounds[0].seconds} s"
    return ""


@dataclass(frozen=True)
class State:
    """What the server takes."""

    memory_bytes: float
    files: float  # stored
    stored_bytes: float


def main() -> None:
    """Soak the app and print what came of it; exit 1 where that is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=20, help="how many call at the same time")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long, after the warm-up")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak") as name:
        folder = Path(name)
        (folder / "sounds").mkdir()
        sounds = make_sounds(folder / "sounds")
        with Server(folder, {"AURAL_KEPT_GIB": str(KEPT_GIB)}) as server:
            misses = _soak(server, sounds, folder / "downloads", arguments.clients, 60 * arguments.minutes)
    for miss in misses:
        print(f"MISSED {miss}")
    sys.exit(1 if misses else 0)


def _soak(
    server: Server, sounds: tuple[list[Sound], list[Sound]], downloads: Path, clients: int, seconds: float
) -> list[str]:
    """What was missed, a line each."""
    cold = State(server.resident_bytes(), *server.stored())
    warming, tally, first = Tally(), Tally(), SimpleQueue[Call]()
    peaks: list[State] = []
    over = threading.Event()
    watch = threading.Thread(target=lambda: peaks.extend(_watched(server, over)))
    with ThreadPoolExecutor(clients) as pool:
        visitors = list(pool.map(lambda i: Visitor(i, server.address, sounds, downloads), range(clients)))

        def visit_all(length: float, tally: Tally) -> float:
            """Until all have their answers; how long that took."""
            start = time.monotonic()
            for visit in [pool.submit(one.visit, start + length, tally, first) for one in visitors]:
                visit.result()
            return time.monotonic() - start

        for name in visitors[0].endpoints:
            for settings in SETTINGS.get(name, ({},)):
                first.put((name, settings))
        visit_all(WARM_UP_SECONDS, warming)
        time.sleep(REST_SECONDS)
        warm = State(server.resident_bytes(), *server.stored())
        watch.start()
        took = visit_all(seconds, tally)
        over.set()
        watch.join()
        time.sleep(REST_SECONDS)
        end = State(server.resident_bytes(), *server.stored())
        for visitor in visitors:
            visitor.close()
    _print_table(tally, took)
    _print_states(cold, warm, end, peaks)
    misses = [f"error: {error}" for error in warming.errors + tally.errors]
    if not server.is_alive:
        misses.append(f"the server has ended: {server.log.read_text(errors='replace')[-1_000:]}")
    growth = end.memory_bytes / warm.memory_bytes - 1
    if growth > MEMORY_GROWTH:
        misses.append(f"memory: grown by {growth:.1%}, and {MEMORY_GROWTH:.0%} is allowed")
    most = max(state.stored_bytes for state in peaks)
    # The bound is looked after when a result is made; what two calls make in between comes on top.
    if most > 1.25 * KEPT_GIB * 2**30:
        misses.append(f"storage: {most / 2**20:.0f} MiB, and {1.25 * KEPT_GIB * 1024:.0f} are allowed")
    missing = sorted(set(visitors[0].endpoints) - set(tally.seconds))
    if missing:
        misses.append(f"no answer at all from {', '.join(missing)}")
    misses += [f"traceback: {trace[-300:]}" for trace in server.tracebacks() if "/aural/" in trace][:5]
    return misses


def _watched(server: Server, over: threading.Event) -> Iterator[State]:
    """The server under load, every two seconds."""
    while True:
        yield State(server.resident_bytes(), *server.stored())
        if over.wait(2):
            return


def _print_table(tally: Tally, seconds: float) -> None:
    print(f"{'endpoint':16} {'answers':>7} {'50 % s':>7} {'90 % s':>7} {'99 % s':>7} {'most s':>7}")
    for name, found in [
        *sorted(tally.seconds.items()),
        ("all", [one for each in tally.seconds.values() for one in each]),
    ]:
        percentiles = " ".join(f"{np.percentile(found or [0.0], share):7.1f}" for share in (50, 90, 99, 100))
        print(f"{name:16} {len(found):7} {percentiles}")
    counts = ", ".join(f"{count} {what}" for what, count in sorted(tally.counts.items()))
    rate = tally.counts["answered"] / seconds
    load = f"load {os.getloadavg()[0]:.1f} on {psutil.cpu_count()} cores"
    print(f"{counts}; {rate:.2f} answers a second over {seconds:.0f} s; {load}")


def _print_states(cold: State, warm: State, end: State, peaks: list[State]) -> None:
    columns = [(state.memory_bytes, state.files, state.stored_bytes) for state in peaks]
    typical, most = (
        State(*(function(column) for column in zip(*columns, strict=True)))
        for function in (statistics.median, max)
    )
    rows = {"at first": cold, "warm": warm, "at the end": end, "in between, median": typical, "at most": most}
    print(f"{'server':18} {'memory MiB':>10} {'files':>7} {'stored MiB':>10}")
    for name, state in rows.items():
        memory, stored = state.memory_bytes / 2**20, state.stored_bytes / 2**20
        print(f"{name:18} {memory:10.0f} {state.files:7.0f} {stored:10.0f}")


if __name__ == "__main__":
    main()
