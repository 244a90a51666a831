"""A short training of the vocoder and its table, on seconds of noise."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from aural.errors import InputError
from aural.training.corpus import Corpus, Recording, load
from aural.training.loop import Settings
from aural.vocoding.data import batches
from aural.vocoding.evaluate import (
    evaluate,
    log_spectral_distance_db,
    methods,
    validation_recordings,
)
from aural.vocoding.model import Config, Vocoder
from aural.vocoding.train import TINY, Objective, main, train_vocoder

RATE = 22_050


def corpus(seconds: float = 2.0) -> Corpus:
    """Two training recordings, the first of which is silent, and a validation recording."""
    length = round(seconds * RATE)
    noise = np.random.default_rng(0).integers(-9000, 9000, 3 * length).astype(np.int16)
    noise[:length] = 0
    recordings = [
        Recording("esc50", number * length, length, label=number, is_validation=number == 2)
        for number in range(3)
    ]
    return Corpus(noise, tuple(recordings))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One ESC-50 clip of each fold, ten sentences, two actors and a piece of music, all of noise."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = tmp_path / "data"
    generator = np.random.default_rng(0)

    def write(path: Path, seconds: float) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * generator.standard_normal(round(seconds * 44_100)), 44_100)

    rows = [
        {"filename": f"{fold}.wav", "fold": fold, "target": 10 * fold, "src_file": fold}
        for fold in range(1, 6)
    ]
    for row in rows:
        write(data / "esc50" / "audio" / str(row["filename"]), 1)
    table = data / "esc50" / "meta" / "esc50.csv"
    table.parent.mkdir()
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    for number in range(10):
        write(data / "speech" / "reader" / f"{number}.wav", 0.6)
    for name in ("03-1.wav", "22-1.wav"):
        write(data / "speech" / "ravdess" / name, 0.6)
    write(data / "music" / "piece.wav", 10)
    return data


def test_folds_actors_and_ends_are_held_back(folder: Path) -> None:
    loaded = load(folder)

    def seconds(kind: str, *, validation: bool) -> float:
        return sum(item.length for item in loaded.of(kind, validation=validation)) / RATE

    assert {item.label for item in loaded.of("esc50", validation=False)} == {10, 20, 30, 40}
    assert [item.label for item in loaded.of("esc50", validation=True)] == [50]
    assert seconds("speech", validation=False) == pytest.approx(10 * 0.6, abs=0.01)
    assert seconds("speech", validation=True) == pytest.approx(2 * 0.6, abs=0.01)
    assert seconds("music", validation=False) == pytest.approx(9, abs=0.01)
    assert seconds("music", validation=True) == pytest.approx(1, abs=0.01)


def test_a_second_load_comes_from_the_cache(folder: Path) -> None:
    first = load(folder)
    for path in (folder / "music").glob("*"):
        size = path.stat().st_size
        path.write_bytes(b"0" * size)
    again = load(folder)
    assert again.recordings == first.recordings
    assert np.array_equal(again.samples, first.samples)


def test_an_empty_folder_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no recordings\. Choose a folder with esc50/"):
        load(tmp_path)


def test_segments_are_of_training_recordings_and_of_the_seed_and_not_silent() -> None:
    draw = batches(corpus(), 8, 1000)
    first, again, other = (draw(torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first.shape == (8, 1000)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert (first.abs().amax(1) > 0).all()


def test_recordings_that_are_too_short_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"No training recording has \d+ samples\. Choose a folder with longer ones\."
    ):
        batches(corpus(), 8, 3 * RATE)


def test_training_lowers_the_loss_and_a_resumed_run_ends_where_a_whole_one_does(tmp_path: Path) -> None:
    def run(folder: str, steps: int, *, resume: bool = False, minutes: float | None = None) -> Vocoder:
        settings = Settings(
            tmp_path / folder,
            steps,
            2,
            minutes=minutes,
            resume=resume,
            warm_up=1,
            log_steps=1,
            validate_steps=100,
        )
        vocoder, outcome = train_vocoder(corpus(), TINY, Objective(frames=16), settings)
        losses = [entry["loss"] for entry in outcome.history if "loss" in entry]
        if minutes is None:
            assert np.mean(losses[-4:]) < np.mean(losses[:4])
        return vocoder

    whole = run("whole", 16)
    run("cut", 16, minutes=1e-6)  # stops after its first step
    resumed = run("cut", 16, resume=True)
    for name, weight in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], weight, rtol=0, atol=1e-6)


def test_the_smoke_run_runs(folder: Path, tmp_path: Path) -> None:
    main(["--data", str(folder), "--folder", str(tmp_path / "run"), "--smoke"])
    assert (tmp_path / "run" / "run.json").is_file()


def test_the_real_sound_is_at_no_distance_and_a_change_of_level_at_its_own() -> None:
    wave = corpus().wave(corpus().recordings[2])
    assert log_spectral_distance_db(wave, wave) == 0
    assert log_spectral_distance_db(0.5 * wave, wave) == pytest.approx(6.02, abs=0.01)
    # Silence is as far from sound as the sound lies above -100 dB, and not infinitely far.
    assert log_spectral_distance_db(torch.zeros_like(wave), wave) == pytest.approx(60, abs=10)


def test_a_table_has_a_row_for_each_method_and_the_real_sound_is_right() -> None:
    wave = corpus().wave(corpus().recordings[2])
    vocoder = Vocoder(Config(width=16, layers=1)).eval().requires_grad_(False)
    rows = evaluate(methods(vocoder), [wave])
    assert list(rows) == ["Griffin-Lim 32", "Griffin-Lim 100", "vocoder", "real sound"]
    real, found = rows["real sound"], rows["Griffin-Lim 100"]
    assert (real.lsd_db, real.mel_error, real.movement_db) == (0, 0, 0)
    assert found.lsd_db > 3
    # The nearest magnitude to noise is its mean, which does not move as noise does.
    assert found.movement_db < -0.5
    assert rows["Griffin-Lim 100"].mel_error < rows["Griffin-Lim 32"].mel_error < 0.02


def test_validation_recordings_are_spread_evenly() -> None:
    recordings = tuple(Recording("esc50", 0, 10, number, True) for number in range(100))
    chosen = validation_recordings(Corpus(np.zeros(10, np.int16), recordings), 5)
    assert [item.label for item in chosen["esc50"]] == [0, 25, 50, 74, 99]
    assert len(validation_recordings(Corpus(np.zeros(10, np.int16), recordings))["esc50"]) == 100
