"""The commands put together: each is imported when it is called, as what one works with takes seconds to import."""

import os
import shlex
import sys
from importlib import import_module
from typing import Any, Final

import typer
from typer._click import Command, Context
from typer._click.shell_completion import CompletionItem
from typer._completion_classes import completion_init
from typer.core import TyperGroup

from . import __version__
from .output import Failure, print_error

_MODULES: Final = {
    "validate": "validate",
    "run": "run",
    "explain": "explain",
    "deidentify": "deidentify",
    "profile": "profile",
    "salvage": "salvage",
    "refused": "refused",
    "ledger": "ledger",
    "report": "ledger",
    "events": "events",
    "queue": "queue",
    "studies": "studies",
    "test": "test",
    "erase": "erase",
    "find": "find",
    "move": "find",
    "completion": "completion",
}
"""The module in `commands` of each command, which has its name there."""

COMMANDS: Final = tuple(_MODULES)
HELP_COLUMNS: Final = 100
_COMPLETE_VARIABLE: Final = "_DICOMROUTE_COMPLETE"


class _Commands(TyperGroup):
    """Knows all commands by name, and imports the one that is asked for."""

    def list_commands(self, ctx: Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        if cmd_name not in _MODULES:
            self.commands = dict.fromkeys(COMMANDS, self)  # the library looks among them for what was meant
            return None
        return _command(cmd_name)

    def shell_complete(self, ctx: Context, incomplete: str) -> list[CompletionItem]:
        """Return the names that begin so: the library would import every command for its description."""
        names = [CompletionItem(name) for name in COMMANDS if name.startswith(incomplete)]
        return names + Command.shell_complete(self, ctx, incomplete)


def _command(name: str) -> Command:
    found = getattr(import_module(f"{__package__}.commands.{_MODULES[name]}"), name)
    if isinstance(found, typer.Typer):
        app = found
    else:
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(name)(found)
    command = typer.main.get_command(app)
    command.name = name
    return command


def application() -> Command:
    """Return the command line."""
    app = typer.Typer(
        name="dicomroute",
        cls=_Commands,
        help="Check, run and inspect DICOM routes.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        rich_markup_mode=None,
        # One width for everybody: the helps are files too.
        context_settings={"terminal_width": HELP_COLUMNS, "max_content_width": HELP_COLUMNS},
    )
    app.callback(invoke_without_command=True)(_version)
    return typer.main.get_command(app)


def run(program: str) -> None:
    """Run the command line, which was called so. A failure is a sentence on standard error and an exit code."""
    completion_init()
    try:
        application()(prog_name=program, complete_var=_COMPLETE_VARIABLE)
    except Failure as failure:
        print_error(str(failure))
        sys.exit(failure.code)


def complete(words: list[str]) -> None:
    """Print what may stand in the place of the last word: a line each, behind a tab what it is."""
    *before, incomplete = ["dicomroute", *(words or [""])]
    os.environ |= {
        _COMPLETE_VARIABLE: "complete_fish",  # the shell whose lines look so
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_ARGS": f"{shlex.join(before)} {incomplete}",
        "COLUMNS": "1000",  # a description is one line
    }
    completion_init()
    application()(prog_name="dicomroute", complete_var=_COMPLETE_VARIABLE)


def helps() -> dict[str, str]:
    """Return the help of every command: its words with points between them, and the text."""
    found: dict[str, str] = {}

    def add(command: Any, words: list[str], parent: Context | None) -> None:
        context = command.make_context(words[-1], [], parent=parent, resilient_parsing=True)
        found[".".join(words)] = command.get_help(context) + "\n"
        if isinstance(command, TyperGroup):
            for name in command.list_commands(context):
                add(command.get_command(context, name), [*words, name], context)

    add(application(), ["dicomroute"], None)
    return found


def _version(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:
        print(f"dicomroute {__version__}")
        raise typer.Exit
