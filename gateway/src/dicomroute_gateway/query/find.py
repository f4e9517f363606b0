"""The Query service as its SCP: C-FIND in the Patient Root and Study Root models (PS3.4 C.4.1)."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from dicomroute_gateway.configuration.model import Configuration
from dicomroute_gateway.configuration.queries import QueryRetrieve
from dicomroute_gateway.decoded import Attributes, Level
from dicomroute_gateway.dimse.admission import Refusal
from dicomroute_gateway.dimse.associate import AssociateRequest
from dicomroute_gateway.dimse.command import CommandField, Status
from dicomroute_gateway.dimse.services import Answered, Call, Exchange, Offer, Proposal, Reply, Responder
from dicomroute_gateway.measures import Measures

from .answers import response, without_ours
from .archive import Archive, Cancelled, Check, IndexIncomplete, OutOfTime, Query, TooManyCandidates
from .identifier import (
    Identifier,
    encode_identifier,
)
from .matching import is_universal
from .models import FIND_MODELS, keyword_of, query_keys
from .request import Places, Request, RequestRefused, offered
from .search import Match, Search

EXTENDED: Final = bytes((1, 1, 0, 0, 0, 0, 0))
"""Relational queries and combined date-time matching; neither fuzzy names, time zones, conversion, empty nor multiple
value matching (PS3.4 C.5.1.1)."""
_DATE_TIME: Final = 1
_TICK_SECONDS: Final = 0.2
_PLACE_SECONDS: Final = 5.0
"""How long a query waits for others to end where too many are under way."""

log = structlog.get_logger(__name__)


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
        return offered(proposal, EXTENDED)

    def turn_away(self, request: AssociateRequest) -> Refusal | None:
        """Have nothing against anybody: who may not query is told so in the answer."""
        return None

    def begin(self, call: Call) -> Exchange:
        """Take a query."""
        if call.command.field != CommandField.C_FIND_RQ:
            return Answered(Status.UNRECOGNIZED_OPERATION)
        return _Find(self, call)


class _Find(Request):
    """One C-FIND."""

    action = "Query"
    models = FIND_MODELS

    def __init__(self, service: FindService, call: Call) -> None:
        super().__init__(call)
        self._service = service
        self._told = 0

    def _final(self, responder: Responder) -> Reply:
        try:
            self._run(responder)
        except Cancelled:
            return Reply(Status.CANCEL)
        except OutOfTime:
            return Reply(Status.OUT_OF_RESOURCES, "the gateway shuts down")
        except (ValueError, LookupError, ArithmeticError):
            # An error of ours: the association goes on, and the peer learns that this is no end.
            log.exception("query.failed", association=self._call.association.identifier)
            return Reply(Status.CANNOT_UNDERSTAND, "the gateway failed; its log says why")
        return Reply(Status.SUCCESS)

    def _run(self, responder: Responder) -> None:
        settings, identifier, level = self._identifier(self._service.settings(self._call.association.listener))
        model = FIND_MODELS[self._call.context.abstract_syntax]
        keys = without_ours(query_keys(model, level, identifier, is_relational=self._is_relational))
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
                raise RequestRefused(Status.OUT_OF_RESOURCES, "too many queries are running: retry")

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
                    raise RequestRefused(
                        Status.OUT_OF_RESOURCES, f"more than {settings.max_matches} matches: narrow the query"
                    )
                self._tell(identifier, level, match, responder)
        finally:
            self._tell_failures("query.archive_failed", search.failures, self._service.measures)
        if search.has_failed:
            failure = next((one for one in search.failures if one.required), search.failures[0])
            narrow = isinstance(failure.error, (TooManyCandidates, IndexIncomplete))
            comment = str(failure.error) if narrow else f"{failure.archive}: {failure.error.reason}"
            raise RequestRefused(Status.OUT_OF_RESOURCES if narrow else Status.CANNOT_UNDERSTAND, comment)

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

    def _note(self, status: str, seconds: float) -> None:
        listener = self._call.association.listener
        self._service.measures.query(listener).answered(status, seconds, self._told)
        self._record(status, seconds, self._told)
