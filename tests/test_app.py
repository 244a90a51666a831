"""The running app, called as programs call it: a real server, a real gradio_client, real files."""

import json
import math
import os
import re
import time
import wave
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
from gradio.utils import get_upload_folder
from gradio_client import Client, handle_file
from gradio_client.client import Job
from gradio_client.exceptions import AppError
from PIL import Image

import app
import aural
from aural.audio import Clip, Limits, read, write
from aural.generation.classes import CLASSES
from aural.ui import endpoints, storage
from aural.ui.examples import FOLDER

RATE = 44_100
ENDPOINTS = [
    "/batch",
    "/degrade",
    "/enhance",
    "/generate",
    "/master",
    "/master_album",
    "/measure",
    "/release",
    "/resynthesize",
    "/super_resolve",
]

# Take one file of any length; all but the first return one of the same length.
TRANSFORMS = ["/measure", "/master", "/resynthesize", "/enhance", "/degrade"]
TAKE_A_FILE = [*TRANSFORMS, "/super_resolve"]


@pytest.fixture(scope="module")
def client(tiny_checkpoints: None) -> Iterator[Client]:  # noqa: ARG001
    demo = app.build()
    app.launch(demo, prevent_thread_lock=True, quiet=True, server_port=None)
    client = Client(demo.local_url, verbose=False, httpx_kwargs={"timeout": 60})  # for a busy machine
    yield client
    client.close()
    demo.close()


def tune(seconds: float = 4, channels: int = 2, rate: int = RATE) -> Clip:
    """Decaying chords: something with peaks and pitch."""
    time_s = np.arange(round(seconds * rate)) / rate
    chord = sum(np.sin(2 * np.pi * hz * time_s) for hz in (220, 277.2, 329.6))
    envelope = np.exp(-3 * (time_s % 0.5))
    spread = np.linspace(0.7, 1.0, channels)[:, np.newaxis]
    return Clip((0.08 * spread * chord * envelope).astype(np.float32), rate)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "recording.wav"
    write(tune(), path)
    return path


def test_the_public_endpoints_are_the_documented_ones(client: Client) -> None:
    api = client.view_api(return_format="dict", print_info=False)
    assert sorted(api["named_endpoints"]) == ENDPOINTS
    assert not api["unnamed_endpoints"]


def test_every_endpoint_needs_nothing_but_its_audio(client: Client) -> None:
    api = client.view_api(return_format="dict", print_info=False)
    for name, endpoint in api["named_endpoints"].items():
        required = [p["parameter_name"] for p in endpoint["parameters"] if not p["parameter_has_default"]]
        wanted = {"/generate": [], "/master_album": ["files"], "/batch": ["files"]}.get(name, ["audio"])
        assert required == wanted, name


def test_the_parameters_are_the_fields_of_the_options(client: Client) -> None:
    api = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    names = {name: [p["parameter_name"] for p in api[name]["parameters"]] for name in ENDPOINTS}
    from aural.enhancement import degrade
    from aural.enhancement import pipeline as enhancement
    from aural.generation import pipeline as generation
    from aural.loudness import pipeline
    from aural.resynthesis import pipeline as resynthesis
    from aural.studio import pipeline as release
    from aural.superres import pipeline as superres

    assert names["/batch"] == ["files", "verb", "settings"]
    assert set(names["/release"]) == {"audio", *release.Options.__dataclass_fields__}
    assert set(names["/degrade"]) == {"audio", *degrade.Options.__dataclass_fields__}
    assert set(names["/enhance"]) == {"audio", "reference", *enhancement.Options.__dataclass_fields__}
    assert set(names["/generate"]) == {"source", *generation.Options.__dataclass_fields__}
    assert set(names["/master"]) == {"audio", *pipeline.Options.__dataclass_fields__}
    assert set(names["/resynthesize"]) == {"audio", *resynthesis.Options.__dataclass_fields__}
    assert names["/measure"] == ["audio", "layout", "compare_downmixes"]
    assert names["/super_resolve"] == ["audio", *superres.Options.__dataclass_fields__, "compare"]


def test_measure_gives_the_same_figures_as_the_library(client: Client, recording: Path) -> None:
    figures, *pictures = client.predict(handle_file(recording), api_name="/measure")
    downmixes = figures.pop("downmixes")
    assert figures == aural.measure(read(recording)).figures()
    assert {row["method"] for row in downmixes} >= {"keep", "mono", "mono_phase_safe"}
    for picture in pictures:
        with Image.open(picture) as image:
            assert image.format == "PNG" and min(image.size) > 300


def test_master_returns_a_file_that_measures_as_it_says(client: Client, recording: Path) -> None:
    path, figures, _ = client.predict(
        handle_file(recording), target="apple_music", downmix="mono_phase_safe", api_name="/master"
    )
    mastered = read(path)
    measured = aural.measure(mastered)
    assert (mastered.channels, mastered.rate, mastered.frames) == (1, RATE, tune().frames)
    assert measured.integrated_lufs == pytest.approx(-16, abs=0.1)
    assert measured.true_peak_dbtp is not None and measured.true_peak_dbtp <= -1
    assert measured.integrated_lufs == pytest.approx(figures["after"]["integrated_lufs"], abs=0.01)
    assert soundfile.info(path).subtype == "PCM_24"


def test_master_keeps_a_surround_file_surround(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "surround.flac"
    write(tune(2, channels=6), path)
    mastered, figures, _ = client.predict(handle_file(path), target="ebu_r128", api_name="/master")
    assert read(mastered).channels == 6
    assert figures["after"]["integrated_lufs"] == pytest.approx(-23, abs=0.1)


def test_an_album_comes_back_as_a_zip_with_one_gain(client: Client, tmp_path: Path) -> None:
    paths = [tmp_path / "loud.wav", tmp_path / "soft.flac"]
    write(tune(), paths[0])
    write(tune().with_samples(tune().samples * np.float32(0.3)), paths[1])
    archive, figures = client.predict(
        [handle_file(path) for path in paths], target="tidal", api_name="/master_album"
    )
    with zipfile.ZipFile(archive) as files:
        assert files.namelist() == ["01 loud-mastered.wav", "02 soft-mastered.wav"]
        assert files.testzip() is None
    assert figures[0]["gain_db"] == figures[1]["gain_db"]


def test_resynthesis_with_the_original_phase_and_all_bins_gives_the_input_back(
    client: Client, recording: Path
) -> None:
    path, figures, _ = client.predict(
        handle_file(recording), phase="original", mel_bands=0, rate=RATE, api_name="/resynthesize"
    )
    assert np.allclose(read(path).samples, read(recording).samples, atol=1e-5)
    assert figures["spectral_convergence_db"] < -80


def test_griffin_lim_costs_what_the_figures_say(client: Client, recording: Path) -> None:
    _, rough, _ = client.predict(handle_file(recording), mel_bands=0, iterations=2, api_name="/resynthesize")
    path, fine, picture = client.predict(handle_file(recording), mel_bands=0, api_name="/resynthesize")
    assert fine["spectral_convergence_db"] < rough["spectral_convergence_db"] - 6
    assert read(path).samples.shape == tune().samples.shape
    with Image.open(picture) as image:
        assert image.format == "PNG"


def test_release_meets_its_target_and_returns_each_stage(client: Client, speech: Path) -> None:
    settings = {"preset": "interview", "target": "ebu_r128", "seed": 3}
    path, stages, figures, picture = client.predict(handle_file(speech), **settings, api_name="/release")
    result = aural.release(read(speech), **settings)
    made = [*stages, path]
    clips = [result.enhanced.clip, result.super_resolved.clip, result.clip]
    for file, clip in zip(made, clips, strict=True):
        assert read(file).rate == clip.rate
        assert np.allclose(read(file).samples, clip.samples, atol=2**-22)
    assert {name: figures[name] for name in result.figures()} == result.figures()
    loudness = aural.measure(read(path))
    assert loudness.integrated_lufs == pytest.approx(-23, abs=0.1)
    assert figures["versions"]["mastered"]["integrated_lufs"] == pytest.approx(-23, abs=0.1)
    with Image.open(picture) as image:
        assert image.format == "PNG" and min(image.size) > 300


@pytest.mark.parametrize(
    "settings",
    [{"preset": "fax"}, {"target": "free"}, {"rate": 1}, {"downmix": None}, {"target": {}}, {"strength": []}],
    ids=str,
)
def test_what_cannot_be_released_ends_in_one_clear_sentence(
    client: Client, recording: Path, settings: dict
) -> None:
    with pytest.raises(AppError, match=r"(?i:choose|must be).*\.$"):
        client.predict(handle_file(recording), **settings, api_name="/release")


def test_a_batch_does_what_it_can(client: Client, recording: Path, tmp_path: Path) -> None:
    files = [handle_file(path) for path in (recording, bad_file("text", tmp_path))]
    archive, table, rows = client.predict(
        files, verb="master", settings={"target": "tidal"}, api_name="/batch"
    )
    assert [bool(row["error"]) for row in rows] == [False, True]
    with zipfile.ZipFile(archive) as members:
        assert members.namelist() == ["recording-mastered.wav", "measurements.csv"]
        assert members.read("measurements.csv") == Path(table).read_bytes()
        mastered = read(Path(members.extract("recording-mastered.wav", tmp_path / "out")))
    assert aural.measure(mastered).integrated_lufs == pytest.approx(-14, abs=0.1)


def test_a_call_that_takes_too_long_ends_in_one_clear_sentence(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tune(240), tmp_path / "long.flac")
    monkeypatch.setattr(endpoints, "CALL_SECONDS", 0.5)
    with pytest.raises(AppError, match=r"longer than the limit of .* minutes\. Try .*\.$"):
        client.predict(handle_file(tmp_path / "long.flac"), api_name="/enhance")


def test_a_full_queue_and_a_file_too_large_are_refused(
    tiny_checkpoints: None,  # noqa: ARG001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app, "QUEUE_LENGTH", 1)
    monkeypatch.setattr(app, "LIMITS", Limits(file_bytes=2_000_000))
    write(tune(60, channels=1), tmp_path / "long.flac")
    write(tune(60, channels=1), tmp_path / "large.wav", "wav32f")
    demo = app.build()
    app.launch(demo, prevent_thread_lock=True, quiet=True, server_port=None)
    client = Client(demo.local_url, verbose=False, httpx_kwargs={"timeout": 60})
    try:
        jobs = [client.submit(handle_file(tmp_path / "long.flac"), api_name="/enhance") for _ in range(8)]
        deadline = time.monotonic() + 60
        while not any(job.done() for job in jobs) and time.monotonic() < deadline:
            time.sleep(0.05)
        refused = [str(job.exception()) for job in jobs if job.done()]
        assert refused and set(refused) == {"Queue is full! Please try again."}
        for job in jobs:
            job.cancel()
        upload = httpx.post(
            f"{demo.local_url}gradio_api/upload",
            files={"files": ("large.wav", (tmp_path / "large.wav").read_bytes())},
        )
        assert upload.status_code == 413 and "2000000 bytes" in upload.text
    finally:
        client.close()
        demo.close()


QUICK = {"steps": 2, "seconds": 1.0}


def test_generate_gives_the_same_sounds_as_the_library(client: Client) -> None:
    files, figures, picture = client.predict("Chirping birds", count=3, seed=7, **QUICK, api_name="/generate")
    clips = aural.generate("chirping_birds", count=3, seed=7, **QUICK).clips
    assert len(files) == 3
    for file, clip in zip(files, clips, strict=True):
        assert soundfile.info(file).subtype == "PCM_24"
        assert np.allclose(read(file).samples, clip.samples, atol=2**-22)
    assert (figures["label"], figures["seed"], figures["count"]) == ("chirping_birds", 7, 3)
    for guesses in figures["guesses"]:
        assert {guess["label"] for guess in guesses} <= set(CLASSES) and len(guesses) == 5
        shares = [guess["probability"] for guess in guesses]
        assert shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 1
    with Image.open(picture) as image:
        assert image.format == "PNG" and min(image.size) > 300


def test_a_seed_that_was_drawn_gives_the_same_sound_again(client: Client) -> None:
    files, figures, _ = client.predict("rain", **QUICK, api_name="/generate")
    again, same, _ = client.predict("rain", seed=figures["seed"], **QUICK, api_name="/generate")
    other, different, _ = client.predict("rain", **QUICK, api_name="/generate")
    assert same == figures and different["seed"] != figures["seed"]
    assert Path(again[0]).read_bytes() == Path(files[0]).read_bytes() != Path(other[0]).read_bytes()


def test_an_upload_is_varied_filled_and_extended(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "source.wav"
    source = tune(2, channels=1, rate=22_050)
    write(source, path)
    call = {"steps": 2, "source": handle_file(path), "api_name": "/generate"}
    varied, filled, extended = (
        read(client.predict("dog", **gap, **call)[0][0])
        for gap in (
            {},
            {"gap_start_seconds": 0.8, "gap_end_seconds": 1.2},
            {"gap_start_seconds": 1.8, "gap_end_seconds": 3},
        )
    )
    assert varied.seconds == pytest.approx(2, abs=0.01)
    assert not np.allclose(varied.samples, source.samples, atol=1e-3)
    before, gap, after = np.split(
        filled.samples - source.samples, [round(0.7 * 22_050), round(1.3 * 22_050)], 1
    )
    assert np.abs(before).max() < 1e-5 and np.abs(after).max() < 1e-5 and np.abs(gap).max() > 1e-3
    assert extended.seconds == pytest.approx(3, abs=0.01)


@pytest.mark.parametrize(
    "settings",
    [
        {"label": "dgo"},
        {"label": ""},
        {"morph": "dgo"},
        {"count": 0},
        {"count": 9},
        {"count": 1.5},
        {"seconds": 0},
        {"seconds": 11},
        {"steps": 0},
        {"guidance": 1000},
        {"morph_share": 2},
        {"strength": -1},
        {"seed": -1},
        {"seed": 0.5},
        {"seed": 1e300},
        {"sampler": "heun"},
        {"vocoder": "none"},
        {"gap_start_seconds": 1, "gap_end_seconds": 2},
    ],
    ids=str,
)
def test_what_cannot_be_generated_ends_in_one_clear_sentence(client: Client, settings: dict) -> None:
    with pytest.raises(AppError, match=r"(?i:choose|must be|remove).*\.$"):
        client.predict(**{"label": "dog", **settings}, api_name="/generate")


@pytest.mark.parametrize("kind", ["text", "nothing", "header only", "not a number", "three hours"])
def test_a_bad_file_cannot_be_varied(client: Client, tmp_path: Path, kind: str) -> None:
    source = handle_file(bad_file(kind, tmp_path))
    with pytest.raises(AppError, match=r"[.:] .*\.$"):
        client.predict("dog", source=source, **QUICK, api_name="/generate")


def cancel_under_way(jobs: list[Job]) -> None:
    """Cancel calls once each has given a first output, and before any is done."""
    deadline = time.monotonic() + 60
    while not all(job.outputs() for job in jobs) and time.monotonic() < deadline:
        time.sleep(0.05)
    for job in jobs:
        assert job.outputs() and not job.done(), "the calls must be under way"
        job.cancel()


def test_cancelled_generations_make_room_for_others(client: Client) -> None:
    client.predict("dog", **QUICK, api_name="/generate")  # the models are loaded
    slow = {"count": 2, "steps": 200, "api_name": "/generate"}
    jobs = [client.submit("dog", **slow) for _ in range(app.CALLS_AT_ONCE)]
    cancel_under_way(jobs)
    assert len(client.predict("dog", **QUICK, api_name="/generate")[0]) == 1


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """Three seconds of the sentence that ships with the app."""
    clip = read(FOLDER / "speech.ogg")
    path = tmp_path / "speech.wav"
    write(clip.with_samples(clip.samples[:, : 3 * clip.rate]), path)
    return path


def test_enhance_gives_the_same_sound_as_the_library(client: Client, speech: Path) -> None:
    path, background, figures, picture = client.predict(
        handle_file(speech), preset="podcast", strength=0.5, seed=3, api_name="/enhance"
    )
    result = aural.enhance(read(speech), preset="podcast", strength=0.5, seed=3)
    assert figures == result.figures()
    for file, clip in ((path, result.clip), (background, result.background)):
        assert soundfile.info(file).subtype == "PCM_24"
        assert np.allclose(read(file).samples, clip.samples, atol=2**-22)
    assert aural.measure(read(path)).integrated_lufs == pytest.approx(-16, abs=0.1)
    with Image.open(picture) as image:
        assert image.format == "PNG" and min(image.size) > 300


@pytest.mark.parametrize("setting", ["griffin_lim", "vocoder", "waveform"])
def test_every_setting_keeps_length_rate_and_channels(client: Client, tmp_path: Path, setting: str) -> None:
    path = tmp_path / "stereo.wav"
    write(tune(1), path)
    made, *_ = client.predict(handle_file(path), setting=setting, api_name="/enhance")
    assert (read(made).samples.shape, read(made).rate) == (tune(1).samples.shape, RATE)


def test_what_exceeds_full_scale_is_not_clipped_anew(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "hot.wav"
    hot = tune(1).with_samples(2 * tune(1).samples / np.abs(tune(1).samples).max())
    write(hot, path, "wav32f")
    made, *_ = client.predict(handle_file(path), strength=0, api_name="/enhance")
    assert np.array_equal(read(made).samples, hot.samples)


def test_strength_0_gives_the_input_back(client: Client, recording: Path) -> None:
    path, *_ = client.predict(handle_file(recording), strength=0, preset="podcast", api_name="/enhance")
    assert np.array_equal(read(path).samples, read(recording).samples)


def test_a_recording_can_be_expanded(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "narrow.wav"
    write(tune(1, channels=1, rate=8000), path)
    made, *_ = client.predict(handle_file(path), expand_rate=48_000, api_name="/enhance")
    assert (read(made).rate, read(made).frames) == (48_000, 48_000)


def test_a_reference_adds_the_measures_before_and_after(client: Client, speech: Path) -> None:
    phone, _ = client.predict(handle_file(speech), preset="video_call", api_name="/degrade")
    *_, figures, _ = client.predict(handle_file(phone), reference=handle_file(speech), api_name="/enhance")
    against = figures["reference"]
    assert against["delay_seconds"] == 0
    for nearness in (against["before"], against["after"]):
        assert set(nearness) == {"snr_db", "si_sdr_db", "pesq", "stoi", "lsd"}
        # PESQ is for those only who have a C compiler.
        assert (nearness["pesq"] is None) == (find_spec("pesq") is None)
        assert None not in [nearness[name] for name in nearness if name != "pesq"]
    *_, same, _ = client.predict(
        handle_file(speech), reference=handle_file(speech), strength=0, api_name="/enhance"
    )
    assert same["reference"]["before"] == same["reference"]["after"]
    assert same["reference"]["after"]["stoi"] == 1


@pytest.mark.parametrize("kind", ["text", "nothing", "another tune"])
def test_a_reference_that_does_not_fit_ends_in_one_clear_sentence(
    client: Client, speech: Path, tmp_path: Path, kind: str
) -> None:
    if kind == "another tune":
        write(tune(3), tmp_path / "bad.wav")
        reference = tmp_path / "bad.wav"
    else:
        reference = bad_file(kind, tmp_path)
    with pytest.raises(AppError, match=r"^Can't use the reference\. .*\.$"):
        client.predict(handle_file(speech), reference=handle_file(reference), api_name="/enhance")


@pytest.mark.parametrize(
    "settings",
    [
        {"preset": "radio"},
        {"setting": "none"},
        {"strength": 2},
        {"mix": -1},
        {"expand_rate": 22_050},
        {"background_db": 40},
        {"loudness_lufs": 5},
        {"seed": -1},
        {"seed": None},
        {"noise_reduction": None},
        {"strength": True},
        {"preset": None},
    ],
    ids=str,
)
def test_what_cannot_be_enhanced_ends_in_one_clear_sentence(
    client: Client, recording: Path, settings: dict
) -> None:
    with pytest.raises(AppError, match=r"(?i:choose|must be).*\.$"):
        client.predict(handle_file(recording), **settings, api_name="/enhance")


def test_degrade_gives_the_same_sound_as_the_library(client: Client, speech: Path) -> None:
    settings = {"preset": "phone_call", "seed": 5, "snr_db": 10}
    path, figures = client.predict(handle_file(speech), **settings, api_name="/degrade")
    assert np.allclose(read(path).samples, aural.degrade(read(speech), **settings).samples, atol=2**-22)
    assert {name: figures[name] for name in settings} == settings
    assert figures["found"]["bandwidth_hz"] < 4000
    again, _ = client.predict(handle_file(speech), **settings, api_name="/degrade")
    assert Path(again).read_bytes() == Path(path).read_bytes()


@pytest.mark.parametrize("settings", [{"preset": "fax"}, {"seed": 0.5}, {"snr_db": 99}], ids=str)
def test_what_no_phone_does_ends_in_one_clear_sentence(
    client: Client, recording: Path, settings: dict
) -> None:
    with pytest.raises(AppError, match=r"(?i:choose|must be).*\.$"):
        client.predict(handle_file(recording), **settings, api_name="/degrade")


def test_cancelled_enhancements_make_room_for_others(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    write(tune(300), path)
    jobs = [client.submit(handle_file(path), api_name="/enhance") for _ in range(app.CALLS_AT_ONCE)]
    cancel_under_way(jobs)
    short = tmp_path / "short.wav"
    write(tune(1), short)
    assert client.predict(handle_file(short), api_name="/measure")[0]["channels"] == 2
    assert not any(isinstance(job.outputs()[-1][0], str) for job in jobs), "no cancelled call came to its end"


@pytest.fixture
def narrow(tmp_path: Path) -> Path:
    """A second of chords and noise in stereo at 8 kHz."""
    path = tmp_path / "narrow.wav"
    write(noisy(1, 8_000), path)
    return path


def noisy(seconds: float, rate: int) -> Clip:
    """A tune with noise up to the end of its band, in stereo."""
    clip = tune(seconds, rate=rate)
    noise = np.random.default_rng(0).standard_normal(clip.samples.shape)
    return clip.with_samples(clip.samples + np.float32(0.02) * noise.astype(np.float32))


@pytest.mark.parametrize("method", ["default", "lisa", "sinc"])
def test_super_resolve_gives_the_same_sound_as_the_library(client: Client, narrow: Path, method: str) -> None:
    path, figures, *pictures = client.predict(
        handle_file(narrow), rate=44_100, method=method, api_name="/super_resolve"
    )
    result = aural.super_resolve(read(narrow), rate=44_100, method=method)
    assert figures == result.figures()
    assert (read(path).rate, read(path).samples.shape) == (44_100, (2, 44_100))
    assert np.allclose(read(path).samples, result.clip.samples, atol=2**-22)
    assert soundfile.info(path).subtype == "PCM_24"
    for picture in pictures:
        with Image.open(picture) as image:
            assert image.format == "PNG" and min(image.size) > 300


@pytest.mark.parametrize(
    ("settings", "rate"),
    [({}, 48_000), ({"factor": 2.37}, 18_960), ({"rate": 47_953}, 47_953), ({"rate": 192_000}, 192_000)],
    ids=str,
)
def test_the_length_is_that_of_the_input_times_the_ratio(
    client: Client, tmp_path: Path, settings: dict, rate: int
) -> None:
    path = tmp_path / "odd.wav"
    clip = noisy(1, 8_000)
    write(clip.with_samples(clip.samples[:, :4_321]), path)
    made, figures, *_ = client.predict(handle_file(path), **settings, api_name="/super_resolve")
    assert (read(made).rate, figures["rate"]) == (rate, rate)
    assert read(made).samples.shape == (2, round(4_321 * rate / 8_000))


def test_what_if_holds_all_methods_against_the_truth(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "full.wav"
    write(noisy(1, 48_000), path)
    made, figures, *_ = client.predict(
        handle_file(path), what_if_rate=8_000, compare=True, api_name="/super_resolve"
    )
    assert read(made).samples.shape == (2, 48_000)
    assert set(figures["comparison"]) == {"default", "lisa", "sinc"}
    for row in figures["comparison"].values():
        assert set(row) == {"snr_db", "lsd", "lsd_above", "lsd_below"}
    sinc = figures["comparison"]["sinc"]
    assert sinc["lsd_above"] > 10 * sinc["lsd_below"], "what was cut is missing, and what was left is right"
    assert client.predict(handle_file(path), api_name="/super_resolve")[1]["comparison"] is None


def test_what_lacks_nothing_comes_back_as_it_is(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "full.wav"
    write(noisy(1, 48_000), path)
    made, figures, *_ = client.predict(handle_file(path), compare=True, api_name="/super_resolve")
    assert np.array_equal(read(made).samples, read(path).samples)
    assert figures["filled_hz"] is None


@pytest.mark.parametrize(
    "settings",
    [
        {"rate": 44_100, "factor": 2},
        {"rate": 4_000},
        {"rate": 3_999},
        {"rate": 192_001},
        {"rate": 10**12},
        {"rate": -48_000},
        {"rate": 44_100.5},
        {"rate": True},
        {"factor": 0},
        {"factor": -2},
        {"factor": 49},
        {"factor": 0.5},
        {"factor": 1e300},
        {"method": "magic"},
        {"method": None},
        {"bandwidth_hz": 0},
        {"bandwidth_hz": 1e9},
        {"bandwidth_hz": 20_000},
        {"what_if_rate": 8_000},
        {"what_if_rate": 3},
    ],
    ids=str,
)
def test_what_cannot_be_super_resolved_ends_in_one_clear_sentence(
    client: Client, narrow: Path, settings: dict
) -> None:
    with pytest.raises(AppError, match=r"(?i:choose|must be|set).*\.$"):
        client.predict(handle_file(narrow), **settings, api_name="/super_resolve")


@pytest.mark.parametrize("samples", [1, 40])
def test_what_is_too_short_for_a_band_ends_in_one_clear_sentence(
    client: Client, tmp_path: Path, samples: int
) -> None:
    path = tmp_path / "short.wav"
    write(Clip(np.full((1, samples), 0.5, np.float32), 8_000), path)
    with pytest.raises(AppError, match=r"Choose one of at least 10 ms\.$"):
        client.predict(handle_file(path), api_name="/super_resolve")


@pytest.mark.parametrize("kind", ["silence", "short", "dc", "clipped"])
def test_an_odd_file_is_super_resolved_without_nan(client: Client, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "odd.wav"
    clip = edge_clip(kind)
    write(clip, path)
    made, figures, *_ = client.predict(
        handle_file(path), rate=96_000, compare=True, api_name="/super_resolve"
    )
    json.dumps(figures, allow_nan=False)
    assert read(made).samples.shape == (2, round(clip.frames * 96_000 / RATE))


def test_cancelled_super_resolutions_make_room_for_others(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    write(noisy(300, 8_000), path)
    jobs = [
        client.submit(handle_file(path), method="lisa", api_name="/super_resolve")
        for _ in range(app.CALLS_AT_ONCE)
    ]
    cancel_under_way(jobs)
    short = tmp_path / "short.wav"
    write(tune(1), short)
    assert client.predict(handle_file(short), api_name="/measure")[0]["channels"] == 2
    assert not any(isinstance(job.outputs()[-1][0], str) for job in jobs), "no cancelled call came to its end"


def write_pcm(path: Path, seconds: float, channels: int = 1, rate: int = 8000) -> None:
    """Silence as 8-bit WAV, without holding it in memory."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(1)
        file.setframerate(rate)
        for _ in range(math.ceil(seconds / 60)):
            file.writeframes(b"\x80" * (channels * rate * 60))


def bad_file(kind: str, folder: Path) -> Path:
    path = folder / "bad.wav"
    if kind == "text":
        path.write_text("This is not audio at all.\n" * 50)
    elif kind == "nothing":
        path.write_bytes(b"")
    elif kind == "header only":
        write(tune(1), path)
        path.write_bytes(path.read_bytes()[:44])
    elif kind == "not a number":
        soundfile.write(path, np.array([0.1, np.nan, 0.2], np.float32), RATE, subtype="FLOAT")
    elif kind == "infinite":
        soundfile.write(path, np.array([0.1, np.inf, 0.2], np.float32), RATE, subtype="FLOAT")
    elif kind == "nine channels":
        soundfile.write(path, np.zeros((1000, 9), np.float32), RATE)
    elif kind == "three hours":
        write_pcm(path, 3 * 3600)
    return path


@pytest.mark.parametrize("endpoint", TAKE_A_FILE)
@pytest.mark.parametrize(
    "kind", ["text", "nothing", "header only", "not a number", "infinite", "nine channels", "three hours"]
)
def test_a_bad_file_ends_in_one_clear_sentence(
    client: Client, tmp_path: Path, kind: str, endpoint: str
) -> None:
    with pytest.raises(AppError) as failure:
        client.predict(handle_file(bad_file(kind, tmp_path)), api_name=endpoint)
    message = str(failure.value)
    assert re.search(r"[.:] \w", message) and message.endswith("."), message
    assert "Traceback" not in message and "Error" not in message, message


def edge_clip(kind: str) -> Clip:
    if kind == "silence":
        return Clip(np.zeros((2, 2 * RATE), np.float32), RATE)
    if kind == "short":
        return Clip(tune(1).samples[:, : RATE // 5], RATE)
    if kind == "dc":
        return Clip(np.full((2, RATE), 0.3, np.float32), RATE)
    if kind == "clipped":
        return Clip(np.clip(20 * tune().samples, -1, 1), RATE)
    return Clip(np.full((1, 1), 0.5, np.float32), RATE)


@pytest.mark.parametrize("endpoint", TRANSFORMS)
@pytest.mark.parametrize("kind", ["silence", "short", "dc", "clipped", "one sample"])
def test_an_odd_file_gives_figures_without_nan(
    client: Client, tmp_path: Path, kind: str, endpoint: str
) -> None:
    path = tmp_path / "odd.wav"
    write(edge_clip(kind), path)
    answer = client.predict(handle_file(path), api_name=endpoint)
    figures = next(part for part in answer if isinstance(part, dict))
    json.dumps(figures, allow_nan=False)
    if endpoint != "/measure":
        assert read(answer[0]).samples.shape == read(path).samples.shape


def test_half_a_file_is_measured_as_far_as_it_goes(client: Client, recording: Path) -> None:
    recording.write_bytes(recording.read_bytes()[: recording.stat().st_size // 2])
    figures, *_ = client.predict(handle_file(recording), api_name="/measure")
    assert figures["seconds"] == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize(
    "settings",
    [
        {"target": "free"},
        {"loudness_lufs": 5},
        {"ceiling_dbtp": 3},
        {"playback_phon": 500},
        {"layout": "7.1"},
        {"control_range": True, "range_lu": 0},
    ],
)
def test_a_setting_out_of_range_ends_in_one_clear_sentence(
    client: Client, recording: Path, settings: dict
) -> None:
    with pytest.raises(AppError, match=r"(?i:between|set|choose|must).*\.$"):
        client.predict(handle_file(recording), **settings, api_name="/master")


def test_after_an_error_the_next_call_is_answered(client: Client, recording: Path, tmp_path: Path) -> None:
    with pytest.raises(AppError):
        client.predict(handle_file(bad_file("text", tmp_path)), api_name="/measure")
    assert client.predict(handle_file(recording), api_name="/measure")[0]["channels"] == 2


def test_no_file_of_the_server_can_be_read_through_an_endpoint(client: Client, recording: Path) -> None:
    body = {"data": [{"path": str(recording), "meta": {"_type": "gradio.FileData"}}, "auto", False]}
    call = httpx.post(f"{client.src}gradio_api/call/measure", json=body)
    answer = httpx.get(f"{client.src}gradio_api/call/measure/{call.json()['event_id']}").text
    assert "event: error" in answer
    assert "integrated_lufs" not in answer


def test_results_are_swept_when_they_are_old(
    client: Client, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "SWEPT_EVERY_SECONDS", 0.0)
    client.predict(handle_file(recording), api_name="/master")
    results = Path(get_upload_folder(), "results")
    old = sorted(results.iterdir())
    assert old
    for path in results.rglob("*"):
        os.utime(path, (0, 0))
    client.predict(handle_file(recording), compare_downmixes=False, api_name="/measure")
    assert not any(folder.exists() for folder in old)


def test_the_oldest_go_first_where_all_take_too_much(
    client: Client, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "SWEPT_EVERY_SECONDS", 0.0)
    paths = [client.predict(handle_file(recording), api_name="/master")[0] for _ in range(2)]
    client.predict(handle_file(recording), compare_downmixes=False, api_name="/measure")
    kept = sorted(Path(get_upload_folder(), "results").rglob("*mastered.wav"), key=os.path.getmtime)
    assert len(kept) >= 2 and all(Path(path).exists() for path in paths)
    for age, path in enumerate(reversed(kept)):
        os.utime(path, (time.time() - 60 * age,) * 2)
    monkeypatch.setattr(storage, "KEPT_BYTES", kept[-1].stat().st_size * 3 // 2)
    client.predict(handle_file(recording), compare_downmixes=False, api_name="/measure")
    assert not any(path.exists() for path in kept[:-1])


def test_the_examples_outlive_the_sweeping_of_what_visitors_leave(client: Client) -> None:
    """Gradio's own copies of them would be swept with the uploads: they are served from where they lie."""
    copies = [path for block in app.build().blocks.values() for path in getattr(block, "temp_files", ())]
    assert not copies
    answer = httpx.get(f"{client.src}gradio_api/file={FOLDER / 'song.ogg'}")
    assert answer.status_code == 200 and answer.content == (FOLDER / "song.ogg").read_bytes()
    assert httpx.get(f"{client.src}gradio_api/file={FOLDER.parent / 'theme.py'}").status_code == 403


def test_calls_at_the_same_time_do_not_mix(client: Client, tmp_path: Path) -> None:
    paths = []
    for number in range(4):
        paths.append(tmp_path / f"{number}.wav")
        write(tune().with_samples(tune().samples * np.float32(10 ** (-6 * number / 20))), paths[-1])
    with ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(lambda path: client.predict(handle_file(path), api_name="/measure")[0], paths)
        )
    levels = [answer["integrated_lufs"] for answer in answers]
    assert np.allclose(np.diff(levels), -6, atol=0.02)


def test_cancelled_calls_make_room_for_others(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    write(tune(300), path)
    jobs = []
    for _ in range(app.CALLS_AT_ONCE):
        settings = {
            "target": "free",
            "loudness_lufs": -9,
            "downmix": "mono_phase_safe",
            "api_name": "/master",
        }
        jobs.append(client.submit(handle_file(path), **settings))
    cancel_under_way(jobs)
    # Both places were taken: this one is answered only because they have been given up.
    short = tmp_path / "short.wav"
    write(tune(1), short)
    assert client.predict(handle_file(short), api_name="/measure")[0]["channels"] == 2
    assert not any(isinstance(job.outputs()[-1][0], str) for job in jobs), "no cancelled call came to its end"
