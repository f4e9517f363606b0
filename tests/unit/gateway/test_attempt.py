"""What an attempt makes of a delivery: only the content itself leads to a dead letter."""

import pytest

from dicomroute_gateway.deliver.attempt import after, is_our_own
from dicomroute_gateway.deliver.outcome import AttemptOutcome, Verdict
from dicomroute_gateway.spool.records import DeliveryRecord, DeliveryState, Received, Sender

PENDING = DeliveryRecord(1, "CloudTarget/a", DeliveryState.PENDING)
V, S = Verdict, DeliveryState


def received(*, follows: bool = False) -> Received:
    sender = Sender("a", "dicom", "CT1", "GATE", "192.0.2.1")
    return Received(1, 0.0, "1.2", "1.3", "1.4", "1.5", "1.2.840.10008.1.2.1", 2, "", sender, 1, (), follows=follows)


def states(*verdicts: Verdict, alone: bool = True, content_attempts: int = 3, reason: str = "x") -> list[DeliveryState]:
    delivery, found = PENDING, []
    for verdict in verdicts:
        delivery = after(delivery, AttemptOutcome(verdict, reason, 400), 1.0, alone, content_attempts)
        found.append(delivery.state)
    assert delivery.attempts == len(verdicts)
    return found


@pytest.mark.parametrize("verdict", [V.RETRY, V.PAUSE, V.ALONE])
def test_faults_of_the_way_and_of_the_destination_never_dead_letter(verdict: Verdict) -> None:
    assert set(states(*[verdict] * 1000)) == {S.PENDING}


def test_a_definite_refusal_dead_letters_the_second_time_alone() -> None:
    assert states(V.REFUSED, V.REFUSED) == [S.PENDING, S.DEAD_LETTERED]
    assert states(V.REFUSED, V.RETRY, V.REFUSED) == [S.PENDING, S.PENDING, S.DEAD_LETTERED]
    assert set(states(*[V.REFUSED] * 50, alone=False)) == {S.PENDING}


def test_a_doubtful_refusal_dead_letters_after_the_attempts_of_the_route() -> None:
    assert states(V.DOUBTFUL, V.DOUBTFUL, V.DOUBTFUL) == [S.PENDING, S.PENDING, S.DEAD_LETTERED]
    assert states(V.DOUBTFUL, content_attempts=1) == [S.DEAD_LETTERED]


def test_a_fault_of_our_spool_between_does_not_make_our_own_duplicate_a_strangers() -> None:
    lost = after(PENDING, AttemptOutcome(V.RETRY, "ConnectionLost", may_have_arrived=True), 1.0, True, 1)
    missing = after(lost, AttemptOutcome(V.RETRY, "SpoolKeyMissing"), 2.0, True, 1)
    assert is_our_own(received(), missing)
    never_sent = after(PENDING, AttemptOutcome(V.RETRY, "SpoolKeyMissing"), 1.0, True, 1)
    assert never_sent.reason == "SpoolKeyMissing"
    assert not is_our_own(received(), never_sent)


@pytest.mark.parametrize(
    "before, own", [("ConnectionLost", True), ("ServerError", True), ("ConnectionFailed", False), ("", False)]
)
def test_a_duplicate_is_our_own_only_if_the_attempt_before_may_have_arrived(before: str, own: bool) -> None:
    tried = after(PENDING, AttemptOutcome(V.RETRY, before, may_have_arrived=own), 1.0, True, 8) if before else PENDING
    assert is_our_own(received(), tried) is own
    assert not is_our_own(received(follows=True), tried), "of a later version nobody knows"


def test_what_may_have_arrived_once_may_have_arrived_whatever_came_after() -> None:
    lost = after(PENDING, AttemptOutcome(V.RETRY, "ConnectionLost", may_have_arrived=True), 1.0, True, 8)
    for reason in ("ConnectionFailed", "Throttled", "TokenRefused"):
        lost = after(lost, AttemptOutcome(V.RETRY, reason), 2.0, True, 8)
    assert is_our_own(received(), lost)


@pytest.mark.parametrize("reason", ["ConnectionFailed", "DNSFailed", "TLSUntrusted", "Throttled"])
def test_what_was_never_sent_is_nobodys(reason: str) -> None:
    assert not is_our_own(received(), after(PENDING, AttemptOutcome(V.RETRY, reason), 1.0, True, 8))
