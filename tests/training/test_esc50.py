"""Reading the table of ESC-50."""

from pathlib import Path

import pytest

from aural.errors import InputError
from aural.training.esc50 import esc50_clips


def test_each_row_of_the_table_is_a_clip(tmp_path: Path) -> None:
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "esc50.csv").write_text(
        "filename,fold,target,category,esc10,src_file,take\n"
        "1-100032-A-0.wav,1,0,dog,True,100032,A\n"
        "5-9032-A-0.wav,5,40,helicopter,False,9032,A\n"
    )
    dog, helicopter = esc50_clips(tmp_path)
    assert dog.path == tmp_path / "audio" / "1-100032-A-0.wav"
    assert (dog.label, dog.fold, dog.source, dog.is_validation) == (0, 1, "100032", False)
    assert (helicopter.label, helicopter.is_validation) == (40, True)
    assert dog.row["category"] == "dog"


def test_a_folder_without_the_table(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"has no meta/esc50\.csv\. Choose the folder of a clone of karolpiczak/ESC-50\."
    ):
        esc50_clips(tmp_path)
