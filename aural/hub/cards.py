"""The card of a model's own repository on the Hub: its front matter, how to load it, and its card here.

The front matter names licence, data, metrics and task. Its `model-index` holds the figures of the evaluation,
from the `results.json` that `make evaluate` wrote beside the checkpoint.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from aural.hub import BUILDERS, PIPELINES
from aural.hub.manifest import Entry

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

LIBRARY = "aural"
CARD = "README.md"
RESULTS = "results.json"
TO_AUDIO, CLASSIFIES, FROM_TEXT = "audio-to-audio", "audio-classification", "text-to-audio"
SPEECH = ("EARS", "GTSinger", "RAVDESS", "ESC-50")


@dataclass(frozen=True)
class Description:
    """What the Hub is told of a model, beside its card."""

    network: str  # its class, in the module of what builds it
    task: str  # the Hub's name of it
    tags: tuple[str, ...]
    data: tuple[str, ...]  # the published sets it was trained on


DESCRIPTIONS: Mapping[str, Description] = MappingProxyType(
    {
        "classifier": Description("Classifier", CLASSIFIES, ("environmental-sound",), ("ESC-50",)),
        "completer": Description(
            "Completer",
            TO_AUDIO,
            ("speech-enhancement", "bandwidth-extension"),
            SPEECH,
        ),
        "denoiser": Description(
            "FrontEndDenoiser",
            TO_AUDIO,
            ("speech-enhancement", "denoising", "dereverberation"),
            SPEECH,
        ),
        "extender": Description(
            "Extender",
            TO_AUDIO,
            ("audio-super-resolution", "bandwidth-extension"),
            SPEECH,
        ),
        "generator": Description("DiffusionModel", FROM_TEXT, ("audio-generation", "diffusers"), ("ESC-50",)),
        "live_denoiser": Description(
            "CausalDenoiser",
            TO_AUDIO,
            ("speech-enhancement", "denoising", "real-time"),
            SPEECH,
        ),
        "lisa": Description("Lisa", TO_AUDIO, ("audio-super-resolution",), ("RAVDESS", "ESC-50")),
        "vocoder": Description("Vocoder", TO_AUDIO, ("vocoder", "griffin-lim"), ("ESC-50", "RAVDESS")),
        "waveform_classifier": Description(
            "WaveformClassifier",
            CLASSIFIES,
            ("environmental-sound",),
            ("ESC-50",),
        ),
    }
)

# Figures of `results.json` that others use too, with their names.
METRICS = MappingProxyType(
    {
        "pesq": "PESQ-WB",
        "stoi": "STOI",
        "si_sdr_db": "SI-SDR, dB",
        "lsd": "Log-spectral distance",
        "lsd_above": "Log-spectral distance above the cut-off",
        "dnsmos_speech": "DNSMOS P.835, speech",
        "dnsmos_background": "DNSMOS P.835, background",
        "dnsmos_overall": "DNSMOS P.835, overall",
    }
)
JUDGED = MappingProxyType(  # of the generator's clips, by the judge that chose nothing
    {
        "top_1": "Clips recognised at once by the reporting judge",
        "top_5": "Clips recognised among five by the reporting judge",
        "fad": "Fréchet distance of the reporting judge's features to real clips",
    }
)
BOLD = "**"  # around the label of the row that a card is about

USE = """## Load it

```python
from {module} import {network}

model = {network}.from_pretrained("{repository}")
```

"""
USE_PIPELINE = """Or, with AURAL installed, as a diffusers pipeline from classes of ESC-50 to spectrograms:

```python
from diffusers import DiffusionPipeline

place = "{repository}"
pipeline = DiffusionPipeline.from_pretrained(place, custom_pipeline=place, trust_remote_code=True)
mels = pipeline(class_labels=[0], num_inference_steps=20).mels
```

"""
HEADING = re.compile(r"^## ", re.MULTILINE)
# Links out of a checkpoint's folder: to the card of another one, and to a file of the code.
TO_CARD = re.compile(r"\]\(\.\./(\w+)/README\.md\)")
TO_CODE = re.compile(r"\[([^]]*)\]\(\.\./\.\./[^)]*\)")


def model_card(entry: Entry, repository: str, folder: Path) -> str:
    """The card of a checkpoint's own repository.

    Args:
        repository: owner/name.
        folder: of the checkpoint, with its card and perhaps its `results.json`.
    """
    from huggingface_hub import ModelCardData

    name, described = entry.name, DESCRIPTIONS.get(entry.name)
    results = eval_results(name, folder)
    data = ModelCardData(
        license=entry.licence.lower(),
        library_name=LIBRARY,
        pipeline_tag=described.task if described else TO_AUDIO,
        tags=["audio", *(described.tags if described else ())],
        datasets=list(described.data) if described and described.data else None,
        metrics=list(dict.fromkeys(result.metric_type for result in results)) or None,
        model_name=name if results else None,
        eval_results=results or None,
    )
    owner = repository.partition("/")[0]
    body = TO_CODE.sub(r"\1", (folder / CARD).read_text(encoding="utf-8"))
    body = TO_CARD.sub(rf"](https://huggingface.co/{owner}/\1)", body)
    if described:
        module = BUILDERS[name].partition(":")[0]
        use = USE.format(module=module, network=described.network, repository=repository)
        if name in PIPELINES:
            use += USE_PIPELINE.format(repository=repository)
        place = HEADING.search(body)
        start = place.start() if place else len(body)
        body = f"{body[:start]}{use}{body[start:]}"
    return f"---\n{data.to_yaml()}\n---\n\n{body}"


def eval_results(name: str, folder: Path) -> list[EvalResult]:
    """The figures of a checkpoint's evaluation as the Hub's `model-index` holds them; none without one."""
    from huggingface_hub import EvalResult

    path = folder / RESULTS
    if not path.is_file():
        return []
    summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if "reporting" in summary:
        return _judged_results(summary["reporting"]["generated"])
    (row,) = (row for row, label in summary["labels"].items() if label.startswith(BOLD))
    described = DESCRIPTIONS.get(name)
    task = described.task if described else TO_AUDIO
    return [
        EvalResult(
            task_type=task,
            dataset_type="aural-held-back",
            dataset_name=f"AURAL's held-back recordings: {', '.join(filter(None, place))}",
            dataset_config=", ".join(filter(None, place)),
            dataset_split="test",
            dataset_args={"recordings": group["count"]},
            metric_type=metric,
            metric_name=title,
            metric_value=group["means"][row][metric],
        )
        for group in summary["groups"]
        for place in [(group["kind"], group["case"])]
        for metric, title in METRICS.items()
        if metric in group["means"].get(row, {})
    ]


def _judged_results(row: Mapping[str, Any]) -> list[EvalResult]:
    """The figures of generated clips, from the row of the reporting judge."""
    from huggingface_hub import EvalResult

    return [
        EvalResult(
            task_type=FROM_TEXT,
            dataset_type="esc50",
            dataset_name="ESC-50, its 50 classes",
            dataset_args={"clips": row["clips"]},
            metric_type=metric,
            metric_name=title,
            metric_value=row[metric],
        )
        for metric, title in JUDGED.items()
    ]
