"""The other enhancers: on time, at any rate, and better than the recording."""

from pathlib import Path

import numpy as np
import pytest

from aural.audio import read
from aural.audio.comparison import si_sdr_db
from aural.enhancement.evaluate import lag_samples
from aural.enhancement.peers import PEERS, RATE, Samples, enhance_by, installed

SPEECH = Path(__file__).parents[2] / "aural" / "ui" / "examples" / "speech.ogg"


@pytest.fixture(scope="module")
def clean() -> Samples:
    """5 s of a sentence. Shape: (1, time)."""
    return read(SPEECH).samples[:1, : 5 * RATE].copy()


@pytest.fixture(scope="module")
def noisy(clean: Samples) -> Samples:
    """The same with noise 10 dB below it. Shape: (1, time)."""
    noise = np.random.default_rng(0).standard_normal(clean.shape).astype(np.float32)
    return clean + noise * np.float32(np.std(clean) * 10**-0.5)


@pytest.fixture(params=PEERS)
def peer(request: pytest.FixtureRequest) -> str:
    if request.param not in installed():
        pytest.skip(f"needs the package {PEERS[request.param].package}")
    return str(request.param)


def test_a_peer_is_on_time_and_reduces_noise(peer: str, clean: Samples, noisy: Samples) -> None:
    made = enhance_by(peer, noisy, RATE)
    assert made.shape == clean.shape and made.dtype == np.float32
    assert abs(lag_samples(made[0], clean[0])) <= 1
    assert si_sdr_db(made[0], clean[0]) > 0  # a frame of delay left in would take it below
    # The end of the recording comes out as well.
    assert np.abs(made[:, -2_000:]).max() > 0
    assert np.std(enhance_by(peer, noisy - clean, RATE)) < 0.5 * np.std(noisy - clean)


def test_every_channel_is_enhanced_by_itself_at_its_rate(peer: str, noisy: Samples) -> None:
    other = noisy[:, ::-1]
    both = enhance_by(peer, np.concatenate([noisy, other])[:, ::2].copy(), RATE // 2)
    alone = enhance_by(peer, noisy[:, ::2].copy(), RATE // 2)
    assert both.shape == (2, noisy.shape[1] // 2)
    np.testing.assert_allclose(both[:1], alone, atol=1e-6)


def test_rnnoise_may_exceed_full_scale(clean: Samples) -> None:
    pytest.importorskip("pyrnnoise")
    loud = clean / np.abs(clean).max() * np.float32(2)
    # Rounded to 16 bits it would wrap around.
    assert si_sdr_db(enhance_by("rnnoise", loud, RATE)[0], loud[0]) > 10
