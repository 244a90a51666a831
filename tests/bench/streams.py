"""How long a stream takes for a block."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np
from numpy.typing import NDArray


def time_blocks(
    push: Callable[[NDArray[np.float32]], object], samples: NDArray[np.float32], size: int
) -> tuple[float, float]:
    """Seconds for a block of so many samples, the median and the longest. Shape: samples (channels, time)."""
    times = []
    for start in range(0, samples.shape[1], size):
        begin = perf_counter()
        push(samples[:, start : start + size])
        times.append(perf_counter() - begin)
    # In the first blocks buffers fill and libraries warm up.
    settled = times[len(times) // 10 :]
    return float(np.median(settled)), max(settled)
