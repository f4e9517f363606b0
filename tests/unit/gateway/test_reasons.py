"""Reasons: one list of words. Whatever carries one is typed with it, and every word in it is given somewhere."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dicomroute_gateway
from dicomroute_gateway.deliver.attempt import apart
from dicomroute_gateway.destination import Destination
from dicomroute_gateway.reasons import PROXY_REASONS, TLS_REASONS, Reason, recalled
from dicomroute_gateway.spool.records import DeliveryRecord, DeliveryState

SOURCES = Path(dicomroute_gateway.__file__).parent
OTHER_WORDS = {
    "spool/records.py": "the journal, which another release may have written",
    "measures.py": "counts of what records say",
    "admin/queue.py": "what a record says, as it is shown",
    "deliver/holding.py": "what a record or a hold says",
    "dimse/refused.py": "labels of callers that were refused",
    "dimse/counts.py": "labels of callers that were refused",
    "dimse/association.py": "labels of associations that were refused or aborted",
    "dimse/tls_failures.py": "labels of callers that were refused",
    "events/derive.py": "what a record says, as it is told",
    "events/levels.py": "what a record or a test says, as it is told",
    "events/refusals.py": "labels of callers that were refused",
    "query/archive.py": "what the log says of an instance that was not fetched",
    "query/fetching.py": "what the log says of an instance that was not fetched",
    "query/moving.py": "what the log says of an instance that was not stored",
}


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCES.rglob("*.py")):
        if path != SOURCES / "reasons.py":
            yield path.relative_to(SOURCES).as_posix(), ast.parse(path.read_text())


def test_whatever_carries_a_reason_is_typed_with_it() -> None:
    as_text = set()
    for name, tree in trees():
        for node in ast.walk(tree):
            named = isinstance(node, ast.arg) and node.arg == "reason"
            field = isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "reason"
            if (named or field) and isinstance(node.annotation, ast.Name) and node.annotation.id == "str":
                as_text.add(name)
    assert as_text == OTHER_WORDS.keys(), "type it as Reason, so that mypy knows the word"


def test_every_reason_is_given_somewhere() -> None:
    given = {
        node.attr
        for _, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Reason"
    }
    assert given >= {"TLS_EXPIRED", "UNMATCHED", "COMMITTED"}
    assert Reason.__members__.keys() == given


def test_every_reason_has_a_sentence() -> None:
    for one in Reason:
        assert one.meaning.endswith("."), one
        assert one.isalnum(), one


def test_reasons_of_tls_and_of_proxies_are_known_as_such() -> None:
    assert {one for one in Reason if one.startswith("TLS")} == TLS_REASONS
    assert {one for one in Reason if one.startswith("Proxy")} == PROXY_REASONS


def test_the_page_of_reasons_is_fresh(root: Path) -> None:
    made = subprocess.run(
        [sys.executable, root / "tools" / "reasons.py"], check=True, capture_output=True, text=True
    ).stdout
    assert (root / "docs" / "reference" / "reasons.md").read_text() == made, "run `make generate`"


def test_a_word_of_another_release_is_carried_no_further() -> None:
    assert recalled("ConnectionLost") is Reason.CONNECTION_LOST
    assert recalled("OutOfPaper") == ""
    record = DeliveryRecord(1, Destination("CloudTarget/a"), DeliveryState.PENDING, reason="OutOfPaper")
    (outcome,) = apart([record], {})
    assert outcome.reason is Reason.NOT_SENT
