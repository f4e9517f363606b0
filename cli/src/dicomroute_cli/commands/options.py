"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from dicomroute_cli.output import Format

Manifests = Annotated[
    list[Path],
    typer.Option(
        "-f", "--filename", help="A manifest, or a folder of manifests. Repeat -f for more.", metavar="FILE|FOLDER"
    ),
]
Output = Annotated[Format, typer.Option("-o", "--output", help="How to print the result.")]
State = Annotated[Path, typer.Option("--state", help="Folder of what `dicomroute run` keeps.", metavar="FOLDER")]
DEFAULT_STATE = Path(".dicomroute")
