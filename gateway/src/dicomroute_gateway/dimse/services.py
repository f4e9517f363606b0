"""The DIMSE services of a listener: who takes which SOP class, and what each does with a message (PS3.7 9, PS3.4).

A service knows no socket. It offers itself for a presentation context, may turn a whole request away, and begins an
exchange for each message once its command set is complete. An association knows no verb: adding one is a service more
in the list that `process.gateway` makes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Protocol

from .admission import Refusal
from .associate import AssociateRequest
from .command import Command, Status, SubOperations
from .negotiation import ContextResult, NegotiatedContext, ProposedContext
from .propose import Syntaxes
from .source import DataSetSource

_PENDING: Final = 0xFF


@dataclass(frozen=True, slots=True)
class AssociationFacts:
    """What is known of an association; `identifier` follows its instances through logs and records."""

    identifier: str
    listener: str
    calling_ae_title: str
    called_ae_title: str
    address: IPv4Address | IPv6Address
    certificate: bytes | None = None
    """What the peer has shown, in DER; TLS has verified it."""
    person: str = ""
    """Who asks by the admin API, where there is no peer: a person whose rights were asked before."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is proposed for a SOP class on a listener: a context, and beside it roles and extended negotiation, if any.

    `roles` are whether the requestor would be SCU and SCP (PS3.7 D.3.3.4), `extended` its service class application
    information (PS3.7 D.3.3.5).
    """

    context: ProposedContext
    roles: tuple[bool, bool] | None = None
    extended: bytes | None = None
    listener: str = ""
    beside: frozenset[str] = frozenset()
    """The abstract syntaxes of all contexts of the request."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A service's answer to a proposal: the transfer syntax that it takes, None where it takes none of those proposed.

    `roles` and `extended` answer what was proposed of them; None leaves them unanswered, which is the default role.
    """

    transfer_syntax: str | None
    roles: tuple[bool, bool] | None = None
    extended: bytes | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A message whose command set is complete: on which association, in which context, begun when.

    `begun` is in seconds of the monotonic clock. `extended` is what was agreed by extended negotiation, if anything.
    """

    association: AssociationFacts
    context: NegotiatedContext
    command: Command
    begun: float
    extended: bytes = b""


@dataclass(frozen=True, slots=True)
class Reply:
    """One response to a message: a pending one (PS3.7 annex C.4: FFxx), or the final one.

    `comment` tells the peer why, without patient data. `data_set` is in the transfer syntax of the context. `instance`
    is the number that a refused instance had in the logs. `counts` are those of a retrieval.
    """

    status: int
    comment: str = ""
    data_set: bytes | None = None
    instance: int | None = None
    counts: SubOperations | None = None

    @property
    def is_final(self) -> bool:
        """Whether no other follows."""
        return self.status >> 8 != _PENDING


@dataclass(frozen=True, slots=True)
class EventReport:
    """What an N-EVENT-REPORT-RQ says (PS3.7 10.3.1); `data_set` is in the transfer syntax of the context."""

    sop_class_uid: str
    sop_instance_uid: str
    event_type: int
    data_set: bytes


class Responder(Protocol):
    """Answers one message."""

    def respond(self, reply: Reply) -> None:
        """Send a response; of pending ones any number may come. Raises PeerGone, PeerStalled."""

    def is_cancelled(self) -> bool:
        """Return whether the peer wants no more of it: C-CANCEL (PS3.7 9.3.2.3), or a release in the middle.

        Never waits; costs a system call. The views that `Exchange.write` got are invalid from here on. Raises PeerGone
        when the peer has aborted the association, or the connection is gone.
        """

    def takes(self) -> frozenset[Syntaxes]:
        """Return in which syntaxes the peer takes C-STORE sub-operations: it agreed to be their SCP (PS3.7 D.3.3.4)."""

    def store(self, syntaxes: Syntaxes, sop_instance_uid: str, source: DataSetSource) -> None:
        """Send a C-STORE request as a sub-operation of a C-GET (PS3.7 9.1.3); `stored` awaits its response.

        Raises PeerGone, PeerStalled; PeerGone too when the source fails in the midst, which ends the association.
        """

    def stored(self, seconds: float) -> int | None:
        """Return the status of the C-STORE sub-operation under way, None when it is not answered in that time.

        A C-CANCEL that comes meanwhile is noted for `is_cancelled`. Raises PeerGone, ProtocolViolation.
        """

    def is_quiet(self, seconds: float) -> bool:
        """Wait so long; return whether the peer said nothing meanwhile, and the association is to go on."""

    def report(self, event: EventReport, reported: Callable[[int | None], None]) -> None:
        """Send an N-EVENT-REPORT-RQ on the association of the message, in its context, once that is answered.

        `reported` is told the status of the response, or None when the association ends without one. Raises PeerGone,
        PeerStalled.
        """


class Exchange(Protocol):
    """Takes the data set of one message, piece by piece, and then answers it."""

    def write(self, data: memoryview) -> None:
        """Take the next bytes of the data set; the view is valid until `flush`, or the end of the message."""

    def flush(self) -> None:
        """Let go of all views: what is behind them is about to be overwritten."""

    def answer(self, responder: Responder) -> None:
        """Answer, once all bytes are there, with one final response."""

    def discard(self) -> None:
        """Forget the bytes: the data set will not be completed."""


class Service(Protocol):
    """Answers the messages of some SOP classes."""

    is_storage: bool
    """Whether its answers count as instances stored and refused in the log of an association."""

    def offer(self, proposal: Proposal) -> Offer | None:
        """Return the answer to a proposal, None for a SOP class that is not this service's."""

    def turn_away(self, request: AssociateRequest) -> Refusal | None:
        """Return why a whole association is not to be accepted now, None where this service has nothing against it."""

    def begin(self, call: Call) -> Exchange:
        """Return what takes the message. Never refuses: a refusal is the exchange's answer."""


class Answered:
    """An exchange that lets its data set pass, and gives an answer that is known already."""

    def __init__(self, status: Status, comment: str = "") -> None:
        self._status = status
        self._comment = comment

    def write(self, data: memoryview) -> None:
        """Let it pass."""

    def flush(self) -> None:
        """Nothing was kept."""

    def answer(self, responder: Responder) -> None:
        """Give the answer."""
        responder.respond(Reply(self._status, self._comment))

    def discard(self) -> None:
        """Nothing was kept."""


@dataclass(frozen=True, slots=True)
class Negotiated:
    """The answer to a request: each context, who serves the accepted ones, and roles and extensions by SOP class."""

    contexts: list[NegotiatedContext]
    accepted: dict[int, tuple[NegotiatedContext, Service]]
    """By presentation context ID."""
    roles: dict[str, tuple[bool, bool]]
    extended: dict[str, bytes]

    def turned_about(self) -> dict[Syntaxes, int]:
        """Return the contexts in which the peer is the SCP, by what they are for."""
        return {
            Syntaxes(context.abstract_syntax, context.transfer_syntax): context_id
            for context_id, (context, _) in self.accepted.items()
            if self.roles.get(context.abstract_syntax, (True, False))[1]
        }


class Services:
    """The services of a listener, in order: the first that offers itself for a context serves it."""

    def __init__(self, services: Sequence[Service]) -> None:
        self._services = tuple(services)

    def turn_away(self, request: AssociateRequest) -> Refusal | None:
        """Return why a request is not to be accepted now, None where nobody has anything against it."""
        refusals = (service.turn_away(request) for service in self._services)
        return next((refusal for refusal in refusals if refusal is not None), None)

    def negotiate(self, request: AssociateRequest, listener: str = "") -> Negotiated:
        """Return the answer to each context proposed on a listener; each is refused for itself (PS3.8 9.3.3)."""
        roles = {uid: (as_scu, as_scp) for uid, as_scu, as_scp in request.roles}
        extended = dict(request.extended)
        beside = frozenset(context.abstract_syntax for context in request.contexts)
        answer = Negotiated([], {}, {}, {})
        for context in request.contexts:
            uid = context.abstract_syntax
            proposal = Proposal(context, roles.get(uid), extended.get(uid), listener, beside)
            service, offer = self._offered(proposal)
            result = ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED
            if offer is not None:
                taken = offer.transfer_syntax is not None
                result = ContextResult.ACCEPTANCE if taken else ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED
            negotiated = NegotiatedContext.answering(context, offer.transfer_syntax if offer else None, result)
            answer.contexts.append(negotiated)
            if service is not None and offer is not None and offer.transfer_syntax is not None:
                answer.accepted[context.context_id] = (negotiated, service)
                if offer.roles is not None and proposal.roles is not None:
                    answer.roles[uid] = offer.roles
                if offer.extended is not None and proposal.extended is not None:
                    answer.extended[uid] = offer.extended
        return answer

    def _offered(self, proposal: Proposal) -> tuple[Service | None, Offer | None]:
        for service in self._services:
            offer = service.offer(proposal)
            if offer is not None:
                return service, offer
        return None, None
