"""The page of bad input says what the table of the tests says; `make golden` writes it anew."""

from itertools import groupby
from pathlib import Path

import pytest
from bad_input.row import Row
from bad_input.table import ENTRIES, ROWS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "bad-input.md"
_HEAD = """\
# Bad input

Made from `tests/support/bad_input/` by `make golden`; do not edit.

What a peer may get wrong, what it is answered, and where the standard (DICOM 2024) says so. Each row is played by
`tests/integration/test_bad_input.py` against a gateway, over a real socket. Meanwhile and afterwards a healthy client
is served within a second, the gateway takes no more than 64 MiB of memory more, no file of an instance stays open, and
no line of the log repeats a patient's data or was written by the peer. Number 16 (media) is not here.

A-ABORT: source 0 is the service-user, 2 the service-provider; reasons are those of PS3.8 table 9-26. Sta2 is a
connection without an association, Sta6 an association, Sta13 one that has ended (PS3.8 table 9-10).
"""


def test_the_page_of_bad_input_is_made_of_the_rows(request: pytest.FixtureRequest) -> None:
    text = "\n".join([_HEAD, *_sections()])
    if request.config.getoption("--update-golden"):
        PAGE.write_text(text)
    assert PAGE.read_text() == text, f"{PAGE.name} is stale: read the diff, then `make golden`"


def test_every_row_has_a_name_of_its_own() -> None:
    assert len({str(row) for row in ROWS}) == len(ROWS)
    assert {row.number for row in ROWS} == ENTRIES.keys()


def _sections() -> list[str]:
    lines = []
    for number, rows in groupby(ROWS, key=lambda row: row.number):
        lines += [f"## {number}. {ENTRIES[number]}", ""]
        lines += ["| a peer sends | it is answered | where the standard says so |", "|---|---|---|"]
        lines += [_line(row) for row in rows] + [""]
    return lines


def _line(row: Row) -> str:
    cells = (row.sends, str(row.expected), row.standard)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|').replace('`', chr(92) + '`') for cell in cells)} |"
