"""The seam to what the console shows: resources, rights and gateways, all of them for one person."""

from collections.abc import Sequence
from enum import Enum
from typing import Any, Protocol

from dicomroute_client.asynchronous import GatewayAddress

from .person import Person

Json = dict[str, Any]

ROUTES, NODES, TARGETS = "dicomroutes", "dicomnodes", "cloudtargets"


class NotAllowed(Exception):
    """The person may not do that; the sentence says what is missing."""


class NotFound(Exception):
    """There is no such thing, or the person may not know of it."""


class Invalid(Exception):
    """What is to be written is not valid; the sentence says where."""


class Conflict(Exception):
    """Somebody else sets a field that is to be written: `owners` are each field and who that is."""

    def __init__(self, sentence: str, owners: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(sentence)
        self.owners = owners


class OutOfReach(Exception):
    """What should answer does not."""


class Right(Enum):
    """What the console asks before it answers: a verb on a virtual subresource of our kinds."""

    SEE_QUEUE = ("get", ROUTES, "queue")
    CHANGE_QUEUE = ("update", ROUTES, "queue")
    DROP = ("delete", ROUTES, "queue")
    EXPLAIN = ("create", ROUTES, "explain")
    SEE_STUDIES = ("get", ROUTES, "studies")
    ERASE = ("delete", ROUTES, "studies")
    TEST_TARGET = ("create", TARGETS, "test")
    TEST_NODE = ("create", NODES, "test")
    AUDIT = ("get", ROUTES, "audit")
    SEE_IDENTIFIERS = ("get", ROUTES, "identifiers")
    RETRIEVE_TO = ("create", NODES, "query")
    EDIT_ROUTE = ("patch", ROUTES, "")
    EDIT_NODE = ("patch", NODES, "")
    EDIT_TARGET = ("patch", TARGETS, "")

    @property
    def sentence(self) -> str:
        """What somebody who lacks it asks an administrator for."""
        verb, resource, subresource = self.value
        return f"the right to {verb} {resource}{'/' if subresource else ''}{subresource} (group dicomroute.dev)"


class Source(Protocol):
    """What a person may see and do. All of it raises NotKnown and OutOfReach too."""

    async def person(self, secret: str, namespaces: Sequence[str]) -> Person:
        """Return whose credential this is. Raises NotKnown."""

    async def resources(self, person: Person, plural: str) -> list[Json]:
        """Return the resources of a kind, by namespace and name. Raises NotAllowed."""

    async def resource(self, person: Person, plural: str, namespace: str, name: str) -> Json:
        """Return one resource. Raises NotFound, NotAllowed."""

    async def may(self, person: Person, right: Right, namespace: str, name: str) -> bool:
        """Return whether a person has a right on a resource."""

    async def gateways(self, person: Person, namespace: str, name: str) -> list[GatewayAddress]:
        """Return the gateways of a route, with what they know the person by. Raises NotAllowed, NotFound."""

    async def apply(self, person: Person, document: Json, *, dry_run: bool) -> Json:
        """Write a resource by server-side apply, never forced; return it. Raises Conflict, Invalid, NotAllowed."""

    async def close(self) -> None:
        """Give connections back."""
