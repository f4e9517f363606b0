"""The Query service as its SCP: C-FIND in the Patient Root and Study Root models (PS3.4 C.4.1)."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from dicomroute_gateway import audit
from dicomroute_gateway.configuration.model import Configuration, QueryClient, QueryRetrieve
from dicomroute_gateway.decoded import Attributes, Level
from dicomroute_gateway.dimse.admission import Refusal, find_caller
from dicomroute_gateway.dimse.associate import AssociateRequest
from dicomroute_gateway.dimse.command import CommandField, Status
from dicomroute_gateway.dimse.services import Answered, Call, Exchange, Offer, Proposal, Reply, Responder
from dicomroute_gateway.measures import Measures

from .answers import response, without_ours
from .archive import Archive, Cancelled, Check, IndexIncomplete, OutOfTime, Query, TooMany
from .identifier import (
    MAX_IDENTIFIER_BYTES,
    TRANSFER_SYNTAXES,
    Identifier,
    IdentifierInvalid,
    decode_identifier,
    encode_identifier,
)
from .matching import is_universal
from .models import FIND_MODELS, keyword_of, level_of, query_keys
from .search import Match, Search

_EXTENDED: Final = bytes((1, 1, 0, 0, 0, 0, 0))
"""Relational queries and combined date-time matching; neither fuzzy names, time zones, conversion, empty nor multiple
value matching (PS3.4 C.5.1.1)."""
_RELATIONAL: Final = 0
_DATE_TIME: Final = 1
_TICK_SECONDS: Final = 0.2
_PLACE_SECONDS: Final = 5.0
"""How long a query waits for others to end where too many are under way."""

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


class FindService:
    """Answers C-FIND on the listeners that the configuration names, for its clients."""

    is_storage = False

    def __init__(
        self,
        configuration: Callable[[], Configuration],
        archives: Callable[[], Sequence[Archive]],
        spool: Archive,
        measures: Measures,
    ) -> None:
        """`archives` returns those of the configuration in force, the preferred one first."""
        self._configuration = configuration
        self.archives = archives
        self.spool = spool
        self.measures = measures
        self.places = Places()
        self.closing = threading.Event()

    def close(self) -> None:
        """End queries under way: the gateway shuts down."""
        self.closing.set()

    def settings(self, listener: str) -> QueryRetrieve | None:
        """Return how queries are served on a listener; None where they are not."""
        return self._configuration().queries_on(listener)

    def offer(self, proposal: Proposal) -> Offer | None:
        """Take both models, on the listeners that are for queries."""
        if proposal.context.abstract_syntax not in FIND_MODELS or self.settings(proposal.listener) is None:
            return None
        syntax = next((uid for uid in TRANSFER_SYNTAXES if uid in proposal.context.transfer_syntaxes), None)
        roles = None if proposal.roles is None else (proposal.roles[0], False)
        return Offer(syntax, roles, _agreed(proposal.extended))

    def turn_away(self, request: AssociateRequest) -> Refusal | None:
        """Have nothing against anybody: who may not query is told so in the answer."""
        return None

    def begin(self, call: Call) -> Exchange:
        """Take a query."""
        if call.command.field != CommandField.C_FIND_RQ:
            return Answered(Status.UNRECOGNIZED_OPERATION)
        return _Find(self, call)


def _agreed(proposed: bytes | None) -> bytes | None:
    """Return the answer to proposed service class application information: what both sides do, in as many bytes."""
    if proposed is None:
        return None
    return bytes(1 if asked == 1 and done else 0 for asked, done in zip(proposed, _EXTENDED, strict=False))


class _Refused(Exception):
    """A query that is not put to anybody, or not to the end: its final status, and a sentence for the peer."""

    def __init__(self, status: Status, comment: str) -> None:
        super().__init__(comment)
        self.status = status
        self.comment = comment


class _Find:
    """One C-FIND."""

    def __init__(self, service: FindService, call: Call) -> None:
        self._service = service
        self._call = call
        self._data = bytearray()
        self._client: QueryClient | None = None
        self._level = ""
        self._keys: tuple[str, ...] = ()
        self._asked: list[str] = []
        self._told = 0

    def write(self, data: memoryview) -> None:
        """Take the next bytes of the identifier; of one that is too long no more than shows that."""
        if len(self._data) <= MAX_IDENTIFIER_BYTES:
            self._data += data

    def flush(self) -> None:
        """Nothing is kept of views."""

    def discard(self) -> None:
        """Forget it."""

    def answer(self, responder: Responder) -> None:
        """Tell what matches, one by one, and how it ended."""
        status = "Aborted"
        try:
            final = self._final(responder)
            status = f"{final.status:04X}"
            responder.respond(final)
        finally:
            self._note(status)

    def _final(self, responder: Responder) -> Reply:
        try:
            settings = self._service.settings(self._call.association.listener)
            if settings is None:
                raise _Refused(Status.NOT_AUTHORIZED, "queries are not served here")
            self._run(settings, responder)
        except _Refused as refused:
            return Reply(refused.status, refused.comment)
        except IdentifierInvalid as error:
            return Reply(Status.DATA_SET_MISMATCH, str(error))
        except Cancelled:
            return Reply(Status.CANCEL)
        except OutOfTime:
            return Reply(Status.OUT_OF_RESOURCES, "the gateway shuts down")
        except (ValueError, LookupError, ArithmeticError):
            # An error of ours: the association goes on, and the peer learns that this is no end.
            log.exception("query.failed", association=self._call.association.identifier)
            return Reply(Status.CANNOT_UNDERSTAND, "the gateway failed; its log says why")
        return Reply(Status.SUCCESS)

    def _run(self, settings: QueryRetrieve, responder: Responder) -> None:
        facts, context = self._call.association, self._call.context
        self._client = find_caller(settings.clients, facts.calling_ae_title, facts.address, facts.certificate)
        if self._client is None:
            raise _Refused(Status.NOT_AUTHORIZED, "this node is no client of queryRetrieve")
        if self._call.command.affected_sop_class_uid != context.abstract_syntax:
            raise _Refused(Status.SOP_CLASS_NOT_SUPPORTED, "the SOP class is not the one of its context")
        if len(self._data) > MAX_IDENTIFIER_BYTES:
            raise IdentifierInvalid("the identifier is longer than 4 MiB")
        default = self._client.default_character_set.encode("ascii", "replace")
        identifier = decode_identifier(bytes(self._data), context.transfer_syntax, default)
        model = FIND_MODELS[context.abstract_syntax]
        level = level_of(model, identifier)
        self._level = str(level)
        keys = without_ours(query_keys(model, level, identifier, is_relational=self._has(_RELATIONAL)))
        self._keys = tuple(keyword_of(tag) for tag, key in keys.items() if not is_universal(key))

        def check() -> None:
            if responder.is_cancelled():
                raise Cancelled
            if self._service.closing.is_set():
                raise OutOfTime

        self._take_place(settings.max_concurrent.queries, check)
        try:
            self._search(settings, identifier, level, keys, responder, check)
        finally:
            self._service.places.give_back()

    def _take_place(self, most: int, check: Check) -> None:
        deadline = time.monotonic() + _PLACE_SECONDS
        while not self._service.places.take(most, _TICK_SECONDS):
            check()
            if time.monotonic() >= deadline:
                raise _Refused(Status.OUT_OF_RESOURCES, "too many queries are under way: ask again")

    def _has(self, byte: int) -> bool:
        """Return whether something was agreed by extended negotiation, or is granted this client without."""
        is_granted = byte == _RELATIONAL and self._client is not None and self._client.is_relational
        return is_granted or self._call.extended[byte : byte + 1] == b"\1"

    def _search(
        self,
        settings: QueryRetrieve,
        identifier: Identifier,
        level: Level,
        keys: Attributes,
        responder: Responder,
        check: Check,
    ) -> None:
        timeout = settings.archive_timeout_seconds
        query = Query(level, keys, settings.max_candidates, timeout, check, self._has(_DATE_TIME))
        spool = self._service.spool if settings.include_spool else None
        search = Search(self._service.archives(), spool, query, settings.max_matches)
        self._asked = search.asked
        try:
            for match in search.matches():
                check()
                if self._told >= settings.max_matches:
                    raise _Refused(Status.OUT_OF_RESOURCES, f"more than {settings.max_matches} matches: narrow it")
                self._tell(identifier, level, match, responder)
        finally:
            for failure in search.failures:
                self._service.measures.archive_failed(failure.archive, failure.error.reason)
                log.warning(
                    "query.archive_failed",
                    archive=failure.archive,
                    reason=failure.error.reason,
                    why=str(failure.error),
                    association=self._call.association.identifier,
                )
        if search.has_failed:
            failure = next((one for one in search.failures if one.required), search.failures[0])
            narrow = isinstance(failure.error, (TooMany, IndexIncomplete))
            comment = str(failure.error) if narrow else f"{failure.archive}: {failure.error.reason}"
            raise _Refused(Status.OUT_OF_RESOURCES if narrow else Status.CANNOT_UNDERSTAND, comment)

    def _tell(self, identifier: Identifier, level: Level, match: Match, responder: Responder) -> None:
        """Send a pending response with what was asked of a match, in a character set of its own."""
        facts, context = self._call.association, self._call.context
        model = FIND_MODELS[context.abstract_syntax]
        told = response(model, level, identifier.keys, match.entity, facts.called_ae_title)
        try:
            data_set = encode_identifier(told, context.transfer_syntax, identifier.character_set)
        except (ValueError, LookupError, ArithmeticError):  # an archive said what does not fit its VR
            log.warning("query.match_unusable", association=facts.identifier, level=str(level))
            return
        responder.respond(Reply(Status.PENDING_WARNING if match.lacks else Status.PENDING, data_set=data_set))
        self._told += 1

    def _note(self, status: str) -> None:
        """Count the query, and write down who asked."""
        facts, seconds = self._call.association, time.monotonic() - self._call.begun
        self._service.measures.query(facts.listener).answered(status, seconds, self._told)
        audit.record(
            audit.AuditRecord(
                action="Query",
                who=self._client.node if self._client is not None else "",
                calling_ae_title=facts.calling_ae_title,
                called_ae_title=facts.called_ae_title,
                address=str(facts.address),
                listener=facts.listener,
                association=facts.identifier,
                query_level=self._level,
                keys=self._keys,
                count=self._told,
                status=status,
                asked=tuple(self._asked),
                seconds=round(seconds, 3),
            )
        )
