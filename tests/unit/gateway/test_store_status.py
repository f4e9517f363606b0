"""What becomes of an instance after each answer to a C-STORE, and after each way to get none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomroute_gateway.deliver.attempt import may_be_its_own
from dicomroute_gateway.deliver.node.store_status import of_failure, of_status
from dicomroute_gateway.deliver.outcome import Verdict
from dicomroute_gateway.dimse.failures import (
    AssociationAborted,
    AssociationRejected,
    ConnectionLost,
    ContextRefusal,
    ContextRefused,
    NotConnected,
    RequestorFailure,
    SourceFailed,
    TimedOut,
)

V = Verdict


@pytest.mark.parametrize(
    "status, verdict, reason",
    [
        (0x0000, V.DELIVERED, "Stored"),
        (0xB000, V.DELIVERED, "DataElementsCoerced"),
        (0xB006, V.DELIVERED, "ElementsDiscarded"),
        (0xB007, V.DELIVERED, "StoredThoughNotOfSOPClass"),
        (0xB00B, V.DELIVERED, "StoredWithWarning"),
        (0xA700, V.RETRY, "OutOfResources"),
        (0xA7FF, V.RETRY, "OutOfResources"),
        (0xA800, V.DOUBTFUL, "UnexpectedStatus"),
        (0xA900, V.REFUSED, "DataSetDoesNotMatchSOPClass"),
        (0xC000, V.REFUSED, "CannotUnderstand"),
        (0xCFFF, V.REFUSED, "CannotUnderstand"),
        (0x0110, V.DOUBTFUL, "ProcessingFailure"),
        (0x0111, V.DUPLICATE, "InstanceExists"),
        (0x0117, V.REFUSED, "InvalidSOPInstance"),
        (0x0122, V.REFUSED, "SOPClassNotSupported"),
        (0x0124, V.PAUSE, "NotAuthorized"),
        (0x0210, V.RETRY, "DuplicateInvocation"),
        (0x0211, V.PAUSE, "UnrecognizedOperation"),
        (0x0212, V.DOUBTFUL, "MistypedArgument"),
        (0x0213, V.RETRY, "ResourceLimitation"),
        (0xFE00, V.RETRY, "Cancelled"),
        (0xFF00, V.DOUBTFUL, "UnexpectedStatus"),
        (0x0001, V.DOUBTFUL, "UnexpectedStatus"),
    ],
)
def test_a_status_means(status: int, verdict: Verdict, reason: str) -> None:
    judgement = of_status(status)
    assert (judgement.outcome.verdict, judgement.outcome.reason) == (verdict, reason)
    assert judgement.outcome.status == status


@given(st.integers(0, 0xFFFF))
def test_nothing_but_success_and_warnings_is_delivered_and_all_else_is_explained(status: int) -> None:
    judgement = of_status(status)
    assert (judgement.outcome.verdict is V.DELIVERED) == (status == 0 or 0xB000 <= status <= 0xBFFF)
    assert judgement.sentence or status == 0


@pytest.mark.parametrize(
    "numbers, verdict, reason",
    [
        ((1, 1, 1), V.PAUSE, "AssociationRejected"),
        ((1, 1, 2), V.PAUSE, "ApplicationContextNotSupported"),
        ((1, 1, 3), V.PAUSE, "CallingAETitleNotRecognized"),
        ((1, 1, 7), V.PAUSE, "CalledAETitleNotRecognized"),
        ((1, 2, 2), V.PAUSE, "ProtocolVersionNotSupported"),
        ((2, 1, 7), V.RETRY, "CalledAETitleNotRecognized"),
        ((2, 3, 1), V.RETRY, "TemporaryCongestion"),
        ((2, 3, 2), V.RETRY, "LocalLimitExceeded"),
        ((1, 9, 9), V.PAUSE, "AssociationRejected"),
    ],
)
def test_a_rejected_association_means(numbers: tuple[int, int, int], verdict: Verdict, reason: str) -> None:
    outcome = of_failure(AssociationRejected(*numbers)).outcome
    assert (outcome.verdict, outcome.reason, outcome.status) == (verdict, reason, None)


def test_a_refused_class_and_a_refused_transfer_syntax_are_told_apart() -> None:
    def refused(refusal: ContextRefusal) -> tuple[Verdict, str]:
        outcome = of_failure(ContextRefused(refusal, "1.2", "1.3")).outcome
        return outcome.verdict, outcome.reason

    assert refused(ContextRefusal.ABSTRACT_SYNTAX_NOT_SUPPORTED) == (V.REFUSED, "SOPClassNotSupported")
    assert refused(ContextRefusal.TRANSFER_SYNTAXES_NOT_SUPPORTED) == (V.REFUSED, "TransferSyntaxNotSupported")
    for refusal in ContextRefusal:
        verdict, _ = refused(refusal)
        assert verdict in (V.REFUSED, V.DOUBTFUL, V.RETRY)
        assert "1.2" in of_failure(ContextRefused(refusal, "1.2", "1.3")).sentence


@pytest.mark.parametrize(
    "failure",
    [
        NotConnected("ConnectionRefused", "why"),
        AssociationAborted(0, 0, "now"),
        ConnectionLost("now"),
        SourceFailed("x"),
    ],
)
def test_a_failure_without_an_answer_never_counts_against_the_instance(failure: Exception) -> None:
    assert of_failure(failure).outcome.verdict is V.RETRY  # type: ignore[arg-type]


def test_only_what_broke_off_after_the_whole_request_may_have_arrived() -> None:
    failure = ConnectionLost("now")
    assert not of_failure(failure).outcome.may_have_arrived
    failure.note_request_was_sent()
    assert of_failure(failure).outcome.may_have_arrived
    assert of_failure(TimedOut("ResponseTimedOut", "why")).outcome.may_have_arrived


def test_what_breaks_while_the_peer_deals_with_an_instance_may_be_that_instance() -> None:
    def own(failure: RequestorFailure, *, began: bool = True) -> bool:
        return may_be_its_own(of_failure(failure, began=began).outcome)

    after = AssociationAborted(0, 0, "now")
    after.note_request_was_sent()
    for failure in (AssociationAborted(0, 0, "now"), ConnectionLost("now"), after, TimedOut("ResponseTimedOut", "why")):
        assert own(failure), failure.reason
    assert not own(AssociationAborted(0, 0, "in place of an A-ASSOCIATE-AC"), began=False)
    assert not own(NotConnected("ConnectionRefused", "why"), began=False)
    assert not own(TimedOut("AssociationTimedOut", "why"), began=False)
    during = of_failure(ConnectionLost("now"), began=True).outcome
    assert (during.reason, during.may_have_arrived) == ("ConnectionLostDuringRequest", False)


def test_no_fault_of_a_c_store_has_the_number_of_an_http_status() -> None:
    faults = [o for o in (of_status(status).outcome for status in range(100, 600)) if o.verdict in (V.RETRY, V.PAUSE)]
    assert faults
    assert not {one.status for one in faults} & {408, 425, 429, 503}
    assert all(may_be_its_own(one) == (one.verdict is V.RETRY) for one in faults)
