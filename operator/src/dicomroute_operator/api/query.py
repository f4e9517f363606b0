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
                "name the nodes that may query in nodes, or select them by a selector: by default, no node may query",
            ),
        )
    )

    nodes: Annotated[list[NodeReference], Field(max_length=256, json_schema_extra=keyed_by("name"))] = Field(
        default=[], description="DicomNodes that may query. They also have to be among the sources of a listener."
    )
    selector: NodeSelector | None = Field(
        default=None,
        description="Selects further DicomNodes by their labels. New nodes may query as soon as they exist.",
    )


class ArchiveKind(StrEnum):
    """The kinds of object that can be queried."""

    CLOUD_TARGET = "CloudTarget"


class ArchiveReference(Model):
    """An object of the same namespace that answers queries."""

    kind: ArchiveKind = Field(description="Kind of the archive: CloudTarget, by QIDO-RS.")
    name: ObjectName = Field(description="Name of the archive.")
    required: bool = Field(
        default=True,
        description=(
            "Whether a query ends with a failure, after the answers of other archives, if this archive does not "
            "answer. Otherwise only the archive's metric and the condition ArchiveUnreachable report it."
        ),
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
                "name the nodes that a C-MOVE may send to in nodes, or select them by a selector",
            ),
        )
    )

    nodes: Annotated[list[NodeReference], Field(max_length=256, json_schema_extra=keyed_by("name"))] = Field(
        default=[], description="DicomNodes with a host that a C-MOVE may send to, by their aeTitle."
    )
    selector: NodeSelector | None = Field(
        default=None, description="Selects further DicomNodes by their labels. Nodes without a host are ignored."
    )


class QueryConcurrency(Model):
    """Limits of concurrent requests, in addition to receiving and delivering."""

    queries: int = Field(
        default=4,
        ge=1,
        le=64,
        description=(
            "Maximum number of concurrent queries. A further query waits for five seconds and then gets the status "
            "0xA700."
        ),
    )
    retrievals: int = Field(
        default=4,
        ge=1,
        le=32,
        description=(
            "Maximum number of concurrent retrievals (C-MOVE, C-GET). A further retrieval waits for one and a half "
            "seconds and then gets the status 0xA702."
        ),
    )


class QueryRetrieve(Model):
    """Queries by DIMSE (PS3.4 annex C). All fields are changed without a restart."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.archives) && size(self.archives) > 0 || !has(self.includeSpool) || self.includeSpool",
                "no archive would answer: name an archive, or set includeSpool: true",
            ),
        )
    )

    mode: QueryMode = Field(
        default=QueryMode.RUNNING,
        description=(
            "Running: queries are served. Refuse: the presentation contexts of queries are refused, as without "
            "queryRetrieve."
        ),
    )
    listeners: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=15)]],
        Field(min_length=1, max_length=8, json_schema_extra=SET),
    ] = Field(
        description=(
            "Names of the listeners that serve queries. Other listeners refuse them. Use a separate listener with TLS "
            "for queries, because queries contain patient names."
        )
    )
    clients: QueryClients = Field(
        description="Nodes that may query. Other callers get the status 0x0124 (not authorized)."
    )
    archives: Annotated[list[ArchiveReference], Field(max_length=8, json_schema_extra=keyed_by("kind", "name"))] = (
        Field(
            default=[],
            description=(
                "Archives to query, the preferred one first. After an empty answer or a failure, the next one is "
                "queried."
            ),
        )
    )
    include_spool: bool = Field(
        default=True,
        description=(
            "Whether queries also find instances that are in the spool. While this is true, the gateway keeps an "
            "index of patient names beside the spool."
        ),
    )
    max_matches: int = Field(
        default=2000,
        ge=1,
        le=100_000,
        description=(
            "Maximum number of matches of one query. A query with more ends with 0xA700 after this many matches."
        ),
    )
    max_candidates: int = Field(
        default=20_000,
        ge=1,
        le=1_000_000,
        description=(
            "Maximum number of an archive's answers that are examined for one query, because archives do not match "
            "every key. A query with more ends with 0xA700."
        ),
    )
    max_concurrent: QueryConcurrency = Field(default=QueryConcurrency(), description="Limits of concurrent requests.")
    archive_timeout_seconds: int = Field(
        default=20,
        ge=1,
        le=300,
        description=(
            "How long an archive may take for each page of answers, in seconds. After that it counts as unreachable."
        ),
    )
    move_destinations: MoveDestinations | None = Field(
        default=None,
        description=(
            "Nodes that a C-MOVE may send to. Any other title gets the status 0xA801. Absent: the presentation "
            "contexts of C-MOVE are refused. C-GET does not need this field."
        ),
    )
    pending_interval_seconds: int = Field(
        default=2,
        ge=1,
        le=5,
        description=(
            "Interval of progress responses of a retrieval, in seconds. They keep the workstation from giving up."
        ),
    )
