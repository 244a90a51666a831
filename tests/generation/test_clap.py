"""CLAP where its files can be had: from a folder, the Hub cache or the Hub; never in anyone's way."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import constants

from aural.generation import clap
from aural.hub.download import TIMEOUT_SECONDS, Unavailable
from tests.generation.tiny_clap import write_clap

LONG_SECONDS = 60.0  # for a busy machine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clap")
    write_clap(path)
    return path


@pytest.fixture(autouse=True)
def nothing_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No model, no setting, and an empty Hub cache."""
    monkeypatch.setattr(clap, "_loading", None)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AURAL_CLAP", raising=False)
    monkeypatch.delenv("AURAL_HUB_REPO", raising=False)
    monkeypatch.setattr(clap, "download", lambda *_, **__: pytest.fail("the Hub is asked"))


def test_embeddings_are_directions_of_sounds_and_texts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURAL_CLAP", str(folder))
    model = clap.load()
    sounds = model.sounds(np.random.default_rng(0).normal(0, 0.1, (2, 22_050)).astype(np.float32), 22_050)
    assert sounds.shape == (2, 16) and model.classes.shape == (50, 16)
    for vectors in (sounds, model.classes):
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    scores = model.class_scores("This is a sound of dog.")
    assert np.argmax(scores) == 0 and scores[0] == pytest.approx(1.0, abs=1e-5)


def test_it_loads_in_the_background_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURAL_CLAP", str(folder))
    clap.ready()
    model = clap.ready(LONG_SECONDS)
    assert model is not None and clap.ready() is model


def test_offline_it_is_not_there_and_the_hub_is_not_asked() -> None:
    assert clap.ready(LONG_SECONDS) is None


def test_it_is_fetched_where_the_hub_may_be_used_without_waiting(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arriving = threading.Event()
    orders: list[tuple[Any, ...]] = []

    def slow_hub(repository: str, revision: str, files: Mapping[str, bool], **limits: Any) -> dict[str, Path]:
        orders.append((repository, revision, set(files), limits["timeout_seconds"]))
        assert arriving.wait(LONG_SECONDS)
        return {file: folder / file for file in files}

    monkeypatch.setenv("AURAL_HUB_REPO", "someone/aural")
    monkeypatch.setattr(clap, "download", slow_hub)
    started = time.monotonic()
    assert clap.ready() is None and time.monotonic() - started < 5
    arriving.set()
    assert clap.ready(LONG_SECONDS) is not None
    assert orders == [(clap.CLAP, clap.REVISION, set(clap.FILES), TIMEOUT_SECONDS)]


def test_a_failure_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def dead_hub(*_: Any, **__: Any) -> dict[str, Path]:
        asked.append(1)
        raise Unavailable("the Hub sent nothing new for 3.5 s", "try again later")

    monkeypatch.setenv("AURAL_CLAP", clap.CLAP)
    monkeypatch.setattr(clap, "download", dead_hub)
    assert clap.ready(LONG_SECONDS) is None and clap.ready(LONG_SECONDS) is None
    assert len(asked) == 1
    with pytest.raises(Unavailable, match="nothing new"):
        clap.load()


def test_files_in_the_hub_cache_are_used_without_asking(folder: Path) -> None:
    cached = Path(constants.HF_HUB_CACHE) / f"models--{clap.CLAP.replace('/', '--')}"
    snapshot = cached / "snapshots" / "5e"
    snapshot.mkdir(parents=True)
    (cached / "refs").mkdir()
    (cached / "refs" / clap.REVISION).write_text("5e")
    for file in folder.iterdir():
        (snapshot / file.name).write_bytes(file.read_bytes())
    (snapshot / "preprocessor_config.json").write_text("{}")
    assert clap.ready(LONG_SECONDS) is not None


@pytest.mark.parametrize(
    ("setting", "reason"),
    [("off", "AURAL_CLAP is off"), ("a//b", "AURAL_CLAP is 'a//b'"), ("empty folder", "holds no CLAP model")],
)
def test_what_cannot_be_loaded_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, reason: str
) -> None:
    monkeypatch.setenv("AURAL_CLAP", str(tmp_path) if setting == "empty folder" else setting)
    with pytest.raises(Unavailable, match=reason) as failure:
        clap.load()
    assert str(failure.value).endswith(".")
    assert clap.ready(LONG_SECONDS) is None
