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
from aural.ui.endpoints import CALLS_AT_ONCE
from aural.ui.load import LOAD, waiting_calls
from aural.ui.storage import KEPT_SECONDS

PLACES = {"cpu": "on the CPU", "cuda": "on the GPU", "mps": "on the GPU"}
NOT_LOADED = "not loaded yet"
LEAST, MOST = 0.7, 1.4  # of the expected time

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
    """How long a run takes that is started now, in a sentence; see `estimates` and `load` of `aural.ui`.

    >>> span(0.4), span(6), span(40), span(200), span(8000)
    ('less than a second', '4 to 8 s', '30 to 55 s', '2 to 5 min', '1.6 to 3.1 h')
    """
    alone_seconds = estimates.expected_seconds(verb, workload, kind)
    seconds = LOAD.seconds(alone_seconds, waiting_calls("audio"), CALLS_AT_ONCE) if alone_seconds else 0.0
    is_upper_bound = _has_card() and not estimates.is_measured(verb, kind)  # the reference has no GPU
    words = span(seconds)
    if is_upper_bound and " to " in words:
        words = f"{words.partition(' to ')[2]} or less"
    return f"{words.capitalize()}."


def span(seconds: float) -> str:
    """The range in which an expected time lies, in words: from half of it to its double, at most."""
    if seconds < 1:
        return "less than a second"
    least, most = LEAST * seconds, MOST * seconds
    if most < 180:
        low, high = (round(value) if value < 20 else 5 * round(value / 5) for value in (least, most))
        return f"{max(low, 1)} to {max(high, low + 1, 2)} s"
    if most < 90 * 60:
        return f"{least / 60:.0f} to {most / 60:.0f} min"
    return f"{least / 3600:.1f} to {most / 3600:.1f} h"


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
