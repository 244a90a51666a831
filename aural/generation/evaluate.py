"""How good generated clips are, beside real ones and beside real ones that went through the vocoder.

    python -m aural.generation.evaluate --data DIR [--per-class 40] [--pictures FILE]
    python -m aural.generation.evaluate --data DIR --sweep 5 10 25 50 --plot FILE

Everything is measured on the audio, as a listener gets it. The generated clips stay in --folder, one file a
class, so a run that was cut goes on where it was, and scoring again generates nothing.

The distance of two sets of clips (FAD) is the Fréchet distance between the features of our classifier, and of
CLAP where its weights can be had. Kilgour et al. 2019 (FAD), Elizalde et al. 2023 and Wu et al. 2023 (CLAP).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from aural import hub
from aural.audio import Clip
from aural.audio.resample import resample_samples
from aural.audio.spectral import DEFAULT_FRONT_END, log_mel, magnitude_from_mel, unscale
from aural.errors import OptionError
from aural.evaluation.harness import evaluation_parser, write_json
from aural.evaluation.metrics import (
    Floats,
    Integers,
    diversity,
    frechet_distance,
    mean_reciprocal_rank,
    nearest_similarity,
    ranks,
    top_k_accuracy,
)
from aural.evaluation.table import table_of_records
from aural.files import write_then_rename
from aural.generation.classes import CLASSES, find, title
from aural.generation.classifier import Classifier
from aural.generation.classifier import load as load_classifier
from aural.generation.data import Esc50, load
from aural.generation.model import active_share
from aural.generation.pipeline import SAMPLERS, Options, generate
from aural.generation.waveforms import GRIFFIN_LIM_ITERATIONS, VOCODERS, Vocoder
from aural.hub import manifest
from aural.hub.download import TIMEOUT_SECONDS, Unavailable, download
from aural.loudness.meter import measure as measure_loudness
from aural.training.esc50 import VALIDATION_FOLD
from aural.vocoding.griffin_lim import griffin_lim

SMALL = 8  # clips a class in fold 5: FAD at this size can be compared with that of real clips
CHUNK = 8  # clips in one call of the generator
SEEDS_PER_CLASS = 1000
CLAP = "laion/clap-htsat-unfused"
CLAP_RATE = 48_000
# Spectrograms are compared for copies at this resolution: 4 bands, 4 frames (47 ms).
SHAPE_BANDS, SHAPE_FRAMES = 4, 4
PICTURED = (
    *("dog", "crow", "rain", "chirping_birds", "clapping", "laughing"),
    *("clock_tick", "vacuum_cleaner", "siren", "church_bells"),
)

QUALITY_HEADINGS = (
    "clips",
    "FAD",
    "FAD, 8 a class",
    "FAD to fold 5, 8 a class",
    "FAD, mean per class",
    *("top-1", "top-5", "top-10", "mAP@10"),
)
NOVELTY_HEADINGS = (
    *("nearest training clip, features", "95 %"),
    *("nearest training clip, spectrogram", "95 %"),
    *("diversity in class", "loudness, LUFS", "active"),
)

Waves = NDArray[np.int16]
# 16-bit waves (clips, time) at 22,050 Hz -> features (clips, width) and scores of the classes (clips, 50).
Scorer = Callable[[Waves], tuple[Floats, Floats]]


@dataclass(frozen=True)
class Sounds:
    """Clips of 5 s at 22,050 Hz."""

    waves: Waves  # (clips, time), full scale at 32767
    labels: Integers  # (clips,)
    sources: Integers  # (clips,) which recording each was cut from; all -1 where from none

    def take(self, chosen: NDArray[Any]) -> Sounds:
        """Those that a mask or indices choose."""
        return Sounds(self.waves[chosen], self.labels[chosen], self.sources[chosen])


@dataclass(frozen=True)
class Scored:
    """What a scorer says of each clip."""

    features: Floats  # (clips, width)
    scores: Floats  # (clips, classes)
    labels: Integers  # (clips,)

    def take(self, chosen: NDArray[Any]) -> Scored:
        """Those that a mask or indices choose."""
        return Scored(self.features[chosen], self.scores[chosen], self.labels[chosen])


@dataclass(frozen=True)
class Quality:
    """Figures of one set of clips; `None` where a figure would mean nothing."""

    clips: int
    fad: float | None  # all classes pooled, to the real clips of folds 1-4
    fad_small: float | None  # the same of 8 clips a class, as many as fold 5 has
    fad_unseen: float | None  # of 8 clips a class, to fold 5
    fad_class: float | None  # mean over classes of the distance within the class
    top_1: float | None  # share whose class the scorer finds
    top_5: float | None
    top_10: float | None
    map_10: float | None  # mean reciprocal rank, 0 beyond 10


@dataclass(frozen=True)
class Novelty:
    """Copies, variety and level of one set of clips."""

    nearest: float  # mean cosine of the features to those of the most similar training clip
    nearest_95: float  # its 95th percentile
    shape: float  # mean correlation with the training spectrogram most similar at any shift in time
    shape_95: float
    diversity: float  # mean over classes of 1 - cosine of the features of two clips of the class
    loudness_lufs: float  # mean of the clips that are not silent
    active: float  # mean share of frames in which anything sounds


@dataclass(frozen=True)
class Originals:
    """The training clips, which others may be copies of."""

    sounds: Sounds
    scored: Scored
    shapes: Tensor  # see `shapes`

    @staticmethod
    def of(sounds: Sounds, scored: Scored) -> Originals:
        """The clips with their coarse spectrograms."""
        return Originals(sounds, scored, shapes(sounds))


def real_sounds(clips: Esc50) -> Sounds:
    """The clips of ESC-50."""
    names = {name: number for number, name in enumerate(sorted(set(clips.sources)))}
    sources = np.array([names[source] for source in clips.sources], np.int64)
    return Sounds(clips.waves, clips.labels.numpy().astype(np.int64), sources)


def generated_sounds(
    folder: Path, labels: Sequence[int], per_class: int, options: Options
) -> tuple[Sounds, float]:
    """Clips of the classes, and the mean seconds that one took; what the folder has is not made again.

    Args:
        folder: holds a folder for each set of settings and checkpoints.
        options: all but the class, the count and the seed of each call. Clip k of class c has the seed
            options.seed + 1000 c + k, so more clips a class leave those there are as they are.
    """
    settings = asdict(options) | {"checkpoints": _digests("generator", options.vocoder)}
    text = json.dumps(settings, indent=1, sort_keys=True)
    place = folder / hashlib.sha256(text.encode()).hexdigest()[:12]
    place.mkdir(parents=True, exist_ok=True)
    (place / "settings.json").write_text(text + "\n", encoding="utf-8")
    waves, seconds = [], []
    for label in tqdm(labels, desc=f"{options.steps} steps", mininterval=5):
        file = place / f"{CLASSES[label]}.npz"
        made: list[Waves] = []
        mels: list[NDArray[np.float16]] = []
        spent = 0.0
        if file.is_file():
            with np.load(file) as arrays:
                made, mels, spent = [arrays["waves"]], [arrays["mels"]], float(arrays["seconds"])
        have = sum(map(len, made))
        for first in range(have, per_class, CHUNK):
            start = time.perf_counter()
            result = generate(
                replace(
                    options,
                    label=CLASSES[label],
                    count=min(CHUNK, per_class - first),
                    seed=(options.seed or 0) + SEEDS_PER_CLASS * label + first,
                )
            )
            spent += time.perf_counter() - start
            made.append(np.stack([sixteen_bits(clip.samples[0]) for clip in result.clips]))
            mels.append(np.stack(result.mels).astype(np.float16))
        if have < per_class:
            with write_then_rename(file) as temporary, temporary.open("wb") as handle:
                np.savez(handle, waves=np.concatenate(made), mels=np.concatenate(mels), seconds=spent)
        count = sum(map(len, made))
        waves.append(np.concatenate(made)[:per_class])
        seconds.append(spent / count)
    sounds = Sounds(
        np.concatenate(waves),
        np.repeat(np.asarray(labels, np.int64), per_class),
        np.full(per_class * len(labels), -1, np.int64),
    )
    return sounds, float(np.mean(seconds))


def vocoded_sounds(folder: Path, real: Sounds, vocoder: Vocoder) -> Sounds:
    """Real clips reduced to their spectrograms, and made audible again: what a perfect generator would reach.

    Those of the folder are used where the clips and the vocoder's checkpoint are the same.
    """
    key = hashlib.sha256(real.waves.tobytes() + repr(_digests(vocoder)).encode() + vocoder.encode())
    file = folder / f"vocoded-{key.hexdigest()[:12]}.npz"
    if file.is_file():
        with np.load(file) as arrays:
            return replace(real, waves=arrays["waves"])
    waves = [
        sixteen_bits(audible(log_mel(_floats(part)), vocoder, part.shape[1]).cpu().numpy())
        for part in tqdm(_parts(real.waves), desc=f"{vocoder} of real clips", mininterval=5)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    with write_then_rename(file) as temporary, temporary.open("wb") as handle:
        np.savez(handle, waves=np.concatenate(waves))
    return replace(real, waves=np.concatenate(waves))


@torch.inference_mode()
def audible(mel: Tensor, vocoder: Vocoder, length: int) -> Tensor:
    """The waveforms that the app would make of spectrograms.

    Shape:
        mel: (clips, 80, frames), in [0, 1]; result: (clips, length).
    """
    if vocoder == "griffin_lim":
        return griffin_lim(magnitude_from_mel(unscale(mel)), length, iterations=GRIFFIN_LIM_ITERATIONS)
    model = hub.load("vocoder")
    waves: Tensor = model(mel.to(next(model.parameters()).device), length)
    return waves


def score(sounds: Sounds, scorer: Scorer) -> Scored:
    """What the scorer says of each clip."""
    answers = [scorer(part) for part in _parts(sounds.waves)]
    features, scores = (np.concatenate(column) for column in zip(*answers, strict=True))
    return Scored(features, scores, sounds.labels)


def our_scorer(model: Classifier | None = None) -> Scorer:
    """The classifier trained on folds 1-4; None is the shipped one."""
    classifier = model or load_classifier()

    @torch.inference_mode()
    def scorer(waves: Waves) -> tuple[Floats, Floats]:
        mel = log_mel(_floats(waves)).to(classifier.mean)
        features = classifier.features(mel)
        logits = classifier.head(features)
        return features.cpu().double().numpy(), logits.cpu().double().numpy()

    return scorer


def clap_scorer() -> Scorer | None:
    """CLAP, which compares sounds with sentences; None where its weights cannot be had."""
    from huggingface_hub import constants
    from transformers import AutoProcessor, ClapModel

    try:
        # The library waits for a Hub that does not answer far longer than anybody wants to.
        cache = Path(constants.HF_HUB_CACHE)
        download(CLAP, "main", {"config.json": False}, cache=cache, timeout_seconds=TIMEOUT_SECONDS)
        model: Any = ClapModel.from_pretrained(CLAP)
        loader: Any = AutoProcessor
        return scorer_of_clap(model.eval(), loader.from_pretrained(CLAP))
    except (Unavailable, OSError) as error:
        logging.getLogger(__name__).info("CLAP: %s", error)
        return None


def scorer_of_clap(model: Any, processor: Any) -> Scorer:
    """A `ClapModel` and its processor as a scorer, by the likeness to "This is a sound of ..."."""
    texts = [f"This is a sound of {title(name).lower()}." for name in CLASSES]

    def directions(output: Any) -> Tensor:
        # Releases of transformers differ in whether they wrap the projection.
        embedding: Tensor = getattr(output, "pooler_output", output)
        return torch.nn.functional.normalize(embedding, dim=-1)

    with torch.inference_mode():
        sentences = directions(
            model.get_text_features(**processor(text=texts, padding=True, return_tensors="pt"))
        )

    @torch.inference_mode()
    def scorer(waves: Waves) -> tuple[Floats, Floats]:
        samples = resample_samples(_floats(waves).numpy(), DEFAULT_FRONT_END.rate, CLAP_RATE)
        inputs = processor(audio=list(samples), sampling_rate=CLAP_RATE, return_tensors="pt")
        features = directions(model.get_audio_features(**inputs))
        return features.double().numpy(), (features @ sentences.T).double().numpy()

    return scorer


def quality(scored: Scored, training: Scored, unseen: Scored) -> Quality:
    """The figures of a set of clips, against the real ones of folds 1-4 and of fold 5."""
    places = ranks(scored.scores, scored.labels)
    small = first_of_each(scored, SMALL)
    is_unseen_itself = scored is unseen
    return Quality(
        clips=len(places),
        fad=frechet_distance(scored.features, training.features),
        fad_small=frechet_distance(small.features, training.features),
        fad_unseen=None if is_unseen_itself else frechet_distance(small.features, unseen.features),
        fad_class=float(np.mean(list(class_distances(scored, training).values()))),
        top_1=top_k_accuracy(places, 1),
        top_5=top_k_accuracy(places, 5),
        top_10=top_k_accuracy(places, 10),
        map_10=mean_reciprocal_rank(places),
    )


def real_vs_real(training: Scored, folds: Integers) -> Quality:
    """Real against real: folds 1 and 3 against 2 and 4, which no recording is in both of.

    The scorer may have learnt these clips by heart, so it finds no class here that would mean anything.
    """
    odd, even = training.take(folds % 2 == 1), training.take(folds % 2 == 0)
    small = first_of_each(odd, SMALL)
    return Quality(
        clips=len(training.labels),
        fad=frechet_distance(odd.features, even.features),
        fad_small=frechet_distance(small.features, even.features),
        fad_unseen=None,
        fad_class=float(np.mean(list(class_distances(odd, even).values()))),
        top_1=None,
        top_5=None,
        top_10=None,
        map_10=None,
    )


def class_distances(scored: Scored, training: Scored) -> dict[int, float]:
    """The Fréchet distance within each class; classes with fewer than two clips are left out."""
    distances = {}
    for label in np.unique(scored.labels):
        ours, theirs = scored.labels == label, training.labels == label
        if ours.sum() > 1 and theirs.sum() > 1:
            distances[int(label)] = frechet_distance(scored.features[ours], training.features[theirs])
    return distances


def class_accuracies(scored: Scored) -> dict[int, float]:
    """Top-1 of each class."""
    places = ranks(scored.scores, scored.labels)
    return {
        int(label): top_k_accuracy(places[scored.labels == label], 1) for label in np.unique(scored.labels)
    }


def novelty(sounds: Sounds, scored: Scored, training: Originals) -> Novelty:
    """How like the training clips the sounds are, how unlike each other, and how loud.

    A clip cut from the same recording is not counted as a likeness.
    """
    # Features never are negative, so their cosines all are high; about the mean they tell sounds apart.
    mean = training.scored.features.mean(0)
    about_mean = scored.features - mean
    theirs = training.scored.features - mean
    nearest = nearest_similarity(about_mean, theirs, sounds.sources, training.sounds.sources)
    shape = nearest_shape(shapes(sounds), training.shapes, sounds.sources, training.sounds.sources)
    varieties = [
        diversity(about_mean[chosen])
        for label in np.unique(sounds.labels)
        if (chosen := sounds.labels == label).sum() > 1
    ]
    levels, active = zip(*(_level(wave) for wave in sounds.waves), strict=True)
    return Novelty(
        nearest=float(nearest.mean()),
        nearest_95=float(np.percentile(nearest, 95)),
        shape=float(shape.mean()),
        shape_95=float(np.percentile(shape, 95)),
        diversity=float(np.mean(varieties)),
        loudness_lufs=float(np.nanmean(levels)),
        active=float(np.mean(active)),
    )


def shapes(sounds: Sounds) -> Tensor:
    """Coarse spectrograms.

    Shape: result: (clips, 80 / SHAPE_BANDS, frames / SHAPE_FRAMES), in [0, 1].
    """
    coarse = []
    for part in _parts(sounds.waves):
        mel = log_mel(_floats(part))
        coarse.append(torch.nn.functional.avg_pool2d(mel[:, None], (SHAPE_BANDS, SHAPE_FRAMES))[:, 0])
    return torch.cat(coarse)


def nearest_shape(ours: Tensor, others: Tensor, groups: Integers, other_groups: Integers) -> Floats:
    """Correlation of each coarse spectrogram with the other one most similar to it, at any circular shift.

    Each one's mean per band is taken off first: without it any two steady noises would be alike. What is left
    is what happens when, which nothing but a copy repeats.

    Shape:
        ours: (clips, bands, frames); others: (other clips, bands, frames); groups, other_groups: one per clip
        each, those of the same group are not compared; result: (clips,), from -1 to 1.
    """

    def spectra(pictures: Tensor) -> Tensor:
        changes = pictures - pictures.mean(2, keepdim=True)
        flat = torch.nn.functional.normalize(changes.flatten(1)).reshape(pictures.shape)
        spectrum: Tensor = torch.fft.rfft(flat)
        return spectrum.permute(2, 0, 1)  # (frequency, clips, bands)

    theirs = spectra(others).conj().transpose(1, 2).contiguous()
    is_same = torch.from_numpy(groups[:, None] == other_groups[None])
    best = []
    for start in range(0, len(ours), 16):  # in parts: all products at once would fill gigabytes
        product = spectra(ours[start : start + 16]) @ theirs  # (frequency, clips, other clips)
        correlation = torch.fft.irfft(product, ours.shape[2], dim=0).amax(0)
        correlation[is_same[start : start + 16]] = -1
        best.append(correlation.amax(1))
    return np.asarray(torch.cat(best), np.float64)


def draw_pictures(path: Path, real: Sounds, generated: Sounds, labels: Sequence[int]) -> None:
    """Spectrograms of two real clips of fold 5 and two generated ones of each class, side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 1.5 * len(labels)), layout="constrained")
    grid = figure.subplots(len(labels), 4, squeeze=False, sharex=True, sharey=True)
    for row, label in zip(grid, labels, strict=True):
        row[0].set_ylabel(title(CLASSES[label]))
        for column, (name, sounds) in enumerate((("real", real), ("generated", generated))):
            waves = sounds.waves[sounds.labels == label][:2]
            for number, mel in enumerate(log_mel(_floats(waves))):
                axes = row[2 * column + number]
                axes.imshow(mel.numpy(), origin="lower", aspect="auto", cmap="inferno", vmin=0, vmax=0.9)
                axes.set(xticks=[], yticks=[])
                if label == labels[0]:
                    axes.set_title(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)


def draw_sweep(path: Path, rows: Mapping[int, Quality], seconds: Mapping[int, float], real: Quality) -> None:
    """Steps against the distance and the accuracy, real clips as lines; the seconds stand at the steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps = list(rows)
    left.plot(steps, [row.fad for row in rows.values()], "o-", label="generated")
    left.axhline(real.fad, color="grey", linestyle="--", label=f"real, fold 5 ({real.clips} clips)")
    left.set_ylabel(f"FAD of {next(iter(rows.values())).clips} clips")
    for name in ("top_1", "top_5"):
        (line,) = right.plot(
            steps, [getattr(row, name) for row in rows.values()], "o-", label=name.replace("_", "-")
        )
        right.axhline(getattr(real, name), color=line.get_color(), linestyle="--")
    right.set_ylabel("class found (dashed: real, fold 5)")
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xticks(steps, [f"{step}\n{seconds[step]:.2f} s" for step in steps], minor=False)
        axes.minorticks_off()
        axes.set_xlabel("steps, and seconds for a clip of 5 s in a batch of 8")
        axes.set_ylim(bottom=0)
        axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


@dataclass(frozen=True)
class Real:
    """The real clips that everything is held against."""

    training: Sounds  # folds 1-4
    folds: Integers  # of the training clips
    unseen: Sounds  # fold 5

    @staticmethod
    def of(clips: Esc50, labels: Sequence[int]) -> Real:
        """Those of the classes wanted."""
        sounds, folds = real_sounds(clips), clips.folds.numpy()
        wanted = np.isin(sounds.labels, labels)
        training, unseen = wanted & (folds != VALIDATION_FOLD), wanted & (folds == VALIDATION_FOLD)
        return Real(sounds.take(training), folds[training], sounds.take(unseen))


def compare(real: Real, sets: Mapping[str, Sounds], scorer: Scorer) -> dict[str, tuple[Quality, Scored]]:
    """The figures of real and other clips by one scorer, a row each."""
    training, unseen = score(real.training, scorer), score(real.unseen, scorer)
    rows = {
        "real, folds 1-4, half against half": (real_vs_real(training, real.folds), training),
        "real, fold 5": (quality(unseen, training, unseen), unseen),
    }
    for name, sounds in sets.items():
        scored = score(sounds, scorer)
        rows[name] = (quality(scored, training, unseen), scored)
    return rows


def main(command: list[str] | None = None) -> None:
    chosen = _parser().parse_args(command)
    labels = [find(name) for name in chosen.classes] if chosen.classes else list(range(len(CLASSES)))
    if chosen.per_class < 2 or chosen.per_class > SEEDS_PER_CLASS:
        raise OptionError(f"Give --per-class from 2 to {SEEDS_PER_CLASS}, not {chosen.per_class}.")
    defaults = Options(label=CLASSES[0])
    given = {name: getattr(chosen, name) for name in ("steps", "guidance", "sampler", "vocoder")}
    options = replace(
        defaults, seed=chosen.seed, **{name: value for name, value in given.items() if value is not None}
    )
    clips = load(chosen.data)
    real = Real.of(clips, labels)
    if chosen.sweep:
        _sweep(chosen, real, labels, options)
        return
    generated, seconds = generated_sounds(chosen.folder, labels, chosen.per_class, options)
    sets = {
        f"real, fold 5 → mel → {vocoder}": vocoded_sounds(chosen.folder, real.unseen, vocoder)
        for vocoder in VOCODERS
    }
    sets["generated"] = generated
    found: dict[str, Any] = {
        "settings": asdict(options) | {"per_class": chosen.per_class, "seconds_per_clip": round(seconds, 3)}
    }
    print(
        f"{options.steps} steps of {options.sampler}, guidance {options.guidance:g}, {options.vocoder}, "
        f"seed {options.seed}: {len(generated.labels)} clips of 5 s, {seconds:.2f} s each\n"
    )

    rows = compare(real, sets, our_scorer())
    print("By our classifier (trained on folds 1-4):\n")
    print(table_of_records({name: row for name, (row, _) in rows.items()}, QUALITY_HEADINGS) + "\n")
    found["classifier"] = {name: asdict(row) for name, (row, _) in rows.items()}

    clap = None if chosen.no_clap else clap_scorer()
    if clap is None:
        print("CLAP was not asked.\n" if chosen.no_clap else "CLAP's weights cannot be had from here.\n")
    else:
        clap_rows = compare(real, sets, clap)
        print(f"By CLAP ({CLAP}), which knows the classes by their names only:\n")
        print(table_of_records({name: row for name, (row, _) in clap_rows.items()}, QUALITY_HEADINGS) + "\n")
        found["clap"] = {name: asdict(row) for name, (row, _) in clap_rows.items()}

    training = rows["real, folds 1-4, half against half"][1]
    unseen_scored, generated_scored = rows["real, fold 5"][1], rows["generated"][1]
    originals = Originals.of(real.training, training)
    alike = {
        "real, folds 1-4, other recordings": novelty(real.training, training, originals),
        "real, fold 5": novelty(real.unseen, unseen_scored, originals),
        "generated": novelty(generated, generated_scored, originals),
    }
    print(table_of_records(alike, NOVELTY_HEADINGS) + "\n")
    found["likeness"] = {name: asdict(row) for name, row in alike.items()}

    accuracies, real_accuracies = class_accuracies(generated_scored), class_accuracies(unseen_scored)
    distances = class_distances(generated_scored, training)
    found["classes"] = {
        CLASSES[label]: {
            "top_1": accuracies[label],
            "fad": distances[label],
            "real_top_1": real_accuracies[label],
        }
        for label in labels
    }
    order = sorted(labels, key=lambda label: (-accuracies[label], distances[label]))
    for name, part in (("Best", order[:5]), ("Worst", order[::-1][:5])):
        listed = (f"{CLASSES[n]} {accuracies[n]:.2f} (real {real_accuracies[n]:.2f})" for n in part)
        print(f"{name} classes, top-1: " + ", ".join(listed))
    if chosen.json:
        write_json(chosen.json, found)
    if chosen.pictures:
        wanted = [find(name) for name in PICTURED]
        draw_pictures(
            chosen.pictures, real.unseen, generated, [n for n in wanted if n in labels] or labels[:10]
        )


def _sweep(chosen: argparse.Namespace, real: Real, labels: list[int], options: Options) -> None:
    """The figures at several numbers of steps."""
    scorer = our_scorer()
    training, unseen = score(real.training, scorer), score(real.unseen, scorer)
    rows, seconds = {}, {}
    for steps in sorted(chosen.sweep):
        sounds, seconds[steps] = generated_sounds(
            chosen.folder, labels, min(chosen.per_class, SMALL), replace(options, steps=steps)
        )
        rows[steps] = quality(score(sounds, scorer), training, unseen)
    by_name = {f"{steps} steps, {seconds[steps]:.2f} s a clip": row for steps, row in rows.items()}
    of_real = quality(unseen, training, unseen)
    print(table_of_records({**by_name, "real, fold 5": of_real}, QUALITY_HEADINGS))
    if chosen.json:
        write_json(chosen.json, {"sweep": {name: asdict(row) for name, row in by_name.items()}})
    if chosen.plot:
        draw_sweep(chosen.plot, rows, seconds, of_real)


def _parser() -> argparse.ArgumentParser:
    parser = evaluation_parser(
        __doc__, data="a clone of karolpiczak/ESC-50", json_help="write the figures to this file"
    )
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/evaluate"), help="keeps the generated clips"
    )
    parser.add_argument("--per-class", type=int, default=40, help="clips generated of each class")
    parser.add_argument("--classes", nargs="+", help="some of the 50; all by default")
    parser.add_argument("--steps", type=int, help="as all further settings by default that of the app")
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--sampler", choices=SAMPLERS)
    parser.add_argument("--vocoder", choices=VOCODERS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-clap", action="store_true", help="do not look for CLAP's weights")
    parser.add_argument("--pictures", type=Path, help="draw real and generated spectrograms there, PNG")
    parser.add_argument(
        "--sweep", type=int, nargs="+", help="compare numbers of steps, up to 8 clips a class"
    )
    parser.add_argument("--plot", type=Path, help="draw the sweep there, PNG")
    return parser


def _digests(*names: str) -> dict[str, str]:
    """What tells the checkpoints' weights apart; names that are none are left out."""
    entries = manifest.entries()
    return {name: entries[name].sha256["model.safetensors"] for name in names if name in entries}


def first_of_each(scored: Scored, count: int) -> Scored:
    """The first clips of each class."""
    chosen = [np.flatnonzero(scored.labels == label)[:count] for label in np.unique(scored.labels)]
    return scored.take(np.concatenate(chosen))


def _level(wave: NDArray[np.int16]) -> tuple[float, float]:
    """Loudness in LUFS, not a number where silent, and the share of frames that sound."""
    samples = _floats(wave[None])
    loudness = measure_loudness(Clip(samples.numpy(), DEFAULT_FRONT_END.rate)).integrated_lufs
    return np.nan if loudness is None else loudness, float(active_share(log_mel(samples))[0])


def _parts(waves: Waves, size: int = 32) -> Iterator[Waves]:
    return (waves[start : start + size] for start in range(0, len(waves), size))


def _floats(waves: Waves) -> Tensor:
    return torch.from_numpy(waves.astype(np.float32) / 32767)


def sixteen_bits(samples: NDArray[np.float32]) -> Waves:
    return np.round(samples * 32767).clip(-32767, 32767).astype(np.int16)


if __name__ == "__main__":
    main()
