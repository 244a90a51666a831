"""One file through one verb: the library's own samples, a row of figures, and no output but a whole one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import aural
from aural.audio import Clip, Cover, Tags, read, read_tags, write
from aural.audio.steps import finish
from aural.batch import job
from aural.batch.folder import COLUMNS, failed_row
from aural.batch.job import Done, run_steps
from aural.batch.verbs import VERBS
from aural.errors import InputError, OptionError

pytestmark = pytest.mark.usefixtures("tiny_checkpoints")

ROOT = Path(__file__).parents[2]
RATE = 16_000
# Verb -> settings with which it is quick, and others than its own.
SETTINGS: dict[str, dict[str, Any]] = {
    "master": {"target": "ebu_r128"},
    "resynthesize": {"phase": "original", "mel_bands": 0},
    "enhance": {"preset": "podcast", "strength": 0.5},
    "degrade": {"preset": "phone_call", "seed": 3},
    "super_resolve": {"rate": 24_000},
    "loop": {"crossfade_seconds": 0.1},
    "release": {"target": "spotify"},
}


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A decaying tone over noise, 2 s of stereo."""
    generator = np.random.default_rng(0)
    time = np.arange(2 * RATE) / RATE
    tone = np.sin(2 * np.pi * 220 * time) * np.exp(-4 * (time % 0.5))
    samples = np.stack((0.2 * tone, 0.1 * tone)) + 0.005 * generator.standard_normal((2, time.size))
    return write(Clip(samples.astype(np.float32), RATE), tmp_path / "memo.wav")


def run(verb: str, source: Path | None, output: Path | None = None, **settings: Any) -> Done:
    return finish(run_steps(verb, source, output, VERBS[verb].options(**settings)))


@pytest.mark.parametrize("verb", SETTINGS)
def test_a_verb_writes_what_the_library_makes(verb: str, recording: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "result.wav"
    done = run(verb, recording, output, **SETTINGS[verb])
    result = getattr(aural, verb)(read(recording), **SETTINGS[verb])
    clip = result if isinstance(result, Clip) else result.clip
    peak = np.abs(clip.samples).max()
    expected = write(clip, tmp_path / "expected.wav", "wav32f" if peak > 1 else "wav24")
    assert output.read_bytes() == expected.read_bytes()
    assert done.output == output

    before, after = aural.measure(read(recording)).figures(), aural.measure(clip).figures()
    row = done.row
    assert tuple(row) == COLUMNS
    assert (row["file"], row["output"], row["error"]) == ("memo.wav", "result.wav", "")
    assert row["integrated_lufs_before"] == before["integrated_lufs"]
    assert row["true_peak_dbtp_before"] == before["true_peak_dbtp"]
    for name in ("seconds", "rate", "channels", "integrated_lufs", "true_peak_dbtp", "range_lu"):
        assert row[name] == after[name], name
    assert row["message"].endswith(".")
    json.dumps([done.row, done.figures], allow_nan=False)


def test_measure_writes_nothing_and_tells_all_figures(recording: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    done = run("measure", recording)
    assert done.output is None and sorted(tmp_path.iterdir()) == before
    assert done.figures == aural.measure(read(recording)).figures()
    assert tuple(done.row) == COLUMNS
    assert done.row["integrated_lufs"] == done.figures["integrated_lufs"]
    assert done.row["integrated_lufs_before"] is None


def test_generate_needs_no_file_and_numbers_several(tmp_path: Path) -> None:
    done = run("generate", None, tmp_path / "dog.flac", label="dog", count=2, steps=2, seconds=0.5, seed=4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dog-1.flac", "dog-2.flac"]
    assert done.output == tmp_path / "dog-1.flac"
    assert done.figures["files"] == ["dog-1.flac", "dog-2.flac"]
    clips = aural.generate("dog", count=2, steps=2, seconds=0.5, seed=4).clips
    for name, clip in zip(done.figures["files"], clips, strict=True):
        np.testing.assert_allclose(read(tmp_path / name).samples, clip.samples, atol=2**-23)
    assert done.figures["seed"] == 4 and len(done.figures["guesses"]) == 2
    assert (done.row["file"], done.row["integrated_lufs_before"]) == ("", None)
    json.dumps(done.figures)


def test_generate_varies_a_file(recording: Path, tmp_path: Path) -> None:
    done = run("generate", recording, tmp_path / "crow.wav", label="crow", steps=2, seed=1)
    assert done.row["file"] == "memo.wav" and done.row["seconds"] == pytest.approx(2, abs=0.05)


def test_what_exceeds_full_scale_keeps_its_peaks_in_wav_and_is_told_of_in_flac(tmp_path: Path) -> None:
    loud = write(Clip(np.full((1, 1_000), 1.5, np.float32), RATE), tmp_path / "loud.wav", "wav32f")
    settings = {"phase": "original", "mel_bands": 0, "rate": None}
    kept = run("resynthesize", loud, tmp_path / "kept.wav", **settings)
    clipped = run("resynthesize", loud, tmp_path / "clipped.flac", **settings)
    assert soundfile.info(tmp_path / "kept.wav").subtype == "FLOAT"
    assert read(tmp_path / "kept.wav").samples.max() == pytest.approx(1.5, abs=0.1)
    assert "were clipped" in clipped.row["message"] and "clipped" not in kept.row["message"]


@pytest.mark.parametrize(
    ("source", "output", "match"),
    [
        ("memo.wav", "memo.wav", "is the source itself. Give the result another name."),
        ("memo.wav", "folder/../memo.wav", "is the source itself. Give the result another name."),
        ("memo.wav", "memo.doc", "'memo.doc' doesn't end in a known format. Use one of .flac, .m4v"),
        ("memo.wav", "memo", "'memo' doesn't end in a known format. Use one of .flac, .m4v"),
        ("memo.wav", "memo.wav/result.wav", "Can't create the folder 'memo.wav'"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused(
    source: str, output: str, match: str, recording: Path
) -> None:
    before = recording.read_bytes()
    with pytest.raises(OptionError, match=match):
        run("master", recording.parent / source, recording.parent / output)
    assert recording.read_bytes() == before


def test_a_file_that_cannot_be_read_gets_a_row_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        run("measure", tmp_path / "missing.wav")
    row = failed_row(tmp_path / "missing.wav", raised.value)
    assert tuple(row) == COLUMNS
    assert (row["file"], row["error"]) == ("missing.wav", str(raised.value))
    assert row["integrated_lufs"] is None


def test_too_little_memory_is_told_in_words(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Path) -> Clip:
        raise MemoryError

    monkeypatch.setattr(job, "read", fails)
    with pytest.raises(InputError, match=r"^Not enough memory for audio of this length\. Cut it into"):
        run("measure", recording)


def test_the_steps_rise_and_closing_them_leaves_no_output(recording: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "result.wav"
    options = VERBS["release"].options()
    shares = list(run_steps("release", recording, output, options))
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1
    output.unlink()
    steps = run_steps("release", recording, output, options)
    while next(steps) < 0.5:
        pass
    steps.close()
    assert not list(output.parent.iterdir())


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError])
def test_a_write_that_ends_midway_leaves_no_output(
    failure: type[BaseException], recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = soundfile.SoundFile.write

    def cut(self: soundfile.SoundFile, data: Any) -> None:
        whole(self, data[:100])
        raise failure("the disk is full")

    monkeypatch.setattr(soundfile.SoundFile, "write", cut)
    with pytest.raises((failure, OptionError)):
        run("master", recording, tmp_path / "out" / "result.wav")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("verb", SETTINGS)
def test_every_verb_carries_tags_and_cover(verb: str, recording: Path, tmp_path: Path) -> None:
    tags = Tags(
        {"title": "A memo", "artist": "Me", "track": "2"}, Cover(b"\xff\xd8\xff picture", "image/jpeg")
    )
    source = write(read(recording), tmp_path / "tagged.flac", tags=tags)
    for suffix in (".wav", ".mp3"):
        run(verb, source, tmp_path / f"result{suffix}", **SETTINGS[verb])
        assert read_tags(tmp_path / f"result{suffix}") == tags


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".ogg", ".opus"])
def test_loudness_tags_on_request_are_those_of_the_result(
    suffix: str, recording: Path, tmp_path: Path
) -> None:
    output = tmp_path / f"result{suffix}"
    options = VERBS["master"].options(target="ebu_r128")
    finish(run_steps("master", recording, output, options))
    assert b"_TRACK_GAIN" not in output.read_bytes().upper()
    finish(run_steps("master", recording, output, options, loudness_tags=True))
    content = output.read_bytes()
    if suffix == ".opus":
        assert abs(int(re.search(rb"R128_TRACK_GAIN=(-?\d+)", content)[1])) <= 26  # of 1/256 dB, at -23 LUFS
    else:
        gain = re.search(rb"REPLAYGAIN_TRACK_GAIN[=\0]([-+]\d+\.\d+) dB", content)[1]
        assert float(gain) == pytest.approx(5, abs=0.1)


@pytest.mark.parametrize(
    ("rate", "suffix", "expected"),
    [
        (96_000, ".mp3", 48_000),
        (44_100, ".opus", 48_000),
        (96_000, ".flac", 96_000),
        (16_000, ".ogg", 16_000),
    ],
)
def test_the_report_is_of_the_file(rate: int, suffix: str, expected: int, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).standard_normal((2, 2 * rate)).astype(np.float32)
    source = write(Clip(0.05 * noise, rate), tmp_path / "source.wav")
    output = tmp_path / f"result{suffix}"
    done = run("master", source, output, target="spotify")
    written = aural.measure(read(output))
    assert (done.row["rate"], read(output).rate) == (expected, expected)
    for name in ("integrated_lufs", "true_peak_dbtp", "seconds", "channels"):
        assert done.row[name] == written.figures()[name]
    assert done.figures["after"]["true_peak_dbtp"] == written.figures()["true_peak_dbtp"]
    told = (
        f"{suffix[1:].upper()} can't store {rate} Hz, so the file has {expected} Hz." in done.row["message"]
    )
    assert told == (rate != expected)


def test_a_note_on_the_source_is_told_with_the_result(tmp_path: Path) -> None:
    links = [
        write(Clip(np.full((channels, RATE), 0.1, np.float32), RATE), tmp_path / f"{channels}.ogg")
        for channels in (2, 1)
    ]
    source = tmp_path / "radio.ogg"
    source.write_bytes(b"".join(link.read_bytes() for link in links))
    note = "The file changes to 16000 Hz mono midway; all of it was converted to 16000 Hz stereo."
    assert run("master", source, tmp_path / "a.wav").row["message"].endswith(note)
    assert run("measure", source).row["message"].endswith(note)
    assert aural.master(read(source)).message.endswith(note)
