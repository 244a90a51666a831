"""Train a stage of enhancement on pairs of phone and studio recordings.

    python -m aural.enhancement.train --data DIR --stage denoiser [--pretrain 500] [--minutes 75] [--resume]
    python -m aural.enhancement.train --data DIR --stage completer

The completer trains on the output of the denoiser in `checkpoints/`, so train that first. Examples are
computed before the first step and cached, see `aural.enhancement.data`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from aural import hub
from aural.audio.spectral import istft, log_mel, mel_from_magnitude, scale, stft, unscale
from aural.enhancement.completer import Completer, CompleterConfig, render
from aural.enhancement.data import (
    EXAMPLE_COUNT,
    RATE,
    Examples,
    Item,
    precomputed_examples,
    sample_batch,
    validation_items,
)
from aural.enhancement.denoiser import BANDS, PITCH_BINS, Denoiser, DenoiserConfig, bin_of_pitch, log_bands
from aural.enhancement.denoiser_convolutional import FrontEndDenoiser
from aural.enhancement.discriminators import Discriminators
from aural.enhancement.features import FRONT_END, VOICED, conditioning, pitch
from aural.enhancement.level import ACTIVE_RMS, active_level
from aural.training.adversarial import AdversarialLoss
from aural.training.command import CORPUS, arguments, save_outcome, settings
from aural.training.corpus import LICENCE, Corpus, load
from aural.training.loop import (
    STATE,
    Loss,
    Outcome,
    Settings,
    TrainedModule,
    this_process,
    train,
)
from aural.training.losses import perceptual_loss, resolutions, scaled_spectra, spectral_distance

FRAMES = 128  # frames of a training piece, 2 s
UNCONDITIONED_SHARE = 0.3  # share of batches without conditions, so that the networks also work without them
VALIDATION_ITEMS = 16
MAX_SI_SDR_DB = 30.0  # higher values do not count


@dataclass(frozen=True)
class DenoiserObjective:
    """Weights of the denoiser's loss."""

    magnitude: float = 120.0  # squared error of the compressed magnitudes
    spectrum: float = 60.0  # squared error of the compressed complex spectra
    compression: float = 0.3  # exponent of both
    si_sdr: float = 0.15  # negative SI-SDR in dB
    logarithm: float = 16.0  # error of log magnitudes, so that quiet parts are kept
    perceptual: float = 0.4  # perceptual loss (P.862)
    resolutions: float = 5.0  # distance of log spectra of the waveform
    noise: float = 20.0  # squared error of the compressed background
    pitch: float = 0.05  # cross-entropy of the pitch bins
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class CompleterObjective:
    """Weights of the completer's loss."""

    perceptual: float = 0.03  # perceptual loss (P.862) of the completed sound
    adversarial: float = 0.01  # the generator's adversarial loss
    matching: float = 0.2  # feature matching loss
    start: int = 800  # steps without the adversarial losses, and again until their full weight
    learning_rate: float = 1e-3
    discriminator_rate: float = 4e-4


def denoising(objective: DenoiserObjective) -> Loss[Examples]:
    """The denoiser's loss for the training loop."""
    front_ends = resolutions(RATE, (512, 2048))
    weights = _bin_weights()

    def loss(module: nn.Module, examples: Examples) -> tuple[Tensor, dict[str, Tensor]]:
        # Only the module itself runs in reduced precision.
        device = examples.recording.device
        with torch.autocast(device.type, enabled=False), torch.no_grad():
            spectrum, clean, noise = (
                stft(wave, FRONT_END) for wave in (examples.recording, examples.speech, examples.noise)
            )
            conditions = _conditions(examples.recording)
            f0_hz, voicing = pitch(examples.speech)
        masks = module(spectrum, conditions)
        with torch.autocast(device.type, enabled=False):
            estimate = masks.apply(spectrum)
            wave = istft(estimate, examples.speech.shape[-1], FRONT_END)
            compressed, target = (_compress(x, objective.compression) for x in (estimate, clean))
            weight = weights.to(device)[:, None]
            magnitude = (weight * (compressed.abs() - target.abs()).square()).mean()
            logarithm = (weight * (scale(_power(estimate).sqrt()) - scale(_power(clean).sqrt())).abs()).mean()
            complex_error = (weight * torch.view_as_real(compressed - target).square().sum(-1)).mean()
            si_sdr_db = _si_sdr_db(wave, examples.speech).clamp_max(MAX_SI_SDR_DB).mean()
            perceptual = perceptual_loss(_power(estimate), _power(clean), RATE).mean()
            distance = spectral_distance(
                scaled_spectra(wave, front_ends), scaled_spectra(examples.speech, front_ends)
            )
            background = masks.background(spectrum)
            noise_error = (weight * (_power(background).pow(0.15) - _power(noise).pow(0.15)).square()).mean()
            bins = torch.where(voicing > VOICED, bin_of_pitch(f0_hz), PITCH_BINS)
            pitch_error = functional.cross_entropy(masks.pitch, bins)
            total = (
                objective.magnitude * magnitude
                + objective.spectrum * complex_error
                - objective.si_sdr * si_sdr_db
                + objective.logarithm * logarithm
                + objective.perceptual * perceptual
                + objective.resolutions * distance
                + objective.noise * noise_error
                + objective.pitch * pitch_error
            )
        return total, {
            "loss": total,
            "magnitude": magnitude,
            "complex": complex_error,
            "si_sdr_db": si_sdr_db,
            "logarithm": logarithm,
            "perceptual": perceptual,
            "distance": distance,
            "noise": noise_error,
            "pitch": pitch_error,
        }

    return loss


def masked_bands(module: nn.Module, examples: Examples) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of pre-training: predict hidden bands of clean audio from the others.

    In half of the pieces rectangles are hidden, in the other half all frames from some point on.
    """
    with torch.autocast(examples.speech.device.type, enabled=False), torch.no_grad():
        spectrum = stft(examples.speech, FRONT_END)
        bands = log_bands(_power(spectrum))
        hidden = _mask_rectangles(bands)
    guessed = module(spectrum, None, hidden).bands
    with torch.autocast(examples.speech.device.type, enabled=False):
        error = ((guessed - bands).abs() * hidden).sum() / hidden.sum().clamp_min(1)
    return error, {"masked_error": error}


@dataclass(frozen=True)
class Bands:
    """A batch for the completer; (batch, mel_bands, frames) if not stated otherwise."""

    denoised: Tensor
    noisy: Tensor
    target: Tensor
    conditions: Tensor | None  # (batch, 4, frames)
    spectrum: Tensor  # (batch, bins, frames), complex; `denoised` are its bands
    clean: Tensor  # (batch, bins, frames), power of the clean speech


class CompleterLoss:
    """The losses of the completer and its discriminators."""

    def __init__(self, discriminators: Discriminators, objective: CompleterObjective) -> None:
        self.objective = objective
        self.adversarial = AdversarialLoss(
            discriminators, objective.adversarial, objective.matching, objective.start
        )

    def completer_loss(self, module: nn.Module, bands: Bands) -> tuple[Tensor, dict[str, Tensor]]:
        """The errors of the mel bands and, after `start` steps, the adversarial losses."""
        completed = module(bands.denoised, bands.noisy, bands.conditions)
        error = (completed - bands.target).abs().mean()
        with torch.autocast(completed.device.type, enabled=False):
            present = unscale(bands.denoised)
            added = render(bands.spectrum, present, present, unscale(completed), None)
            perceptual = perceptual_loss(_power(bands.spectrum + added), bands.clean, RATE).mean()
        logs = {
            "error": error,
            "input_error": (bands.denoised - bands.target).abs().mean(),
            "perceptual": perceptual,
        }
        terms, adversarial_logs = self.adversarial.generator_terms(completed, bands.target, bands.denoised)
        total = error + self.objective.perceptual * perceptual + terms
        return total, {"loss": total, **logs, **adversarial_logs}

    def discriminator_loss(self, module: nn.Module, bands: Bands) -> tuple[Tensor, dict[str, Tensor]]:
        """The hinge loss between the mel bands of studio recordings and completed ones."""
        return self.adversarial.discriminator_loss(module, bands.target, bands.denoised)


def train_denoiser(
    corpus: Corpus,
    config: DenoiserConfig,
    objective: DenoiserObjective,
    run: Settings,
    *,
    pretrain_steps: int = 0,
    example_count: int | None = None,
) -> tuple[Denoiser, Outcome]:
    """The averaged denoiser after a run, pre-trained first if it is new and `pretrain_steps` says so."""
    torch.manual_seed(run.seed)
    sample = _sampler(corpus, run, example_count)
    module = Denoiser(config)
    begun = (run.folder / STATE).is_file()
    if pretrain_steps and not begun:
        folder = run.folder / "pretrain"
        first = replace(
            run,
            folder=folder,
            steps=pretrain_steps,
            resume=run.resume and (folder / STATE).is_file(),
            validate_steps=pretrain_steps + 1,
        )
        trained = train(
            {"denoiser": TrainedModule(module, masked_bands, objective.learning_rate)}, sample, first
        )
        module.load_state_dict(trained.averages["denoiser"].state_dict())
        if trained.step < pretrain_steps:
            return module, trained  # out of time; --resume continues
        run = replace(run, resume=False)
    trained_module = TrainedModule(module, denoising(objective), objective.learning_rate, betas=(0.9, 0.99))
    outcome = train(
        {"denoiser": trained_module},
        sample,
        run,
        validate=_validation(corpus),
        card={
            "config": config.to_dict(),
            "objective": asdict(objective),
            "pretrain_steps": pretrain_steps,
        },
    )
    return cast(Denoiser, outcome.averages["denoiser"]), outcome


def train_completer(
    corpus: Corpus,
    config: CompleterConfig,
    objective: CompleterObjective,
    run: Settings,
    denoiser: Denoiser | FrontEndDenoiser,
    *,
    example_count: int | None = None,
) -> tuple[Completer, Outcome]:
    """The averaged completer after a run on the output of a denoiser."""
    torch.manual_seed(run.seed)
    completer, discriminators = Completer(config), Discriminators()
    losses = CompleterLoss(discriminators, objective)
    denoiser = denoiser.to(this_process().device).eval()
    sample_examples = _sampler(corpus, run, example_count)

    def sample(generator: torch.Generator) -> Bands:
        with torch.no_grad():
            return _bands_of(sample_examples(generator), denoiser)

    trained_modules = {
        "completer": TrainedModule(
            completer, losses.completer_loss, objective.learning_rate, betas=(0.8, 0.98)
        ),
        "discriminators": TrainedModule(
            discriminators,
            losses.discriminator_loss,
            objective.discriminator_rate,
            betas=(0.8, 0.98),
            averaged=False,
        ),
    }
    outcome = train(
        trained_modules,
        sample,
        run,
        validate=_completer_validation(corpus, denoiser),
        card={"config": config.to_dict(), "objective": asdict(objective)},
    )
    return cast(Completer, outcome.averages["completer"]), outcome


def _sampler(
    corpus: Corpus, run: Settings, example_count: int | None
) -> Callable[[torch.Generator], Examples]:
    examples = precomputed_examples(corpus, example_count or EXAMPLE_COUNT)
    device = this_process().device

    def sample(generator: torch.Generator) -> Examples:
        batch = sample_batch(examples, run.batch, FRAMES, generator)
        return Examples(
            batch.recording.to(device),
            batch.speech.to(device),
            batch.noise.to(device),
        )

    return sample


def _conditions(recording: Tensor) -> Tensor | None:
    """The conditions, without gradients; None for a share of the batches."""
    return None if torch.rand(()) < UNCONDITIONED_SHARE else conditioning(recording)


def _bands_of(examples: Examples, denoiser: Denoiser | FrontEndDenoiser) -> Bands:
    """The completer's batch; some items are only partly denoised."""
    spectrum = stft(examples.recording, FRONT_END)
    conditions = _conditions(examples.recording)
    # From no mask to the full mask, as `strength` does in use.
    strength = (1.3 * torch.rand(len(spectrum), 1, 1, device=spectrum.device)).clamp_max(1)
    speech = spectrum + strength * (denoiser(spectrum, conditions).apply(spectrum) - spectrum)
    clean = stft(examples.speech, FRONT_END)
    noisy, denoised, target = (
        scale(mel_from_magnitude(x.abs(), FRONT_END)) for x in (spectrum, speech, clean)
    )
    return Bands(denoised, noisy, target, conditions, spectrum=speech, clean=_power(clean))


def _mask_rectangles(bands: Tensor) -> Tensor:
    """The mask of pre-training, True for hidden bands."""
    hidden = torch.zeros_like(bands, dtype=torch.bool)
    frames = bands.shape[-1]
    for item in hidden:
        if torch.rand(()) < 0.5:
            for _ in range(6):
                width, length = int(torch.randint(8, 40, ())), int(torch.randint(4, 24, ()))
                low, start = int(torch.randint(BANDS - width, ())), int(torch.randint(frames - length, ()))
                item[low : low + width, start : start + length] = True
        else:
            item[:, int(torch.randint(frames // 2, frames - 1, ())) :] = True
    return hidden


def _power(spectrum: Tensor) -> Tensor:
    return spectrum.real.square() + spectrum.imag.square() + 1e-12


def _compress(spectrum: Tensor, power: float) -> Tensor:
    """Raise the magnitudes to a power and keep the phases."""
    return spectrum * _power(spectrum).pow((power - 1) / 2)


def _si_sdr_db(estimate: Tensor, clean: Tensor) -> Tensor:
    """SI-SDR in dB, (batch,); 0 without gradient where the target is silent."""
    energy = clean.square().sum(-1)
    aligned = ((estimate * clean).sum(-1) / energy.clamp_min(1e-8))[:, None] * clean
    noise = (estimate - aligned).square().sum(-1)
    db = 10 * ((aligned.square().sum(-1) + 1e-8).log10() - (noise + 1e-8).log10())
    return torch.where(energy > 1e-4, db, torch.zeros_like(db))


def _bin_weights() -> Tensor:
    """(bins,): weights that make every ERB count the same; 1 on average."""
    frequencies = torch.arange(FRONT_END.bins) * (FRONT_END.rate / FRONT_END.fft)
    weights = 1 / (0.00437 * frequencies + 1)
    return weights / weights.mean()


def _at_training_level(item: Item) -> tuple[Tensor, Tensor]:
    """Recording and clean speech, (1, time) each, at the level that the networks expect."""
    waves = np.stack((item.recording, item.clean))[:, None]
    level = active_level(waves[0])
    recording, clean = torch.from_numpy(waves * np.float32(ACTIVE_RMS / level if level else 1))
    return recording, clean


def _validation(corpus: Corpus) -> Callable[[Mapping[str, nn.Module]], dict[str, float]]:
    """SI-SDR and perceptual loss, before and after, over a few validation recordings."""
    items = [_at_training_level(item) for item in validation_items(corpus, count=VALIDATION_ITEMS, seed=1)]

    def validate(averages: Mapping[str, nn.Module]) -> dict[str, float]:
        (module,) = averages.values()
        device = next(module.parameters()).device
        sums = torch.zeros(4)
        for recording, clean in items:
            with torch.inference_mode():
                spectrum = stft(recording.to(device), FRONT_END)
                if isinstance(module, Denoiser):
                    estimate = module(spectrum, conditioning(recording.to(device))).apply(spectrum).cpu()
                    wave = istft(estimate, recording.shape[-1], FRONT_END)
                else:
                    wave = module(recording.to(device)).cpu()
                    estimate = stft(wave, FRONT_END)
                target = _power(stft(clean, FRONT_END))
                sums += torch.stack(
                    [
                        _si_sdr_db(wave, clean)[0],
                        _si_sdr_db(recording, clean)[0],
                        perceptual_loss(_power(estimate), target, RATE)[0],
                        perceptual_loss(_power(spectrum.cpu()), target, RATE)[0],
                    ]
                )
        si_sdr, si_sdr_before, perceptual, perceptual_before = (sums / len(items)).tolist()
        return {
            "si_sdr_db": si_sdr,
            "si_sdr_before_db": si_sdr_before,
            "perceptual": perceptual,
            "perceptual_before": perceptual_before,
        }

    return validate


def _completer_validation(
    corpus: Corpus, denoiser: Denoiser | FrontEndDenoiser
) -> Callable[[Mapping[str, nn.Module]], dict[str, float]]:
    """The mean error of the mel bands, before and after, over validation recordings."""
    items = [_at_training_level(item) for item in validation_items(corpus, count=VALIDATION_ITEMS, seed=1)]

    def validate(averages: Mapping[str, nn.Module]) -> dict[str, float]:
        completer = cast(Completer, averages["completer"])
        device = next(completer.parameters()).device
        sums = torch.zeros(2)
        for recording, clean in items:
            recording, clean = recording.to(device), clean.to(device)
            with torch.inference_mode():
                spectrum = stft(recording, FRONT_END)
                conditions = conditioning(recording)
                speech = denoiser(spectrum, conditions).apply(spectrum)
                noisy, denoised = (scale(mel_from_magnitude(x.abs(), FRONT_END)) for x in (spectrum, speech))
                target = log_mel(clean, FRONT_END)
                completed = completer(denoised, noisy, conditions)
                sums += torch.stack(
                    [(completed - target).abs().mean().cpu(), (denoised - target).abs().mean().cpu()]
                )
        after, before = (sums / len(items)).tolist()
        return {"error": after, "error_before": before}

    return validate


def main(command: list[str] | None = None) -> None:
    """Train with the command line's settings and save the checkpoint."""
    parser = arguments(__doc__, data=CORPUS, steps=10_000, batch=6, folder="runs/enhancement")
    parser.add_argument("--stage", choices=("denoiser", "completer"), default="denoiser")
    parser.add_argument("--pretrain", type=int, default=0, help="steps of masked-band pre-training")
    parser.add_argument("--examples", "--pool", type=int, help="examples computed in advance")
    chosen = parser.parse_args(command)
    corpus = load(chosen.data, RATE)
    example_count = 8 if chosen.smoke else chosen.examples
    run = replace(settings(chosen), folder=chosen.folder / chosen.stage)
    module: nn.Module
    if chosen.stage == "denoiser":
        config = DenoiserConfig((8, 8, 8), 4, 1) if chosen.smoke else DenoiserConfig()
        module, outcome = train_denoiser(
            corpus,
            config,
            DenoiserObjective(),
            run,
            pretrain_steps=min(chosen.pretrain, 2) if chosen.smoke else chosen.pretrain,
            example_count=example_count,
        )
        config_dict = config.to_dict()
    else:
        size = CompleterConfig((8, 8, 8), 4) if chosen.smoke else CompleterConfig()
        tiny = Denoiser(DenoiserConfig((8, 8, 8), 4, 1))
        denoiser = tiny if chosen.smoke else hub.load("denoiser")
        module, outcome = train_completer(
            corpus, size, CompleterObjective(), run, denoiser, example_count=example_count
        )
        config_dict = size.to_dict()
    save_outcome(chosen, outcome, chosen.stage, module, config_dict, LICENCE)


if __name__ == "__main__":
    main()
