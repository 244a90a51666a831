"""Where models run, and in which precision: the processor, a CUDA card, or a ZeroGPU Space."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    import torch

Device = Literal["cpu", "cuda"]
Function = TypeVar("Function", bound=Callable[..., Any])


def pick_device() -> Device:
    """`"cuda"` where there is a card or the Space lends one, else `"cpu"`."""
    import torch

    return "cuda" if on_zero_gpu() or torch.cuda.is_available() else "cpu"


def precision(device: Device) -> torch.dtype | None:
    """What autocast computes in: bfloat16 on cards that have it, float16 on older ones, None on the CPU."""
    import torch

    if device == "cpu":
        return None
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


@contextmanager
def inference(device: Device) -> Iterator[None]:
    """No gradients, and autocast on a card.

    Both hold for the thread that enters: a generator must leave before it yields, since Gradio may resume it
    in another thread.
    """
    import torch

    dtype = precision(device)
    with torch.inference_mode(), nullcontext() if dtype is None else torch.autocast(device, dtype=dtype):
        yield


def describe(device: Device) -> str:
    """A few words for the interface: "CPU, 2 cores", "NVIDIA H200", "ZeroGPU, NVIDIA H200"."""
    import torch

    if device == "cpu":
        # A container often grants fewer cores than the machine has.
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return f"CPU, {cores} core{'' if cores == 1 else 's'}"
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

    On ZeroGPU the function runs in a process that is gone afterwards: load its model before, outside of it.

    Args:
        duration_seconds: how long the card is asked for; a callable gets the function's own arguments.

    >>> @gpu(duration_seconds=30)
    ... def double(value: int) -> int:
    ...     return 2 * value
    >>> double(21)
    42
    """
    if not on_zero_gpu():
        return lambda function: function
    import spaces

    decorator: Callable[[Function], Function] = spaces.GPU(duration=duration_seconds)
    return decorator
