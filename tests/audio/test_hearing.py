"""The threshold of hearing in quiet."""

import pytest
import torch

from aural.audio.hearing import threshold_in_quiet_db


def test_the_ear_is_most_sensitive_near_3_kilohertz() -> None:
    khz = torch.linspace(0.05, 16, 1000, dtype=torch.float64)
    threshold_db = threshold_in_quiet_db(khz)
    assert khz[threshold_db.argmin()].item() == pytest.approx(3.3, abs=0.2)
    assert threshold_db.min().item() == pytest.approx(-5, abs=0.5)


def test_it_is_some_3_db_at_1_kilohertz_and_rises_towards_both_ends() -> None:
    low, middle, high = threshold_in_quiet_db(torch.tensor([0.1, 1.0, 16.0], dtype=torch.float64)).tolist()
    assert middle == pytest.approx(3.4, abs=0.1)
    assert low > 20 and high > 60
