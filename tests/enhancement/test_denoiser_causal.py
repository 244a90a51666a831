"""The denoiser for live sound: no output depends on what comes later than it may."""

import pytest
import torch
from torch import Tensor

from aural.audio.spectral import stft
from aural.enhancement.denoiser_causal import (
    CAUSAL_TAPS,
    PAIR,
    CausalConfig,
    CausalDenoiser,
    Past,
    build_causal_denoiser,
)
from aural.enhancement.denoiser_convolutional import MASK_FRONT_END, BandMasks

SMALL = CausalConfig((8, 12, 16), 3)
FRAMES = 60


@pytest.fixture(scope="module")
def denoiser() -> CausalDenoiser:
    """With random weights and statistics."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_causal_denoiser(SMALL.to_dict())
        for head in (network.gains, network.filters):
            torch.nn.init.normal_(head.weight, std=0.3)
        network(spectrum(200))  # statistics of a batch
    return network.eval()


def spectrum(frames: int = FRAMES, seed: int = 0) -> Tensor:
    """(1, bins, frames), of noise that grows and falls."""
    generator = torch.Generator().manual_seed(seed)
    count = (frames - 1) * MASK_FRONT_END.hop
    samples = 0.05 * torch.randn(1, count, generator=generator)
    return stft(samples * (1.2 + torch.sin(torch.arange(count) / 3_000)), MASK_FRONT_END)[..., :frames]


def tensors(masks: BandMasks) -> list[Tensor]:
    return [masks.gain, masks.noise_gain, masks.taps]


@torch.inference_mode()
def test_frames_depend_on_no_later_pair(denoiser: CausalDenoiser) -> None:
    whole, border = spectrum(), 30
    other = torch.cat((whole[..., :border], 3 * spectrum(seed=1)[..., border:]), -1)
    for mask, changed in zip(tensors(denoiser(whole)), tensors(denoiser(other)), strict=True):
        torch.testing.assert_close(changed[..., :border], mask[..., :border])
        assert not torch.allclose(changed[..., border : border + PAIR], mask[..., border : border + PAIR])
    assert max(CAUSAL_TAPS) == 0


@torch.inference_mode()
def test_a_stream_of_any_pieces_gives_the_masks_of_the_whole(denoiser: CausalDenoiser) -> None:
    whole = spectrum()
    past, pieces, start = Past(), [], 0
    for size in (2, 10, 4, 2, 28, 14):
        pieces.append(tensors(denoiser(whole[..., start : start + size], past)))
        start += size
    assert start == FRAMES
    for mask, *parts in zip(tensors(denoiser(whole)), *pieces, strict=True):
        torch.testing.assert_close(torch.cat(parts, -1), mask, atol=2e-5, rtol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("gain", [1e-3, 20.0])
def test_the_level_of_the_recording_changes_no_mask(denoiser: CausalDenoiser, gain: float) -> None:
    for mask, scaled in zip(tensors(denoiser(spectrum())), tensors(denoiser(gain * spectrum())), strict=True):
        torch.testing.assert_close(scaled, mask, atol=1e-4, rtol=1e-3)


@torch.inference_mode()
def test_silence_gives_finite_masks_and_stays_silent(denoiser: CausalDenoiser) -> None:
    silence = torch.zeros(1, MASK_FRONT_END.bins, 9, dtype=torch.complex64)
    masks = denoiser(silence)
    assert all(tensor.isfinite().all() and tensor.shape[-1] == 9 for tensor in tensors(masks))
    assert not masks.apply(silence).any()


@torch.inference_mode()
def test_filters_reach_into_the_past_alone(denoiser: CausalDenoiser) -> None:
    whole, border = spectrum(), 30
    cut = whole.clone()
    cut[..., border:] = 0
    masks = denoiser(whole)
    torch.testing.assert_close(masks.apply(cut)[..., :border], masks.apply(whole)[..., :border])
