"""Train LISA on itself: recordings at a random low rate, queried at the times of a random higher one.

    python -m aural.superres.train_lisa --data DIR [--minutes 60] [--precision bf16] [--resume]

Each second of sound is resampled twice: to 4 to 24 kHz, which is the model's input, and to a higher rate up
to 48 kHz. The model predicts 8,000 consecutive samples at the higher rate. They are consecutive because their
spectra are compared too. soxr makes most of the low rates and other filters make some, since recordings in
use come from many filters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import cast

import numpy as np
import torch
import torchaudio.functional
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from aural.audio.comparison import log_spectral_distance, snr_db
from aural.audio.resample import resample_samples
from aural.errors import InputError
from aural.superres.lisa import Lisa, LisaConfig
from aural.training.command import CORPUS, arguments, save_outcome, settings
from aural.training.corpus import KINDS, LICENCE, Corpus, Recording, load
from aural.training.loop import (
    Loss,
    Outcome,
    Settings,
    TrainedModule,
    this_process,
    train,
)
from aural.training.losses import resolutions, scaled_spectra, spectral_distance

RATE = 48_000  # Hz, of the recordings
TINY = LisaConfig(widths=(4, 8, 8), latent=8, hidden=16, layers=2)

# Share of each kind in the segments.
SHARES = {"speech": 0.7, "music": 0.15, "esc50": 0.15}
SECONDS = 1  # length of a segment
QUERIES = 8_000  # consecutive samples that the model predicts
# A segment with a lower peak is sampled again: the model keeps silence exactly, without training.
MIN_PEAK = 1e-3
RMS = 0.1  # level of a segment; the model normalises it, so the value does not matter
MIN_RATE, MAX_RATE = 4_000.0, 24_000.0  # Hz, of the model's input
COMMON_RATES = (4_000.0, 8_000.0, 11_025.0, 12_000.0, 16_000.0, 22_050.0, 24_000.0)
COMMON_SHARE = 0.5
OTHER_FILTERS_SHARE = 0.3
OTHER_FILTERS_STEP = 250  # Hz; their filters are long if the two rates have no large common divisor
TARGET_STEP = 100  # Hz, between possible rates of the target
# A second must hold all queries.
MIN_TARGET_RATE = math.ceil(QUERIES / SECONDS / TARGET_STEP) * TARGET_STEP
# Maximum distance of a selected sample from a time: 5 standard deviations and the rounding.
REACH = 4

VALIDATION_RATES = (8_000, 12_000)
VALIDATION_ITEMS = 8
VALIDATION_SECONDS = 2
# Excerpts are multiples of this length, so that they have a whole number of samples at each low rate.
VALIDATION_STEP = math.lcm(*(RATE // math.gcd(RATE, rate) for rate in VALIDATION_RATES))


@dataclass(frozen=True)
class Objective:
    """The weights of the loss."""

    spectral: float = 0.01  # weight of the distance of scaled spectra, relative to the mean error of samples
    learning_rate: float = 2e-3


@dataclass(frozen=True)
class Examples:
    """A batch: sounds at low rates, and their values at other times."""

    samples: Tensor  # (batch, time), each at its own rate, padded with silence
    positions: Tensor  # (batch, queries), times in samples of that rate, float64
    targets: Tensor  # (batch, queries), the sound at these times


def objective_of(objective: Objective) -> Loss[Examples]:
    """The loss for the training loop."""
    front_ends = resolutions(RATE)

    def loss(module: nn.Module, examples: Examples) -> tuple[Tensor, Mapping[str, Tensor]]:
        # Only the module itself runs in the chosen precision.
        output = module(examples.samples, examples.positions)
        targets = examples.targets
        with torch.autocast(targets.device.type, enabled=False):
            output = output.float()
            error = (output - targets).abs().mean()
            distance = spectral_distance(
                scaled_spectra(output, front_ends), scaled_spectra(targets, front_ends)
            )
            total = error + objective.spectral * distance
            noise = (output - targets).square().sum().detach()
            snr = 10 * (targets.square().sum() / noise).log10()
        return total, {"loss": total, "error": error, "distance": distance, "snr_db": snr}

    return loss


def batches(corpus: Corpus, size: int) -> Callable[[torch.Generator], Examples]:
    """A function that samples examples from the training recordings.

    Raises:
        InputError: no training recording is as long as a segment.
    """
    length = SECONDS * RATE
    kinds = {
        kind: [item for item in corpus.of(kind, validation=False) if item.length >= length] for kind in KINDS
    }
    shares = torch.tensor([SHARES[kind] if kinds[kind] else 0.0 for kind in KINDS])
    if not shares.any():
        raise InputError(f"No training recording lasts {SECONDS} s. Choose a folder with longer ones.")

    def segment(generator: torch.Generator) -> NDArray[np.float32]:
        # After 20 attempts a silent segment is accepted.
        for _ in range(20):
            kind = KINDS[int(torch.multinomial(shares, 1, generator=generator))]
            chosen = kinds[kind][_whole(0, len(kinds[kind]) - 1, generator)]
            wave = corpus.wave(chosen, _whole(0, chosen.length - length, generator), length)
            if wave.abs().amax() >= MIN_PEAK:
                wave = wave * (RMS / wave.square().mean().sqrt())
                break
        return cast(NDArray[np.float32], wave.numpy())

    def sample(generator: torch.Generator) -> Examples:
        examples = [_example(segment(generator), generator) for _ in range(size)]
        longest = max(len(samples) for samples, _, _ in examples)
        return Examples(
            torch.stack([functional.pad(samples, (0, longest - len(samples))) for samples, _, _ in examples]),
            torch.stack([positions for _, positions, _ in examples]),
            torch.stack([targets for _, _, targets in examples]),
        )

    return sample


def train_lisa(
    corpus: Corpus, config: LisaConfig, objective: Objective, run: Settings
) -> tuple[Lisa, Outcome]:
    """The averaged model after a run; validation recordings are not trained on."""
    torch.manual_seed(run.seed)
    device = this_process().device
    sample_examples = batches(corpus, run.batch)

    def sample(generator: torch.Generator) -> Examples:
        examples = sample_examples(generator)
        return Examples(
            examples.samples.to(device), examples.positions.to(device), examples.targets.to(device)
        )

    trained = TrainedModule(Lisa(config), objective_of(objective), objective.learning_rate, weight_decay=0.0)
    outcome = train(
        {"lisa": trained},
        sample,
        run,
        validate=validation(corpus),
        card={"config": config.to_dict(), "objective": asdict(objective), "shares": SHARES},
    )
    return cast(Lisa, outcome.averages["lisa"]), outcome


def validation(corpus: Corpus) -> Callable[[Mapping[str, nn.Module]], dict[str, float]]:
    """SNR in dB and LSD of a few validation sentences at 48 kHz, compared with sinc's."""
    speech = [item for item in corpus.of("speech", validation=True) if item.length >= RATE]
    places = np.linspace(0, len(speech) - 1, min(len(speech), VALIDATION_ITEMS)).round().astype(int)
    excerpts = [_excerpt(corpus, speech[place]) for place in places]
    waves = [wave for wave in excerpts if wave.any()]
    lows = {rate: [resample_samples(wave, RATE, rate) for wave in waves] for rate in VALIDATION_RATES}
    sincs = {rate: [resample_samples(low, rate, RATE) for low in lows[rate]] for rate in VALIDATION_RATES}

    def validate(averages: Mapping[str, nn.Module]) -> dict[str, float]:
        lisa = cast(Lisa, averages["lisa"])
        device = next(lisa.parameters()).device
        figures = {}
        for rate in VALIDATION_RATES if waves else ():
            output = []
            for low, wave in zip(lows[rate], waves, strict=True):
                positions = torch.arange(wave.shape[-1], dtype=torch.float64, device=device) * (rate / RATE)
                with torch.inference_mode():
                    output.append(lisa(torch.from_numpy(low).to(device), positions).cpu().numpy())
            for name, estimates in {"": output, "_sinc": sincs[rate]}.items():
                pairs = list(zip(estimates, waves, strict=True))
                title = f"{rate // 1000}k{name}"
                figures[f"{title}_snr_db"] = float(np.mean([snr_db(*pair) for pair in pairs]))
                figures[f"{title}_lsd"] = float(np.mean([log_spectral_distance(*pair) for pair in pairs]))
        return figures

    return validate


def main(command: list[str] | None = None) -> None:
    """Train with the command line's settings and save the checkpoint."""
    parser = arguments(__doc__, data=CORPUS, steps=5_000, batch=4, folder="runs/lisa")
    parser.add_argument("--spectral", type=float, default=Objective.spectral, help="weight of the spectra")
    parser.add_argument("--learning-rate", type=float, default=Objective.learning_rate)
    chosen = parser.parse_args(command)
    config = TINY if chosen.smoke else LisaConfig()
    lisa, outcome = train_lisa(
        load(chosen.data, RATE), config, Objective(chosen.spectral, chosen.learning_rate), settings(chosen)
    )
    # So small that half precision would save nothing.
    save_outcome(chosen, outcome, "lisa", lisa, config.to_dict(), LICENCE, half=False)


def _example(wave: NDArray[np.float32], generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """The samples that matter (time,), positions (queries,) and target values (queries,)."""
    rate, samples = _at_low_rate(wave, generator)
    lowest = max(math.ceil(rate / TARGET_STEP) * TARGET_STEP, MIN_TARGET_RATE)
    target_rate = TARGET_STEP * _whole(lowest // TARGET_STEP, RATE // TARGET_STEP, generator)
    target = wave if target_rate == RATE else resample_samples(wave[None], RATE, target_rate)[0]
    start = _whole(0, len(target) - QUERIES, generator)
    positions = torch.arange(start, start + QUERIES, dtype=torch.float64) * (rate / target_rate)
    # Samples further away don't affect the values.
    margin = LisaConfig().context + REACH
    first = max(0, int(positions[0]) - margin)
    last = min(len(samples), int(positions[-1]) + margin + 1)
    return (
        torch.from_numpy(samples[first:last].copy()),
        positions - first,
        torch.from_numpy(target[start : start + QUERIES].copy()),
    )


def _at_low_rate(wave: NDArray[np.float32], generator: torch.Generator) -> tuple[float, NDArray[np.float32]]:
    """A random rate in Hz, and the wave at that rate, (time,)."""
    rate = MIN_RATE + (MAX_RATE - MIN_RATE) * _share(generator)
    is_common = _share(generator) < COMMON_SHARE
    if is_common:
        rate = COMMON_RATES[_whole(0, len(COMMON_RATES) - 1, generator)]
    if _share(generator) >= OTHER_FILTERS_SHARE:
        return rate, resample_samples(wave[None], RATE, rate)[0]
    if not is_common:
        rate = float(round(rate / OTHER_FILTERS_STEP) * OTHER_FILTERS_STEP)
    if _share(generator) < 0.5:
        low = torchaudio.functional.resample(torch.from_numpy(wave), RATE, int(rate)).numpy()
        return rate, cast(NDArray[np.float32], low)
    from scipy.signal import resample_poly

    common = math.gcd(RATE, int(rate))
    return rate, resample_poly(wave, int(rate) // common, RATE // common).astype(np.float32)


def _excerpt(corpus: Corpus, recording: Recording) -> NDArray[np.float32]:
    """The middle of a recording, (1, time)."""
    length = min(recording.length, VALIDATION_SECONDS * RATE)
    length -= length % VALIDATION_STEP
    wave = corpus.wave(recording, (recording.length - length) // 2, length)
    return cast(NDArray[np.float32], wave[None].numpy())


def _whole(low: int, high: int, generator: torch.Generator) -> int:
    """A random whole number from `low` to `high`, both included."""
    return int(torch.randint(low, high + 1, (), generator=generator))


def _share(generator: torch.Generator) -> float:
    """A random number from 0 to 1."""
    return float(torch.rand((), generator=generator))


if __name__ == "__main__":
    main()
