"""Checkpoint name -> verified files -> built model.

Where the files come from and what makes them the right ones: `aural.hub.manifest`. `python -m aural.hub`
brings them to the Hub and from there: see `aural.hub.publish`. Other programs load one model from a
repository of its own, by `from_pretrained` of its class: see `aural.hub.pretrained`.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from aural.errors import CheckpointError
from aural.hub import manifest
from aural.hub.device import Device, pick_device
from aural.hub.download import Unavailable, capitalized
from aural.hub.manifest import Entry

if TYPE_CHECKING:
    import torch
    from torch import nn

Model = TypeVar("Model", bound="nn.Module")

# Checkpoint -> what builds its network from its config, imported when it is asked for. A checkpoint's files
# name no code: this table alone says what they are handed to.
BUILDERS: Mapping[str, str] = MappingProxyType(
    {
        "classifier": "aural.generation.classifier:build",
        "completer": "aural.enhancement.completer:build_completer",
        "denoiser": "aural.enhancement.denoiser:build_denoiser",
        "extender": "aural.superres.model:build_extender",
        "generator": "aural.generation.model:build",
        "live_denoiser": "aural.enhancement.denoiser_causal:build_causal_denoiser",
        "lisa": "aural.superres.lisa:build_lisa",
        "vocoder": "aural.vocoding.model:build",
        "waveform_classifier": "aural.generation.waveform_classifier:build",
    }
)

# Checkpoint -> the class of its diffusers pipeline, which its own repository on the Hub holds too.
PIPELINES: Mapping[str, str] = MappingProxyType(
    {"generator": "aural.generation.diffusion:SpectrogramPipeline"}
)

JUDGES = frozenset({"waveform_classifier"})  # no verb uses them: they score what the others make
SAME_VERSION = "Take AURAL and its checkpoints from the same version"
FAILURES = 2  # after which `prefetch` asks no more: one may lie in a file, two in a row lie in the Hub

_log = logging.getLogger(__name__)
_lock = threading.Lock()  # guards _models; never held while something loads
_models: dict[tuple[str, Device], Future[tuple[nn.Module, Loaded]]] = {}
_told_of_loading: list[Callable[[], None]] = []


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose files match the manifest."""

    name: str
    config: Mapping[str, Any]  # what the build function takes
    weights: Path  # safetensors
    source: str  # where the files came from, for people


@dataclass(frozen=True)
class Loaded:
    """A model that is held in memory."""

    name: str
    device: Device
    source: str  # where its files came from, for people


@overload
def load(name: str, build: None = None, *, device: Device | None = None) -> Any: ...


@overload
def load(
    name: str, build: Callable[[Mapping[str, Any]], Model], *, device: Device | None = None
) -> Model: ...


def load(
    name: str, build: Callable[[Mapping[str, Any]], Any] | None = None, *, device: Device | None = None
) -> Any:
    """The checkpoint's model, ready for inference: built at the first call, the same object ever after.

    Callers that come while it is being built wait for that build and share its failure; a later call tries
    again. On ZeroGPU call this outside of the function that `aural.hub.device.gpu` decorates.

    Args:
        build: makes the model from the checkpoint's config, with any weights; None: what BUILDERS names.
        device: where the model is kept; None: `pick_device()`.

    Raises:
        CheckpointError: the files cannot be had, or do not fit the model that `build` makes.
    """
    device = device or pick_device()
    with _lock:
        future = _models.get((name, device))
        is_first = future is None
        if future is None:
            future = _models[name, device] = Future()
    if not future.done():
        for told in _told_of_loading:
            told()
    if is_first:
        try:
            checkpoint = resolve(name)
            model = _build(checkpoint, build or builder(name), device)
            future.set_result((model, Loaded(name, device, checkpoint.source)))
        except BaseException as error:
            with _lock:
                del _models[name, device]
            future.set_exception(error)
    return future.result()[0]


def tell_of_loading(told: Callable[[], None]) -> None:
    """Have a function called by whoever begins to wait for a model, in their thread."""
    _told_of_loading.append(told)


def builder(name: str) -> Callable[[Mapping[str, Any]], nn.Module]:
    """What builds a checkpoint's network from its config.

    Raises:
        CheckpointError: the table has no such name.
    """
    if name not in BUILDERS:
        raise CheckpointError(
            f"No network is known for the checkpoint {name!r}. Pass what builds it, or choose one of "
            f"{', '.join(BUILDERS)}."
        )
    module, _, function = BUILDERS[name].partition(":")
    return cast("Callable[[Mapping[str, Any]], nn.Module]", getattr(import_module(module), function))


def loaded() -> list[Loaded]:
    """The models that are held in memory."""
    with _lock:
        return [future.result()[1] for future in _models.values() if future.done()]


def resolve(name: str) -> Checkpoint:
    """The checkpoint's verified files.

    Where the Hub fails and the folder holds the same bytes, those are used; the log and the checkpoint's
    `source` say so.

    Raises:
        CheckpointError: the name is unknown, or no place has files that match the manifest.
    """
    entries = manifest.entries()
    if name not in entries:
        known = ", ".join(entries) or "none so far"
        raise CheckpointError(
            f"There is no checkpoint {name!r}. Choose one that the manifest lists ({known})."
        )
    entry = entries[name]
    repository = manifest.named_repository()
    failures: list[Unavailable] = []
    if repository:
        try:
            return _checkpoint(entry, manifest.fetch(entry, repository), f"{repository} at {entry.revision}")
        except Unavailable as failure:
            _log.warning("Checkpoint %r is not taken from the Hub: %s", name, failure)
            failures.append(failure)
    place = manifest.folder() / name
    source = f"{place}, since {failures[0].reason}" if failures else str(place)
    try:
        return _checkpoint(entry, manifest.folder_files(entry), source)
    except Unavailable as failure:
        failures.append(failure)
    reasons = ", and ".join(failure.reason for failure in failures)
    remedies = capitalized(", or ".join(failure.remedy for failure in failures))
    raise CheckpointError(f"The checkpoint {name!r} can't be used, because {reasons}. {remedies}.")


def prefetch() -> None:
    """Fetch what the Hub cache lacks of the checkpoints; for the app's start.

    Does nothing where AURAL_HUB_REPO names no repository, and asks the Hub nothing where all is cached. What
    cannot be had is told in the log; the first use of that checkpoint looks again, there and in the folder.
    """
    repository = manifest.named_repository()
    if not repository:
        return
    try:
        entries = manifest.entries()
    except CheckpointError as error:
        _log.warning("No checkpoint is fetched from the Hub: %s", error)
        return
    failures = 0
    for name, entry in entries.items():
        try:
            manifest.fetch(entry, repository)
        except Unavailable as failure:
            _log.warning("Checkpoint %r is not taken from the Hub: %s %s", name, failure, _instead(entry))
            # One that is not published says nothing about the Hub.
            failures += entry.revision is not None
            if failures == FAILURES:
                _log.warning("The Hub is asked no more until a checkpoint is used.")
                return
        else:
            failures = 0


def _instead(entry: Entry) -> str:
    """A sentence on what the folder has of it."""
    try:
        manifest.folder_files(entry)
    except Unavailable as failure:
        return f"Nor can it be had from the folder: {failure}"
    return f"It is used from {manifest.folder() / entry.name}."


def _checkpoint(entry: Entry, paths: Mapping[str, Path], source: str) -> Checkpoint:
    try:
        config = json.loads(paths["config.json"].read_text(encoding="utf-8"))
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise CheckpointError(
            f"config.json of the checkpoint {entry.name!r} is not a JSON object. Export the checkpoint again."
        )
    return Checkpoint(entry.name, MappingProxyType(config), paths["model.safetensors"], source)


def _build(checkpoint: Checkpoint, build: Callable[[Mapping[str, Any]], Model], device: Device) -> Model:
    try:
        model = build(checkpoint.config)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"config.json of the checkpoint {checkpoint.name!r} does not fit the model ({error!r}). "
            f"{SAME_VERSION}."
        ) from error
    model = load_weights(model, checkpoint.weights, f"the checkpoint {checkpoint.name!r}")
    return model.requires_grad_(False).to(device)


def load_weights(model: Model, path: Path, owner: str) -> Model:
    """The model itself with the weights of a safetensors file, strictly, ready for inference.

    Args:
        owner: whose weights they are, for messages.

    Raises:
        CheckpointError: the file can't be read, or has other weights than the model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"The weights of {owner} can't be read ({error}). Export them again."
        ) from error
    if differences := _differences(model.state_dict(), weights):
        raise CheckpointError(
            f"The weights of {owner} do not fit the model ({'; '.join(differences)}). {SAME_VERSION}."
        )
    model.load_state_dict(weights, strict=True)
    return model.eval()


def _differences(wanted: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> list[str]:
    """What sets the two apart, in a few words each; the first four, since one cause often has hundreds."""
    differences = [f"{name} is missing" for name in wanted if name not in found]
    differences += [f"{name} is not expected" for name in found if name not in wanted]
    differences += [
        f"{name} is {tuple(found[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in found and found[name].shape != tensor.shape
    ]
    return differences[:4] + [f"and {len(differences) - 4} more"] * (len(differences) > 4)
