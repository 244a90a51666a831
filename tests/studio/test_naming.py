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
from aural.generation import classifier
from aural.generation.classes import CLASSES
from aural.loudness.targets import TARGETS
from aural.studio import evaluate, naming, tab
from aural.studio.evaluate import Heard
from aural.studio.verdicts import verdicts

RATE = 44_100


def noise(seconds: float = 5.0, channels: int = 1) -> Clip:
    samples = 0.1 * np.random.default_rng(0).standard_normal((1, round(seconds * RATE)))
    return Clip(np.repeat(samples, channels, axis=0).astype(np.float32), RATE)


@pytest.mark.usefixtures("tiny_checkpoints")
def test_what_is_heard_is_the_loudest_stretch_in_mono() -> None:
    label, probability = naming.likeliest(noise())
    assert label in CLASSES and 1 / 50 <= probability <= 1
    silence = np.zeros((2, 7 * RATE), np.float32)
    within = np.concatenate((silence, noise(channels=2).samples, silence), axis=1)
    found, share = naming.likeliest(Clip(within, RATE))
    assert found == label and share == pytest.approx(probability, abs=1e-3)


@pytest.mark.parametrize(("probability", "named"), [(0.999, "rain"), (naming.CONFIDENT - 0.01, None)])
def test_only_what_the_classifier_is_sure_of_is_named(
    monkeypatch: pytest.MonkeyPatch, probability: float, named: str | None
) -> None:
    monkeypatch.setattr(naming, "likeliest", lambda _: ("rain", probability))
    assert naming.sounds_like(noise()) == named


def test_without_the_classifier_nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise CheckpointError("The checkpoint 'classifier' can't be used.")

    monkeypatch.setattr(classifier, "load", fail)
    assert naming.sounds_like(noise(1.0)) is None


@pytest.mark.parametrize(
    ("name", "text"), [("crackling_fire", "Sounds like: crackling fire"), (None, "Neither speech nor music")]
)
def test_the_name_is_the_verdict_on_the_sound(name: str | None, text: str) -> None:
    first, *_ = verdicts(analyze(noise()), TARGETS["spotify"], name)
    assert (first.kind, first.level, first.text) == ("sound", "green", text)


def test_an_upload_is_named_where_it_is_neither_speech_nor_music(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(tab, "sounds_like", lambda _: "sea_waves")
    time_s = np.arange(3 * RATE) / RATE
    tone = Clip((0.2 * np.sin(2 * np.pi * 440 * time_s))[np.newaxis].astype(np.float32), RATE)
    for clip, told in ((noise(3.0), True), (tone, False)):
        write(clip, tmp_path / "upload.wav")
        *_, (found, chips, *_) = tab.analyze(str(tmp_path / "upload.wav"), "spotify")
        assert (found.sounds_like == "sea_waves") == ("Sounds like: sea waves" in chips) == told


def test_names_are_counted_from_a_probability_on() -> None:
    heard = [
        Heard("a", "rain", "other", "rain", 0.9),
        Heard("b", "rain", "other", "wind", 0.8),
        Heard("c", "rain", "other", "rain", 0.5),
        Heard("d", "cat", "speech", "cat", 0.99),  # not named
        Heard("e", None, "other", "clapping", 0.7),
        Heard("f", None, "music", "siren", 0.99),  # not named
    ]
    all_named, some, none = (evaluate.naming(heard, threshold) for threshold in (0.0, 0.75, 0.95))
    assert (all_named.named, all_named.right, all_named.others) == (3, 2, 1)
    assert all_named.precision == pytest.approx(0.5)
    assert (some.named, some.right, some.others, some.precision) == (2, 1, 0, 0.5)
    assert none.named == none.others == 0 and none.precision is None


@pytest.mark.usefixtures("tiny_checkpoints")
def test_the_command_prints_how_often_names_are_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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
    evaluate.main(command)
    printed = capsys.readouterr().out
    assert "2.wav is left out: " in printed
    assert "1 sounds, taken for: 0 speech, 0 music, 1 other" in printed
    assert "1 speech and music, taken for: 0 speech, 0 music, 1 other" in printed
    assert f"{naming.CONFIDENT:g} (used)" in printed
    heard = json.loads(figures.read_text())["heard"]
    assert [(one["name"], one["truth"]) for one in heard] == [("1.wav", "rain"), ("a.wav", None)]


def test_importing_it_loads_no_torch() -> None:
    code = "import sys, aural.studio.naming, aural.studio.verdicts; print(*sys.modules)"
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert "torch" not in run.stdout.split()
