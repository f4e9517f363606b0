"""What a probe and the deliveries beside it say of a target or a node: findings, the worst thing first. Pure.

| the probe | the deliveries since the target was changed | Reachable | Authenticated | Ready |
|---|---|---|---|---|
| older than the last instance that was taken | it takes them | True | True | True |
| DNS, TCP, TLS failed | | False | Unknown, or what the credential says | as Reachable |
| the credential failed | | as the steps say | False | as Authenticated |
| the query failed with 401 | | True | False | as Authenticated |
| the query failed with 403, 405, 501, or an answer that says nothing | it takes them | True | True | True |
| the same | none | True | Unknown | Unknown |
| the query failed otherwise | none | True | Unknown | False |
| every step passed | it refuses them | True | True, or False for 401 and 403 | False |

A node has one finding. Reachable is True where it associates and answers a C-ECHO, or takes none, and where it has
taken an instance since; it is False, with the reason of the step that failed, otherwise.
"""

from dataclasses import dataclass
from typing import Final

from dicomroute_gateway.reasons import NoReason, Reason

from .steps import Probed, ProbeStep, StepName, StepResult


@dataclass(frozen=True, slots=True)
class ProbeFinding:
    """One thing that is known of a target; status None is Unknown."""

    status: bool | None
    reason: Reason | NoReason
    message: str


@dataclass(frozen=True, slots=True)
class Findings:
    """All that is known of a target or a node."""

    reachable: ProbeFinding
    authenticated: ProbeFinding
    ready: ProbeFinding

    @property
    def fails(self) -> bool:
        """Whether it certainly does not work."""
        return self.ready.status is False


@dataclass(frozen=True, slots=True)
class Stores:
    """What deliveries have shown since the target was last changed.

    `taken_time` is when it last took an instance, in seconds since 1970; `refused` why it takes none as it is
    configured, with the sentence for it; `is_waiting` whether the last attempts failed.
    """

    taken_time: float | None = None
    refused: Reason | NoReason = ""
    refused_message: str = ""
    is_waiting: bool = False

    @property
    def proof(self) -> bool:
        """Whether it is known to take instances."""
        return self.taken_time is not None and not self.is_waiting and not self.refused


CREDENTIAL_REASONS: Final = frozenset(
    (
        Reason.SECRET_MISSING,
        Reason.CREDENTIAL_INVALID,
        Reason.CERTIFICATE_UNUSABLE,
        Reason.WORKLOAD_IDENTITY_MISSING,
        Reason.TOKEN_REFUSED,
        Reason.TOKEN_ENDPOINT_UNREACHABLE,
        Reason.TOKEN_ENDPOINT_UNAVAILABLE,
        Reason.TOKEN_ANSWER_INVALID,
        Reason.UNAUTHORIZED,
    )
)
"""What is wrong with the credential, in whatever step it shows."""
ANSWER_REASONS: Final = frozenset(
    (
        Reason.NOT_DICOMWEB,
        Reason.REDIRECTED,
        Reason.QUERY_NOT_ALLOWED,
        Reason.QUERY_FAILED,
        Reason.THROTTLED,
        Reason.BUSY,
        Reason.SERVER_ERROR,
    )
)
"""What a query fails with when an answer came."""
_NO_PROOF: Final = frozenset((Reason.QUERY_NOT_ALLOWED, Reason.QUERY_FAILED))
"""Answers that say nothing of whether the target stores."""

_REACHABLE: Final = ProbeFinding(True, Reason.REACHABLE, "it answers")
_AUTHENTICATED: Final = ProbeFinding(True, Reason.AUTHENTICATED, "the target accepts the credential, or requires none")
_READY: Final = ProbeFinding(True, Reason.READY, "the target answers an authenticated DICOMweb query")
_STORING: Final = ProbeFinding(True, Reason.READY, "the target accepts deliveries")


def findings(probed: Probed, stores: Stores) -> Findings:
    """Return what is known of a target."""
    if stores.proof and stores.taken_time is not None and stores.taken_time >= probed.time:
        return Findings(_REACHABLE, _AUTHENTICATED, _STORING)
    reachable, authenticated = _reachable(probed), _authenticated(probed, stores)
    if reachable.status is False:
        return Findings(reachable, authenticated, reachable)
    if authenticated.status is False:
        return Findings(reachable, authenticated, authenticated)
    return Findings(reachable, authenticated, _ready(probed, stores) if reachable.status else reachable)


def node_findings(probed: Probed, stores: Stores) -> Findings:
    """Return what is known of a node: whether it is reachable, which is all that there is to being ready."""
    found = _node_reachable(probed)
    if not found.status and stores.proof and stores.taken_time is not None and stores.taken_time >= probed.time:
        found = ProbeFinding(True, Reason.REACHABLE, "the node accepts deliveries")
    return Findings(found, ProbeFinding(None, Reason.NOT_TESTED, "a node has no credential of its own"), found)


def within_milliseconds(seconds: float) -> int:
    """Return a duration rounded up to 1, 2, 5, 10 and so on, so that each test does not find something new."""
    step = 1
    while True:
        for bound in (step, 2 * step, 5 * step):
            if seconds * 1000 <= bound:
                return bound
        step *= 10


def _node_reachable(probed: Probed) -> ProbeFinding:
    failed = next((step for step in probed.steps if step.result is StepResult.FAILED), None)
    if failed is not None:
        return ProbeFinding(False, failed.reason, failed.message)
    seconds, echo = probed.round_trip_seconds, probed.step(StepName.ECHO)
    if seconds is not None:
        return ProbeFinding(
            True, Reason.REACHABLE, f"the node answers a C-ECHO within {within_milliseconds(seconds)} ms"
        )
    return ProbeFinding(True, echo.reason, echo.message)


def _reachable(probed: Probed) -> ProbeFinding:
    for step in probed.steps:
        if step.result is not StepResult.FAILED or step.name is StepName.CREDENTIAL:
            continue
        if step.reason in CREDENTIAL_REASONS:
            if step.name is StepName.QUERY:
                continue
            return ProbeFinding(None, Reason.NOT_TESTED, f"not tried: {step.message}")
        if step.reason not in ANSWER_REASONS:
            return ProbeFinding(False, step.reason, step.message)
    if probed.step(StepName.TCP).result is StepResult.PASSED:
        return _REACHABLE
    return ProbeFinding(None, Reason.NOT_TESTED, "not tried")


def _authenticated(probed: Probed, stores: Stores) -> ProbeFinding:
    fault = _credential_fault(probed)
    if fault is not None:
        return ProbeFinding(False, fault.reason, fault.message)
    if stores.refused in (Reason.UNAUTHORIZED, Reason.FORBIDDEN):
        sentence = f"the target refuses to store ({stores.refused_message or stores.refused})"
        return ProbeFinding(
            False, stores.refused, f"{sentence}: grant this identity permission to store, or correct spec.auth"
        )
    query = probed.step(StepName.QUERY)
    if query.result is StepResult.PASSED or (query.reason in ANSWER_REASONS and stores.proof):
        return _AUTHENTICATED
    if query.reason in ANSWER_REASONS:
        return ProbeFinding(
            None,
            Reason.NOT_PROVEN,
            f"the answer does not show whether the target accepts the credential: {query.message}",
        )
    return ProbeFinding(None, Reason.NOT_TESTED, "unknown until the target is reachable")


def _credential_fault(probed: Probed) -> ProbeStep | None:
    return next(
        (
            step
            for step in probed.steps
            if step.result is StepResult.FAILED
            and (step.name is StepName.CREDENTIAL or step.reason in CREDENTIAL_REASONS)
        ),
        None,
    )


def _ready(probed: Probed, stores: Stores) -> ProbeFinding:
    query = probed.step(StepName.QUERY)
    if stores.refused:
        sentence = f"the target refuses every instance: {stores.refused}"
        shown = f"{sentence} ({stores.refused_message})" if stores.refused_message else sentence
        return ProbeFinding(False, Reason.STORE_REFUSED, f"{shown}; correct spec.url, or the server's settings")
    if query.result is StepResult.PASSED:
        return _READY
    if query.result is not StepResult.FAILED:
        return ProbeFinding(None, Reason.NOT_TESTED, "the query was not tried")
    if stores.proof:
        return ProbeFinding(
            True,
            Reason.QUERY_NOT_ALLOWED,
            f"the target accepts deliveries, but a query fails ({query.message}); deliveries do not need queries",
        )
    if query.reason in _NO_PROOF:
        return ProbeFinding(
            None, query.reason, f"{query.message}; the first delivery will show whether the target stores instances"
        )
    return ProbeFinding(False, query.reason, query.message)
