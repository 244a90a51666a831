"""The Enhance tab's own parts: what it says of presets, figures and phones."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aural.audio import Clip, read, write
from aural.enhancement import degrade, tab
from aural.enhancement.analysis import Analysis
from aural.enhancement.peers import PEERS
from aural.enhancement.pipeline import COMPLETION_METHODS, PRESETS, SETTINGS, Options
from aural.enhancement.reference import ReferenceMetrics
from aural.loudness.meter import measure
from aural.ui import plots
from aural.ui.examples import PHONE_EXAMPLES

RATE = 16_000


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))


def test_every_choice_of_the_pipeline_has_a_name() -> None:
    assert set(tab.PRESET_NAMES) == set(PRESETS)
    assert set(tab.SETTING_NAMES) == set(SETTINGS)
    assert set(tab.COMPLETION_NAMES) == set(COMPLETION_METHODS)
    for gain_db in tab.BACKGROUNDS_DB:
        Options(background_db=gain_db)


def test_the_phones_are_those_of_the_chain() -> None:
    assert list(tab.PHONE_NAMES) == list(degrade.PRESETS)
    options = {field.name: field.default for field in fields(degrade.Options)}
    parameters = inspect.signature(tab.degrade).parameters
    assert {name: parameters[name].default for name in options} == options
    assert set(parameters) == {"audio", "progress", *options}


def test_every_figure_that_is_shown_is_found_or_measured() -> None:
    assert {name for name, *_ in tab.FIGURES} <= set(Analysis.__dataclass_fields__)
    assert [name for name, *_ in tab.MEASURES] == list(ReferenceMetrics.__dataclass_fields__)


def test_a_preset_tells_what_its_finish_does() -> None:
    assert "stay the same" in tab._about_preset("restore")
    assert "−16 LUFS" in tab._about_preset("podcast") and "de-essing" in tab._about_preset("podcast")
    assert "de-essing" not in tab._about_preset("song_demo")
    assert "8 LU" in tab._about_preset("interview")


@pytest.mark.parametrize(
    ("before", "after", "decimals", "change"),
    [
        (10.0, 22.34, 1, "+12.3"),
        (22.34, 10.0, 1, "−12.3"),
        (3400, 16_000, 0, "+12,600"),
        (1.0, 1.04, 1, "0.0"),
        (1.04, 1.0, 1, "0.0"),
        (None, 1.0, 1, "–"),
        (1.0, None, 1, "–"),
    ],
)
def test_a_change_has_its_sign(before: float | None, after: float | None, decimals: int, change: str) -> None:
    assert tab._change(before, after, decimals) == change


def test_the_table_counts_clipped_samples_in_percent() -> None:
    before, after = {"clipping_share": 0.025}, {"clipping_share": 0.0}
    row = next(row for row in tab.FIGURES if row[0] == "clipping_share")
    shown = tab._change_table((row,), before, after, "Found")
    assert "%" in shown and ">2.50<" in shown and ">0.00<" in shown and ">−2.50<" in shown


def test_a_delay_and_what_could_not_be_measured_are_told() -> None:
    metrics = dict.fromkeys(ReferenceMetrics.__dataclass_fields__)
    against = {"delay_seconds": -0.0123, "before": metrics, "after": metrics, "notes": ["Too <short>."]}
    shown = tab._reference_tables(against)
    assert "12.3 ms earlier" in shown
    assert "Too &lt;short&gt;." in shown
    assert "ms" not in tab._reference_tables({**against, "delay_seconds": 0.0, "notes": []})


def test_what_a_phone_did_is_told_as_far_as_it_is_known() -> None:
    found = {"snr_db": 12.04, "bandwidth_hz": 3400, "reverberation_seconds": None}
    assert tab._about_phone(found) == "Detected: SNR (estimated) 12.0 dB, bandwidth 3,400 Hz."
    assert tab._about_phone(dict.fromkeys(found)) == "The clip is silent."


def test_every_example_has_its_reference() -> None:
    assert PHONE_EXAMPLES
    for example in PHONE_EXAMPLES:
        assert example.reference is not None and example.reference.is_file()


def brightness(figure: object) -> np.ndarray:
    with Image.open(plots.save(figure)) as image:
        assert image.size == (plots.WIDTH_PX, plots.HEIGHT_PX)
        return np.asarray(image.convert("L")).astype(int)


def test_spectrograms_share_their_scale_and_end_where_the_sound_does() -> None:
    noise = (0.1 * np.random.default_rng(0).standard_normal((1, 48_000))).astype(np.float32)
    full = plots.Sound("full band", noise, 48_000)
    half = plots.Sound("half band", noise[:, :RATE], RATE)
    pixels = brightness(plots.spectrogram_versions([half, full]))
    height, width = pixels.shape
    # 8 kHz is at 33 of 43 ERB, three quarters up.
    left, right = (pixels[:, round(x * width)] for x in (0.25, 0.7))
    above, below = slice(round(0.16 * height), round(0.22 * height)), slice(height // 2, round(0.6 * height))
    assert left[above].mean() < 20 < 60 < right[above].mean()
    assert abs(left[below].mean() - right[below].mean()) < 20


def test_the_pitch_and_the_end_of_the_band_are_drawn_where_they_are() -> None:
    silence = np.zeros((1, RATE), np.float32)
    times, pitch_hz = np.linspace(0, 1, 50), np.full(50, 200.0)
    pitch_hz[20:30] = np.nan
    figure = plots.spectrogram_versions([plots.Sound("one", silence, RATE, end_hz=3400)], times, pitch_hz)
    axes = figure.axes[0]
    pitch, band = axes.lines
    rows = axes.get_images()[0].get_array().shape[0]
    erb_rates = [21.4 * np.log10(1 + 0.00437 * hz) for hz in (plots.LOWEST_HZ, 200, 3400, RATE / 2)]
    shares = np.interp(erb_rates[1:3], [erb_rates[0], erb_rates[3]], [0, 1])
    assert np.isnan(pitch.get_ydata()).sum() == 10
    assert np.nanmean(pitch.get_ydata()) == pytest.approx(shares[0] * (rows - 1), abs=0.5)
    assert band.get_ydata()[0] == pytest.approx(shares[1] * (rows - 1), abs=0.5)


def test_the_chosen_peers_stand_beside_the_result_at_their_own_loudness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = 0.1 * np.random.default_rng(0).standard_normal((1, 48_000)).astype(np.float32)
    recording = write(Clip(samples, 48_000), tmp_path / "memo.wav")

    def enhance_by(peer: str, given: np.ndarray, _: int) -> np.ndarray:
        return given * np.float32(0.5 if peer == "rnnoise" else 1)

    monkeypatch.setattr(tab, "enhance_by", enhance_by)
    monkeypatch.setattr(tab, "result_path", lambda _, ending: str(tmp_path / ending))
    loudness = measure(Clip(samples, 48_000)).integrated_lufs
    figures = {"before": {"integrated_lufs": loudness}, "after": {"integrated_lufs": -16.0}}
    names = [PEERS[key].name for key in ("rnnoise", "gtcrn", "noisereduce")]
    shown = tab._show_peers(
        str(recording), "result.wav", figures, ["rnnoise", "gtcrn", "noisereduce"]
    ).versions
    assert [version.label for version in shown] == ["Before", "After", *names[: tab.MAX_PEERS]]
    assert shown[2].loudness_lufs == pytest.approx(loudness - 6.02, abs=0.02)
    assert read(shown[3].path).samples == pytest.approx(samples, abs=1e-6)
