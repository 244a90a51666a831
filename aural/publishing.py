"""Checkpoints to the Hub and from there: `python -m aural.hub push | pull | list`.

A push uploads what matches the manifest and pins the manifest to the commit that this made; a pull fetches
what the manifest pins into the Hub cache. The last step is the user's: to commit the manifest.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aural import hub
from aural.download import Unavailable
from aural.errors import AuralError, CheckpointError, OptionError

CARD = "README.md"
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
    entries: Mapping[str, hub.Entry]  # the checkpoints, by name


@dataclass(frozen=True)
class Pushed:
    """What a push has done."""

    upload: Upload
    url: str  # of the repository
    revision: str  # commit in the repository that holds these bytes
    pinned: tuple[str, ...]  # checkpoints whose revision in the manifest has changed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0: done, 1: a failure, told in one sentence on stderr; 2: it was called wrongly."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except AuralError as error:
        print(error, file=sys.stderr)
        return 1


def prepare(repository: str, staging: Path) -> Upload:
    """Lay out in an empty folder what the repository is to hold, each file checked as it lies there.

    Raises:
        CheckpointError: a checkpoint lacks its card, or has bytes that are not the manifest's.
    """
    entries = hub.manifest()
    for name, entry in entries.items():
        source = hub.folder() / name
        for file in (CARD, *entry.sha256):
            if not (source / file).is_file():
                raise CheckpointError(
                    f"The checkpoint {name!r} has no {file} in {source}, so nothing is sent: put it there."
                )
        (staging / name).mkdir()
        for path in sorted(source.iterdir()):
            if path.is_file() and not path.name.startswith("."):
                shutil.copyfile(path, staging / name / path.name)
        if damaged := hub.differing(entry, {file: staging / name / file for file in entry.sha256}):
            raise CheckpointError(
                f"The sha256 of {source / damaged[0]} is not the manifest's, so nothing is uploaded: "
                "restore that file with `git checkout`, or export the checkpoint again."
            )
    # Its own revision is what no commit can hold: with that of an earlier one each push would be a change.
    document = {
        name: {"licence": entry.licence, "revision": None, "sha256": dict(entry.sha256)}
        for name, entry in entries.items()
    }
    _write_json(staging / "manifest.json", document)
    (staging / CARD).write_text(_card(repository, entries, staging), encoding="utf-8")
    files = {
        path.relative_to(staging).as_posix(): path.stat().st_size
        for path in sorted(staging.rglob("*"))
        if path.is_file()
    }
    return Upload(repository, files, entries)


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


def pin(entries: Iterable[hub.Entry], revision: str) -> tuple[str, ...]:
    """Write a revision into the manifest, for those entries whose bytes it still names.

    Returns:
        the names of the checkpoints whose revision this changed.
    """
    path = hub.folder() / "manifest.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    changed = []
    for entry in entries:
        fields = document.get(entry.name, {})
        if fields.get("sha256") == dict(entry.sha256) and fields["revision"] != revision:
            fields["revision"] = revision
            changed.append(entry.name)
    if changed:
        _write_json(path, document)
    return tuple(changed)


def preload(repository: str, entries: Mapping[str, hub.Entry], revision: str) -> str:
    """The line under `preload_from_hub` by which a Space gets the files into its Hub cache as it is built."""
    files = ",".join(f"{name}/{file}" for name, entry in entries.items() for file in entry.sha256)
    return f"{repository} {files} {revision}"


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Replace the file at once, so that nobody reads half of it."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    part.replace(path)


def _card(repository: str, entries: Mapping[str, hub.Entry], staging: Path) -> str:
    """The card of the whole repository, from the manifest and the checkpoints' own cards."""
    from huggingface_hub import ModelCardData

    licences = sorted({entry.licence for entry in entries.values()})
    data = ModelCardData(
        license=licences[0].lower() if len(licences) == 1 else "other",
        license_name=None if len(licences) == 1 else "as-each-checkpoint-says",
        license_link=None if len(licences) == 1 else f"https://huggingface.co/{repository}#licences",
        library_name="aural",
        pipeline_tag="audio-to-audio",
        tags=TAGS,
    )
    rows = [
        f"| [{name}]({name}/{CARD}) | {_summary(staging / name / CARD)} "
        f"| {_megabytes(staging / name / file for file in entry.sha256)} | {entry.licence} |"
        for name, entry in entries.items()
    ]
    return BODY.format(front_matter=data.to_yaml(), rows="\n".join(rows), repository=repository)


def _summary(card: Path) -> str:
    """The first sentence below the card's title."""
    paragraphs = [text for text in card.read_text(encoding="utf-8").split("\n\n") if not text.startswith("#")]
    sentence = " ".join(paragraphs[0].split()).split(". ")[0] if paragraphs else ""
    return sentence.removesuffix(".").replace("|", "\\|")


def _megabytes(paths: Iterable[Path]) -> str:
    return f"{sum(path.stat().st_size for path in paths) / 1e6:.1f}"


def _upload(repository: str, staging: Path, private: bool) -> tuple[str, str]:
    """Bring the folder to the Hub; the repository's address, and the commit that holds it."""
    from huggingface_hub import HfApi, constants, get_token

    if constants.HF_HUB_OFFLINE:
        raise CheckpointError("HF_HUB_OFFLINE is set, so nothing can be uploaded: unset it.")
    if get_token() is None:
        raise CheckpointError(
            f"No token says who you are: run `hf auth login`, or set HF_TOKEN to a token that may write to "
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
            f"The checkpoints cannot be uploaded to {constants.ENDPOINT} ({detail}): "
            "check the connection, then push again."
        )
    status = error.response.status_code
    if status in (401, 403, 404):
        return (
            f"The Hub does not let this token write to {repository} (it answered {status}): run "
            "`hf auth login` with a token that has write access, or name a repository of your own."
        )
    return f"{constants.ENDPOINT} answered {status} for {repository}: try again later."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m aural.hub",
        description="Bring the checkpoints to the Hugging Face Hub and from there.",
    )
    commands = parser.add_subparsers(required=True, metavar="push | pull | list")
    command = commands.add_parser("push", help="upload the checkpoints and pin the manifest to that commit")
    command.add_argument("--repo", type=_repository, required=True, metavar="OWNER/NAME")
    command.add_argument("--private", action="store_true", help="make the repository a private one")
    command.add_argument("--dry-run", action="store_true", help="check the files and list them, no more")
    command.set_defaults(run=_run_push)
    command = commands.add_parser("pull", help="fetch checkpoints at their pinned revisions, and verify them")
    command.add_argument("names", nargs="*", metavar="NAME", help="checkpoints; all of them if none is named")
    command.add_argument("--repo", type=_repository, metavar="OWNER/NAME", help="instead of AURAL_HUB_REPO")
    command.set_defaults(run=_run_pull)
    command = commands.add_parser("list", help="name, size, licence and revision of each, and where it is")
    command.set_defaults(run=_run_list)
    return parser


def _repository(text: str) -> str:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(text)
    except HFValidationError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no repository: write it as owner/name") from error
    if "/" not in text:
        raise argparse.ArgumentTypeError(f"{text!r} lacks its owner: write it as owner/name")
    return text


def _run_push(options: argparse.Namespace) -> int:
    if options.dry_run:
        with TemporaryDirectory() as folder:
            upload = prepare(options.repo, Path(folder))
        for file, size in upload.files.items():
            print(f"{size / 1e6:9.3f} MB  {file}")
        print(f"{_files(upload)} would go to {options.repo}; nothing was sent or changed.")
        return 0
    done = push(options.repo, private=options.private)
    print(f"{_files(done.upload)} lie at {done.url} in revision {done.revision}.")
    manifest = hub.folder() / "manifest.json"
    if done.pinned:
        print(f"{manifest} now pins {', '.join(done.pinned)} to it. Commit that:")
        print(f'git commit -m "Pin the checkpoints to their Hub revision" {os.path.relpath(manifest)}')
    else:
        print(f"{manifest} pins them to it already: there is nothing to commit.")
    print(
        "A Space that sets AURAL_HUB_REPO can have them from its start, by this in its README's front matter:"
    )
    print(f"preload_from_hub:\n  - {preload(options.repo, done.upload.entries, done.revision)}")
    return 0


def _files(upload: Upload) -> str:
    return f"{len(upload.files)} files, {sum(upload.files.values()) / 1e6:.1f} MB,"


def _run_pull(options: argparse.Namespace) -> int:
    repository = options.repo or hub.named_repository()
    if not repository:
        raise OptionError(
            "No Hub repository is named: add --repo owner/name, or set AURAL_HUB_REPO to owner/name."
        )
    entries = hub.manifest()
    if unknown := [name for name in options.names if name not in entries]:
        raise OptionError(f"There is no checkpoint {unknown[0]!r}: choose from {', '.join(entries)}.")
    failed = 0
    for name in options.names or entries:
        try:
            paths = hub.fetch(entries[name], repository)
        except Unavailable as failure:
            print(f"The checkpoint {name!r} cannot be fetched, because {failure}", file=sys.stderr)
            failed += 1
        else:
            print(f"{name}: {paths['model.safetensors'].parent}")
    return 1 if failed else 0


def _run_list(_: argparse.Namespace) -> int:
    rows = [("name", "MB", "licence", "revision", "comes from")]
    for entry in hub.manifest().values():
        place, paths = _place(entry)
        size = _megabytes(paths) if paths else "?"
        rows.append((entry.name, size, entry.licence, (entry.revision or "not published")[:13], place))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for name, size, licence, revision, place in rows:
        cells = (name.ljust(widths[0]), size.rjust(widths[1]), licence.ljust(widths[2]))
        print("  ".join((*cells, revision.ljust(widths[3]), place)))
    return 0


def _place(entry: hub.Entry) -> tuple[str, list[Path]]:
    """Where a load would take the checkpoint from, in words, and those of its files that are here."""
    repository = hub.named_repository()
    doubt = ""
    if repository:
        try:
            paths = hub.cached_files(entry, repository)
        except Unavailable as failure:
            doubt = f", since {failure.reason}"
        else:
            if len(paths) == len(entry.sha256):
                return f"the Hub cache ({repository})", list(paths.values())
            return f"{repository}, which is asked when it is used", []
    try:
        return f"{hub.folder() / entry.name}{doubt}", list(hub.folder_files(entry).values())
    except Unavailable as failure:
        return f"nowhere, since {failure.reason}", []
