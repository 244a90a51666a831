"""From a spectrogram to a waveform: where the phase comes from is one setting.

`PHASE_SETTINGS` holds what is offered. A further one is a name there, a name in `PhaseSetting`, and a branch
in `reconstruct_steps`. Importing this package does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from aural.audio.steps import Steps, finish
from aural.errors import OptionError

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from aural.audio.spectral import FrontEnd

PhaseSetting = Literal["original", "griffin_lim"]
PHASE_SETTINGS: tuple[PhaseSetting, ...] = get_args(PhaseSetting)


def reconstruct(
    magnitude: Tensor,
    phase: PhaseSetting,
    length: int,
    front_end: FrontEnd,
    *,
    original: Tensor | None = None,
    iterations: int = 32,
    momentum: float = 0.99,
    generator: Generator | None = None,
) -> Tensor:
    """Samples for a magnitude spectrogram.

    Shape:
        magnitude: (..., bins, frames); result: (..., length), on the same device.

    Args:
        phase: "original" takes it from `original`, "griffin_lim" finds one.
        length: samples to return.
        original: complex spectrogram, of the same shape, of the audio whose magnitude was changed.
        iterations, momentum, generator: see `griffin_lim.griffin_lim`; "original" has no use for them.

    Raises:
        OptionError: an unknown setting, the original phase without `original`, a value out of range.
    """
    return finish(
        reconstruct_steps(
            magnitude,
            phase,
            length,
            front_end,
            original=original,
            iterations=iterations,
            momentum=momentum,
            generator=generator,
        )
    )


def reconstruct_steps(
    magnitude: Tensor,
    phase: PhaseSetting,
    length: int,
    front_end: FrontEnd,
    *,
    original: Tensor | None = None,
    iterations: int = 32,
    momentum: float = 0.99,
    generator: Generator | None = None,
) -> Steps[Tensor]:
    """`reconstruct` as a generator that yields the share done."""
    import torch

    from aural.audio.spectral import istft
    from aural.vocoding.griffin_lim import griffin_lim_steps

    if phase == "original":
        if original is None:
            raise OptionError(
                'The phase setting "original" needs the original spectrogram: '
                'hand it in, or choose "griffin_lim".'
            )
        return istft(torch.polar(magnitude, original.angle()), length, front_end)
    if phase == "griffin_lim":
        return (
            yield from griffin_lim_steps(
                magnitude, length, front_end, iterations=iterations, momentum=momentum, generator=generator
            )
        )
    raise OptionError(f'There is no phase setting "{phase}": choose {" or ".join(PHASE_SETTINGS)}.')
