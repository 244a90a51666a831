"""A field for several files takes a program's files by their content, whatever their names."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import pytest
from gradio.components.file import ListFiles
from gradio.data_classes import FileData

from aural.files import SUFFIXES
from aural.ui.uploads import HEAD, media_files


@pytest.mark.parametrize("name", ["song.mp3", "song", "song.dat"])
def test_any_name_is_taken_from_a_program(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"content")
    with gr.Blocks():
        field = media_files("Tracks")
    assert field.preprocess(ListFiles(root=[FileData(path=str(path))])) == [str(path)]
    assert field.get_block_name() == "file"
    assert set(field.file_types or ()) == {"audio", "video", *SUFFIXES}


def test_the_browser_is_told_every_ending() -> None:
    assert all(f'"{suffix}"' in HEAD for suffix in SUFFIXES)
