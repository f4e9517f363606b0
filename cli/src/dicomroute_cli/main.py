"""The command line: puts the commands together and turns failures into sentences and exit codes."""

import sys

import typer

from . import __version__
from .commands.explain import explain
from .commands.ledger import ledger, report
from .commands.queue import queue
from .commands.refused import refused
from .commands.run import run
from .commands.salvage import salvage
from .commands.test import test
from .commands.validate import validate
from .output import Failure, print_error

app = typer.Typer(
    name="dicomroute",
    help="Check, run and look into DICOM routes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(validate)
app.command()(run)
app.command()(explain)
app.command()(salvage)
app.command()(refused)
app.command()(ledger)
app.command()(report)
app.add_typer(queue, name="queue")
app.add_typer(test, name="test")


@app.callback(invoke_without_command=True)
def _version(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:
        print(f"dicomroute {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; a failure is a sentence on standard error and an exit code."""
    try:
        app()
    except Failure as failure:
        print_error(str(failure))
        sys.exit(failure.code)
