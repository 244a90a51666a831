"""The tables of super-resolution: the recordings, the figures and the targets."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from aural.audio import Clip, read
from aural.audio.resample import resample
from aural.errors import CheckpointError, InputError, OptionError
from aural.superres import evaluate
from aural.superres.evaluate import CUT_OFFS_HZ, ROWS, Case, Scored
from aural.superres.evaluate_filters import FILTERS, OWN_FILTER, RATE
from aural.superres.evaluate_items import Item
from aural.training.corpus import load
from tests.checkpoints import instead
from tests.superres.tiny import write_checkpoints

# File of speech/ or music/, rate, channels, seconds.
FILES = {
    **{f"speech/reader/{number:02d}.wav": (RATE, 1, 1.2) for number in range(20)},
    **{f"speech/teller/{number:02d}.wav": (RATE, 1, 1.2) for number in range(10)},
    "speech/kerstin/0.wav": (RATE, 1, 1.2),
    **{f"speech/ravdess/03_{number}.wav": (RATE, 1, 1.2) for number in range(3)},
    **{f"speech/ravdess/21_{number:02d}.wav": (RATE, 1, 1.2) for number in range(17)},
    "speech/ravdess/24_0.wav": (RATE, 1, 1.3),
    "speech/ravdess/24_1.wav": (RATE, 1, 0.9),
    "speech/freesound_unseen/a.wav": (44_100, 1, 25.0),
    "speech/freesound_unseen/b.wav": (44_100, 1, 7.0),
    "music/long.wav": (44_100, 2, 120.0),
    "music/short.wav": (44_100, 2, 30.0),
    "music/snippet.wav": (44_100, 2, 5.0),
}


def sound(seconds: float, rate: int, channels: int = 1) -> NDArray[np.float32]:
    """Noise that falls towards the highs, as speech does; again every second. Shape: (channels, time)."""
    count = rate
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal((channels, count)))
    frequencies = np.fft.rfftfreq(count, 1 / rate)
    samples = np.fft.irfft(spectrum / (1 + (frequencies / 1000) ** 2), count)
    repeated = np.tile((0.1 * samples / samples.std()).astype(np.float32), math.ceil(seconds))
    return repeated[:, : round(seconds * rate)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with all kinds of voices and tracks, and its own cache."""
    folder = tmp_path_factory.mktemp("data")
    for name, (rate, channels, seconds) in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, sound(seconds, rate, channels).T, rate)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield folder


@pytest.fixture(scope="module")
def item(data: Path) -> Item:
    """A sentence of an unseen speaker."""
    return Item("sentence", "unseen", data / "speech/ravdess/21_00.wav")


@dataclass(frozen=True)
class Options:
    """The pipeline's options that the rows set."""

    rate: int
    method: str


Pipeline = Callable[[Clip, Options], Clip]


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Callable[[Pipeline], None]:
    """Replaces the pipeline by a function."""

    def put(make: Pipeline) -> None:
        def super_resolve(clip: Clip, options: Options) -> SimpleNamespace:
            return SimpleNamespace(clip=make(clip, options), bandwidth_hz=0.475 * clip.rate)

        stub = SimpleNamespace(Options=Options, super_resolve=super_resolve)
        monkeypatch.setitem(sys.modules, "aural.superres.pipeline", stub)

    return put


def by_soxr(clip: Clip, options: Options) -> Clip:
    return resample(clip, options.rate)


def scored_as(row: str, rate_in: int = 8_000, item: str = "a", **figures: float) -> Scored:
    """A score of an unseen speaker; figures that are not given are good."""
    filled = {"snr_db": 20.0, "lsd": 0.5, "lsd_above": 0.6, "lsd_below": 0.3, "lsd_flat": 0.0} | figures
    case = Case(rate_in, RATE, rate_in / 2)
    return Scored(row, item, "unseen", RATE, case, 0.475 * rate_in, filled)


# The recordings


def test_nothing_is_evaluated_that_was_trained_on(data: Path) -> None:
    trained = {each.source: each for each in load(data, RATE).recordings if not each.is_validation}
    chosen = evaluate.items(data)
    for each in chosen:
        source = each.path.relative_to(data).as_posix()
        if each.group == "music":
            assert each.start_seconds >= trained[source].length / RATE
        else:
            assert source not in trained
        assert "kerstin" not in source
    assert len({(each.path, each.start_seconds) for each in chosen}) == len(chosen)
    assert len({each.name for each in chosen}) == len(chosen)


def test_the_choice_is_spread_over_speakers_and_pieces(data: Path) -> None:
    chosen = evaluate.items(data)
    assert Counter((each.group, each.path.parent.name) for each in chosen) == {
        # 8 of the 17 of one actor, the one of the other that lasts a second; two pieces and one.
        ("unseen", "ravdess"): 8 + 1,
        ("unseen", "freesound_unseen"): 2 + 1,
        # The last tenth of 20 and of 10.
        ("seen", "reader"): 2,
        ("seen", "teller"): 1,
        # 12 s, 3 s and half a second are held back.
        ("music", "music"): 2 + 1,
    }
    actor = [each.path.stem for each in chosen if each.path.stem.startswith("21_")]
    assert actor == [f"21_{number:02d}" for number in (0, 2, 5, 7, 9, 11, 14, 16)]
    assert evaluate.items(data) == chosen


def test_pieces_lie_within_what_is_held_back_and_do_not_overlap(data: Path) -> None:
    first, second = (each for each in evaluate.items(data) if each.path.stem == "long")
    assert first.seconds == second.seconds == 5
    assert first.start_seconds >= 108 and second.start_seconds >= first.start_seconds + 5
    assert second.start_seconds + 5 <= 120
    reference = second.reference()
    assert reference.rate == 44_100 and reference.samples.shape == (2, 5 * 44_100)
    whole = read(second.path)
    start = math.ceil(second.start_seconds * 44_100)
    np.testing.assert_array_equal(reference.samples, whole.samples[:, start : start + reference.frames])


def test_a_limit_thins_every_group(data: Path) -> None:
    few = evaluate.items(data, limit=2)
    assert Counter(each.group for each in few) == {"unseen": 2, "seen": 2, "music": 2}
    assert set(few) < set(evaluate.items(data))


def test_a_folder_with_nothing_to_validate_by_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "speech/reader").mkdir(parents=True)
    soundfile.write(tmp_path / "speech/reader/0.wav", sound(1.2, RATE).T, RATE)
    with pytest.raises(
        InputError, match=r"has no recordings for validation\. Add some to its speech/ or music/"
    ):
        evaluate.items(tmp_path)


# The figures


def test_recordings_keep_their_own_rate_and_48_khz_goes_to_44_1_as_well() -> None:
    assert {case.rate_out for case in evaluate.cases(44_100)} == {44_100}
    assert [case.rate_in for case in evaluate.cases(44_100)] == list(evaluate.RATES_IN)
    others = [case for case in evaluate.cases(RATE) if case.rate_out != RATE]
    assert others == [Case(8_000, 44_100, 4_000), Case(16_000, 44_100, 8_000)]
    # An empty top band is not to be part of a reference.
    assert not evaluate.filter_cases(44_100)


def test_what_is_perfect_has_no_distance(item: Item, pipeline: Callable[[Pipeline], None]) -> None:
    pipeline(lambda _, options: resample(item.reference(), options.rate))
    scored = evaluate.score(item, ["default"])
    assert len(scored) == len(evaluate.RATES_IN) + len(evaluate.OTHER_RATES_IN)
    perfect = dict.fromkeys(evaluate.COLUMNS, 0.0) | {"snr_db": evaluate.MAX_SNR_DB}
    for each in scored:
        assert each.failure is None and each.figures == perfect
    found = evaluate.check_targets(scored + [replace(each, row="sinc") for each in scored])
    assert len(found) == 3 * len(evaluate.LSD_TARGETS) and all(each.met for each in found)


def test_the_pipeline_gets_the_low_rate_and_nothing_else(
    item: Item, pipeline: Callable[[Pipeline], None]
) -> None:
    asked = []

    def listening(clip: Clip, options: Options) -> Clip:
        asked.append((clip.rate, options))
        return by_soxr(clip, options)

    pipeline(listening)
    evaluate.score(item, ["sinc", "lisa"], lambda rate: [Case(8_000, rate, 4_000)])
    assert asked == [(8_000, Options(RATE, "sinc")), (8_000, Options(RATE, "lisa"))]


def test_plain_resampling_leaves_the_band_alone_and_nothing_above_it(
    item: Item, pipeline: Callable[[Pipeline], None]
) -> None:
    pipeline(by_soxr)
    for each in evaluate.score(item, ["sinc"]):
        figures = each.figures
        assert figures["lsd_flat"] < 0.01 < 0.1 < figures["lsd_below"] < figures["lsd"] < figures["lsd_above"]
        assert each.bandwidth_hz == 0.475 * each.case.rate_in


def test_the_distances_part_at_the_cut_off() -> None:
    reference = Clip(sound(2.0, RATE), RATE)
    time = np.arange(reference.frames) / RATE
    swell = 0.1 * np.hanning(reference.frames)  # a tone that begins at once is not at one frequency
    with_tone = {
        hz: reference.with_samples(
            (reference.samples + swell * np.sin(2 * np.pi * hz * time)).astype(np.float32)
        )
        for hz in (2_000, 3_800, 9_000)
    }
    found = {hz: evaluate.compare(clip, reference, 4_000) for hz, clip in with_tone.items()}
    touched = {hz: {name for name in figures if figures[name] > 0.01} for hz, figures in found.items()}
    everywhere = {"snr_db", "lsd"}
    assert touched[2_000] == everywhere | {"lsd_below", "lsd_flat"}
    assert touched[3_800] == everywhere | {"lsd_below"}
    assert touched[9_000] == everywhere | {"lsd_above"}


@pytest.mark.parametrize("name", FILTERS)
def test_filters_end_the_band_where_they_say_and_delay_nothing(name: str) -> None:
    rng = np.random.default_rng(0)
    noise = (0.05 * rng.standard_normal((1, 2 * RATE))).astype(np.float32)
    frequencies = np.fft.rfftfreq(noise.shape[1], 1 / RATE)
    before = np.fft.rfft(noise[0])
    for cutoff in CUT_OFFS_HZ:
        make = FILTERS[name](cutoff)
        if make is None:
            assert name == "opus"
            continue
        left = make(noise)
        assert left.shape == noise.shape and left.dtype == np.float32
        after = np.fft.rfft(left[0])

        def level_db(low: float, high: float, after: Any = after, cutoff: int = cutoff) -> float:
            band = (frequencies > low * cutoff) & (frequencies < high * cutoff)
            power = np.abs(after[band]) ** 2, np.abs(before[band]) ** 2
            return float(10 * np.log10(power[0].mean() / power[1].mean()))

        gentle = name in ("butterworth_2", "bessel")
        assert level_db(0.3, 0.7) > -3
        assert level_db(1.5, 1.9) < (-6 if gentle else -15)
        correlation = np.fft.irfft(after * before.conj())
        lag = (int(np.argmax(correlation)) + RATE) % (2 * RATE) - RATE
        assert abs(lag) <= (12 if name == "opus" else 0)  # its own high-pass turns the phase


def test_stereo_goes_through_filters_channel_by_channel() -> None:
    both = sound(0.5, RATE, channels=2)
    for name in ("scipy", "torchaudio", "mp3"):
        make = FILTERS[name](6_000)
        assert make is not None
        np.testing.assert_allclose(make(both)[1:], make(both[1:]), atol=1e-6)


# The targets


@pytest.mark.parametrize(
    ("figures", "missed"),
    [
        ({}, set()),
        ({"lsd": 1.10}, set()),
        ({"lsd": 1.11}, {"lsd"}),
        ({"snr_db": 14.0}, set()),
        ({"snr_db": 13.9}, {"snr_db"}),
        ({"lsd_flat": 0.1}, {"lsd_flat"}),
    ],
)
def test_targets_of_the_default(figures: dict[str, float], missed: set[str]) -> None:
    scored = [scored_as("default", **figures), scored_as("sinc", lsd=3.0, snr_db=15.0)]
    found = evaluate.check_targets(scored)
    assert {each.figure for each in found if not each.met} == missed
    assert len(found) == 3
    text = evaluate.target_table(found)
    assert text.count("**missed**") == len(missed)
    assert "| 8 kHz | SNR (dB) |" in text and "at least 14.00" in text and "| 0.900 |" in text


def test_a_noise_floor_may_forbid_the_target_but_not_a_share_of_sinc() -> None:
    scored = [scored_as("default", lsd=1.2), scored_as("sinc", lsd=4.0)]
    (lsd, *_) = evaluate.check_targets(scored)
    assert lsd.met and lsd.share_of_sinc == pytest.approx(1.2)
    # Without a measure, and at rates without a target, nothing is claimed.
    assert not evaluate.check_targets(scored[:1])
    assert not evaluate.check_targets([scored_as("default", 4_000), scored_as("sinc", 4_000)])


def filtered_as(name: str, lsd_above: float, cutoff: int = 4_000) -> Scored:
    made = scored_as("default", RATE, lsd_above=lsd_above)
    return replace(made, case=Case(RATE, RATE, cutoff, name))


def test_filters_are_measured_by_the_own_one_at_the_same_cut_off() -> None:
    scored = [
        filtered_as(OWN_FILTER, 1.0),
        filtered_as("mp3", 1.1),
        filtered_as("mp3", 1.5, 8_000),
        filtered_as(OWN_FILTER, 1.2, 8_000),
        filtered_as("bessel", 1.05, 6_000),  # no measure at that cut-off
    ]
    losses = evaluate.filter_losses(scored)
    assert losses["mp3"] == pytest.approx({4_000: 0.1, 8_000: 0.3})
    assert losses["bessel"] == {}
    ((name, (loss, met)),) = evaluate.check_filters(scored).items()
    assert (name, met) == ("mp3", False) and loss == pytest.approx(0.2)
    text = evaluate.filter_table(scored, 4_000, ["sinc", "default"])
    assert [line.split(" | ")[0] for line in text.splitlines()[2:]] == ["| resampled", "| mp3"]
    assert text.endswith("| 0.500 | 1.100 | 0.000 | +0.100 |")


def test_enough_filters_and_mp3_must_be_good() -> None:
    good, bad = (0.1, True), (0.2, False)
    six = {"mp3": good, **dict.fromkeys(["a", "b", "c", "d", "e"], good), "f": bad}
    assert evaluate.filter_target_met(six)
    assert not evaluate.filter_target_met(six | {"a": bad})
    assert not evaluate.filter_target_met(six | {"mp3": bad, "f": good})


# The report


def test_a_row_that_cannot_run_says_why_and_the_others_go_on(
    item: Item, pipeline: Callable[[Pipeline], None]
) -> None:
    def half_broken(clip: Clip, options: Options) -> Clip:
        if options.method == "lisa":
            raise CheckpointError("The checkpoint is missing: restore it.")
        return by_soxr(clip, options)

    pipeline(half_broken)
    scored = evaluate.score(item, list(ROWS), lambda rate: [Case(8_000, rate, 4_000)])
    sinc, lisa, default = evaluate.table(scored, list(ROWS)).splitlines()[2:]
    assert lisa == "|  | LISA |" + " – |" * (len(evaluate.COLUMNS) + 1)
    assert sinc.startswith("| 8 kHz | sinc |") and "–" not in sinc + default
    assert evaluate.failures(scored) == ["LISA: 1 of 1 not measured. The checkpoint is missing: restore it."]


def test_means_are_over_recordings() -> None:
    scored = [scored_as("sinc", lsd=1.0), scored_as("sinc", item="b", lsd=2.0), scored_as("lisa", lsd=9.0)]
    found = evaluate.means(scored, "sinc")
    assert found["lsd"] == 1.5 and found["bandwidth_hz"] == 3_800
    assert evaluate.means(scored, "default") == {}


def test_blocks_keep_groups_and_rates_apart() -> None:
    case = Case(8_000, 44_100, 4_000)
    own = scored_as("sinc")
    studio = replace(own, item="studio", recorded_rate=44_100, case=case)
    other = replace(own, case=case)
    music = replace(studio, item="music", group="music")
    assert evaluate.blocks([own, studio, other, music]) == {
        "Unseen speakers → 48 kHz": [own],
        "Unseen speakers → 44.1 kHz": [studio],
        "Unseen speakers, all to their own rate": [own, studio],
        "Unseen speakers, recorded at 48 kHz → 44.1 kHz": [other],
        "Music → 44.1 kHz": [music],
    }


def two_cases(rate: int) -> list[Case]:
    return [Case(8_000, rate, 4_000), Case(17_300, rate, 8_650)]


def test_the_whole_pipeline_is_evaluated(data: Path, tmp_path: Path) -> None:
    write_checkpoints(tmp_path)
    chosen = [each for each in evaluate.items(data, limit=2) if each.group != "seen"]
    with instead(tmp_path):
        scored = evaluate.score_all(chosen, to_try=two_cases)
    assert len(scored) == len(chosen) * 2 * len(ROWS)
    assert [each for each in scored if each.failure] == []
    for each in scored:
        half = each.case.rate_in / 2
        assert each.bandwidth_hz is not None and 0.88 * half <= each.bandwidth_hz <= half
        # Sinc keeps the low band, and so does the default, except for the skirt of the noise that it
        # generates with random weights. LISA regenerates it.
        low, high = {"sinc": (0, 0.02), "default": (0, 0.5), "lisa": (1, math.inf)}[each.row]
        assert low <= each.figures["lsd_flat"] < high


def test_processes_find_the_same_figures(data: Path) -> None:
    chosen = evaluate.items(data, limit=2)[:2]
    here, there = (evaluate.score_all(chosen, ["sinc"], two_cases, workers) for workers in (1, 2))
    assert len(here) == 4 and not any(each.failure for each in here)
    for one, other in zip(here, there, strict=True):
        assert one.figures == pytest.approx(other.figures)
        assert replace(one, figures={}) == replace(other, figures={})


def test_the_command_prints_tables_draws_and_keeps_every_figure(
    data: Path,
    tmp_path: Path,
    pipeline: Callable[[Pipeline], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pipeline(by_soxr)
    monkeypatch.setattr(evaluate, "RATES_IN", (8_000, 17_300))
    monkeypatch.setattr(evaluate, "CUT_OFFS_HZ", (8_000,))
    monkeypatch.setattr(evaluate, "PICTURED", {"music": 16_000})
    monkeypatch.setattr(evaluate, "FILTERS", {name: FILTERS[name] for name in (OWN_FILTER, "bessel", "mp3")})
    file, pictures = tmp_path / "new" / "figures.json", tmp_path / "pictures"
    command = ["--data", str(data), "--rows", "default", "sinc", "--limit", "2", "--filters"]
    evaluate.main([*command, "--workers", "1", "--json", str(file), "--pictures", str(pictures)])
    printed = capsys.readouterr().out
    assert "### Seen speakers → 48 kHz, 2 recordings\n" in printed
    assert "### Music → 44.1 kHz, 2 recordings\n" in printed
    assert "| 17.3 kHz | sinc |" in printed and "LISA" not in printed
    assert "### Targets of the default: Unseen speakers, all to their own rate\n" in printed
    assert "### Low-passed at 8 kHz, 2 recordings\n" in printed
    assert "MP3 among them: **missed**" in printed
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    assert set(found) == {"means", "targets", "filters", "items"}
    assert all(math.isfinite(value) for each in found["items"] for value in each["figures"].values())
    cells = {(each["rate_in"], each["row"]) for each in found["means"]}
    assert cells == {(rate, row) for rate in (8_000, 16_000, 17_300) for row in ("sinc", "default")}
    assert set(found["filters"]["mp3"]) == {"8000"}
    drawn = sorted(path.name for path in pictures.iterdir())
    assert len(drawn) == 2 and all(name.endswith(".png") for name in drawn)


def test_filters_need_a_row_that_they_measure(data: Path) -> None:
    with pytest.raises(
        OptionError, match=r"--filters only measures sinc and default\. Add one of them to --rows\."
    ):
        evaluate.main(["--data", str(data), "--rows", "lisa", "--filters"])


def test_numbers_below_one_are_refused(data: Path) -> None:
    for option in ("--workers", "--limit"):
        with pytest.raises(OptionError, match=r"--workers and --limit must be above 0\."):
            evaluate.main(["--data", str(data), option, "0"])
