"""The running app, called as programs call it: a real server, a real gradio_client, real files."""

import contextlib
import json
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from gradio.utils import get_upload_folder
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

import app
from aural.audio import Limits, read, write
from aural.files import below
from aural.generation.classes import class_index
from aural.loudness.targets import TARGETS
from aural.ui import endpoints, storage
from aural.ui.examples import FOLDER
from aural.ui.first_visit import ASSETS
from tests.endpoints import BAD_FILES, bad_file, cancel_under_way, edge_clip, tune

ENDPOINTS = [
    "/batch",
    "/degrade",
    "/enhance",
    "/generate",
    "/loop",
    "/master",
    "/master_album",
    "/measure",
    "/release",
    "/resynthesize",
    "/super_resolve",
]


# Take one file of any length; all but the first return one of the same length.
TRANSFORMS = ["/measure", "/master", "/resynthesize", "/enhance", "/degrade"]


TAKE_A_FILE = [*TRANSFORMS, "/super_resolve", "/loop"]


def test_the_public_endpoints_are_the_documented_ones(client: Client) -> None:
    api = client.view_api(return_format="dict", print_info=False)
    assert sorted(api["named_endpoints"]) == ENDPOINTS
    assert not api["unnamed_endpoints"]


def test_the_page_for_assistants_names_what_is_there(client: Client) -> None:
    """Every endpoint, no others; paths that answer; targets and classes that exist."""
    about = httpx.get(f"{client.src}llms.txt").raise_for_status()
    assert about.headers["content-type"].startswith("text/plain")
    verbs = about.text.partition("## Verbs")[2].partition("##")[0]
    assert sorted(f"/{name}" for name in re.findall(r"^- `(\w+)`", verbs, re.MULTILINE)) == ENDPOINTS
    for path in re.findall(r"\]\(/([^)]+)\)", about.text):
        with httpx.stream("GET", f"{client.src}{path}", headers={"Accept": "text/event-stream"}) as answer:
            assert answer.status_code == 200, path
    services = re.search("of a service such as (.*)", verbs)
    assert services and set(re.findall(r"`(\w+)`", services[1])) <= set(TARGETS)
    sounds = re.search("of a class such as (.*?),", verbs)
    assert sounds and all(class_index(name) >= 0 for name in re.findall("`([^`]+)`", sounds[1]))


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
    from aural.generation import loop
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
    assert set(names["/loop"]) == {"audio", *loop.Options.__dataclass_fields__}
    assert set(names["/master"]) == {"audio", *pipeline.Options.__dataclass_fields__}
    assert set(names["/resynthesize"]) == {"audio", *resynthesis.Options.__dataclass_fields__}
    assert names["/measure"] == ["audio", "layout", "compare_downmixes"]
    assert names["/super_resolve"] == ["audio", *superres.Options.__dataclass_fields__, "compare"]


def test_a_call_that_takes_too_long_ends_in_one_clear_sentence(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tune(30), tmp_path / "long.flac")
    monkeypatch.setattr(endpoints, "CALL_SECONDS", 0.1)
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
    write(tune(20, channels=1), tmp_path / "large.wav", "wav32f")
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


# They all read it by `endpoints.load`, so one of them shows every kind, and one kind shows each of them.
@pytest.mark.parametrize(
    ("kind", "endpoint"),
    [*((kind, "/measure") for kind in BAD_FILES), *(("text", endpoint) for endpoint in TAKE_A_FILE[1:])],
)
def test_a_bad_file_ends_in_one_clear_sentence(
    client: Client, tmp_path: Path, kind: str, endpoint: str
) -> None:
    with pytest.raises(AppError) as failure:
        client.predict(handle_file(bad_file(kind, tmp_path)), api_name=endpoint)
    assert str(failure.value) == BAD_FILES[kind]


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
    for path in below(results):
        with contextlib.suppress(FileNotFoundError):  # a call may still be ending
            os.utime(path, (0, 0))
    client.predict(handle_file(recording), compare_downmixes=False, api_name="/measure")
    assert not any(folder.exists() for folder in old)


def test_the_oldest_go_first_where_all_take_too_much(
    client: Client, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "SWEPT_EVERY_SECONDS", 0.0)
    paths = [client.predict(handle_file(recording), api_name="/master")[0] for _ in range(2)]
    client.predict(handle_file(recording), compare_downmixes=False, api_name="/measure")
    results = below(Path(get_upload_folder(), "results"))
    kept = sorted((path for path in results if path.match("*mastered.wav")), key=os.path.getmtime)
    assert len(kept) >= 2 and all(Path(path).exists() for path in paths)
    for age, path in enumerate(reversed(kept)):
        os.utime(path, (time.time() - 60 * age,) * 2)
    # Files in use stay, and a call may end a moment after its answer; then an upload would find no room.
    deadline = time.monotonic() + 60
    while any(storage._events()) and time.monotonic() < deadline:
        time.sleep(0.05)
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
    def measure(path: Path) -> float:
        figures, *_ = client.predict(handle_file(path), compare_downmixes=False, api_name="/measure")
        return float(figures["integrated_lufs"])

    paths = []
    for number in range(4):
        paths.append(tmp_path / f"{number}.wav")
        write(tune().with_samples(tune().samples * np.float32(10 ** (-6 * number / 20))), paths[-1])
    with ThreadPoolExecutor(4) as pool:
        levels = list(pool.map(measure, paths))
    assert np.allclose(np.diff(levels), -6, atol=0.02)


def test_cancelled_calls_make_room_for_others(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    write(tune(150), path)
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


def test_the_page_is_sent_compressed_and_once(address: str) -> None:
    plain = httpx.get(address, headers={"Accept-Encoding": "identity"}, timeout=60)
    assert "content-encoding" not in plain.headers
    assert (
        plain.text.count("function startABPlayer(") <= 2
    )  # in the head, and in the settings that it is made of
    with httpx.stream("GET", address, headers={"Accept-Encoding": "gzip"}, timeout=60) as packed:
        assert packed.headers["content-encoding"] == "gzip"
        sent = sum(map(len, packed.iter_raw()))
    assert sent < min(120_000, len(plain.content) / 4)
    # Programs read the components' schemas from the settings, and the page none.
    assert '"api_info"' not in plain.text
    assert any("api_info" in one for one in httpx.get(f"{address}config").json()["components"])


def test_the_player_of_live_streams_is_not_loaded(address: str) -> None:
    (player,) = ASSETS.glob("hls-*.js")
    script = httpx.get(f"{address}assets/{player.name}")
    assert script.headers["content-type"].startswith("text/javascript")
    assert len(script.content) < 200 < player.stat().st_size
