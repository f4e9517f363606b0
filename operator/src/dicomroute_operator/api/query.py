"""Queries by DIMSE: on which listeners of a route, from whom, and who answers."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from .delivery import DestinationKind
from .listener import NodeSelector
from .meta import SET, Model, NodeReference, ObjectName, keyed_by, rules


class QueryMode(StrEnum):
    """Whether queries are served."""

    RUNNING = "Running"
    REFUSE = "Refuse"


class QueryClients(Model):
    """The nodes that may query."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.selector) || has(self.nodes) && size(self.nodes) > 0",
                "name the nodes that may query in nodes, or choose them by a selector: nobody may by default",
            ),
        )
    )

    nodes: Annotated[list[NodeReference], Field(max_length=256, json_schema_extra=keyed_by("name"))] = Field(
        default=[], description="DicomNodes that may query. They also have to be among the sources of a listener."
    )
    selector: NodeSelector | None = Field(
        default=None, description="Chooses further DicomNodes by their labels; new ones may query as they appear."
    )


class ArchiveKind(StrEnum):
    """The kinds of object that can be asked."""

    CLOUD_TARGET = "CloudTarget"


class ArchiveReference(Model):
    """An object of the same namespace that answers queries."""

    kind: ArchiveKind = Field(description="Kind of the archive: CloudTarget, by QIDO-RS.")
    name: ObjectName = Field(description="Name of the archive.")
    required: bool = Field(
        default=True,
        description="Whether a query ends with a failure, after what others answered, when this archive does not "
        "answer. Otherwise only its metric and its condition say so.",
    )

    @property
    def destination_kind(self) -> DestinationKind:
        """The kind as rules name it."""
        return DestinationKind(self.kind)


class MoveDestinations(Model):
    """The nodes that a C-MOVE may send to."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.selector) || has(self.nodes) && size(self.nodes) > 0",
                "name the nodes that a C-MOVE may send to in nodes, or choose them by a selector",
            ),
        )
    )

    nodes: Annotated[list[NodeReference], Field(max_length=256, json_schema_extra=keyed_by("name"))] = Field(
        default=[], description="DicomNodes with a host that a C-MOVE may send to, by their aeTitle."
    )
    selector: NodeSelector | None = Field(
        default=None, description="Chooses further DicomNodes by their labels; those without a host are passed over."
    )


class QueryConcurrency(Model):
    """How many requests are served at the same time, beside all that is received and delivered."""

    queries: int = Field(
        default=4,
        ge=1,
        le=64,
        description="Queries at the same time. A further one waits for five seconds and is then answered 0xA700.",
    )
    retrievals: int = Field(
        default=4,
        ge=1,
        le=32,
        description="Retrievals (C-MOVE, C-GET) at the same time. A further one waits for one and a half seconds "
        "and is then answered 0xA702.",
    )


class QueryRetrieve(Model):
    """Queries by DIMSE (PS3.4 annex C). All fields are changed without a restart."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.archives) && size(self.archives) > 0 || !has(self.includeSpool) || self.includeSpool",
                "nobody would answer: name an archive, or let includeSpool be true",
            ),
        )
    )

    mode: QueryMode = Field(
        default=QueryMode.RUNNING,
        description="Running. Refuse: the contexts of queries are refused, as without queryRetrieve.",
    )
    listeners: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=15)]],
        Field(min_length=1, max_length=8, json_schema_extra=SET),
    ] = Field(
        description="Names of the listeners that serve queries. A listener that is not named refuses them. Give "
        "queries a listener of their own, with TLS: identifiers carry names of patients."
    )
    clients: QueryClients = Field(description="Who may query; everybody else is answered 0x0124, not authorized.")
    archives: Annotated[list[ArchiveReference], Field(max_length=8, json_schema_extra=keyed_by("kind", "name"))] = (
        Field(
            default=[],
            description="Who is asked, the preferred one first: the next is asked after an empty answer or a failure.",
        )
    )
    include_spool: bool = Field(
        default=True,
        description="Whether what the spool holds at that moment is found too. It keeps an index of names beside the "
        "spool while this is true.",
    )
    max_matches: int = Field(
        default=2000,
        ge=1,
        le=100_000,
        description="Matches that one query is told; one with more ends with 0xA700 after them.",
    )
    max_candidates: int = Field(
        default=20_000,
        ge=1,
        le=1_000_000,
        description="Answers of an archive that are looked at for one query, as archives do not match every key; one "
        "with more ends with 0xA700.",
    )
    max_concurrent: QueryConcurrency = Field(
        default=QueryConcurrency(), description="How many requests are served at the same time."
    )
    archive_timeout_seconds: int = Field(
        default=20,
        ge=1,
        le=300,
        description="How long an archive may be without a new page of answers, in seconds, before it counts as "
        "unreachable.",
    )
    move_destinations: MoveDestinations | None = Field(
        default=None,
        description="Where a C-MOVE may send to; every other title is answered 0xA801. Absent: the contexts of C-MOVE "
        "are refused. C-GET needs none.",
    )
    pending_interval_seconds: int = Field(
        default=2,
        ge=1,
        le=5,
        description="How often, in seconds, a retrieval under way is answered with its counts, so that the workstation "
        "does not give it up.",
    )
