"""The command line as a shell calls it: results, figures, exit codes, and nothing left behind."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import aural
from aural import __main__ as shell_command
from aural.__main__ import main
from aural.audio import Clip, read, read_tags, write
from aural.batch.folder import COLUMNS
from aural.batch.verbs import VERBS
from aural.options import REQUIRED, describe
from tests.audio.test_video import click_times, film, flash_times, picture_packets

pytestmark = pytest.mark.usefixtures("tiny_checkpoints")

ROOT = Path(__file__).parents[1]
RATE = 16_000


def tone(seconds: float = 1.0, channels: int = 2) -> Clip:
    """A decaying tone over noise."""
    generator = np.random.default_rng(0)
    time = np.arange(round(seconds * RATE)) / RATE
    samples = 0.1 * np.sin(2 * np.pi * 220 * time) * np.exp(-4 * (time % 0.5))
    noise = 0.005 * generator.standard_normal((channels, time.size))
    return Clip((samples + noise).astype(np.float32), RATE)


@pytest.fixture
def memo(tmp_path: Path) -> Path:
    return write(tone(), tmp_path / "memo.wav")


@pytest.fixture
def memos(tmp_path: Path) -> Path:
    """A folder of three files, one of which is none."""
    folder = tmp_path / "memos"
    (folder / "talks").mkdir(parents=True)
    write(tone(), folder / "one.wav")
    write(tone(channels=1), folder / "talks" / "two.flac")
    (folder / "bad.mp3").write_bytes(b"no sound at all")
    return folder


def shell(*arguments: object, **settings: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "aural", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, **settings)


def call(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_a_folder_in_a_folder_out_and_one_bad_file_does_not_stop_the_rest(
    memos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = shell("master", memos, out, "--target", "ebu_r128", "--format", "flac", "--json")
    assert done.returncode == 3, done.stderr
    rows = json.loads(done.stdout)
    assert [row["file"] for row in rows] == ["bad.mp3", "one.wav", "talks/two.flac"]
    assert [row["output"] for row in rows] == ["", "one-mastered.flac", "talks/two-mastered.flac"]
    assert [bool(row["error"]) for row in rows] == [True, False, False]
    assert all(list(row) == [*COLUMNS, "figures"] for row in rows)
    assert f"bad.mp3: {rows[0]['error']}" in done.stderr and "1 of 3" in done.stderr
    assert "Traceback" not in done.stderr and "%" not in done.stderr  # no progress where nobody looks
    written = [str(path.relative_to(out)) for path in sorted(out.rglob("*")) if path.is_file()]
    assert written == ["one-mastered.flac", "talks/two-mastered.flac"]
    for row in rows[1:]:
        assert aural.measure(read(out / row["output"])).integrated_lufs == pytest.approx(-23, abs=0.1)


def test_an_error_is_one_sentence_and_no_traceback(tmp_path: Path) -> None:
    done = shell("measure", tmp_path / "missing.wav", "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "File 'missing.wav' not found. Choose an audio file.\n"


def test_help_and_the_meter_start_without_a_model_library(memo: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from aural.__main__ import main\n"
        "try: main(['enhance', '--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        f"assert main(['measure', {str(memo)!r}]) == 0\n"
        f"assert main(['master', {str(memo)!r}, {str(tmp_path / 'out.wav')!r}]) == 0\n"
        "heavy = {'torch', 'librosa', 'matplotlib', 'diffusers', 'transformers', 'gradio', 'av', 'ray'}\n"
        "print('loaded:', *heavy & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].split() == ["loaded:"]


def test_interrupted_it_shows_its_progress_till_then_and_leaves_nothing(tmp_path: Path) -> None:
    long, out = write(tone(60), tmp_path / "long.wav"), tmp_path / "out"
    out.mkdir()
    mine, its = pty.openpty()
    # So many rounds take minutes: no machine is done before it is interrupted.
    command = [sys.executable, "-m", "aural", "resynthesize", str(long), str(out / "long.wav")]
    command += ["--iterations", "1000"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=its,
        # What runs in a shell's background is told to ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        os.close(its)
        shown = b""
        while not re.search(rb"[1-9]\d?%", shown):
            shown += os.read(mine, 1024)
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None and process.stdout.read() == b""
        while True:
            try:
                shown += os.read(mine, 1024)
            except OSError:  # its end of the line is closed
                break
    os.close(mine)
    assert process.returncode == 130
    assert b"long.wav" in shown and b"Interrupted." in shown and b"Traceback" not in shown
    assert not list(out.iterdir())


@pytest.mark.parametrize(
    ("arguments", "library"),
    [
        (["enhance", "--preset=podcast", "--strength", "0.7", "--no-completion"],
         lambda clip: aural.enhance(clip, preset="podcast", strength=0.7, completion=False).clip),
        (["super-resolve", "--rate", "24000"], lambda clip: aural.super_resolve(clip, rate=24_000).clip),
        (["degrade", "--snr-db", "-3", "--seed=2"], lambda clip: aural.degrade(clip, snr_db=-3.0, seed=2)),
        (["loop", "--crossfade-seconds", "0.1"], lambda clip: aural.loop(clip, crossfade_seconds=0.1).clip),
        (["resynthesize", "--phase", "original", "--rate", "none"],
         lambda clip: aural.resynthesize(clip, phase="original", rate=None).clip),
        (["release", "--target", "spotify", "--downmix", "mono"],
         lambda clip: aural.release(clip, target="spotify", downmix="mono").clip),
        (["master", "--loudness_lufs", "-20", "--no-limiter"],
         lambda clip: aural.master(clip, loudness_lufs=-20.0, limiter=False).clip),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)  # fmt: skip
def test_a_verb_writes_the_samples_of_the_library(
    arguments: list[str], library: Any, memo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verb, *settings = arguments
    output = tmp_path / "result.wav"
    assert call(verb, memo, output, *settings, "--json") == 0
    expected = write(library(read(memo)), tmp_path / "expected.wav", "wav24")
    assert output.read_bytes() == expected.read_bytes()
    told = json.loads(capsys.readouterr().out)
    assert (told["file"], told["output"]) == (str(memo), str(output))
    assert told["integrated_lufs"] == aural.measure(read(output)).figures()["integrated_lufs"]


def test_measure_prints_the_figures_of_the_library(memo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("measure", memo, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["figures"] == aural.measure(read(memo)).figures()
    assert call("measure", memo) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[0].startswith(f"{memo}: Shorter than 3 s")
    assert f"{told['integrated_lufs']:.1f} LUFS" in lines[1] and "dBTP" in lines[1] and "stereo" in lines[1]


def test_generate_numbers_its_sounds_or_puts_them_into_a_folder(
    memo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ["--steps", "2", "--seconds", "0.5", "--seed", "1"]
    assert call("generate", "dog", tmp_path / "bark.flac", "--count", "2", *quick) == 0
    assert "bark-1.flac, bark-2.flac: Seed 1" in capsys.readouterr().out
    assert call("generate", "church bells", tmp_path / "sounds", *quick) == 0
    assert call("generate", "crow", tmp_path / "crow.wav", "--source", memo, "--strength", "0.3", *quick) == 0
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")}
    assert names == {"memo.wav", "bark-1.flac", "bark-2.flac", "sounds/church_bells.wav", "crow.wav"}
    clip = aural.generate("crow", source=read(memo), strength=0.3, steps=2, seconds=0.5, seed=1).clips[0]
    np.testing.assert_allclose(read(tmp_path / "crow.wav").samples, clip.samples, atol=2**-23)


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "ogg", "opus"])
def test_the_suffix_chooses_the_format(suffix: str, memo: Path, tmp_path: Path) -> None:
    assert call("master", memo, tmp_path / f"result.{suffix}", "--quiet") == 0
    made = read(tmp_path / f"result.{suffix}")
    assert made.seconds == pytest.approx(1, abs=0.05)
    if suffix != "opus":  # libsndfile calls that Ogg
        assert soundfile.info(tmp_path / f"result.{suffix}").format.lower() in (suffix, "wavex")


def test_nothing_is_overwritten_unless_forced(
    memo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "result.wav"
    output.write_bytes(b"precious")
    assert call("master", memo, output) == 1
    assert output.read_bytes() == b"precious"
    assert "--force" in capsys.readouterr().err
    assert call("master", memo, output, "--force", "--quiet") == 0
    assert read(output).frames == RATE
    assert capsys.readouterr().out == ""
    original = memo.read_bytes()
    assert call("master", memo, memo, "--force") == 1
    assert memo.read_bytes() == original and "itself" in capsys.readouterr().err


def test_a_folder_is_refused_whole_where_a_result_is_there_already(
    memos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "one-mastered.wav").touch()
    assert call("master", memos, tmp_path / "out") == 1
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["one-mastered.wav"]
    assert call("master", memos, memos) == 1
    assert call("master", memos, memos / "one.wav") == 1
    assert capsys.readouterr().err.count("\n") == 3


def test_a_file_goes_into_a_folder_under_its_own_name(memo: Path, tmp_path: Path) -> None:
    assert call("master", memo, tmp_path / "out", "--format", "mp3", "--quiet") == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["memo-mastered.mp3"]


def test_a_folder_is_measured_with_a_line_for_each(memos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (memos / "bad.mp3").unlink()
    assert call("measure", memos) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in told[::2]] == ["one.wav", "talks/two.flac"]
    assert "LUFS" in told[1] and "mono" in told[3]


def test_a_name_that_is_no_text_stops_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tone(), tmp_path / os.fsdecode(b"a \xff.wav"))
    write(tone(), tmp_path / "b.wav")
    assert call("measure", tmp_path) == 0
    assert capsys.readouterr().out.startswith("a \\udcff.wav: ")
    assert call("measure", tmp_path, "--json") == 0
    assert [row["file"] for row in json.loads(capsys.readouterr().out)] == ["a \udcff.wav", "b.wav"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["sing", "in.wav", "out.wav"],
        ["master", "in.wav"],
        ["master", "in.wav", "out.wav", "--louder"],
        ["master", "in.wav", "out.wav", "--max-gain-db", "much"],
        ["super_resolve", "in.wav", "out.wav", "--method", "magic"],
        ["super_resolve", "in.wav", "out.wav", "--rate", "44100.5"],
        ["measure", "in.wav", "--force"],
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("usage:")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["enhance", "memo.wav", "out.wav", "--strength", "3"], "strength"),
        (["release", "memo.wav", "out.wav", "--target", "moon"], "target"),
        (["generate", "dragon", "out.wav"], "dragon"),
        (["master", "memo.wav", "out.doc"], "format"),
    ],
)
def test_what_a_verb_refuses_ends_with_1(
    arguments: list[str],
    word: str,
    memo: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(memo.parent)
    assert main(arguments) == 1
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1 and word in told.err
    assert [path.name for path in memo.parent.iterdir()] == ["memo.wav"]


@pytest.mark.parametrize("verb", VERBS)
def test_help_tells_of_every_setting(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([verb, "--help"])
    assert end.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    for field in describe(VERBS[verb].options):
        if field.default is not REQUIRED:
            assert f"--{field.name.replace('_', '-')}" in told
    assert "None" not in told


def test_no_exception_of_one_file_ends_a_folder(
    memos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = shell_command.run_steps

    def broken(verb: str, source: Path, *rest: Any) -> Any:
        if source.name == "one.wav":
            raise ValueError("a bug")
        return whole(verb, source, *rest)

    monkeypatch.setattr(shell_command, "run_steps", broken)
    assert call("master", memos, tmp_path / "out") == 3
    told = capsys.readouterr()
    assert "one.wav: AURAL failed on this file (ValueError: a bug). Please report it" in told.err
    assert "2 of 3 files failed." in told.err and "two-mastered.wav" in told.out


def test_a_voicemail_that_libsndfile_cannot_seek_is_one_of_many(memos: Path, tmp_path: Path) -> None:
    soundfile.write(memos / "voicemail.wav", tone().samples[0], RATE, "GSM610", format="WAV")
    assert call("master", memos, tmp_path / "out", "--quiet") == 3  # bad.mp3
    assert (tmp_path / "out" / "voicemail-mastered.wav").is_file()


@pytest.mark.parametrize("letter", ["m", "é", "🎤"])
def test_long_names_are_shortened_and_stay_apart(letter: str, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    stem = letter * (249 // len(letter.encode()))
    for last in "ab":
        write(tone(), folder / f"{stem}{last}.wav")
    assert call("master", folder, out, "--quiet") == 0
    names = sorted(path.name for path in out.iterdir())
    assert len(names) == 2
    assert all(name.endswith("-mastered.wav") and len(name.encode()) <= 255 for name in names)
    assert call("master", folder / f"{stem}a.wav", tmp_path / "one", "--quiet", "--format", "flac") == 0
    assert [path.suffix for path in (tmp_path / "one").iterdir()] == [".flac"]


@pytest.mark.parametrize("arguments", [("measure", "x" * 300), ("master", "x" * 300, "y.wav")])
def test_a_name_that_no_file_can_have_is_refused(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*arguments) == 1
    assert capsys.readouterr().err.startswith("Can't open")


def test_a_result_that_no_file_can_be_is_refused(memo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("master", memo, memo.with_name("y" * 300 + ".wav")) == 1
    assert "Give another name." in capsys.readouterr().err


def test_no_name_commands_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "a\x1b[2J\x1b]0;owned\x07\u202ec\x9b1m\x7f.wav"
    write(tone(), tmp_path / hostile)
    (tmp_path / f"bad{hostile}").write_text("no sound")
    assert call("measure", tmp_path) == 3
    assert call("measure", tmp_path / f"bad{hostile}") == 1
    with pytest.raises(SystemExit):
        call("measure", tmp_path / hostile, hostile)
    told = capsys.readouterr()
    for text in (told.out, told.err):
        assert "a\\x1b[2J" in text and "\\u202ec\\x9b1m\\x7f" in text
        assert not set(text) & set("\x1b\x07\u202e\x9b\x7f")


def test_a_reader_that_leaves_ends_it_quietly(memos: Path) -> None:
    command = f"{sys.executable} -m aural measure {memos} --json | head -n 1"
    others = (f"{sys.executable} -m aural {arguments} | true" for arguments in (f"measure {memos}", "--help"))
    for text in (command, *others):
        done = subprocess.run(["bash", "-c", text], cwd=ROOT, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
        assert "BrokenPipe" not in done.stderr


@pytest.mark.parametrize("verb", ["master", "enhance", "super-resolve", "release"])
def test_the_sound_of_a_video_is_replaced(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = film(tmp_path / "talk.mp4", sound_starts=0.5, tags={"title": "A talk"})
    output = tmp_path / "out.mp4"
    assert call(verb, source, output, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert picture_packets(output) == picture_packets(source)
    assert read_tags(output).texts == {"title": "A talk"}
    assert told["integrated_lufs"] == aural.measure(read(output)).figures()["integrated_lufs"]
    if verb == "master":  # the others may take clicks for damage
        np.testing.assert_allclose(click_times(output), flash_times(output), atol=0.003)
        # Only its level changes: the click is as long before it is encoded as after.
        assert read(output).frames == pytest.approx(read(source).frames, abs=1_024)


def test_what_cannot_be_the_sound_of_a_video_is_refused_before_any_work(
    memo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = film(tmp_path / "talk.mp4")
    before = sorted(tmp_path.iterdir())
    assert call("master", memo, tmp_path / "out.mp4") == 1
    assert call("master", source, tmp_path / "out.webm") == 1
    assert call("master", source, tmp_path / "out.avi") == 1
    assert call("master", source, source, "--force") == 1
    assert call("master", source, tmp_path / "out.mp4", "--loudness-tags") == 1
    assert call("master", tmp_path / "missing.mp4", tmp_path / "out.mp4") == 1
    assert call("generate", "dog", tmp_path / "dog.mp4") == 1
    assert call("loop", source, tmp_path / "out.mp4") == 1
    assert capsys.readouterr().err.splitlines() == [
        "'memo.wav' has no picture, so 'out.mp4' can't be made from it. "
        "Write .flac, .mp3, .ogg, .opus, .wav.",
        "A webm file can't hold this picture (h264). Write .m4v, .mkv, .mov, .mp4.",
        "'out.avi' doesn't end in a known format. Use one of .flac, .m4v, .mkv, .mov, .mp3, .mp4, .ogg, "
        ".opus, .wav, .webm.",
        "'talk.mp4' is the source itself. Give the result another name.",
        "Video files have no loudness tags. Leave out --loudness-tags.",
        "File 'missing.mp4' not found. Choose an audio file.",
        "A made sound is not as long as a video. Write it as .wav.",
        "A loop is not as long as a video. Write it as .wav.",
    ]
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_of_videos_keeps_its_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "talks"
    folder.mkdir()
    film(folder / "one.mp4")
    write(tone(), folder / "two.wav")
    assert call("master", folder, tmp_path / "out", "--format", "mkv") == 3
    assert "two.wav: 'two.wav' has no picture" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["one-mastered.mkv"]
    assert len(picture_packets(tmp_path / "out" / "one-mastered.mkv")) == 75
