"""The threshold of hearing in quiet, Terhardt 1979."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # PyTorch takes a second to import, and its tensors bring their own arithmetic
    from torch import Tensor


def threshold_in_quiet_db(frequencies_khz: Tensor) -> Tensor:
    """The softest sine that can be heard, in dB SPL.

        3.64 f^-0.8 - 6.5 exp(-0.6 (f - 3.3)^2) + 0.001 f^4

    Shape:
        frequencies_khz: any, above 0; the result has the same.
    """
    return (
        3.64 * frequencies_khz.pow(-0.8)
        - 6.5 * (-0.6 * (frequencies_khz - 3.3).square()).exp()
        + 1e-3 * frequencies_khz.pow(4)
    )
