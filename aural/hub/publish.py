"""Checkpoints to the Hub: uploaded, and the manifest pinned to them.

A push uploads what matches the manifest and pins the manifest to the commit that this made; a pull fetches
what the manifest pins into the Hub cache. The last step is the user's: to commit the manifest.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aural.errors import CheckpointError
from aural.files import write_then_rename
from aural.hub import BUILDERS, PIPELINES, manifest
from aural.hub.cards import CARD, DESCRIPTIONS, LIBRARY, model_card

# Fields of the manifest: the revision in the repository of all checkpoints, and in a model's own.
SHARED, OWN = "revision", "model_revision"
PIPELINE_INDEX = "model_index.json"  # where diffusers looks for the parts of a pipeline
TAGS = ["audio", "speech-enhancement", "audio-super-resolution", "audio-generation", "vocoder"]
BODY = """---
{front_matter}
---

# AURAL: checkpoints

The models of AURAL, an app that masters, enhances, super-resolves and makes sound. Each folder has a
`config.json`, the weights as `model.safetensors`, and a card with data, training and figures.

| checkpoint | what it does | MB | licence |
| --- | --- | --- | --- |
{rows}

## Use

AURAL takes them from here where its environment says so, at the revision that its manifest pins:

```sh
AURAL_HUB_REPO={repository} make app
.venv/bin/python -m aural.hub pull --repo {repository}   # the same files, ahead of time
```

`manifest.json` has the sha256 of each file; AURAL loads no file that differs from it.

## Licences

Each checkpoint has the licence that the table names; it follows from the data it was trained on, which its
card lists.
"""


@dataclass(frozen=True)
class Upload:
    """What a push brings to the Hub."""

    repository: str  # owner/name
    files: Mapping[str, int]  # path in the repository -> bytes
    entries: Mapping[str, manifest.Entry]  # the checkpoints, by name


@dataclass(frozen=True)
class Pushed:
    """What a push has done."""

    upload: Upload
    url: str  # of the repository
    revision: str  # commit in the repository that holds these bytes
    pinned: tuple[str, ...]  # checkpoints whose revision in the manifest has changed


def prepare(repository: str, staging: Path) -> Upload:
    """Lay out in an empty folder what the repository is to hold, each file checked as it lies there.

    Raises:
        CheckpointError: a checkpoint lacks its card, or has bytes that are not the manifest's.
    """
    entries = manifest.entries()
    for name, entry in entries.items():
        (staging / name).mkdir()
        _stage(entry, staging / name)
    # Its own revision is what no commit can hold: with that of an earlier one each push would be a change.
    document = {
        name: {"licence": entry.licence, "revision": None, "sha256": dict(entry.sha256)}
        for name, entry in entries.items()
    }
    _write_json(staging / "manifest.json", document)
    (staging / CARD).write_text(_card(repository, entries, staging), encoding="utf-8")
    return Upload(repository, _sizes(staging), entries)


def prepare_model(name: str, staging: Path) -> Upload:
    """Lay out in an empty folder what a model's own repository is to hold, each file checked there.

    Raises:
        CheckpointError: the checkpoint lacks its card, or has bytes that are not the manifest's.
    """
    entry = manifest.entries()[name]
    repository = manifest.own_repository(name)
    _stage(entry, staging)
    if name in PIPELINES:
        _add_pipeline(name, staging)
    (staging / CARD).write_text(model_card(entry, repository, manifest.folder() / name), encoding="utf-8")
    return Upload(repository, _sizes(staging), {name: entry})


def _stage(entry: manifest.Entry, staging: Path) -> None:
    """Copy the files of a checkpoint's folder and check them."""
    source = manifest.folder() / entry.name
    for file in (CARD, *entry.sha256):
        if not (source / file).is_file():
            raise CheckpointError(
                f"The checkpoint {entry.name!r} has no {file} in {source}, so nothing is sent. Put it there."
            )
    for path in sorted(source.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            shutil.copyfile(path, staging / path.name)
    if damaged := manifest.differing(entry, {file: staging / file for file in entry.sha256}):
        raise CheckpointError(
            f"The sha256 of {source / damaged[0]} is not the manifest's, so nothing is uploaded: "
            "restore that file with `git checkout`, or export the checkpoint again."
        )


def _add_pipeline(name: str, staging: Path) -> None:
    """Lay out a checkpoint as a diffusers pipeline too: its parts, `model_index.json` and `pipeline.py`.

    diffusers imports what is not its own from files of the repository; these import it from AURAL.
    """
    network = getattr(import_module(BUILDERS[name].partition(":")[0]), DESCRIPTIONS[name].network)
    module, _, pipeline = PIPELINES[name].partition(":")
    getattr(import_module(module), pipeline).of(network.from_pretrained(staging).half()).save_pretrained(
        staging
    )
    _write_import(staging / "pipeline.py", module, pipeline)
    index = json.loads((staging / PIPELINE_INDEX).read_text(encoding="utf-8"))
    for part, place in index.items():
        if isinstance(place, list) and str(place[0]).startswith("aural."):
            _write_import(staging / part / f"{part}.py", *place)
            index[part] = [part, place[1]]
    _write_json(staging / PIPELINE_INDEX, index)


def _write_import(path: Path, module: str, name: str) -> None:
    path.write_text(f'from {module} import {name}\n\n__all__ = ["{name}"]\n', encoding="utf-8")


def _sizes(staging: Path) -> dict[str, int]:
    """The bytes of each file below a folder."""
    return {
        path.relative_to(staging).as_posix(): path.stat().st_size
        for path in sorted(staging.rglob("*"))
        if path.is_file()
    }


def push(repository: str, *, private: bool = False) -> Pushed:
    """Upload the checkpoints with their cards in one commit, and pin the manifest to it.

    Args:
        repository: "owner/name" of a model repository, made where it does not exist.
        private: make it a private one.

    Raises:
        CheckpointError: a file is damaged or missing, or the Hub does not take them.
    """
    with TemporaryDirectory() as folder:
        upload = prepare(repository, Path(folder))
        url, revision = _upload(repository, Path(folder), private)
    return Pushed(upload, url, revision, pin(upload.entries.values(), revision))


def push_model(name: str, *, private: bool = False) -> Pushed:
    """Upload one checkpoint to a repository of its own in one commit, and pin the manifest to it.

    Args:
        private: make the repository a private one.

    Raises:
        CheckpointError: a file is damaged or missing, or the Hub does not take them.
    """
    with TemporaryDirectory() as folder:
        upload = prepare_model(name, Path(folder))
        url, revision = _upload(upload.repository, Path(folder), private)
    return Pushed(upload, url, revision, pin(upload.entries.values(), revision, OWN))


def pin(entries: Iterable[manifest.Entry], revision: str, field: str = SHARED) -> tuple[str, ...]:
    """Write a revision into the manifest, for those entries whose bytes it still names.

    Args:
        field: `SHARED` or `OWN`.

    Returns:
        the names of the checkpoints whose revision this changed.
    """
    path = manifest.folder() / "manifest.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    changed = []
    for entry in entries:
        fields = document.get(entry.name, {})
        if fields.get("sha256") == dict(entry.sha256) and fields.get(field) != revision:
            fields[field] = revision
            changed.append(entry.name)
    if changed:
        _write_json(path, document)
    return tuple(changed)


def preload(repository: str, entries: Mapping[str, manifest.Entry], revision: str) -> str:
    """The line under `preload_from_hub` by which a Space gets the files into its Hub cache as it is built."""
    files = ",".join(f"{name}/{file}" for name, entry in entries.items() for file in entry.sha256)
    return f"{repository} {files} {revision}"


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Replace the file at once, so that nobody reads half of it."""
    with write_then_rename(path) as temporary:
        temporary.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _card(repository: str, entries: Mapping[str, manifest.Entry], staging: Path) -> str:
    """The card of the whole repository, from the manifest and the checkpoints' own cards."""
    from huggingface_hub import ModelCardData

    licences = sorted({entry.licence for entry in entries.values()})
    data = ModelCardData(
        license=licences[0].lower() if len(licences) == 1 else "other",
        license_name=None if len(licences) == 1 else "as-each-checkpoint-says",
        license_link=None if len(licences) == 1 else f"https://huggingface.co/{repository}#licences",
        library_name=LIBRARY,
        pipeline_tag="audio-to-audio",
        tags=TAGS,
    )
    rows = [
        f"| [{name}]({name}/{CARD}) | {_summary(staging / name / CARD)} "
        f"| {megabytes(staging / name / file for file in entry.sha256)} | {entry.licence} |"
        for name, entry in entries.items()
    ]
    return BODY.format(front_matter=data.to_yaml(), rows="\n".join(rows), repository=repository)


def _summary(card: Path) -> str:
    """The first sentence below the card's title."""
    paragraphs = [text for text in card.read_text(encoding="utf-8").split("\n\n") if not text.startswith("#")]
    sentence = " ".join(paragraphs[0].split()).split(". ")[0] if paragraphs else ""
    return sentence.removesuffix(".").replace("|", "\\|")


def megabytes(paths: Iterable[Path]) -> str:
    """How much the files take together, in words."""
    return f"{sum(path.stat().st_size for path in paths) / 1e6:.1f}"


def _upload(repository: str, staging: Path, private: bool) -> tuple[str, str]:
    """Bring the folder to the Hub; the repository's address, and the commit that holds it."""
    from huggingface_hub import HfApi, constants, get_token

    if constants.HF_HUB_OFFLINE:
        raise CheckpointError("HF_HUB_OFFLINE is set, so nothing can be uploaded. Unset it.")
    if get_token() is None:
        raise CheckpointError(
            f"No token says who you are. Run `hf auth login`, or set HF_TOKEN to a token that may write to "
            f"{repository}."
        )
    api = HfApi(endpoint=constants.ENDPOINT)
    try:
        url = api.create_repo(repository, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository, folder_path=staging, commit_message="Upload AURAL's checkpoints"
        )
    except Exception as error:  # of the library, its HTTP client or its uploader: there is no common base
        raise CheckpointError(_reason(error, repository)) from error
    return str(url), commit.oid


def _reason(error: Exception, repository: str) -> str:
    """Why the Hub did not take the files, and what to do."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError

    if not isinstance(error, HfHubHTTPError):
        cause = error.__cause__ or error
        detail = (str(cause) or type(cause).__name__).strip().splitlines()[0]
        return (
            f"The checkpoints cannot be uploaded to {constants.ENDPOINT} ({detail}). "
            "Check the connection, then push again."
        )
    status = error.response.status_code
    if status in (401, 403, 404):
        return (
            f"The Hub does not let this token write to {repository} (it answered {status}). Run "
            "`hf auth login` with a token that has write access, or name a repository of your own."
        )
    return f"{constants.ENDPOINT} answered {status} for {repository}. Try again later."
