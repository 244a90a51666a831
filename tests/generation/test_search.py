"""Words and the classes that they mean."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from aural.generation import clap as clap_module
from aural.generation import search
from aural.generation.classes import CLASSES, title
from aural.generation.search import NEIGHBOURS, SHARED, SYNONYMS, find
from tests.generation.tiny_clap import write_clap


@pytest.fixture(scope="module")
def clap(tmp_path_factory: pytest.TempPathFactory) -> clap_module.Clap:
    """A tiny CLAP."""
    folder = tmp_path_factory.mktemp("clap")
    write_clap(folder)
    return clap_module._open(folder)


def test_every_class_has_two_synonyms_of_its_own() -> None:
    assert tuple(SYNONYMS) == CLASSES
    for label, texts in SYNONYMS.items():
        assert len(texts) >= 2 and label not in texts, label


def test_no_words_stand_for_two_entries() -> None:
    entries = Counter(phrase.stems for phrase in search._phrases())
    assert [stems for stems, count in entries.items() if count > 1] == []


@pytest.mark.parametrize("label", CLASSES)
def test_names_and_synonyms_find_their_class_first(label: str) -> None:
    for text in (label, title(label), title(label).upper(), f"the sound of {label}", *SYNONYMS[label]):
        found = find(text)
        assert found.has_class and found.matches[0].label == label, text
        assert found.message.startswith(f"Found by names: {title(label)}."), text


@pytest.mark.parametrize("text", SHARED)
def test_shared_words_find_all_their_classes_in_order(text: str) -> None:
    found = find(text)
    assert found.has_class and tuple(match.label for match in found.matches) == SHARED[text]


@pytest.mark.parametrize("text", NEIGHBOURS)
def test_sounds_without_a_class_say_so_and_name_the_nearest(text: str) -> None:
    assert set(NEIGHBOURS[text]) <= set(CLASSES)
    found = find(text)
    assert not found.has_class and tuple(match.label for match in found.matches) == NEIGHBOURS[text]
    assert found.message.startswith(f'There is no class for "{text}". The nearest: ')


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("Puppies!", ["dog"]),
        ("two puppies barking", ["dog"]),
        ("small dog far away", ["dog"]),
        ("helico", ["helicopter"]),
        ("thundr", ["thunderstorm"]),
        ("chiken", ["hen", "rooster"]),
        ("a baby crying in the rain", ["crying_baby", "rain"]),
        ("rain on a crying baby", ["crying_baby", "rain"]),
        ("a cat and a dog", ["cat", "dog"]),
        ("my old car horn", ["car_horn"]),
        ("dog by the waterfall", ["dog"]),
        ("someone's footsteps", ["footsteps"]),
        ("kitchen", []),
        ("qwertz", []),
        ("the sound of", []),
        ("  ", []),
        ("犬", []),
        ("42", []),
    ],
)
def test_texts_and_their_classes(text: str, labels: list[str]) -> None:
    assert [match.label for match in find(text).matches] == labels


def test_a_typo_of_a_sound_without_a_class_has_none_either() -> None:
    assert not find("gunshoot").has_class
    assert find("gunshoot").matches[0].label == "fireworks"


def test_it_chooses_from_the_classes_it_is_given() -> None:
    assert [match.label for match in find("a cat and a dog", ["dog", "rain"]).matches] == ["dog"]
    assert not find("gunshot", ["rain"]).matches


def test_a_long_text_is_cut_and_shown_shortened() -> None:
    found = find(10_000 * "dog ")
    assert found.matches[0].label == "dog"
    assert len(find(10_000 * "q").message) < 300


def test_clap_ranks_all_classes_where_names_do_not_know_every_word(clap: clap_module.Clap) -> None:
    found = find("small dog far away", clap=clap)
    assert sorted(match.label for match in found.matches) == sorted(CLASSES)
    scores = [match.score for match in found.matches]
    assert scores == sorted(scores, reverse=True) and found.by == "CLAP"
    expected = dict(zip(CLASSES, clap.class_scores("small dog far away"), strict=True))
    assert {match.label: match.score for match in found.matches} == expected
    assert found.message.startswith(f"Found by CLAP: {title(found.matches[0].label)}. Also: ")
    some = find("small dog far away", ["rain", "dog"], clap)
    assert {match.label for match in some.matches} == {"rain", "dog"}


@pytest.mark.parametrize("text", ["puppy", "gunshot", ""])
def test_what_the_names_know_needs_no_clap(clap: clap_module.Clap, text: str) -> None:
    assert find(text, clap=clap) == find(text)


def test_searching_by_names_loads_no_model_library() -> None:
    code = "import sys; from aural.generation.search import find; find('puppy'); print(*sys.modules)"
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert {"torch", "transformers"}.isdisjoint(run.stdout.split())
