"""System info: device, limits and models; and the estimate of a run as a sentence."""

from __future__ import annotations

import html
import logging
from collections import defaultdict
from pathlib import Path

from aural import hub
from aural.audio import LIMITS, Limits
from aural.errors import CheckpointError, without_paths
from aural.files import GIBIBYTE
from aural.hub import manifest
from aural.hub.device import describe, on_zero_gpu, pick_device
from aural.options import Verb
from aural.ui import estimates
from aural.ui.storage import KEPT_SECONDS

PLACES = {"cpu": "on the CPU", "cuda": "on the GPU", "mps": "on the GPU"}
NOT_LOADED = "not loaded yet"

_log = logging.getLogger(__name__)

CSS = """
.aural-machine { font-size: 14px; line-height: 1.45; color: var(--body-text-color); }
.aural-machine :is(dl, ul, dd, p) { margin: 0; padding: 0; }
.aural-machine dl { display: grid; grid-template-columns: max-content 1fr; gap: 6px 20px; }
.aural-machine dt, .aural-machine small { color: var(--body-text-color-subdued); }
.aural-machine h2 { margin: 18px 0 8px !important; font-size: 14px; font-weight: 600; }
.aural-machine ul {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 270px), 1fr)); gap: 8px;
  list-style: none;
}
.aural-machine li {
  display: flex; flex-wrap: wrap; align-items: baseline; align-content: start; gap: 0 10px;
  margin: 0 !important; padding: 8px 12px;
  border: 1px solid var(--border-color-primary); border-radius: 8px;
  background: var(--background-fill-primary);
}
.aural-machine li b { font-weight: 600; overflow-wrap: anywhere; }
.aural-machine li span { margin-inline-start: auto; color: var(--body-text-color-subdued); }
.aural-machine li.loaded { border-inline-start: 3px solid var(--color-accent); }
.aural-machine li.loaded span { color: var(--color-accent); }
.aural-machine li small { flex-basis: 100%; font-size: 13px; overflow-wrap: anywhere; }
@media (max-width: 640px) {
  .aural-machine dl { grid-template-columns: 1fr; gap: 0; }
  .aural-machine dd { padding-bottom: 8px !important; }
}
"""


def system_info(
    queue_length: int,
    calls_at_once: int,
    call_seconds: float,
    *,
    limits: Limits = LIMITS,
    kept_seconds: float = KEPT_SECONDS,
) -> str:
    """The device, the limits, and each checkpoint with its place and source, as HTML styled by `CSS`.

    The first call imports torch.

    Args:
        queue_length: calls that may wait.
        calls_at_once: calls that run at the same time.
        call_seconds: limit of one call.
        kept_seconds: how long uploads and results are kept.
    """
    facts = {
        "Models run on": describe(),
        "Jobs": f"{calls_at_once} at a time, up to {call_seconds / 60:g} minutes each; "
        f"queue of {queue_length}",
        "Files": f"up to {limits.minutes:g} minutes, {limits.file_bytes / GIBIBYTE:g} GiB and "
        f"{limits.channels} channels, {limits.min_rate / 1000:g} to {limits.max_rate / 1000:g} kHz",
        "Uploads and results": f"deleted after {kept_seconds / 3600:g} hours",
    }
    rows = "".join(f"<dt>{name}</dt><dd>{html.escape(fact)}</dd>" for name, fact in facts.items())
    return f'<div class="aural-machine"><dl>{rows}</dl><h2>Models</h2>{_models()}</div>'


def estimate(verb: Verb, workload: float, kind: str = "") -> str:
    """A sentence on how long a run will take; see `aural.ui.estimates`.

    >>> duration(0.4), duration(12.3), duration(47), duration(200), duration(8000)
    ('less than a second', 'about 12 s', 'about 45 s', 'about 3 min', 'about 2.2 h')
    """
    seconds = duration(estimates.expected_seconds(verb, workload, kind)).capitalize()
    is_upper_bound = _has_card() and not estimates.is_measured(verb, kind)  # the reference has no GPU
    return f"{seconds} or less." if is_upper_bound else f"{seconds}."


def duration(seconds: float) -> str:
    """An approximate time in words."""
    if seconds < 1:
        return "less than a second"
    if seconds < 20:
        return f"about {seconds:.0f} s"
    if seconds < 90:
        return f"about {5 * round(seconds / 5)} s"
    if seconds < 90 * 60:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h"


def _has_card() -> bool:
    return on_zero_gpu() or pick_device() != "cpu"


def _models() -> str:
    """A list of the checkpoints in the manifest."""
    try:
        entries = manifest.entries()
    except CheckpointError as error:
        _log.error("%s", error)
        return f"<p>{html.escape(without_paths(str(error)))}</p>"
    loaded: dict[str, list[hub.Loaded]] = defaultdict(list)
    for one in hub.loaded():
        loaded[one.name].append(one)
    items = ""
    for name, entry in entries.items():
        held = loaded[name]
        place = " and ".join(dict.fromkeys(PLACES[one.device] for one in held)) or NOT_LOADED
        sources = dict.fromkeys(_source(one.source) for one in held)
        about = "; ".join([*sources, f"licence {entry.licence}"])
        mark = ' class="loaded"' if held else ""
        items += (
            f"<li{mark}><b>{html.escape(_title(name))}</b><span>{html.escape(place)}</span>"
            f"<small>{html.escape(about)}</small></li>"
        )
    return f"<ul>{items}</ul>" if items else "<p>None.</p>"


def _title(name: str) -> str:
    """A checkpoint's name for people.

    >>> _title("waveform_classifier"), _title("lisa")
    ('Waveform classifier', 'LISA')
    """
    return "LISA" if name == "lisa" else name.replace("_", " ").capitalize()


def _source(source: str) -> str:
    """Where a checkpoint came from, without local folders.

    >>> _source("/srv/aural/checkpoints/lisa"), _source("owner/aural at v1")
    ('from the files of the app', 'from owner/aural at v1')
    >>> _source("/srv/aural/checkpoints/lisa, since the Hub does not answer")
    'from the files of the app, since the Hub does not answer'
    """
    place, comma, reason = source.partition(", since ")
    return f"from {'the files of the app' if Path(place).is_absolute() else place}{comma}{reason}"
