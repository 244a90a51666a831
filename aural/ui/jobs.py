"""Runs that outlive the page they were started on: the address names them, and a reload finds them again.

The page makes up a name for each run and puts it into its address, which Gradio sends with every call of the
page. A page that is opened with it gets the run's file, settings and result; if the run is not over, it goes
on meanwhile and is followed from there. A run that nobody follows is given up. Calls of programs name no job.
"""

from __future__ import annotations

import functools
import inspect
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import gradio as gr
from gradio.context import LocalContext
from gradio.utils import get_upload_folder

from aural.ui.storage import KEPT_SECONDS

KEY = re.compile(r"[0-9a-f]{32}")
MAX_JOBS = 100  # kept at a time, of all visitors; the one who has the most loses the oldest
MAX_ALONE = 2  # runs that nobody follows; further ones end with their page
ALONE_SECONDS = 120.0  # after which such a run is given up
POLL_SECONDS = 1.0  # each of which keeps the page busy for a while
FOLLOWING = "Still running"
ENDED = "This run ended without a result. Run it again."
GONE = "The result of this address is no longer kept. Add the file, and run it again."


@dataclass(eq=False)
class Job:
    """One run of a page."""

    page: str
    values: Sequence[Any]  # of the page's inputs
    visitor: str
    begun: float = field(default_factory=time.monotonic)
    state: Literal["running", "done", "ended"] = "running"
    outputs: Any = None  # the latest
    error: Exception | None = None
    is_cancelled: bool = False
    is_alone: bool = False  # whether it goes on without the page that has started it
    followers: int = 0
    left: float = 0.0  # when the last follower went
    told: tuple[Any, str] = (0.0, FOLLOWING)  # its progress: a share, and what is done

    def lead(self, steps: Iterator[Any]) -> Iterator[Any]:
        """The outputs of the run; if the page goes away, the run goes on by itself."""
        try:
            for outputs in steps:
                self.outputs = outputs
                yield outputs
        except GeneratorExit:
            self.left = time.monotonic()
            with _lock:
                self.is_alone = sum(job.is_alone for job in _jobs.values()) < MAX_ALONE
            if self.is_alone:
                threading.Thread(target=self._go_on, args=(steps,), daemon=True).start()
            else:
                self.state = "ended"
                steps.close()  # type: ignore[attr-defined]
            raise
        except BaseException:
            self.state = "ended"
            raise
        self.state = "done"

    def follow(self, progress: gr.Progress | None) -> Iterator[Any]:
        """Wait for the outputs of the run, which another page has started."""
        self.followers += 1
        try:
            while self.state == "running":
                if progress is not None:
                    share, text = self.told
                    progress(share, desc=text)
                yield gr.skip()
                time.sleep(POLL_SECONDS)
        finally:
            self.followers -= 1
            self.left = time.monotonic()
        if self.state == "ended":
            raise self.error or gr.Error(ENDED, print_exception=False)
        yield self.outputs

    def is_kept(self) -> bool:
        """Whether its files are still there."""
        root = get_upload_folder()
        return time.monotonic() - self.begun < KEPT_SECONDS and all(
            Path(path).exists() for path in _paths([self.values, self.outputs]) if path.startswith(root)
        )

    def _go_on(self, steps: Iterator[Any]) -> None:
        """Take the remaining steps, unless they are no longer wanted."""
        state: Literal["done", "ended"] = "ended"
        try:
            while not self._is_unwanted():
                self.outputs = next(steps)
            steps.close()  # type: ignore[attr-defined]
        except StopIteration:
            state = "done"
        except Exception as error:
            self.error = error
        self.is_alone = False
        self.state = state

    def _is_unwanted(self) -> bool:
        is_left = not self.followers and time.monotonic() - self.left > ALONE_SECONDS
        return self.is_cancelled or is_left


class _Told(gr.Progress):
    """Progress that its job remembers."""

    def __init__(self, job: Job, progress: gr.Progress) -> None:
        super().__init__()
        self._job, self._progress = job, progress

    def __call__(
        self,
        progress: float | tuple[int, int | None] | None,
        desc: str | None = None,
        total: int | float | None = None,
        unit: str = "steps",
        _tqdm: Any = None,
    ) -> Any:
        self._job.told = (progress, desc or FOLLOWING)
        return self._progress(progress, desc, total, unit, _tqdm)


_jobs: dict[str, Job] = {}  # the oldest first
_lock = threading.Lock()


def outlive(
    page: str, function: Callable[..., Iterator[Any]], values: Callable[..., Sequence[Any]]
) -> Callable[..., Iterator[Any]]:
    """Let the runs of an endpoint outlive the page that starts them.

    Args:
        page: its name.
        values: of the page's inputs, from the function's arguments.
    """

    if not inspect.isgeneratorfunction(function):
        return function  # over at once

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Iterator[Any]:
        key = asked(LocalContext.request.get(None))
        if key is None:
            yield from function(*args, **kwargs)
            return
        job = find(key)
        if job is None or job.page != page:
            job = _add(key, Job(page, values(*args), _visitor()))
            given = [_Told(job, one) if isinstance(one, gr.Progress) else one for one in args]
            yield from job.lead(function(*given, **kwargs))
            return
        yield from job.follow(next((one for one in args if isinstance(one, gr.Progress)), None))

    return run


def asked(request: Any) -> str | None:
    """The job that the address of a page names."""
    query = getattr(request, "query_params", None) or {}
    key = query.get("job") or ""
    return key if KEY.fullmatch(key) else None


def find(key: str) -> Job | None:
    """A job that is still kept."""
    with _lock:
        job = _jobs.get(key)
        if job is not None and not job.is_kept():
            del _jobs[key]
            return None
    return job


def cancel(request: gr.Request) -> None:
    """Cancel the job of the page."""
    job = find(asked(request) or "")
    if job is not None:
        job.is_cancelled = True


def _add(key: str, job: Job) -> Job:
    with _lock:
        _jobs[key] = job
        while len(_jobs) > MAX_JOBS:
            counts = Counter(one.visitor for one in _jobs.values())
            most = max(counts, key=lambda visitor: counts[visitor])
            del _jobs[next(key for key, one in _jobs.items() if one.visitor == most)]
    return job


def _visitor() -> str:
    """Who runs the job, for a fair share of those that are kept."""
    client = getattr(LocalContext.request.get(None), "client", None)
    return str(getattr(client, "host", ""))


def _paths(values: Any) -> Iterator[str]:
    """All texts in nested values, some of which are paths."""
    if isinstance(values, str):
        yield values
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _paths(value)
