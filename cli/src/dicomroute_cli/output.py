"""What the commands print: tables for people, JSON and YAML for programs."""

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from dicomroute_client.documents.document import text_of


class Format(StrEnum):
    """How a command prints its result."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


class Failure(Exception):
    """A command cannot do what it was asked; the message says why and what to do, the code is its exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def print_data(data: Any, form: Format) -> None:
    """Print a document as JSON or YAML."""
    if form is Format.JSON:
        print(json.dumps(data, indent=2))
    else:
        print(yaml.safe_dump(data, sort_keys=False, width=120), end="")


def print_table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under headers, as kubectl does: columns of text, no lines, nothing cut off, nothing but text."""
    table = Table(box=None, show_edge=False, pad_edge=False, header_style="")
    for header in headers:
        table.add_column(header.upper(), no_wrap=True, overflow="ignore")
    for row in rows:
        table.add_row(*(printable(str(cell)) for cell in row))
    console = Console(
        highlight=False, markup=False, emoji=False, soft_wrap=True, width=None if sys.stdout.isatty() else 1000
    )
    with console.capture() as capture:
        console.print(table)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()))


def printable(text: str) -> str:
    """Return a text on one line, whoever chose it: what is no visible character stands there escaped."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def to_seconds(time: datetime | None) -> str:
    """Return a time of the API without the part of its second; "-" for none."""
    return "-" if time is None else text_of(time.replace(microsecond=0))


def print_error(message: str) -> None:
    """Print a sentence on standard error."""
    print(message, file=sys.stderr)
