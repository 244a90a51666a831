"""The 50 classes of ESC-50 in label order, and their five groups (Piczak 2015)."""

from __future__ import annotations

import difflib

from aural.errors import OptionError

# Ten classes each, in label order: the group of label n is n // 10.
GROUPS: dict[str, tuple[str, ...]] = {
    "Animals": (
        "dog",
        "rooster",
        "pig",
        "cow",
        "frog",
        "cat",
        "hen",
        "insects",
        "sheep",
        "crow",
    ),
    "Natural soundscapes & water": (
        "rain",
        "sea_waves",
        "crackling_fire",
        "crickets",
        "chirping_birds",
        "water_drops",
        "wind",
        "pouring_water",
        "toilet_flush",
        "thunderstorm",
    ),
    "Human, non-speech": (
        "crying_baby",
        "sneezing",
        "clapping",
        "breathing",
        "coughing",
        "footsteps",
        "laughing",
        "brushing_teeth",
        "snoring",
        "drinking_sipping",
    ),
    "Interior & domestic": (
        "door_wood_knock",
        "mouse_click",
        "keyboard_typing",
        "door_wood_creaks",
        "can_opening",
        "washing_machine",
        "vacuum_cleaner",
        "clock_alarm",
        "clock_tick",
        "glass_breaking",
    ),
    "Exterior & urban": (
        "helicopter",
        "chainsaw",
        "siren",
        "car_horn",
        "engine",
        "train",
        "church_bells",
        "airplane",
        "fireworks",
        "hand_saw",
    ),
}
CLASSES: tuple[str, ...] = tuple(name for names in GROUPS.values() for name in names)
UNCOUNTED = ("rain", "wind", "sheep", "pouring_water", "brushing_teeth")  # besides all plurals and activities


def class_index(name: str) -> int:
    """The label of a class; spaces, hyphens and capitals don't matter.

    Raises:
        OptionError: there is no such class; the message lists similar ones.

    >>> class_index("Chirping birds"), CLASSES[14]
    (14, 'chirping_birds')
    """
    key = "_".join(name.replace("-", " ").replace("_", " ").lower().split())
    if key in CLASSES:
        return CLASSES.index(key)
    holding = [known for known in CLASSES if key and key in known]
    near = (holding + difflib.get_close_matches(key, CLASSES, n=3, cutoff=0.5))[:3] or ["dog", "rain"]
    choices = " or ".join(f'"{title(known)}"' for known in dict.fromkeys(near))
    raise OptionError(
        f'"{name[:40]}" is not one of the 50 classes of ESC-50. Choose one of them, such as {choices}.'
    )


def with_article(name: str) -> str:
    """A class's name within a sentence.

    >>> with_article("dog"), with_article("airplane"), with_article("church_bells")
    ('a dog', 'an airplane', 'church bells')
    """
    words = name.replace("_", " ")
    if name in UNCOUNTED or name.endswith(("s", "ing")):
        return words
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def title(name: str) -> str:
    """A class's name for display.

    >>> title("chirping_birds")
    'Chirping birds'
    """
    return name.replace("_", " ").capitalize()
