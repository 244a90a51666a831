"""The convolutional stage 1: what its masks can do, and that it fits where the recurrent one stood."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from aural.audio.spectral import istft, stft
from aural.enhancement.denoiser import Denoiser, DenoiserConfig, build_denoiser
from aural.enhancement.denoiser_convolutional import (
    BANDS,
    LOW_BINS,
    MASK_FRONT_END,
    MAX_GAIN,
    TAPS,
    BandMasks,
    ConvolutionalConfig,
    ConvolutionalDenoiser,
    FrontEndDenoiser,
    build_convolutional,
)
from aural.enhancement.features import FRONT_END

SMALL = ConvolutionalConfig((4, 6, 8, 8), 2)
LENGTH = 19_300


def noise(*shape: int) -> Tensor:
    return 0.05 * torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def masks_of(gain: float, frames: int) -> BandMasks:
    return BandMasks(
        taps=torch.zeros(1, len(TAPS), LOW_BINS, frames, dtype=torch.complex64),
        gain=torch.full((1, MASK_FRONT_END.bins, frames), gain),
        noise_gain=torch.full((1, MASK_FRONT_END.bins, frames), 1 - gain),
    )


def calibrated(config: ConvolutionalConfig = SMALL) -> FrontEndDenoiser:
    torch.manual_seed(0)
    denoiser = build_denoiser(config.to_dict())
    assert isinstance(denoiser, FrontEndDenoiser)
    denoiser.train()
    denoiser(stft(noise(2, LENGTH), FRONT_END))
    return denoiser.eval()


def test_every_second_frame_is_one_of_the_front_end() -> None:
    fine, coarse = stft(noise(1, LENGTH), MASK_FRONT_END), stft(noise(1, LENGTH), FRONT_END)
    torch.testing.assert_close(fine[..., ::2][..., : coarse.shape[-1]], coarse)


def test_at_first_everything_passes() -> None:
    with torch.no_grad():
        masks = calibrated()(stft(noise(1, LENGTH), FRONT_END))
    assert (20 * masks.fine.gain.log10()).abs().max() < 3
    assert masks.fine.taps.abs().max() < 0.1


@pytest.mark.parametrize("frames", [1, 2, 25, 26])
def test_there_is_a_mask_for_every_frame(frames: int) -> None:
    spectrum = torch.randn(3, MASK_FRONT_END.bins, frames, dtype=torch.complex64)
    masks = ConvolutionalDenoiser(SMALL).eval()(spectrum)
    assert masks.gain.shape == masks.noise_gain.shape == spectrum.shape
    assert masks.apply(spectrum).shape == masks.background(spectrum).shape == spectrum.shape
    assert masks.gain.min() >= 0 and masks.gain.max() <= MAX_GAIN


def test_a_gain_of_one_returns_the_front_ends_spectrum() -> None:
    samples = noise(2, LENGTH)
    spectrum = stft(samples, FRONT_END)

    class Passing(FrontEndDenoiser):
        def forward(self, spectrum: Tensor, conditioning: Tensor | None = None):  # noqa: ARG002
            masks = super().forward(spectrum)
            return replace(masks, fine=masks_of(1.0, masks.fine.gain.shape[-1]))

    masks = Passing(SMALL).eval()(spectrum)
    torch.testing.assert_close(istft(masks.apply(spectrum), LENGTH, FRONT_END), samples, atol=1e-6, rtol=1e-4)
    assert masks.background(spectrum).abs().max() < 1e-6
    assert masks.f0_hz.shape == masks.voicing.shape == (2, spectrum.shape[-1])


def test_normalisation_is_folded_into_the_convolutions_for_inference() -> None:
    denoiser, spectrum = calibrated(), stft(noise(1, LENGTH), FRONT_END)
    with torch.inference_mode():
        folded = denoiser(spectrum).fine
    plain = denoiser(spectrum).fine
    torch.testing.assert_close(folded.gain, plain.gain.detach(), atol=1e-5, rtol=1e-4)


def test_a_chunk_hears_its_neighbourhood_and_no_more() -> None:
    """Half a second and a little: less than chunks overlap."""
    denoiser = calibrated(ConvolutionalConfig((4, 6, 8, 8), 5))
    nn.init.normal_(denoiser.gains.weight)  # so that the faintest change is seen
    samples = noise(1, 5 * 48_000)
    other = samples.clone()
    other[:, : 2 * 48_000] = 0
    with torch.no_grad():
        gains = [denoiser(stft(x, FRONT_END)).fine.gain for x in (samples, other)]
    changed = (gains[0] - gains[1]).abs().amax((0, 1)) > 1e-7
    reach = int(changed.nonzero().max()) * MASK_FRONT_END.hop / 48_000 - 2
    assert 0.1 < reach < 0.7


def test_silence_stays_silent() -> None:
    silence = stft(torch.zeros(1, LENGTH), FRONT_END)
    masks = calibrated()(silence)
    assert masks.apply(silence).abs().max() == 0
    assert torch.isfinite(masks.f0_hz).all()


def test_the_config_tells_the_designs_apart() -> None:
    recurrent = build_denoiser(DenoiserConfig((4, 4, 8), 4, 1).to_dict())
    assert isinstance(recurrent, Denoiser)
    config = SMALL.to_dict()
    weights = build_convolutional(config).state_dict()
    convolutional = build_denoiser(config)
    convolutional.load_state_dict(weights)
    assert sum(weight.numel() for weight in convolutional.parameters()) > 0
    assert not any(isinstance(module, nn.RNNBase) for module in convolutional.modules())
    assert build_convolutional(config).get_buffer("analysis").shape == (BANDS, MASK_FRONT_END.bins)
