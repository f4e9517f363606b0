"""What an answer to a STOW-RS request means for each instance that was sent (PS3.18 10.5.3). Pure.

The instance is looked up in the lists of the body; the status alone never makes a delivery. An instance in
neither list has an unknown outcome and is sent again.
"""

from collections.abc import Sequence
from typing import Final

from dicomroute_gateway.deliver.outcome import AttemptOutcome, Verdict
from dicomroute_gateway.reasons import Reason

from .reasons import Reading
from .result import HTTPAnswer, StoreResult, parse_result


def outcomes(answer: HTTPAnswer, sent: Sequence[str], reading: Reading) -> list[AttemptOutcome]:
    """Return the outcome of each SOP Instance UID in `sent`, in that order."""
    result = parse_result(answer) if answer.status < 500 else None
    alone = len(sent) == 1
    if result is None or not result.names_something:
        return [_without_result(answer.status, reading, alone=alone, has_body=result is not None)] * len(sent)
    return [_of_one(uid, result, answer.status, reading, alone=alone) for uid in sent]


def _of_one(uid: str, result: StoreResult, status: int, reading: Reading, *, alone: bool) -> AttemptOutcome:
    if uid in result.stored and uid not in result.failed:
        warning = result.warnings.get(uid)
        return AttemptOutcome(
            Verdict.DELIVERED, Reason.STORED if warning is None else Reason.STORED_WITH_WARNING, status, warning
        )
    if status in _PAUSING or status in _BUSY:
        # Whoever answers so has not looked at the content, whatever else it says of it.
        return _without_result(status, reading, alone=alone, has_body=True)
    if uid in result.failed:
        return _failure(result.failed[uid], status, reading)
    if alone and result.nameless:
        return _failure(result.nameless[0], status, reading)
    if result.nameless:
        return AttemptOutcome(Verdict.ALONE, Reason.NOT_IN_ANSWER, status, may_have_arrived=True)
    return AttemptOutcome(Verdict.RETRY, Reason.NOT_IN_ANSWER, status, may_have_arrived=True)


def _failure(reason: int, status: int, reading: Reading) -> AttemptOutcome:
    meaning = reading.meaning(reason)
    if meaning.verdict is Verdict.DOUBTFUL and status == 409 and reading.conflict_may_be_duplicate:
        return AttemptOutcome(Verdict.CONFLICT, meaning.name, reason)
    return AttemptOutcome(meaning.verdict, meaning.name, reason)


_PAUSING: Final = {
    401: Reason.UNAUTHORIZED,
    402: Reason.PAYMENT_REQUIRED,
    403: Reason.FORBIDDEN,
    404: Reason.NOT_FOUND,
    405: Reason.METHOD_NOT_ALLOWED,
    406: Reason.NOT_ACCEPTABLE,
    407: Reason.PROXY_AUTHENTICATION_REQUIRED,
    415: Reason.UNSUPPORTED_MEDIA_TYPE,
    424: Reason.FAILED_DEPENDENCY,
}
_BUSY: Final = (408, 425, 429)
_CONTENT: Final = {
    400: Reason.BAD_REQUEST,
    409: Reason.CONFLICT,
    411: Reason.LENGTH_REQUIRED,
    413: Reason.CONTENT_TOO_LARGE,
    422: Reason.UNPROCESSABLE,
}


def _without_result(status: int, reading: Reading, *, alone: bool, has_body: bool) -> AttemptOutcome:
    """Return the verdict for an answer that names no instance."""
    if status in _PAUSING:
        return AttemptOutcome(Verdict.PAUSE, _PAUSING[status], status)
    if 300 <= status < 400:
        return AttemptOutcome(Verdict.PAUSE, Reason.REDIRECTED, status)
    if status in _CONTENT:
        if not alone:
            return AttemptOutcome(Verdict.ALONE, _CONTENT[status], status)
        if status == 409 and reading.conflict_may_be_duplicate:
            return AttemptOutcome(Verdict.CONFLICT, _CONTENT[status], status)
        return AttemptOutcome(Verdict.REFUSED if status == 413 else Verdict.DOUBTFUL, _CONTENT[status], status)
    if status in (200, 202, 204):
        reason = Reason.ANSWER_NAMES_NO_INSTANCE if has_body else Reason.ANSWER_WITHOUT_RESULT
        return AttemptOutcome(Verdict.RETRY, reason, status, may_have_arrived=True)
    if status == 429:
        return AttemptOutcome(Verdict.RETRY, Reason.THROTTLED, status)
    if status in (408, 425, 503):
        return AttemptOutcome(Verdict.RETRY, Reason.BUSY, status, may_have_arrived=True)
    if status >= 500:
        return AttemptOutcome(Verdict.RETRY, Reason.SERVER_ERROR, status, may_have_arrived=True)
    return AttemptOutcome(Verdict.RETRY, Reason.UNEXPECTED_STATUS, status)
