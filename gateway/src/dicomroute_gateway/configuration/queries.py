"""Queries and retrievals by DIMSE: who may ask, and who answers."""

from collections.abc import Collection
from enum import StrEnum

from pydantic import Field

from .destinations import Accepts, CloudTargetDestination, DicomNodeDestination
from .listener import AllowedCaller
from .section import Section


class QueryMode(StrEnum):
    """Whether queries and retrievals are served."""

    RUNNING = "Running"
    REFUSE = "Refuse"


class QueryClient(AllowedCaller):
    """A DicomNode that may query.

    `is_relational`: its queries may leave out unique keys of levels above without having negotiated that.
    `default_character_set` is that of text for which it declares none. One that `accepts` de-identified data alone is
    answered nothing: what it would get has names.
    """

    is_relational: bool = False
    default_character_set: str = ""
    accepts: Accepts = Accepts.ANY


class QueryConcurrency(Section):
    """How many are served at the same time."""

    queries: int = Field(ge=1)
    retrievals: int = Field(default=4, ge=1)


class QueryRetrieve(Section):
    """Queries and retrievals by DIMSE: on which listeners, from whom, and who answers, the preferred archive first.

    `move_destinations` are those that a C-MOVE may name; `pending_interval_seconds` is how often its SCU hears of it.
    """

    mode: QueryMode = QueryMode.RUNNING
    listeners: list[str] = Field(min_length=1)
    clients: list[QueryClient]
    archives: list[CloudTargetDestination] = Field(default=[])
    include_spool: bool = True
    max_matches: int = Field(ge=1)
    max_candidates: int = Field(ge=1)
    max_concurrent: QueryConcurrency
    archive_timeout_seconds: int = Field(ge=1)
    move_destinations: list[DicomNodeDestination] = Field(default=[])
    pending_interval_seconds: int = Field(default=2, ge=1, le=5)

    def strict_with(self, nodes: Collection[str]) -> "QueryRetrieve":
        """Return the same, with nodes of these names taking de-identified data alone."""
        strict = {"accepts": Accepts.DEIDENTIFIED_ONLY}
        clients = [one.model_copy(update=strict) if one.node in nodes else one for one in self.clients]
        moved_to = [one.model_copy(update=strict) if one.name in nodes else one for one in self.move_destinations]
        return self.model_copy(update={"clients": clients, "move_destinations": moved_to})
