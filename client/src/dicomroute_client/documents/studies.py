"""Studies as a gateway knows them: how far each has come, and where it went."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from .document import Document, known
from .queue import InstanceDocument


class StudyStateChoice(StrEnum):
    """Which studies are asked for."""

    OPEN = "Open"
    COMPLETE = "Complete"
    UNTRACKED = "Untracked"


class StudyDestination(Document):
    """The deliveries of a study to one destination (KIND/NAME), by state; `pending` has those under way."""

    destination: str
    waiting: int = 0
    pending: int = 0
    unconfirmed: int = 0
    held: int = 0
    dead_lettered: int = 0
    skipped: int = 0
    delivered: int = 0


class StudyItem(Document):
    """A study. `destinations` count what is looked at: the instances in the spool, or those of the ledger too.

    Untracked: the route does not say when a study is complete, or this one was not followed; it has no revision.
    `instances` are those of all revisions, `newInstances` those of this one; of an untracked study those looked at.
    """

    study_instance_uid: str = Field(alias="studyInstanceUID")
    state: Annotated[str, known(*StudyStateChoice)]
    revision: int | None = None
    basis: str | None = None
    """Why it counts as complete: Idle, or MaxOpen for one that was open for too long. None while it is open."""
    first_received_time: datetime
    """Of this revision, or of what is looked at."""
    last_received_time: datetime
    completed_time: datetime | None = None
    instances: int
    new_instances: int
    not_sent_again: int = 0
    """With `onRevision: SendAll`: how many instances had left the spool when this revision was complete, and could not
    be sent again. It includes instances that arrived again in this revision, which were sent."""
    series: int
    modalities: list[str] = Field(default=[])
    held: int = 0
    """Instances that are held without any delivery."""
    destinations: list[StudyDestination] = Field(default=[])


class StudiesDocument(Document):
    """Studies, those that came last first; `truncated` says that there are more."""

    items: list[StudyItem]
    truncated: bool


class SeriesDocument(Document):
    """A series of a study, with its instances."""

    series_instance_uid: str = Field(alias="seriesInstanceUID")
    instances: list[InstanceDocument]


class StudyDocument(Document):
    """All that is known of a study: of the spool, and of the ledger for as long as that reaches back."""

    study: StudyItem
    series: list[SeriesDocument]
    truncated: bool
    """Whether it has more instances than are listed."""
