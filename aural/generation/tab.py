"""The Generate tab: one to eight sounds of a class; or an uploaded sound varied, filled, extended, looped."""

from __future__ import annotations

import html
import random
import zipfile
from collections.abc import Generator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from numpy.typing import NDArray

from aural.audio import read, read_tags, wav_encoding, write
from aural.generation import clap, pipeline, search
from aural.generation.classes import CLASSES, GROUPS, title, with_article
from aural.generation.loop import Options as LoopOptions
from aural.generation.loop import loop as make_loop
from aural.generation.verb import GENERATE, LOOP
from aural.loudness.meter import loudness_lufs
from aural.options import Place
from aural.ui import plots, run_state
from aural.ui.abplayer import MAX_VERSIONS
from aural.ui.downloads import FORMATS, download_buttons, encode
from aural.ui.endpoints import Updates, add_notes, endpoint, follow, load, with_options
from aural.ui.fields import NOTHING, PAGE_VALUES, picture, slider
from aural.ui.page import Page, Tab, View, page, result_file, show_estimate, wire
from aural.ui.players import ABPlayer, Audio, Version, audio_input
from aural.ui.send_to import SendTo, send_buttons
from aural.ui.storage import result_path
from aural.ui.takes import Made, add_takes
from aural.ui.theme import ACCENT_ON_DARK

PREVIEWS = 8  # pictures of the spectrogram while it is generated
PREVIEW_SCALE = 0.5  # relative size, because it is drawn and sent during the run
MESSAGE_HEIGHT = 64  # pixels: room for the progress bar

GROUP_NAMES = ("Animals", "Nature", "People", "Home", "City")  # in the order of GROUPS, short for a phone
# Selects the text of a dropdown on focus, so that typing replaces the current choice. Releasing the mouse
# would undo the selection.
SELECT_ALL = """() => {
  const field = document.activeElement;
  field.addEventListener("mouseup", (event) => event.preventDefault(), { once: true });
  field.select();
}"""

SAMPLER_NAMES = {"dpm++": "DPM-Solver++", "unipc": "UniPC", "ddim": "DDIM"}
VOCODER_NAMES = {"vocoder": "Neural vocoder", "griffin_lim": "Griffin-Lim"}

NO_DOWNLOADS = [gr.update(value=None, interactive=False)] * (len(FORMATS) + 1)  # one more for videos
DEFAULTS = pipeline.Options(label="dog")

CSS = Path(__file__).with_suffix(".css").read_text(encoding="utf-8")

# A few more sounds than asked for, of which the page shows the best first.
CANDIDATES = "generate-candidates"
PAGE_VALUES[CANDIDATES] = 2


def build(places: Sequence[Place]) -> Tab:
    """Add the tab to the Blocks being built.

    Args:
        places: the tabs that results can be sent to.
    """
    with gr.Tab("Generate", id="generate"):
        with gr.Row():
            source, at, sends = _sound_section(places)
        with gr.Accordion("Make a loop of your own sound", open=False), gr.Row():
            loop_page, send_loop = _loop_section(places)
    return Tab(GENERATE.place.id, source, [at, loop_page], [*sends, send_loop])


def _sound_section(places: Sequence[Place]) -> tuple[gr.Audio, Page, list[SendTo]]:
    """Sounds of a class, or from a source sound, whose field comes first."""
    with gr.Column(scale=2, min_width=320):
        label, description = _class_picker()
        count = slider(DEFAULTS.count, 1, pipeline.MAX_CLIPS, 1, "Count", "Number of variations.")
        candidates = slider(
            DEFAULTS.candidates,
            1,
            pipeline.MAX_CANDIDATES,
            1,
            "Candidates",
            "Sounds made for each variation; the best are shown first. More takes longer.",
        )
        candidates.elem_id = CANDIDATES
        shape = _shape_section()
        source, strength, gap_start, gap_end = _source_section()
        others, seed = _advanced_section()
    with gr.Column(scale=5, min_width=320):
        at, sends = _result_section(
            places,
            {
                "label": label,
                "count": count,
                "strength": strength,
                "gap_start_seconds": gap_start,
                "gap_end_seconds": gap_end,
                "seed": seed,
                **others,
                **shape,
                "candidates": candidates,
                "description": description,
            },
            source,
        )
    return source, at, sends


def _class_picker() -> tuple[gr.Dropdown, gr.Textbox]:
    """The class: by a description, by a dropdown of all, or by a group, which shows ten at a time."""
    description = gr.Textbox(
        DEFAULTS.description or "",
        label="Describe a sound",
        placeholder="puppy, broken glass, small dog far away",
        max_length=search.MAX_CHARACTERS,
    )
    found = gr.HTML(elem_classes="aural-found", container=False)
    label = gr.Dropdown(
        [(title(name), name) for name in CLASSES],
        value=DEFAULTS.label,
        label="Sound",
        info="One of 50. Type to search, or pick below.",
    )
    private: dict[str, Any] = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
    # At every letter, so that a click on the run button finds the class set; `input` misses what is pasted.
    description.change(find, description, [label, found], trigger_mode="always_last", **private)
    label.focus(None, js=SELECT_ALL, api_visibility="private", queue=False)
    first = next(iter(GROUPS))
    group = gr.Radio(
        list(zip(GROUP_NAMES, GROUPS, strict=True)), value=first, label="Group", elem_classes="aural-groups"
    )
    chips = gr.Dataset(
        components=[label], samples=_samples(first), label="Sounds in this group", type="values"
    )
    surprise = gr.Button("Surprise me", size="sm")
    group.change(
        lambda name: gr.Dataset(samples=_samples(name)), group, chips, api_visibility="private", queue=False
    )
    chips.click(lambda sample: [sample[0], "", ""], chips, [label, description, found], **private)
    surprise.click(lambda: [random.choice(CLASSES), "", ""], None, [label, description, found], **private)
    label.input(lambda: ["", ""], None, [description, found], **private)
    return label, description


def find(description: str | None) -> tuple[Any, str]:
    """The class that a description means, and what was found by what."""
    if not description or not description.strip():
        return gr.skip(), ""
    found = search.find(description, clap=clap.ready())
    label = found.matches[0].label if found.matches else gr.skip()
    return label, f'<p role="status">{html.escape(found.message)}</p>'


def _samples(group: str) -> list[list[str]]:
    return [[name] for name in GROUPS[group]]


def _shape_section() -> dict[str, gr.components.Component]:
    """What makes another sound of the class, by the names of the options: a loop, or a blend of two."""
    loop = gr.Checkbox(DEFAULTS.loop, label="Loop", info="The end continues seamlessly at the start.")
    morph = gr.Dropdown(
        [("None", NOTHING), *((title(name), name) for name in CLASSES)],
        value=DEFAULTS.morph or NOTHING,
        label="Morph with",
        info="Blends in a second class.",
    )
    morph.focus(None, js=SELECT_ALL, api_visibility="private", queue=False)
    morph_share = slider(
        DEFAULTS.morph_share, 0, 1, 0.05, "Morph amount", "0 = first class only, 1 = second class only."
    )
    return {"loop": loop, "morph": morph, "morph_share": morph_share}


def _source_section() -> tuple[gr.Audio, gr.Slider, gr.Number, gr.Number]:
    with gr.Accordion("From a sound", open=False):
        gr.Markdown(
            "Start from your own sound, up to 10 s: it is **varied** towards the class above. "
            "Set a gap to **fill** only that part. A gap that ends after the sound **extends** it."
        )
        source = audio_input("Source sound")
        strength = slider(
            DEFAULTS.strength,
            0.05,
            1,
            0.05,
            "Strength",
            "Low stays close to your sound; 1 ignores it.",
        )
        with gr.Row():
            gap_start = gr.Number(None, label="Gap start, s", info="Empty: no gap.", min_width=120)
            gap_end = gr.Number(None, label="Gap end, s", info="Up to 10.", min_width=120)
    return source, strength, gap_start, gap_end


def _advanced_section() -> tuple[dict[str, gr.components.Component], gr.Number]:
    """All other settings by the names of their options, and the seed."""
    with gr.Accordion("Advanced", open=False):
        seed = gr.Number(None, label="Seed", info="The same seed gives the same sound. Empty: random.")
        seconds = slider(
            DEFAULTS.seconds,
            0.5,
            pipeline.MAX_SECONDS,
            0.5,
            "Duration, s",
            "Works best at 5 s.",
        )
        steps = slider(DEFAULTS.steps, 1, 100, 1, "Steps", "Denoising steps. More is finer and slower.")
        guidance = slider(
            DEFAULTS.guidance,
            1,
            10,
            0.05,
            "Guidance",
            "1 = off. Higher follows the class more closely, with less variety.",
        )
        sampler = gr.Radio(
            [(name, key) for key, name in SAMPLER_NAMES.items()],
            value=DEFAULTS.sampler,
            label="Sampler",
            info="Solver for the denoising steps.",
        )
        vocoder = gr.Radio(
            [(name, key) for key, name in VOCODER_NAMES.items()],
            value=DEFAULTS.vocoder,
            label="Vocoder",
            info="Turns the spectrogram into sound.",
        )
    others: dict[str, gr.components.Component] = {
        "seconds": seconds,
        "steps": steps,
        "guidance": guidance,
        "sampler": sampler,
        "vocoder": vocoder,
    }
    return others, seed


def _result_section(
    places: Sequence[Place], settings: dict[str, gr.components.Component], source: gr.Audio
) -> tuple[Page, list[SendTo]]:
    at = page(GENERATE.name, "Generate", settings)
    show_estimate(
        at, GENERATE, {name: settings[name] for name in ("count", "candidates", "seconds", "steps")}
    )
    message = gr.Markdown(min_height=1)
    emerging = picture("Spectrogram")
    player = ABPlayer(label="The sounds, at matched loudness", elem_id="generate-player")
    versions = add_takes(at, player, loudness_lufs)
    with gr.Row():
        downloads = download_buttons()
        archive = gr.DownloadButton("Download all", interactive=False)
        keep_seed = gr.Button("Keep seed", interactive=False)
    with gr.Row(elem_classes="aural-cards"):
        cards = [_card(places) for _ in range(pipeline.MAX_CLIPS)]
        card_parts = [part for parts, _ in cards for part in parts]
    with gr.Accordion("Raw data (JSON)", open=False):
        figures = gr.JSON(label="Settings and classifier results")
    files = gr.File(label="Sounds", file_count="multiple", visible=False)
    pictures = gr.State()  # one per card
    inputs = [*(settings[name] for name in pipeline.Options.__dataclass_fields__), source]
    wire(
        at,
        generate,
        inputs,
        [files, figures, emerging, pictures],
        View(
            _show,
            [files, figures, pictures],
            [emerging, message, archive, keep_seed, versions, *downloads, *card_parts],
            _clear,
        ),
        more=View(_encode, [files], downloads),
        show_progress_on=message,  # not over the spectrogram
    )
    kept = keep_seed.click(
        lambda figures: figures["seed"], figures, settings["seed"], api_visibility="private", queue=False
    )
    run_state.adopt(at, kept, settings["seed"], inputs)
    return at, [send_to for _, send_to in cards]


@endpoint(GENERATE)
@with_options(pipeline.Options)
def generate(
    options: pipeline.Options,
    source: str | None = None,
    progress: gr.Progress = gr.Progress(),
) -> Updates:
    """Generate one to eight sounds of a class, or vary, fill or extend an uploaded sound.

    Args:
        options: as below
        source: a sound to start from, up to 10 s; it is varied, or its gap is filled

    Returns:
        the sounds, 24-bit WAV
        the settings, the seed and the score of each sound, and its five likeliest classes
        a picture of the spectrograms
    """
    clip = load(source) if source else None
    preview = _Preview()
    steps = pipeline.generate.steps(options, clip, watch=preview.watch)
    result = yield from follow(steps, progress, "Generating", preview.outputs)
    progress(0.95, desc="Drawing")
    figures = result.figures()
    files = []
    for seed, made in zip(result.seeds, result.clips, strict=True):
        files.append(result_path(source or figures["label"], f"seed-{seed}.wav"))
        write(made, files[-1])
    pictures = [_draw([mel]) for mel in result.mels]
    yield files, figures, pictures[0] if len(pictures) == 1 else _draw(result.mels), pictures


class _Preview:
    """The spectrograms during generation, drawn at most `PREVIEWS` times."""

    def __init__(self) -> None:
        self._mels: NDArray[np.floating[Any]] | None = None
        self._next_share = 0.0

    def watch(self, mels: NDArray[np.floating[Any]]) -> None:
        """Keep the latest; mels: (count, bands, frames), scaled."""
        self._mels = mels

    def outputs(self, share: float) -> Any:
        """The outputs of `generate` when this share is done."""
        if self._mels is None or share < self._next_share:
            return gr.skip()
        self._next_share = share + 1 / PREVIEWS
        return gr.skip(), gr.skip(), _draw(list(self._mels), PREVIEW_SCALE), gr.skip()


def _draw(mels: Any, scale: float = 1.0) -> str:
    from aural.audio.spectral import DEFAULT_FRONT_END as FRONT_END

    seconds = mels[0].shape[1] * FRONT_END.hop / FRONT_END.rate
    return plots.save(plots.spectrogram_tiles(mels, seconds, _band_centres_hz()), scale)


@cache
def _band_centres_hz() -> NDArray[np.floating[Any]]:
    """The centre of gravity of each mel band."""
    from aural.audio.spectral import DEFAULT_FRONT_END as FRONT_END
    from aural.audio.spectral import mel_filters

    filters = mel_filters(FRONT_END).numpy()
    centres: NDArray[np.floating[Any]] = (
        filters @ np.linspace(0, FRONT_END.rate / 2, FRONT_END.bins) / filters.sum(1)
    )
    return centres


def _show(files: list[str], figures: dict[str, Any], pictures: list[str]) -> list[Any]:
    wanted = {figures["label"], figures["morph"]}
    updates: list[Any] = []
    for seed, file, path, guesses in zip(figures["seeds"], files, pictures, figures["guesses"], strict=True):
        shown = gr.Image(path, label=f"Spectrogram, seed {seed}")
        player = gr.Audio(file, loop=figures["loop"])
        updates += [gr.Column(visible=True), shown, player, _guesses_list(guesses, wanted)]
    hidden = [gr.Column(visible=False), None, None, None]
    updates += hidden * (pipeline.MAX_CLIPS - len(files))
    return [
        gr.Image(visible=False),
        gr.Markdown(_message(figures), min_height=1),
        gr.DownloadButton(value=_zip(files), interactive=True),
        gr.Button(interactive=True),
        Made(
            tuple(
                Version(f"Seed {seed}", file, loudness_lufs(read(file)))
                for seed, file in zip(figures["seeds"][:MAX_VERSIONS], files[:MAX_VERSIONS], strict=True)
            ),
            0,
        ),
        *NO_DOWNLOADS,
        *updates,
    ]


def _encode(files: list[str]) -> Generator[Any, None, None]:
    """The downloads of the first sound, which is the best if it was chosen among several."""
    yield from encode(files[0])


def _message(figures: dict[str, Any]) -> str:
    wanted = [name for name in (figures["label"], figures["morph"]) if name]
    hits = sum(guesses[0]["label"] in wanted for guesses in figures["guesses"])
    count = len(figures["guesses"])
    what = f"**{' + '.join(map(title, wanted))}**, seed {figures['seed']}."
    if count > 1:
        verdict = f"The classifier recognised {hits} of {count}."
    elif hits:
        verdict = "The classifier recognised it."
    else:
        verdict = f"The classifier didn't hear {' or '.join(map(with_article, wanted))}. Try again?"
    return " ".join(filter(None, (what, verdict, figures["message"])))


def _guesses_list(guesses: list[dict[str, Any]], wanted: set[str | None]) -> str:
    """The guesses as bars, with the requested classes highlighted."""
    rows = ""
    for guess in guesses:
        mark = ' class="wanted"' if guess["label"] in wanted else ""
        share = guess["probability"]
        cells = (title(guess["label"]), "< 1 %" if share < 0.01 else f"{100 * share:.0f} %")
        row = "".join(f"<span>{html.escape(cell)}</span>" for cell in cells)
        rows += f'<li{mark} style="--share: {share:.1%}">{row}</li>'
    return f'<div class="aural-guesses"><p>Classifier</p><ol>{rows}</ol></div>'


def _zip(files: list[str]) -> str:
    path = result_path(files[0], "all.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            archive.write(file, Path(file).name)
    return path


def _clear() -> list[Any]:
    """Empty the page when a run starts: the spectrogram emerges on it."""
    card = [gr.Column(visible=False), None, None, None]
    return [
        gr.Image(value=None, visible=True),
        gr.Markdown("", min_height=MESSAGE_HEIGHT),
        gr.DownloadButton(value=None, interactive=False),
        gr.Button(interactive=False),
        None,
        *NO_DOWNLOADS,
        *card * pipeline.MAX_CLIPS,
    ]


def _card(places: Sequence[Place]) -> tuple[list[Any], SendTo]:
    """The card of one variation: column, picture, player and guesses, and the buttons that send it on."""
    with gr.Column(visible=False, min_width=280) as column:
        shown = picture("Spectrogram")
        player = Audio(
            show_label=False,
            type="filepath",
            interactive=False,
            buttons=["download"],
            waveform_options=gr.WaveformOptions(
                waveform_color="#8b8b94", waveform_progress_color=ACCENT_ON_DARK
            ),
        )
        guesses = gr.HTML()
        sending = send_buttons(places, GENERATE.place, interactive=True)
    return [column, shown, player, guesses], SendTo(player, sending)


def crossfade_choice() -> gr.Number:
    """How long the end of a loop fades into its start."""
    return gr.Number(
        LoopOptions().crossfade_seconds,
        label="Crossfade, s",
        info="0.01 to 10. How long the end fades into the start.",
        step=0.1,
    )


def _loop_section(places: Sequence[Place]) -> tuple[Page, SendTo]:
    """A seamless loop of a sound of the visitor's."""
    with gr.Column(scale=2, min_width=320):
        audio = audio_input("Sound to loop")
        crossfade = crossfade_choice()
    with gr.Column(scale=5, min_width=320):
        gr.Markdown(
            "Rain, a drone or a chord that goes on without end. The loop ends where the sound is most like "
            "its start, and the two are crossfaded."
        )
        at = page(LOOP.name, LOOP.batch_name, {"crossfade_seconds": crossfade})
        show_estimate(at, LOOP, {"audio": audio})
        message = gr.Markdown()
        # Earlier results are not added: as each is of its own length, they would not loop together.
        player = ABPlayer(label="Loop and cut, at matched loudness", loop=True)
        result = result_file("Loop", places, LOOP.place)
        with gr.Accordion("Raw data (JSON)", open=False):
            figures = gr.JSON(label="Figures")
    cut = gr.State()
    wire(
        at,
        loop,
        [audio, crossfade],
        [result.file, figures, cut],
        View(_show_loop, [result.file, figures, cut], [message, player]),
        result=result,
    )
    return at, result.send_to


@endpoint(LOOP)
@with_options(LoopOptions)
def loop(audio: str, options: LoopOptions, progress: gr.Progress = gr.Progress()) -> Updates:
    """Make a sound a seamless loop: where its end comes, it goes on at its start.

    Args:
        audio: an audio or video file
        options: as below

    Returns:
        the loop, 24-bit WAV, or float if it exceeds full scale
        start and end of the part that became the loop, the crossfade, and how alike the two sounds in it are
    """
    clip = load(audio)
    result = yield from follow(make_loop.steps(clip, options), progress, "Making the loop")
    path, cut = result_path(audio, "loop.wav"), result_path(audio, "cut.wav")
    write(result.clip, path, wav_encoding(result.clip), read_tags(audio))
    start, end = (round(seconds * clip.rate) for seconds in (result.start_seconds, result.end_seconds))
    write(clip.with_samples(clip.samples[:, start:end]), cut, wav_encoding(clip))
    yield path, add_notes(result.figures(), clip), cut


def _show_loop(path: str, figures: dict[str, Any], cut: str) -> tuple[str, list[Version]]:
    """The loop, and beside it the same part of the sound with its seam."""
    names = (("Loop", path), ("Without crossfade", cut))
    return (
        f"**{figures['message']}**",
        [Version(name, file, loudness_lufs(read(file))) for name, file in names],
    )
