"""A trained model -> `checkpoints/<name>/` and its entry in the manifest, as `aural.hub` expects them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_safetensors
from torch import nn

from aural.training.loop import this_process

FOLDER = Path(__file__).parents[2] / "checkpoints"


def save(
    name: str,
    module: nn.Module,
    config: Mapping[str, Any],
    licence: str,
    *,
    half: bool = True,
    folder: Path = FOLDER,
) -> Path:
    """Write the module's config and weights, and record their digests in the manifest.

    With several processes only the main one writes.

    Args:
        config: the arguments of the build function, as JSON.
        licence: SPDX identifier.
        half: keep floating-point weights as float16; they come back as float32.
        folder: holds all checkpoints.

    Returns:
        the checkpoint's folder.
    """
    place = folder / name
    if not this_process().is_main_process:
        return place
    place.mkdir(parents=True, exist_ok=True)
    weights = {
        key: (value.half() if half and value.dtype == torch.float32 else value).detach().cpu().contiguous()
        for key, value in module.state_dict().items()
    }
    (place / "model.safetensors").write_bytes(to_safetensors(weights))
    text = json.dumps(dict(config), indent=2, sort_keys=True) + "\n"
    (place / "config.json").write_text(text, encoding="utf-8")
    digests = {
        file: hashlib.sha256((place / file).read_bytes()).hexdigest()
        for file in ("config.json", "model.safetensors")
    }
    manifest = folder / "manifest.json"
    entries = json.loads(manifest.read_text(encoding="utf-8")) if manifest.is_file() else {}
    # The Hub's earlier revision has other weights.
    entries[name] = {"revision": None, "licence": licence, "sha256": digests}
    manifest.write_text(json.dumps(entries, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return place
