"""Noise reduction of live sound: in time, the same in any pieces, from what it has heard."""

from __future__ import annotations

import base64

import numpy as np
import pytest
import torch

from aural import hub
from aural.audio import Clip
from aural.audio.spectral import istft, stft
from aural.enhancement import adaptation, tab
from aural.enhancement.denoiser_causal import PAIR
from aural.enhancement.denoiser_convolutional import MASK_FRONT_END
from aural.enhancement.stream import MODEL_RATE, Streamer, denoise
from aural.errors import InputError, OptionError

pytestmark = pytest.mark.usefixtures("tiny_checkpoints")

LATE = 1_919  # samples, 40 ms


def noise(frames: int = 48_000, channels: int = 1, seed: int = 0) -> np.ndarray:
    swell = 0.1 + 0.08 * np.sin(np.arange(frames) / 5_000)
    return (swell * np.random.default_rng(seed).standard_normal((channels, frames))).astype(np.float32)


def streamed(samples: np.ndarray, sizes: list[int], rate: int = MODEL_RATE, **options: float) -> np.ndarray:
    streamer = Streamer(len(samples), rate, **options)  # type: ignore[arg-type]
    made, start = [], 0
    while start < samples.shape[1]:
        size = sizes[len(made) % len(sizes)]
        made.append(streamer.push(samples[:, start : start + size]))
        start += size
    return np.concatenate((*made, streamer.finish()), axis=1)


@pytest.fixture
def jumpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The strength depends even on the small changes of an untrained network."""
    monkeypatch.setattr(adaptation, "NOISE_DB", 0.0)
    monkeypatch.setattr(adaptation, "LIVE", adaptation.Thresholds(kept=-1, removed=1, clean=-20, noisy=20))


@pytest.mark.usefixtures("jumpy")
@pytest.mark.parametrize("adaptive", [True, False])
@pytest.mark.parametrize("sizes", [[1_000_000], [480], [1, 768, 0, 5_000, 7]], ids=str)
def test_a_stream_in_any_pieces_is_the_whole_clip(sizes: list[int], adaptive: bool) -> None:
    samples = noise(30_011, 2)
    whole = denoise(Clip(samples, MODEL_RATE), adaptive=adaptive)
    made = streamed(samples, sizes, adaptive=adaptive)
    assert np.abs(made - whole.samples).max() < 1e-6 * np.abs(whole.samples).max()
    assert whole.samples.shape == samples.shape and not np.allclose(whole.samples, samples, atol=1e-3)


@torch.inference_mode()
def test_the_whole_clip_is_what_the_network_makes_of_its_spectrum() -> None:
    samples = noise()
    model = hub.load("live_denoiser")
    spectrum = stft(torch.tensor(samples), MASK_FRONT_END)
    masks = model(spectrum)
    masked = masks.apply(spectrum) + 10 ** (-30 / 20) * masks.background(spectrum)
    expected = istft(masked, samples.shape[1], MASK_FRONT_END).numpy()
    made = denoise(Clip(samples, MODEL_RATE), adaptive=False).samples
    # At the end, a stream has heard silence that a clip does not have.
    middle = slice(0, samples.shape[1] - 2 * MASK_FRONT_END.window)
    assert np.abs(made - samples)[:, middle].max() > 1e-3 * np.abs(expected).max(), (
        "the network does something"
    )
    assert np.abs(made - expected)[:, middle].max() < 1e-5 * np.abs(expected).max()


@pytest.mark.usefixtures("jumpy")
@pytest.mark.parametrize("adaptive", [True, False])
def test_outputs_depend_on_at_most_40_ms_to_come(adaptive: bool) -> None:
    samples, changed = noise(), noise()
    border = 20 * PAIR * MASK_FRONT_END.hop
    changed[:, border:] = noise(seed=1)[:, border:]
    made, other = (streamed(each, [4_800], adaptive=adaptive) for each in (samples, changed))
    first = int(np.flatnonzero(np.abs(made - other) > 1e-6)[0])
    assert border - LATE <= first < border
    assert Streamer(1, MODEL_RATE).look_ahead_seconds == LATE / MODEL_RATE <= 0.040


@pytest.mark.parametrize("rate", [MODEL_RATE, 44_100, 16_000])
def test_what_is_complete_comes_out_at_once(rate: int) -> None:
    streamer = Streamer(1, rate)
    samples, made = noise(2 * rate), 0
    for start in range(0, samples.shape[1], rate // 50):
        made += streamer.push(samples[:, start : start + rate // 50]).shape[1]
        heard = min(start + rate // 50, samples.shape[1])
        assert heard - made <= streamer.look_ahead_seconds * rate + 1
    assert made + streamer.finish().shape[1] == samples.shape[1]


def test_without_strength_the_sound_passes() -> None:
    for rate, tolerance in ((MODEL_RATE, 1e-6), (44_100, 1e-4)):
        tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)[None].astype(np.float32)
        made = streamed(tone, [rate // 10], rate, strength=0.0)
        assert np.abs(made - tone)[:, rate // 10 : -rate // 10].max() < tolerance


@pytest.mark.usefixtures("jumpy")
@pytest.mark.parametrize("adaptive", [True, False])
@pytest.mark.parametrize("gain", [8.0, 1e-3])
def test_a_louder_recording_gives_the_same_louder(gain: float, adaptive: bool) -> None:
    samples = noise()
    made, other = (
        denoise(Clip(np.float32(factor) * samples, MODEL_RATE), adaptive=adaptive).samples
        for factor in (1, gain)
    )
    assert np.abs(other / gain - made).max() < 1e-4 * np.abs(made).max()


def test_the_stereo_image_stays() -> None:
    """All channels get one mask: a channel that is another at half the level remains so."""
    left = noise()
    made = denoise(Clip(np.concatenate((left, 0.5 * left)), MODEL_RATE), adaptive=False).samples
    assert np.abs(made[1] - 0.5 * made[0]).max() < 1e-5 * np.abs(made).max()
    opposite = denoise(Clip(np.concatenate((left, -left)), MODEL_RATE), adaptive=False).samples
    assert np.abs(opposite[0] + opposite[1]).max() < 1e-5 * np.abs(opposite).max()
    assert np.abs(opposite).max() > 0.01


def test_silence_stays_silent_and_short_clips_keep_their_length() -> None:
    assert not denoise(Clip(np.zeros((1, 10_000), np.float32), MODEL_RATE)).samples.any()
    for frames, rate in ((1, MODEL_RATE), (7, 44_100), (700, 16_000)):
        made = denoise(Clip(noise(frames), rate))
        assert made.samples.shape == (1, frames) and made.rate == rate
        assert np.isfinite(made.samples).all()


def test_what_cannot_be_denoised_is_told() -> None:
    with pytest.raises(OptionError, match="strength"):
        Streamer(1, MODEL_RATE, strength=1.5)
    with pytest.raises(OptionError, match="background"):
        Streamer(1, MODEL_RATE, background_db=40)
    with pytest.raises(InputError):
        denoise(Clip(np.full((1, 100), np.nan, np.float32), MODEL_RATE))


def test_progress_is_told_once_a_second() -> None:
    shares = list(denoise.steps(Clip(noise(3 * MODEL_RATE), MODEL_RATE)))
    assert shares == pytest.approx([0, 1 / 3, 2 / 3])


def test_a_visitor_hears_the_stream() -> None:
    samples = noise()
    opened = tab.LIVE.live_open({"rate": MODEL_RATE, "choices": {"strength": "1", "background_db": "-20"}})
    assert opened["look_ahead_ms"] == pytest.approx(40, abs=0.1)
    pieces = []
    for block in samples.reshape(10, -1):
        sent = np.rint(32_767 * block).astype("<i2").tobytes()
        answer = tab.LIVE.live_push({"key": opened["key"], "samples": base64.b64encode(sent).decode()})
        pieces.append(np.frombuffer(base64.b64decode(answer["samples"]), "<i2") / 32_767)
    heard = np.concatenate(pieces)
    expected = streamed(samples, [48_000], background_db=-20.0)[0, : len(heard)]
    assert len(heard) >= samples.shape[1] - LATE - 768 and np.abs(heard - expected).max() < 3 / 32_767


@pytest.mark.parametrize(
    "choices", [{}, {"strength": "2"}, {"strength": ["1"]}, {"background_db": "-1"}, {"background_db": None}]
)
def test_what_a_page_cannot_ask_for_is_told_in_a_sentence(choices: dict) -> None:
    chosen = {"strength": "1", "background_db": "off", **choices} if choices else {}
    answer = tab.LIVE.live_open({"rate": MODEL_RATE, "choices": chosen})
    assert set(answer) == {"error"} and answer["error"].endswith(".")
