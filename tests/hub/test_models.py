"""Each model in a repository of its own: its card, and the way to the Hub and back by the real client."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from diffusers.utils import dynamic_modules_utils
from huggingface_hub import ModelCard, ModelCardData, hf_hub_download
from safetensors.torch import load_file, save_file

from aural import hub
from aural.errors import CheckpointError
from aural.generation.diffusion import SpectrogramPipeline
from aural.generation.model import REAL_FRAMES
from aural.hub import manifest, publish
from aural.hub.__main__ import main
from aural.hub.cards import DESCRIPTIONS, METRICS, eval_results, model_card
from aural.superres.lisa import Lisa, LisaConfig
from tests.generation import tiny as tiny_generation
from tests.hub.fake_hub import TOKEN, FakeHub

# The library's own way with its HTTP client, as it uploads by LFS.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

ROOT = Path(__file__).parents[2]
CHECKPOINTS = ROOT / "checkpoints"
TINY = LisaConfig(widths=(2, 4, 4), latent=4, hidden=8, layers=2, level=4)


@pytest.fixture
def fake_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A Hub on which "someone" may make the repository of one model, lisa; the manifest has that model."""
    server = FakeHub({}, "someone/lisa")
    for name, value in (
        ("HF_TOKEN", TOKEN),
        ("NO_PROXY", "127.0.0.1"),
        ("AURAL_HUB_OWNER", "someone"),
        ("AURAL_CHECKPOINTS", str(tmp_path / "checkpoints")),
        # A download of ours runs in a process of its own.
        ("HF_ENDPOINT", server.url),
        ("HF_HUB_CACHE", str(tmp_path / "cache")),
        ("HF_HUB_DISABLE_XET", "1"),
        ("HF_HUB_DISABLE_TELEMETRY", "1"),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AURAL_HUB_REPO", raising=False)
    for name, setting in (
        ("ENDPOINT", server.url),
        ("HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}"),
        ("HF_HUB_CACHE", str(tmp_path / "cache")),
        ("HF_HUB_DISABLE_XET", True),
        ("HF_HUB_DISABLE_TELEMETRY", True),
        ("HF_TOKEN_PATH", str(tmp_path / "token")),
    ):
        monkeypatch.setattr(huggingface_hub.constants, name, setting)
    monkeypatch.setattr(huggingface_hub.hf_api.api, "endpoint", server.url)
    folder = tmp_path / "checkpoints" / "lisa"
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    save_file({name: tensor.half() for name, tensor in Lisa(TINY).state_dict().items()}, folder / WEIGHTS)
    (folder / "config.json").write_text(json.dumps(TINY.to_dict()))
    (folder / "README.md").write_text("# LISA\n\nSee [the extender](../extender/README.md).\n\n## How\n")
    digests = {file: manifest._sha256(folder / file) for file in ("config.json", WEIGHTS)}
    entries = {"lisa": {"licence": "CC-BY-NC-SA-4.0", "revision": None, "sha256": digests}}
    (folder.parent / "manifest.json").write_text(json.dumps(entries))
    yield server
    server.close()


WEIGHTS = "model.safetensors"


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return model.state_dict()


def assert_same(one: torch.nn.Module, other: torch.nn.Module) -> None:
    assert list(weights(one)) == list(weights(other))
    assert all(torch.equal(weights(one)[name], weights(other)[name]) for name in weights(one))


def test_a_pushed_model_is_listed_pulled_and_loaded_by_its_class(
    fake_hub: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["push", "--models"]) == 0
    revision = fake_hub.heads[-1]
    assert revision in capsys.readouterr().out
    published = fake_hub.commits[revision]
    assert set(published) == {"README.md", "config.json", WEIGHTS}  # at the root, so downloads are counted
    fields = json.loads((tmp_path / "checkpoints" / "manifest.json").read_text())["lisa"]
    assert (fields["model_revision"], fields["revision"]) == (revision, None)

    assert main(["list", "--models"]) == 0
    row = capsys.readouterr().out.splitlines()[1]
    assert re.split(r"\s{2,}", row) == ["lisa", "0.0", "CC-BY-NC-SA-4.0", revision[:13], "someone/lisa"]
    assert main(["pull", "lisa", "--models"]) == 0
    snapshot = tmp_path / "cache" / "models--someone--lisa" / "snapshots" / revision
    assert capsys.readouterr().out == f"lisa: {snapshot}\n"
    assert (snapshot / WEIGHTS).read_bytes() == published[WEIGHTS]

    fake_hub.requests.clear()
    loaded = Lisa.from_pretrained("someone/lisa", revision=revision)
    assert f"GET {WEIGHTS}" not in fake_hub.requests, "it lies in the cache"
    assert loaded.config == TINY and not loaded.training
    assert_same(loaded, hub.load("lisa", device="cpu"))
    assert main(["push", "--models", "lisa"]) == 0
    assert len(fake_hub.heads) == 2, "nothing is uploaded twice"


def test_a_network_of_ones_own_goes_to_the_hub_and_comes_back(fake_hub: FakeHub) -> None:
    torch.manual_seed(1)
    mine = Lisa(TINY)
    mine.push_to_hub("someone/lisa")
    assert set(fake_hub.commits[fake_hub.heads[-1]]) == {"README.md", "config.json", WEIGHTS}
    again = Lisa.from_pretrained("someone/lisa")
    assert again.config == TINY
    assert_same(again, mine)
    card = ModelCard(Path(hf_hub_download("someone/lisa", "README.md")).read_text())
    assert (card.data.library_name, card.data.pipeline_tag) == ("aural", "audio-to-audio")
    assert "More Information Needed" not in card.text


def test_the_generator_is_a_pipeline_of_diffusers_too(
    fake_hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamic_modules_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    fake_hub.repository = "someone/generator"
    folder = tmp_path / "checkpoints"
    (folder / "generator").mkdir()
    (folder / "generator" / "README.md").write_text("# Generator\n\nIt makes spectrograms.\n\n## How\n")
    tiny_generation.write_checkpoints(folder)
    entries = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({"generator": entries["generator"]}))
    assert main(["push", "--models"]) == 0
    card = fake_hub.commits[fake_hub.heads[-1]]["README.md"].decode()
    (code,) = (code for code in re.findall(r"```python\n(.*?)```", card, re.DOTALL) if "diffusers" in code)
    names: dict[str, Any] = {}
    exec(code.replace("=30", "=2"), names)
    pipeline = names["pipeline"]
    assert type(pipeline) is SpectrogramPipeline
    assert names["mels"].shape == (1, 80, REAL_FRAMES)
    mels = [
        one([3], num_inference_steps=2, generator=torch.Generator().manual_seed(0)).mels
        for one in (pipeline, SpectrogramPipeline.of(hub.load("generator", device="cpu")))
    ]
    assert np.array_equal(*mels)


def test_a_copy_of_a_network_is_one_of_its_own(tmp_path: Path) -> None:
    copied = copy.deepcopy(Lisa(TINY))
    copied.save_pretrained(tmp_path / "copy")
    assert_same(Lisa.from_pretrained(tmp_path / "copy"), copied)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"left out": None}, "is missing"),
        ({"more": torch.zeros(1)}, "more is not expected"),
        ({"config.json": {"latent": 4, "colour": 1}}, "does not fit Lisa"),
        ({"config.json": None}, "has no config.json"),
        ({"config.json": {**TINY.to_dict(), "hidden": 16}}, "instead of"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], match: str, tmp_path: Path) -> None:
    Lisa(TINY).save_pretrained(tmp_path)
    tensors = load_file(tmp_path / WEIGHTS)
    for name, value in change.items():
        if name == "config.json":
            (tmp_path / name).unlink()
            if value is not None:
                (tmp_path / name).write_text(json.dumps(value))
        elif value is None:
            del tensors[next(iter(tensors))]
        else:
            tensors[name] = value
    save_file(tensors, tmp_path / WEIGHTS)
    with pytest.raises(CheckpointError, match=match):
        Lisa.from_pretrained(tmp_path)


def test_loading_is_never_lenient(tmp_path: Path) -> None:
    Lisa(TINY).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="only loaded strictly"):
        Lisa.from_pretrained(tmp_path, strict=False)


@pytest.mark.parametrize("name", hub.BUILDERS)
def test_each_shipped_model_is_loaded_by_the_class_that_its_card_names(name: str, tmp_path: Path) -> None:
    config = json.loads((CHECKPOINTS / name / "config.json").read_text())
    made = hub.builder(name)(config)
    kind: Any = type(made)
    module, network = hub.BUILDERS[name].partition(":")[0], DESCRIPTIONS[name].network
    assert getattr(import_module(module), network) is kind
    loaded = kind.from_pretrained(CHECKPOINTS / name)
    shipped = load_file(CHECKPOINTS / name / WEIGHTS)
    assert all(torch.equal(weights(loaded)[key], tensor.float()) for key, tensor in shipped.items())
    loaded.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert saved.items() >= config.items()


@pytest.mark.parametrize("name", hub.BUILDERS)
def test_a_card_says_what_the_hub_asks_for(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AURAL_CHECKPOINTS", raising=False)
    entry = manifest.entries()[name]
    card = ModelCard(model_card(entry, f"someone/{name}", CHECKPOINTS / name))
    data = card.data
    assert isinstance(data, ModelCardData)
    assert data.license == entry.licence.lower() and data.library_name == "aural" and data.datasets
    assert data.pipeline_tag == DESCRIPTIONS[name].task and "audio" in data.tags
    assert f'.from_pretrained("someone/{name}")' in card.text
    assert "](../" not in card.text, "a link that leads nowhere on the Hub"
    for target in re.findall(r"\]\((\w[\w.]*)\)", card.text):
        assert (CHECKPOINTS / name / target).is_file()
    own = (CHECKPOINTS / name / "README.md").read_text().splitlines()
    assert own[0] in card.text and own[-1] in card.text


@pytest.mark.parametrize("name", ["denoiser", "extender"])
def test_the_model_index_holds_the_figures_of_the_evaluation(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AURAL_CHECKPOINTS", raising=False)
    card = ModelCard(model_card(manifest.entries()[name], f"someone/{name}", CHECKPOINTS / name))
    assert isinstance(card.data, ModelCardData)
    found = card.data.eval_results  # as the library parses the front matter
    assert found and len(found) == len(eval_results(name, CHECKPOINTS / name))
    assert set(card.data.metrics or []) == {result.metric_type for result in found} <= METRICS.keys()
    summary = json.loads((CHECKPOINTS / name / "results.json").read_text())
    row = {"denoiser": "both", "extender": "default"}[name]
    for group in summary["groups"]:
        place = ", ".join(filter(None, (group["kind"], group["case"])))
        figures = {r.metric_type: r.metric_value for r in found if r.dataset_config == place}
        assert figures == {key: value for key, value in group["means"][row].items() if key in METRICS}


def test_the_index_of_the_generator_holds_what_the_reporting_judge_found(tmp_path: Path) -> None:
    rows = {
        judge: {"generated": {"clips": 400, "top_1": top_1, "top_5": 0.5, "fad": 30.0}}
        for judge, top_1 in (("development", 0.75), ("reporting", 0.25))
    }
    (tmp_path / "results.json").write_text(json.dumps(rows))
    found = eval_results("generator", tmp_path)
    assert {result.metric_type: result.metric_value for result in found} == {
        "top_1": 0.25,
        "top_5": 0.5,
        "fad": 30.0,
    }
    assert {result.task_type for result in found} == {"text-to-audio"}


def test_a_model_without_an_evaluation_has_no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AURAL_CHECKPOINTS", raising=False)
    card = ModelCard(model_card(manifest.entries()["lisa"], "someone/lisa", CHECKPOINTS / "lisa"))
    assert isinstance(card.data, ModelCardData)
    assert card.data.eval_results is None and "model-index" not in card.content


def test_a_damaged_model_is_not_pushed(
    fake_hub: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "checkpoints" / "lisa" / "config.json").write_text("{}")
    assert main(["push", "--models"]) == 1
    assert "config.json is not the manifest's" in capsys.readouterr().err
    assert main(["push", "--models", "fourth"]) == 1
    assert "no checkpoint 'fourth'" in capsys.readouterr().err
    assert main(["push", "--repo", "someone/aural", "lisa"]) == 1
    assert "Leave out the names" in capsys.readouterr().err
    assert fake_hub.requests == []


def test_a_poisoned_model_is_not_pulled(fake_hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    revision = publish.push_model("lisa").revision
    fake_hub.commits[revision]["config.json"] = b"{}"
    assert main(["pull", "--models"]) == 1
    assert "sent a config.json whose sha256 is not the manifest's" in capsys.readouterr().err


def test_a_dry_run_sends_nothing(fake_hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", "--models", "--dry-run"]) == 0
    assert "would go to someone/lisa; nothing was sent" in capsys.readouterr().out
    assert fake_hub.requests == []
