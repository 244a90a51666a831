"""The classes of ESC-50 in the order of its labels."""

import pytest

from aural.errors import OptionError
from aural.generation.classes import CLASSES, GROUPS, class_index, title


def test_fifty_classes_in_five_groups_of_ten() -> None:
    assert len(set(CLASSES)) == 50
    assert [len(names) for names in GROUPS.values()] == [10] * 5
    # Labels as in the data set's table.
    assert [CLASSES[label] for label in (0, 14, 23, 38, 49)] == [
        "dog",
        "chirping_birds",
        "breathing",
        "clock_tick",
        "hand_saw",
    ]


@pytest.mark.parametrize("label", range(50))
def test_a_class_is_found_by_its_name_and_its_title(label: int) -> None:
    assert (
        class_index(CLASSES[label])
        == class_index(title(CLASSES[label]))
        == class_index(f" {title(CLASSES[label]).upper()} ")
        == label
    )


@pytest.mark.parametrize(
    ("wrong", "near"), [("birds", "Chirping birds"), ("helicoptre", "Helicopter"), ("", "Dog")]
)
def test_an_unknown_class_is_answered_with_near_ones(wrong: str, near: str) -> None:
    with pytest.raises(OptionError, match=near):
        class_index(wrong)
