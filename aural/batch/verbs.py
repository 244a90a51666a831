"""All verbs as declared by their slices, for the shell, the page, batches and clusters."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from aural.enhancement.verb import DEGRADE, ENHANCE
from aural.generation.verb import GENERATE, LOOP
from aural.loudness.verb import MASTER, MEASURE
from aural.options import Verb
from aural.resynthesis.verb import RESYNTHESIZE
from aural.studio.verb import RELEASE
from aural.superres.verb import SUPER_RESOLVE

VERBS: Mapping[str, Verb] = MappingProxyType(
    {
        verb.name: verb
        for verb in (
            MEASURE,
            MASTER,
            RESYNTHESIZE,
            ENHANCE,
            DEGRADE,
            SUPER_RESOLVE,
            GENERATE,
            LOOP,
            RELEASE,
        )
    }
)
