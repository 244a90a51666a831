"""Every verb of the library is one that a file can go through."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict, is_dataclass
from importlib import import_module
from inspect import isgeneratorfunction

import aural
from aural.batch.verbs import VERBS
from aural.loudness.meter import Options as MeasureOptions


def test_every_verb_of_the_library_is_there_with_its_options() -> None:
    assert set(VERBS) == set(aural.__all__) - {"master_album"}
    for name, verb in VERBS.items():
        assert verb.name == name and verb.help.endswith(".")
        assert (verb.ending is None) == (name == "measure")
    assert asdict(MeasureOptions()) == {"layout": "auto"}


def test_each_home_holds_what_the_verb_says_of_it() -> None:
    for verb in VERBS.values():
        assert is_dataclass(verb.options) and verb.options.__module__ == verb.home
        assert isgeneratorfunction(import_module(verb.home).outcome_steps)
        assert bool(verb.estimates) != bool(verb.stages)
        assert verb.stages or "" in verb.estimates


def test_declaring_the_verbs_loads_none_of_them() -> None:
    code = "import sys, aural.batch.verbs; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {name for name in run.stdout.split() if name.endswith((".pipeline", ".meter", ".degrade"))}
