"""An archive as queries and retrievals ask it: the seam to CloudTargets, to the spool, and to whatever comes later.

An archive is asked from the thread of an association, one request at a time. It may block, but calls `check` of the
request at least four times a second meanwhile, and between pages: `check` raises what ends the request (Cancelled,
OutOfTime, or PeerGone of the peer), and the archive lets that pass, after it has let go of what it holds.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dicomroute_gateway.decoded import Attributes, Level
from dicomroute_gateway.reasons import Reason
from dicomroute_gateway.spool.content import StoredFile


class ArchiveFailed(Exception):
    """An archive did not answer, or not to the end; the message says why, without patient data.

    `reason` is a word of the code, for logs, metrics and conditions.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ArchiveUnreachable(ArchiveFailed):
    """No answer came, or it broke off: another time it may come."""


class ArchiveRefused(ArchiveFailed):
    """It answered that it does not do what it was asked: credentials, rights, a request that it does not take."""


class ArchiveIncapable(ArchiveFailed):
    """It answers no request of this kind, however it is: that says nothing against it."""


class TooManyCandidates(ArchiveFailed):
    """There are more candidates than may be looked at; the request is to be narrowed."""

    def __init__(self, message: str) -> None:
        super().__init__(Reason.TOO_MANY_CANDIDATES, message)


class IndexIncomplete(ArchiveFailed):
    """What the spool holds is still being read: what was found is true, and not all."""

    def __init__(self, message: str) -> None:
        super().__init__(Reason.INDEX_INCOMPLETE, message)


class Cancelled(Exception):
    """The peer cancelled its request (C-CANCEL, PS3.7 9.3.2.3)."""


class OutOfTime(Exception):
    """The time that a request has is over."""


Check = Callable[[], None]
"""Raises what ends a request; returns otherwise. Costs microseconds."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for.

    `keys` are the attributes of the identifier (PS3.4 C.2.2.2): those with a value are to match, empty ones are asked
    for. They have neither Query/Retrieve Level nor Specific Character Set, and none of group length, private
    or retired elements. The unique keys of the levels above are among them; without one it is a relational query.
    `has_combined_date_time`: a date's range and that of its time are one (PS3.4 C.2.2.2.5.4).

    An archive may answer with more than what matches and with more attributes than asked for: whoever asks matches
    everything again. It must not answer with less, so that a key it cannot match exactly is not for it to match.
    """

    level: Level
    keys: Attributes
    max_candidates: int
    """How many answers are taken from the archive before TooManyCandidates is raised."""
    timeout_seconds: float
    """How long the archive may be without a new page before it counts as unreachable."""
    check: Check
    has_combined_date_time: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """What a retrieval names: at its level one unique key or several, and one at each level above, where there is one.

    An empty tuple says nothing of a level. UIDs of one level may be of several studies. Everything named has to hold
    at once: a series of another study than the one that is named is not in the scope.
    """

    level: Level
    patient_id: str = ""
    study_instance_uids: tuple[str, ...] = ()
    series_instance_uids: tuple[str, ...] = ()
    sop_instance_uids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InstanceReference:
    """An instance that an archive has.

    `transfer_syntax_uids` are those in which it can be had without being made anew, the stored one first; empty where
    the archive does not say. `spooled` is its number in the spool, None where it is not held there.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uids: tuple[str, ...] = ()
    spooled: int | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """An instance on this machine, whole: its reference, with the transfer syntax and SOP class that its own file meta
    information gives, and its file (PS3.10 7), at whose end the data set's `length` bytes stand.
    """

    reference: InstanceReference
    transfer_syntax_uid: str
    length: int
    file: StoredFile


@dataclass(frozen=True, slots=True)
class NotFetched:
    """An instance that was asked for and did not come; `reason` as in ArchiveFailed."""

    reference: InstanceReference
    reason: str


class Archive(Protocol):
    """Answers queries and gives instances. Safe to use from several threads."""

    name: str
    """What logs, metrics and conditions call it: KIND/NAME, or "Spool"."""
    required: bool
    """Whether its failure is a failure of the whole request, after what others gave."""

    def known_keys(self, level: Level) -> frozenset[int] | None:
        """Return the attributes that it has of entities of a level, as far as it answers them; None: all.

        A key that it does not know is not matched with its answers, and is told the peer by a status (PS3.4 C.4.1.1.4).
        """

    def find(self, query: Query) -> Iterator[Sequence[Attributes]]:
        """Yield the matches page by page, in the order of the archive; an empty page says that it is still at work.

        Each has at least the unique keys of the query's level and those above, and every asked-for attribute that the
        archive has. One that lacks a unique key is left out. Counts (NumberOfStudyRelatedInstances and the like) speak
        of the whole entity (PS3.4 C.3.4).

        Raises ArchiveFailed, and what `query.check` raises.
        """

    def instances(self, scope: Scope, check: Check, timeout_seconds: float) -> Iterator[Sequence[InstanceReference]]:
        """Yield the instances in a scope, page by page, each once. None at all is an answer too.

        Raises ArchiveFailed, and what `check` raises.
        """

    def fetch(
        self, references: Sequence[InstanceReference], folder: Path, check: Check, timeout_seconds: float
    ) -> Iterator[Fetched | NotFetched]:
        """Yield each instance once it is whole, in any order, each reference once at last, fetched or not.

        Files are written into `folder`, which is the caller's, one by one and in bounded room: the next is begun only
        when the caller asks for it, up to a few in advance. A file that was yielded is the caller's to remove, unless
        the reference is `spooled`: those are the spool's own, stay where they are, and are read by their StoredFile.

        Raises what `check` raises; a failure of the archive is the NotFetched of each reference that is left.
        """
