"""The calls that a gateway answers, as values: whichever client makes one, its path is spelled here alone. Pure."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any, Generic, Self, TypeVar
from urllib.parse import quote, urlencode

from pydantic import ValidationError

from .documents.document import Document
from .documents.erase import ErasureReport
from .documents.events import EventsDocument
from .documents.explain import ExplanationDocument
from .documents.ledger import LedgerDocument, ReportDocument
from .documents.query import AuditTrailDocument, FindDocument, MoveDocument, MoveRequest, MovesDocument
from .documents.queue import InstanceDocument, QueueChange, QueueDocument, QueueSelection
from .documents.refused import ErrorDocument, RefusedDocument
from .documents.status import ProbeDocument, StatusDocument
from .documents.studies import StudiesDocument, StudyDocument
from .errors import Unreadable
from .tokens import Scope

D = TypeVar("D", bound=Document)

ACTOR_HEADER = "Dicomroute-Actor"
"""Who asks, for the ledger and the log of the gateway."""


@dataclass(frozen=True)
class Call(Generic[D]):
    """One request: `path` with its query, and the document that answers it. With a `body` it changes something."""

    answer: type[D]
    path: str
    scope: Scope
    """What a token of the console has to be for."""
    query: Mapping[str, str | int | None] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    content: bytes | None = None
    """A body that is no document, such as a DICOM file."""
    patience_seconds: float = 5
    """How long an answer may take, of a gateway that works."""

    @property
    def method(self) -> str:
        """The HTTP method."""
        return "GET" if self.payload is None else "POST"

    @property
    def payload(self) -> bytes | None:
        """The body as it is sent; None for a question without one."""
        return json.dumps(self.body).encode() if self.body is not None else self.content

    @property
    def target(self) -> str:
        """The path with the query, without what is not asked for."""
        words = urlencode({key: value for key, value in self.query.items() if value is not None})
        return f"{self.path}?{words}" if words else self.path

    def read(self, text: bytes) -> "Answer[D]":
        """Return an answer with its document. Raises Unreadable."""
        try:
            return Answer(text, self.answer.model_validate_json(text))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise Unreadable(f"{where}: {first['msg']}" if where else first["msg"]) from error


@dataclass(frozen=True)
class Answer(Generic[D]):
    """What a gateway answered: the text as it came, and the document as this release reads it."""

    text: bytes
    document: D

    @property
    def data(self) -> Any:
        """The answer as it came, with what a later release says in it."""
        return json.loads(self.text)


class Operation(StrEnum):
    """What a person decides on deliveries and held instances.

    `summary` is a sentence for people, `done` what is said of the deliveries that it changed. `gives_up`: bytes are
    removed, and there is no way back.
    """

    summary: str
    done: str
    gives_up: bool

    def __new__(cls, word: str, summary: str, done: str, gives_up: bool = False) -> Self:
        """Make an operation of its word and what is said of it."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.summary, member.done, member.gives_up = summary, done, gives_up
        return member

    @property
    def scope(self) -> Scope:
        """What a token has to be for."""
        return Scope.QUEUE_DELETE if self.gives_up else Scope.QUEUE_UPDATE

    RETRY = "retry", "Retry deliveries now, including dead-lettered ones.", "due now"
    RELEASE = "release", "Apply the current rules to held instances.", "released"
    DROP = "drop", "Give up deliveries and held instances. They stay counted.", "dropped", True


def status() -> Call[StatusDocument]:
    """Ask how the gateway stands."""
    return Call(StatusDocument, "/api/v1/status", Scope.QUEUE_GET)


def queue(
    state: str | None = None,
    destination: str | None = None,
    reason: str | None = None,
    study: str | None = None,
    limit: int = 100,
) -> Call[QueueDocument]:
    """Ask for deliveries, oldest first: at most `limit`, from 1 to 1000."""
    query = {"state": state, "destination": destination, "reason": reason, "study": study, "limit": limit}
    return Call(QueueDocument, "/api/v1/queue", Scope.QUEUE_GET, query)


def instance(number: int) -> Call[InstanceDocument]:
    """Ask for all that is known of an instance in the spool."""
    return Call(InstanceDocument, f"/api/v1/queue/{number}", Scope.QUEUE_GET)


def change(operation: Operation, selection: Mapping[str, Any] | QueueSelection) -> Call[QueueChange]:
    """Decide on the deliveries of a selection."""
    if isinstance(selection, QueueSelection):
        selection = selection.model_dump(by_alias=True, mode="json", exclude_none=True)
    return Call(QueueChange, f"/api/v1/queue/{operation}", operation.scope, body=selection, patience_seconds=60)


def studies(state: str | None = None, day: str | None = None, limit: int = 100) -> Call[StudiesDocument]:
    """Ask for studies, those that came last first: Open, Complete or Untracked ones; of a day such as 2026-01-31."""
    query = {"state": state, "day": day, "limit": limit}
    return Call(StudiesDocument, "/api/v1/studies", Scope.STUDIES_GET, query, patience_seconds=60)


def study(uid: str, limit: int = 1000) -> Call[StudyDocument]:
    """Ask for all that is known of a study, by its Study Instance UID; at most so many of its instances."""
    return Call(
        StudyDocument,
        f"/api/v1/studies/{quote(uid, safe='')}",
        Scope.STUDIES_GET,
        {"limit": limit},
        patience_seconds=60,
    )


def erase(study: str = "", patient: str = "") -> Call[ErasureReport]:
    """Erase what the spool has of a study (its UID) or of a patient (Patient ID)."""
    body = {"study": study, "patient": patient}
    return Call(ErasureReport, "/api/v1/erase", Scope.STUDIES_DELETE, body=body, patience_seconds=300)


def ledger(
    study: str | None = None,
    series: str | None = None,
    instance: str | None = None,
    calling: str | None = None,
    first_day: str | None = None,
    last_day: str | None = None,
    limit: int = 100,
) -> Call[LedgerDocument]:
    """Ask what became of instances, in the spool and finished; UIDs, a calling AE title, days such as 2026-01-31.

    The newest come first, of all where nothing is named.
    """
    query = {
        "studyInstanceUID": study,
        "seriesInstanceUID": series,
        "sopInstanceUID": instance,
        "callingAETitle": calling,
        "from": first_day,
        "to": last_day,
        "limit": limit,
    }
    return Call(LedgerDocument, "/api/v1/ledger", Scope.STUDIES_GET, query, patience_seconds=30)


def report(day: str | date | None = None) -> Call[ReportDocument]:
    """Ask what each source sent on a day (UTC), today if none is named, and what became of it."""
    query = {"day": str(day) if day is not None else None}
    return Call(ReportDocument, "/api/v1/report", Scope.STUDIES_GET, query, patience_seconds=30)


def refused() -> Call[RefusedDocument]:
    """Ask for the callers that were refused, the last first."""
    return Call(RefusedDocument, "/api/v1/refused", Scope.QUEUE_GET)


def events(after: str = "", wait: int = 0, limit: int = 100, types: Iterable[str] = ()) -> Call[EventsDocument]:
    """Ask for events behind a cursor: all that is kept for "", none that there is yet for `latest`.

    With `wait`, up to 60 seconds, the answer comes when there is one. `types` are names without prefix and version.
    """
    query = {"after": after or None, "wait": wait or None, "limit": limit, "type": ",".join(types) or None}
    return Call(EventsDocument, "/api/v1/events", Scope.QUEUE_GET, query, patience_seconds=wait + 10)


def probe(kind: str, name: str, calling_ae_title: str = "") -> Call[ProbeDocument]:
    """Ask for a probe of a destination, now; of a node with another calling AE title than deliveries have, if named."""
    path = f"/api/v1/test/{quote(kind, safe='')}/{quote(name, safe='')}"
    query = {"callingAETitle": calling_ae_title or None}
    return Call(ProbeDocument, path, Scope.TEST, query, body={}, patience_seconds=60)


def explain(
    content: bytes, calling: str, called: str | None = None, address: str | None = None
) -> Call[ExplanationDocument]:
    """Ask what would become of a DICOM file (PS3.10) that this caller would send. Nothing is kept of it."""
    query = {"calling": calling, "called": called, "address": address}
    return Call(ExplanationDocument, "/api/v1/explain", Scope.EXPLAIN, query, content=content, patience_seconds=60)


def find(level: str, keys: Mapping[str, str], limit: int = 100) -> Call[FindDocument]:
    """Look for studies or series in the archives of the route and in its spool; keywords (PS3.6) and their values."""
    body = {"level": level, "keys": dict(keys), "limit": limit}
    return Call(FindDocument, "/api/v1/find", Scope.IDENTIFIERS_GET, body=body, patience_seconds=120)


def move(study: str, destination: str, series: str | None = None) -> Call[MoveDocument]:
    """Begin to send a study, or a series of it, from the archives of the route to a DicomNode."""
    wanted = MoveRequest(study_instance_uid=study, series_instance_uid=series, destination=destination)
    body = wanted.model_dump(by_alias=True, exclude_none=True)
    return Call(MoveDocument, "/api/v1/moves", Scope.QUERY, body=body, patience_seconds=15)


def moves() -> Call[MovesDocument]:
    """Ask for the retrievals of persons, the newest first, and for the nodes that one may send to."""
    return Call(MovesDocument, "/api/v1/moves", Scope.IDENTIFIERS_GET)


def cancel_move(number: int) -> Call[MoveDocument]:
    """End a retrieval."""
    return Call(MoveDocument, f"/api/v1/moves/{number}/cancel", Scope.QUERY, body={})


def audit() -> Call[AuditTrailDocument]:
    """Ask who queried and retrieved since the gateway started, the newest first."""
    return Call(AuditTrailDocument, "/api/v1/audit", Scope.AUDIT_GET)


def headers(call: Call[Any], token: str, actor: str) -> dict[str, str]:
    """Return the headers of a request; a header has ASCII alone."""
    found = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json" if call.content is None else "application/dicom",
    }
    if call.body is not None:
        found[ACTOR_HEADER] = actor.encode("ascii", "replace").decode()
    return found


def sentence_of(text: bytes) -> str:
    """Return why a gateway refused a request, "" where it does not say so as a gateway does."""
    try:
        return ErrorDocument.model_validate_json(text).error
    except ValidationError:
        return ""
