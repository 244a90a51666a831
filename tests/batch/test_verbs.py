"""Every verb of the library is one that a file can go through."""

from __future__ import annotations

from dataclasses import asdict

import aural
from aural.batch.verbs import VERBS, MeasureOptions


def test_every_verb_of_the_library_is_there_with_its_options() -> None:
    assert set(VERBS) == set(aural.__all__) - {"master_album"}
    for name, verb in VERBS.items():
        assert verb.name == name and verb.help.endswith(".")
        assert (verb.ending is None) == (name == "measure")
    assert asdict(MeasureOptions()) == {"layout": "auto"}
