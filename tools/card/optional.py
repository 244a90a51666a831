"""Stand-ins for packages that the application imports and the card's machine may lack.

Import it before anything of `aural`. A training uses none of them; what did would fail at its first use.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

for _name in ("soxr", "av"):
    try:
        importlib.import_module(_name)
    except ImportError:
        sys.modules[_name] = ModuleType(_name)
