"""What a route says of storage commitment: whom it promises that instances are kept, and on which grounds."""

from typing import Annotated

from pydantic import Field

from .delivery import Destination
from .meta import SET, Model, keyed_by

ListenerName = Annotated[str, Field(min_length=1, max_length=15)]


class StorageCommitment(Model):
    """Commits to instances of requestors once their destinations have the instances (PS3.4 annex J)."""

    listeners: Annotated[list[ListenerName], Field(min_length=1, max_length=8, json_schema_extra=SET)] = Field(
        description=(
            "The listeners that accept requests for storage commitment. A node needs a host, because reports are sent "
            "to it."
        )
    )
    destinations: Annotated[list[Destination], Field(max_length=16, json_schema_extra=keyed_by("kind", "name"))] = (
        Field(
            default=[],
            description=(
                "The destinations that must have an unchanged instance, and have confirmed it, before the gateway "
                "commits to the instance. Do not name a destination that drops attributes, or where people delete "
                "instances. Empty: every required destination that the rules chose for the instance."
            ),
        )
    )
    wait_seconds: int = Field(
        default=86_400,
        ge=1,
        le=604_800,
        description=(
            "How long a request stays open while instances are not yet delivered. After that, they are reported as "
            "failed (0110), and the sender can ask again."
        ),
    )
    same_association_seconds: int = Field(
        default=10,
        ge=0,
        le=300,
        description=(
            "How long a report can be sent on the association of its request while that association is idle. 0: the "
            "gateway always opens an association for a report."
        ),
    )
    report_for_seconds: int = Field(
        default=86_400,
        ge=60,
        le=604_800,
        description="How long the gateway retries a report that its receiver does not take.",
    )
