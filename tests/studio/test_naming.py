"""What a sound is called that is neither speech nor music."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aural.audio import Clip, write
from aural.enhancement.analysis import analyze
from aural.errors import CheckpointError
from aural.generation import clap, classifier
from aural.generation.classes import CLASSES
from aural.loudness.targets import TARGETS
from aural.studio import evaluate, naming, tab
from aural.studio.evaluate import Item
from aural.studio.naming import Heard
from aural.studio.verdicts import verdicts
from tests.generation.tiny_clap import write_clap

RATE = 44_100


def noise(seconds: float = 5.0, channels: int = 1) -> Clip:
    samples = 0.1 * np.random.default_rng(0).standard_normal((1, round(seconds * RATE)))
    return Clip(np.repeat(samples, channels, axis=0).astype(np.float32), RATE)


@pytest.fixture
def model(tmp_path: Path) -> clap.Clap:
    """A tiny CLAP."""
    write_clap(tmp_path / "clap")
    return clap._open(tmp_path / "clap")


@pytest.fixture(autouse=True)
def _nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No CLAP, whatever lies in the Hub cache of this machine."""
    monkeypatch.setattr(clap, "ready", lambda: None)


def within_silence(clip: Clip) -> Clip:
    silence = np.zeros((clip.channels, 7 * RATE), np.float32)
    return Clip(np.concatenate((silence, clip.samples, silence), axis=1), RATE)


@pytest.mark.usefixtures("tiny_checkpoints")
@pytest.mark.parametrize("by", ["classifier", "CLAP"])
def test_what_is_heard_is_the_loudest_stretch_in_mono(model: clap.Clap, by: str) -> None:
    chosen = model if by == "CLAP" else None
    heard = naming.likeliest(noise(), chosen)
    assert heard.label in CLASSES and 1 / 50 <= heard.probability <= 1 and heard.by == by
    found = naming.likeliest(within_silence(noise(channels=2)), chosen)
    assert found.label == heard.label and found.probability == pytest.approx(heard.probability, abs=1e-3)


def test_clap_hears_the_class_whose_sentence_is_most_like_the_sound(model: clap.Clap) -> None:
    samples = noise().samples
    probabilities = model.class_probabilities(samples, RATE)
    assert probabilities.shape == (1, 50) and probabilities.sum() == pytest.approx(1)
    likeness = model.sounds(samples, RATE) @ model.classes.T
    assert CLASSES[int(likeness.argmax())] == naming.likeliest(noise(), model).label


@pytest.mark.parametrize(("probability", "is_named"), [(0.999, True), (naming.CONFIDENT - 0.01, False)])
def test_only_what_is_surely_heard_is_named(
    monkeypatch: pytest.MonkeyPatch, probability: float, is_named: bool
) -> None:
    heard = Heard("rain", probability, "classifier")
    monkeypatch.setattr(naming, "likeliest", lambda *_: heard)
    assert naming.sounds_like(noise()) == (heard if is_named else None)


def test_without_the_classifier_clap_names_or_nothing(
    monkeypatch: pytest.MonkeyPatch, model: clap.Clap
) -> None:
    def fail() -> None:
        raise CheckpointError("The checkpoint 'classifier' can't be used.")

    monkeypatch.setattr(classifier, "load", fail)
    monkeypatch.setattr(naming, "CONFIDENT", 0.0)
    assert naming.sounds_like(noise(1.0)) is None
    monkeypatch.setattr(clap, "ready", lambda: model)
    heard = naming.sounds_like(noise(1.0))
    assert heard is not None and heard.by == "CLAP"


@pytest.mark.parametrize(
    ("heard", "text"),
    [
        (Heard("crackling_fire", 0.9, "classifier"), "Sounds like: crackling fire (by AURAL's classifier)"),
        (Heard("rain", 0.9, "CLAP"), "Sounds like: rain (by CLAP)"),
        (None, "Neither speech nor music"),
    ],
)
def test_the_verdict_on_the_sound_says_by_what_it_was_heard(heard: Heard | None, text: str) -> None:
    first, *_ = verdicts(analyze(noise()), TARGETS["spotify"], heard)
    assert (first.kind, first.level, first.text) == ("sound", "green", text)


def test_an_upload_is_named_where_it_is_neither_speech_nor_music(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    heard = Heard("sea_waves", 0.9, "CLAP")
    monkeypatch.setattr(tab, "sounds_like", lambda _: heard)
    time_s = np.arange(3 * RATE) / RATE
    tone = Clip((0.2 * np.sin(2 * np.pi * 440 * time_s))[np.newaxis].astype(np.float32), RATE)
    for clip, told in ((noise(3.0), True), (tone, False)):
        write(clip, tmp_path / "upload.wav")
        *_, (found, chips, *_) = tab.analyze(str(tmp_path / "upload.wav"), "spotify")
        assert (found.sounds_like == heard) == ("Sounds like: sea waves" in chips) == told


def test_names_are_counted_from_a_probability_on() -> None:
    items = [
        Item(name, truth, kind, Heard(label, probability, "classifier"))
        for name, truth, kind, label, probability in (
            ("a", "rain", "other", "rain", 0.9),
            ("b", "rain", "other", "wind", 0.8),
            ("c", "rain", "other", "rain", 0.5),
            ("d", "cat", "speech", "cat", 0.99),  # not named
            ("e", None, "other", "clapping", 0.7),
            ("f", None, "music", "siren", 0.99),  # not named
        )
    ]
    all_named, some, none = (evaluate.naming(items, threshold) for threshold in (0.0, 0.75, 0.95))
    assert (all_named.named, all_named.right, all_named.others) == (3, 2, 1)
    assert all_named.precision == pytest.approx(0.5)
    assert (some.named, some.right, some.others, some.precision) == (2, 1, 0, 0.5)
    assert none.named == none.others == 0 and none.precision is None


@pytest.mark.usefixtures("tiny_checkpoints")
@pytest.mark.parametrize("by", ["AURAL's classifier", "CLAP"])
def test_the_command_prints_how_often_names_are_right(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    model: clap.Clap,
    by: str,
) -> None:
    monkeypatch.setattr(clap, "load", lambda: model)
    for folder in ("esc/audio", "esc/meta", "speech"):
        (tmp_path / folder).mkdir(parents=True)
    rows = ["filename,fold,target,category"]
    for number, fold in ((1, 5), (2, 5), (3, 1)):
        write(noise(1.0), tmp_path / "esc" / "audio" / f"{number}.wav")
        rows.append(f"{number}.wav,{fold},10,rain")
    (tmp_path / "esc" / "audio" / "2.wav").write_text("no audio")
    (tmp_path / "esc" / "meta" / "esc50.csv").write_text("\n".join(rows))
    write(noise(1.0), tmp_path / "speech" / "a.wav")
    figures = tmp_path / "heard.json"
    command = ["--data", str(tmp_path / "esc"), "--others", str(tmp_path / "speech"), "--json", str(figures)]
    evaluate.main([*command, "--clap"] if by == "CLAP" else command)
    printed = capsys.readouterr().out
    assert "2.wav is left out: " in printed
    assert "1 sounds, taken for: 0 speech, 0 music, 1 other" in printed
    assert "1 speech and music, taken for: 0 speech, 0 music, 1 other" in printed
    assert f"Named by {by}." in printed and f"{naming.CONFIDENT:g} (used)" in printed
    heard = json.loads(figures.read_text())["heard"]
    assert [(one["name"], one["truth"]) for one in heard] == [("1.wav", "rain"), ("a.wav", None)]


def test_importing_it_loads_no_torch() -> None:
    code = "import sys, aural.studio.naming, aural.studio.verdicts; print(*sys.modules)"
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert "torch" not in run.stdout.split()
