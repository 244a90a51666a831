"""Versions that stay in a player from run to run: earlier results, and files of the visitor.

The player has four slots. The first version of a run, which is the recording, and the last, its result,
always have one; what was kept takes the place of what lies between them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData
from gradio.utils import NamedString

from aural.audio import Clip, read
from aural.errors import InputError, shorten
from aural.files import SUFFIXES
from aural.ui.abplayer import MAX_VERSIONS, NoStubFile
from aural.ui.endpoints import Updates, report_errors
from aural.ui.memory import decoding
from aural.ui.players import ABPlayer, Version, playable

MAX_KEPT = MAX_VERSIONS - 2
NO_RESULT = "There is no result to keep yet. Run it first."


class UploadButton(gr.UploadButton, metaclass=NoStubFile):
    """A button for files whose content counts, whatever a program calls them; see `uploads.File`."""

    def _process_single_file(self, f: FileData) -> NamedString:
        return NamedString(f.path)  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Kept:
    """What stays in a player."""

    versions: tuple[Version, ...] = ()
    takes: int = 0  # results kept so far, those too that had to give way

    def add(self, version: Version) -> Kept:
        """With one more; the oldest gives way."""
        return replace(self, versions=(*self.versions, version)[-MAX_KEPT:])


def combine(versions: Sequence[Version] | None, kept: Kept) -> list[Version] | None:
    """What the player plays of a run's versions and those that were kept.

    >>> made = [Version(name, f"{name}.wav") for name in ("before", "enhanced", "mastered")]
    >>> kept = Kept((Version("take 1", "1.wav"), Version("take 2", "2.wav")))
    >>> [version.label for version in combine(made, kept)]
    ['before', 'mastered', 'take 1', 'take 2']
    """
    made = list(versions or ())
    left = MAX_VERSIONS - len(kept.versions)
    if len(made) > left:
        made = [*made[: left - 1], made[-1]]
    both = [*made, *kept.versions]
    return both if len(both) > 1 else None


def add_takes(player: ABPlayer, loudness_lufs: Callable[[Clip], float | None]) -> gr.State:
    """Add the buttons below a player, which keep versions in it.

    Args:
        loudness_lufs: measures a visitor's file.

    Returns:
        a state for the versions of a run, of which the last is the result; the player follows it.
    """
    made, kept = gr.State(), gr.State(Kept())
    with gr.Row(elem_classes="aural-takes"):
        keep = gr.Button("Keep this result to compare", size="sm", min_width=140)
        add = UploadButton(
            "Add a version from a file",
            file_types=["audio", "video", *sorted(SUFFIXES)],
            type="filepath",
            size="sm",
            min_width=140,
        )
        clear = gr.Button("Remove what was kept", size="sm", min_width=140, interactive=False)
    private: dict[str, Any] = {"api_visibility": "private", "show_progress_on": player}
    keep.click(_keep, [made, kept], kept, **private)
    add.upload(report_errors(partial(_add, loudness_lufs)), [add, kept], kept, **private)
    clear.click(lambda: Kept(), None, kept, **private)
    gr.on(
        [made.change, kept.change],
        lambda versions, held: [combine(versions, held), gr.Button(interactive=bool(held.versions))],
        [made, kept],
        [player, clear],
        **private,
    )
    return made


@report_errors
def _keep(versions: Sequence[Version] | None, kept: Kept) -> Updates:
    """The result of the latest run as a take."""
    if not versions:
        raise InputError(NO_RESULT)
    number = kept.takes + 1
    yield replace(kept.add(replace(versions[-1], label=f"Take {number}")), takes=number)


def _add(loudness_lufs: Callable[[Clip], float | None], path: str, kept: Kept) -> Updates:
    """A file of the visitor."""
    with decoding(path):
        loudness = loudness_lufs(read(path))
    yield kept.add(Version(shorten(Path(path).stem), playable(path), loudness))
