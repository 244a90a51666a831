"""What the manifest pins of each checkpoint, and its files: verified in the Hub cache, or in the folder.

The files come from the Hub repository that AURAL_HUB_REPO names, out of the Hub cache where they are cached,
else from `checkpoints/<name>/`, which an installed package has as `aural/_checkpoints`. AURAL_CHECKPOINTS
names another folder. The folder's `manifest.json` pins the revision and the sha256 of each file, so every
place gives the same bytes or none.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from aural.errors import CheckpointError
from aural.hub.download import TIMEOUT_SECONDS, Unavailable, download

OWNER = "aural-audio"  # of the models' own repositories on the Hub, unless AURAL_HUB_OWNER names another
PACKAGED = "_checkpoints"  # in an installed aural/: the folder where pyproject.toml puts checkpoints/


@dataclass(frozen=True)
class Entry:
    """What the manifest says of a checkpoint."""

    name: str
    revision: str | None  # commit or tag in the Hub repository; None: not published there
    licence: str
    sha256: Mapping[str, str]  # file name -> hexadecimal digest
    model_revision: str | None = None  # commit in the model's own repository; None: not published there

    def where(self, repository: str) -> tuple[str, str | None]:
        """The prefix of its files in a Hub repository, and the pinned revision there.

        >>> Entry("lisa", "5e", "CC0-1.0", {}, "7f").where("someone/aural")
        ('lisa/', '5e')
        >>> Entry("lisa", "5e", "CC0-1.0", {}, "7f").where(own_repository("lisa"))
        ('', '7f')
        """
        is_own = repository == own_repository(self.name)
        return ("", self.model_revision) if is_own else (f"{self.name}/", self.revision)


def entries() -> dict[str, Entry]:
    """The checkpoints that this version of AURAL knows, by name.

    Raises:
        CheckpointError: the manifest is missing or malformed.
    """
    path = folder() / "manifest.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(
            f"{path} can't be read ({error.strerror}). Restore it with `git checkout`."
        ) from error
    except ValueError as error:
        raise CheckpointError(f"{path} is not JSON ({error}). Restore it with `git checkout`.") from error
    if not isinstance(document, dict):
        raise CheckpointError(
            f"{path} must hold one object per checkpoint name. Restore it with `git checkout`."
        )
    return {name: _entry(name, fields, path) for name, fields in document.items()}


def _entry(name: str, fields: object, path: Path) -> Entry:
    match fields:
        case {
            "revision": str() | None as revision,
            "licence": str(licence),
            "sha256": {"config.json": str(config), "model.safetensors": str(weights)},
            **others,
        }:
            digests = {"config.json": config, "model.safetensors": weights}
            own = others.get("model_revision")
            return Entry(name, revision, licence, MappingProxyType(digests), str(own) if own else None)
    raise CheckpointError(
        f"{path} lacks the revision, the licence or a sha256 of {name!r}. Restore it with `git checkout`."
    )


def named_repository() -> str:
    """The Hub repository that AURAL_HUB_REPO names; empty: none."""
    return os.environ.get("AURAL_HUB_REPO", "").strip()


def own_repository(name: str) -> str:
    """The Hub repository of one model alone, under the owner that AURAL_HUB_OWNER names."""
    return f"{os.environ.get('AURAL_HUB_OWNER', '').strip() or OWNER}/{name}"


def folder() -> Path:
    """The folder of the checkpoints and their manifest: the named one, the package's, or the repository's."""
    if named := os.environ.get("AURAL_CHECKPOINTS"):
        return Path(named)
    packaged = Path(__file__).parents[1] / PACKAGED
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "checkpoints"


def fetch(entry: Entry, repository: str) -> dict[str, Path]:
    """The files in the Hub cache, those that are missing or damaged there fetched once; file name -> path.

    Raises:
        Unavailable: the Hub fails, or has not the files that the manifest names.
    """
    from huggingface_hub import constants

    prefix, revision = _pinned(entry, repository)
    paths = cached_files(entry, repository)
    damaged = differing(entry, paths)
    # file in the repository -> whether a damaged one in the cache is to be replaced
    wanted = {
        f"{prefix}{file}": file in damaged for file in entry.sha256 if file in damaged or file not in paths
    }
    if not wanted:
        return paths
    cache = Path(constants.HF_HUB_CACHE)
    fetched = download(repository, revision, wanted, cache=cache, timeout_seconds=TIMEOUT_SECONDS)
    paths |= {remote.removeprefix(prefix): path for remote, path in fetched.items()}
    poisoned = differing(entry, paths)
    for file in poisoned:
        # Other programs read this cache too: leave them nothing that we would not use ourselves.
        paths[file].resolve().unlink(missing_ok=True)
        paths[file].unlink(missing_ok=True)
    if poisoned:
        raise Unavailable(
            f"{repository} sent a {prefix}{poisoned[0]} whose sha256 is not the manifest's",
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
    prefix, revision = _pinned(entry, repository)
    for file in entry.sha256:
        try:
            path = try_to_load_from_cache(repository, f"{prefix}{file}", revision=revision)
        except HFValidationError as error:
            raise Unavailable(f"AURAL_HUB_REPO is {repository!r}", "write it as owner/name") from error
        if isinstance(path, str):
            paths[file] = Path(path)
    return paths


def _pinned(entry: Entry, repository: str) -> tuple[str, str]:
    """As `Entry.where`, for a checkpoint that is published."""
    prefix, revision = entry.where(repository)
    if revision is None:
        raise Unavailable(
            "the manifest names no revision on the Hub", "push it first, or unset AURAL_HUB_REPO"
        )
    return prefix, revision


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
        raise Unavailable(f"{error.filename} can't be read ({error.strerror})", remedy) from error
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
