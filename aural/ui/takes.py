"""Takes: earlier results and the visitor's own files, beside a page's latest result until one removes them.

The player has four slots. The recording and the latest result always have one; what is ticked takes the place
of what else the latest run made.
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
from aural.errors import shorten
from aural.files import SUFFIXES
from aural.ui.abplayer import MAX_VERSIONS, NoStubFile
from aural.ui.endpoints import report_errors
from aural.ui.fields import skip_checks
from aural.ui.memory import decoding
from aural.ui.players import ABPlayer, Version, playable
from aural.ui.run_state import Controls

MAX_PLAYED = MAX_VERSIONS - 2
MAX_TAKES = 20  # then the oldest gives way


class UploadButton(gr.UploadButton, metaclass=NoStubFile):
    """A button for files whose content counts, whatever a program calls them; see `uploads.File`."""

    def _process_single_file(self, f: FileData) -> NamedString:
        return NamedString(f.path)  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Made:
    """What a run gives to its page's player."""

    versions: tuple[Version, ...]  # the first is the recording, if there is one
    result: int = -1  # which of them is a take once there is another result


@dataclass(frozen=True)
class Take:
    """An earlier result, or a file of the visitor."""

    number: int  # unique on its page
    version: Version
    text: str  # in the list

    def is_stored(self) -> bool:
        """Whether its file has not been swept yet."""
        return Path(self.version.path).exists()


@dataclass(frozen=True)
class Takes:
    """What a page keeps from run to run."""

    made: Made | None = None  # by the latest run
    takes: tuple[Take, ...] = ()
    results: int = 0  # that have become takes so far
    count: int = 0  # takes so far, those that were removed too

    def add(self, version: Version, text: str) -> Takes:
        """With one more take."""
        take = Take(self.count, version, text)
        return replace(self, takes=(*self.takes, take)[-MAX_TAKES:], count=self.count + 1)

    def follow(self, made: Made | None, about: str) -> Takes:
        """After a run: the earlier result is a take now, unless the same run has made more.

        Args:
            about: file and settings of the earlier result.
        """
        if made is None:  # a new run begins; what it follows is still to be kept
            return self
        earlier = None if self.made is None else self.made.versions[self.made.result]
        if earlier is None or earlier.path in {version.path for version in made.versions}:
            return replace(self, made=made)
        title = f"Take {self.results + 1}"
        kept = self.add(replace(earlier, label=title), f"{title}: {about}" if about else title)
        return replace(kept, made=made, results=self.results + 1)

    def remove(self, numbers: Sequence[int]) -> Takes:
        """Without some takes."""
        return replace(self, takes=tuple(take for take in self.takes if take.number not in numbers))

    def played(self, made: Made | None, numbers: Sequence[int]) -> list[Version]:
        """What the player plays, with the takes of these numbers.

        >>> made = Made(tuple(Version(name, f"{name}.wav") for name in ("before", "enhanced", "mastered")))
        >>> takes = Takes().add(Version("take 1", "1.wav"), "").add(Version("take 2", "2.wav"), "")
        >>> [version.label for version in takes.played(made, [0, 1])]
        ['before', 'mastered', 'take 1', 'take 2']
        """
        kept = [take.version for take in self.takes if take.number in numbers]
        if made is None:
            return kept
        # The recording and the result, then the others in their order.
        places = range(len(made.versions))
        result = places[made.result]
        first = sorted(places, key=lambda place: (place not in (0, result), place != result, place))
        chosen = sorted(first[: MAX_VERSIONS - len(kept)])
        return [*(made.versions[place] for place in chosen), *kept]


def add_takes(at: Controls, player: ABPlayer, loudness_lufs: Callable[[Clip], float | None]) -> gr.State:
    """Add the list of takes below a player.

    Args:
        at: the page; call it before the page is wired.
        loudness_lufs: measures a visitor's file.

    Returns:
        a state for what a run has `Made`, or None; the player follows it.
    """
    made, kept = gr.State(), gr.State(Takes())
    about = gr.Textbox(visible=False)
    with gr.Column(elem_classes="aural-takes"):
        ticked = gr.CheckboxGroup(
            [],
            label="Earlier results and added files",
            info=f"Tick up to {MAX_PLAYED} to hear them in the player.",
            visible=False,
        )
        skip_checks(ticked)
        with gr.Row():
            add = UploadButton(
                "Add a version from a file",
                file_types=["audio", "video", *sorted(SUFFIXES)],
                type="filepath",
                size="sm",
                min_width=140,
            )
            remove = gr.Button("Remove ticked", size="sm", min_width=140, visible=False)
    private: dict[str, Any] = {"api_visibility": "private", "show_progress_on": player}
    state, shown = [made, kept, ticked], [kept, ticked, player, remove]
    js = f"(_, ...values) => [auralRuns.earlier('{at.name}'), ...values]"
    made.change(_follow, [about, *state], shown, js=js, **private)
    ticked.input(_show, state, shown, **private)
    add.upload(report_errors(partial(_add, loudness_lufs)), [add, *state], shown, **private)
    remove.click(_remove, state, shown, **private)
    return made


def _follow(about: str, made: Made | None, kept: Takes, ticked: list[int]) -> list[Any]:
    """A take more after a run; one of the same recording is played where there is room for it."""
    after = kept.follow(made, about)
    if made and kept.made and after.count > kept.count:
        recordings = {Path(one.versions[0].path).name for one in (made, kept.made)}
        if len(recordings) == 1 and len(made.versions) + len(ticked) < MAX_VERSIONS:
            ticked = [*ticked, after.count - 1]
    return _show(made, after, ticked)


def _add(
    loudness_lufs: Callable[[Clip], float | None],
    path: str,
    made: Made | None,
    kept: Takes,
    ticked: list[int],
) -> Any:
    """A file of the visitor, which is played."""
    with decoding(path):
        loudness = loudness_lufs(read(path))
    name = shorten(Path(path).stem)
    after = kept.add(Version(name, playable(path), loudness), name)
    yield _show(made, after, [*ticked, after.count - 1])


def _remove(made: Made | None, kept: Takes, ticked: list[int]) -> list[Any]:
    return _show(made, kept.remove(ticked), [])


def _show(made: Made | None, kept: Takes, ticked: list[int]) -> list[Any]:
    """The updates of the state, the list, the player and the button. The last ticked are played."""
    kept = kept.remove([take.number for take in kept.takes if not take.is_stored()])
    numbers = [take.number for take in kept.takes]
    ticked = [number for number in ticked if number in numbers][-MAX_PLAYED:]
    choices = [(take.text, take.number) for take in reversed(kept.takes)]
    return [
        kept,
        gr.CheckboxGroup(choices=choices, value=ticked, visible=bool(choices)),
        kept.played(made, ticked) or None,
        gr.Button(visible=bool(choices), interactive=bool(ticked)),
    ]
