"""What was sent and is not confirmed: owed, kept, settled by what its destination says, over restarts."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from spools import counts, open_spool, received, store

from dicomroute_gateway.deliver.attempt import after, after_asking
from dicomroute_gateway.deliver.outcome import AttemptOutcome, Verdict
from dicomroute_gateway.spool import formats
from dicomroute_gateway.spool.errors import SpoolError
from dicomroute_gateway.spool.ledger import Ledger
from dicomroute_gateway.spool.records import DeliveryRecord, DeliveryState
from dicomroute_gateway.spool.views import Drop, Owed, Treatment
from dicomroute_gateway.spool.waiting import Waiter

A = "CloudTarget/a"
STORED = AttemptOutcome(Verdict.DELIVERED, "Stored")


def sent(identifier: int, *, refusals: int = 0) -> DeliveryRecord:
    """Return the record of a delivery that was sent, and is to be confirmed."""
    begun = DeliveryRecord(identifier, A, DeliveryState.PENDING, refusals=refusals)
    return after(begun, STORED, 100.0, True, 3, confirms=True)


def test_it_is_owed_and_announced_for_its_confirmation_after_a_restart(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    identifier = store(spool)
    assert json.loads((tmp_path / "spool" / "format").read_text()) == {"format": 3}
    spool.settle([sent(identifier)])
    assert json.loads((tmp_path / "spool" / "format").read_text()) == {"format": 5}
    assert (counts(spool).owed, counts(spool).delivered) == (1, 0)
    assert spool.pending(Owed(identifier, A)) is None, "it is not sent again"
    assert spool.owed_bytes(A) == 100
    spool.close()
    again = open_spool(tmp_path)
    assert again.take_fresh() == [Owed(identifier, A, is_sent=True)]
    found = again.unconfirmed(Owed(identifier, A))
    assert found is not None
    again.settle([replace(found[1], state=DeliveryState.DELIVERED)])
    assert (counts(again).owed, counts(again).delivered) == (0, 1)
    again.close()


def test_a_gateway_of_before_refuses_such_a_spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = open_spool(tmp_path)
    spool.settle([sent(store(spool))])
    spool.close()
    monkeypatch.setattr(formats, "LATEST", formats.RECIPES)
    with pytest.raises(SpoolError, match="the spool has format 5, but this gateway supports formats up to 4"):
        open_spool(tmp_path)


@pytest.mark.parametrize(
    ("outcome", "is_over", "state", "refusals"),
    [
        (AttemptOutcome(Verdict.DELIVERED, "Committed"), False, DeliveryState.DELIVERED, 1),
        (AttemptOutcome(Verdict.DOUBTFUL, "NotCommitted", 0x0110), False, DeliveryState.PENDING, 2),
        (AttemptOutcome(Verdict.REFUSED, "NotCommitted", 0x0119), False, DeliveryState.DEAD_LETTERED, 2),
        (AttemptOutcome(Verdict.RETRY, "NoCommitmentReport"), True, DeliveryState.PENDING, 1),
        (AttemptOutcome(Verdict.RETRY, "ConnectionRefused"), False, None, None),
    ],
)
def test_what_its_destination_says_decides(
    outcome: AttemptOutcome, is_over: bool, state: DeliveryState | None, refusals: int | None
) -> None:
    record = after_asking(sent(1, refusals=1), outcome, 200.0, 3, is_over=is_over)
    assert (record and record.state, record and record.refusals) == (state, refusals)
    assert record is None or (record.attempts, record.may_have_arrived, record.reason) == (1, True, outcome.reason)


def test_an_outage_never_makes_a_dead_letter_of_it() -> None:
    record: DeliveryRecord | None = sent(1)
    for _ in range(20):
        assert record is not None
        record = after_asking(record, AttemptOutcome(Verdict.RETRY, "TimedOut"), 200.0, 3, is_over=True)
        assert record is not None
        assert record.state is DeliveryState.PENDING
        record = after(record, STORED, 300.0, True, 3, confirms=True)


def test_people_drop_and_retry_it_and_a_late_report_changes_nothing_then(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    dropped, retried = store(spool), store(spool)
    spool.settle([sent(dropped), sent(retried)])
    failed = after_asking(sent(dropped), AttemptOutcome(Verdict.DOUBTFUL, "NotCommitted"), 200.0, 3, is_over=False)
    assert failed is not None
    spool.decisions.drop([Drop(dropped)], "a person")
    assert spool.decisions.retry([Owed(retried, A)], "a person").count == 1
    spool.settle([failed])
    assert spool.pending(Owed(dropped, A)) is None
    assert spool.pending(Owed(retried, A)) is not None
    assert spool.decisions.treat([Treatment(retried, A, "0" * 16)]) == [True], "a treatment is for all that waits"
    assert spool.decisions.treat([Treatment(retried, A, "")]) == [False], "and is never taken back"
    found = spool.pending(Owed(retried, A))
    assert found is not None
    assert found[1].recipe == "0" * 16
    spool.close()


def test_a_sender_who_waits_for_the_delivery_waits_for_its_confirmation(tmp_path: Path) -> None:
    waiter = Waiter([A])
    waiter.notice(sent(1))
    assert waiter.wait(0.0)[A].state is DeliveryState.UNCONFIRMED
    assert not waiter._decided.is_set()
    waiter.notice(replace(sent(1), state=DeliveryState.DELIVERED))
    assert waiter._decided.is_set()


def test_a_later_version_waits_until_the_earlier_one_is_confirmed_and_records_say_it_all(tmp_path: Path) -> None:
    ledger = Ledger()
    first, second = received(1), replace(received(2), sop_instance_uid="1.2.1", digest="1" * 64)
    for record in (first, second, sent(1)):
        ledger.apply(record)
    assert ledger.versions.is_behind(ledger.entries[2], A)
    assert ledger.oldest_owed_time_to(A) == first.time
    copy = Ledger()
    for record in ledger.records():
        copy.apply(record)
    assert copy.entries == ledger.entries
    assert copy.counts() == ledger.counts()
    ledger.apply(replace(sent(1), state=DeliveryState.DELIVERED))
    assert not ledger.versions.is_behind(ledger.entries[2], A)
