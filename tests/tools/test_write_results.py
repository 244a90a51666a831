"""The documents hold the figures of the JSON, and no others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aural.evaluation.scores import Scored, summarize
from aural.generation.evaluate_scores import Novelty, Quality
from tools.write_results import FILES, documents, figures, fill, main, summaries

CARD = "# Denoiser\n\n<!-- figures: {name} -->\nold\n<!-- end -->\n\nLimits: none.\n"


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.parent.name)
def test_the_documents_are_what_the_results_say(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert fill(text, figures(summaries())) == text


@pytest.mark.parametrize("name", figures(summaries()))
def test_all_figures_stand_in_a_card_or_in_the_docs(name: str) -> None:
    texts = [path.read_text(encoding="utf-8") for path in documents()]
    assert sum(f"<!-- figures: {name} -->" in text for text in texts) == 1


def summary(lsd: float) -> dict[str, Any]:
    rows = {"unprocessed": "unprocessed", "both": "**ours**"}
    scored = [Scored(row, "room", "a", figures={"lsd": lsd, "stoi": 0.8, "pesq": 1.5}) for row in rows]
    return summarize(scored, rows, "make evaluate SLICE=enhancement")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A card and the docs, with places for figures."""
    (tmp_path / "checkpoints/denoiser").mkdir(parents=True)
    (tmp_path / "checkpoints/denoiser/README.md").write_text(CARD.format(name="denoiser"))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/results.md").write_text(CARD.format(name="denoiser short"))
    return tmp_path


def test_new_results_are_kept_and_written_into_card_and_docs(root: Path) -> None:
    file = root / "new.json"
    for lsd in (1.25, 0.5):
        file.write_text(json.dumps({"summary": summary(lsd), "items": []}))
        main([f"denoiser={file}"], root)
        card, docs = (path.read_text(encoding="utf-8") for path in documents(root))
        assert f"| room (1) | unprocessed | 1.50 | 0.800 | {lsd:.2f} |  |" in card
        assert "`make evaluate SLICE=enhancement`\n" in card and "old" not in card + docs
        assert card.startswith("# Denoiser\n\n<!-- figures") and card.endswith(
            "<!-- end -->\n\nLimits: none.\n"
        )
        assert "| room | 1.50 → 1.50 | 0.800 → 0.800 | – | – | – | – / 0 / 0 / – |" in docs
        assert summaries(root) == {"denoiser": summary(lsd)}


def test_the_quality_of_generated_clips_is_told_by_both_judges() -> None:
    quality = dict.fromkeys(Quality.__dataclass_fields__, 0.5) | {"clips": 400}
    novelty = dict.fromkeys(Novelty.__dataclass_fields__, 0.25)
    classes = {"dog": {"top_1": 1.0, "real_top_1": 0.75, "fad": 10.0}}
    found = {
        "command": "make evaluate SLICE=generation",
        "development": {"real, fold 5": quality, "generated": {**quality, "top_1": 0.625}},
        "reporting": {"real, fold 1": quality, "generated": {**quality, "top_1": 0.375}},
        "classes": classes,
        "reported_classes": classes,
        "novelty": {"generated": novelty},
    }
    parts = figures({"generator": found})
    names = ("development", "reporting", "novelty", "short")
    assert set(parts) == {f"generator {name}" for name in names}
    assert "| reporting | 0.500 / 0.500 | 0.375 / 0.500 |" in parts["generator short"]
    assert "0.625" in parts["generator development"] and "0.375" in parts["generator reporting"]
    assert "`make evaluate SLICE=generation`\n" in parts["generator reporting"]
    assert "Best classes, top-1: dog 1.00 (real 0.75)." in parts["generator reporting"]
    assert parts["generator novelty"].count("0.250") == 7


def test_a_place_for_unknown_figures_and_an_unknown_name_are_errors(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyError, match="denoiser"):
        main([], root)
    with pytest.raises(SystemExit):
        main(["lisa=new.json"], root)
    assert f"Choose one of {', '.join(FILES)}." in capsys.readouterr().err
