"""Fixtures of generation's tests."""

import pytest

from aural.generation.data import Esc50
from tests.generation.tones import tones


@pytest.fixture(scope="module")
def esc50() -> Esc50:
    """Tones in the place of ESC-50."""
    return tones()
