"""The README's example runs, and its table names what the package offers."""

from __future__ import annotations

import re
from pathlib import Path

import gradio as gr
import gradio_abplayer
import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).parents[1]
README = ROOT.joinpath("README.md").read_text(encoding="utf-8")


def test_the_example_shows_its_files_at_matched_loudness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = np.arange(48_000) / 48_000
    for name, amplitude in (("song", 0.5), ("master", 0.05)):
        soundfile.write(tmp_path / f"{name}.wav", amplitude * np.sin(2 * np.pi * 997 * times), 48_000)
    launched = {}
    monkeypatch.setattr(gr.Blocks, "launch", lambda _, **settings: launched.update(settings))
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    names: dict[str, gr.Blocks] = {}
    exec(code, names)
    assert launched == {"head": gradio_abplayer.HEAD}
    (player,) = names["demo"].blocks.values()
    gains_db = [version["matched_gain_db"] for version in player.value]
    assert gains_db == pytest.approx([-20, 0], abs=0.1)


def test_the_table_names_all_that_the_package_offers() -> None:
    table = README[README.index("## API") : README.index("## Licence")]
    assert [name for name in gradio_abplayer.__all__ if not re.search(rf"`{name}\b", table)] == []


def test_its_links_lead_to_files() -> None:
    links = [link for link in re.findall(r"\]\((\S+?)\)", README) if not link.startswith("https://")]
    assert len(links) > 2
    assert [link for link in links if not (ROOT / link).is_file()] == []
