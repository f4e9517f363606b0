"""What the journal says: its records, and their form as lines of text.

A line is the CRC-32 of its JSON in eight hexadecimal digits, a space, the JSON and a line feed. Text, because a
person with a broken volume has `less`; lines, because a reader finds the next record behind a broken one.
"""

import operator
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import Field, TypeAdapter

from dicomroute_gateway.destination import Destination

from .part10 import head_length
from .sealed import sealed_length

_LATER: Final = Field(exclude_if=operator.not_)
"""Of a field that came with a later format: a record without it is written as gateways of before wrote it."""
_UNTRACKED: Final = Field(exclude_if=lambda value: value is None)
"""The same for a field whose empty text says something."""


class DeliveryState(StrEnum):
    """What has become of one instance at one destination, as it is written down.

    InFlight is known in memory alone. What the configuration of the moment holds is Pending here; Held is what its
    recipe could not prepare, and what waits for another recipe or a person. It is of the format that recipes need.
    Unconfirmed is what was sent and is not confirmed yet by a destination of which that is asked. Waiting is what is
    sent once the study of the instance is complete.
    """

    PENDING = "Pending"
    WAITING = "Waiting"
    UNCONFIRMED = "Unconfirmed"
    HELD = "Held"
    DELIVERED = "Delivered"
    SKIPPED = "Skipped"
    DEAD_LETTERED = "DeadLettered"


class StudyState(StrEnum):
    """Whether instances of a study are still expected."""

    OPEN = "Open"
    COMPLETE = "Complete"


class StudyBasis(StrEnum):
    """Why a study counts as complete: nothing of it has come for a while, or it has been open for too long."""

    IDLE = "Idle"
    MAX_OPEN = "MaxOpen"


class Release(StrEnum):
    """What the completion of a study means for the deliveries that waited for it, by what they waited for."""

    SEND = "Send"
    SEND_ALL = "SendAll"
    """They are made, and so are those of earlier revisions once more."""
    HOLD = "Hold"
    """They are held for a person: the study was complete before."""
    SKIP = "Skip"
    """They are not made: the condition over the study is false."""
    ERROR = "Error"
    """They are held: the condition over the study has no answer."""


@dataclass(frozen=True, slots=True)
class Sender:
    """The association that an instance came through."""

    association: str
    listener: str
    calling_ae_title: str
    called_ae_title: str
    address: str

    @property
    def facts(self) -> dict[str, str]:
        """What rules may ask of an association, by the names of `rules.attributes.ASSOCIATION_FACTS`."""
        return {
            "callingAETitle": self.calling_ae_title,
            "calledAETitle": self.called_ae_title,
            "address": self.address,
            "listener": self.listener,
        }


@dataclass(frozen=True, slots=True)
class Received:
    """An instance was accepted: from here on it is owed to its destinations.

    `length` and `digest` (ALGORITHM:HEX) are those of the data set as it came; `time` is in seconds since 1970. `key`
    is the id of the key that its file is encrypted with, "" when it is not. `follows`: an earlier version of the
    instance was in the spool when it came; a destination may have that one. `superseded` are the destinations that have
    got a later version since: they are not to get this one over it.
    """

    id: int
    time: float
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str
    length: int
    digest: str
    sender: Sender
    generation: int
    destinations: tuple[Destination, ...]
    hold: str = ""
    skipped: tuple[Destination, ...] = ()
    """Optional destinations that a rule named and that are owed as much as they may be."""
    key: str = ""
    follows: bool = False
    superseded: tuple[Destination, ...] = ()
    recipes: Annotated[Mapping[Destination, str], _LATER] = field(default_factory=dict)
    """The id of the recipe by which it is prepared, for each destination that is not to get it as it came."""
    modality: Annotated[str | None, _UNTRACKED] = None
    """Modality (0008,0060), "" without one; None where studies are not tracked: then it counts for none."""
    waits: Annotated[Mapping[Destination, str], _LATER] = field(default_factory=dict)
    """The id of the plan by which a delivery waits for the study, for each destination that is not served at once."""
    revision: Annotated[int, _LATER] = 0
    """The revision of its study in which it counts already; 0 when it comes."""
    open_seconds: Annotated[int, _LATER] = 0
    """For how long its study had been open when it came, by a clock that does not jump."""
    record: Literal["received"] = "received"

    @property
    def content_length(self) -> int:
        """The length of what the instance's file holds: its head and its data set."""
        return head_length(self.sop_class_uid, self.sop_instance_uid, self.transfer_syntax_uid) + self.length

    @property
    def file_length(self) -> int:
        """The length of the instance's file on the volume."""
        return sealed_length(self.content_length) if self.key else self.content_length


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a delivery: when it ended, in seconds since 1970, and how."""

    time: float
    reason: str
    status: int | None = None


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """The state of a delivery; every value is what it is now, none a difference.

    `earlier` are the last attempts before the one that `reason`, `status` and `time` speak of, oldest first.
    `may_have_arrived`: one of them may have brought the instance to the destination, whatever came of it.
    """

    id: int
    destination: Destination
    state: DeliveryState
    attempts: int = 0
    refusals: int = 0
    reason: str = ""
    status: int | None = None
    time: float | None = None
    earlier: tuple[Attempt, ...] = ()
    may_have_arrived: bool = False
    decided_by: str = ""
    """Who last decided on it: made it due again, released it or gave it up."""
    recipe: Annotated[str, _LATER] = ""
    """The id of the recipe that makes what is sent; "" where it is sent as it came."""
    plan: Annotated[str, _LATER] = ""
    """The id of the plan by which it waits, or waited, for the study; "" where it was made at once."""
    record: Literal["delivery"] = "delivery"


@dataclass(frozen=True, slots=True)
class AgainRecord:
    """An instance came again, equal in every byte: it is owed once more, or anew, to these destinations."""

    id: int
    destinations: tuple[Destination, ...]
    recipes: Annotated[Mapping[Destination, str], _LATER] = field(default_factory=dict)
    """As in `Received`."""
    waits: Annotated[Mapping[Destination, str], _LATER] = field(default_factory=dict)
    """As in `Received`."""
    is_tracked: Annotated[bool, _LATER] = False
    """Whether it counts for its study: it opens a new revision of one that is complete."""
    time: Annotated[float, _LATER] = 0.0
    """When it came, in seconds since 1970, where it counts for its study."""
    open_seconds: Annotated[int, _LATER] = 0
    """As in `Received`."""
    record: Literal["again"] = "again"


@dataclass(frozen=True, slots=True)
class HoldRecord:
    """An instance is held for a reason, or with an empty one no longer."""

    id: int
    reason: str
    record: Literal["hold"] = "hold"


@dataclass(frozen=True, slots=True)
class DroppedRecord:
    """A person dropped an instance that had no destination."""

    id: int
    record: Literal["dropped"] = "dropped"


@dataclass(frozen=True, slots=True)
class DiscardedRecord:
    """An instance was discarded on arrival, as the route says of what no rule takes.

    Older gateways did not write down which.
    """

    received: Received | None = None
    record: Literal["discarded"] = "discarded"


@dataclass(frozen=True, slots=True)
class FinishedRecord:
    """What became of an instance of which nothing is left to do; a line of the history, not of the journal.

    Without deliveries it was discarded. `time` is when it was written down, in seconds since 1970.
    """

    received: Received
    deliveries: tuple[DeliveryRecord, ...]
    time: float
    record: Literal["finished"] = "finished"


@dataclass(frozen=True, slots=True)
class ArchivedRecord:
    """What became of these instances is in the history."""

    ids: tuple[int, ...]
    record: Literal["archived"] = "archived"


@dataclass(frozen=True, slots=True)
class PlanRecord:
    """What deliveries wait for, by the id under which other records name it; written before the first of those."""

    id: str
    form: str
    record: Literal["plan"] = "plan"


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """A study as it stands; every value is what it is now, none a difference. Times are in seconds since 1970.

    A revision is what comes until the study is complete. It is completed once, by one record, which also says what
    that means for the deliveries that waited for it: `released`, by the id of what they waited for.
    """

    study_instance_uid: str
    revision: int
    state: StudyState
    first_time: float
    """When the first instance of this revision came."""
    last_time: float
    """When the latest one came."""
    instances: int
    """Instances of this revision."""
    total: int
    """Instances of all revisions, each as often as it counted for one."""
    series: tuple[str, ...]
    """Series Instance UIDs of all revisions."""
    modalities: tuple[str, ...]
    """Modalities (0008,0060) of all revisions."""
    time: float
    """When it was completed; of an open one, when it was opened or written down."""
    basis: Annotated[StudyBasis | None, _UNTRACKED] = None
    """Why it counts as complete; None while it is open."""
    reopens: Annotated[bool, _LATER] = False
    """Whether this says for the first time that a study which was complete is open again."""
    released: Annotated[Mapping[str, Release], _LATER] = field(default_factory=dict)
    open_seconds: Annotated[int, _LATER] = 0
    """For how long this revision had been open at least when the latest instance came."""
    left: Annotated[int, _LATER] = 0
    """How many instances that waited for a revision of it have left the spool."""
    not_sent_again: Annotated[int, _LATER] = 0
    """Of a complete one that is sent again as a whole: how many of these had left the spool by then."""
    record: Literal["study"] = "study"


@dataclass(frozen=True, slots=True)
class TotalsRecord:
    """What is finished and no longer in the journal; the first record of a segment."""

    next_id: int = 1
    delivered: int = 0
    skipped: int = 0
    discarded: int = 0
    delivered_to: dict[Destination, int] = field(default_factory=dict)
    record: Literal["totals"] = "totals"


@dataclass(frozen=True, slots=True)
class GroupRecord:
    """The first record of a group that is written together: everything before byte `synced` was safe by then.

    No instance written down before it or in it has the number `next_id` or a higher one; 0 says nothing.
    """

    synced: int
    next_id: int = 0
    record: Literal["group"] = "group"


Record = (
    GroupRecord
    | Received
    | DeliveryRecord
    | AgainRecord
    | HoldRecord
    | DroppedRecord
    | DiscardedRecord
    | FinishedRecord
    | ArchivedRecord
    | PlanRecord
    | StudyRecord
    | TotalsRecord
)

_ADAPTER: Final[TypeAdapter[Record]] = TypeAdapter(Annotated[Record, Field(discriminator="record")])
_ADAPTERS: Final[dict[type, TypeAdapter[Any]]] = {kind: TypeAdapter(kind) for kind in get_args(Record)}
"""One a kind: that of all takes four times as long to write one."""


class BadRecord(Exception):
    """A line is not a record."""


def encode_record(record: Record) -> bytes:
    """Return the line of a record."""
    text = _ADAPTERS[type(record)].dump_json(record)
    return b"%08x %b\n" % (zlib.crc32(text), text)


def decode_record(line: bytes) -> Record:
    """Return the record in a line without its line feed.

    Raises BadRecord when the line was not written whole or has changed since.
    """
    if not is_whole(line):
        raise BadRecord("the checksum does not fit")
    try:
        return _ADAPTER.validate_json(line[9:])
    except ValueError as error:
        raise BadRecord(str(error)) from error


def is_whole(line: bytes) -> bool:
    """Return whether a line is as it was written."""
    return line[8:9] == b" " and line[:8] == b"%08x" % zlib.crc32(line[9:])


def is_group(line: bytes) -> bool:
    """Return whether a whole line is that of a GroupRecord."""
    return line.startswith(b'{"synced":', 9)
