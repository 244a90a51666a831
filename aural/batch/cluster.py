"""One verb for all files of a folder on many cores or machines, as a Ray Data job.

    python -m aural.batch enhance memos podcasts --preset podcast
    python -m aural.batch enhance /shared/memos /shared/podcasts --address auto --workers 64

All machines must see both folders under the same names. Results have the names and folders of their sources.
`measurements.csv` in the output folder has a row for each source: `aural.batch.folder.COLUMNS`, where "file"
and "output" are paths relative to the two folders.

To continue a job that was stopped for any reason, run the same command again. For this purpose `.aural` in
the output folder holds a JSON file for each finished source: the verb, all its settings, the names of the
results, the size and time of the source, and its row. If all of these match and the results exist, the source
is skipped. Changed and failed sources are processed again. Only one job at a time may write to a folder.

If a worker dies, it is restarted and its file is tried again, up to `MAX_ATTEMPTS` times. A result is written
to a temporary folder in `.aural` and moved to its place when it is complete.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import math
import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from aural.audio.steps import finish
from aural.batch.arguments import FORMATS, LOUDNESS_TAGS_HELP, chosen_options, parse_arguments
from aural.batch.folder import as_csv, failed_row, plan_outputs, printable
from aural.batch.job import as_failure, run_steps
from aural.batch.verbs import VERBS
from aural.errors import AuralError, InputError, OptionError, named_extra
from aural.files import write_then_rename
from aural.options import Verb

MAX_ATTEMPTS = 3  # at a file whose worker dies
MAX_BLOCKS = 10_000  # for Ray to schedule; with more files, several share a block
LOCAL = "local"  # Ray's address for a new cluster on this machine
KEPT = ".aural"  # in the output folder; hidden, so that no later job takes its files as sources
MEASUREMENTS = "measurements.csv"
TIMEOUT_SECONDS = 10.0  # for a cluster to answer
REPORT_SECONDS = 10.0  # between lines of progress if stderr is not a terminal
STORE_BYTES = 2**27  # of Ray's shared memory for a local cluster: only rows go through it

Row = dict[str, Any]  # of `aural.batch.folder.COLUMNS`


@dataclass(frozen=True)
class Job:
    """One verb, its settings, and where the files are."""

    verb: str  # a key of `aural.batch.verbs.VERBS`
    options: Any  # of the verb's class
    ending: str | None  # of the results' names, such as "enhanced.flac"; None: the verb creates no sound
    in_folder: Path  # absolute, the same on all machines
    out_folder: Path  # absolute, the same on all machines
    run: str  # a unique name
    loudness_tags: bool = False  # whether results store their loudness

    @property
    def scratch(self) -> Path:
        """The temporary folder of this run."""
        return self.out_folder / KEPT / f"run-{self.run}"


@dataclass(frozen=True)
class Task:
    """One file of a job."""

    source: str  # within the input folder
    output: str | None  # within the output folder; None: the verb creates no sound

    @property
    def key(self) -> str:
        """A short name for the files that describe this one."""
        return hashlib.sha256(os.fsencode(self.source)).hexdigest()[:32]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a job from a shell's arguments.

    Returns:
        the exit code. 0: all files are done; 1: the job could not be run; 3: some files failed; 130: stopped
        from the keyboard. Wrong usage exits with 2.
    """
    given = parse_arguments(
        sys.argv[1:] if arguments is None else arguments,
        "python -m aural.batch",
        "One verb over all audio and video files of a folder, on all cores or on a Ray cluster.",
        _add_own,
    )
    verb = VERBS[given.verb]
    try:
        job = Job(
            verb.name,
            chosen_options(given),
            None if verb.ending is None else str(Path(verb.ending).with_suffix(f".{given.format}")),
            given.in_folder.absolute(),
            given.out_folder.absolute(),
            secrets.token_hex(8),
            getattr(given, "loudness_tags", False),
        )
        rows = run(job, given.address, given.workers, given.gpus)
    except AuralError as error:
        print(printable(str(error)), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. Run the same command again to continue.", file=sys.stderr)
        return 130
    return 3 if any(row["error"] for row in rows) else 0


def run(job: Job, address: str | None = None, workers: int | None = None, gpus: float = 0.0) -> list[Row]:
    """Process all unfinished files of a job, and write all measurements; progress goes to stderr.

    Args:
        address: of a Ray cluster, "auto" for the one this machine belongs to; None: the one in RAY_ADDRESS,
            else a new cluster on this machine, which ends with the job.
        workers: number of processes; None: one for each core, or for each share of a GPU.
        gpus: GPUs for each worker, such as 0.5 for two workers on one; 0: no GPU is reserved.

    Returns:
        a row for each source, in order.

    Raises:
        InputError: the folders cannot be used, or contain no audio.
        AuralError: Ray is not installed, or the cluster is not available or gave up.
    """
    tasks = plan(job)
    rows = {task: row for task in tasks if (row := finished_row(job, task)) is not None}
    pending = [task for task in tasks if task not in rows]
    before = len(rows)
    if pending:
        _prepare(job)
        progress = _Progress(len(tasks), before)
        try:
            for task, row in _run_on_ray(job, pending, address, workers, gpus):
                rows[task] = row
                progress.note(task, row)
        finally:
            shutil.rmtree(job.scratch, ignore_errors=True)
    ordered = [_with_paths(task, rows[task]) for task in tasks]
    _write_csv(job.out_folder / MEASUREMENTS, ordered)
    failures = sum(bool(row["error"]) for row in ordered)
    print(
        f"{len(ordered)} files: {len(ordered) - failures} done ({before} of them before), {failures} failed. "
        f"The measurements are in {printable(str(job.out_folder / MEASUREMENTS))}.",
        file=sys.stderr,
    )
    return ordered


def plan(job: Job) -> list[Task]:
    """The files of a job in order, each with the name of its result.

    Raises:
        InputError: the folders cannot be used, or contain no audio.
    """
    return [
        Task(
            str(source.relative_to(job.in_folder)),
            None if output is None else str(output.relative_to(job.out_folder)),
        )
        for source, output in plan_outputs(job.in_folder, job.out_folder, job.ending)
    ]


def finished_row(job: Job, task: Task) -> Row | None:
    """The row of a source that was finished with these settings and has not changed since; else None."""
    try:
        kept = json.loads(_kept_file(job, task).read_text(encoding="utf-8"))
        is_same = kept["made_from"] == _fingerprint(job, task)
        is_there = all((job.out_folder / name).is_file() for name in kept["results"])
        return dict(kept["row"]) if is_same and is_there else None
    except (OSError, ValueError, KeyError, TypeError):  # missing or damaged
        return None


class Worker:
    """Runs in each process of the cluster; models stay loaded between files."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def __call__(self, batch: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        """`work` for Ray Data: {"item": tasks} -> {"item": tasks, "row": rows}, each as JSON text.

        A row that is a string instead of a mapping says why this machine can process no file.
        """
        items = list(batch["item"])
        try:
            return {"item": items, "row": [json.dumps(self.work(Task(*json.loads(text)))) for text in items]}
        except InputError as error:
            return {"item": items, "row": [json.dumps(str(error))] * len(items)}

    def work(self, task: Task) -> Row:
        """Process a file unless it is finished, and return its row; record the row unless the file failed.

        Raises:
            InputError: the folders are not on this machine.
        """
        for folder in (self.job.in_folder, self.job.scratch):
            if not folder.is_dir():
                raise InputError(
                    f"The machine {socket.gethostname()} can't see {folder}. Choose folders on a file "
                    "system that all machines share."
                )
        source = self.job.in_folder / task.source
        marker = self.job.scratch / f"{task.key}.json"
        try:
            row = finished_row(self.job, task)
            if row is not None:  # finished by a worker that died before it reported
                return row
            attempts = 1 + _attempts(marker)
            if attempts > MAX_ATTEMPTS:
                return failed_row(source, _worker_died(task))
            note = {
                "source": task.source,
                "attempts": attempts,
                "pid": os.getpid(),
                "host": socket.gethostname(),
            }
            _write_json(marker, note, self.job.scratch)
            row = self._do(task, note)
        except Exception as error:
            row = failed_row(source, as_failure(source, error))
        with suppress(OSError):
            marker.unlink()
        return row

    def _do(self, task: Task, note: Mapping[str, Any]) -> Row:
        job = self.job
        # Before the source is read: a change during processing counts as a change.
        made_from = _fingerprint(job, task)
        results = []
        with tempfile.TemporaryDirectory(dir=job.scratch) as folder:
            output = None if task.output is None else Path(folder, Path(task.output).name)
            source = job.in_folder / task.source
            done = finish(run_steps(job.verb, source, output, job.options, job.loudness_tags))
            for made in sorted(Path(folder).iterdir()):  # `generate` may create several
                result = (job.out_folder / task.source).with_name(made.name)
                result.parent.mkdir(parents=True, exist_ok=True)
                made.replace(result)
                results.append(str(result.relative_to(job.out_folder)))
        kept = {**note, "made_from": made_from, "results": results, "row": done.row}
        _write_json(_kept_file(job, task), kept, job.scratch)
        return done.row


class _Progress:
    """A line on stderr that is overwritten, or in a log an occasional line; each failure has its own line."""

    def __init__(self, total: int, done: int) -> None:
        self.total, self.done, self.failures = total, done, 0
        self.reported_at = time.monotonic()

    def note(self, task: Task, row: Row) -> None:
        self.done += 1
        clear = "\r\033[K" if sys.stderr.isatty() else ""
        if row["error"]:
            self.failures += 1
            print(f"{clear}{printable(task.source)}: {printable(row['error'])}", file=sys.stderr, flush=True)
        line = f"{self.done} of {self.total} files, {self.failures} failed"
        if clear:
            end = "\n" if self.done == self.total else ""
            print(f"{clear}{line}: {printable(task.source)}", end=end, file=sys.stderr, flush=True)
        elif time.monotonic() - self.reported_at >= REPORT_SECONDS:
            self.reported_at = time.monotonic()
            print(line, file=sys.stderr, flush=True)


def _add_own(command: argparse.ArgumentParser, verb: Verb) -> None:
    command.add_argument("in_folder", type=Path, help="folder of the files; subfolders are included")
    command.add_argument("out_folder", type=Path, help="folder for the results and measurements")
    if verb.ending is not None:
        command.add_argument("--format", choices=FORMATS, default="wav", help="of the results (default: wav)")
        command.add_argument("--loudness-tags", action="store_true", help=LOUDNESS_TAGS_HELP)
    command.add_argument("--address", help='of a Ray cluster, or "auto" for the one this machine belongs to')
    command.add_argument("--workers", type=_workers, help="processes (default: one for each core)")
    command.add_argument("--gpus", type=_gpus, default=0.0, help="GPUs for each worker, such as 0.5")


def _workers(text: str) -> int:
    if text.isdecimal() and int(text) >= 1:
        return int(text)
    raise argparse.ArgumentTypeError(f"the number of workers must be a whole number from 1, not {text!r}")


def _gpus(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if 0 <= share <= 1:
        return share
    raise argparse.ArgumentTypeError(f"a worker's share of graphics cards must be from 0 to 1, not {text!r}")


def _prepare(job: Job) -> None:
    """Create the folders, and remove what killed runs left behind."""
    kept = job.out_folder / KEPT
    try:
        kept.mkdir(parents=True, exist_ok=True)
        for left in kept.glob("run-*"):
            shutil.rmtree(left, ignore_errors=True)
        job.scratch.mkdir()
        (kept / job.verb).mkdir(exist_ok=True)
    except OSError as error:
        raise OptionError(
            f"Can't write to the folder {job.out_folder} ({error.strerror}). Choose another one."
        ) from error


def _run_on_ray(
    job: Job, tasks: Sequence[Task], address: str | None, workers: int | None, gpus: float
) -> Iterator[tuple[Task, Row]]:
    """Each task with its row, in the order in which they finish."""
    address = address or os.environ.get("RAY_ADDRESS") or LOCAL
    ray = _connect(address)
    try:
        resources = ray.cluster_resources()
        cpus = resources.get("CPU", 1.0)
        if gpus and not resources.get("GPU"):
            raise OptionError("Ray finds no graphics card on these machines. Leave out --gpus.")
        if workers is None:
            workers = int(resources.get("GPU", 0.0) / gpus if gpus else cpus)
        workers = max(1, min(workers, len(tasks)))
        # On this machine alone the workers share all cores; Ray gives each that number of threads.
        share = cpus / workers if address == LOCAL else 1.0
        # As JSON, which supports any file name and any mixture of columns; Arrow's tables do not.
        items = [json.dumps(astuple(task)) for task in tasks]
        dataset = ray.data.from_items(items, override_num_blocks=min(len(items), MAX_BLOCKS)).map_batches(
            Worker,
            fn_constructor_args=(job,),
            batch_size=1,
            # Ray Data restarts its actors and repeats their tasks endlessly: `Worker.work` sets the limit.
            # One task at a time: a second one would wait at a busy worker while another is idle.
            compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
            num_cpus=math.floor(share) if share > 1 else share,
            num_gpus=gpus,
        )
        for result in dataset.iter_rows():
            row = json.loads(result["row"])
            if isinstance(row, str):
                raise InputError(row)
            yield Task(*json.loads(result["item"])), row
    except ray.exceptions.RayError as error:
        raise AuralError(
            f"The cluster gave up ({_last_line(error)}). Fix the cause and run the same command again: it "
            "continues from here."
        ) from error
    finally:
        ray.shutdown()


def _connect(address: str) -> Any:
    """Ray with Ray Data, connected; usage statistics are off."""
    _check_reachable(address)
    # Ray reads its environment when it is imported.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Its C++ side warns on stderr of problems that it solves itself.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    if address == LOCAL and "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        # Protects the ports by a token that, unlike Ray's own, is not stored in the home folder.
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    with named_extra():
        ray = import_module("ray")
        import_module("ray.data")
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == LOCAL:
        settings |= {"include_dashboard": False, "object_store_memory": STORE_BYTES}
    try:
        ray.init(address, **settings)
    except (OSError, ValueError, RuntimeError) as error:
        raise _unreachable_error(address, error) from error
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # errors are reported here
    ray.data.DataContext.get_current().enable_progress_bars = False
    return ray


def _check_reachable(address: str) -> None:
    """Check that the address answers; Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if not (colon and port.isdecimal()) or "/" in host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), TIMEOUT_SECONDS).close()
    except OSError as error:
        raise _unreachable_error(address, error) from error


def _unreachable_error(address: str, error: Exception) -> AuralError:
    return AuralError(
        f"Can't reach Ray at {address} ({_last_line(error)}). Start it with ray start --head, or "
        "leave out --address to use this machine alone."
    )


def _last_line(error: BaseException) -> str:
    """The last line of an error: Ray reports remote errors with their whole traceback."""
    lines = str(error).strip().splitlines()
    return lines[-1].strip(" .") if lines else type(error).__name__


def _kept_file(job: Job, task: Task) -> Path:
    return job.out_folder / KEPT / job.verb / f"{task.key}.json"


def _fingerprint(job: Job, task: Task) -> dict[str, Any]:
    """What must be unchanged for a result to be valid, as read back from JSON."""
    stat = (job.in_folder / task.source).stat()
    facts = {
        **asdict(task),
        "bytes": stat.st_size,
        "time_ns": stat.st_mtime_ns,
        "options": asdict(job.options),
        "loudness_tags": job.loudness_tags,
    }
    return dict(json.loads(json.dumps({**facts, "verb": job.verb})))


def _with_paths(task: Task, row: Row) -> Row:
    """The row with paths instead of names."""
    name = row["output"]
    return {
        **row,
        "file": Path(task.source).as_posix(),
        "output": Path(task.source).with_name(name).as_posix() if name else "",
    }


def _worker_died(task: Task) -> AuralError:
    return AuralError(
        f"The worker died {MAX_ATTEMPTS} times on {printable(task.source)}, perhaps for lack of memory. "
        "Cut the file into shorter parts, or run the job again with fewer workers."
    )


def _attempts(marker: Path) -> int:
    """How often a file was tried; 0 if its marker is missing or damaged."""
    try:
        return int(json.loads(marker.read_text(encoding="utf-8"))["attempts"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _write_json(path: Path, value: Any, scratch: Path) -> None:
    """Write a file that is either complete or missing."""
    with write_then_rename(path, folder=scratch) as temporary:
        temporary.write_text(json.dumps(value), encoding="utf-8")


def _write_csv(path: Path, rows: Sequence[Row]) -> None:
    with write_then_rename(path) as temporary:
        temporary.write_text(as_csv(rows), encoding="utf-8", errors="surrogateescape", newline="")
