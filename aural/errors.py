"""Failures a user can act on.

Every message is one clear sentence that says what is wrong and names the remedy. The app shows it as it
stands, a program gets it as the text of the exception; anything that is not an `AuralError` is our own bug.
"""

from __future__ import annotations

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


class AuralError(Exception):
    """Base of every failure that a user can mend."""


class InputError(AuralError):
    """The audio that was handed in cannot be used: unreadable, empty, too long, not finite."""


class OptionError(AuralError):
    """A setting has a value that cannot be used."""


class CheckpointError(AuralError):
    """A model's files are missing, damaged, or not the ones that the code expects."""


class ExtraError(AuralError):
    """A package is missing that one of AURAL's extras installs."""


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


def shorten(value: object) -> str:
    """A value that a message repeats: none is so long that it hides the rest.

    >>> shorten("x" * 50)
    'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…'
    """
    text = "empty" if value is None or value == "" else str(value)
    return text if len(text) <= MAX_VALUE_LENGTH else text[: MAX_VALUE_LENGTH - 1] + "…"
