"""Checkpoint name -> verified files -> built model.

The files come from the Hub repository that AURAL_HUB_REPO names, out of the Hub cache where they are cached,
else from `checkpoints/<name>/` (AURAL_CHECKPOINTS names another folder than `checkpoints`). The folder's
`manifest.json` pins the revision and the sha256 of each file, so every place gives the same bytes or none.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from aural.device import Device, pick_device
from aural.download import PATIENCE_SECONDS, Unavailable, download
from aural.errors import CheckpointError

if TYPE_CHECKING:
    import torch
    from torch import nn

Model = TypeVar("Model", bound="nn.Module")

_log = logging.getLogger(__name__)
_lock = threading.Lock()  # guards _models; never held while something loads
_models: dict[tuple[str, Device], Future[tuple[nn.Module, Loaded]]] = {}


@dataclass(frozen=True)
class Entry:
    """What the manifest says of a checkpoint."""

    name: str
    revision: str | None  # commit or tag in the Hub repository; None: not published there
    licence: str
    sha256: Mapping[str, str]  # file name -> hexadecimal digest


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


def load(name: str, build: Callable[[Mapping[str, Any]], Model], *, device: Device | None = None) -> Model:
    """The checkpoint's model, ready for inference: built at the first call, the same object ever after.

    Callers that come while it is being built wait for that build and share its failure; a later call tries
    again. On ZeroGPU call this outside of the function that `aural.device.gpu` decorates.

    Args:
        build: makes the model from the checkpoint's config, with any weights.
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
    if is_first:
        try:
            checkpoint = resolve(name)
            model = _build(checkpoint, build, device)
            future.set_result((model, Loaded(name, device, checkpoint.source)))
        except BaseException as error:
            with _lock:
                del _models[name, device]
            future.set_exception(error)
    return cast(Model, future.result()[0])


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
    entries = manifest()
    if name not in entries:
        known = ", ".join(entries) or "none so far"
        raise CheckpointError(
            f"There is no checkpoint {name!r}: choose one that the manifest lists ({known})."
        )
    entry = entries[name]
    repository = os.environ.get("AURAL_HUB_REPO", "").strip()
    failures: list[Unavailable] = []
    if repository:
        try:
            return _checkpoint(entry, _files_of_hub(entry, repository), f"{repository} at {entry.revision}")
        except Unavailable as failure:
            _log.warning("Checkpoint %r is not taken from the Hub: %s", name, failure)
            failures.append(failure)
    folder = _folder() / name
    source = f"{folder}, since {failures[0].reason}" if failures else str(folder)
    try:
        return _checkpoint(entry, _files_of_folder(entry, folder), source)
    except Unavailable as failure:
        failures.append(failure)
    reasons = ", and ".join(failure.reason for failure in failures)
    remedies = ", or ".join(failure.remedy for failure in failures)
    raise CheckpointError(f"The checkpoint {name!r} cannot be used, because {reasons}: {remedies}.")


def manifest() -> dict[str, Entry]:
    """The checkpoints that this version of AURAL knows, by name.

    Raises:
        CheckpointError: the manifest is missing or malformed.
    """
    path = _folder() / "manifest.json"
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read ({error.strerror}): restore it with `git checkout`."
        ) from error
    except ValueError as error:
        raise CheckpointError(f"{path} is not JSON ({error}): restore it with `git checkout`.") from error
    if not isinstance(entries, dict):
        raise CheckpointError(
            f"{path} must hold one object per checkpoint name: restore it with `git checkout`."
        )
    return {name: _entry(name, fields, path) for name, fields in entries.items()}


def _entry(name: str, fields: object, path: Path) -> Entry:
    match fields:
        case {
            "revision": str() | None as revision,
            "licence": str(licence),
            "sha256": {"config.json": str(config), "model.safetensors": str(weights)},
        }:
            digests = {"config.json": config, "model.safetensors": weights}
            return Entry(name, revision, licence, MappingProxyType(digests))
    raise CheckpointError(
        f"{path} lacks the revision, the licence or a sha256 of {name!r}: restore it with `git checkout`."
    )


def _folder() -> Path:
    return Path(os.environ.get("AURAL_CHECKPOINTS") or Path(__file__).parents[1] / "checkpoints")


def _files_of_hub(entry: Entry, repository: str) -> dict[str, Path]:
    """The files in the Hub cache, those that are missing or damaged there fetched once; file name -> path."""
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    if entry.revision is None:
        raise Unavailable("the manifest names no revision on the Hub", "unset AURAL_HUB_REPO")
    paths = {}
    for file, digest in entry.sha256.items():
        remote = f"{entry.name}/{file}"
        try:
            cached = try_to_load_from_cache(repository, remote, revision=entry.revision)
        except HFValidationError as error:
            raise Unavailable(f"AURAL_HUB_REPO is {repository!r}", "write it as owner/name") from error
        path = Path(cached) if isinstance(cached, str) else None
        if path is None or _sha256(path) != digest:
            path = download(
                repository,
                entry.revision,
                remote,
                cache=Path(constants.HF_HUB_CACHE),
                force=path is not None,
                patience_seconds=PATIENCE_SECONDS,
            )
            if _sha256(path) != digest:
                # Other programs read this cache too: leave them nothing that we would not use ourselves.
                path.resolve().unlink()
                path.unlink(missing_ok=True)
                raise Unavailable(
                    f"{repository} sent a {remote} whose sha256 is not the manifest's",
                    "check AURAL_HUB_REPO and the revision in the manifest",
                )
        paths[file] = path
    return paths


def _files_of_folder(entry: Entry, folder: Path) -> dict[str, Path]:
    """The files in the checkpoint's folder; file name -> path."""
    remedy = "restore that file with `git checkout` or `git lfs pull`"
    paths = {file: folder / file for file in entry.sha256}
    for file, path in paths.items():
        try:
            matches = _sha256(path) == entry.sha256[file]
        except OSError as error:
            raise Unavailable(f"{path} cannot be read ({error.strerror})", remedy) from error
        if not matches:
            raise Unavailable(f"the sha256 of {path} is not the manifest's", remedy)
    return paths


def _sha256(path: Path) -> str:
    """The file's digest; hashed once per process while its size and time stay."""
    status = path.stat()
    return _hash(path, status.st_size, status.st_mtime_ns)


@cache
def _hash(path: Path, _size: int, _modified_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checkpoint(entry: Entry, paths: Mapping[str, Path], source: str) -> Checkpoint:
    try:
        config = json.loads(paths["config.json"].read_text(encoding="utf-8"))
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise CheckpointError(
            f"config.json of the checkpoint {entry.name!r} is not a JSON object: export the checkpoint again."
        )
    return Checkpoint(entry.name, MappingProxyType(config), paths["model.safetensors"], source)


def _build(checkpoint: Checkpoint, build: Callable[[Mapping[str, Any]], Model], device: Device) -> Model:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    same_version = "take AURAL and its checkpoints from the same version"
    try:
        model = build(checkpoint.config)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"config.json of the checkpoint {checkpoint.name!r} does not fit the model ({error!r}): "
            f"{same_version}."
        ) from error
    try:
        weights = load_file(checkpoint.weights)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"The weights of the checkpoint {checkpoint.name!r} cannot be read ({error}): export them again."
        ) from error
    if differences := _differences(model.state_dict(), weights):
        raise CheckpointError(
            f"The weights of the checkpoint {checkpoint.name!r} do not fit the model "
            f"({'; '.join(differences)}): {same_version}."
        )
    model.load_state_dict(weights, strict=True)
    return model.eval().requires_grad_(False).to(device)


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
