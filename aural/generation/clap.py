"""CLAP, which compares sounds with sentences: loaded once, in the background, where its files can be had.

Its files come from the Hub cache. What is missing there is only fetched where AURAL may use the Hub: where
AURAL_HUB_REPO names a repository, or AURAL_CLAP a model. Importing this module does not import torch.

Sources: Elizalde et al. 2023 and Wu et al. 2023 (CLAP).
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aural.audio.resample import resample_samples
from aural.generation.classes import CLASSES, title
from aural.hub.download import TIMEOUT_SECONDS, Unavailable, download
from aural.hub.manifest import named_repository

if TYPE_CHECKING:
    from torch import Tensor

CLAP = "laion/clap-htsat-unfused"
RATE = 48_000  # Hz, of the sounds that it hears
REVISION = "main"
FILES = (
    "config.json",
    "preprocessor_config.json",
    "tokenizer_config.json",
    "tokenizer.json",
    "model.safetensors",  # 0.6 GB
)
OFF = "off"  # of AURAL_CLAP

Floats = NDArray[np.float64]

_log = logging.getLogger(__name__)
_lock = threading.Lock()  # guards _loading
_loading: Future[Clap] | None = None


class Clap:
    """A `transformers.ClapModel` with its processor; embeddings have the length 1."""

    def __init__(self, model: Any, processor: Any) -> None:
        self._model = model.eval()
        self._processor = processor

    @cached_property
    def classes(self) -> Floats:
        """The embeddings of a sentence about each class; (50, width)."""
        return self.texts([f"This is a sound of {title(name).lower()}." for name in CLASSES])

    def texts(self, texts: Sequence[str]) -> Floats:
        """The embeddings of texts; (texts, width)."""
        import torch

        inputs = self._processor(text=list(texts), padding=True, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            return _directions(self._model.get_text_features(**inputs))

    def sounds(self, samples: NDArray[np.float32], rate: int) -> Floats:
        """The embeddings of sounds.

        Shape: samples: (clips, time); result: (clips, width).
        """
        import torch

        waves = resample_samples(samples, rate, RATE)
        inputs = self._processor(audio=list(waves), sampling_rate=RATE, return_tensors="pt")
        with torch.inference_mode():
            return _directions(self._model.get_audio_features(**inputs))

    def class_probabilities(self, samples: NDArray[np.float32], rate: int) -> Floats:
        """The probability of each class, for sounds.

        Shape: samples: (clips, time); result: (clips, classes), in the order of CLASSES.
        """
        from scipy.special import softmax

        scale = self._model.logit_scale_a.exp().item()
        scores = scale * self.sounds(samples, rate) @ self.classes.T
        return np.asarray(softmax(scores, axis=1))

    def class_scores(self, text: str) -> list[float]:
        """The cosine of a text and each class, -1 to 1, in the order of CLASSES."""
        scores: list[float] = (self.classes @ self.texts([text])[0]).tolist()
        return scores


def _directions(output: Any) -> Floats:
    from torch.nn.functional import normalize

    # Releases of transformers differ in whether they wrap the projection.
    embedding: Tensor = getattr(output, "pooler_output", output)
    return normalize(embedding, dim=-1).double().numpy()


def load() -> Clap:
    """CLAP from AURAL_CLAP, the Hub cache or the Hub.

    Raises:
        Unavailable: it is switched off, its files can't be had, or they hold no such model.
    """
    return _open(_folder(named() or CLAP, may_fetch=True))


def named() -> str:
    """What AURAL_CLAP names: a folder, a Hub repository, or "off"; empty: nothing."""
    return os.environ.get("AURAL_CLAP", "").strip()


def ready(wait_seconds: float = 0.0) -> Clap | None:
    """CLAP if it is loaded; the first call starts to load it in the background, and a failure is final.

    Args:
        wait_seconds: how long to wait for it.
    """
    global _loading
    with _lock:
        is_first = _loading is None
        if _loading is None:
            _loading = Future()
        future = _loading
    if is_first:
        threading.Thread(target=_load_into, args=(future,), name="clap", daemon=True).start()
    try:
        return future.result(wait_seconds)
    except (TimeoutError, Unavailable):
        return None


def _load_into(future: Future[Clap]) -> None:
    try:
        clap = _open(_folder(named() or CLAP, may_fetch=bool(named() or named_repository())))
        clap.classes  # noqa: B018 - computed here, rather than at the first search
        future.set_result(clap)
    except Unavailable as failure:
        _log.info("CLAP is not used: %s", failure)
        future.set_exception(failure)
    except Exception as error:
        _log.warning("CLAP is not used.", exc_info=error)
        future.set_exception(Unavailable(f"CLAP can't be loaded ({error!r})", "see the log"))


def _folder(place: str, *, may_fetch: bool) -> Path:
    """The folder with all its files: the named one, or that of the Hub cache."""
    if place.lower() == OFF:
        raise Unavailable("AURAL_CLAP is off", "unset it to use CLAP")
    if Path(place).is_dir():
        return Path(place)
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = {file: try_to_load_from_cache(place, file, revision=REVISION) for file in FILES}
    except HFValidationError as error:
        raise Unavailable(f"AURAL_CLAP is {place!r}", "write it as owner/name, or name a folder") from error
    missing = {file: False for file, path in found.items() if not isinstance(path, str)}
    if missing and not may_fetch:
        raise Unavailable(
            f"the Hub cache lacks {next(iter(missing))} of {place}",
            f"set AURAL_CLAP={place} to fetch it",
        )
    if missing:
        # All of them, for one revision.
        cache = Path(constants.HF_HUB_CACHE)
        return download(
            place, REVISION, dict.fromkeys(FILES, False), cache=cache, timeout_seconds=TIMEOUT_SECONDS
        )["config.json"].parent
    return Path(str(found["config.json"])).parent


def _open(folder: Path) -> Clap:
    from transformers import AutoProcessor, ClapModel

    try:
        model: Any = ClapModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        loader: Any = AutoProcessor
        return Clap(model, loader.from_pretrained(folder, local_files_only=True))
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise Unavailable(
            f"{folder} holds no CLAP model ({reason})", "name another one in AURAL_CLAP"
        ) from error
