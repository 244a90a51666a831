"""Every model, loaded before the first call: a ZeroGPU Space needs that, since its calls run in forks."""

from __future__ import annotations

import logging

from aural import hub
from aural.device import on_zero_gpu
from aural.errors import CheckpointError

_log = logging.getLogger(__name__)


def preload() -> None:
    """On ZeroGPU, load every model for the card; elsewhere nothing: there, models come when they are needed.

    A model that cannot be had is logged, and whoever needs it is told why.
    """
    if not on_zero_gpu():
        return
    from aural.enhancement.masking import build_stage_one
    from aural.enhancement.model import build_completer, build_waveform
    from aural.generation import classifier
    from aural.generation import model as generator
    from aural.superres.extension import build_extender
    from aural.superres.model import build_lisa
    from aural.vocoding import model as vocoder

    builders = {
        "classifier": classifier.build,
        "completer": build_completer,
        "denoiser": build_stage_one,
        "extender": build_extender,
        "generator": generator.build,
        "lisa": build_lisa,
        "vocoder": vocoder.build,
        "waveform_enhancer": build_waveform,
    }
    for name, build in builders.items():
        try:
            hub.load(name, build, device="cuda")
        except CheckpointError as error:
            _log.warning("%s", error)
