"""Queries and retrievals of a person, by the services that answer DIMSE peers: the same limits, archives and records.

Where an association would be there is an `_Ear`: it hears what a peer would be told. No rights are asked here: whoever
lets a person in has done that.
"""

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

import structlog
from pydicom.datadict import dictionary_VR, tag_for_keyword

from dicomroute_gateway.catalogue.keys import UNIQUE_KEYS
from dicomroute_gateway.configuration.destinations import Accepts
from dicomroute_gateway.configuration.model import Configuration
from dicomroute_gateway.configuration.queries import QueryRetrieve
from dicomroute_gateway.decoded import Element, Level
from dicomroute_gateway.dimse.command import Command, CommandField, Status, SubOperations
from dicomroute_gateway.dimse.negotiation import ContextResult, NegotiatedContext
from dicomroute_gateway.dimse.propose import Syntaxes
from dicomroute_gateway.dimse.services import AssociationFacts, Call, EventReport, Reply, Service
from dicomroute_gateway.dimse.source import DataSetSource

from .find import FindService
from .identifier import EXPLICIT_VR_LITTLE_ENDIAN, QUERY_RETRIEVE_LEVEL, decode_identifier, encode_identifier
from .models import keyword_of
from .retrieve import RetrieveService

_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
_MOVE: Final = "1.2.840.10008.5.1.4.1.2.2.2"
_TEXT: Final = frozenset(
    ("AE", "AS", "CS", "DA", "DS", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT")
)
MOST_RUNNING: Final = 8
MOST_KEPT: Final = 200

log = structlog.get_logger(__name__)


class NotServed(Exception):
    """What a person asks cannot be put to anybody; the sentence says what to change."""


@dataclass(frozen=True)
class Person:
    """Who asks, and from which address."""

    name: str
    address: str


@dataclass(frozen=True)
class Found:
    """What a query found: of each match the values by keyword. `status` and `comment` are those of C-FIND's end."""

    matches: list[dict[str, list[str]]]
    status: int
    comment: str
    is_truncated: bool


class _Ear:
    """Hears the responses to one message (`dimse.services.Responder`)."""

    def __init__(self, most: int | None = None) -> None:
        self.most = most
        self.data_sets: list[bytes] = []
        self.counts: SubOperations | None = None
        self.final: Reply | None = None
        self.ended = threading.Event()
        """Set when no more of it is wanted."""

    def respond(self, reply: Reply) -> None:
        """Keep a response; of pending ones so many as are wanted."""
        self.counts = reply.counts or self.counts
        if reply.is_final:
            self.final = reply
        elif reply.data_set is not None:
            if self.most is not None and len(self.data_sets) >= self.most:
                self.ended.set()
            else:
                self.data_sets.append(reply.data_set)

    def is_cancelled(self) -> bool:
        """Return whether no more is wanted."""
        return self.ended.is_set()

    def takes(self) -> frozenset[Syntaxes]:
        """Return nothing: a person takes no instances."""
        return frozenset()

    def store(self, syntaxes: Syntaxes, sop_instance_uid: str, source: DataSetSource) -> None:
        """Never asked: that is of C-GET."""
        raise NotImplementedError

    def stored(self, seconds: float) -> int | None:
        """Never asked: that is of C-GET."""
        raise NotImplementedError

    def is_quiet(self, seconds: float) -> bool:
        """Wait so long."""
        return not self.ended.wait(seconds)

    def report(self, event: EventReport, reported: Callable[[int | None], None]) -> None:
        """Never asked: that is of storage commitment."""
        raise NotImplementedError


@dataclass
class Moved:
    """A retrieval of a person, under way or ended. Times in seconds since 1970."""

    number: int
    by: str
    destination: str
    study_instance_uid: str
    series_instance_uid: str
    begun_time: float
    ear: _Ear = field(default_factory=_Ear)
    ended_time: float | None = None

    @property
    def state(self) -> str:
        """Running, Done, Failed or Cancelled."""
        if self.ended_time is None:
            return "Running"
        status = self.ear.final.status if self.ear.final is not None else Status.CANNOT_UNDERSTAND
        if status == Status.SUCCESS:
            return "Done"
        return "Cancelled" if status == Status.CANCEL else "Failed"


class ForPersons:
    """Puts queries and retrievals of persons to the services of a gateway. Safe to use from several threads."""

    def __init__(
        self, find: FindService, retrieve: RetrieveService, configuration: Callable[[], Configuration]
    ) -> None:
        self._find = find
        self._retrieve = retrieve
        self._configuration = configuration
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._moves: deque[Moved] = deque()

    def find(self, person: Person, level: Level, keys: Mapping[str, str], limit: int) -> Found:
        """Look for entities of a level; return once that is done. Raises NotServed."""
        identifier: dict[int, Element] = {}
        for keyword, value in keys.items():
            tag = tag_for_keyword(keyword)
            vr = dictionary_VR(tag) if tag is not None else ""
            if tag is None or vr not in _TEXT:
                raise NotServed(f"{keyword!r} is not the keyword of an attribute with text (PS3.6)")
            identifier[tag] = Element(vr, tuple(value.split("\\")) if value else ())
        ear = _Ear(limit)
        self._ask(self._find, _FIND, CommandField.C_FIND_RQ, person, level, identifier, ear)
        final = ear.final or Reply(Status.CANNOT_UNDERSTAND, "the gateway failed; its log says why")
        decoded = [decode_identifier(one, EXPLICIT_VR_LITTLE_ENDIAN).keys for one in ear.data_sets]
        matches = [
            {keyword_of(tag): [value for value in element.values if value] for tag, element in one.items()}
            for one in decoded
        ]
        return Found(matches, final.status, final.comment, ear.ended.is_set())

    def destinations(self) -> list[str]:
        """Return the names of the nodes that may be sent to."""
        settings = self._configuration().query_retrieve
        return sorted(one.name for one in settings.move_destinations) if settings is not None else []

    def move(self, person: Person, study: str, series: str, destination: str) -> Moved:
        """Begin to send a study, or a series of it, to a node. Raises NotServed."""
        settings = self._settings()
        node = next((one for one in settings.move_destinations if one.name == destination), None)
        if node is None or self._retrieve.destination(settings, node.called_ae_title) != node:
            raise NotServed(
                f"DicomNode {destination} is not in queryRetrieve.moveDestinations of the route, or another node there "
                "has its AE title"
            )
        if node.accepts is not Accepts.ANY:
            raise NotServed(f"DicomNode {destination} accepts de-identified instances only")
        identifier = {UNIQUE_KEYS[Level.STUDY]: Element("UI", (study,))}
        if series:
            identifier[UNIQUE_KEYS[Level.SERIES]] = Element("UI", (series,))
        with self._lock:
            if sum(one.ended_time is None for one in self._moves) >= MOST_RUNNING:
                raise NotServed(f"{MOST_RUNNING} retrievals are running already: wait for one of them to end")
            moved = Moved(next(self._numbers), person.name, destination, study, series, time.time())
            self._moves.appendleft(moved)
            while len(self._moves) > MOST_KEPT:
                self._moves.pop()
        level = Level.SERIES if series else Level.STUDY
        title = node.called_ae_title

        def run() -> None:
            try:
                self._ask(self._retrieve, _MOVE, CommandField.C_MOVE_RQ, person, level, identifier, moved.ear, title)
            except Exception:
                log.exception("retrieval.failed")
            finally:
                moved.ended_time = time.time()

        threading.Thread(target=run, name="move-person", daemon=True).start()
        return moved

    def moves(self) -> list[Moved]:
        """Return the retrievals that are known, the newest first."""
        with self._lock:
            return list(self._moves)

    def cancel(self, number: int) -> Moved | None:
        """End a retrieval, as a C-CANCEL does; return it, None for one that is not known."""
        found = next((one for one in self.moves() if one.number == number), None)
        if found is not None:
            found.ear.ended.set()
        return found

    def _settings(self) -> QueryRetrieve:
        configuration = self._configuration()
        settings = configuration.query_retrieve
        if settings is None:
            raise NotServed("the route has no queryRetrieve, so no archive can be queried: add it to the route")
        served = configuration.queries_on(settings.listeners[0])
        if served is None:
            raise NotServed("queryRetrieve is in mode Refuse: set it to Running")
        return served

    def _ask(
        self,
        service: Service,
        sop_class: str,
        command: CommandField,
        person: Person,
        level: Level,
        keys: Mapping[int, Element],
        ear: _Ear,
        destination: str = "",
    ) -> None:
        settings = self._settings()
        listener = next(one for one in self._configuration().listeners if one.name == settings.listeners[0])
        title = listener.ae_titles[0]
        facts = AssociationFacts(
            "admin-api", listener.name, title, title, ip_address(person.address), person=person.name
        )
        context = NegotiatedContext(1, sop_class, EXPLICIT_VR_LITTLE_ENDIAN, ContextResult.ACCEPTANCE)
        asked = Command(command, 1, True, sop_class, "", "", move_destination=destination)
        exchange = service.begin(Call(facts, context, asked, time.monotonic()))
        identifier = {QUERY_RETRIEVE_LEVEL: Element("CS", (str(level),)), **keys}
        exchange.write(memoryview(encode_identifier(identifier, EXPLICIT_VR_LITTLE_ENDIAN)))
        exchange.flush()
        exchange.answer(ear)
