"""What a route says of storage commitment: whom it promises that instances are kept, and on which grounds."""

from typing import Annotated

from pydantic import Field

from .delivery import Destination
from .meta import SET, Model, keyed_by

ListenerName = Annotated[str, Field(min_length=1, max_length=15)]


class StorageCommitment(Model):
    """Promises those who ask that instances are kept, once their destinations have them (PS3.4 annex J)."""

    listeners: Annotated[list[ListenerName], Field(min_length=1, max_length=8, json_schema_extra=SET)] = Field(
        description="The listeners that take requests for storage commitment. A node reports are sent to needs a host."
    )
    destinations: Annotated[list[Destination], Field(max_length=16, json_schema_extra=keyed_by("kind", "name"))] = (
        Field(
            default=[],
            description="Who has to have an instance, as it came and confirmed, before it is committed to. Do not name "
            "one that drops attributes, or that people delete from. Empty: all that the rules named for the instance "
            "and that are required.",
        )
    )
    wait_seconds: int = Field(
        default=86_400,
        ge=1,
        le=604_800,
        description="How long a request stays open for instances that are not delivered yet; after that they are "
        "reported as failed, 0110, and may be asked for again.",
    )
    same_association_seconds: int = Field(
        default=10,
        ge=0,
        le=300,
        description="How long a report may still go out on the association of its request, while that is idle. 0: it "
        "always goes out on one that the gateway opens.",
    )
    report_for_seconds: int = Field(
        default=86_400, ge=60, le=604_800, description="How long a report is tried that nobody takes."
    )
