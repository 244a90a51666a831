"""Many files on many cores or machines: one verb over a folder, as a Ray Data job.

    python -m aural.batch enhance memos podcasts --preset podcast
    python -m aural.batch enhance /shared/memos /shared/podcasts --address auto --workers 64

All machines see both folders under the same names. Results are named and laid out as their sources are, and
`measurements.csv` in the output folder has a row for each source: `aural.batch.folder.COLUMNS`, where "file"
and "output" are paths within the two folders.

A job that was stopped, by whatever, goes on where it was when the same command is run again. For that,
`.aural` in the output folder holds a JSON file for each source that is done: the verb, all its settings, the
results' names, the source's size and time, and its row. While these still fit and the results exist, the
source is left alone. A source that has changed since is done again, and so is one that failed. Only one job
at a time may write to a folder.

A worker that dies is started anew and its file is tried again, `MAX_ATTEMPTS` times in all. A result is made
in a folder of its own below `.aural` and moved to its place when it is whole.
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
from dataclasses import asdict, astuple, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from aural.audio.steps import finish
from aural.batch.arguments import FORMATS, chosen_options, parse_arguments
from aural.batch.folder import as_csv, failed_row, plan_outputs
from aural.batch.job import run_steps
from aural.batch.verbs import VERBS
from aural.errors import AuralError, InputError, OptionError, named_extra
from aural.files import write_then_rename
from aural.options import Verb

MAX_ATTEMPTS = 3  # at a file whose worker died each time
MAX_BLOCKS = 10_000  # that Ray has to schedule: with more files than these, several share a block
LOCAL = "local"  # Ray's address of a cluster of our own on this machine
KEPT = ".aural"  # in the output folder; hidden, so that no later job takes it for sources
MEASUREMENTS = "measurements.csv"
TIMEOUT_SECONDS = 10.0  # for a cluster to answer
REPORT_SECONDS = 10.0  # from one line of progress to the next, where nobody watches
STORE_BYTES = 2**27  # of Ray's shared memory on this machine alone: rows are all that goes through it

_log = logging.getLogger(__name__)

Row = dict[str, Any]  # of `aural.batch.folder.COLUMNS`


@dataclass(frozen=True)
class Job:
    """One verb, its settings, and where the files are."""

    verb: str  # a key of `aural.batch.verbs.VERBS`
    options: Any  # of the verb's class
    ending: str | None  # of the results' names, as in "memo-enhanced.flac"; None: the verb makes no sound
    in_folder: Path  # absolute, the same on all machines
    out_folder: Path  # likewise
    run: str  # a name that no other run has

    @property
    def scratch(self) -> Path:
        """Where this run keeps what is gone when it ends."""
        return self.out_folder / KEPT / f"run-{self.run}"


@dataclass(frozen=True)
class Task:
    """One file of a job."""

    source: str  # within the input folder
    output: str | None  # within the output folder; None: the verb makes no sound

    @property
    def key(self) -> str:
        """A short name for files that tell of this one."""
        return hashlib.sha256(os.fsencode(self.source)).hexdigest()[:32]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a job from a shell's arguments.

    Returns:
        the exit code. 0: all files are done; 1: the job could not be run; 3: some files failed; 130: stopped
        from the keyboard. Wrong usage leaves with 2.
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
        )
        rows = run(job, given.address, given.workers, given.gpus)
    except AuralError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. Run the same command again to continue.", file=sys.stderr)
        return 130
    return 3 if any(row["error"] for row in rows) else 0


def run(job: Job, address: str | None = None, workers: int | None = None, gpus: float = 0.0) -> list[Row]:
    """Do all files of a job that are not done yet, and write the measurements of all; progress on stderr.

    Args:
        address: of a Ray cluster, "auto" for the one that this machine belongs to; None: the one that
            RAY_ADDRESS names, else this machine alone, with a cluster that ends with the job.
        workers: processes that share the files; None: one for each core, or each share of a card.
        gpus: graphics cards for each worker, 0.5 for two workers on one; 0: no card is reserved.

    Returns:
        a row for each source, in order.

    Raises:
        InputError: the folders cannot be used, or hold nothing to work on.
        AuralError: Ray is not installed, the cluster cannot be had, or it gave up.
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
        f"The measurements are in {job.out_folder / MEASUREMENTS}.",
        file=sys.stderr,
    )
    return ordered


def plan(job: Job) -> list[Task]:
    """The files of a job in order, each with the name of its result.

    Raises:
        InputError: the folders cannot be used, or hold nothing to work on.
    """
    return [
        Task(
            str(source.relative_to(job.in_folder)),
            None if output is None else str(output.relative_to(job.out_folder)),
        )
        for source, output in plan_outputs(job.in_folder, job.out_folder, job.ending)
    ]


def finished_row(job: Job, task: Task) -> Row | None:
    """The row of a source that is done, with these settings and as the source is now; None: it is not."""
    try:
        kept = json.loads(_kept_file(job, task).read_text(encoding="utf-8"))
        is_same = kept["made_from"] == _fingerprint(job, task)
        is_there = all((job.out_folder / name).is_file() for name in kept["results"])
        return dict(kept["row"]) if is_same and is_there else None
    except (OSError, ValueError, KeyError, TypeError):  # none is kept, or it is damaged
        return None


class Worker:
    """What runs in each process of the cluster; models stay loaded from one file to the next."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def __call__(self, batch: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        """Ray Data's view of `work`: {"item": tasks} -> {"item": tasks, "row": rows}, each a JSON text.

        A row that is a text in place of a mapping says why this machine can do no file at all.
        """
        items = list(batch["item"])
        try:
            return {"item": items, "row": [json.dumps(self.work(Task(*json.loads(text)))) for text in items]}
        except InputError as error:
            return {"item": items, "row": [json.dumps(str(error))] * len(items)}

    def work(self, task: Task) -> Row:
        """Do one file unless it is done, and return its row; keep that, too, unless the file failed.

        Raises:
            InputError: the folders are not on this machine.
        """
        for folder in (self.job.in_folder, self.job.scratch):
            if not folder.is_dir():
                raise InputError(
                    f"The machine {socket.gethostname()} can't see {folder}. Choose folders on a file "
                    "system that all machines share."
                )
        row = finished_row(self.job, task)
        if row is not None:  # done by a worker that died before it could tell
            return row
        source = self.job.in_folder / task.source
        marker = self.job.scratch / f"{task.key}.json"
        attempts = 1 + (json.loads(marker.read_text(encoding="utf-8"))["attempts"] if marker.exists() else 0)
        if attempts > MAX_ATTEMPTS:
            return failed_row(source, _worker_died(task))
        note = {"source": task.source, "attempts": attempts, "pid": os.getpid(), "host": socket.gethostname()}
        _write_json(marker, note, self.job.scratch)
        try:
            row = self._do(task, note)
        except AuralError as error:
            row = failed_row(source, error)
        except Exception as error:
            _log.exception("%s failed", source)
            row = failed_row(source, _unexpected_error(error))
        marker.unlink()
        return row

    def _do(self, task: Task, note: Mapping[str, Any]) -> Row:
        job = self.job
        # Before the source is read: if it changes while it is worked on, it counts as changed.
        made_from = _fingerprint(job, task)
        results = []
        with tempfile.TemporaryDirectory(dir=job.scratch) as folder:
            output = None if task.output is None else Path(folder, Path(task.output).name)
            done = finish(run_steps(job.verb, job.in_folder / task.source, output, job.options))
            for made in sorted(Path(folder).iterdir()):  # `generate` may make several
                result = (job.out_folder / task.source).with_name(made.name)
                result.parent.mkdir(parents=True, exist_ok=True)
                made.replace(result)
                results.append(str(result.relative_to(job.out_folder)))
        kept = {**note, "made_from": made_from, "results": results, "row": done.row}
        _write_json(_kept_file(job, task), kept, job.scratch)
        return done.row


class _Progress:
    """A line on stderr that is overwritten, or in a log a line now and then; each failure has its own."""

    def __init__(self, total: int, done: int) -> None:
        self.total, self.done, self.failures = total, done, 0
        self.reported_at = time.monotonic()

    def note(self, task: Task, row: Row) -> None:
        self.done += 1
        clear = "\r\033[K" if sys.stderr.isatty() else ""
        if row["error"]:
            self.failures += 1
            print(f"{clear}{_printable(task.source)}: {row['error']}", file=sys.stderr, flush=True)
        line = f"{self.done} of {self.total} files, {self.failures} failed"
        if clear:
            end = "\n" if self.done == self.total else ""
            print(f"{clear}{line}: {_printable(task.source)}", end=end, file=sys.stderr, flush=True)
        elif time.monotonic() - self.reported_at >= REPORT_SECONDS:
            self.reported_at = time.monotonic()
            print(line, file=sys.stderr, flush=True)


def _add_own(command: argparse.ArgumentParser, verb: Verb) -> None:
    command.add_argument("in_folder", type=Path, help="where the files are; folders below it count, too")
    command.add_argument("out_folder", type=Path, help="where the results and their measurements go")
    if verb.ending is not None:
        command.add_argument("--format", choices=FORMATS, default="wav", help="of the results (default: wav)")
    command.add_argument("--address", help='of a Ray cluster, or "auto" for the one of this machine')
    command.add_argument("--workers", type=_workers, help="processes (default: one for each core)")
    command.add_argument("--gpus", type=_gpus, default=0.0, help="graphics cards for each worker, say 0.5")


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
    """Make the folders, and remove what earlier runs that were killed left behind."""
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
    """Each task with its row, in the order in which they are done."""
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
        # Alone, workers share all cores, whatever their number; Ray lets each have as many threads.
        share = cpus / workers if address == LOCAL else 1.0
        # As JSON, which holds any file name and any mixture of columns; Arrow's tables do not.
        items = [json.dumps(astuple(task)) for task in tasks]
        dataset = ray.data.from_items(items, override_num_blocks=min(len(items), MAX_BLOCKS)).map_batches(
            Worker,
            fn_constructor_args=(job,),
            batch_size=1,
            # Ray Data restarts its actors and repeats their tasks without end: `Worker.work` sets the limit.
            # One task at a time: a second one that waits at a busy worker would keep an idle one from it.
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
    """Ray with Ray Data, once it is connected; it tells nobody of its use."""
    _check_reachable(address)
    # Ray reads its environment when it is imported.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Its C++ side warns on stderr of what it deals with by itself.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    if address == LOCAL and "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        # So that the ports answer to nobody else, by a token that does not stay in the home folder as Ray's.
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
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # its errors are ours to tell
    ray.data.DataContext.get_current().enable_progress_bars = False
    return ray


def _check_reachable(address: str) -> None:
    """Make sure that somebody listens at the address; Ray itself would try for minutes."""
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
    """What an error says; of one that happened elsewhere Ray gives the whole story, its end last."""
    lines = str(error).strip().splitlines()
    return lines[-1].strip(" .") if lines else type(error).__name__


def _kept_file(job: Job, task: Task) -> Path:
    return job.out_folder / KEPT / job.verb / f"{task.key}.json"


def _fingerprint(job: Job, task: Task) -> dict[str, Any]:
    """What has to be the same for a result to be as good as new; as JSON gives it back."""
    stat = (job.in_folder / task.source).stat()
    facts = {
        **asdict(task),
        "bytes": stat.st_size,
        "time_ns": stat.st_mtime_ns,
        "options": asdict(job.options),
    }
    return dict(json.loads(json.dumps({**facts, "verb": job.verb})))


def _with_paths(task: Task, row: Row) -> Row:
    """The row with paths for names."""
    name = row["output"]
    return {
        **row,
        "file": Path(task.source).as_posix(),
        "output": Path(task.source).with_name(name).as_posix() if name else "",
    }


def _worker_died(task: Task) -> AuralError:
    return AuralError(
        f"The worker died {MAX_ATTEMPTS} times on {_printable(task.source)}, perhaps for lack of memory. "
        "Cut the file into shorter parts, or run the job again with fewer workers."
    )


def _unexpected_error(error: Exception) -> AuralError:
    if isinstance(error, OSError):
        return InputError(f"The machine failed on this file ({error}). Fix the cause and run the job again.")
    return AuralError(
        f"AURAL failed on this file ({type(error).__name__}: {error}). Please report it with the file."
    )


def _printable(path: str) -> str:
    """A path that any terminal can print."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


def _write_json(path: Path, value: Any, scratch: Path) -> None:
    """Write a file that is whole or not there."""
    with write_then_rename(path, folder=scratch) as temporary:
        temporary.write_text(json.dumps(value), encoding="utf-8")


def _write_csv(path: Path, rows: Sequence[Row]) -> None:
    with write_then_rename(path) as temporary:
        temporary.write_text(as_csv(rows), encoding="utf-8", errors="surrogateescape", newline="")
