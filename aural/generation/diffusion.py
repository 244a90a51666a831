"""The diffusers pipeline: labels -> scaled log-mel spectrograms of any length, loops, or gaps filled.

A spectrogram longer than the network's window is denoised in windows that overlap by half; their predictions
are averaged at every step. A loop is read circularly, from a random position at every step, so that it has no
edge. Known frames replace their prediction, and a deterministic sampler then ends exactly at them.

Sources: Ho and Salimans 2022 (classifier-free guidance), Karras et al. 2024 (autoguidance), Kynkäänniemi
et al. 2024 (guidance in a limited interval), Lu et al. 2022 (even steps of the logarithm of the noise), Meng
et al. 2022 (SDEdit: starting from a noised source), Lugmayr et al. 2022 (RePaint), Bar-Tal et al. 2023
(MultiDiffusion).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
import torch
from diffusers import UNet2DModel
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.utils.outputs import BaseOutput
from numpy.typing import NDArray
from torch import Tensor

from aural.audio.steps import Run, Steps
from aural.generation.defaults import GUIDANCE, STEPS
from aural.generation.model import (
    BANDS,
    FRAMES,
    NULL_CLASS,
    REAL_FRAMES,
    TRAIN_STEPS,
    Conditioning,
    Config,
    DiffusionModel,
    Sampler,
    Scheduler,
    schedule,
)
from aural.hub.device import inference

# Noise over signal between which the prediction is guided. Above, guidance makes the clips of a class alike;
# below, a second pass of the network makes no audible difference.
MIN_GUIDED_NOISE, MAX_GUIDED_NOISE = 0.4, 10.0
# Noise over signal of the first steps after pure noise, and of the last one.
MAX_NOISE, MIN_NOISE = 500.0, 0.03
# Windows per pass of the network; more take more memory and save no time.
MAX_WINDOWS = 16

Generators = torch.Generator | list[torch.Generator] | None
# As in diffusers: pipeline, number of the step, timestep, tensors -> tensors to replace.
Callback: TypeAlias = "Callable[[SpectrogramPipeline, int, int, dict[str, Any]], dict[str, Any]]"


@dataclass
class SpectrogramOutput(BaseOutput):  # type: ignore[misc]
    """What `SpectrogramPipeline` returns."""

    mels: Tensor | NDArray[np.float32]  # (batch, 80, frames), in [0, 1]


class SpectrogramPipeline(DiffusionPipeline):  # type: ignore[misc]
    """ESC-50 classes to scaled log-mel spectrograms.

    Args:
        unet: predicts the clean spectrogram, cut into patches.
        conditioning: embeds classes; holds the statistics of the data.
        scheduler: from `aural.generation.model.schedule`; the pipeline samples at noise levels of its own.
        predicts: what the U-Net was trained to predict, "clean" or "noise"; the scheduler gets the clean
            spectrogram either way.
        texture, patch_bands, patch_frames: see `aural.generation.model.Config`.
        guide: a smaller U-Net trained on the same conditions, for autoguidance; `None`: classifier-free
            guidance.
    """

    model_cpu_offload_seq = "conditioning->unet->guide"
    _optional_components: ClassVar[list[str]] = ["guide"]
    _callback_tensor_inputs = ("latents", "clean")

    def __init__(
        self,
        unet: UNet2DModel,
        conditioning: Conditioning,
        scheduler: Scheduler,
        predicts: str = "clean",
        texture: float = Config.texture,
        patch_bands: int = Config.patch_bands,
        patch_frames: int = Config.patch_frames,
        guide: UNet2DModel | None = None,
    ) -> None:
        super().__init__()
        self.register_modules(unet=unet, conditioning=conditioning, scheduler=scheduler, guide=guide)
        self.register_to_config(
            predicts=predicts, texture=texture, patch_bands=patch_bands, patch_frames=patch_frames
        )

    @classmethod
    def of(
        cls, model: DiffusionModel, sampler: Sampler = "dpm++", guide: DiffusionModel | None = None
    ) -> SpectrogramPipeline:
        """A pipeline of the parts of a model, which is not changed.

        Args:
            guide: a model trained with the conditioning of the other one; see the class.

        Raises:
            ValueError: the guide has other patches, another prediction target or other conditions.
        """
        config = model.config
        if guide is not None:
            alike = ("predicts", "texture", "patch_bands", "patch_frames", "width")
            if other := [name for name in alike if getattr(guide.config, name) != getattr(config, name)]:
                raise ValueError(f"The guide does not fit the model: {', '.join(other)}.")
        return cls(
            model.unet,
            model.conditioning,
            schedule(sampler),
            config.predicts,
            config.texture,
            config.patch_bands,
            config.patch_frames,
            None if guide is None else guide.unet,
        )

    def __call__(
        self,
        class_labels: Sequence[int] | Tensor | None = None,
        num_inference_steps: int = STEPS,
        guidance_scale: float = GUIDANCE,
        generator: Generators = None,
        *,
        condition: Tensor | None = None,
        num_frames: int = REAL_FRAMES,
        source: Tensor | None = None,
        known: Tensor | None = None,
        strength: float = 1.0,
        loop: bool = False,
        output_type: Literal["np", "pt"] = "np",
        return_dict: bool = True,
        callback_on_step_end: Callback | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
    ) -> SpectrogramOutput | tuple[Tensor | NDArray[np.float32]]:
        """Generate spectrograms; see `denoise_steps` for arguments that are not listed here.

        Args:
            class_labels: one label for each spectrogram.
            generator: one for all, or a list with one for each: then a spectrogram does not depend on its
                batch.
            condition: in place of class_labels, from `condition`, or a blend of conditions.
            output_type: "np" for an array, "pt" for a tensor.
            return_dict: False for a tuple in place of a `SpectrogramOutput`.
            callback_on_step_end: called with this pipeline, the number of the step, the timestep and the
                tensors named in callback_on_step_end_tensor_inputs ("latents": normalised and noisy,
                "clean": the prediction in [0, 1]); "latents" in its result replace the old ones.

        Raises:
            ValueError: neither or both of class_labels and condition, a wrong number of generators, or an
                unknown name in callback_on_step_end_tensor_inputs.
        """
        self.check_inputs(class_labels, condition, callback_on_step_end_tensor_inputs)
        if condition is None:
            condition = self.condition(torch.as_tensor(class_labels), generator)

        steps = self.denoise_steps(
            condition,
            num_inference_steps,
            guidance_scale,
            generator,
            num_frames=num_frames,
            source=source,
            known=known,
            strength=strength,
            loop=loop,
            watch=self._watch(callback_on_step_end, callback_on_step_end_tensor_inputs),
        )
        with self.progress_bar(total=num_inference_steps) as bar, Run(steps) as run:
            for _ in run:
                bar.update()
        mels = run.result
        self.maybe_free_model_hooks()
        result = mels.cpu().numpy() if output_type == "np" else mels
        return SpectrogramOutput(mels=result) if return_dict else (result,)

    def check_inputs(
        self, class_labels: Sequence[int] | Tensor | None, condition: Tensor | None, names: Sequence[str]
    ) -> None:
        """Raise `ValueError` for arguments of a call that don't fit together.

        Args:
            names: of the tensors that the callback gets.
        """
        if (class_labels is None) == (condition is None):
            raise ValueError("Give either class_labels or condition.")
        if unknown := set(names) - set(self._callback_tensor_inputs):
            raise ValueError(f"The callback can have {self._callback_tensor_inputs}, not {sorted(unknown)}.")

    def _watch(
        self, callback: Callback | None, names: Sequence[str]
    ) -> Callable[[int, int, dict[str, Tensor]], Tensor | None] | None:
        """A callback of diffusers, as `denoise_steps` takes it."""
        if callback is None:
            return None

        def watch(number: int, timestep: int, tensors: dict[str, Tensor]) -> Tensor | None:
            return callback(self, number, timestep, {name: tensors[name] for name in names}).get("latents")

        return watch

    def condition(
        self,
        labels: Tensor,
        generator: Generators = None,
        active: Tensor | None = None,
    ) -> Tensor:
        """The condition of the network.

        Shape:
            labels: (batch,); active: (batch,), the share of frames that are not silent, sampled for the
            class if None; result: (batch, width).
        """
        model = self._model()
        labels = labels.to(self._execution_device)
        if active is None:
            active = torch.cat(
                [
                    model.sample_active(label, one)
                    for label, one in zip(
                        torch.split(labels, 1), _one_each(generator, len(labels)), strict=True
                    )
                ]
            )
        with inference(self._execution_device.type):
            return model.condition(labels, active.to(labels.device))

    def denoise_steps(
        self,
        condition: Tensor,
        steps: int = STEPS,
        guidance: float = GUIDANCE,
        generator: Generators = None,
        *,
        num_frames: int = REAL_FRAMES,
        source: Tensor | None = None,
        known: Tensor | None = None,
        strength: float = 1.0,
        loop: bool = False,
        watch: Callable[[int, int, dict[str, Tensor]], Tensor | None] | None = None,
    ) -> Steps[Tensor]:
        """Denoise pure noise or a noised source: yields the share done, returns the spectrograms.

        Shape:
            condition: (batch, width); source: (80, num_frames), in [0, 1]; known: (num_frames,) booleans;
            result: (batch, 80, num_frames), in [0, 1].

        Args:
            steps: noise levels, at most.
            guidance: guidance scale, relative to no class or to the guide; 1 is no guidance.
            generator: as for `__call__`; on the CPU, so that a seed gives the same noise on every device.
            num_frames: length of the spectrograms, any.
            known: frames to take from the source.
            strength: from 0 to 1, the noise level at which the source enters; 1 ignores the source.
            loop: the end leads into the start.
            watch: called with the step's number, its timestep, and the tensors "latents" and "clean" (in
                [0, 1]); returned latents replace the old ones.
        """
        device = self._execution_device
        model, guide = self._model(), None if self.guide is None else self._model(self.guide)
        scheduler, timesteps = noise_levels(self.scheduler, steps, strength, device)
        generators = _one_each(generator, len(condition))
        # A short spectrogram is the start of a full window of the network.
        canvas = num_frames if loop else max(num_frames, FRAMES)
        latents = torch.stack([torch.randn(BANDS, canvas, generator=one) for one in generators]).to(device)
        if source is not None:
            source = _fit_canvas(source, canvas).to(latents)
            latents = _mix(model, source, latents, timesteps[:1]) if strength < 1 else latents
        if known is not None:
            known = torch.nn.functional.pad(known, (0, canvas - num_frames)).to(device)
        conditions = condition, self._null_condition(len(condition))
        predict = partial(
            _guided_prediction, (model, guide), conditions, _windows(canvas, loop).to(device), guidance
        )
        for number, timestep in enumerate(timesteps):
            shifts = [int(torch.randint(canvas, (), generator=one)) if loop else 0 for one in generators]
            with inference(device.type):
                clean = model.denormalise(predict(latents, timestep, shifts)).clamp(0, 1)
                if known is not None and source is not None:
                    clean = torch.where(known, source, clean)
                latents = scheduler.step(model.normalise(clean), timestep, latents).prev_sample
            if watch is not None:
                tensors = {"latents": latents, "clean": clean[..., :num_frames]}
                changed = watch(number, int(timestep), tensors)
                latents = latents if changed is None else changed
            yield (number + 1) / len(timesteps)
        return clean[..., :num_frames]

    def _null_condition(self, count: int) -> Tensor:
        """The condition of no class. Shape: result: (count, width)."""
        labels = torch.full((count,), NULL_CLASS, device=self._execution_device)
        return self.condition(labels, active=torch.zeros(count))

    def _model(self, unet: UNet2DModel | None = None) -> DiffusionModel:
        """The model of the components, or with another U-Net."""
        unet = self.unet if unet is None else unet
        names = ("predicts", "texture", "patch_bands", "patch_frames")
        config = Config(**{name: self.config[name] for name in names})
        model = DiffusionModel(config, unet=unet, conditioning=self.conditioning)
        model.alphas_cumprod = self.scheduler.alphas_cumprod.to(self._execution_device)
        return model


def _one_each(generator: Generators, count: int) -> list[torch.Generator | None]:
    if not isinstance(generator, list):
        return [generator] * count
    if len(generator) != count:
        raise ValueError(f"{count} spectrograms need as many generators, not {len(generator)}.")
    return list(generator)


def noise_levels(
    scheduler: Scheduler, steps: int, strength: float, device: torch.device
) -> tuple[Scheduler, Tensor]:
    """A new scheduler and its timesteps: at most `steps`, for the last `strength` of the timesteps.

    They follow the logarithm of noise over signal in even steps. When a sound begins and how loud it is shows
    in many pixels at once, and so through far more noise than a single pixel: it is decided while there is 10
    to 300 times as much noise as signal. Timesteps at even distances would skip all that in their first step,
    and the clips be flat and soft.

    Raises:
        ValueError: a scheduler that can't sample at any noise levels.
    """
    if not isinstance(scheduler, Scheduler):
        raise ValueError(
            f"{type(scheduler).__name__} can't sample at the pipeline's noise levels. Use a scheduler from "
            '`aural.generation.model.schedule`, such as schedule("dpm++").'
        )
    # Multistep samplers keep a history, so each run has its own.
    scheduler = type(scheduler).from_config(scheduler.config)
    power = scheduler.alphas_cumprod.double()
    noise = (1 / power - 1).sqrt().numpy()  # over signal
    first = max(0, round(TRAIN_STEPS * strength) - 1)
    count = max(1, round(steps * strength))
    levels = np.geomspace(min(noise[first], MAX_NOISE), min(noise[first], MIN_NOISE), count)
    nearest = np.abs(np.log(noise)[:, None] - np.log(levels)).argmin(0)
    timesteps = sorted({first, *nearest[1:].tolist()}, reverse=True)
    scheduler.set_timesteps(len(timesteps), device=device)
    scheduler.timesteps = torch.tensor(timesteps, device=device)
    scheduler.sigmas = torch.tensor([*noise[timesteps].tolist(), 0.0])
    return scheduler, scheduler.timesteps


def _fit_canvas(mel: Tensor, canvas: int) -> Tensor:
    """Extend a source as in training: silent up to 5 s, then repeated.

    Shape: mel: (80, frames); result: (80, canvas).
    """
    padded = torch.nn.functional.pad(mel, (0, max(0, REAL_FRAMES - mel.shape[-1])))
    return padded[:, torch.arange(canvas) % padded.shape[-1]]


def _mix(model: DiffusionModel, source: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
    """The noisy source at a noise level. Shape: noise: (batch, 80, canvas); source: (80, canvas)."""
    signal_level, noise_level = model.levels(timestep)
    return signal_level * model.normalise(source) + noise_level * noise


def _rotate(spectrograms: Tensor, shifts: list[int]) -> Tensor:
    """Rotate each spectrogram of (batch, 80, frames) in time by its own number of frames."""
    if not any(shifts):
        return spectrograms
    return torch.stack([one.roll(shift, -1) for one, shift in zip(spectrograms, shifts, strict=True)])


def _windows(canvas: int, loop: bool) -> Tensor:
    """The frames in each window of the network.

        a canvas   0━━━━━━━━━━━━━━━━━━━━━━━━━┓       a loop   0━━━━━━━━━━━━━━━━━┓0━━━━━━
        windows    └────────────┘                             └────────────┘
                         └────────────┘                             └────────────┘
                               └────────────┘                             └────────────┘

    Shape: result: (windows, FRAMES).
    """
    if loop:
        count = math.ceil(canvas / (FRAMES // 2)) if canvas > FRAMES else 1
        starts = [canvas * number // count for number in range(count)]
    else:
        count = 1 + math.ceil((canvas - FRAMES) / (FRAMES // 2))
        starts = [(canvas - FRAMES) * number // max(1, count - 1) for number in range(count)]
    return (torch.tensor(starts)[:, None] + torch.arange(FRAMES)) % canvas


def _guided_prediction(
    models: tuple[DiffusionModel, DiffusionModel | None],
    conditions: tuple[Tensor, Tensor],
    windows: Tensor,
    guidance: float,
    latents: Tensor,
    timestep: Tensor,
    shifts: list[int],
) -> Tensor:
    """The clean spectrograms (batch, 80, canvas), guided between two levels of noise.

    Args:
        models: the model, and its guide or None.
        conditions: the condition and that of no class, (batch, width) each.
        shifts: frames by which each spectrogram is rotated, so that the windows start elsewhere.
    """
    model, guide = models
    condition, null = conditions
    signal, noise = model.levels(timestep[None])
    rotated = _rotate(latents, shifts)
    if guidance == 1 or not MIN_GUIDED_NOISE < float(noise / signal) < MAX_GUIDED_NOISE:
        (clean,) = _predict(model, rotated, timestep, condition[None], windows)
    else:
        if guide is None:
            strong, weak = _predict(model, rotated, timestep, torch.stack((condition, null)), windows)
        else:
            (strong,) = _predict(model, rotated, timestep, condition[None], windows)
            (weak,) = _predict(guide, rotated, timestep, condition[None], windows)
        clean = torch.lerp(weak, strong, guidance)
    return _rotate(clean, [-shift for shift in shifts])


def _predict(
    model: DiffusionModel, latents: Tensor, timestep: Tensor, conditions: Tensor, places: Tensor
) -> Tensor:
    """The clean spectrograms under several conditions, averaged where windows overlap.

    Shape:
        latents: (batch, 80, canvas); conditions: (conditions, batch, width); places: (windows, FRAMES);
        result: (conditions, batch, 80, canvas).
    """
    windows = latents[..., places].movedim(2, 1)  # (batch, windows, 80, FRAMES)
    shape = (len(conditions), *windows.shape)
    rows = windows.expand(shape).flatten(0, 2)
    steering = conditions[:, :, None].expand(-1, -1, len(places), -1).flatten(0, 2)
    pieces = zip(torch.split(rows, MAX_WINDOWS), torch.split(steering, MAX_WINDOWS), strict=True)
    predicted = torch.cat(
        [model(some, timestep.expand(len(some)), steer).float() for some, steer in pieces]
    ).reshape(shape)
    # Predictions are least reliable near the ends of a window.
    weight = torch.hann_window(FRAMES + 2, periodic=False)[1:-1] if len(places) > 1 else torch.ones(FRAMES)
    weight = weight.to(predicted)
    place = places.flatten()
    sums = predicted.new_zeros(*shape[:2], *latents.shape[1:])
    sums.index_add_(3, place, (predicted * weight).movedim(2, 3).flatten(3))
    return sums / predicted.new_zeros(latents.shape[-1]).index_add_(0, place, weight.repeat(len(places)))
