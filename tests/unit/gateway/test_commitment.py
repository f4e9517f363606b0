"""What is committed to, and what is said of all else; transactions that survive."""

import itertools
import json
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from spools import CT, delivered, open_spool, received, store

from dicomroute_gateway.commitment.committing import Committing
from dicomroute_gateway.commitment.decide import CommitmentVerdict, FailureReason, Known, Promise, decide
from dicomroute_gateway.commitment.transactions import (
    MOST_OPEN,
    MOST_REFERENCES,
    OtherContent,
    TooManyRequests,
    Transaction,
    Transactions,
)
from dicomroute_gateway.configuration.model import Configuration
from dicomroute_gateway.dimse.storage_commitment import (
    TRANSFER_SYNTAXES,
    CommitmentReport,
    CommitmentRequest,
    NotCommitment,
    Reference,
    decode_commitment_report,
    decode_commitment_request,
    encode_commitment_report,
    encode_commitment_request,
)
from dicomroute_gateway.dimse.tls import TlsContexts
from dicomroute_gateway.measures import CommitmentMeasures
from dicomroute_gateway.spool.records import Attempt, DeliveryRecord, DeliveryState, FinishedRecord
from dicomroute_gateway.spool.spool import Spool

A, B, OPTIONAL = "DicomNode/a", "CloudTarget/b", "CloudTarget/c"
ANY = Promise(frozenset(), {OPTIONAL})
REFERENCE = Reference(CT, "1.2.1")
WAITING: Final = (DeliveryState.PENDING, DeliveryState.WAITING, DeliveryState.UNCONFIRMED, DeliveryState.HELD)
GIVEN_UP: Final = (DeliveryState.SKIPPED, DeliveryState.DEAD_LETTERED)


def known(hold: str = "", **states: DeliveryState) -> Known:
    names = {"a": A, "b": B, "c": OPTIONAL}
    deliveries = {names[name]: DeliveryRecord(1, names[name], state) for name, state in states.items()}
    return Known(received(1, tuple(deliveries)), deliveries, hold)


HERE = DeliveryState.DELIVERED


@pytest.mark.parametrize(
    ("what", "promise", "said"),
    [
        (None, ANY, FailureReason.NO_SUCH_OBJECT_INSTANCE),
        (known(), ANY, FailureReason.NO_SUCH_OBJECT_INSTANCE),
        (known("Unmatched"), ANY, CommitmentVerdict.WAITS),
        (known(a=HERE, b=HERE), ANY, CommitmentVerdict.COMMITTED),
        (known(a=HERE, b=DeliveryState.PENDING), ANY, CommitmentVerdict.WAITS),
        (known(a=HERE, b=DeliveryState.UNCONFIRMED), ANY, CommitmentVerdict.WAITS),
        (known(a=HERE, b=DeliveryState.HELD), ANY, CommitmentVerdict.WAITS),
        (known(a=DeliveryState.PENDING, b=DeliveryState.DEAD_LETTERED), ANY, FailureReason.PROCESSING_FAILURE),
        (known(a=HERE, b=DeliveryState.SKIPPED), ANY, FailureReason.PROCESSING_FAILURE),
        (known(a=HERE, c=DeliveryState.SKIPPED), ANY, CommitmentVerdict.COMMITTED),
        (known(c=HERE), ANY, FailureReason.PROCESSING_FAILURE),
        (known(a=HERE, b=DeliveryState.PENDING), Promise(frozenset({A})), CommitmentVerdict.COMMITTED),
        (known(b=HERE), Promise(frozenset({A})), FailureReason.PROCESSING_FAILURE),
        (known(c=HERE), Promise(frozenset({OPTIONAL}), {OPTIONAL}), CommitmentVerdict.COMMITTED),
    ],
)
def test_the_table(what: Known | None, promise: Promise, said: FailureReason | CommitmentVerdict) -> None:
    assert decide(REFERENCE, what, promise) is said


def test_a_copy_in_another_form_another_class_and_an_accepted_duplicate_are_not_the_instance() -> None:
    whole = known(a=HERE)
    treated = replace(whole.deliveries[A], recipe="0" * 16)
    assert decide(REFERENCE, replace(whole, deliveries={A: treated}), ANY) is FailureReason.PROCESSING_FAILURE
    other = replace(whole.deliveries[A], reason="Committed", earlier=(Attempt(1.0, "DuplicateAccepted"),))
    assert decide(REFERENCE, replace(whole, deliveries={A: other}), ANY) is FailureReason.PROCESSING_FAILURE
    mr = Reference("1.2.840.10008.5.1.4.1.1.4", "1.2.1")
    assert decide(mr, whole, ANY) is FailureReason.CLASS_INSTANCE_CONFLICT
    worklist = Reference("1.2.840.10008.5.1.4.31", "1.2.1")
    assert decide(worklist, whole, ANY) is FailureReason.SOP_CLASS_NOT_SUPPORTED


@given(
    st.dictionaries(st.sampled_from("abc"), st.sampled_from(DeliveryState), max_size=3),
    st.sampled_from(["", "Unmatched"]),
    st.sets(st.sampled_from((A, B, OPTIONAL))),
    st.sets(st.sampled_from((A, B, OPTIONAL))),
)
def test_nothing_is_promised_that_a_destination_which_counts_has_not(
    states: dict[str, DeliveryState], hold: str, named: set[str], optional: set[str]
) -> None:
    what, promise = known(hold, **states), Promise(frozenset(named), optional)
    said = decide(REFERENCE, what, promise)
    counted = promise.counted(what)
    has_all = all(one in what.deliveries and what.deliveries[one].state is HERE for one in counted)
    assert (said is CommitmentVerdict.COMMITTED) == (has_all and bool(counted) and not hold)
    if said is CommitmentVerdict.WAITS:
        assert hold or any(what.deliveries[one].state in WAITING for one in counted)
        assert hold or not any(what.deliveries[one].state in GIVEN_UP for one in counted)


# -- data sets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
def test_requests_and_reports_are_read_as_they_were_written(syntax: str) -> None:
    references = tuple(Reference(CT, f"1.2.{number}") for number in range(3))
    request = CommitmentRequest("2.25.1", references)
    assert decode_commitment_request(encode_commitment_request(request, syntax), syntax) == request
    for split in range(4):
        failed = tuple((one, 0x0110) for one in references[split:])
        report = CommitmentReport("2.25.1", references[:split], failed)
        assert decode_commitment_report(encode_commitment_report(report, syntax), syntax) == report
        assert report.event_type == (1 if split == 3 else 2)


@given(st.binary(max_size=300), st.sampled_from(TRANSFER_SYNTAXES))
def test_a_strangers_bytes_are_no_request_and_break_nothing(data: bytes, syntax: str) -> None:
    with suppress(NotCommitment):
        assert decode_commitment_request(data, syntax).references


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_request_with_a_changed_byte_breaks_nothing(position: int, value: int) -> None:
    request = CommitmentRequest("2.25.1", tuple(Reference(CT, f"1.2.{number}") for number in range(5)))
    data = bytearray(encode_commitment_request(request, TRANSFER_SYNTAXES[0]))
    data[position % len(data)] = value
    with suppress(NotCommitment):
        decode_commitment_request(bytes(data), TRANSFER_SYNTAXES[0])
    with suppress(NotCommitment):
        decode_commitment_report(bytes(data), TRANSFER_SYNTAXES[0])


# -- transactions ------------------------------------------------------------------------------------------------------


def transaction(uid: str = "2.25.1", count: int = 2, calling: str = "CT1") -> Transaction:
    references = tuple(Reference(CT, f"1.2.{number}") for number in range(count))
    return Transaction(CommitmentRequest(uid, references), calling, "CTGATE", "dicom", 100.0)


def opened(spool: Spool) -> Transactions:
    transactions = Transactions(spool, CommitmentMeasures())
    transactions.load()
    return transactions


def test_a_transaction_is_on_the_volume_before_it_is_known_and_raises_the_format(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    transactions = opened(spool)
    assert transactions.begin(transaction(), claim_seconds=0)
    assert json.loads((tmp_path / "spool" / "format").read_text()) == {"format": 5}
    again = opened(spool)
    (one,) = again.all()
    assert one.transaction == transaction()
    report = CommitmentReport("2.25.1", transaction().request.references)
    again.decide(one, report)
    (one,) = opened(spool).all()
    assert one.transaction.report == report
    again.finish("2.25.1")
    assert opened(spool).all() == []
    spool.close()


def test_who_asks_for_the_same_again_goes_on_and_nobody_asks_for_something_else_in_its_name(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    transactions = opened(spool)
    assert transactions.begin(transaction(), claim_seconds=0)
    assert not transactions.begin(transaction(), claim_seconds=0)
    for other in (transaction(count=3), transaction(calling="CT2")):
        with pytest.raises(OtherContent):
            transactions.begin(other, claim_seconds=0)
    (one,) = transactions.all()
    assert one.transaction == transaction()
    spool.close()


def test_there_is_a_bound_on_references_and_on_open_transactions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = open_spool(tmp_path)
    transactions = opened(spool)
    transactions.begin(transaction("2.25.0", MOST_REFERENCES), claim_seconds=0)
    with pytest.raises(TooManyRequests):
        transactions.begin(transaction("2.25.1", MOST_REFERENCES + 1), claim_seconds=0)
    monkeypatch.setattr(spool.commitments, "put", lambda *_: None)
    for number in range(1, MOST_OPEN):
        transactions.begin(transaction(f"2.25.{number}", 1), claim_seconds=0)
    with pytest.raises(TooManyRequests):
        transactions.begin(transaction(f"2.25.{MOST_OPEN}", 1), claim_seconds=0)
    transactions.finish("2.25.7")
    assert transactions.begin(transaction(f"2.25.{MOST_OPEN}", 1), claim_seconds=0)
    spool.close()


def test_one_that_cannot_be_read_keeps_the_others_from_nothing(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    transactions = opened(spool)
    for number in range(3):
        transactions.begin(transaction(f"2.25.{number}"), claim_seconds=0)
    broken = next((tmp_path / "spool" / "commitments").glob("*.json"))
    broken.write_bytes(broken.read_bytes()[:50])
    again = opened(spool)
    assert len(again.all()) == 2
    assert broken.exists()
    spool.close()


# -- what the ledger says of an instance -------------------------------------------------------------------------------


def test_the_newest_version_is_found_where_it_is(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, history_seconds=86400)
    first = store(spool)
    spool.settle([delivered(first)])
    second = store(spool, size=200)
    assert spool.newest(["1.2.3", "1.2.4"])["1.2.3"].received.id == second
    spool.settle([delivered(second)])
    spool._upkeep.reap()
    assert spool.newest(["1.2.3"]) == {}
    found = spool.history.newest({"1.2.3", "1.2.4"})
    assert {uid: record.received.id for uid, record in found.items()} == {"1.2.3": second}
    third = store(spool, size=300)
    assert spool.newest(["1.2.3"])["1.2.3"].received.id == third
    spool.close()


def test_the_history_is_read_over_days_packed_ones_too(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, history_seconds=86400)
    history = spool.history
    today = datetime.now(UTC)
    for number, days in itertools.product(range(3), (0, 3)):
        one = replace(
            received(10 * days + number),
            time=(today - timedelta(days=days)).timestamp(),
            sop_instance_uid=f"1.2.{number}",
        )
        history.add([FinishedRecord(one, (delivered(one.id),), one.time)])
    history.tidy(today.date(), 30, 1 << 30)
    assert any(path.suffix == ".gz" for path in (tmp_path / "spool" / "ledger").iterdir())
    assert {uid: one.received.id for uid, one in history.newest({"1.2.0", "1.2.2"}).items()} == {"1.2.0": 0, "1.2.2": 2}
    spool.close()


# -- a property over what may happen ---------------------------------------------------------------------------------


def configuration(**commitment: Any) -> Configuration:
    listener = {
        "name": "dicom",
        "port": 0,
        "aeTitles": ["CTGATE"],
        "sources": {"policy": "Any"},
        "maxAssociations": 1,
        "maxPDUBytes": 65536,
        "acseTimeoutSeconds": 1,
        "idleTimeoutSeconds": 1,
        "stallTimeoutSeconds": 1,
    }
    return Configuration.model_validate(
        {
            "schemaVersion": 1,
            "route": {"namespace": "n", "name": "r"},
            "mode": "Running",
            "listeners": [listener],
            "rules": {"matching": "All", "unmatched": "Hold", "rules": []},
            "destinations": [],
            "storageCommitment": {"listeners": ["dicom"], **commitment},
            "retry": {"initialBackoffSeconds": 1, "maxBackoffSeconds": 1, "contentAttempts": 1},
            "spool": {"sizeBytes": 1 << 30, "highWatermarkPercent": 90},
            "drainTimeoutSeconds": 1,
        }
    )


INSTANCES: Final = ("1.2.1", "1.2.2")
HAPPENINGS = st.one_of(
    st.tuples(st.just("receive"), st.sampled_from(INSTANCES), st.integers(1, 3)),
    st.tuples(st.just("settle"), st.sampled_from(INSTANCES), st.sampled_from(DeliveryState)),
    st.tuples(st.just("ask"), st.just(""), st.booleans()),
    st.tuples(st.sampled_from(("look", "reap", "restart")), st.just(""), st.just(0)),
)


CAME_AGAIN: Final = [
    *(("receive", "1.2.1", version) for version in (1, 2, 1)),
    ("settle", "1.2.1", DeliveryState.DELIVERED),
    ("receive", "1.2.1", 2),
    ("ask", "", True),
]
"""The last version has a lower number than the one that was delivered."""


@settings(max_examples=60, deadline=None)
@example(CAME_AGAIN)
@given(st.lists(HAPPENINGS, min_size=20, max_size=40))
def test_whatever_happens_nothing_is_promised_that_was_not_delivered(happenings: list[tuple[str, str, Any]]) -> None:
    """An instance is promised only when the version that was received last has arrived, in every order of events."""
    with tempfile.TemporaryDirectory() as folder:
        now = configuration()
        spool = open_spool(Path(folder), history_seconds=86400)
        newest: dict[str, tuple[int, DeliveryState]] = {}
        asked = 0

        def committing() -> tuple[Transactions, Committing]:
            transactions = opened(spool)
            contexts = TlsContexts(Path(folder))
            return transactions, Committing(spool, transactions, lambda: now, contexts, CommitmentMeasures())

        transactions, deciding = committing()
        for what, uid, value in happenings:
            if what == "receive":
                incoming = spool.begin(CT, uid, "1.2.840.10008.1.2.1")
                incoming.write(memoryview(bytes([value]) * (100 * value)))
                incoming.flush()
                record = replace(
                    received(incoming.id, (A,)), sop_instance_uid=uid, length=100 * value, digest=incoming.digest
                )
                number = spool.repeat(record)
                if number is None:
                    spool.receive(incoming, record)
                else:
                    incoming.discard()
                newest[uid] = (number or incoming.id, DeliveryState.PENDING)
            elif what == "settle" and uid in newest and newest[uid][1] in WAITING:
                number = newest[uid][0]
                spool.settle([DeliveryRecord(number, A, value, attempts=1)])
                entry = spool.newest([uid]).get(uid) or spool.history.newest({uid})[uid]
                found = entry.deliveries
                newest[uid] = (number, found[A].state if isinstance(found, dict) else found[0].state)
            elif what == "ask":
                asked += 1
                references = tuple(Reference(CT, one) for one in INSTANCES)
                request = CommitmentRequest(f"2.25.{asked}", references)
                came = 0.0 if value else time.time()  # the time to wait may be over already
                transactions.begin(Transaction(request, "CT1", "CTGATE", "dicom", came), claim_seconds=0)
            elif what == "reap":
                spool._upkeep.reap()
            elif what == "restart":
                spool.close()
                spool = open_spool(Path(folder), history_seconds=86400)
                transactions, deciding = committing()
            for one in transactions.all() if what in ("look", "ask") else ():
                if one.transaction.report is not None:
                    continue
                deciding._decide(one, now.storage_commitment)
                report = one.transaction.report
                if report is not None:
                    there = {uid for uid, (_, state) in newest.items() if state is HERE}
                    promised = {reference.sop_instance_uid for reference in report.committed}
                    assert promised == there & set(INSTANCES)
                    named = [*report.committed, *(reference for reference, _ in report.failed)]
                    assert sorted(named) == sorted(one.transaction.request.references), "all are named, once each"
        spool.close()
