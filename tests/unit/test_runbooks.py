"""Whoever reads a reason on the product finds it in the documents."""

import re
from pathlib import Path

import pytest

from dicomroute_gateway.dimse import tls_failures
from dicomroute_gateway.dimse.admission import Refusal
from dicomroute_gateway.dimse.strangers import Stranger
from dicomroute_gateway.reasons import Reason
from dicomroute_operator.api.conditions import NEGATIVE, Reconciling

NOT_TOLD = {tls_failures.ABORTED}


def named_in(text: str) -> set[str]:
    return set(re.findall(r"`([A-Za-z0-9]+)`", text))


@pytest.mark.parametrize("kind", [Refusal, Stranger])
def test_every_reason_for_no_association_has_a_row(root: Path, kind: type[Refusal | Stranger]) -> None:
    runbook = (root / "docs" / "runbooks" / "no-association.md").read_text()
    assert {one.label for one in kind} <= named_in(runbook)


def test_every_reason_for_no_tls_has_a_row(root: Path) -> None:
    source = Path(tls_failures.__file__).read_text()
    reasons = set(re.findall(r'"((?:TLS|[A-Z][a-z])[A-Za-z]*[a-z][A-Z][A-Za-z]*|TLS[A-Z][A-Za-z]+)"', source))
    reasons |= {Reason[name].value for name in re.findall(r"Reason\.([A-Z_]+)", source)}
    assert {"TLSTimedOut", "ClientCertificateMissing", "HandshakeTimedOut", "TLSExpired"} <= reasons
    documents = ("docs/runbooks/no-association.md", "docs/credentials.md")
    said = set().union(*(named_in((root / name).read_text()) for name in documents))
    assert reasons - NOT_TOLD <= said


def test_every_condition_that_is_bad_while_it_is_true_has_a_page(root: Path) -> None:
    folder = root / "docs" / "runbooks"
    pages: dict[str, set[str]] = {}
    for row in re.findall(r"^\| (.*) \|$", (folder / "README.md").read_text(), re.MULTILINE):
        for name in named_in(row):
            pages.setdefault(name, set()).update(re.findall(r"\]\(([^)]+)\)", row))
    conditions = {one.__name__ for one in NEGATIVE if one is not Reconciling}
    assert conditions <= pages.keys()
    for name in conditions:
        assert any(f"`{name}" in (folder / page).read_text() for page in pages[name]), f"no page says {name}"
