"""Whoever speaks of a gateway's reasons without importing them knows them by their words: those have to be given."""

import re
from pathlib import Path

import pytest

from dicomroute_console.pages.advice import ADVICE
from dicomroute_gateway.reasons import Reason
from dicomroute_operator.status import pods, route

WORDS = {one.value for one in Reason}
COMES_WITH_ITS_REASON = {"TreatmentNotInForce"}


def test_the_console_advises_on_reasons_that_are_given() -> None:
    assert "Unmatched" in ADVICE
    assert ADVICE.keys() - COMES_WITH_ITS_REASON <= WORDS


def test_the_operator_knows_problems_and_findings_that_are_given() -> None:
    assert "SpoolCorrupt" in pods._REASONS
    assert pods._REASONS.keys() | route._FINDINGS.keys() <= WORDS


@pytest.mark.parametrize("name", ["dead-letters.md", "held.md"])
def test_runbooks_speak_of_reasons_that_are_given(root: Path, name: str) -> None:
    rows = [row for row in (root / "docs" / "runbooks" / name).read_text().splitlines() if row.startswith("| `")]
    named = {word for row in rows for word in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert len(named) >= 5
    assert named - COMES_WITH_ITS_REASON <= WORDS
