"""Make the stored results of Studio's examples: python -m tools.make_example_results

Run it again after `tools/make_examples.py`, and whenever a checkpoint that `release` uses has changed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import soundfile

from aural import hub
from aural.audio import read
from aural.enhancement.analysis import Analysis, analyze
from aural.loudness.meter import measure
from aural.loudness.targets import TARGETS
from aural.studio import pipeline
from aural.studio.verdicts import plan, verdicts
from aural.ui.examples import PHONE_EXAMPLES, RESULTS
from tools.make_examples import VORBIS_COMPRESSION

TARGET = pipeline.Options().target


def make() -> None:
    """Write the results and their facts."""
    results = {example.path.name: store(example.path) for example in PHONE_EXAMPLES}
    entries = hub.manifest.entries()
    hashes = {one.name: entries[one.name].sha256["model.safetensors"] for one in hub.loaded()}
    facts = {"target": TARGET, "checkpoints": hashes, "results": results}
    RESULTS.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def store(example: Path) -> dict[str, Any]:
    """Release an example by the plan that Studio chooses; returns the facts of its card."""
    clip = read(example)
    analysis = analyze(clip)
    stages = vars(plan(analysis, TARGETS[TARGET]))
    result = pipeline.release(clip, pipeline.Options(**{name: stage.on for name, stage in stages.items()}))
    path = RESULTS.with_name(example.name)
    soundfile.write(path, result.clip.samples.T, result.clip.rate, compression_level=VORBIS_COMPRESSION)
    # As it plays: Vorbis may have changed it by a little.
    before_lufs, after_lufs = (measure(read(each)).integrated_lufs for each in (example, path))
    assert before_lufs is not None and after_lufs is not None  # neither is silent
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB, {before_lufs:.1f} to {after_lufs:.1f} LUFS")
    return {
        "faults": faults(analysis),
        "before_lufs": round(before_lufs, 2),
        "after_lufs": round(after_lufs, 2),
    }


def faults(analysis: Analysis) -> str:
    """The problems to be heard, in one clause: the verdicts of the worst level but for that on loudness."""
    found = [one for one in verdicts(analysis, TARGETS[TARGET]) if one.kind not in ("loudness", "peak")]
    worst = next(level for level in ("red", "amber", "green") if any(one.level == level for one in found))
    return ", ".join(one.text for one in found if one.level == worst)


if __name__ == "__main__":
    make()
