"""The running app, called as programs call it: the round trip."""

from pathlib import Path

import numpy as np
from gradio_client import Client, handle_file
from PIL import Image

from aural.audio import read
from tests.endpoints import RATE, tune


def test_resynthesis_with_the_original_phase_and_all_bins_gives_the_input_back(
    client: Client, recording: Path
) -> None:
    path, figures, _ = client.predict(
        handle_file(recording), phase="original", mel_bands=0, rate=RATE, api_name="/resynthesize"
    )
    assert np.allclose(read(path).samples, read(recording).samples, atol=1e-5)
    assert figures["spectral_convergence_db"] < -80


def test_griffin_lim_costs_what_the_figures_say(client: Client, recording: Path) -> None:
    _, rough, _ = client.predict(handle_file(recording), mel_bands=0, iterations=2, api_name="/resynthesize")
    path, fine, picture = client.predict(handle_file(recording), mel_bands=0, api_name="/resynthesize")
    assert fine["spectral_convergence_db"] < rough["spectral_convergence_db"] - 6
    assert read(path).samples.shape == tune().samples.shape
    with Image.open(picture) as image:
        assert image.format == "WEBP"
