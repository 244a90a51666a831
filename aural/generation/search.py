"""From a visitor's words to one of the 50 classes: by names and synonyms, or by CLAP where it is loaded.

Importing this module does not import torch.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from aural.errors import shorten
from aural.generation.classes import CLASSES, title

if TYPE_CHECKING:
    from aural.generation.clap import Clap

MAX_CHARACTERS = 200  # of a description; the rest is not read
MIN_PREFIX = 3  # letters from which the beginning of a word stands for it
MIN_TYPO = 4  # letters of a word that may have a typo
SIMILAR = 0.8  # difflib's ratio: one wrong letter in five
# Weights of a word: one that means a class, one that is near to it, one that was completed or corrected.
EXACT, NEIGHBOUR, CORRECTED = 1.0, 0.9, 0.8
ALSO = 2  # further classes that the message names

# Other words for each class. A class's own name needs no entry.
SYNONYMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "dog": ("puppy", "bark", "woof", "hound", "barking dog", "doggy", "canine"),
        "rooster": ("cockerel", "cock", "cock-a-doodle-doo", "rooster crow", "dawn"),
        "pig": ("piglet", "oink", "hog", "swine", "boar", "grunting pig"),
        "cow": ("moo", "cattle", "calf", "bull", "ox"),
        "frog": ("toad", "croak", "ribbit", "bullfrog"),
        "cat": ("kitten", "meow", "kitty", "purr", "miaow", "feline"),
        "hen": ("cluck", "poultry", "clucking hen", "cackle"),
        "insects": ("bee", "fly", "mosquito", "buzz", "bug", "wasp", "bumblebee", "flying insect"),
        "sheep": ("lamb", "baa", "bleat", "ewe", "ram"),
        "crow": ("raven", "caw", "rook", "crow call"),
        "rain": ("rainfall", "drizzle", "downpour", "rain shower"),
        "sea_waves": ("ocean", "wave", "surf", "beach", "sea", "seashore", "ocean wave"),
        "crackling_fire": ("campfire", "fireplace", "bonfire", "fire", "flame", "burning wood", "crackle"),
        "crickets": ("grasshopper", "cicada", "cricket chirp", "summer night"),
        "chirping_birds": ("birdsong", "songbird", "tweet", "sparrow", "robin", "bird chirp", "bird song"),
        "water_drops": ("drip", "droplet", "dripping tap", "leaking tap", "drop", "water drip"),
        "wind": ("breeze", "gale", "gust", "howling wind", "blizzard"),
        "pouring_water": ("pour", "filling a glass", "filling a cup", "pouring a drink"),
        "toilet_flush": ("toilet", "flush", "loo", "lavatory"),
        "thunderstorm": ("thunder", "lightning", "storm", "rumbling thunder"),
        "crying_baby": ("baby", "infant", "newborn", "cry", "baby cry", "wail"),
        "sneezing": ("achoo", "atishoo", "hay fever"),
        "clapping": ("applause", "hand clap", "applaud", "ovation"),
        "breathing": ("inhale", "exhale", "pant", "gasp"),
        "coughing": ("hack cough", "clearing throat", "throat"),
        "footsteps": ("walk", "step", "running feet", "foot", "tread"),
        "laughing": ("laughter", "giggle", "chuckle", "haha"),
        "brushing_teeth": ("toothbrush", "tooth", "brush", "teeth"),
        "snoring": ("sleep", "sleeper", "zzz"),
        "drinking_sipping": ("sip", "drink", "gulp", "slurp", "swallow"),
        "door_wood_knock": ("knock", "door knock", "rap on a door"),
        "mouse_click": ("click", "computer mouse", "mouse", "mouse button"),
        "keyboard_typing": ("keyboard", "typing", "typewriter", "keystroke", "computer keyboard"),
        "door_wood_creaks": ("creak", "squeaky door", "creaking door", "hinge", "creaky door", "door creak"),
        "can_opening": ("can", "soda can", "beer can", "tin", "opening a can", "fizz"),
        "washing_machine": ("laundry", "washer", "spin cycle", "washing"),
        "vacuum_cleaner": ("hoover", "vacuum", "dust buster"),
        "clock_alarm": ("alarm clock", "beep", "wake-up alarm", "digital alarm"),
        "clock_tick": ("tick", "tick tock", "ticking clock", "wristwatch", "metronome", "watch"),
        "glass_breaking": ("glass", "shatter", "broken glass", "smash", "window breaking"),
        "helicopter": ("chopper", "rotor", "helicopter blades"),
        "chainsaw": ("chain saw", "power saw", "lumberjack"),
        "siren": ("ambulance", "police", "fire engine", "police car", "fire truck", "emergency vehicle"),
        "car_horn": ("horn", "honk", "beeping car", "hoot", "klaxon"),
        "engine": ("motor", "car engine", "motorbike", "motorcycle", "truck", "tractor", "idling"),
        "train": ("railway", "locomotive", "railroad", "steam train", "train whistle", "subway", "tram"),
        "church_bells": ("church", "bell", "cathedral", "bell tower", "chime", "belfry"),
        "airplane": ("aeroplane", "plane", "aircraft", "jet", "airliner"),
        "fireworks": ("firecracker", "rocket", "sparkler", "pyrotechnics"),
        "hand_saw": ("handsaw", "sawing wood", "carpenter", "hacksaw"),
    }
)

# Words that stand for several classes, the likeliest first.
SHARED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "water": ("pouring_water", "water_drops", "sea_waves"),
        "bird": ("chirping_birds", "crow"),
        "chirp": ("chirping_birds", "crickets"),
        "chicken": ("hen", "rooster"),
        "door": ("door_wood_knock", "door_wood_creaks"),
        "clock": ("clock_tick", "clock_alarm"),
        "alarm": ("clock_alarm", "siren"),
        "saw": ("hand_saw", "chainsaw"),
        "car": ("engine", "car_horn"),
        "tap": ("water_drops", "pouring_water"),
        "computer": ("keyboard_typing", "mouse_click"),
        "farm": ("cow", "rooster", "sheep", "pig"),
        "forest": ("chirping_birds", "crickets", "wind"),
        "weather": ("rain", "wind", "thunderstorm"),
        "crowd": ("clapping", "laughing"),
    }
)

# Sounds that no class stands for, each with the classes nearest to it.
NEIGHBOURS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "gunshot": ("fireworks", "door_wood_knock"),
        "gun": ("fireworks", "door_wood_knock"),
        "shot": ("fireworks",),
        "pistol": ("fireworks",),
        "rifle": ("fireworks",),
        "machine gun": ("fireworks", "helicopter"),
        "explosion": ("fireworks", "thunderstorm"),
        "bomb": ("fireworks", "thunderstorm"),
        "bang": ("fireworks", "door_wood_knock"),
        "boom": ("thunderstorm", "fireworks"),
        "cannon": ("fireworks", "thunderstorm"),
        "earthquake": ("thunderstorm",),
        "volcano": ("thunderstorm", "crackling_fire"),
        "wolf": ("dog",),
        "fox": ("dog", "cat"),
        "howl": ("dog", "wind"),
        "lion": ("cat", "dog"),
        "tiger": ("cat",),
        "horse": ("cow", "footsteps"),
        "hoof": ("footsteps", "door_wood_knock"),
        "donkey": ("cow", "rooster"),
        "goat": ("sheep",),
        "duck": ("crow", "hen"),
        "goose": ("crow", "hen"),
        "turkey": ("hen", "rooster"),
        "owl": ("chirping_birds", "crow"),
        "pigeon": ("chirping_birds", "crow"),
        "seagull": ("crow", "sea_waves"),
        "parrot": ("crow", "chirping_birds"),
        "monkey": ("crow", "laughing"),
        "snake": ("insects", "rain"),
        "whale": ("sea_waves", "cow"),
        "river": ("pouring_water", "rain"),
        "stream": ("pouring_water", "rain"),
        "waterfall": ("rain", "pouring_water"),
        "fountain": ("pouring_water", "rain"),
        "shower": ("rain", "pouring_water"),
        "hail": ("rain",),
        "snow": ("wind", "footsteps"),
        "fire alarm": ("clock_alarm", "siren"),
        "scream": ("crying_baby", "siren"),
        "shout": ("laughing", "crying_baby"),
        "speech": ("laughing", "breathing"),
        "voice": ("laughing", "breathing"),
        "talk": ("laughing", "breathing"),
        "whisper": ("breathing",),
        "sing": ("crying_baby", "laughing"),
        "whistle": ("chirping_birds", "train"),
        "kiss": ("drinking_sipping", "mouse_click"),
        "chew": ("brushing_teeth", "drinking_sipping"),
        "eat": ("drinking_sipping", "brushing_teeth"),
        "burp": ("frog", "snoring"),
        "hiccup": ("coughing", "sneezing"),
        "heartbeat": ("clock_tick", "footsteps"),
        "bicycle": ("clock_tick", "engine"),
        "bus": ("engine", "train"),
        "ship": ("train", "car_horn"),
        "boat": ("engine", "sea_waves"),
        "drone": ("insects", "helicopter"),
        "traffic": ("engine", "car_horn"),
        "lawnmower": ("chainsaw", "engine"),
        "drill": ("chainsaw", "vacuum_cleaner"),
        "hammer": ("door_wood_knock", "footsteps"),
        "fan": ("vacuum_cleaner", "washing_machine"),
        "hair dryer": ("vacuum_cleaner",),
        "blender": ("vacuum_cleaner", "chainsaw"),
        "dishwasher": ("washing_machine",),
        "telephone": ("clock_alarm",),
        "phone": ("clock_alarm",),
        "doorbell": ("church_bells", "clock_alarm"),
        "microwave": ("clock_alarm", "washing_machine"),
        "scissors": ("mouse_click", "hand_saw"),
        "camera": ("mouse_click",),
        "coin": ("glass_breaking", "clock_tick"),
        "paper": ("crackling_fire", "brushing_teeth"),
        "music": ("church_bells", "chirping_birds"),
        "piano": ("church_bells",),
        "guitar": ("church_bells",),
        "violin": ("door_wood_creaks", "siren"),
        "trumpet": ("car_horn",),
        "flute": ("chirping_birds", "siren"),
        "drum": ("footsteps", "door_wood_knock"),
        "gong": ("church_bells",),
        "robot": ("clock_alarm", "keyboard_typing"),
        "silence": ("wind", "breathing"),
        "noise": ("wind", "rain"),
        "static": ("rain", "wind"),
    }
)

# Words that say nothing about the sound.
_FILLERS = """
a an and at by for from i in into is it its like me my of off on or out over please some someone something
sound the there this to up want with
"""
FILLERS = frozenset(_FILLERS.split())
# Words about how it sounds, which no name knows and CLAP does.
_MANNERS = """
angry away big close deep distant far fast happy heavy high huge large light little long loud low many near
nearby old one quick quiet sad short single slow small soft sudden tiny two very young
"""
MANNERS = frozenset(_MANNERS.split())

By = Literal["names", "CLAP"]
Kind = Literal["class", "neighbour"]


@dataclass(frozen=True)
class Match:
    """A class that a text may mean."""

    label: str  # one of CLASSES
    score: float  # by names: the words that speak for it, weighted; by CLAP: the cosine, -1 to 1
    why: str  # what speaks for it, for people


@dataclass(frozen=True)
class Found:
    """The classes that a text may mean."""

    text: str  # what was searched, shortened
    matches: tuple[Match, ...]  # best first; empty: nothing speaks for any class
    by: By  # what found them
    has_class: bool  # whether the first is what the text says, rather than the nearest to it

    @property
    def message(self) -> str:
        """What was found, and by what."""
        if not self.matches:
            return f'There is no class for "{self.text}". Try another word, or pick a sound below.'
        first, *others = (title(match.label) for match in self.matches[: 1 + ALSO])
        if not self.has_class:
            nearest = ", ".join((first, *others))
            return f'There is no class for "{self.text}". The nearest: {nearest}. Found by {self.by}.'
        also = f" Also: {', '.join(others)}." if others else ""
        return f"Found by {self.by}: {first}.{also}"


def find(text: str, classes: Sequence[str] = CLASSES, clap: Clap | None = None) -> Found:
    """The classes that a text may mean, best first.

    Names and synonyms decide where they know every word of the text, plurals, beginnings and small typos
    included. Otherwise CLAP does, if it is given, by the likeness of the text to a sentence of each class.

    >>> found = find("puppies")
    >>> found.matches[0].label, found.message
    ('dog', 'Found by names: Dog.')
    >>> find("gunshot").message
    'There is no class for "gunshot". The nearest: Fireworks, Door wood knock. Found by names.'

    Args:
        classes: those to choose from.
        clap: a loaded CLAP model; None: by names alone.
    """
    text = " ".join(text[:MAX_CHARACTERS].split())
    shown = shorten(text)
    words = _words(text)
    by_names, is_known = _by_names(words)
    named, near = (
        tuple(match for match in by_names[kind] if match.label in classes) for kind in ("class", "neighbour")
    )
    if clap is not None and words and not is_known:
        scores = clap.class_scores(text)
        ranked = sorted((-scores[CLASSES.index(label)], label) for label in classes)
        matches = tuple(Match(label, -negative, "CLAP") for negative, label in ranked)
        return Found(shown, matches, "CLAP", has_class=True)
    return Found(shown, named or near, "names", has_class=bool(named))


@dataclass(frozen=True)
class _Phrase:
    """One or more words that stand for classes."""

    stems: tuple[str, ...]
    text: str
    kind: Kind
    labels: tuple[str, ...]


@cache
def _phrases() -> tuple[_Phrase, ...]:
    """All names, synonyms and neighbours, the longest first."""
    named = {title(label).lower(): (label,) for label in CLASSES}
    named |= {text: (label,) for label, texts in SYNONYMS.items() for text in texts}
    tables: tuple[tuple[Kind, Mapping[str, tuple[str, ...]]], ...] = (
        ("class", {**named, **SHARED}),
        ("neighbour", NEIGHBOURS),
    )
    phrases = [
        _Phrase(tuple(map(_stem, _words(text))), text, kind, labels)
        for kind, table in tables
        for text, labels in table.items()
    ]
    return tuple(sorted(phrases, key=lambda phrase: -len(phrase.stems)))


@cache
def _vocabulary() -> tuple[str, ...]:
    return tuple(dict.fromkeys(stem for phrase in _phrases() for stem in phrase.stems))


def _by_names(words: Sequence[str]) -> tuple[dict[Kind, list[Match]], bool]:
    """The matches of each kind, best first; and whether every word is known."""
    stems = [(CORRECTED, word) if word in MANNERS else _read(_stem(word)) for word in words]
    left = [stem for _, stem in stems]
    found: dict[Kind, dict[str, Match]] = {"class": {}, "neighbour": {}}
    covered: set[int] = set()
    for phrase in _phrases():
        places = [left.index(stem) for stem in phrase.stems if stem in left]
        # What a longer phrase has taken says no more: the horn of "car horn" is no car.
        if len(places) < len(phrase.stems) or covered.issuperset(places):
            continue
        covered.update(places)
        weight = sum(stems[place][0] for place in places)
        weight *= EXACT if phrase.kind == "class" else NEIGHBOUR
        for rank, label in enumerate(phrase.labels):
            # Of equal ones, what the text says first counts more, and so does the first of several classes.
            match = Match(label, weight - 0.01 * min(places) - 0.001 * rank, phrase.text)
            if label not in found[phrase.kind] or found[phrase.kind][label].score < match.score:
                found[phrase.kind][label] = match
    ranked: dict[Kind, list[Match]] = {
        kind: sorted(matches.values(), key=lambda match: -match.score) for kind, matches in found.items()
    }
    return ranked, len(covered) == len(words)


def _words(text: str) -> list[str]:
    """The words that say something, in lower case."""
    words = re.findall(r"[^\W\d_]+", text.lower().replace("'s", ""))
    return [word for word in words if word not in FILLERS and _stem(word) not in FILLERS]


def _read(stem: str) -> tuple[float, str]:
    """A weight, and the known stem that is meant: itself, one that begins so, or one spelled alike."""
    known = _vocabulary()
    if stem in known:
        return EXACT, stem
    begun = [one for one in known if len(stem) >= MIN_PREFIX and one.startswith(stem)]
    if begun:
        return CORRECTED, min(begun, key=len)
    near = difflib.get_close_matches(stem, known, n=1, cutoff=SIMILAR) if len(stem) >= MIN_TYPO else []
    return (CORRECTED, near[0]) if near else (0.0, stem)


def _stem(word: str) -> str:
    """A word without its ending, the same for a noun, its plural and the forms of its verb.

    >>> [_stem(word) for word in ("dogs", "puppies", "barking", "dripping", "sneeze", "glass")]
    ['dog', 'puppy', 'bark', 'drip', 'sneez', 'glass']
    """
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith("es") and len(word) > 4:
        word = word[:-2]
    elif word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        word = word[:-1]
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            if word[-1] == word[-2] and word[-1] not in "ls":
                word = word[:-1]
            break
    return word[:-1] if word.endswith("e") and len(word) > 3 else word
