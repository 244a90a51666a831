"""Failures a user can act on.

Every message says what is wrong and names the remedy, in one or two short sentences. The app shows it
unchanged; programs get it as the text of the exception. Any other exception is a bug.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

MAX_VALUE_LENGTH = 40  # characters
# Import name -> the extra in pyproject.toml that installs it
EXTRAS = {
    "accelerate": "train",
    "diffusers": "models",
    "gradio": "app",
    "huggingface_hub": "models",
    "matplotlib": "app",
    "ray": "batch",
    "safetensors": "models",
    "torch": "models",
    "torchaudio": "models",
    "transformers": "models",
}


# An absolute path of Linux, macOS or Windows, but no address; the group is its last part.
PATH = re.compile(r"(?<![\w:/.<])(?:[A-Za-z]:[\\/]|/)(?:[^\s'\"\\/,;()<>]+[\\/])+([^\s'\"\\/,;()<>]*)")


class AuralError(Exception):
    """Base of all failures that a user can fix."""


class InputError(AuralError):
    """Audio that cannot be used: unreadable, empty, too long, not finite."""


class OptionError(AuralError):
    """A setting has a value that cannot be used."""


class CheckpointError(AuralError):
    """A model's files are missing, damaged, or of an unexpected version."""


class OutOfSpaceError(AuralError):
    """A file can't be stored: the disk is full or read-only, or its share of it is used up."""


class ExtraError(AuralError):
    """A package of one of AURAL's extras is missing."""


@contextmanager
def named_extra() -> Iterator[None]:
    """Report a missing package as an `ExtraError` that says which extra to install; also a decorator.

    >>> with named_extra():
    ...     raise ModuleNotFoundError(name="torch.nn")
    Traceback (most recent call last):
    aural.errors.ExtraError: This needs torch. Run pip install ".[models]" in AURAL's folder.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        raise ExtraError(
            f'This needs {package}. Run pip install ".[{EXTRAS[package]}]" in AURAL\'s folder.'
        ) from error


def without_paths(text: str) -> str:
    """A message for visitors: the names of files in the place of their paths on this machine.

    >>> without_paths("'/srv/aural/lisa/config.json' is missing in /srv/aural. See https://example.com/a/b.")
    "'config.json' is missing in aural. See https://example.com/a/b."
    """
    return PATH.sub(r"\1", text)


def shorten(value: object) -> str:
    """A value for a message, shortened if it is long.

    >>> shorten("x" * 50)
    'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…'
    """
    text = "empty" if value is None or value == "" else str(value)
    return text if len(text) <= MAX_VALUE_LENGTH else text[: MAX_VALUE_LENGTH - 1] + "…"
