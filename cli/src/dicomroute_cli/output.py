"""What the commands print: tables for people, JSON and YAML for programs."""

import json
import sys
import textwrap
from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import zip_longest
from typing import Any, Final

import yaml
from rich.cells import cell_len

from dicomroute_client.documents.document import text_of

_COLUMNS: Final = 120
_GAP: Final = 2


class Format(StrEnum):
    """How a command prints its result."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"

    @property
    def is_table(self) -> bool:
        """Whether people read it."""
        return self in (Format.TABLE, Format.WIDE)


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


def print_table(
    headers: Sequence[str], rows: Sequence[Sequence[object]], form: Format = Format.TABLE, wide: Collection[str] = ()
) -> None:
    """Print rows under headers, as kubectl does: columns of text, no lines, nothing cut off, nothing but text.

    The columns named in `wide` are those of the wide form alone. What is wider than 120 columns otherwise continues on
    the next line, between words: a name or a UID stays as it is.
    """
    shown = [index for index, header in enumerate(headers) if form is Format.WIDE or header not in wide]
    table = [[headers[index].upper() for index in shown]]
    table += [[printable(str(row[index])) for index in shown] for row in rows]
    columns = list(zip(*table, strict=True))
    widths = [max(map(cell_len, column)) for column in columns]
    if form is not Format.WIDE:
        least = [max(cell_len(word) for cell in column for word in (cell.split() or [""])) for column in columns]
        widths = _narrowed(widths, least, _COLUMNS - _GAP * (len(widths) - 1))
    for cells in table:
        lines = [
            # break_on_hyphens: a date or a UID with a suffix is one word
            textwrap.wrap(cell, max(width, 1), break_long_words=False, break_on_hyphens=False)
            if cell_len(cell) > width
            else [cell]
            for cell, width in zip(cells, widths, strict=True)
        ]
        for pieces in zip_longest(*lines, fillvalue=""):
            padded = (text + " " * (width + _GAP - cell_len(text)) for text, width in zip(pieces, widths, strict=True))
            print("".join(padded).rstrip())


def _narrowed(widths: list[int], least: list[int], total: int) -> list[int]:
    """Return widths that add up to `total` or less, as far as none has to be less than `least`: the widest give way."""
    found = list(widths)
    while sum(found) > total:
        room = [width if width > minimum else 0 for width, minimum in zip(found, least, strict=True)]
        widest = room.index(max(room))
        if not room[widest]:
            break
        found[widest] -= 1
    return found


def printable(text: str) -> str:
    """Return a text on one line, whoever chose it: what is no visible character stands there escaped."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def to_seconds(time: datetime | None) -> str:
    """Return a time of the API without the part of its second; "-" for none."""
    return "-" if time is None else text_of(time.replace(microsecond=0))


def print_error(message: str) -> None:
    """Print a sentence on standard error."""
    print(message, file=sys.stderr)
