"""One verb for HARP, which brings a Gradio app into REAPER, Logic and Live: `python -m aural.harp enhance`.

HARP (https://github.com/TEAMuP-dev/HARP) expects one model per address, with three endpoints:

- `/controls` returns {"card": {...}, "inputs": [...], "outputs": [...]}: what the model is, its tracks and
  its controls, each with a type, a label and a help text;
- `/process` takes the values of the inputs in that order, and returns a file for each output track, and
  labels on its time line;
- `/cancel` ends the run.

It calls them without a session, by `/gradio_api/call/`, so a cancel ends all runs of the address that sends
it. Of a drop-down it sends the text that its user sees. This follows pyharp 0.3, which is not needed here.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from aural.files import own_folder

# Before Gradio is imported: nothing about visitors is sent elsewhere, and files lie in a folder of our own.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("GRADIO_TEMP_DIR", own_folder("aural"))

import gradio as gr
from starlette.middleware import Middleware

from aural.audio import LIMITS
from aural.audio.steps import Steps
from aural.batch.job import Done, run_steps
from aural.enhancement.tab import PRESET_NAMES
from aural.enhancement.verb import ENHANCE
from aural.errors import AuralError, InputError, OptionError
from aural.hub.device import check_setting
from aural.loudness.targets import TARGETS
from aural.loudness.verb import MASTER
from aural.options import Verb
from aural.superres.tab import METHOD_NAMES, PRESET_RATES
from aural.superres.verb import SUPER_RESOLVE
from aural.ui import fetch, memory, server, storage
from aural.ui.endpoints import NO_AUDIO, endpoint, follow, with_options
from aural.ui.gate import Gate, address_of
from aural.ui.players import Audio, audio_input

AUTHOR = "AURAL"
LOSSLESS = (".wav", ".flac")  # a track in one of these formats is returned in it, any other as WAV
MAX_WAITING = 4  # runs that wait; further ones are refused
CANCELLED = "Cancelled."
Kind = Literal["dropdown", "slider", "toggle"]


@dataclass(frozen=True)
class Control:
    """A setting as HARP shows it."""

    setting: str  # of the verb's options
    kind: Kind
    label: str
    info: str
    value: Any  # as the user sees it
    # Of a drop-down: what the user sees -> the setting.
    meanings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    minimum: float = 0.0
    maximum: float = 1.0
    step: float = 0.05

    def setting_of(self, value: Any) -> Any:
        """The setting's value. Raises `OptionError` for a text that is not among the choices."""
        if self.kind != "dropdown":
            return value
        if value not in self.meanings:
            raise OptionError(f"{self.label} must be one of {', '.join(self.meanings)}.")
        return self.meanings[value]

    def component(self) -> gr.components.Component:
        """The control on the page."""
        if self.kind == "dropdown":
            return gr.Dropdown(list(self.meanings), value=self.value, label=self.label, info=self.info)
        if self.kind == "slider":
            return gr.Slider(
                self.minimum, self.maximum, self.value, step=self.step, label=self.label, info=self.info
            )
        return gr.Checkbox(self.value, label=self.label, info=self.info)

    def described(self) -> dict[str, Any]:
        """The control for HARP."""
        told = {"type": self.kind, "label": self.label, "info": self.info, "value": self.value}
        if self.kind == "dropdown":
            # Pairs of text and value, as Gradio has them.
            return {**told, "choices": [[text, text] for text in self.meanings], "multiselect": False}
        if self.kind == "slider":
            return {**told, "minimum": self.minimum, "maximum": self.maximum, "step": self.step}
        return told


@dataclass(frozen=True)
class Model:
    """A verb as HARP shows it."""

    verb: Verb
    name: str
    tags: tuple[str, ...]  # by pyharp's taxonomy
    controls: tuple[Control, ...]

    def described(self) -> dict[str, Any]:
        """What `/controls` returns."""
        track = {"type": "audio_track", "required": True}
        return {
            "card": {
                "name": self.name,
                "author": AUTHOR,
                "description": self.verb.help,
                "tags": [*self.tags, "input:audio", "output:audio", "output:labels"],
            },
            "inputs": [
                {**track, "label": "Recording", "info": "The region to process."},
                *(control.described() for control in self.controls),
            ],
            "outputs": [
                {**track, "label": "Result", "info": "As long as the recording."},
                {"type": "json", "label": "Report", "info": "What was found and changed."},
            ],
        }


def _dropdown(setting: str, label: str, info: str, meanings: Mapping[str, Any]) -> Control:
    """A drop-down whose first choice is chosen."""
    return Control(setting, "dropdown", label, info, next(iter(meanings)), MappingProxyType(dict(meanings)))


MODELS: Mapping[str, Model] = MappingProxyType(
    {
        "enhance": Model(
            ENHANCE,
            "AURAL Enhance",
            (
                "category:enhancement",
                "subcategory:denoising",
                "subcategory:dereverberation",
                "subcategory:restoration",
                "sample-rate:48000",
                "speech",
            ),
            (
                _dropdown(
                    "preset",
                    "Preset",
                    "Restore only repairs; the others also add EQ, compression and loudness.",
                    {text: name for name, text in PRESET_NAMES.items()},
                ),
                Control("strength", "slider", "Strength", "0 = no change.", 1.0),
                Control(
                    "completion", "toggle", "Completion", "Reconstructs the highs the phone cut off.", True
                ),
            ),
        ),
        "super_resolve": Model(
            SUPER_RESOLVE,
            "AURAL Super-resolution",
            ("category:enhancement", "subcategory:bandwidth-extension", "speech", "music"),
            (
                _dropdown(
                    "rate",
                    "Target sample rate",
                    "Automatic: 48 kHz, or the region's own rate if higher.",
                    {"Automatic": None, **{f"{rate / 1000:g} kHz": rate for rate in PRESET_RATES}},
                ),
                _dropdown(
                    "method",
                    "Method",
                    "AURAL generates the missing highs; sinc only resamples.",
                    {text: name for name, text in METHOD_NAMES.items()},
                ),
            ),
        ),
        "master": Model(
            MASTER,
            "AURAL Master",
            ("category:production", "subcategory:post-processing", "loudness", "mastering"),
            (
                _dropdown(
                    "target",
                    "Target",
                    "Where the file will be played.",
                    {target.name: name for name, target in TARGETS.items()},
                ),
                Control(
                    "limiter",
                    "toggle",
                    "Limiter",
                    "When off, only the gain changes, so the target may not be reached.",
                    True,
                ),
                Control(
                    "control_range",
                    "toggle",
                    "Range control",
                    "Reduce the difference between quiet and loud passages.",
                    False,
                ),
            ),
        ),
    }
)


def build(name: str) -> gr.Blocks:
    """The app of one model, not yet launched.

    Args:
        name: a key of `MODELS`.

    Raises:
        AuralError: its files cannot be stored, or the device is missing; the sentence is for the operator.
    """
    check_setting()
    model = MODELS[name]
    storage.open_folder()
    runs = _Runs()
    demo: gr.Blocks
    with gr.Blocks(title=model.name) as demo:
        gr.Markdown(f"# {model.name}\n\n{model.verb.help} Load this page's address in HARP as a custom path.")
        recording = audio_input("Recording")
        controls = [control.component() for control in model.controls]
        process = gr.Button("Process", variant="primary")
        cancel = gr.Button("Cancel")
        result = Audio(type="filepath", label="Result", interactive=False)
        report = gr.JSON(label="Report")
        show = gr.Button(visible=False)
        show.click(model.described, None, gr.JSON(visible=False), api_name="controls", queue=False)
        run = process.click(
            _processing(model, runs), [recording, *controls], [result, report], api_name="process"
        )
        cancel.click(_cancelling(runs), None, None, api_name="cancel", cancels=[run], queue=False)
    demo.queue(max_size=MAX_WAITING, default_concurrency_limit=1, api_open=False)
    return demo


class _Runs:
    """The runs under way, by the address that asked for them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flags: dict[str, set[threading.Event]] = {}

    def start(self, address: str) -> threading.Event:
        """A flag that is set when the run is to end."""
        flag = threading.Event()
        with self._lock:
            self._flags.setdefault(address, set()).add(flag)
        return flag

    def end(self, address: str, flag: threading.Event) -> None:
        with self._lock:
            self._flags[address].discard(flag)

    def cancel(self, address: str) -> None:
        with self._lock:
            for flag in self._flags.get(address, ()):
                flag.set()


def _processing(model: Model, runs: _Runs) -> Callable[..., Iterator[Any]]:
    """The function behind `/process`."""

    @endpoint(model.verb)
    @with_options(model.verb.options)
    def process(audio: str | None, flag: Any, progress: gr.Progress, options: Any) -> Iterator[Any]:
        if not audio:
            raise InputError(NO_AUDIO)
        source = Path(audio)
        suffix = source.suffix.lower() if source.suffix.lower() in LOSSLESS else LOSSLESS[0]
        assert model.verb.ending is not None
        output = Path(storage.result_path(audio, model.verb.ending)).with_suffix(suffix)
        steps = _until(flag, run_steps(model.verb.name, source, output, options))
        done = yield from follow(steps, progress, model.name)
        yield str(done.output), _labels(done)

    def process_for(
        request: gr.Request, progress: gr.Progress = gr.Progress(), *values: Any
    ) -> Iterator[Any]:
        audio, *settings = values
        address = _address(request)
        flag = runs.start(address)
        try:
            chosen = {
                control.setting: control.setting_of(value)
                for control, value in zip(model.controls, settings, strict=True)
            }
            yield from process(audio=audio, flag=flag, progress=progress, **chosen)
        except OptionError as error:
            raise gr.Error(str(error), print_exception=False) from None
        finally:
            runs.end(address, flag)

    return process_for


def _cancelling(runs: _Runs) -> Callable[[gr.Request], None]:
    """The function behind `/cancel`."""

    def cancel(request: gr.Request) -> None:
        runs.cancel(_address(request))

    return cancel


def _address(request: gr.Request) -> str:
    """Who asks, as the gate tells it."""
    return address_of({"client": (request.client.host, 0)} if request.client else {})


def _until(flag: threading.Event, steps: Steps[Done]) -> Steps[Done]:
    """The steps, up to where the flag is set."""
    try:
        while True:
            try:
                share = next(steps)
            except StopIteration as end:
                done: Done = end.value
                return done
            if flag.is_set():
                raise InputError(CANCELLED)
            yield share
    finally:
        steps.close()


def _labels(done: Done) -> dict[str, Any]:
    """The report as a label at the start of the track, which HARP shows."""
    loudness = done.row["integrated_lufs"]
    return {
        "meta": {"_type": "pyharp.LabelList"},
        "labels": [
            {
                "label_type": "AudioLabel",
                "t": 0.0,
                "label": "silent" if loudness is None else f"{loudness:.1f} LUFS",
                "duration": 0.0,
                "description": done.row["message"],
                "color": 0,
                "link": None,
                "amplitude": None,
            }
        ],
    }


def launch(demo: gr.Blocks, **settings: Any) -> None:
    """Serve the app behind AURAL's gate; settings are those of `gr.Blocks.launch`."""
    fetch.install()
    server.install(demo)
    storage.start(demo)
    memory.start()
    demo.launch(
        max_file_size=LIMITS.file_bytes,
        show_error=True,  # HARP shows the reason
        ssr_mode=False,
        _frontend=False,
        enable_monitoring=False,
        app_kwargs={"middleware": [Middleware(Gate, demo=demo)], "lifespan": storage.lifespan},
        **settings,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve one verb; 1: it cannot start, told in one sentence on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m aural.harp", description="Serve a verb for HARP, which brings it into a DAW."
    )
    parser.add_argument("verb", choices=[name.replace("_", "-") for name in MODELS])
    parser.add_argument("--host", default=None, help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=7861, help="port to listen on (7861)")
    given = parser.parse_args(arguments)
    try:
        launch(build(given.verb.replace("-", "_")), server_name=given.host, server_port=given.port)
    except (AuralError, OSError) as error:
        print(f"AURAL can't start. {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
