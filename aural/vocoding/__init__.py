"""From a spectrogram to a waveform; one setting chooses the source of the phase.

`PHASE_SETTINGS` lists the settings. To add one, add its name there and in `PhaseSetting`, and a branch in
`reconstruct.steps`. Importing this package does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from aural.audio.steps import Steps, stepwise
from aural.errors import OptionError

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from aural.audio.spectral import FrontEnd

PhaseSetting = Literal["original", "griffin_lim", "vocoder"]
PHASE_SETTINGS: tuple[PhaseSetting, ...] = get_args(PhaseSetting)


@stepwise
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
) -> Steps[Tensor]:
    """Samples for a magnitude spectrogram.

    Shape:
        magnitude: (..., bins, frames); result: (..., length), on the same device.

    Args:
        phase: "original" takes it from `original`, "griffin_lim" estimates it; "vocoder" keeps only the mel
            bands of the magnitude and generates the rest, by the checkpoint "vocoder".
        length: samples to return.
        original: complex spectrogram, of the same shape, of the audio whose magnitude was changed.
        iterations, momentum: see `griffin_lim.griffin_lim`; the other settings ignore them.
        generator: a seeded generator on the CPU, for the initial phase or the vocoder's noise; None: seed 0.

    Raises:
        OptionError: an unknown setting, the original phase without `original`, a value out of range, a front
            end that the vocoder does not support.
        CheckpointError: the vocoder's files are not available.
    """
    import torch

    from aural.audio.spectral import istft
    from aural.vocoding.griffin_lim import griffin_lim

    if phase == "original":
        if original is None:
            raise OptionError(
                'The phase setting "original" needs the original spectrogram. '
                'Pass it, or choose "griffin_lim".'
            )
        return istft(torch.polar(magnitude, original.angle()), length, front_end)
    if phase == "griffin_lim":
        return (
            yield from griffin_lim.steps(
                magnitude, length, front_end, iterations=iterations, momentum=momentum, generator=generator
            )
        )
    if phase == "vocoder":
        return _vocode(magnitude, length, front_end, generator)
    raise OptionError(f'There is no phase setting "{phase}". Choose {" or ".join(PHASE_SETTINGS)}.')


def _vocode(magnitude: Tensor, length: int, front_end: FrontEnd, generator: Generator | None) -> Tensor:
    from aural import hub
    from aural.audio.spectral import mel_from_magnitude, scale
    from aural.vocoding.model import white_noise

    vocoder = hub.load("vocoder")
    own = vocoder.front_end
    if front_end != own:
        raise OptionError(
            f"The vocoder needs {own.rate} Hz, a window of {own.window}, a hop of {own.hop} and "
            f"{own.mel_bands} mel bands. Set these, or choose griffin_lim, which takes any."
        )
    mel = scale(mel_from_magnitude(magnitude, front_end))
    device = next(vocoder.parameters()).device
    batch = mel.reshape(-1, *mel.shape[-2:]).to(device)
    samples = vocoder(batch, length, white_noise(length, generator))
    output: Tensor = samples.reshape(*magnitude.shape[:-2], length).to(magnitude.device)
    return output
