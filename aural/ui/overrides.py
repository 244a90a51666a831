"""AURAL's parts in the place of Gradio's, tested for first: a newer Gradio may have moved or changed them.

Where a part does not fit, Gradio's own stays, and the log tells the operator what the app then lacks.
`docs/upstream.md` says why each is replaced.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from inspect import Parameter, Signature, iscoroutinefunction, signature
from types import ModuleType
from typing import Any

import gradio as gr

_log = logging.getLogger(__name__)


def replace(module: ModuleType, name: str, ours: Any, without: str) -> bool:
    """Put a function or class of ours in the place of Gradio's; returns whether it fits there.

    A class fits if Gradio's has each method that it overrides (`typing_extensions.override`), and calls it in
    the same way.

    Args:
        without: clause for the log that says what happens without it.
    """
    theirs = getattr(module, name, None)
    if theirs is ours:
        return True
    misfits: list[str] = []
    if isinstance(ours, type):
        misfits = _misfits(ours, theirs)
    elif not _fits(ours, theirs):
        misfits = [name]
    if misfits:
        parts = " and ".join(misfits)
        _log.warning(
            "Gradio %s has no %s of %s as AURAL knows it, so %s.",
            *(gr.__version__, parts, module.__name__, without),
        )
        return False
    setattr(module, name, ours)
    return True


def _misfits(ours: type, theirs: Any) -> list[str]:
    """The methods that a class overrides and that another one lacks, or calls otherwise."""
    if not isinstance(theirs, type) or not issubclass(ours, theirs):
        return [ours.__base__.__name__ if ours.__base__ else ours.__name__]
    overridden = [name for name, value in vars(ours).items() if _is_override(value)]
    return [name for name in overridden if not _fits(getattr(ours, name), getattr(theirs, name, None))]


def _is_override(value: Any) -> bool:
    return bool(getattr(getattr(value, "__func__", value), "__override__", False))


def _fits(ours: Any, theirs: Any) -> bool:
    """Whether a function of ours takes every call that Gradio's takes, in the same way."""
    is_alike = callable(theirs) and iscoroutinefunction(ours) == iscoroutinefunction(theirs)
    return is_alike and _takes(ours, signature(theirs))


def _takes(ours: Callable[..., Any], call: Signature) -> bool:
    """Whether a function takes a call with what another requires by position and the rest by name."""
    starred = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    names = [each for each in call.parameters.values() if each.kind not in starred]
    required = [
        each for each in names if each.default is each.empty and each.kind is not Parameter.KEYWORD_ONLY
    ]
    rest = {each.name: each for each in names if each not in required}
    try:
        signature(ours).bind(*required, **rest)
    except TypeError:
        return False
    return True
