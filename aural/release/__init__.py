"""The verbs in a row: enhance, super-resolve, master."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aural.audio import Clip
    from aural.release.pipeline import Result


class _Verb(ModuleType):
    """A package that can be called.

    As soon as it is imported, Python puts it in the place of the function `aural.release`, so it has to do
    what that does.
    """

    def __call__(self, clip: Clip, **options: Any) -> Result:
        """Enhance, super-resolve and master a clip; the keywords are those of `pipeline.Options`."""
        from aural.release.pipeline import Options, release

        return release(clip, Options(**options))


sys.modules[__name__].__class__ = _Verb
