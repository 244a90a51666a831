"""Recordings of other kinds: held back, seeded, and what their kind says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aural.errors import InputError
from aural.evaluation.recordings import (
    ACTIVE_RMS,
    KINDS,
    RATE,
    SECONDS,
    find_sources,
    held_vowel,
    predictor,
    recordings,
    split_response,
    whisper,
)
from aural.evaluation.signal_metrics import active_level, band_level_errors_db, harmonics_to_noise_db
from tests.evaluation.small_data import voice, write_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


def test_only_what_was_held_back_is_found(data: Path) -> None:
    sources = find_sources(data)
    found = {
        name: sorted({str(each.path.relative_to(data).with_suffix("")) for each in group})
        for name, group in vars(sources).items()
    }
    many = "speech/many"
    assert found["voices"] == [
        "speech/freesound_unseen/stranger",
        f"{many}/full/held",
        f"{many}/wide/held",
        "speech/ravdess/21-07",
    ]
    assert found["studio"] == ["speech/freesound_unseen/stranger", f"{many}/full/held"]
    readers = [f"speech/{reader}/09" for reader in ("kathleen", "nathalie")]
    assert found["as_recorded"] == [readers[0], f"{many}/wide/held", readers[1], "speech/ravdess/01-09"]
    assert found["singing"] == [f"{many}/full/sung"]
    assert found["music"] == ["music/more/held", "music/song"]
    assert [each.start_share for each in sources.music] == [0, 0.9]
    assert found["noises"] == ["esc50/audio/5", "noise/held"] and found["rooms"] == ["rooms/held"]


def test_settings_are_chosen_on_none_of_what_was_held_back(data: Path) -> None:
    held_back, trained_on = (
        {each for group in vars(find_sources(data, part)).values() for each in group}
        for part in (True, False)
    )
    assert not {each.path for each in held_back} & {each.path for each in trained_on}
    (made,) = recordings(data, 1, ["singing"], held_back=False)
    assert made.name == "1 sang"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_sound_of_one_length_and_never_clips_by_itself(data: Path, kind: str) -> None:
    for each in recordings(data, 2, [kind]):
        assert each.kind == kind
        assert each.samples.shape == each.reference.shape and each.samples.dtype == np.float32
        assert each.samples.shape[1] == SECONDS * RATE
        assert np.isfinite(each.samples).all() and np.abs(each.samples).max() <= 0.99 + 1e-6
        assert active_level(each.reference, RATE) > 1e-3
        assert each.is_speech == (kind not in ("music", "held vowels"))


def test_names_differ_even_if_sources_are_few(data: Path) -> None:
    assert [each.name for each in recordings(data, 3, ["singing"])] == ["1 sung", "2 sung", "3 sung"]


def test_a_seed_gives_the_same_and_more_begin_with_the_fewer(data: Path) -> None:
    kinds = ["noise, 5 dB", "whisper"]
    few = recordings(data, 1, kinds)
    many = recordings(data, 2, ["whisper", *kinds[:1]])
    assert [each.name for each in few] == [many[2].name, many[0].name]
    for one, other in zip(few, (many[2], many[0]), strict=True):
        np.testing.assert_array_equal(one.samples, other.samples)
    (again,) = recordings(data, 1, kinds[:1], seed=1)
    assert not np.array_equal(again.samples, few[0].samples)


@pytest.mark.parametrize("snr_db", [0, 15])
def test_noise_is_as_far_below_the_voice_as_its_kind_says(data: Path, snr_db: int) -> None:
    (made,) = recordings(data, 1, [f"noise, {snr_db} dB"])
    noise = active_level(made.samples - made.reference, RATE)
    ratio = active_level(made.reference, RATE) / noise
    assert 20 * np.log10(ratio) == pytest.approx(snr_db, abs=0.1)


def test_kinds_that_are_clean_are_their_own_reference(data: Path) -> None:
    for kind in ("whisper", "held vowels", "singing", "music", "clean", "as recorded"):
        (made,) = recordings(data, 1, [kind])
        assert made.samples is made.reference or np.array_equal(made.samples, made.reference)
    for kind in set(KINDS) - {"whisper", "held vowels", "singing", "music", "clean", "as recorded"}:
        (made,) = recordings(data, 1, [kind])
        assert not np.array_equal(made.samples, made.reference)


def test_a_floor_reaches_half_the_rate_and_a_disturbance_is_low(data: Path) -> None:
    (made,) = recordings(data, 1, ["noise floor"])
    power = np.abs(np.fft.rfft(made.samples[0] - made.reference[0])) ** 2
    top, middle = power[-20_000:].mean(), power[40_000:60_000].mean()
    # From 12.5 to 21.5 kHz a tilt of 6 dB an octave makes 5 dB.
    assert -8 < 10 * np.log10(top / middle) < 1
    for low in recordings(data, 3, ["DC, rumble, hum"]):
        power = np.abs(np.fft.rfft(low.samples[0] - low.reference[0])) ** 2
        assert power[: int(700 * SECONDS)].sum() > 0.999 * power.sum()


def test_super_resolution_gives_back_the_floor_but_not_the_codec(data: Path) -> None:
    (floor,), (coded,) = (recordings(data, 1, [kind]) for kind in ("noise floor", "codecs"))
    assert floor.full_band is floor.samples and coded.full_band is coded.reference


def test_a_response_is_split_where_early_reflections_end() -> None:
    response = np.zeros(RATE // 2, np.float32)
    response[[100, 100 + RATE // 50, 100 + RATE // 20]] = 1, 0.5, 0.25  # direct, 20 ms and 50 ms later
    early, late = split_response(response)
    np.testing.assert_allclose(early + late, response[100 - 48 :], atol=1e-7)
    assert np.flatnonzero(early > 0.01).tolist() == [48, 48 + RATE // 50]
    assert np.flatnonzero(late > 0.01).tolist() == [48 + RATE // 20]


def test_a_whisper_has_no_pitch_and_the_levels_of_its_voice() -> None:
    spoken = voice(3, rate=RATE)
    whispered = whisper(spoken, np.random.default_rng(0))
    assert harmonics_to_noise_db(spoken[None], RATE) > 8
    assert harmonics_to_noise_db(whispered[None], RATE) < 3
    errors = band_level_errors_db(whispered[None], spoken[None], RATE, 1)
    # 48 poles over 24 kHz tell no single harmonics apart, as an octave below 500 Hz would need.
    assert max(abs(error) for centre, error in errors.items() if centre >= 500) < 2


@pytest.mark.parametrize("pitch_hz", [98.0, 220.0])
def test_a_held_vowel_has_its_pitch_all_the_time(pitch_hz: float) -> None:
    held = held_vowel(voice(2, rate=RATE), pitch_hz, np.random.default_rng(0))
    assert np.std(held) == pytest.approx(ACTIVE_RMS, rel=1e-3)
    assert harmonics_to_noise_db(held[None], RATE) > 10
    spectrum = np.abs(np.fft.rfft(held.astype(np.float64), 2 * len(held))) ** 2
    correlation = np.fft.irfft(spectrum)
    lag = 200 + int(np.argmax(correlation[200:700]))
    assert RATE / lag == pytest.approx(pitch_hz, rel=0.02)


def test_the_prediction_of_an_all_pole_sound_finds_its_filter() -> None:
    from scipy.signal import lfilter

    noise = np.random.default_rng(0).standard_normal(20_000)
    found = predictor(lfilter([1.0], [1.0, -1.6, 0.8], noise))
    assert found[:3] == pytest.approx([1, -1.6, 0.8], abs=0.05)


def test_a_folder_that_lacks_a_part_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"meta\.csv is missing\. Choose a folder with speech/"):
        find_sources(tmp_path)
    for part in data.iterdir():
        (tmp_path / part.name).symlink_to(part)
    (tmp_path / "rooms").unlink()
    (tmp_path / "rooms").mkdir()
    (tmp_path / "rooms/meta.csv").write_text("file,split,rt60_s\n")
    with pytest.raises(InputError, match=r"has no rooms that was held back"):
        find_sources(tmp_path)
