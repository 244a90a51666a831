"""Seconds per stage of generating 1 and 8 clips of 5 s at the default settings, on this machine.

Time hardly depends on the weights: what is not shipped is made in its usual size with random ones, and the
table says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter
from typing import Any, TypeVar

import torch
from torch import nn

from aural import hub
from aural.audio.spectral import DEFAULT_FRONT_END, magnitude_from_mel, unscale
from aural.audio.steps import finish
from aural.errors import CheckpointError
from aural.generation import classifier
from aural.generation import model as generator
from aural.generation.diffusion import SpectrogramPipeline
from aural.generation.pipeline import MAX_CLIPS, Options
from aural.generation.waveforms import GRIFFIN_LIM_ITERATIONS
from aural.hub.device import describe, pick_device
from aural.vocoding import model as vocoder
from aural.vocoding.griffin_lim import griffin_lim

COUNTS = (1, MAX_CLIPS)
OPTIONS = Options("dog", seed=0)
LENGTH = round(OPTIONS.seconds * DEFAULT_FRONT_END.rate)
CONFIGS: dict[str, tuple[Callable[[Mapping[str, Any]], nn.Module], dict[str, Any]]] = {
    "generator": (generator.build, generator.Config().to_dict()),
    "vocoder": (vocoder.build, vocoder.Config().to_dict()),
    "classifier": (classifier.build, classifier.Config().to_dict()),
}

Value = TypeVar("Value")


def main() -> None:
    """Print the table."""
    print(
        f"Generating 5 s, {OPTIONS.steps} steps of {OPTIONS.sampler}, on {describe(pick_device())}; seconds"
    )
    rows = seconds()
    print(f"{'':28}" + "".join(f"{count:>4} clip{'s' if count > 1 else ' '}" for count in COUNTS))
    for stage, times in rows.items():
        print(f"{stage:28}" + "".join(f"{time:10.3f}" for time in times))


def seconds() -> dict[str, tuple[float, ...]]:
    """Stage -> seconds for each of COUNTS."""
    models: dict[str, Any] = {}
    table: dict[str, tuple[float, ...]] = {}
    for name in CONFIGS:
        (models[name], origin), time = timed(partial(load, name))
        table[f"load {name}{origin}"] = (time,)
    columns = [stages(models, count) for count in COUNTS]
    return table | {stage: tuple(column[stage] for column in columns) for stage in columns[0]}


def load(name: str) -> tuple[Any, str]:
    """A model and where it comes from."""
    build, config = CONFIGS[name]
    try:
        return hub.load(name), ""
    except CheckpointError:
        return build(config).eval().requires_grad_(False).to(pick_device()), " (random)"


@torch.inference_mode()
def stages(models: Mapping[str, Any], count: int) -> dict[str, float]:
    """Seconds of each stage for a number of clips; every model has run once before."""
    pipeline = SpectrogramPipeline.of(models["generator"], OPTIONS.sampler)
    generators = [torch.Generator().manual_seed(number) for number in range(count)]

    def denoise(steps: int) -> torch.Tensor:
        condition = pipeline.condition(torch.zeros(count, dtype=torch.long), generators)
        return finish(pipeline.denoise_steps(condition, steps, OPTIONS.guidance, generators))

    denoise(1)
    mels, denoising = timed(lambda: denoise(OPTIONS.steps))
    models["vocoder"](mels[:1], LENGTH)
    waves, vocoding = timed(lambda: models["vocoder"](mels, LENGTH))
    classifier.classify(mels[:1], models["classifier"])
    _, classifying = timed(lambda: classifier.classify(mels, models["classifier"]))
    _, searching = timed(
        lambda: griffin_lim(magnitude_from_mel(unscale(mels)), LENGTH, iterations=GRIFFIN_LIM_ITERATIONS)
    )
    assert waves.shape == (count, LENGTH)
    return {
        "denoise": denoising,
        "  a step": denoising / OPTIONS.steps,
        "vocoder": vocoding,
        "classify": classifying,
        "all but loading": denoising + vocoding + classifying,
        "  a clip": (denoising + vocoding + classifying) / count,
        f"Griffin-Lim, {GRIFFIN_LIM_ITERATIONS} rounds": searching,
    }


def timed(function: Callable[[], Value]) -> tuple[Value, float]:
    """What the function returns, and how many seconds it took."""
    start = perf_counter()
    value = function()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return value, perf_counter() - start


if __name__ == "__main__":
    main()
