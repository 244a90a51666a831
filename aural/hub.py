"""Checkpoint name -> verified files -> built model.

The files come from the Hub repository that AURAL_HUB_REPO names, out of the Hub cache where they are cached,
else from `checkpoints/<name>/` (AURAL_CHECKPOINTS names another folder than `checkpoints`). The folder's
`manifest.json` pins the revision and the sha256 of each file, so every place gives the same bytes or none.
`python -m aural.hub` brings them to the Hub and from there: see `aural.publishing`.
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
from aural.download import PATIENCE_SECONDS, Progress, Unavailable, download_all
from aural.errors import CheckpointError

if TYPE_CHECKING:
    import torch
    from torch import nn

Model = TypeVar("Model", bound="nn.Module")

FAILURES = 2  # after which `prefetch` asks no more: one may lie in a file, two in a row lie in the Hub

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
    repository = named_repository()
    failures: list[Unavailable] = []
    if repository:
        try:
            return _checkpoint(entry, fetch(entry, repository), f"{repository} at {entry.revision}")
        except Unavailable as failure:
            _log.warning("Checkpoint %r is not taken from the Hub: %s", name, failure)
            failures.append(failure)
    place = folder() / name
    source = f"{place}, since {failures[0].reason}" if failures else str(place)
    try:
        return _checkpoint(entry, folder_files(entry), source)
    except Unavailable as failure:
        failures.append(failure)
    reasons = ", and ".join(failure.reason for failure in failures)
    remedies = ", or ".join(failure.remedy for failure in failures)
    raise CheckpointError(f"The checkpoint {name!r} cannot be used, because {reasons}: {remedies}.")


def prefetch(progress: Progress | None = None) -> None:
    """Fetch what the Hub cache lacks of the checkpoints; for the app's start.

    Does nothing where AURAL_HUB_REPO names no repository, and asks the Hub nothing where all is cached. What
    cannot be had is told in the log; the first use of that checkpoint looks again, there and in the folder.

    Args:
        progress: told of the bytes as they come; None: a bar for each file on stderr.
    """
    repository = named_repository()
    if not repository:
        return
    try:
        entries = manifest()
    except CheckpointError as error:
        _log.warning("No checkpoint is fetched from the Hub: %s", error)
        return
    failures = 0
    for name, entry in entries.items():
        try:
            fetch(entry, repository, progress)
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
        folder_files(entry)
    except Unavailable as failure:
        return f"Nor can it be had from the folder: {failure}"
    return f"It is used from {folder() / entry.name}."


def manifest() -> dict[str, Entry]:
    """The checkpoints that this version of AURAL knows, by name.

    Raises:
        CheckpointError: the manifest is missing or malformed.
    """
    path = folder() / "manifest.json"
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


def named_repository() -> str:
    """The Hub repository that AURAL_HUB_REPO names; empty: none."""
    return os.environ.get("AURAL_HUB_REPO", "").strip()


def folder() -> Path:
    """The folder of the checkpoints and their manifest."""
    return Path(os.environ.get("AURAL_CHECKPOINTS") or Path(__file__).parents[1] / "checkpoints")


def fetch(entry: Entry, repository: str, progress: Progress | None = None) -> dict[str, Path]:
    """The files in the Hub cache, those that are missing or damaged there fetched once; file name -> path.

    Args:
        progress: told of the bytes as they come; None: a bar for each file on stderr.

    Raises:
        Unavailable: the Hub fails, or has not the files that the manifest names.
    """
    from huggingface_hub import constants

    revision = _revision(entry)
    paths = cached_files(entry, repository)
    damaged = differing(entry, paths)
    # file in the repository -> whether a damaged one in the cache is to be replaced
    wanted = {
        f"{entry.name}/{file}": file in damaged
        for file in entry.sha256
        if file in damaged or file not in paths
    }
    if not wanted:
        return paths
    fetched = download_all(
        repository,
        revision,
        wanted,
        cache=Path(constants.HF_HUB_CACHE),
        patience_seconds=PATIENCE_SECONDS,
        progress=progress,
    )
    paths |= {remote.removeprefix(f"{entry.name}/"): path for remote, path in fetched.items()}
    poisoned = differing(entry, paths)
    for file in poisoned:
        # Other programs read this cache too: leave them nothing that we would not use ourselves.
        paths[file].resolve().unlink(missing_ok=True)
        paths[file].unlink(missing_ok=True)
    if poisoned:
        raise Unavailable(
            f"{repository} sent a {entry.name}/{poisoned[0]} whose sha256 is not the manifest's",
            "check AURAL_HUB_REPO and the revision in the manifest",
        )
    return paths


def cached_files(entry: Entry, repository: str) -> dict[str, Path]:
    """Those of the files that lie in the Hub cache, sound or not, without a request; file name -> path.

    Raises:
        Unavailable: the repository cannot have such a name, or the checkpoint is not published.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    paths = {}
    for file in entry.sha256:
        try:
            path = try_to_load_from_cache(repository, f"{entry.name}/{file}", revision=_revision(entry))
        except HFValidationError as error:
            raise Unavailable(f"AURAL_HUB_REPO is {repository!r}", "write it as owner/name") from error
        if isinstance(path, str):
            paths[file] = Path(path)
    return paths


def _revision(entry: Entry) -> str:
    if entry.revision is None:
        raise Unavailable(
            "the manifest names no revision on the Hub", "push it first, or unset AURAL_HUB_REPO"
        )
    return entry.revision


def folder_files(entry: Entry) -> dict[str, Path]:
    """The files in the checkpoint's folder; file name -> path.

    Raises:
        Unavailable: one is missing, or is not the one that the manifest names.
    """
    remedy = "restore that file with `git checkout` or `git lfs pull`"
    paths = {file: folder() / entry.name / file for file in entry.sha256}
    try:
        damaged = differing(entry, paths)
    except OSError as error:
        raise Unavailable(f"{error.filename} cannot be read ({error.strerror})", remedy) from error
    if damaged:
        raise Unavailable(f"the sha256 of {paths[damaged[0]]} is not the manifest's", remedy)
    return paths


def differing(entry: Entry, paths: Mapping[str, Path]) -> list[str]:
    """Those of the files whose bytes are not the ones that the manifest names; paths: file name -> path."""
    return [file for file, path in paths.items() if _sha256(path) != entry.sha256[file]]


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


if __name__ == "__main__":
    import sys

    from aural.publishing import main

    sys.exit(main())
