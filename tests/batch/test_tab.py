"""What a batch makes of many files: results, rows, and nothing left behind."""

from __future__ import annotations

import io
import unicodedata
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
import soundfile

import aural
from aural.audio import read
from aural.batch import tab
from aural.batch.folder import COLUMNS
from aural.batch.verbs import VERBS
from aural.enhancement import degrade
from aural.errors import OptionError
from aural.loudness.targets import TARGETS
from aural.studio import pipeline
from aural.studio.tab import RATES
from aural.ui.endpoints import NO_FILES
from tests.batch.test_folder import rows_of
from tests.memos import write_memo


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where results go."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    return tmp_path / "gradio" / "results"


@pytest.fixture
def three(tmp_path: Path) -> list[str]:
    """A good file, a bad one, and a good one of the same name in another folder."""
    for name in "abc":
        (tmp_path / name).mkdir()
    (tmp_path / "b" / "notes.wav").write_text("This is not audio.")
    return [
        write_memo(tmp_path / "a" / "memo.wav"),
        str(tmp_path / "b" / "notes.wav"),
        write_memo(tmp_path / "c" / "memo.flac", 300.0, channels=2),
    ]


def outputs(*args: Any) -> list[Any]:
    return list(tab.batch(*args))


def test_every_control_of_a_verb_sets_one_of_its_settings() -> None:
    assert list(tab.CHOICES) == [
        "release",
        "enhance",
        "super_resolve",
        "master",
        "measure",
        "degrade",
        "loop",
    ]
    assert f"verb: one of {', '.join(tab.CHOICES)}\n" in (tab.batch.__doc__ or "")
    assert set(tab.CHOICES) == {name for name, verb in VERBS.items() if verb.batch_name}
    assert set(tab.CHOICES.items()) < set(VERBS.items())
    for verb in tab.CHOICES.values():
        assert set(verb.batch_settings) <= {field.name for field in fields(verb.options)}, verb
    for verb in ("release", "enhance"):
        for preset in pipeline.PRESETS:
            tab._options(verb, {"preset": preset, "strength": 0.5})
    for preset in tab.PHONE_NAMES:
        assert tab._options("degrade", {"preset": preset}) == degrade.Options(preset)
    for target in TARGETS:
        tab._options("master", {"target": target})
    for rate in (*RATES, None):
        assert tab._options("super_resolve", {"rate": rate}).rate == rate


@pytest.mark.parametrize(
    ("verb", "settings", "said"),
    [
        ("generate", {}, "no verb for a batch .generate."),
        (["enhance"], {}, r"\. Choose one of release"),
        ("enhance", {"volume": 1}, "no setting volume. Choose one of preset, strength"),
        ("enhance", {"strength": "much"}, "must be a number"),
        ("enhance", {"strength": 2}, "from 0 to 1"),
        ("enhance", {"strength": True}, "must be a number"),
        ("enhance", {"preset": ["podcast"]}, "must be a number, a text"),
        ("enhance", {"preset": "x" * 999}, "preset"),
        ("enhance", '{"strength": 2}', "from 0 to 1"),
        ("enhance", "strength=2", "JSON object"),
        ("enhance", [1], "JSON object"),
        ("enhance", 7, "JSON object"),
        ("master", {"target": "moon"}, "no target .moon."),
        ("master", {"downmix": "upwards"}, "no down-mix .upwards."),
        ("master", {"layout": "22.2"}, "no channel layout .22.2."),
        ("measure", {"layout": "22.2"}, "no channel layout .22.2."),
        ("release", {"target": "moon"}, "no target .moon."),
        ("super_resolve", {"rate": 1}, "whole number from 4000"),
        ("degrade", {"seed": 1.5}, "whole number"),
        ("loop", {"crossfade_seconds": 11}, "from 0.01 to 10 s"),
    ],
)
def test_wrong_settings_are_told_before_any_work(
    three: list[str], monkeypatch: pytest.MonkeyPatch, verb: Any, settings: Any, said: str
) -> None:
    monkeypatch.setattr(tab, "run_steps", lambda *_: pytest.fail("work was begun"))
    with pytest.raises(gr.Error, match=said):
        outputs(three, verb, settings)


def test_settings_come_as_an_object_or_as_its_text() -> None:
    asked = tab._options("master", '{"loudness_lufs": -20, "limiter": false, "range_lu": null}')
    assert (asked.loudness_lufs, asked.limiter, asked.range_lu) == (-20.0, False, None)
    assert tab._options("degrade", {"seed": 7.0}).seed == 7
    for nothing in (None, "", "{}", {}):
        assert tab._options("release", nothing) == pipeline.Options()
    with pytest.raises(OptionError):
        tab._options("release", "null and void")


def test_no_files_and_too_many_are_told_with_the_limit(three: list[str]) -> None:
    for none in ([], None):
        with pytest.raises(gr.Error, match="Upload audio"):
            outputs(none)
    with pytest.raises(gr.Error, match="51 files exceed the limit of 50"):
        outputs(three * 17)


def test_a_bad_file_among_good_ones_does_not_stop_them(three: list[str], results: Path) -> None:
    *shown, (path, csv_path, rows) = outputs(three, "master", {"target": "apple_podcasts"})
    # The rows come one by one.
    assert [len(each) for *_, each in (out for out in shown if isinstance(out, tuple))] == [1, 2, 3]
    assert [bool(row["error"]) for row in rows] == [False, True, False]
    assert "Can't read any audio" in rows[1]["error"]
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert all(member.compress_type == zipfile.ZIP_STORED for member in archive.infolist())
        assert archive.namelist() == ["memo-mastered.wav", "memo-2-mastered.wav", "measurements.csv"]
        assert [row["output"] for row in rows if row["output"]] == archive.namelist()[:2]
        for name in archive.namelist()[:2]:
            sound = io.BytesIO(archive.read(name))
            assert soundfile.info(sound).subtype == "PCM_24"
            unpacked = results / name
            unpacked.write_bytes(sound.getvalue())
            assert aural.measure(read(unpacked)).integrated_lufs == pytest.approx(-16, abs=0.1)
        text = archive.read("measurements.csv").decode()
    assert Path(csv_path).read_bytes().decode() == text
    told = rows_of(text)
    assert list(told[0]) == list(COLUMNS)
    assert [row["file"] for row in told] == ["memo.wav", "notes.wav", "memo.flac"]
    assert [row["error"] for row in told] == [row["error"] for row in rows]
    assert float(told[0]["integrated_lufs"]) == pytest.approx(-16, abs=0.1)
    # The results are in the archive, and nowhere else.
    assert sorted(file.name for file in Path(path).parent.iterdir()) == [
        "batch-master.zip",
        "measurements.csv",
    ]


@pytest.mark.parametrize("asked", [True, "yes", False])
def test_loudness_tags_are_a_setting_of_any_verb(asked: bool | str, three: list[str]) -> None:
    path, _, rows = outputs(three[:1], "master", {"target": "ebu_r128", "loudness_tags": asked})[-1]
    with zipfile.ZipFile(path) as archive:
        assert (b"REPLAYGAIN_TRACK_GAIN\x00+5.0" in archive.read(rows[0]["output"])) == bool(asked)
    with pytest.raises(gr.Error, match="loudness_tags must be true or false, not 'loud'"):
        outputs(three[:1], "master", {"loudness_tags": "loud"})


def test_measuring_makes_a_table_and_no_sounds(three: list[str]) -> None:
    path, _, rows = outputs(three, "measure")[-1]
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["measurements.csv"]
    expected = aural.measure(read(three[0])).figures()
    assert rows[0]["integrated_lufs"] == expected["integrated_lufs"]
    assert rows[0]["true_peak_dbtp"] == expected["true_peak_dbtp"]


def test_loops_are_made_in_a_batch(three: list[str]) -> None:
    path, _, rows = outputs(three, "loop", {"crossfade_seconds": 0.1})[-1]
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["memo-loop.wav", "memo-2-loop.wav", "measurements.csv"]
        for name, row, source in zip(
            archive.namelist(), (rows[0], rows[2]), (three[0], three[2]), strict=False
        ):
            expected = aural.loop(read(source), crossfade_seconds=0.1)
            assert row["message"] == expected.message
            assert row["seconds"] == pytest.approx(expected.clip.seconds, abs=1e-3)
            assert soundfile.info(io.BytesIO(archive.read(name))).frames == expected.clip.frames


def test_a_batch_that_is_cancelled_leaves_nothing(three: list[str], results: Path) -> None:
    running = tab.batch(three, "master")
    while not isinstance(next(running), tuple):
        pass
    assert list(results.rglob("*.zip"))
    running.close()
    assert not [file for file in results.rglob("*") if file.is_file()]


@pytest.mark.parametrize(
    "error", [RuntimeError("/srv/secret broken"), OSError(5, "I/O error", "/srv/secret")]
)
def test_a_bug_in_a_verb_fails_its_file_alone(
    error: Exception, three: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tab.run_steps

    def broken(verb: str, source: Path, *rest: Any) -> Any:
        if source == Path(three[0]):
            raise error
        return whole(verb, source, *rest)

    monkeypatch.setattr(tab, "run_steps", broken)
    path, _, rows = outputs(three, "master")[-1]
    assert [bool(row["error"]) for row in rows] == [True, True, False]
    assert rows[0]["error"].endswith(
        (". Please report it with the file.", ". Fix the cause and run it again.")
    )
    assert "secret" not in rows[0]["error"]
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == 2


def test_when_the_time_is_up_the_rest_is_told_so(three: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tab, "WORK_SECONDS", 0.0)
    path, _, rows = outputs(three, "measure")[-1]
    assert all("reached its limit of" in row["error"] for row in rows)
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["measurements.csv"]


def test_a_full_archive_takes_no_more(three: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tab, "ARCHIVE_BYTES", 1000)
    path, _, rows = outputs(three, "master")[-1]
    assert [row["error"][:30] for row in rows] == ["", *["The results reached the limit "] * 2]
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["memo-mastered.wav", "measurements.csv"]


HOSTILE = [
    "../../etc/passwd.wav",
    "..wav",
    "...",
    "C:\\windows\\a.wav",
    "a\x00b\nc\x7f.wav",
    "\u202egpj.wav",
    "\ud800.wav",
    'what?*<>|".wav',
    "=1+1.wav",
    "CON.wav",
    "ü" * 200 + ".wav",
    "🎤" * 90 + ".wav",
    "MEASUREMENTS.csv",
    " .wav",
    "memo.wav",
    "Memo.m4a",
    "memo-2.wav",
    "memo.mp3",
]


@pytest.mark.parametrize("ending", ["enhanced.wav", "super-resolved.wav"])
def test_hostile_names_become_safe_ones(ending: str) -> None:
    names = tab._names(HOSTILE, ending)
    assert len({name.casefold() for name in names}) == len(HOSTILE)
    for name in names:
        assert name.endswith(f"-{ending}") and name == unicodedata.normalize("NFC", name)
        assert not set(name) & set('/\\:*?"<>|') and not name.startswith(".")
        assert not any(unicodedata.category(character).startswith("C") for character in name)
        assert len(name.encode()) < 255 and name.split("-")[0].strip()
    assert names[-4:] == [f"memo-{ending}", f"Memo-2-{ending}", f"memo-2-2-{ending}", f"memo-3-{ending}"]
    assert tab._names(HOSTILE, None) == [None] * len(HOSTILE)


def test_the_table_tells_figures_and_failures_as_text() -> None:
    blank: dict[str, Any] = {**dict.fromkeys(COLUMNS), "error": "", "message": ""}
    shown = tab._rows_table(
        [
            {**blank, "file": "<b>.wav", "integrated_lufs": -16.0, "range_lu": 0.0, "seconds": 61.25},
            {**blank, "file": "bad.wav", "error": "It holds <nothing>."},
        ]
    )
    assert "&lt;b&gt;.wav" in shown and ">−16.0<" in shown and ">0.0<" in shown and ">Measured.<" in shown
    assert "Failed. It holds &lt;nothing&gt;." in shown
    assert tab._rows_table(None) == tab._rows_table([]) == ""


def test_what_is_to_come_is_told_and_so_is_what_is_too_long(
    three: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "hand in fewer" not in tab._estimate(three, "measure")
    monkeypatch.setattr(tab, "WORK_SECONDS", 0.001)
    assert "Upload fewer" in tab._estimate(three, "measure")
    assert tab._estimate([three[1]], "measure") == ""
    assert NO_FILES in tab._estimate(None, "measure")


def test_a_reload_gives_the_controls_back_what_a_batch_was_run_with() -> None:
    with gr.Blocks():
        inputs = tab._input_section()
    values: dict[str, Any] = {name: f"value of {name}" for name in inputs.controls}
    for verb, row in tab.CHOICES.items():
        settings = tab._select_settings(verb, values)
        given = dict(zip(inputs.controls, tab._controls_of(inputs, verb, settings), strict=True))
        for name, control in inputs.controls.items():
            expected = values[name] if name in row.batch_settings.values() else control.value
            assert given[name] == expected, (verb, name)
