"""A checkpoint is the bytes that the manifest names, or one clear error in time."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import save, save_file
from torch import nn

from aural import hub
from aural.errors import CheckpointError
from aural.hub import download, manifest
from tests.hub.fake_hub import REPOSITORY, REVISION, FakeHub

# Larger than what counts as one step of a download, so that half of it is a step too.
INPUTS, OUTPUTS = 256, 512
SHORT_SECONDS = 0.8  # a patience for tests that have to lose it


def build(config: Mapping[str, Any]) -> nn.Linear:
    return nn.Linear(config["inputs"], config["outputs"])


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {"weight": torch.randn(OUTPUTS, INPUTS), "bias": torch.randn(OUTPUTS)}


@pytest.fixture
def folder(tmp_path: Path, weights: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoints folder with the checkpoint "tiny"; nothing is loaded, no Hub is named."""
    monkeypatch.setattr(hub, "_models", {})
    monkeypatch.delenv("AURAL_HUB_REPO", raising=False)
    monkeypatch.setenv("AURAL_CHECKPOINTS", str(tmp_path / "checkpoints"))
    folder = tmp_path / "checkpoints" / "tiny"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"inputs": INPUTS, "outputs": OUTPUTS}))
    save_file(weights, folder / "model.safetensors")
    pin(folder)
    return folder


def pin(folder: Path, **changes: object) -> None:
    """Write the manifest for the files that lie in the folder now."""
    sha256 = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    entry = {"revision": REVISION, "licence": "MIT", "sha256": sha256, **changes}
    (folder.parent / "manifest.json").write_text(json.dumps({folder.name: entry}))


@pytest.fixture
def fake_hub(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A Hub that has the files of the folder, which are gone from there; the Hub cache is empty."""
    server = FakeHub({f"tiny/{path.name}": path.read_bytes() for path in folder.iterdir()})
    for path in folder.iterdir():
        path.unlink()
    monkeypatch.setenv("AURAL_HUB_REPO", REPOSITORY)
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield server
    server.close()


def failure() -> str:
    """The message of the load that fails: one sentence, in time, and nothing is kept."""
    start = time.monotonic()
    with pytest.raises(CheckpointError) as caught:
        hub.load("tiny", build, device="cpu")
    message = str(caught.value)
    # On an idle machine it is 5 s; the library alone would try for 23 s.
    assert time.monotonic() - start < 10
    assert "'tiny'" in message and message.endswith(".") and "\n" not in message
    assert hub.loaded() == []
    return message


def cached_files(tmp_path: Path) -> list[str]:
    """Names of the real files that the Hub cache holds for the repository."""
    blobs = tmp_path / "cache" / "models--someone--aural" / "blobs"
    return sorted(path.name for path in blobs.iterdir())


def test_a_local_checkpoint_gives_the_weights_that_were_saved(
    folder: Path, weights: dict[str, torch.Tensor]
) -> None:
    model = hub.load("tiny", build, device="cpu")
    assert torch.equal(model.weight, weights["weight"]) and torch.equal(model.bias, weights["bias"])
    assert hub.loaded() == [hub.Loaded("tiny", "cpu", str(folder))]


@pytest.mark.usefixtures("folder")
def test_a_loaded_model_is_frozen_and_in_evaluation_mode() -> None:
    model = hub.load("tiny", build, device="cpu")
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.usefixtures("folder")
def test_callers_at_the_same_time_share_one_build() -> None:
    builds = []

    def slow_build(config: Mapping[str, Any]) -> nn.Linear:
        builds.append(config)
        time.sleep(0.2)
        return build(config)

    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(hub.load, "tiny", slow_build, device="cpu") for _ in range(4)]
    assert len(builds) == 1
    assert len({id(call.result()) for call in calls}) == 1
    assert hub.load("tiny", slow_build, device="cpu") is calls[0].result()


def test_a_failed_load_is_tried_again(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").unlink()
    assert "model.safetensors can't be read (No such file" in failure()
    (folder / "model.safetensors").write_bytes(content)
    assert hub.load("tiny", build, device="cpu")


@pytest.mark.usefixtures("folder")
def test_a_large_file_is_hashed_once() -> None:
    hub.resolve("tiny")
    before = manifest._hash.cache_info().misses
    hub.resolve("tiny")
    assert manifest._hash.cache_info().misses == before


def test_the_manifest_in_the_repository_is_well_formed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AURAL_CHECKPOINTS", raising=False)
    assert all(len(entry.sha256) == 2 for entry in manifest.entries().values())


def test_every_checkpoint_of_the_manifest_is_built_by_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AURAL_CHECKPOINTS", raising=False)
    entries = manifest.entries()
    assert set(hub.BUILDERS) == set(entries)
    for name in entries:
        assert hub.BUILDERS[name].startswith("aural.")
        config = json.loads((manifest.folder() / name / "config.json").read_text(encoding="utf-8"))
        network = hub.builder(name)(config)
        # As its checkpoint says; what is new since then has its default.
        assert network.config.to_dict() | config == network.config.to_dict()


def test_a_checkpoint_needs_no_builder_from_its_caller(
    folder: Path, weights: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CheckpointError, match=r"No network is known for the checkpoint 'tiny'.*extender"):
        hub.load("tiny", device="cpu")
    monkeypatch.setattr(hub, "BUILDERS", {"tiny": f"{__name__}:build"})
    assert torch.equal(hub.load("tiny", device="cpu").weight, weights["weight"])
    assert hub.loaded() == [hub.Loaded("tiny", "cpu", str(folder))]


def test_one_flipped_bit_is_refused(folder: Path) -> None:
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    assert "model.safetensors is not the manifest's. Restore that file with `git checkout`" in failure()


@pytest.mark.usefixtures("folder")
def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(CheckpointError, match=r"no checkpoint 'huge'\. Choose one .* \(tiny\)"):
        hub.load("huge", build, device="cpu")


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (None, "can't be read"),
        ("{", "is not JSON"),
        ("[]", "one object per checkpoint"),
        ('{"tiny": []}', "lacks the revision, the licence or a sha256 of 'tiny'"),
        ('{"tiny": {"revision": null, "licence": "MIT", "sha256": {"config.json": "0"}}}', "lacks"),
    ],
)
def test_a_malformed_manifest_is_named(folder: Path, manifest: str | None, words: str) -> None:
    path = folder.parent / "manifest.json"
    path.unlink()
    if manifest is not None:
        path.write_text(manifest)
    with pytest.raises(CheckpointError, match=words) as caught:
        hub.load("tiny", build, device="cpu")
    assert str(path) in str(caught.value) and "git checkout" in str(caught.value)


@pytest.mark.parametrize("config", [b"{", b"[1]", b"\xff\xfe"])
def test_a_config_that_is_not_a_json_object_is_refused(folder: Path, config: bytes) -> None:
    (folder / "config.json").write_bytes(config)
    pin(folder)
    assert "is not a JSON object. Export the checkpoint again" in failure()


@pytest.mark.parametrize("config", [{"inputs": INPUTS}, {"inputs": INPUTS, "outputs": "many"}])
def test_a_config_of_another_model_is_refused(folder: Path, config: dict[str, object]) -> None:
    (folder / "config.json").write_text(json.dumps(config))
    pin(folder)
    assert "does not fit the model" in failure()


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"inputs": INPUTS, "outputs": 3}))
    pin(folder)
    assert "weight is (512, 256) instead of (3, 256); bias is (512,) instead of (3,)" in failure()


def test_missing_and_extra_weights_are_refused(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    save_file({"weight": weights["weight"], "scale": weights["bias"]}, folder / "model.safetensors")
    pin(folder)
    assert "bias is missing; scale is not expected" in failure()


@pytest.mark.parametrize("size", [0, 4, 100, 200_000])
def test_truncated_weights_are_refused_even_where_the_manifest_agrees(folder: Path, size: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    pin(folder)
    assert "can't be read" in failure()


def test_a_checkpoint_comes_from_the_hub_then_from_its_cache_without_a_request(
    fake_hub: FakeHub, weights: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert torch.equal(hub.load("tiny", build, device="cpu").weight, weights["weight"])
    assert [loaded.source for loaded in hub.loaded()] == [f"{REPOSITORY} at {REVISION}"]
    assert {request.split()[1] for request in fake_hub.requests} == {
        "tiny/config.json",
        "tiny/model.safetensors",
    }
    fake_hub.requests.clear()
    monkeypatch.setattr(hub, "_models", {})
    assert hub.load("tiny", build, device="cpu")
    assert fake_hub.requests == []


@pytest.mark.parametrize(
    ("behaviour", "reason", "remedy"),
    [
        ("no repository", "has no repository someone/aural", "Check AURAL_HUB_REPO, and HF_TOKEN if"),
        ("no revision", f"has no revision {REVISION}", "Correct the revision in the manifest"),
        ("no file", "has no tiny/config.json at revision", "Correct the revision in the manifest"),
        ("plain 404", "answered 404 for someone/aural", "Check AURAL_HUB_REPO and HF_TOKEN"),
        ("401", "answered 401", "Check AURAL_HUB_REPO and HF_TOKEN"),
        ("500", "answered 500 for someone/aural", "Try again later"),
        ("503", "answered 503", "Try again later"),
        ("loop", "redirects", "Check the connection"),
    ],
)
def test_a_hub_that_refuses_is_one_clear_error(
    fake_hub: FakeHub, behaviour: str, reason: str, remedy: str
) -> None:
    fake_hub.behaviour = behaviour
    message = failure()
    # The folder has nothing to offer either, and says what to do about that.
    assert reason in message and f". {remedy}" in message and "git lfs pull" in message


@pytest.mark.parametrize("behaviour", ["silent", "drip", "stall", "cut"])
def test_a_hub_that_stalls_is_given_up_and_the_next_call_works(
    fake_hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behaviour: str
) -> None:
    fake_hub.behaviour = behaviour
    with monkeypatch.context() as patch:
        patch.setattr(manifest, "TIMEOUT_SECONDS", SHORT_SECONDS)
        assert "the Hub sent nothing new for 0.8 s" in failure()
    fake_hub.behaviour = "well"
    assert hub.load("tiny", build, device="cpu")
    assert cached_files(tmp_path) == sorted(fake_hub.etags.values()), "a partial file was left behind"


def test_a_silent_hub_fails_in_time_by_default(fake_hub: FakeHub) -> None:
    fake_hub.behaviour = "silent"
    assert "sent nothing new" in failure()


@pytest.mark.usefixtures("fake_hub")
def test_a_hub_that_is_down_or_takes_no_connection_fails_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed.getsockname()[1]}")
    assert "refused" in failure()
    monkeypatch.setattr(manifest, "TIMEOUT_SECONDS", SHORT_SECONDS)
    with socket.socket() as full, socket.socket() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting.connect(full.getsockname())  # fills the backlog: the next connection is never made
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{full.getsockname()[1]}")
        assert "sent nothing new" in failure()


def test_a_look_up_that_hears_no_signal_is_ended_too(
    fake_hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a hanging name server does to getaddrinfo: minutes inside a C function.
    (tmp_path / "sitecustomize.py").write_text(
        "import hashlib, socket\n"
        "socket.getaddrinfo = lambda *_, **__: hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(manifest, "TIMEOUT_SECONDS", SHORT_SECONDS)
    assert "sent nothing new" in failure()
    assert fake_hub.requests == []


def test_a_slow_but_steady_download_may_take_longer_than_the_patience(
    fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_hub.behaviour = "steady"
    monkeypatch.setattr(manifest, "TIMEOUT_SECONDS", 1.2)
    start = time.monotonic()
    hub.resolve("tiny")
    assert time.monotonic() - start > 1.8  # six pieces, 0.3 s after each


def test_a_connection_that_is_cut_once_is_taken_up_again(fake_hub: FakeHub) -> None:
    fake_hub.behaviour = "cut once"
    assert hub.load("tiny", build, device="cpu")
    assert fake_hub.requests.count("GET tiny/model.safetensors") == 2


def test_a_poisoned_file_is_refused_and_not_left_in_the_cache(fake_hub: FakeHub, tmp_path: Path) -> None:
    # The Hub still claims the right etag; only the bytes differ.
    poisoned = save({"weight": torch.zeros(OUTPUTS, INPUTS), "bias": torch.zeros(OUTPUTS)})
    good, fake_hub.files["tiny/model.safetensors"] = fake_hub.files["tiny/model.safetensors"], poisoned
    assert "sent a tiny/model.safetensors whose sha256 is not the manifest's" in failure()
    assert cached_files(tmp_path) == [fake_hub.etags["tiny/config.json"]]
    fake_hub.files["tiny/model.safetensors"] = good
    assert hub.load("tiny", build, device="cpu")


def test_a_damaged_file_in_the_cache_is_fetched_again(fake_hub: FakeHub) -> None:
    blob = hub.resolve("tiny").weights.resolve()
    blob.write_bytes(blob.read_bytes()[:1000])
    fake_hub.behaviour = "500"
    assert "answered 500" in failure()
    fake_hub.behaviour = "well"
    fake_hub.requests.clear()
    assert hub.load("tiny", build, device="cpu")
    assert {request.split()[1] for request in fake_hub.requests} == {"tiny/model.safetensors"}


def test_a_failing_hub_falls_back_to_the_same_bytes_in_the_folder_and_says_so(
    folder: Path, fake_hub: FakeHub, caplog: pytest.LogCaptureFixture
) -> None:
    for file, content in fake_hub.files.items():
        (folder.parent / file).write_bytes(content)
    fake_hub.behaviour = "500"
    with caplog.at_level(logging.WARNING, "aural.hub"):
        assert hub.load("tiny", build, device="cpu")
    assert "answered 500" in caplog.text
    source = hub.loaded()[0].source
    assert source.startswith(str(folder)) and "answered 500" in source


def test_other_checkpoints_load_while_one_waits_for_a_silent_hub(
    folder: Path, fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hub.load("tiny", build, device="cpu")
    entry = json.loads((folder.parent / "manifest.json").read_text())["tiny"]
    (folder.parent / "manifest.json").write_text(json.dumps({"tiny": entry, "other": entry}))
    fake_hub.behaviour = "silent"
    monkeypatch.setattr(manifest, "TIMEOUT_SECONDS", SHORT_SECONDS)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(hub.load, "other", build, device="cpu")
        assert hub.load("tiny", build, device="cpu")
        assert not waiting.done()
    assert isinstance(waiting.exception(), CheckpointError)


@pytest.mark.parametrize("repository", ["a/b/c", "with space/x", "http://127.0.0.1/x"])
def test_a_malformed_repository_name_is_named(
    fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch, repository: str
) -> None:
    monkeypatch.setenv("AURAL_HUB_REPO", repository)
    assert "Write it as owner/name" in failure()
    assert fake_hub.requests == []


def test_a_checkpoint_without_a_revision_is_not_asked_for(folder: Path, fake_hub: FakeHub) -> None:
    for file, content in fake_hub.files.items():
        (folder.parent / file).write_bytes(content)
    pin(folder, revision=None)
    assert "names no revision" in hub.resolve("tiny").source
    assert fake_hub.requests == []


def test_a_fresh_process_needs_only_the_environment_and_works_offline_when_cached(
    fake_hub: FakeHub, tmp_path: Path
) -> None:
    program = "from aural import hub; print(hub.resolve('tiny').source)"

    def run(**environment: str) -> subprocess.CompletedProcess[str]:
        settings = os.environ | {"HF_HUB_CACHE": str(tmp_path / "fresh")} | environment
        root = Path(__file__).parents[2]
        return subprocess.run(
            [sys.executable, "-c", program],
            cwd=root,
            env=settings,
            capture_output=True,
            text=True,
            check=False,
        )

    assert "HF_HUB_OFFLINE is set" in run(HF_HUB_OFFLINE="1").stderr
    assert run().stdout.strip() == f"{REPOSITORY} at {REVISION}"
    fake_hub.requests.clear()
    assert run(HF_HUB_OFFLINE="1").stdout.strip() == f"{REPOSITORY} at {REVISION}"
    assert fake_hub.requests == []


def list_as(folder: Path, *names: str) -> None:
    """Write the manifest so that it has the entry of "tiny" under each of these names."""
    manifest = folder.parent / "manifest.json"
    entry = json.loads(manifest.read_text())["tiny"]
    manifest.write_text(json.dumps(dict.fromkeys(names, entry)))


def test_a_first_start_fetches_and_a_second_asks_nothing(
    fake_hub: FakeHub, capfd: pytest.CaptureFixture[str]
) -> None:
    hub.prefetch()
    fake_hub.requests.clear()
    capfd.readouterr()
    hub.prefetch()
    assert hub.load("tiny", build, device="cpu")
    assert fake_hub.requests == []
    assert capfd.readouterr().err == ""


def test_a_start_shows_how_far_a_file_is(
    fake_hub: FakeHub, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_hub.behaviour = "steady"
    monkeypatch.setattr(download, "LOG_SECONDS", 0.1)
    hub.prefetch()
    shares = [int(share) for share in re.findall(r"model\.safetensors: +(\d+)%", capfd.readouterr().err)]
    assert shares == sorted(shares) and shares[-1] == 100
    assert len({share for share in shares if 0 < share < 100}) > 2


@pytest.mark.usefixtures("fake_hub")
def test_a_start_shows_a_bar_for_each_file(capfd: pytest.CaptureFixture[str]) -> None:
    hub.prefetch()
    lines = capfd.readouterr().err.splitlines()
    for file, size in (("tiny/config.json", "31.0/31.0"), ("tiny/model.safetensors", "526k/526k")):
        assert any(f"{file}: 100%" in line and size in line for line in lines), lines


def test_a_start_without_a_repository_fetches_nothing(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pin(folder)
    hub.prefetch()
    assert capfd.readouterr().err == ""


def test_a_start_survives_a_failing_hub_and_does_not_ask_it_for_ever(
    folder: Path, fake_hub: FakeHub, caplog: pytest.LogCaptureFixture
) -> None:
    list_as(folder, "first", "second", "third")
    (folder.parent / "second").mkdir()
    for file, content in fake_hub.files.items():
        (folder.parent / "second" / Path(file).name).write_bytes(content)
    fake_hub.behaviour = "500"
    with caplog.at_level(logging.WARNING, "aural.hub"):
        hub.prefetch()
    first, second, last = (record.getMessage() for record in caplog.records)
    assert "'first'" in first and "answered 500" in first and "Nor can it be had from the folder" in first
    assert "'second'" in second and f"It is used from {folder.parent / 'second'}" in second
    assert "asked no more" in last
    assert {request.split()[1] for request in fake_hub.requests} == {
        "first/config.json",
        "second/config.json",
    }


def test_a_start_fetches_the_others_where_one_is_poisoned_or_not_published(
    folder: Path, fake_hub: FakeHub, caplog: pytest.LogCaptureFixture
) -> None:
    list_as(folder, "bad", "new", "tiny")
    manifest = json.loads((folder.parent / "manifest.json").read_text())
    manifest["new"] = manifest["new"] | {"revision": None}
    (folder.parent / "manifest.json").write_text(json.dumps(manifest))
    for file in ("config.json", "model.safetensors"):
        fake_hub.files[f"bad/{file}"] = b"{}"
        fake_hub.etags[f"bad/{file}"] = hashlib.sha256(file.encode()).hexdigest()
    with caplog.at_level(logging.WARNING, "aural.hub"):
        hub.prefetch()
    bad, new = (record.getMessage() for record in caplog.records)
    assert "sent a bad/config.json whose sha256" in bad and "names no revision" in new
    fake_hub.requests.clear()
    assert hub.load("tiny", build, device="cpu")
    assert fake_hub.requests == []


def test_a_start_survives_a_manifest_that_cannot_be_read(
    folder: Path, fake_hub: FakeHub, caplog: pytest.LogCaptureFixture
) -> None:
    (folder.parent / "manifest.json").write_text("{")
    hub.prefetch()
    assert "is not JSON" in caplog.text
    assert fake_hub.requests == []


def wait_until(holds: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < ends_at, "it never came true"
        time.sleep(0.02)


@pytest.mark.parametrize("victims", ["the app", "all its processes"])
def test_a_start_that_is_killed_halfway_leaves_the_next_one_the_right_bytes(
    fake_hub: FakeHub, tmp_path: Path, victims: str
) -> None:
    blobs = tmp_path / "cache" / "models--someone--aural" / "blobs"

    def partial_files() -> list[Path]:
        return [
            path for path in blobs.glob("*.incomplete") if path.stat().st_size >= 2 * download.CHUNK_BYTES
        ]

    fake_hub.behaviour = "steady"
    program = "from aural import hub; hub.prefetch()"
    app = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"HF_HUB_CACHE": str(tmp_path / "cache")},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until(lambda: bool(partial_files()))
    if victims == "the app":
        app.kill()
        wait_until(lambda: not list(blobs.glob("*.incomplete")))  # its helper brings the file to its end
    else:
        os.killpg(app.pid, signal.SIGKILL)
    app.wait()
    digest = hashlib.sha256(fake_hub.files["tiny/model.safetensors"]).hexdigest()
    assert (digest in cached_files(tmp_path)) is (victims == "the app")
    fake_hub.behaviour = "well"
    for path in blobs.glob("*.incomplete"):
        long_ago = time.time() - download.STALE_SECONDS - 1
        os.utime(path, (long_ago, long_ago))
    hub.prefetch()
    assert hub.resolve("tiny").weights.read_bytes() == fake_hub.files["tiny/model.safetensors"]
    assert cached_files(tmp_path) == sorted(fake_hub.etags.values()), "a partial file was left behind"


def test_partial_files_that_others_may_be_writing_stay(fake_hub: FakeHub, tmp_path: Path) -> None:
    blobs = tmp_path / "cache" / "models--someone--aural" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "other.incomplete").write_bytes(b"new")
    assert hub.load("tiny", build, device="cpu")
    assert cached_files(tmp_path) == sorted([*fake_hub.etags.values(), "other.incomplete"])


def test_who_waits_for_another_to_fetch_the_same_file_loses_no_patience(
    fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_hub.behaviour, fake_hub.pause_seconds = "steady", 0.25
    monkeypatch.setattr(manifest, "TIMEOUT_SECONDS", 1.0)  # the file takes 1.5 s
    entry = manifest.entries()["tiny"]
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(manifest.fetch, entry, REPOSITORY) for _ in range(2)]
    assert calls[0].result() == calls[1].result()
    assert fake_hub.requests.count("GET tiny/model.safetensors") == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
@pytest.mark.usefixtures("folder")
def test_a_model_is_kept_on_the_card() -> None:
    assert hub.load("tiny", build, device="cuda").weight.is_cuda


def test_importing_the_hub_starts_no_library() -> None:
    program = (
        "import sys, aural.hub; print({'torch', 'huggingface_hub', 'safetensors', 'numpy'} & {*sys.modules})"
    )
    root = Path(__file__).parents[2]
    finished = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert finished.stdout.strip() == "set()"
