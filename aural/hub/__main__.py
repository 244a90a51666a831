"""Checkpoints to the Hub and from there: `python -m aural.hub push | pull | list`.

With `--repo OWNER/NAME` all checkpoints lie in one repository, which the app reads; with `--models` each has
a repository of its own, from which other programs load it by `from_pretrained`.

A push uploads what matches the manifest and pins the manifest to the commit that this made; a pull fetches
what the manifest pins into the Hub cache. The last step is the user's: to commit the manifest.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from aural.errors import AuralError, OptionError
from aural.hub import manifest
from aural.hub.download import Unavailable
from aural.hub.manifest import OWNER
from aural.hub.publish import Upload, megabytes, preload, prepare, prepare_model, push, push_model

MODELS_HELP = f"a repository for each model, owned by AURAL_HUB_OWNER ({OWNER})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0: done, 1: a failure, told in one sentence on stderr; 2: it was called wrongly."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except AuralError as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m aural.hub",
        description="Bring the checkpoints to the Hugging Face Hub and from there.",
    )
    commands = parser.add_subparsers(required=True, metavar="push | pull | list")
    command = commands.add_parser("push", help="upload the checkpoints and pin the manifest to that commit")
    command.add_argument("names", nargs="*", metavar="NAME", help="of --models; all of them if none is named")
    places = command.add_mutually_exclusive_group(required=True)
    places.add_argument("--repo", type=_repository, metavar="OWNER/NAME", help="one repository for all")
    places.add_argument("--models", action="store_true", help=MODELS_HELP)
    command.add_argument("--private", action="store_true", help="make the repository a private one")
    command.add_argument("--dry-run", action="store_true", help="check the files and list them, no more")
    command.set_defaults(run=_run_push)
    command = commands.add_parser("pull", help="fetch checkpoints at their pinned revisions, and verify them")
    command.add_argument("names", nargs="*", metavar="NAME", help="checkpoints; all of them if none is named")
    places = command.add_mutually_exclusive_group()
    places.add_argument("--repo", type=_repository, metavar="OWNER/NAME", help="instead of AURAL_HUB_REPO")
    places.add_argument("--models", action="store_true", help=MODELS_HELP)
    command.set_defaults(run=_run_pull)
    command = commands.add_parser("list", help="name, size, licence and revision of each, and where it is")
    command.add_argument("--models", action="store_true", help=MODELS_HELP)
    command.set_defaults(run=_run_list)
    return parser


def _repository(text: str) -> str:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(text)
    except HFValidationError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no repository. Write it as owner/name") from error
    if "/" not in text:
        raise argparse.ArgumentTypeError(f"{text!r} lacks its owner. Write it as owner/name")
    return text


def _run_push(options: argparse.Namespace) -> int:
    if options.models:
        return _push_models(_chosen(options.names), options)
    if options.names:
        raise OptionError("--repo takes all checkpoints. Leave out the names, or write --models.")
    if options.dry_run:
        with TemporaryDirectory() as folder:
            _print_upload(prepare(options.repo, Path(folder)))
        return 0
    done = push(options.repo, private=options.private)
    print(f"{_files(done.upload)} lie at {done.url} in revision {done.revision}.")
    path = manifest.folder() / "manifest.json"
    if done.pinned:
        print(f"{path} now pins {', '.join(done.pinned)} to it. Commit that:")
        print(f'git commit -m "Pin the checkpoints to their Hub revision" {os.path.relpath(path)}')
    else:
        print(f"{path} pins them to it already: there is nothing to commit.")
    print(
        "A Space that sets AURAL_HUB_REPO can have them from its start, by this in its README's front matter:"
    )
    print(f"preload_from_hub:\n  - {preload(options.repo, done.upload.entries, done.revision)}")
    return 0


def _push_models(names: Sequence[str], options: argparse.Namespace) -> int:
    """Each model to its own repository."""
    for name in names:
        if options.dry_run:
            with TemporaryDirectory() as folder:
                _print_upload(prepare_model(name, Path(folder)))
            continue
        done = push_model(name, private=options.private)
        print(f"{_files(done.upload)} lie at {done.url} in revision {done.revision}.")
        if done.pinned:
            print(f"{manifest.folder() / 'manifest.json'} now pins {name} to it. Commit that.")
    return 0


def _print_upload(upload: Upload) -> None:
    for file, size in upload.files.items():
        print(f"{size / 1e6:9.3f} MB  {file}")
    print(f"{_files(upload)} would go to {upload.repository}; nothing was sent or changed.")


def _chosen(names: Sequence[str]) -> list[str]:
    """The named checkpoints, or all. Raises `OptionError` for an unknown one."""
    entries = manifest.entries()
    if unknown := [name for name in names if name not in entries]:
        raise OptionError(f"There is no checkpoint {unknown[0]!r}. Choose from {', '.join(entries)}.")
    return list(names or entries)


def _files(upload: Upload) -> str:
    return f"{len(upload.files)} files, {sum(upload.files.values()) / 1e6:.1f} MB,"


def _run_pull(options: argparse.Namespace) -> int:
    repository = options.repo or manifest.named_repository()
    if not (repository or options.models):
        raise OptionError(
            "No Hub repository is named. Add --repo owner/name, or set AURAL_HUB_REPO to owner/name."
        )
    names, entries = _chosen(options.names), manifest.entries()
    failed = 0
    for name in names:
        place = manifest.own_repository(name) if options.models else repository
        try:
            paths = manifest.fetch(entries[name], place)
        except Unavailable as failure:
            print(f"The checkpoint {name!r} cannot be fetched, because {failure}", file=sys.stderr)
            failed += 1
        else:
            print(f"{name}: {paths['model.safetensors'].parent}")
    return 1 if failed else 0


def _run_list(options: argparse.Namespace) -> int:
    rows = [("name", "MB", "licence", "revision", "repository" if options.models else "comes from")]
    for entry in manifest.entries().values():
        place, paths = _place(entry)
        revision = entry.revision
        if options.models:
            place, revision = manifest.own_repository(entry.name), entry.model_revision
        size = megabytes(paths) if paths else "?"
        rows.append((entry.name, size, entry.licence, (revision or "not published")[:13], place))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for name, size, licence, revision, place in rows:
        cells = (name.ljust(widths[0]), size.rjust(widths[1]), licence.ljust(widths[2]))
        print("  ".join((*cells, revision.ljust(widths[3]), place)))
    return 0


def _place(entry: manifest.Entry) -> tuple[str, list[Path]]:
    """Where a load would take the checkpoint from, in words, and those of its files that are here."""
    repository = manifest.named_repository()
    doubt = ""
    if repository:
        try:
            paths = manifest.cached_files(entry, repository)
        except Unavailable as failure:
            doubt = f", since {failure.reason}"
        else:
            if len(paths) == len(entry.sha256):
                return f"the Hub cache ({repository})", list(paths.values())
            return f"{repository}, which is asked when it is used", []
    try:
        return f"{manifest.folder() / entry.name}{doubt}", list(manifest.folder_files(entry).values())
    except Unavailable as failure:
        return f"nowhere, since {failure.reason}", []


if __name__ == "__main__":
    sys.exit(main())
