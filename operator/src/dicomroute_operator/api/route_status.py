"""The status of a DicomRoute: its conditions, its endpoints, and what it has received, owes and has delivered."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from .meta import Conditions, Model, keyed_by

Time = Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"})]
Name = Annotated[str, Field(max_length=253)]
Count = Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})]


class Endpoint(Model):
    """Where modalities reach a listener."""

    listener: Annotated[str, Field(max_length=15)] = Field(description="Name of the listener.")
    address: Name = Field(description="Address of the Service.")
    port: int = Field(ge=1, le=65535, description="Port of the Service.")


class Instances(Model):
    """Instances, each counted once; receivedTotal is the sum of the others."""

    received_total: Count = Field(default=0, description="All that were ever accepted or discarded.")
    owed: Count = Field(default=0, description="Those that somebody is still to get.")
    dead_lettered: Count = Field(default=0, description="Those that a destination refused for their content.")
    skipped_total: Count = Field(default=0, description="Those of which a delivery was given up.")
    delivered_total: Count = Field(default=0, description="Those that every destination has.")
    discarded_total: Count = Field(default=0, description="Those that were not kept, as the route or a person said.")


class Deliveries(Model):
    """Deliveries by state: one instance owed to one destination each."""

    pending: Count = Field(default=0, description="Waiting for an attempt or under way.")
    unconfirmed: Count = Field(default=0, description="Sent, and not confirmed yet by a destination that is asked.")
    held: Count = Field(default=0, description="Held by the configuration, a rule's error or for want of a rule.")
    skipped: Count = Field(default=0, description="Those that were given up.")
    dead_lettered: Count = Field(default=0, description="Refused for their content.")
    delivered_total: Count = Field(default=0, description="Those that were made.")


MOST_MESSAGE_CHARACTERS: Final = 512


def _cut(message: object) -> object:
    """Return a sentence of a gateway as far as a status has room for it."""
    return message[:MOST_MESSAGE_CHARACTERS] if isinstance(message, str) else message


class LastError(Model):
    """The last fault of a destination."""

    reason: Annotated[str, Field(max_length=128)] = Field(description="Why, in one word.")
    status: int | None = Field(default=None, ge=0, le=65535, description="HTTP status or DICOM failure reason.")
    message: Annotated[str, BeforeValidator(_cut), Field(max_length=MOST_MESSAGE_CHARACTERS)] = Field(
        default="", description="What happened, and what to do, in a sentence."
    )
    time: Time = Field(description="When that was.")


class DestinationStatus(Deliveries):
    """The deliveries to one destination."""

    kind: Annotated[str, Field(max_length=63)] = Field(description="Kind of the destination.")
    name: Name = Field(description="Name of the destination.")
    last_error: LastError | None = Field(default=None, description="The last fault.")
    paused_reason: Annotated[str, Field(max_length=128)] | None = Field(
        default=None,
        description="Why it takes nothing as it or its target is configured, in one word; absent while it may.",
    )
    paused_time: Time | None = Field(default=None, description="Since when that is so.")
    not_ready_reason: Annotated[str, Field(max_length=128)] | None = Field(
        default=None,
        description="Why it does not work, as the gateway's last probe found, in one word; absent while it does. The "
        "conditions of the CloudTarget say more.",
    )


class ClaimState(StrEnum):
    """How a claim stands."""

    PENDING = "Pending"
    BOUND = "Bound"
    LOST = "Lost"
    TERMINATING = "Terminating"


Amount = Annotated[str, Field(max_length=32)]


class ClaimStatus(Model):
    """The claim of a spool, as it is."""

    name: Name = Field(description="Name of the PersistentVolumeClaim.")
    state: ClaimState = Field(
        description="Pending: it has no volume yet. Bound. Lost: its volume is gone. Terminating: it is being deleted, "
        "and its volume goes with the pod that has it."
    )
    requested: Amount = Field(description="The size that it asks for.")
    capacity: Amount | None = Field(default=None, description="The size that its volume has; absent without one.")
    storage_class_name: Name | None = Field(default=None, description="The storage class that it asks for.")
    left_over: bool = Field(
        default=False,
        description="Whether no pod of the route uses it: its pod is gone by scaling, or it is of a deleted route of "
        "this name.",
    )


class DicomRouteStatus(Model):
    """How a route stands."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="The metadata.generation that this status speaks of."
    )
    conditions: Conditions = Field(default=[], description="How the route stands: see docs/conditions.md.")
    endpoints: Annotated[list[Endpoint], Field(max_length=64, json_schema_extra=keyed_by("listener", "address"))] = (
        Field(default=[], description="Where modalities connect.")
    )
    claims: Annotated[list[ClaimStatus], Field(max_length=16, json_schema_extra=keyed_by("name"))] = Field(
        default=[], description="The claims that carry the route's label, those of its pods first."
    )
    instances: Instances | None = Field(default=None, description="Instances by outcome.")
    deliveries: Deliveries | None = Field(default=None, description="Deliveries by state.")
    oldest_owed_time: Time | None = Field(default=None, description="When the oldest instance that is owed came.")
    observed_time: Time | None = Field(default=None, description="When the numbers here last changed.")
    destinations: Annotated[
        list[DestinationStatus], Field(max_length=1024, json_schema_extra=keyed_by("kind", "name"))
    ] = Field(default=[], description="Deliveries by destination.")
