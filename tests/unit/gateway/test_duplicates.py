"""What the target has already: every policy, every way in which that comes out."""

import pytest

from dicomroute_gateway.configuration.destinations import OnDuplicate
from dicomroute_gateway.deliver.cloud.duplicates import Found, NextStep, compared, overwritten, settle
from dicomroute_gateway.deliver.outcome import AttemptOutcome, Verdict

V, P = Verdict, OnDuplicate
STORED, EXISTS, CONFLICT = (
    AttemptOutcome(V.DELIVERED, "Stored", 200),
    AttemptOutcome(V.DUPLICATE, "InstanceExists", 45070),
    AttemptOutcome(V.CONFLICT, "Conflict", 409),
)


def word(step: AttemptOutcome | NextStep) -> str:
    return step.value if isinstance(step, NextStep) else f"{step.verdict.value} {step.reason}"


@pytest.mark.parametrize(
    "outcome, policy, expected",
    [
        (EXISTS, P.ACCEPT_IDENTICAL, "compare"),
        (EXISTS, P.OVERWRITE, "overwrite"),
        (EXISTS, P.ACCEPT, "delivered DuplicateAccepted"),
        (EXISTS, P.FAIL, "refused DuplicateInstance"),
        (CONFLICT, P.ACCEPT_IDENTICAL, "compare"),
        (CONFLICT, P.OVERWRITE, "overwrite"),
        (CONFLICT, P.ACCEPT, "compare"),
        (CONFLICT, P.FAIL, "compare"),
    ],
)
def test_the_first_step(outcome: AttemptOutcome, policy: OnDuplicate, expected: str) -> None:
    assert word(settle(outcome, policy, own=False, follows=False)) == expected


@pytest.mark.parametrize("policy", list(P))
def test_our_own_earlier_attempt_is_a_delivery_and_a_conflict_is_no_sign_of_it(policy: OnDuplicate) -> None:
    assert word(settle(EXISTS, policy, own=True, follows=False)) == "delivered StoredBefore"
    assert isinstance(settle(CONFLICT, policy, own=True, follows=False), NextStep)


@pytest.mark.parametrize("policy", list(P))
def test_a_later_version_is_looked_at_unless_the_manifest_accepts_whatever_is_there(policy: OnDuplicate) -> None:
    expected = "delivered Stored" if policy is P.ACCEPT else "compare"
    assert word(settle(STORED, policy, own=False, follows=True)) == expected
    assert settle(STORED, policy, own=False, follows=False) == STORED


@pytest.mark.parametrize(
    "outcome, found, policy, expected",
    [
        (EXISTS, Found.IDENTICAL, P.ACCEPT_IDENTICAL, "delivered Identical"),
        (EXISTS, Found.DIFFERENT, P.ACCEPT_IDENTICAL, "refused DuplicateDiffers"),
        (EXISTS, Found.ABSENT, P.ACCEPT_IDENTICAL, "retry CannotCompare"),
        (EXISTS, Found.UNKNOWN, P.ACCEPT_IDENTICAL, "retry CannotCompare"),
        (CONFLICT, Found.ABSENT, P.ACCEPT_IDENTICAL, "doubtful Conflict"),
        (CONFLICT, Found.IDENTICAL, P.FAIL, "refused DuplicateInstance"),
        (CONFLICT, Found.DIFFERENT, P.ACCEPT, "delivered DuplicateAccepted"),
        (CONFLICT, Found.UNKNOWN, P.ACCEPT, "retry CannotCompare"),
        (STORED, Found.IDENTICAL, P.FAIL, "delivered Stored"),
        (STORED, Found.DIFFERENT, P.FAIL, "refused DuplicateDiffers"),
        (STORED, Found.DIFFERENT, P.OVERWRITE, "overwrite"),
        (STORED, Found.UNKNOWN, P.OVERWRITE, "overwrite"),
        (STORED, Found.ABSENT, P.ACCEPT_IDENTICAL, "retry CannotCompare"),
    ],
)
def test_after_a_comparison(outcome: AttemptOutcome, found: Found, policy: OnDuplicate, expected: str) -> None:
    assert word(compared(outcome, found, policy, 200)) == expected


@pytest.mark.parametrize("verdict", list(V))
def test_what_was_not_overwritten_is_no_later_proof_of_an_arrival(verdict: Verdict) -> None:
    found = overwritten(AttemptOutcome(verdict, "ServerError", 503))
    if verdict in (V.DELIVERED, V.REFUSED, V.DOUBTFUL):
        assert found.verdict is verdict
    else:
        assert found.verdict is (V.DOUBTFUL if verdict is V.CONFLICT else V.RETRY)
        assert verdict is V.CONFLICT or found.reason == "OverwriteFailed"
