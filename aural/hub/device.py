"""Where models run, and in which precision: the processor, a CUDA card, Apple's GPU, or a ZeroGPU Space."""

from __future__ import annotations

import functools
import inspect
import os
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from aural.errors import AuralError, OptionError, shorten

if TYPE_CHECKING:
    import torch

Device = Literal["cpu", "cuda", "mps"]
DEVICES: tuple[Device, ...] = ("cpu", "cuda", "mps")
LACKING = {
    "cuda": "PyTorch finds no CUDA card",
    "mps": "PyTorch finds no GPU of Apple",
}
Function = TypeVar("Function", bound=Callable[..., Any])

_lock = threading.Lock()  # guards _borrowers
_borrowers = 0  # functions decorated by `gpu` that run in this process, where a ZeroGPU Space lends its card


def pick_device(*, with_float64: bool = False) -> Device:
    """The device that AURAL_DEVICE names, or else `"cuda"` where there is a card, or else `"cpu"`.

    On ZeroGPU the setting does not count: it is `"cuda"` where a card is lent, inside of `gpu` only.

    Args:
        with_float64: whether the model needs double precision, which Apple's GPU lacks: then it is the CPU.

    Raises:
        OptionError: the setting names no device, or one that this machine lacks.
    """
    if on_zero_gpu():
        return "cuda" if _borrowers else "cpu"
    named = _named_device()
    if named == "cpu":
        return named
    if named == "mps":
        # Read when PyTorch is imported: what Metal lacks runs on the CPU.
        os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
    import torch

    if named is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    is_there = torch.cuda.is_available() if named == "cuda" else torch.backends.mps.is_available()
    if not is_there:
        raise OptionError(f"AURAL_DEVICE is {named}, but {LACKING[named]} here. Unset it, or set it to cpu.")
    return "cpu" if named == "mps" and with_float64 else named


def check_setting() -> None:
    """Raise `OptionError` if AURAL_DEVICE names no device of this machine. Unset, it loads no PyTorch."""
    if not on_zero_gpu() and _named_device():
        pick_device()


def _named_device() -> Device | None:
    """The device that AURAL_DEVICE names; None: it is unset."""
    text = os.environ.get("AURAL_DEVICE", "").strip().lower()
    if not text:
        return None
    for device in DEVICES:
        if text == device:
            return device
    raise OptionError(f"AURAL_DEVICE is {shorten(text)!r}. Set it to {', '.join(DEVICES)}, or unset it.")


def precision(device: Device) -> torch.dtype | None:
    """What autocast computes in: bfloat16 on CUDA cards that have it, float16 on older ones, else None."""
    import torch

    if device != "cuda":
        return None
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


@contextmanager
def inference(device: Device) -> Iterator[None]:
    """No gradients, and autocast on a CUDA card.

    Both hold for the thread that enters: a generator must leave before it yields, since Gradio may resume it
    in another thread.
    """
    import torch

    dtype = precision(device)
    with torch.inference_mode(), nullcontext() if dtype is None else torch.autocast(device, dtype=dtype):
        yield


def describe(device: Device | None = None) -> str:
    """A few words for the interface: "CPU, 2 cores", "NVIDIA H200", "ZeroGPU, NVIDIA H200".

    Args:
        device: None: the one that models run on when they are asked to.
    """
    if device is None:
        device = "cuda" if on_zero_gpu() else pick_device()
    if device == "cpu":
        # A container often grants fewer cores than the machine has.
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return f"CPU, {cores} core{'' if cores == 1 else 's'}"
    if device == "mps":
        return "Apple GPU"
    import torch

    return f"{'ZeroGPU, ' if on_zero_gpu() else ''}{torch.cuda.get_device_name()}"


def on_zero_gpu() -> bool:
    """Whether this is a ZeroGPU Space; if so `spaces` is imported, which has to come before CUDA's start."""
    if os.environ.get("SPACES_ZERO_GPU", "").lower() not in ("1", "t", "true"):
        return False
    try:
        import spaces  # noqa: F401
    except ImportError:
        return False
    return True


def gpu(duration_seconds: int | Callable[..., int] = 60) -> Callable[[Function], Function]:
    """Decorator for the function that needs the card: `spaces.GPU` on ZeroGPU, no change elsewhere.

    On ZeroGPU the function runs in a process that is forked off and may be gone afterwards. Load its models
    before, onto "cuda" and in the main thread: the fork brings them onto the card. What goes in and comes out
    is pickled. What it raises for the user to mend is raised here too; `spaces` keeps all else to itself.

    Args:
        duration_seconds: how long the card is asked for; a callable gets the function's own arguments. Where
            that is 0 no card is asked for, and the function runs here.

    >>> @gpu(duration_seconds=30)
    ... def double(value: int) -> int:
    ...     return 2 * value
    >>> double(21)
    42
    """
    if not on_zero_gpu():
        return lambda function: function
    import spaces

    def decorate(function: Function) -> Function:
        # `spaces` looks at the function alone, and would take a wrapper that returns a generator for one that
        # returns a value.
        is_generator = inspect.isgeneratorfunction(inspect.unwrap(function))
        borrowing = (_borrowing_generator if is_generator else _borrowing)(function)
        lent = spaces.GPU(duration=duration_seconds)(borrowing)

        def chosen(*args: Any, **kwargs: Any) -> Callable[..., Any]:
            is_needed = not callable(duration_seconds) or duration_seconds(*args, **kwargs) > 0
            return lent if is_needed else function

        @functools.wraps(function)
        def running(*args: Any, **kwargs: Any) -> Any:
            return _value(chosen(*args, **kwargs)(*args, **kwargs))

        @functools.wraps(function)
        def generating(*args: Any, **kwargs: Any) -> Generator[Any, None, None]:
            with closing(chosen(*args, **kwargs)(*args, **kwargs)) as values:
                yield from map(_value, values)

        return cast(Function, generating if is_generator else running)

    return decorate


@dataclass(frozen=True)
class _Failure:
    """What a function raised in the other process."""

    error: Exception


MENDABLE = (AuralError, MemoryError)


def _borrowing(function: Callable[..., Any]) -> Callable[..., Any]:
    """What runs in the process that holds the card."""

    @functools.wraps(function)
    def borrowing(*args: Any, **kwargs: Any) -> Any:
        with _card():
            try:
                return function(*args, **kwargs)
            except MENDABLE as error:
                return _Failure(error)

    return borrowing


def _borrowing_generator(
    function: Callable[..., Generator[Any, None, None]],
) -> Callable[..., Generator[Any, None, None]]:
    """Likewise."""

    @functools.wraps(function)
    def borrowing(*args: Any, **kwargs: Any) -> Generator[Any, None, None]:
        with _card():
            try:
                yield from function(*args, **kwargs)
            except MENDABLE as error:
                yield _Failure(error)

    return borrowing


def _value(value: Any) -> Any:
    if isinstance(value, _Failure):
        raise value.error
    return value


@contextmanager
def _card() -> Iterator[None]:
    """Entered where a card is lent. Of the process, not the thread: a generator may go on in another one."""
    global _borrowers
    with _lock:
        _borrowers += 1
    try:
        yield
    finally:
        with _lock:
            _borrowers -= 1
