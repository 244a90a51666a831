"""Shared by the shell commands: the verbs and their settings as options with the library's names."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from aural.audio.encode import ENCODINGS
from aural.audio.video import VIDEO_ENCODINGS
from aural.batch.folder import printable
from aural.batch.verbs import VERBS
from aural.errors import OptionError
from aural.options import REQUIRED, Field, Verb, describe, parse

SETTING = "set_"  # prefix of the verb's settings, so that none clashes with another argument
COMPLETION = "--print-completion"
LISTED = re.compile(r"\b\w+(?:, \w+){2,}")  # a list of values in a help text
SHELLS = ("bash", "zsh", "fish")
LOUDNESS_TAGS_HELP = "store the loudness of results as ReplayGain, or in Opus as R128 gain"
FORMATS = sorted({encoding.suffix[1:] for encoding in ENCODINGS.values()})
VIDEO_FORMATS = sorted(suffix[1:] for suffix in VIDEO_ENCODINGS)  # with the picture of the source


def parse_arguments(
    arguments: Sequence[str],
    program: str,
    description: str,
    add_own: Callable[[argparse.ArgumentParser, Verb], None],
    *,
    version: str | None = None,
) -> argparse.Namespace:
    """The arguments of a command that runs a verb; wrong usage ends the program with 2.

    Only the settings of the named verb are loaded. "super-resolve" and "--loudness_lufs" are accepted too.

    Args:
        add_own: adds the command's own arguments to the parser of a verb; if one is a setting, its name is
            that of the setting after `SETTING`.
        version: of the installed command `program`, which supports shell completion; None: not installed.
    """
    arguments = _normalize(arguments)
    completing = version is not None and any(argument.startswith(COMPLETION) for argument in arguments[:1])
    parser = _Parser(
        prog=program,
        description=description,
        epilog=f"The settings of a verb: {program} VERB --help.",
        allow_abbrev=False,
    )
    if version is not None:
        parser.add_argument("--version", action="version", version=version)
        parser.add_argument(
            COMPLETION,
            action=_PrintCompletion,
            choices=SHELLS,
            metavar="SHELL",
            help=f"print completions for a shell: {', '.join(SHELLS)}",
        )
    commands = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in VERBS.values():
        command = commands.add_parser(verb.name, help=verb.help, description=verb.help, allow_abbrev=False)
        if completing or (arguments and arguments[0] == verb.name):
            add_own(command, verb)
            taken = {action.dest for action in command._actions}
            for field in describe(verb.options):
                if f"{SETTING}{field.name}" not in taken:
                    _add_setting(command, field)
    return parser.parse_args(arguments)


def chosen_options(given: argparse.Namespace) -> Any:
    """The verb's options from parsed arguments. Raises `OptionError`."""
    settings = {
        name.removeprefix(SETTING): value for name, value in vars(given).items() if name.startswith(SETTING)
    }
    return VERBS[given.verb].options(**settings)


def _normalize(arguments: Sequence[str]) -> list[str]:
    """The arguments with the parser's names.

    >>> _normalize(["super-resolve", "my_memo.wav", "--what_if_rate=8000"])
    ['super_resolve', 'my_memo.wav', '--what-if-rate=8000']
    """
    spelt = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        is_option = argument.startswith("--")
        spelt.append(f"{name.replace('_', '-')}{equals}{value}" if is_option else argument)
    return [spelt[0].replace("-", "_"), *spelt[1:]] if spelt and not spelt[0].startswith("-") else spelt


class _Parser(argparse.ArgumentParser):
    """A parser whose errors no terminal obeys: an argument may be the name of a file."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


class _PrintCompletion(argparse.Action):
    """Print a script for shell completion of verbs, settings, choices and files, then exit."""

    def __call__(
        self, parser: argparse.ArgumentParser, _given: object, shell: Any, _option: object = None
    ) -> None:
        import shtab

        for action in _actions(parser):
            if action.type is Path:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
            elif isinstance(action.metavar, str) and "|" in action.metavar:
                action.choices = action.metavar.split("|")
            elif action.metavar == "STR" and (names := LISTED.search(action.help or "")):
                action.choices = names[0].split(", ")
        print(shtab.complete(parser, shell))
        parser.exit()


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The arguments of the parser and of its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)


def _add_setting(command: argparse.ArgumentParser, field: Field) -> None:
    name = f"--{field.name.replace('_', '-')}"
    help_text = re.sub(r"\bNone\b", "none", field.help)  # as typed in a shell
    if field.default is not REQUIRED:
        help_text += f" (default: {_format_default(field.default)})"
    settings: dict[str, Any] = {
        "dest": f"{SETTING}{field.name}",
        "default": argparse.SUPPRESS,
        "required": field.default is REQUIRED,
        "help": help_text.replace("%", "%%"),
    }
    if field.kind is bool:
        command.add_argument(name, action=argparse.BooleanOptionalAction, **settings)
        return

    def value(text: str) -> Any:
        try:
            return parse(field, text)
        except OptionError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    metavar = "|".join(field.choices) if field.choices else field.kind.__name__.upper()
    command.add_argument(name, type=value, metavar=metavar, **settings)


def _format_default(default: Any) -> str:
    if isinstance(default, bool):
        return "on" if default else "off"
    return "none" if default is None else str(default)
