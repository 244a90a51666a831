"""Checkpoints of a test in the place of the shipped ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aural import hub


@contextmanager
def instead(folder: Path, models: dict[Any, Any] | None = None) -> Iterator[None]:
    """In this process, models are loaded from this folder, and only those that are given count as loaded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub, "_models", {} if models is None else models)
        patch.delenv("AURAL_HUB_REPO", raising=False)
        patch.setenv("AURAL_CHECKPOINTS", str(folder))
        yield
