"""What queries and retrievals have in common: who may put them, the identifier that comes, and the record of it."""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

import structlog

from dicomroute_gateway import audit
from dicomroute_gateway.configuration.destinations import Accepts
from dicomroute_gateway.configuration.queries import QueryClient, QueryRetrieve
from dicomroute_gateway.decoded import Level
from dicomroute_gateway.dimse.admission import find_caller
from dicomroute_gateway.dimse.command import Status
from dicomroute_gateway.dimse.services import AssociationFacts, Call, Offer, Proposal, Reply, Responder
from dicomroute_gateway.measures import Measures

from .identifier import MAX_IDENTIFIER_BYTES, TRANSFER_SYNTAXES, Identifier, IdentifierInvalid, decode_identifier
from .models import Model, level_of
from .search import Failure

log = structlog.get_logger(__name__)


class Places:
    """How many requests of a kind are under way, of those that may be. Safe to use from several threads."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._taken = 0

    def take(self, most: int, seconds: float) -> bool:
        """Take a place, or wait for one; return whether there was one in time."""
        with self._free:
            if not self._free.wait_for(lambda: self._taken < most, seconds):
                return False
            self._taken += 1
            return True

    def give_back(self) -> None:
        """Give a place back."""
        with self._free:
            self._taken -= 1
            self._free.notify()


class RequestRefused(Exception):
    """A request that is not put to anybody, or not to the end: its final status, and a sentence for the peer."""

    def __init__(self, status: Status, comment: str) -> None:
        super().__init__(comment)
        self.status = status
        self.comment = comment


def offered(proposal: Proposal, done: bytes) -> Offer:
    """Return the offer for a context of queries or retrievals; `done` is what of extended negotiation is done here.

    The peer is the SCU alone. What both sides do is agreed, in as many bytes as were proposed (PS3.4 C.5).
    """
    syntax = next((uid for uid in TRANSFER_SYNTAXES if uid in proposal.context.transfer_syntaxes), None)
    roles = None if proposal.roles is None else (proposal.roles[0], False)
    if proposal.extended is None:
        return Offer(syntax, roles)
    agreed = (1 if asked == 1 and ours else 0 for asked, ours in zip(proposal.extended, done, strict=False))
    return Offer(syntax, roles, bytes(agreed))


class Request(ABC):
    """One query or retrieval, as an exchange (`dimse.services`)."""

    action: ClassVar[str]
    """What the audit record calls it."""
    models: ClassVar[Mapping[str, Model]]

    def __init__(self, call: Call) -> None:
        self._call = call
        self._data = bytearray()
        self._client: QueryClient | None = None
        self._level = ""
        self._keys: tuple[str, ...] = ()
        self._asked: Collection[str] = ()

    def write(self, data: memoryview) -> None:
        """Take the next bytes of the identifier; of one that is too long no more than shows that."""
        if len(self._data) <= MAX_IDENTIFIER_BYTES:
            self._data += data

    def flush(self) -> None:  # noqa: B027 - nothing to do is what it does
        """Nothing is kept of views."""

    def discard(self) -> None:
        """Forget it."""
        self._data.clear()

    def answer(self, responder: Responder) -> None:
        """Do what is asked, and tell how it stands and how it ended."""
        status = "Aborted"
        try:
            final = self._answered(responder)
            status = f"{final.status:04X}"
            responder.respond(final)
        finally:
            self._note(status, time.monotonic() - self._call.begun)

    def _answered(self, responder: Responder) -> Reply:
        try:
            return self._final(responder)
        except RequestRefused as refused:
            return Reply(refused.status, refused.comment)
        except IdentifierInvalid as error:
            return Reply(Status.DATA_SET_MISMATCH, str(error))

    @abstractmethod
    def _final(self, responder: Responder) -> Reply:
        """Return the final response. Raises RequestRefused, IdentifierInvalid, and what ends an association."""

    @abstractmethod
    def _note(self, status: str, seconds: float) -> None:
        """Count it, and write down who asked."""

    def _identifier(self, settings: QueryRetrieve | None) -> tuple[QueryRetrieve, Identifier, Level]:
        """Return the settings where they let the peer ask, its identifier and the level of that.

        Raises RequestRefused, IdentifierInvalid.
        """
        facts, context = self._call.association, self._call.context
        if settings is None:
            raise RequestRefused(Status.NOT_AUTHORIZED, "queries and retrievals are not served here")
        if not facts.person:
            self._client = _client(settings, facts)
        if self._call.command.affected_sop_class_uid != context.abstract_syntax:
            raise RequestRefused(Status.SOP_CLASS_NOT_SUPPORTED, "the SOP class is not the one of its context")
        if len(self._data) > MAX_IDENTIFIER_BYTES:
            raise IdentifierInvalid("the identifier is longer than 4 MiB")
        default = self._client.default_character_set.encode("ascii", "replace") if self._client is not None else b""
        identifier = decode_identifier(bytes(self._data), context.transfer_syntax, default)
        self._data.clear()
        level = level_of(self.models[context.abstract_syntax], identifier)
        self._level = str(level)
        return settings, identifier, level

    def _has(self, byte: int) -> bool:
        """Return whether something was agreed by extended negotiation."""
        return self._call.extended[byte : byte + 1] == b"\1"

    @property
    def _is_relational(self) -> bool:
        """Whether relational requests were agreed, or are granted this client without (PS3.4 C.4.1.2.2, C.4.2.2.2)."""
        return self._has(0) or (self._client is not None and self._client.is_relational)

    def _tell_failures(self, event: str, failures: Sequence[Failure], measures: Measures) -> None:
        """Count archives that failed, and log each as `event`."""
        for failure in failures:
            measures.archive_failed(failure.archive, failure.error.reason)
            log.warning(
                event,
                archive=failure.archive,
                reason=failure.error.reason,
                why=str(failure.error),
                association=self._call.association.identifier,
            )

    def _record(self, status: str, seconds: float, count: int, destination: str = "") -> None:
        """Write the audit record."""
        facts = self._call.association
        audit.record(
            audit.AuditRecord(
                action=self.action,
                who=self._client.node if self._client is not None else facts.person,
                calling_ae_title=facts.calling_ae_title,
                called_ae_title=facts.called_ae_title,
                address=str(facts.address),
                listener=facts.listener,
                association=facts.identifier,
                query_level=self._level,
                keys=self._keys,
                count=count,
                status=status,
                asked=tuple(self._asked),
                seconds=round(seconds, 3),
                destination=destination,
            )
        )


def _client(settings: QueryRetrieve, facts: AssociationFacts) -> QueryClient:
    """Return the client that a peer is. Raises RequestRefused for one that may not ask."""
    found = find_caller(settings.clients, facts.calling_ae_title, facts.address, facts.certificate)
    if found is None:
        raise RequestRefused(Status.NOT_AUTHORIZED, "this node is not a client of queryRetrieve")
    if found.accepts is not Accepts.ANY:
        raise RequestRefused(
            Status.NOT_AUTHORIZED, "this node accepts de-identified data only, and answers contain names"
        )
    return found
