"""What every endpoint needs: progress, cancel and clear errors."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import inspect
import logging
import time
from collections.abc import Callable, Generator, Iterator
from contextvars import ContextVar
from dataclasses import fields
from typing import Any, ParamSpec, TypeVar

import gradio as gr

from aural import hub
from aural.audio import Clip, probe, read
from aural.audio.clip import with_notes
from aural.audio.steps import Run, Steps
from aural.errors import AuralError, CheckpointError, InputError, OptionError, OutOfSpaceError, without_paths
from aural.hub.device import gpu
from aural.hub.workers import Workers
from aural.options import REQUIRED, Field, Verb, describe, take_texts
from aural.ui import estimates, memory, storage
from aural.ui.load import LOAD

T = TypeVar("T")
P = ParamSpec("P")
Updates = Generator[Any, None, None]
Endpoint = Callable[P, Updates]

_log = logging.getLogger(__name__)

SECONDS_BETWEEN_UPDATES = 0.5  # each of which keeps the page busy for a while
CALLS_AT_ONCE = 2
CALL_SECONDS = 20 * 60.0  # limit of one call, so that others get their turn
TOOK_TOO_LONG = (
    "This took longer than the limit of {minutes:g} minutes. Try a shorter file, or run AURAL on your own "
    "computer."
)
NO_AUDIO = "No audio yet. Upload a file, record one, or pick an example."
NO_FILES = "No files yet. Upload audio or video files."

_workers = Workers(CALLS_AT_ONCE)
_followed: ContextVar[tuple[gr.Progress, float] | None] = ContextVar("progress of a run", default=None)


def follow(
    steps: Steps[T],
    progress: gr.Progress,
    text: str | Callable[[float], str],
    preview: Callable[[float], Any] = lambda share: gr.skip(),  # noqa: ARG005
) -> Generator[Any, None, T]:
    """Run steps with a progress bar. A cancel takes effect at the next update.

    While a model is loaded, the bar says so.

    Args:
        text: what is done, or that at a share done.
        preview: the event's outputs after a share done; by default they stay as they are.
    """
    shown, share = 0.0, 0.0
    with Run(steps) as run:
        shares = iter(run)
        while True:
            # Anew for each step: another thread may take it, with a context of its own.
            _followed.set((progress, share))
            try:
                share = next(shares)
            except StopIteration:
                break
            if time.monotonic() - shown > SECONDS_BETWEEN_UPDATES:
                progress(share, desc=text if isinstance(text, str) else text(share))
                yield preview(share)
                shown = time.monotonic()
    return run.result


def _tell_of_loading() -> None:
    if (followed := _followed.get()) is not None:
        progress, share = followed
        progress(share, desc="Loading the model")


hub.tell_of_loading(_tell_of_loading)


def on_workers(function: Callable[P, Iterator[T]]) -> Callable[P, Iterator[T]]:
    """Run each step of an event that computes with PyTorch on the few threads of the calls."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        yield from _workers.iterate(function(*args, **kwargs))

    return run


def report_errors(function: Callable[P, Iterator[Any]]) -> Endpoint[P]:
    """Show an `AuralError` to page and client in its own words."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> Updates:
        try:
            yield from function(*args, **kwargs)
        except (AuralError, OSError) as error:
            raise _for_visitors(error) from None
        except MemoryError:
            message = "Not enough memory for audio of this length. Try a shorter file."
            raise gr.Error(message, print_exception=False) from None

    return run


def _for_visitors(error: AuralError | OSError) -> Exception:
    """An error as visitors see it: what is the operator's business is logged, and no path is told."""
    cause = error.__cause__ if isinstance(error, AuralError) else error
    lack = error if isinstance(error, OutOfSpaceError) else None
    if cause is not None and isinstance(error, OutOfSpaceError | OptionError | OSError):
        lack = storage.out_of_space(cause) or lack
    if lack is not None:
        _log.error("%s (%s)", lack, cause or error)
        return gr.Error(str(lack), print_exception=False)
    if isinstance(error, OSError):
        return error
    if isinstance(error, CheckpointError):
        _log.error("%s", error)
        return gr.Error(without_paths(str(error)), print_exception=False)
    return gr.Error(str(error), print_exception=False)


def of_sound(audio: str | None, **_: Any) -> float:
    """The workload of a file: channels times seconds."""
    facts = probe(audio) if audio else None
    return facts.channels * facts.seconds if facts else 0.0


def workload_of(verb: Verb) -> Callable[..., float]:
    """The workload of a run of the verb, from its arguments by name."""
    return verb.workload or of_sound


def endpoint(
    verb: Verb, workload: Callable[..., float] | None = None, *, together: bool = False
) -> Callable[[Callable[P, Iterator[Any]]], Endpoint[P]]:
    """Make a function an endpoint for page and programs: `report_errors` and more.

    A call starts once the memory it needs is left. One that exceeds `CALL_SECONDS` ends. How long it would
    have taken alone is recorded for the next estimate. On ZeroGPU the call requests the card for a time that
    follows from its input.

    Args:
        verb: what the function does; gives the kind of run and the workload from the arguments by name.
        workload: replaces the verb's own workload.
        together: whether it holds several files in memory at once.
    """

    def decorate(function: Callable[P, Iterator[Any]]) -> Endpoint[P]:
        signature = inspect.signature(function)

        def work(*args: Any, **kwargs: Any) -> tuple[float, str] | None:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            try:
                given = take_texts(verb.options, bound.arguments)
                return (workload or workload_of(verb))(**given), verb.kind(**given)
            except (AuralError, TypeError):  # the function itself reports what is wrong with its input
                return None

        def seconds_of_gpu(*args: Any, **kwargs: Any) -> int:
            known = work(*args, **kwargs)
            return estimates.gpu_seconds(verb, *known) if known else 0

        def alone_seconds(*args: Any, **kwargs: Any) -> float:
            try:
                known = work(*args, **kwargs)
            except Exception:  # the function itself reports it
                return 0.0
            return estimates.expected_seconds(verb, *known) if known else 0.0

        on_card = gpu(duration_seconds=seconds_of_gpu)(function)

        @report_errors
        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> Updates:
            arguments = signature.bind(*args, **kwargs).arguments
            share = memory.Share(memory.need_bytes(verb, arguments, together=together))
            expected = alone_seconds(*args, **kwargs)
            call = LOAD.begin(expected)
            try:
                for _ in share.wait():
                    if isinstance(progress := arguments.get("progress"), gr.Progress):
                        progress(0, desc="Waiting for memory")
                    yield gr.skip()
                    LOAD.end(call)
                    call = LOAD.begin(expected)
                start = time.monotonic()
                for outputs in _workers.iterate(memory.holding(on_card(*args, **kwargs))):
                    yield outputs
                    if time.monotonic() - start > CALL_SECONDS:
                        raise InputError(TOOK_TOO_LONG.format(minutes=CALL_SECONDS / 60))
            finally:
                _give_back_memory()
                share.release()
                took_alone = LOAD.end(call)
            if known := work(*args, **kwargs):
                done, kind = known
                estimates.record(verb, done, took_alone, kind)

        return run

    return decorate


def with_options(
    options: type[Any],
) -> Callable[[Callable[..., Iterator[Any]]], Callable[..., Iterator[Any]]]:
    """Replace a function's parameter `options` by the fields of a dataclass, with their defaults.

    Gradio names an endpoint's parameters after the function's, so they equal those of the library. The help
    of the fields goes into the function's docstring, which programs see.
    """

    def decorate(function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(function).parameters.values():
            if parameter.name != "options":
                parameters.append(parameter)
                continue
            parameters += [
                parameter.replace(
                    name=field.name,
                    default=parameter.empty if field.default is REQUIRED else field.default,
                    annotation=_annotation(field),
                )
                for field in describe(options)
            ]
        signature = inspect.Signature(parameters)

        @functools.wraps(function)
        def with_fields(*args: Any, **kwargs: Any) -> Iterator[Any]:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            chosen = {field.name: bound.arguments.pop(field.name) for field in fields(options)}
            return function(**bound.arguments, options=options(**take_texts(options, chosen)))

        with_fields.__signature__ = signature  # type: ignore[attr-defined]
        with_fields.__doc__ = _document_options(inspect.getdoc(function) or "", options)
        return with_fields

    return decorate


def _annotation(field: Field) -> str:
    return f"{field.kind.__name__} | None" if field.optional else field.kind.__name__


def _give_back_memory() -> None:
    """Return freed memory to the system: glibc would keep what large arrays occupied."""
    with contextlib.suppress(OSError, AttributeError):  # other systems' libraries have no such call
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _document_options(documentation: str, options: type[Any]) -> str:
    """The docstring with the line for `options` replaced by the fields."""
    lines = "\n".join(f"    {field.name}: {field.help}" for field in describe(options))
    return documentation.replace("    options: as below", lines)


def add_notes(figures: dict[str, Any], clip: Clip) -> dict[str, Any]:
    """The figures of a result, whose message also says how its file was read, if there is anything to say."""
    return {**figures, "message": with_notes(figures.get("message", ""), clip)} if clip.notes else figures


def load(path: str | None) -> Clip:
    """The uploaded clip. Raises `InputError` if there is none."""
    if not path:
        raise InputError(NO_AUDIO)
    return read(path)
