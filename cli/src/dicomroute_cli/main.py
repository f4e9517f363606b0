"""The command line: puts the commands together and turns failures into sentences and exit codes."""

import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Final

import typer

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
}
"""The module in `commands` of each command, which has its name there."""


def application(names: Iterable[str]) -> typer.Typer:
    """Return the command line with these commands."""
    app = typer.Typer(
        name="dicomroute",
        help="Check, run and inspect DICOM routes.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    app.callback(invoke_without_command=True)(_version)
    for name in names:
        command = getattr(import_module(f"{__package__}.commands.{_MODULES[name]}"), name)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def _version(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:
        print(f"dicomroute {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; a failure is a sentence on standard error and an exit code.

    Only the command that is asked for is imported: what `explain` needs takes ten times as long as what `queue` needs.
    """
    asked = [word for word in sys.argv[1:2] if word in _MODULES]
    try:
        application(asked or _MODULES)()
    except Failure as failure:
        print_error(str(failure))
        sys.exit(failure.code)
