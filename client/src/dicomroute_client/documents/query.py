"""Queries and retrievals of a person, and the record of whoever queried and retrieved."""

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field

from .document import Document, known

Text = Annotated[str, Field(max_length=256)]
UID = Annotated[str, Field(pattern=r"^[0-9.]{1,64}$")]


class FindRequest(Document):
    """What is looked for, in the Study Root model (PS3.4 C.6.2): keywords (PS3.6) with what they have to match.

    An empty value asks for the attribute. Matching is that of C-FIND (PS3.4 C.2.2.2): `*` and `?`, and ranges of dates.
    """

    model_config = ConfigDict(extra="forbid")

    level: Annotated[str, Field(json_schema_extra={"enum": ["STUDY", "SERIES"]})] = "STUDY"
    keys: dict[Annotated[str, Field(max_length=64)], Text] = Field(default={}, max_length=32)
    limit: int = Field(default=100, ge=1, le=1000)


class FindDocument(Document):
    """What archives and spool answered: of each match the values by keyword.

    `status` is the final one of C-FIND, in hexadecimal: 0000, or FE00 where there are more than were asked for.
    """

    matches: list[dict[str, list[str]]]
    status: str
    comment: str = ""
    truncated: bool = False


class MoveRequest(Document):
    """What is sent to a DicomNode: a study, or one series of it. `destination` is the name of the node."""

    model_config = ConfigDict(extra="forbid")

    study_instance_uid: UID = Field(alias="studyInstanceUID")
    series_instance_uid: UID | None = Field(default=None, alias="seriesInstanceUID")
    destination: Annotated[str, Field(min_length=1, max_length=253)]


class MoveDocument(Document):
    """A retrieval of a person: its sub-operations (PS3.7 9.1.4) so far, and its final status, in hexadecimal.

    `remaining` is None where it is not known yet what there is. It is forgotten when the gateway ends.
    """

    number: int
    state: Annotated[str, known("Running", "Done", "Failed", "Cancelled")]
    by: str
    destination: str
    study_instance_uid: str = Field(alias="studyInstanceUID")
    series_instance_uid: str = Field(default="", alias="seriesInstanceUID")
    begun_time: datetime
    ended_time: datetime | None = None
    remaining: int | None = None
    completed: int = 0
    failed: int = 0
    warning: int = 0
    status: str = ""
    comment: str = ""


class MovesDocument(Document):
    """The retrievals of persons, the newest first; `destinations` are the nodes that one may send to."""

    moves: list[MoveDocument]
    destinations: list[str] = Field(default=[])


class AuditDocument(Document):
    """Who asked for what: names of attributes, never what they had to match; counts, never which entities."""

    time: datetime
    action: str
    who: str = ""
    address: str = ""
    listener: str = ""
    calling_ae_title: str = Field(default="", alias="callingAETitle")
    query_level: str = ""
    keys: list[str] = Field(default=[])
    count: int = 0
    status: str = ""
    asked: list[str] = Field(default=[])
    destination: str = ""


class AuditTrailDocument(Document):
    """The last queries and retrievals since the gateway started, the newest first; its log has all of them."""

    records: list[AuditDocument]
