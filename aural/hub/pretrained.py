"""Networks as the Hub knows them: `from_pretrained`, `save_pretrained`, `push_to_hub`.

A repository of one network has `config.json` and `model.safetensors` at its root. The app takes its
checkpoints by `aural.hub.load` instead, which verifies each file by the manifest.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, get_type_hints

from huggingface_hub import PyTorchModelHubMixin, hf_hub_download
from torch import nn

from aural.errors import CheckpointError
from aural.hub import load_weights
from aural.hub.cards import LIBRARY
from aural.hub.config import NetworkConfig

# Of a network without a card: that of a shipped one is made by `aural.hub.cards`.
CARD = """---
{{ card_data }}
---

A network of AURAL. Say here what it was trained on, how good it is, and name its licence above.
"""
WEIGHTS = "model.safetensors"


class Pretrained(
    PyTorchModelHubMixin,
    nn.Module,
    library_name=LIBRARY,
    license="unknown",
    pipeline_tag="audio-to-audio",
    tags=["audio"],
    model_card_template=CARD,
):
    """Base of the networks, which take a `NetworkConfig` as their first argument, `config`.

    Weights are loaded strictly, on the CPU unless `map_location` names a device; pickles are never loaded.
    The network is ready for inference: `train()` makes it one to train on.
    """

    @classmethod
    def network(cls, config: Mapping[str, Any]) -> Self:
        """The network of a `config.json`, with any weights.

        Raises:
            TypeError: the config has a field that this network does not have.
        """
        config_class = get_type_hints(cls.__init__)["config"]
        assert issubclass(config_class, NetworkConfig)
        return cls(config_class.from_dict(config))

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        map_location: str = "cpu",
        strict: bool = True,
        config: Mapping[str, Any] | None = None,
        **place: Any,  # revision, cache and token, for the download
    ) -> Self:
        if not strict:
            raise CheckpointError("AURAL's networks are only loaded strictly. Leave out strict=False.")
        if config is None:
            raise CheckpointError(f"{model_id} has no config.json. Name a repository of one network.")
        try:
            model = cls.network(config)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"config.json of {model_id} does not fit {cls.__name__} ({error!r}). "
                "Name another class or model."
            ) from error
        local = Path(model_id, WEIGHTS)
        path = local if Path(model_id).is_dir() else Path(hf_hub_download(model_id, WEIGHTS, **place))
        return load_weights(model, path, model_id).to(map_location)
