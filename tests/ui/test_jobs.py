"""Runs that outlive the page that started them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from gradio.context import LocalContext
from gradio.utils import get_upload_folder

from aural.ui import jobs

KEY, OTHER = "0123456789abcdef" * 2, "f" * 32


@pytest.fixture(autouse=True)
def none_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(jobs, "_jobs", {})
    monkeypatch.setattr(jobs, "POLL_SECONDS", 0.01)
    token = LocalContext.request.set(None)
    yield
    LocalContext.request.reset(token)


def come_from(key: str | None, visitor: str = "192.0.2.1") -> None:
    """Let what follows be called by a page whose address names this job."""
    query = {} if key is None else {"job": key}
    LocalContext.request.set(SimpleNamespace(query_params=query, client=SimpleNamespace(host=visitor)))


class Work:
    """An endpoint that counts its runs and waits for a word before its last step."""

    def __init__(self, outputs: Any = "result") -> None:
        self.runs = self.closed = 0
        self.may_end = threading.Event()
        self.outputs = outputs

    def endpoint(self, page: str = "work") -> Callable[..., Iterator[Any]]:
        def work(sound: str) -> Iterator[Any]:
            self.runs += 1
            try:
                while not self.may_end.is_set():
                    yield "half"
                    time.sleep(0.01)
                if isinstance(self.outputs, Exception):
                    raise self.outputs
                yield f"{self.outputs} of {sound}"
            finally:
                self.closed += 1

        return jobs.outlive(page, work, lambda *given: given)


def last(outputs: Iterator[Any]) -> Any:
    return list(outputs)[-1]


def reload(work: Work) -> Iterator[Any]:
    """Start a run, leave its page, and follow the run from there."""
    come_from(KEY)
    page = work.endpoint()("a")
    assert next(page) == "half"
    leave(page)
    reloaded = work.endpoint()("a")
    assert next(reloaded) == gr.skip()
    return reloaded


def wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not is_so() and time.monotonic() < end:
        time.sleep(0.01)
    assert is_so()


def leave(page: Iterator[Any]) -> None:
    """What Gradio does when a page goes away, or cancels."""
    page.close()  # type: ignore[attr-defined]


def test_a_reload_gets_the_result_without_another_run() -> None:
    work = Work()
    work.may_end.set()
    come_from(KEY)
    assert last(work.endpoint()("a")) == "result of a"
    assert list(work.endpoint()("another")) == ["result of a"]
    job = jobs.find(KEY)
    assert work.runs == 1 and job is not None and list(job.values) == ["a"]


@pytest.mark.parametrize("key", [None, "", "x" * 32, KEY[:-1], KEY.upper(), "../" + KEY])
def test_programs_and_made_up_names_run_as_ever(key: str | None) -> None:
    work = Work()
    work.may_end.set()
    come_from(key)
    assert [last(work.endpoint()("a")), last(work.endpoint()("b"))] == ["result of a", "result of b"]
    assert work.runs == 2 and not jobs._jobs


def test_a_run_goes_on_while_its_page_is_reloaded() -> None:
    work = Work()
    reloaded = reload(work)
    work.may_end.set()
    assert last(reloaded) == "result of a" and work.runs == 1


class Bar(gr.Progress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[float, str]] = []

    def __call__(self, progress: Any, desc: str | None = None, *_: Any) -> Any:
        self.told.append((progress, str(desc)))


def test_the_bar_goes_on_where_it_was() -> None:
    may_end = threading.Event()

    def work(sound: str, progress: gr.Progress) -> Iterator[Any]:
        progress(0.25, desc="Working")
        while not may_end.is_set():
            yield sound
            time.sleep(0.01)

    come_from(KEY)
    endpoint = jobs.outlive("work", work, lambda sound, *_: [sound])
    first, second = Bar(), Bar()
    page = endpoint("a", first)
    next(page)
    leave(page)
    reloaded = endpoint("a", second)
    next(reloaded)
    may_end.set()
    assert last(reloaded) == "a" and first.told == [(0.25, "Working")]
    assert set(second.told) == {(0.25, "Working")}


def test_two_windows_follow_one_run() -> None:
    work = Work()
    come_from(KEY)
    first, second = work.endpoint()("a"), work.endpoint()("a")
    next(first), next(second)
    work.may_end.set()
    assert last(first) == "result of a" and last(second) == "result of a" and work.runs == 1


def test_cancel_ends_a_run_with_its_page_and_after_a_reload() -> None:
    work = Work()
    reloaded = reload(work)
    jobs.cancel(SimpleNamespace(query_params={"job": KEY}))  # type: ignore[arg-type]
    with pytest.raises(gr.Error, match="ended without a result"):
        last(reloaded)
    job = jobs.find(KEY)
    assert work.closed == 1 and job is not None and job.state == "ended"


def test_a_run_that_nobody_follows_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "ALONE_SECONDS", 0.0)
    work = Work()
    come_from(KEY)
    page = work.endpoint()("a")
    next(page)
    leave(page)
    wait_until(lambda: work.closed == 1)


def test_only_a_few_runs_go_on_without_a_page() -> None:
    """So that one who leaves and comes back again and again does not fill the machine."""
    works = [Work() for _ in range(jobs.MAX_ALONE + 1)]
    for number, work in enumerate(works):
        come_from(f"{number:032x}")
        page = work.endpoint()("a")
        next(page)
        leave(page)
        del page
    wait_until(lambda: works[-1].closed == 1)
    assert not any(work.closed for work in works[:-1])
    for work in works:
        work.may_end.set()
    wait_until(lambda: all(work.closed for work in works))


def test_an_error_after_a_reload_is_told() -> None:
    work = Work(gr.Error("The file is too long. Try a shorter one."))
    reloaded = reload(work)
    work.may_end.set()
    with pytest.raises(gr.Error, match="too long"):
        last(reloaded)


def test_a_job_whose_files_are_gone_is_run_again() -> None:
    upload = Path(get_upload_folder()) / "a.wav"
    upload.parent.mkdir(parents=True, exist_ok=True)
    upload.touch()
    work = Work()
    work.may_end.set()
    come_from(KEY)
    last(work.endpoint()(str(upload)))
    assert jobs.find(KEY) is not None
    upload.unlink()
    assert jobs.find(KEY) is None
    last(work.endpoint()("a"))
    assert work.runs == 2


def test_the_job_of_one_page_is_none_of_anothers() -> None:
    work = Work()
    work.may_end.set()
    come_from(KEY)
    last(work.endpoint()("a"))
    assert last(work.endpoint("other")("b")) == "result of b"


def test_who_runs_the_most_loses_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "MAX_JOBS", 5)
    work = Work()
    work.may_end.set()
    come_from(OTHER, visitor="198.51.100.7")
    last(work.endpoint()("a"))
    for number in range(12):
        come_from(f"{number:032x}")
        last(work.endpoint()("b"))
    assert jobs.find(OTHER) is not None and len(jobs._jobs) == 5
    assert jobs.find(f"{11:032x}") is not None and jobs.find(f"{0:032x}") is None
