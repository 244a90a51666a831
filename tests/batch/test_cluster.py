"""A folder of files on a cluster: every file once and right, whatever dies on the way."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import aural
from aural.audio import Clip, read, write
from aural.batch import cluster as batch
from aural.batch.cluster import Job, Task, Worker
from aural.loudness.meter import Options as MeasureOptions
from aural.loudness.pipeline import Options

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 300.0  # on a busy machine
SHORT = 12  # files of a second
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra batch")

# Ray's workers let all others on the machine go first, unless they are told not to.
RAY = dict(os.environ, RAY_USAGE_STATS_ENABLED="0", RAY_worker_niceness="0", RAY_ADDRESS="")
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "2" * 64}

# Two machines of one core each, until standard input ends.
CLUSTER = """
import sys
from ray.cluster_utils import Cluster
machine = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 2**27}
cluster = Cluster(initialize_head=True, head_node_args=machine)
cluster.add_node(num_cpus=1, object_store_memory=2**27)
print("address", cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Two files and their folders, ready for a worker."""
    tone(tmp_path / "in" / "one.wav", 1)
    tone(tmp_path / "in" / "below" / "two.wav", 2)
    made = Job("master", Options(target="spotify"), "mastered.wav", tmp_path / "in", tmp_path / "out", "run")
    batch._prepare(made)
    return made


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a Ray cluster on this machine, which needs a token; none of its processes is left."""
    process = subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        env=RAY | TOKEN,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    lines = (line.split() for line in process.stdout)
    yield next(words[1] for words in lines if words[:1] == ["address"])
    family = psutil.Process(process.pid).children(recursive=True)
    process.stdin.close()
    process.wait(TIMEOUT_SECONDS)
    until(lambda: not any(map(is_alive, family)))


def test_a_file_is_done_once(job: Job) -> None:
    task, worker = Task("below/two.wav", "below/two-mastered.wav"), Worker(job)
    assert batch.plan(job) == [task, Task("one.wav", "one-mastered.wav")]
    row = worker.work(task)
    output = job.out_folder / task.output
    made_at = output.stat().st_mtime_ns
    assert row["error"] == "" and row["integrated_lufs"] == pytest.approx(-14, abs=0.1)
    assert np.array_equal(read(output).samples, mastered(job.in_folder / task.source, job.out_folder))
    assert worker.work(task) == row == batch.finished_row(job, task)
    assert output.stat().st_mtime_ns == made_at
    assert not list(job.scratch.iterdir())


@pytest.mark.parametrize("change", ["source", "settings", "result", "record"])
def test_a_file_is_done_again_after(change: str, job: Job) -> None:
    task = Task("one.wav", "one-mastered.wav")
    Worker(job).work(task)
    assert batch.finished_row(job, task) is not None
    if change == "source":
        tone(job.in_folder / task.source, 3)
    elif change == "settings":
        job = replace(job, options=Options(target="youtube"))
    elif change == "result":
        (job.out_folder / task.output).unlink()
    else:
        (record,) = (job.out_folder / batch.KEPT / "master").iterdir()
        record.write_text(record.read_text()[:40])
    assert batch.finished_row(job, task) is None


def test_a_file_that_kills_its_workers_is_given_up(job: Job) -> None:
    task = Task("one.wav", "one-mastered.wav")
    marker = job.scratch / f"{task.key}.json"
    marker.write_text(json.dumps({"attempts": batch.MAX_ATTEMPTS}))
    row = Worker(job).work(task)
    assert "one.wav" in row["error"] and "fewer workers" in row["error"]
    assert not (job.out_folder / task.output).exists()
    marker.write_text(json.dumps({"attempts": batch.MAX_ATTEMPTS - 1}))
    assert Worker(job).work(task)["error"] == ""


@pytest.mark.parametrize("error", [RuntimeError("a bug"), OSError(28, "No space left on device")])
def test_no_error_ends_a_worker(error: Exception, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise error

    task = Task("one.wav", "one-mastered.wav")
    monkeypatch.setattr(batch, "run_steps", fail)
    assert str(error) in Worker(job).work(task)["error"]
    assert batch.finished_row(job, task) is None and not list(job.scratch.iterdir())
    monkeypatch.undo()
    assert Worker(job).work(task)["error"] == ""


def test_a_machine_that_does_not_see_the_folders_says_so(job: Job) -> None:
    job.scratch.rmdir()
    (row,) = Worker(job)({"item": [json.dumps(["one.wav", "one-mastered.wav"])]})["row"]
    assert "can't see" in row and "that all machines share" in row


def test_any_name_gets_into_the_table(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \xe2\x99\xab, =1+1.wav")
    tone(tmp_path / "in" / name, 1)
    job = Job("measure", MeasureOptions(), None, tmp_path / "in", tmp_path / "out", "run")
    batch._prepare(job)
    (task,) = batch.plan(job)
    (text,) = Worker(job)({"item": [json.dumps([task.source, task.output])]})["row"]
    assert json.loads(text)["error"] == ""
    batch.run(job)  # all is done, so this needs no cluster
    table = (tmp_path / "out" / batch.MEASUREMENTS).read_text(encoding="utf-8", errors="surrogateescape")
    assert [row["file"] for row in csv.DictReader(table.splitlines())] == [name]


def test_without_ray_the_remedy_is_named(
    job: Job, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(batch, "import_module", missing)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    assert batch.main(["measure", str(job.in_folder), str(job.out_folder)]) == 1
    assert capfd.readouterr().err == 'This needs ray. Run pip install ".[batch]" in AURAL\'s folder.\n'


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (["master", "in", "in"], "Both folders are the same. Choose another one for the results."),
        (["master", "nowhere", "out"], "There is no folder 'nowhere'. Choose one with audio files."),
        (["master", "out", "in"], "There are no audio or video files in 'out'. Choose another folder."),
        (["master", "in", "in/one.wav"], "). Choose another one."),
        (["resynthesize", "in", "out", "--iterations", "0"], "iterations"),
        (["measure", "in", "out", "--address", "127.0.0.1:9"], "ray start --head"),
    ],
)
def test_what_cannot_be_run_says_why(
    arguments: list[str],
    remedy: str,
    job: Job,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(job.in_folder.parent)
    assert batch.main(arguments) == 1
    assert remedy in capfd.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["sing", "in", "out"],
        ["generate", "in", "out"],  # without a label
        ["measure", "in", "out", "--workers", "0"],
        ["measure", "in", "out", "--format", "wav"],
        ["resynthesize", "in", "out", "--hop", "many"],
        ["super-resolve", "in", "out", "--gpus", "2"],
    ],
)
def test_wrong_usage_leaves_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        batch.main(arguments)
    assert left.value.code == 2


@needs_ray
@pytest.mark.timeout(2 * TIMEOUT_SECONDS)
def test_killed_workers_lose_nothing(cluster: str, tmp_path: Path) -> None:
    folder, results = tmp_path / "in", tmp_path / "out"
    fill(folder)
    tone(folder / "heavy.wav", 60)  # long enough to be met at work
    tone(folder / "deadly.wav", 60)
    (folder / "bad.wav").write_bytes(b"no sound at all")
    victims = Counter({"heavy.wav": 1, "deadly.wav": batch.MAX_ATTEMPTS})
    driver = start("master", folder, results, "--target", "spotify", "--address", cluster)
    killed: Counter[str] = Counter()
    while driver.poll() is None:
        for note in notes(results):
            if (
                killed[note["source"]] < victims[note["source"]]
                and note["attempts"] == killed[note["source"]] + 1
            ):
                os.kill(note["pid"], signal.SIGKILL)
                killed[note["source"]] += 1
        time.sleep(0.02)
    assert killed == victims
    assert driver.returncode == 3
    rows = table(results)
    assert [row["file"] for row in rows] == sorted(row["file"] for row in rows)
    assert len(rows) == SHORT + 3
    errors = {row["file"]: row["error"] for row in rows if row["error"]}
    assert set(errors) == {"bad.wav", "deadly.wav"}
    assert "Can't read any audio" in errors["bad.wav"] and "died" in errors["deadly.wav"]
    for row in rows:
        if row["file"] not in errors:
            assert float(row["integrated_lufs"]) == pytest.approx(-14, abs=0.1)
            expected = mastered(folder / row["file"], tmp_path)
            assert np.array_equal(read(results / row["output"]).samples, expected), row["file"]
    kept = records(results)
    assert {record["source"]: record["attempts"] for record in kept if record["attempts"] > 1} == {
        "heavy.wav": 2
    }
    assert len({record["pid"] for record in kept}) >= 2
    assert {path.name for path in (results / batch.KEPT).iterdir()} == {"master"}


@needs_ray
@pytest.mark.timeout(2 * TIMEOUT_SECONDS)
def test_a_killed_job_goes_on(cluster: str, tmp_path: Path) -> None:
    folder, results = tmp_path / "in", tmp_path / "out"
    fill(folder)
    for number in range(2):  # one for each worker, after all others
        tone(folder / f"z{number}.wav", 40)
    driver = start("master", folder, results, "--address", cluster)
    until(lambda: len(records(results)) >= 3 or driver.poll() is not None)
    driver.kill()
    driver.wait()
    until(lambda: not any(psutil.pid_exists(note["pid"]) for note in notes(results)))
    done = {record["source"]: modified(results, record) for record in records(results)}
    assert 3 <= len(done) < SHORT + 2
    again = start("master", folder, results)  # on this machine alone
    family: set[psutil.Process] = set()
    while again.poll() is None:
        family.update(psutil.Process(again.pid).children(recursive=True))
        time.sleep(0.5)
    assert again.returncode == 0
    rows = table(results)
    assert len(rows) == SHORT + 2 and not any(row["error"] for row in rows)
    after = {record["source"]: modified(results, record) for record in records(results)}
    assert len(after) == SHORT + 2
    assert {source: after[source] for source in done} == done
    assert {path.name for path in (results / batch.KEPT).iterdir()} == {"master"}
    until(lambda: not any(map(is_alive, family)))


def tone(path: Path, seconds: float) -> None:
    """Write noise, other noise for each name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(list(os.fsencode(path.name)))
    write(
        Clip((0.05 * generator.standard_normal((1, round(48_000 * seconds)))).astype(np.float32), 48_000),
        path,
    )


def fill(folder: Path) -> None:
    for number in range(SHORT):
        tone(folder / ("a" if number % 2 else "b") / f"{number:02}.wav", 1)


def mastered(source: Path, scratch: Path) -> np.ndarray[Any, Any]:
    """What the library makes of a file, as it is written."""
    return read(write(aural.master(read(source), target="spotify").clip, scratch / "expected.wav")).samples


def start(verb: str, folder: Path, results: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "aural.batch", verb, str(folder), str(results), *more]
    return subprocess.Popen(command, cwd=ROOT, env=RAY | TOKEN if "--address" in more else RAY)


def notes(results: Path) -> list[dict[str, Any]]:
    """What the workers are at: source, attempts, pid."""
    return whole((results / batch.KEPT).glob("run-*/*.json"))


def records(results: Path) -> list[dict[str, Any]]:
    """What is kept of the files that are done."""
    return whole((results / batch.KEPT / "master").glob("*.json"))


def whole(paths: Iterator[Path]) -> list[dict[str, Any]]:
    """What the files hold; none where one, or their folder, was removed just now."""
    try:
        return [json.loads(path.read_text()) for path in list(paths)]
    except FileNotFoundError:
        return []


def modified(results: Path, record: dict[str, Any]) -> list[int]:
    return [(results / name).stat().st_mtime_ns for name in record["results"]]


def table(results: Path) -> list[dict[str, str]]:
    with (results / batch.MEASUREMENTS).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
