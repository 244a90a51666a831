"""Failures a user can act on.

Every message is one clear sentence that says what is wrong and names the remedy. The app shows it as it
stands, a program gets it as the text of the exception; anything that is not an `AuralError` is our own bug.
"""

from __future__ import annotations

from numbers import Integral, Real


class AuralError(Exception):
    """Base of every failure that a user can mend."""


class InputError(AuralError):
    """The audio that was handed in cannot be used: unreadable, empty, too long, not finite."""


class OptionError(AuralError):
    """A setting has a value that cannot be used."""


class CheckpointError(AuralError):
    """A model's files are missing, damaged, or not the ones that the code expects."""


def require(name: str, value: float, low: float, high: float, unit: str = "") -> None:
    """Raise `OptionError` unless a setting is a number in its range."""
    # True is a number in Python, and to nobody else.
    if isinstance(value, bool) or not (isinstance(value, Real) and low <= value <= high):
        raise OptionError(f"The {name} must be from {low:g} to {high:g}{unit}, not {value}.")


def require_whole(name: str, value: int, low: int, high: int) -> None:
    """Raise `OptionError` unless a setting is a whole number in its range."""
    if isinstance(value, bool) or not (isinstance(value, Integral) and low <= value <= high):
        raise OptionError(f"The {name} must be a whole number from {low} to {high}, not {value}.")
