"""One test of a node: an association of its own with the titles of deliveries, and a C-ECHO on it (PS3.4 annex A)."""

import time
from collections.abc import Callable
from socket import socket
from typing import Final, TypeVar

from dicomroute_gateway.configuration.destinations import DicomNodeDestination
from dicomroute_gateway.dimse.command import Status
from dicomroute_gateway.dimse.connect import reach, resolve, secure, usable_context
from dicomroute_gateway.dimse.failures import AFTER_REQUEST, RequestorFailure
from dicomroute_gateway.dimse.propose import VERIFYING, group_contexts
from dicomroute_gateway.dimse.requestor import Called, Requestor, Timeouts
from dicomroute_gateway.dimse.tls import TlsContexts
from dicomroute_gateway.dimse.wire import Wire
from dicomroute_gateway.reasons import TLS_REASONS, Reason

from .steps import Probed, ProbeStep, StepName, StepResult

VERIFICATION_NOT_ACCEPTED: Final = Reason.VERIFICATION_NOT_ACCEPTED
"""The node associates and takes no C-ECHO: it is there and knows our title, which is what is asked."""
ECHO_FAILED: Final = Reason.ECHO_FAILED
_CONNECT_SECONDS: Final = 10.0
_MOST_SECONDS: Final = 30.0
"""A person waits for it, and a C-ECHO asks for nothing that takes long."""

_WHENEVER: Final = {after: before for before, after in AFTER_REQUEST.items()}
"""A C-ECHO has no effect that could be doubled: whether its request had gone out says nothing."""

T = TypeVar("T")


class _Failed(Exception):
    """A step failed, and none comes after it."""


def echo(node: DicomNodeDestination, contexts: TlsContexts, calling_ae_title: str = "") -> Probed:
    """Test a node as it is called for deliveries, or with another calling AE title. Faults are steps.

    Blocks for a minute and a half at most, and for as long as the resolver takes.
    """
    made: dict[StepName, ProbeStep] = {}
    try:
        _make(made, node, contexts, calling_ae_title or node.calling_ae_title)
    except _Failed:
        pass
    names = (StepName.DNS, StepName.TCP, StepName.TLS, StepName.ASSOCIATION, StepName.ECHO)
    return Probed(time.time(), tuple(made.get(name, ProbeStep(name, StepResult.NOT_TRIED)) for name in names))


def _make(made: dict[StepName, ProbeStep], node: DicomNodeDestination, contexts: TlsContexts, calling: str) -> None:
    addresses = _step(made, StepName.DNS, lambda: resolve(node.host, node.port))
    connection = _step(made, StepName.TCP, lambda: reach(node.host, node.port, addresses, _CONNECT_SECONDS))
    wire = _wire(made, node, contexts, connection)
    called = Called(node.host, node.port, node.called_ae_title, calling)
    most = {"acse": node.acse_timeout_seconds, "response": node.response_timeout_seconds}
    timeouts = Timeouts(stall=10.0, release=2.0, **{name: min(_MOST_SECONDS, float(own)) for name, own in most.items()})
    (proposed,) = group_contexts([VERIFYING])
    requestor = _step(made, StepName.ASSOCIATION, lambda: Requestor.open(called, proposed, timeouts, lambda *_: wire))
    try:
        _verify(made, requestor)
    finally:
        requestor.release()


def _wire(
    made: dict[StepName, ProbeStep], node: DicomNodeDestination, contexts: TlsContexts, connection: socket
) -> Wire:
    settings = node.tls
    if settings is None:
        made[StepName.TLS] = ProbeStep(StepName.TLS, StepResult.NOT_NEEDED)
        return Wire(connection)

    def shake_hands() -> Wire:
        try:
            context = usable_context(contexts, settings)
        except RequestorFailure:
            connection.close()
            raise
        return secure(connection, context, settings, node.host, node.port, _CONNECT_SECONDS)

    return _step(made, StepName.TLS, shake_hands)


def _verify(made: dict[StepName, ProbeStep], requestor: Requestor) -> None:
    if requestor.refusal(VERIFYING) is not None:
        sentence = "the node accepts the association, but does not offer C-ECHO: the connection works"
        made[StepName.ECHO] = ProbeStep(StepName.ECHO, StepResult.NOT_NEEDED, VERIFICATION_NOT_ACCEPTED, sentence)
        return
    status = _step(made, StepName.ECHO, requestor.echo)
    if status != Status.SUCCESS:
        sentence = f"the node answers a C-ECHO with status {status:04X}H: its log says why"
        made[StepName.ECHO] = ProbeStep(
            StepName.ECHO, StepResult.FAILED, ECHO_FAILED, sentence, made[StepName.ECHO].seconds
        )


def _step(made: dict[StepName, ProbeStep], name: StepName, work: Callable[[], T]) -> T:
    """Make a step; return what came of it. Raises _Failed."""
    begin = time.monotonic()
    try:
        value = work()
    except RequestorFailure as failure:
        reason = _WHENEVER.get(failure.reason, failure.reason)
        if name is StepName.ASSOCIATION and reason in TLS_REASONS:
            name = StepName.TLS  # TLS 1.3 tells on the first read that a certificate is wanted
        made[name] = ProbeStep(name, StepResult.FAILED, reason, str(failure), time.monotonic() - begin)
        raise _Failed from failure
    made[name] = ProbeStep(name, StepResult.PASSED, seconds=time.monotonic() - begin)
    return value
