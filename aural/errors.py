"""Failures a user can act on.

Every message is one clear sentence that says what is wrong and names the remedy. The app shows it as it
stands, a program gets it as the text of the exception; anything that is not an `AuralError` is our own bug.
"""


class AuralError(Exception):
    """Base of every failure that a user can mend."""


class InputError(AuralError):
    """The audio that was handed in cannot be used: unreadable, empty, too long, not finite."""


class OptionError(AuralError):
    """A setting has a value that cannot be used."""


class CheckpointError(AuralError):
    """A model's files are missing, damaged, or not the ones that the code expects."""
