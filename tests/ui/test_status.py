"""What the page says about the system and how long a run takes."""

from __future__ import annotations

import html.parser
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from aural import hub
from aural.audio import Limits
from aural.batch.verbs import VERBS
from aural.hub import device
from aural.ui import estimates, status
from aural.ui.load import Load
from tests.checkpoints import instead
from tests.superres import tiny


@pytest.fixture(autouse=True)
def no_runs_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "_averages", {})
    monkeypatch.setattr(estimates, "_started", set())
    monkeypatch.setattr(status, "LOAD", Load(2, lambda: 0.0, lambda: 0.0))  # an idle machine


@pytest.fixture
def checkpoints(tmp_path: Path) -> Iterator[Path]:
    """Two tiny checkpoints, none of them loaded."""
    tiny.write_checkpoints(tmp_path)
    with instead(tmp_path):
        yield tmp_path


class Words(html.parser.HTMLParser):
    """The text of a page by its elements; fails where they do not close in turn."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, str]] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.found.append((self.open[-1], data))

    def of(self, tag: str) -> list[str]:
        return [text for element, text in self.found if element == tag]


def system_info() -> Words:
    return Words(status.system_info(24, 2, 1200))


@pytest.mark.usefixtures("checkpoints")
def test_the_state_tells_the_device_and_the_limits() -> None:
    limits = Limits(minutes=30, file_bytes=2**29, channels=6)
    page = Words(status.system_info(7, 3, 600, limits=limits, kept_seconds=1800))
    facts = dict(zip(page.of("dt"), page.of("dd"), strict=True))
    assert facts["Models run on"] == device.describe()
    assert facts["Jobs"] == "3 at a time, up to 10 minutes each; queue of 7"
    assert facts["Files"].startswith("up to 30 minutes, 0.5 GiB and 6 channels")
    assert facts["Uploads and results"] == "deleted after 0.5 hours"


@pytest.mark.usefixtures("checkpoints")
def test_a_model_is_told_as_loaded_once_it_is() -> None:
    page = system_info()
    assert page.of("b") == ["Extender", "LISA"]
    assert page.of("span") == ["not loaded yet"] * 2
    assert page.of("small") == ["licence MIT"] * 2
    hub.load("lisa", device="cpu")
    page = system_info()
    assert page.of("span") == ["not loaded yet", "on the CPU"]
    assert page.of("small")[1] == "from the files of the app; licence MIT"


def test_no_folder_of_the_machine_is_told(checkpoints: Path) -> None:
    hub.load("lisa", device="cpu")
    assert str(checkpoints) not in status.system_info(24, 2, 1200)


@pytest.mark.usefixtures("checkpoints")
def test_the_hub_is_told_where_models_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = [hub.Loaded("lisa", "cuda", "owner/aural at v1"), hub.Loaded("lisa", "cpu", "owner/aural at v1")]
    monkeypatch.setattr(hub, "loaded", lambda: loaded)
    page = system_info()
    assert page.of("span")[1] == "on the GPU and on the CPU"
    assert page.of("small")[1] == "from owner/aural at v1; licence MIT"


def test_whatever_the_manifest_holds_is_only_text(checkpoints: Path) -> None:
    path = checkpoints / "manifest.json"
    manifest = json.loads(path.read_text())
    evil = "<script>alert(1)</script>"
    manifest[f"{evil}&"] = {**manifest.pop("lisa"), "licence": f'"{evil}'}
    path.write_text(json.dumps(manifest))
    page = status.system_info(24, 2, 1200)
    assert "<script" not in page
    assert f'licence "{evil}' in "".join(Words(page).of("small"))


def test_a_broken_manifest_is_told_in_a_sentence(checkpoints: Path) -> None:
    (checkpoints / "manifest.json").write_text("{")
    assert "is not JSON" in system_info().of("p")[0]


@pytest.mark.parametrize("verb", ["enhance", "release", "generate"])
def test_the_expectation_follows_the_runs_so_far(verb: str) -> None:
    told = r"(\d+ to )?\d+ (s|min)( or less)?\."
    assert re.fullmatch(told, status.estimate(VERBS[verb], 60))
    for _ in range(20):
        estimates.record(VERBS[verb], 60, 40)
    assert status.estimate(VERBS[verb], 60) == "30 to 55 s."


def test_on_a_busy_machine_a_run_is_told_to_take_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(20):
        estimates.record(VERBS["master"], 60, 40)
    told = {}
    for calls, average in ((0, 0.0), (1, 0.0), (2, 0.0), (0, 2.0)):
        busy = Load(2, lambda: 0.0, lambda average=average: average)  # type: ignore[misc]
        for _ in range(calls):
            busy.begin(100)
        monkeypatch.setattr(status, "LOAD", busy)
        told[calls, average] = status.estimate(VERBS["master"], 60)
    assert told == {
        (0, 0.0): "30 to 55 s.",
        (1, 0.0): "40 to 85 s.",
        (2, 0.0): "2 to 3 min.",
        (0, 2.0): "55 to 110 s.",
    }
    monkeypatch.setattr(status, "LOAD", Load(2, lambda: 0.0, lambda: 0.0))
    monkeypatch.setattr(status, "waiting_calls", lambda queue: 4 if queue == "audio" else 0)
    assert status.estimate(VERBS["master"], 60) == "85 to 165 s."  # two turns of two calls each


def test_a_card_is_told_to_be_faster_than_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "pick_device", lambda: "cuda")
    sentence = status.estimate(VERBS["enhance"], 60)
    assert sentence.endswith(" or less.")
    estimates.record(VERBS["enhance"], 60, 3)
    assert sentence != status.estimate(VERBS["enhance"], 60)
    assert "or less" not in status.estimate(VERBS["enhance"], 60)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "less than a second"),
        (0.99, "less than a second"),
        (1, "1 to 2 s"),
        (2, "1 to 3 s"),
        (6, "4 to 8 s"),
        (19.4, "14 to 25 s"),
        (62, "45 to 85 s"),
        (91, "65 to 125 s"),
        (600, "7 to 14 min"),
        (3_900, "0.8 to 1.5 h"),
        (100_000, "19.4 to 38.9 h"),
    ],
)
def test_times_are_as_exact_as_they_are_known(seconds: float, words: str) -> None:
    assert status.span(seconds) == words


def test_a_range_holds_the_expected_time_and_lies_within_a_factor_of_two() -> None:
    units = {"s": 1, "min": 60, "h": 3600}
    for seconds in np.geomspace(1, 100_000, 2_000):
        low, high, unit = re.fullmatch(r"([\d.]+) to ([\d.]+) (s|min|h)", status.span(seconds)).groups()
        bounds = float(low) * units[unit], float(high) * units[unit]
        assert seconds / 2 - 0.1 <= bounds[0] <= seconds <= bounds[1] <= 2 * seconds
        assert bounds[0] < bounds[1]
