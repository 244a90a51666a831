"""Evaluate stage 1 alone by weights from a card's training, as `make evaluate SLICE=enhancement` does.

    python -m tools.card.check_denoiser --weights denoiser.safetensors [more ...] --data DIR
        [--limit 4] [--kinds ...] [--peers deepfilternet rnnoise] [--json FILE]

Rows besides those of `aural.enhancement.evaluate`: each network alone, named by its folder. All runs in this
process; start one for each half of the kinds to use two cores.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from aural.audio.spectral import istft, stft
from aural.enhancement import evaluate
from aural.enhancement.denoiser_convolutional import (
    MASK_FRONT_END,
    ConvolutionalDenoiser,
    build_convolutional,
)
from aural.enhancement.evaluate_methods import ROWS, Method, Row
from aural.enhancement.level import ACTIVE_RMS, active_level

Wave = NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, nargs="+", required=True)
    chosen, others = parser.parse_known_args()
    names = []
    for weights in chosen.weights:
        name = f"stage 1 of {weights.resolve().parent.name}"
        ROWS[name] = Row(name, partial(method, weights))
        names.append(name)
    evaluate.main(["--workers", "1", *others, "--rows", evaluate.DEFAULT, *names])


def method(weights: Path) -> Method:
    """The network alone, at the level that it expects."""
    return partial(denoise, denoiser(weights))


def denoiser(weights: Path) -> ConvolutionalDenoiser:
    """The network from a card's training; its config is in the JSON file next to it."""
    plain = weights.with_name(weights.name.split(".")[0] + ".json")
    config = json.loads(plain.read_text(encoding="utf-8"))["config"] if plain.exists() else None
    tensors = {
        key: value.float() if value.is_floating_point() else value
        for key, value in load_file(weights).items()
    }
    if config is None:
        # An interrupted run leaves no config; the size follows from the weights.
        shapes = [
            tensors[f"{name}.convolution.weight"].shape[0] for name in ("entry", "down.0", "down.1", "down.2")
        ]
        blocks = 1 + max(int(key.split(".")[1]) for key in tensors if key.startswith("blocks."))
        config = {"widths": shapes, "blocks": blocks}
    model = build_convolutional(config)
    model.load_state_dict(tensors)
    return model.eval().to(memory_format=torch.channels_last)


@torch.inference_mode()
def denoise(model: ConvolutionalDenoiser, samples: Wave) -> Wave:
    """Apply the network alone, at the level that it expects. Shape: (time,) at 48 kHz, both."""
    gain = ACTIVE_RMS / max(active_level(samples[None]), 1e-5)
    spectrum = stft(torch.from_numpy(samples * np.float32(gain))[None], MASK_FRONT_END)
    voice = istft(model(spectrum).apply(spectrum), len(samples), MASK_FRONT_END)
    result: Wave = (voice[0] / gain).numpy()
    return result


if __name__ == "__main__":
    main()
