"""What the user API answers, beside the documents of gateways."""

from datetime import datetime
from typing import Generic, TypeVar

from pydantic import Field

from dicomroute_client.documents.document import Document
from dicomroute_client.documents.erase import ErasureReport
from dicomroute_client.documents.explain import ExplanationDocument
from dicomroute_client.documents.query import MovesDocument
from dicomroute_client.documents.queue import InstanceDocument, QueueChange, QueueDocument
from dicomroute_client.documents.refused import RefusedDocument
from dicomroute_client.documents.status import ProbeDocument, StatusDocument

D = TypeVar("D", bound=Document)


class Problem(Document):
    """Why a request was refused, or not answered."""

    error: str


class Health(Document):
    """The console answers."""

    status: str = "ok"


class Condition(Document):
    """A condition of a resource."""

    type: str
    status: str
    reason: str
    message: str
    since: str


class RouteSummary(Document):
    """A route in the list of all. Numbers are null until its gateways have said them."""

    namespace: str
    name: str
    ready: str
    reason: str
    message: str
    owed: int | None
    held: int | None
    dead_lettered: int | None
    delivered: int | None
    oldest_owed: datetime | str | None
    troubles: list[str]


class FromGateway(Document, Generic[D]):
    """What one gateway of a route said; `problem` says why there is no document."""

    host: str
    problem: str
    document: D | None


class Route(Document):
    """A route: its conditions, and what its gateways say, for those who may know it."""

    namespace: str
    name: str
    conditions: list[Condition]
    gateways: list[FromGateway[StatusDocument]]
    gateways_problem: str


class Queue(Document):
    """The deliveries of a route that fit a filter, a gateway each."""

    gateways: list[FromGateway[QueueDocument]]


class Refused(Document):
    """Who was refused, a gateway each."""

    gateways: list[FromGateway[RefusedDocument]]


class Query(Document):
    """What studies are looked for by: keywords (PS3.6) and their values, as a C-FIND matches them (PS3.4 C.2.2.2)."""

    keys: dict[str, str] = Field(min_length=1, max_length=32)
    limit: int = Field(default=100, ge=1, le=1000)


class Retrieve(Document):
    """A study that is to be sent to a DicomNode, by the gateway (its host) that found it."""

    study: str = Field(pattern=r"^[0-9.]{1,64}$")
    destination: str = Field(min_length=1, max_length=253)
    gateway: str = Field(max_length=64)


class Retrievals(Document):
    """The retrievals that people have begun, a gateway each."""

    gateways: list[FromGateway[MovesDocument]]


class Changed(Document):
    """What a decision changed, a gateway each."""

    gateways: list[FromGateway[QueueChange]]


class Decision(Document):
    """Why a person decides so; for a drop it must not be empty. It is kept in the console's log, without names."""

    why: str = Field(default="", max_length=500)


class Erasure(Document):
    """What is to be erased: a study by its UID or a patient by Patient ID, and why. The log keeps the reason alone."""

    study: str = Field(default="", max_length=64)
    patient: str = Field(default="", max_length=64)
    why: str = Field(default="", max_length=500)


class Erased(Document):
    """What was erased, a gateway each."""

    gateways: list[FromGateway[ErasureReport]]


class ModeChange(Document):
    """A mode to set; `dryRun` only tries it.

    `field` is one of the spec: `mode`, `queryRetrieve.mode`, `listeners[NAME].mode`, `destinations[KIND/NAME].mode` or
    `rules[NAME].mode`.
    """

    field: str = Field(max_length=400)
    to: str
    why: str = Field(default="", max_length=500)
    dry_run: bool = False


class FieldOwner(Document):
    """A field that somebody else sets, and what the API server says of who that is."""

    field: str
    message: str


class Applied(Document):
    """What became of a change: a `problem` with the owners of fields, or what differs (unified diff of the spec)."""

    problem: str
    owners: list[FieldOwner]
    difference: str
    is_written: bool


class Peer(Document):
    """A DicomNode or a CloudTarget."""

    namespace: str
    name: str
    conditions: list[Condition]


class Node(Peer):
    """A DicomNode: `address` is "" for one that only calls."""

    ae_title: str
    address: str
    sources: str


class Target(Peer):
    """A CloudTarget; of its credential the kind alone."""

    url: str
    provider: str
    credential: str


class Tested(Document):
    """What a test of a destination found, and the route whose gateway made it."""

    route: str
    probe: ProbeDocument


class StudySummary(Document):
    """A study in a list of studies."""

    uid: str
    instances: int
    outcomes: dict[str, int]
    senders: list[str]
    routes: list[str]
    first: datetime
    last: datetime


class Studies(Document):
    """Studies that were found, which routes were not asked for want of a right, and what gateways did not answer."""

    items: list[StudySummary]
    unasked: list[str]
    problems: list[str]


class Delivered(Document):
    """How many deliveries of a study have this destination, state and reason."""

    destination: str
    state: str
    reason: str
    count: int


class StudyPart(Document):
    """What one gateway knows of a study; `truncated`: it knows more instances than were asked for."""

    namespace: str
    name: str
    host: str
    instances: int
    outcomes: dict[str, int]
    senders: list[str]
    first: datetime
    last: datetime
    deliveries: list[Delivered]
    truncated: bool


class StudyEvent(Document):
    """Something that happened to an instance of a study."""

    time: datetime
    route: str
    instance: int
    what: str
    destination: str
    reason: str
    status: int | None


class Study(Document):
    """A study across all gateways that were asked, and what became of it in a sentence."""

    uid: str
    verdict: str
    is_settled: bool
    parts: list[StudyPart]
    events: list[StudyEvent]
    more_events: bool
    unasked: list[str]
    problems: list[str]


__all__ = ["ExplanationDocument", "InstanceDocument"]
