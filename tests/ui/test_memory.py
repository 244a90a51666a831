"""Admission by memory: what a call takes, what is left, and who waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from aural.audio import write
from aural.batch.verbs import VERBS
from aural.errors import InputError
from aural.loudness.pipeline import Options
from aural.ui import memory
from aural.ui.endpoints import CALLS_AT_ONCE, endpoint
from tests.endpoints import tune, write_pcm

MIB = 2**20


@pytest.fixture
def sound(tmp_path: Path) -> str:
    """A minute of stereo at 8 kHz: 3.84 MB as float32, a quarter of it in the file."""
    write_pcm(tmp_path / "a.wav", 60, channels=2)
    return str(tmp_path / "a.wav")


def take(need: int) -> memory.Share:
    share = memory.Share(need)
    for _ in share.wait():
        pass
    return share


def test_what_a_call_takes_follows_from_its_sound(sound: str) -> None:
    decoded = 4 * 2 * 60 * 8_000
    for verb in VERBS.values():
        rate = 6 if verb.result_rate else 1  # 48 kHz
        need = memory.need_bytes(verb, {"audio": sound, "target": "spotify"})
        assert need == round(memory.START_BYTES + verb.memory_factor * decoded * rate), verb.name
    high = memory.need_bytes(VERBS["super_resolve"], {"audio": sound, "rate": 192_000})
    assert high - memory.START_BYTES == pytest.approx(24 * VERBS["super_resolve"].memory_factor * decoded)


def test_files_count_once_or_together(sound: str) -> None:
    verb = VERBS["master"]
    one = memory.need_bytes(verb, {"audio": sound}) - memory.START_BYTES
    files = {"files": [sound, sound, sound], "options": Options(target="spotify")}
    assert memory.need_bytes(verb, files) - memory.START_BYTES == one, "a batch holds one at a time"
    assert memory.need_bytes(verb, files, together=True) - memory.START_BYTES == 3 * one
    assert memory.need_bytes(verb, {"audio": None}) == 0
    assert memory.need_bytes(verb, {"audio": "/etc/passwd", "target": "x" * 5_000}) == 0


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 8 GiB left, whose files are below this folder."""
    monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_left_of_address_space", lambda: None)
    put(tmp_path / "proc/meminfo", f"MemTotal: 1 kB\nMemAvailable: {8 * 2**20} kB\n")
    put(tmp_path / "proc/self/status", "VmRSS: 1048576 kB\n")
    return tmp_path


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("place", ["", "a/b", "a"])
def test_a_control_group_of_version_2_limits(system: Path, place: str) -> None:
    put(system / "proc/self/cgroup", "0::/a/b\n")
    group = system / "cgroup" / place
    put(group / "memory.max", str(4 * 2**30))
    put(group / "memory.current", str(3 * 2**30))
    put(group / "memory.stat", f"anon 5\ninactive_file {2**29}\n")
    assert memory.available_bytes() == 2**30 + 2**29
    put(group / "memory.max", "max")
    assert memory.available_bytes() == 8 * 2**30


def test_a_control_group_of_version_1_limits(system: Path) -> None:
    put(system / "proc/self/cgroup", "5:cpu:/x\n4:memory:/docker/unknown\n")
    put(system / "cgroup/memory/memory.limit_in_bytes", str(4 * 2**30))
    put(system / "cgroup/memory/memory.usage_in_bytes", str(3 * 2**30))
    put(system / "cgroup/memory/memory.stat", "total_inactive_file 0\n")
    assert memory.available_bytes() == 2**30
    put(system / "cgroup/memory/memory.limit_in_bytes", str(2**63 - 4096))
    assert memory.available_bytes() == 8 * 2**30


def test_the_operator_may_limit_it(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert system
    monkeypatch.setenv("AURAL_MEMORY_GIB", "2.5")
    assert memory.available_bytes() == 1.5 * 2**30
    monkeypatch.setenv("AURAL_MEMORY_GIB", "much")
    assert memory.available_bytes() == 8 * 2**30


@pytest.fixture
def four_hundred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 400 * MIB + memory.SPARE_BYTES)
    monkeypatch.setattr(memory, "_shares", {})
    monkeypatch.setattr(memory, "POLL_SECONDS", 0.01)


@pytest.mark.usefixtures("four_hundred")
def test_a_call_waits_until_others_have_left_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = take(200 * MIB), take(150 * MIB)
    done = threading.Event()

    def third() -> None:
        share = take(100 * MIB)
        done.set()
        share.release()

    thread = threading.Thread(target=third)
    thread.start()
    assert not done.wait(0.2)
    second.release()
    assert done.wait(5)
    thread.join()
    monkeypatch.setattr(memory, "WAIT_SECONDS", 0.05)
    with pytest.raises(InputError) as failure:
        take(300 * MIB)
    assert str(failure.value) == memory.NOT_NOW
    first.release()


@pytest.mark.usefixtures("four_hundred")
def test_a_call_that_never_fits_is_refused_at_once() -> None:
    start = time.monotonic()
    with pytest.raises(
        InputError, match=r"^This needs about 0\.5 GiB of memory, and the server has 0\.4 GiB\."
    ):
        take(500 * MIB)
    share = take(100 * MIB)
    with pytest.raises(InputError, match="This needs about"):
        take(500 * MIB)
    share.release()
    assert time.monotonic() - start < memory.WAIT_SECONDS / 10


@pytest.mark.usefixtures("four_hundred")
def test_a_call_does_not_wait_for_itself(sound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "WAIT_SECONDS", 0.05)
    share = take(390 * MIB)

    def step() -> Iterator[int]:
        with memory.decoding(sound):
            yield 1

    assert list(memory.holding(step())) == [1]
    with pytest.raises(InputError), memory.decoding(sound):
        pass
    share.release()


@pytest.mark.parametrize("endpoint", ["/master", "/enhance", "/super_resolve", "/measure", "/batch"])
def test_a_visitor_is_told_that_the_memory_is_too_small(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    path = write(tune(1), tmp_path / "a.flac")
    settings = {"target": "spotify"} if endpoint == "/master" else {}
    audio = [handle_file(path)] if endpoint == "/batch" else handle_file(path)
    monkeypatch.setattr(memory, "available_bytes", lambda: memory.START_BYTES + memory.SPARE_BYTES)
    monkeypatch.setattr(memory, "_shares", {})  # without those of other tests, whose app was closed
    with pytest.raises(AppError, match=r"^This needs about .* GiB of memory, and the server has .*\."):
        client.predict(audio, api_name=endpoint, **settings)
    assert not memory._shares


def test_the_steps_of_all_calls_run_on_as_many_threads_as_run_at_once(sound: str) -> None:
    """PyTorch keeps memory for every thread that has ever computed."""
    ran, at_work = set(), threading.Barrier(8)

    @endpoint(VERBS["measure"])
    def run(audio: str, layout: str = "auto", compare_downmixes: bool = False) -> Iterator[str]:
        assert audio == sound and layout == "auto" and not compare_downmixes
        for share in "abc":
            ran.add(threading.get_ident())
            yield share

    def call(_: int) -> list[str]:
        at_work.wait(10)
        return list(run(sound))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(call, range(8)))
    assert all(answer == ["a", "b", "c"] for answer in answers)
    assert len(ran) <= CALLS_AT_ONCE
