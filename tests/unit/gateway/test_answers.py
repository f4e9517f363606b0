"""What each provider's answers mean: reasons, statuses, warnings; and what a manifest may say otherwise."""

from typing import Any

import pytest
from origin_server import result

from dicomroute_gateway.configuration.destinations import CloudTargetDestination
from dicomroute_gateway.deliver.cloud.replies.decision import outcomes
from dicomroute_gateway.deliver.cloud.replies.reasons import reading
from dicomroute_gateway.deliver.cloud.replies.result import HTTPAnswer
from dicomroute_gateway.deliver.outcome import AttemptOutcome, Verdict

V = Verdict
PROVIDERS = ("Azure", "Google", "AWS", "Orthanc", "Dcm4chee", "Generic")


def target(provider: str, **answers: list[int]) -> CloudTargetDestination:
    return CloudTargetDestination.model_validate(
        {"kind": "CloudTarget", "name": "a", "url": "http://a/v2", "auth": {"type": "None"}, "provider": provider,
         "answers": answers}
    )  # fmt: skip


def outcome(
    provider: str, status: int, body: bytes, media: str = "application/dicom+json", **answers: Any
) -> AttemptOutcome:
    (one,) = outcomes(HTTPAnswer(status, media, body), ["1.1"], reading(target(provider, **answers)))
    return one


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    "reason, verdict, name",
    [
        (0xA700, V.RETRY, "OutOfResources"),
        (0xA9FE, V.REFUSED, "DataSetDoesNotMatchSOPClass"),
        (0xC000, V.REFUSED, "CannotUnderstand"),
        (0xC122, V.REFUSED, "TransferSyntaxNotSupported"),
        (0x0122, V.REFUSED, "SOPClassNotSupported"),
        (0x0124, V.RETRY, "NotAuthorized"),
        (0x0110, V.DOUBTFUL, "ProcessingFailure"),
        (0, V.DOUBTFUL, "ProcessingFailure"),
        (0x7777, V.DOUBTFUL, "ProcessingFailure"),
        (45070, V.DUPLICATE, "InstanceExists"),
        (45071, V.RETRY, "BeingCreated"),
    ],
)
def test_codes_that_mean_the_same_everywhere(provider: str, reason: int, verdict: Verdict, name: str) -> None:
    assert outcome(provider, 200, result([], {"1.1": reason})) == AttemptOutcome(verdict, name, reason)


@pytest.mark.parametrize(
    "provider, reason, verdict",
    [
        ("Azure", 273, V.RETRY),  # blob not found
        ("Generic", 273, V.DUPLICATE),  # 0111H of PS3.7
        ("Azure", 43264, V.REFUSED),
        ("Azure", 43265, V.REFUSED),
        ("Dcm4chee", 0xA922, V.REFUSED),
        ("Orthanc", "0110", V.DOUBTFUL),
        ("Orthanc", "A700", V.RETRY),
        ("Orthanc", "0122", V.REFUSED),  # text of four digits is hexadecimal
        ("Orthanc", "272", V.DOUBTFUL),
    ],
)
def test_codes_of_one_provider(provider: str, reason: Any, verdict: Verdict) -> None:
    assert outcome(provider, 200, result([], {"1.1": reason})).verdict is verdict


def test_a_conflict_at_google_may_be_a_duplicate_and_what_its_code_explains_is_not() -> None:
    for body, media in ((b"", ""), (b'[{"error": {"code": 409}}]', "application/json"), (b"<html>", "text/html")):
        assert outcome("Google", 409, body, media).verdict is V.CONFLICT
        assert outcome("Generic", 409, body, media).verdict is V.DOUBTFUL
    assert outcome("Google", 409, result([], {"1.1": 0x0110})).verdict is V.CONFLICT
    assert outcome("Google", 409, result([], {"1.1": 0xC000})).verdict is V.REFUSED
    assert outcome("Google", 200, result([], {"1.1": 0x0110})).verdict is V.DOUBTFUL


@pytest.mark.parametrize("reason, code", [(45063, 45063), ("B006", 0xB006), (1, 1), (45312, 45312), ("?", 0)])
def test_an_instance_stored_with_a_warning_is_delivered_and_says_which(reason: Any, code: int) -> None:
    found = outcome("AWS", 202, result(["1.1"], warnings={"1.1": reason}))
    assert found == AttemptOutcome(V.DELIVERED, "StoredWithWarning", 202, code)


def test_other_failures_have_no_name() -> None:
    body = b'{"0008119A": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [49152]}}]}}'
    assert outcome("Generic", 400, body).verdict is V.REFUSED


def test_a_manifest_gives_codes_a_meaning() -> None:
    own = {"permanentReasons": [0x7777], "transientReasons": [0xA900], "duplicateReasons": [0x0110]}
    for reason, verdict in ((0x7777, V.REFUSED), (0xA900, V.RETRY), (0x0110, V.DUPLICATE), (0xA901, V.REFUSED)):
        assert outcome("Generic", 409, result([], {"1.1": reason}), **own).verdict is verdict


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("status", [401, 402, 403, 404, 405, 406, 407, 415, 424, 301, 302, 307, 308])
def test_what_is_wrong_with_the_target_is_never_held_against_an_instance(provider: str, status: int) -> None:
    assert outcome(provider, status, b"<html>", "text/html").verdict is V.PAUSE


@pytest.mark.parametrize(
    "status, name", [(429, "Throttled"), (503, "Busy"), (500, "ServerError"), (204, "AnswerWithoutResult")]
)
def test_what_passes_is_tried_again(status: int, name: str) -> None:
    assert outcome("Azure", status, b"", "") == AttemptOutcome(V.RETRY, name, status, may_have_arrived=status != 429)


@pytest.mark.parametrize(
    "status, verdict", [(401, V.PAUSE), (403, V.PAUSE), (407, V.PAUSE), (408, V.RETRY), (429, V.RETRY)]
)
def test_who_has_not_looked_at_the_content_refuses_none(status: int, verdict: Verdict) -> None:
    assert outcome("Generic", status, result([], {"1.1": 0x0110})).verdict is verdict
    assert outcome("Generic", status, result(["1.1"])).verdict is V.DELIVERED, "what it says it stored it has"


def test_a_failure_without_a_name_is_that_of_the_only_instance_whatever_else_is_listed() -> None:
    assert outcome("Generic", 202, result(["9.9"], nameless=[0xC000])).verdict is V.REFUSED
