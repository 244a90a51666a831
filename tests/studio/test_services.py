"""What the services do to a file follows from its loudness and its true peak."""

from __future__ import annotations

import numpy as np
import pytest

import aural
from aural.audio import Clip
from aural.audio.steps import finish
from aural.loudness.targets import TARGETS
from aural.studio.services import Service, on_services, played_on

RATE = 48_000


def tone(lufs: float, channels: int = 2) -> Clip:
    """A sine of 997 Hz: full scale in one channel reads -3.01 LUFS, in two 0 LUFS."""
    level = 10 ** ((lufs + (3.01 if channels == 1 else 0.0)) / 20)
    sine = level * np.sin(2 * np.pi * 997 * np.arange(4 * RATE) / RATE)
    return Clip(np.stack([sine] * channels).astype(np.float32), RATE)


def found(clip: Clip) -> dict[str, Service]:
    return {service.name: service for service in on_services(aural.measure(clip))}


def test_a_loud_file_is_turned_down_and_its_peaks_fit() -> None:
    services = found(tone(-6))
    for key, gain_db in (("spotify", -8), ("youtube", -8), ("apple_music", -10), ("ebu_r128", -17)):
        service = services[TARGETS[key].name]
        assert service.gain_db == pytest.approx(gain_db, abs=0.05)
        assert service.limiting_db == 0


def test_a_quiet_file_is_turned_up_but_not_by_a_platform_that_only_turns_down() -> None:
    services = found(tone(-30))
    assert services["Spotify"].gain_db == pytest.approx(16, abs=0.05)
    assert services["YouTube"].gain_db == 0
    assert services["YouTube"].loudness_lufs == pytest.approx(-30, abs=0.05)


def test_peaks_that_exceed_the_limit_after_the_gain_are_limited_by_the_excess() -> None:
    samples = tone(-30).samples.copy()
    samples[:, RATE] = 0.5  # one click at -6 dBFS, which the loudness hardly hears
    clip = Clip(samples, RATE)
    service = found(clip)["Spotify"]
    peak_dbtp = aural.measure(clip).true_peak_dbtp
    assert peak_dbtp is not None
    assert service.limiting_db == pytest.approx(peak_dbtp + service.gain_db + 1, abs=1e-9)
    assert service.limiting_db > 5


def test_mono_has_a_loudness_of_its_own_where_the_service_says_so() -> None:
    assert found(tone(-19, channels=1))["Google Assistant"].gain_db == pytest.approx(0, abs=0.05)


def test_mastering_applies_the_same_gain() -> None:
    result = aural.master(tone(-20), target="tidal")
    assert result.limiting_db == 0
    assert found(tone(-20))["Tidal"].gain_db == pytest.approx(result.gain_db, abs=0.05)


def test_every_platform_and_standard_is_there_once_and_silence_has_none() -> None:
    names = [service.name for service in on_services(aural.measure(tone(-20)))]
    assert names == [target.name for target in TARGETS.values() if target.kind != "device"]
    assert len(set(names)) == len(names) > 15
    assert on_services(aural.measure(Clip(np.zeros((1, RATE), np.float32), RATE))) == ()


def test_a_stretch_is_played_by_the_gain_of_the_file_and_limited_where_its_peaks_do_not_fit() -> None:
    clip = tone(-20)
    services = {service.key: service for service in on_services(aural.measure(clip))}
    quieter = finish(played_on(services["netflix"], clip))
    np.testing.assert_allclose(
        quieter.samples, clip.samples * 10 ** (services["netflix"].gain_db / 20), rtol=1e-5
    )
    peaky = clip.with_samples(
        clip.samples * np.where(np.arange(clip.frames) % RATE < 48, 9, 1).astype(np.float32)
    )
    service = {one.key: one for one in on_services(aural.measure(peaky))}["spotify"]
    assert service.limiting_db > 1
    limited = aural.measure(finish(played_on(service, peaky)))
    assert limited.true_peak_dbtp == pytest.approx(TARGETS["spotify"].ceiling_dbtp, abs=0.2)
    assert limited.integrated_lufs == pytest.approx(-14, abs=0.2)
