"""The status of a DicomRoute: its conditions, its endpoints, and what it has received, owes and has delivered."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from .meta import Conditions, Model, keyed_by

Time = Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"})]
Name = Annotated[str, Field(max_length=253)]
Count = Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})]


class Endpoint(Model):
    """The address of a listener."""

    listener: Annotated[str, Field(max_length=15)] = Field(description="Name of the listener.")
    address: Name = Field(description="Address of the Service.")
    port: int = Field(ge=1, le=65535, description="Port of the Service.")


class Instances(Model):
    """Instances, each counted once. receivedTotal is the sum of the others."""

    received_total: Count = Field(default=0, description="Instances accepted or discarded so far.")
    owed: Count = Field(default=0, description="Instances not yet delivered to every destination.")
    dead_lettered: Count = Field(
        default=0, description="Instances that a destination refused because of their content."
    )
    skipped_total: Count = Field(default=0, description="Instances with a skipped delivery.")
    delivered_total: Count = Field(default=0, description="Instances that every destination has.")
    discarded_total: Count = Field(
        default=0, description="Instances that were not kept, by configuration or by a person."
    )


class Deliveries(Model):
    """Deliveries by state. A delivery is one instance for one destination."""

    pending: Count = Field(default=0, description="Waiting for an attempt or under way.")
    waiting: Count = Field(default=0, description="Waiting for their studies to be complete.")
    unconfirmed: Count = Field(default=0, description="Sent, but not yet confirmed by the destination.")
    held: Count = Field(
        default=0, description="Held by the configuration, by a rule's error, or because no rule matched."
    )
    skipped: Count = Field(default=0, description="Given up: skipped.")
    dead_lettered: Count = Field(default=0, description="Refused because of the content.")
    delivered_total: Count = Field(default=0, description="Delivered so far.")


class StudyCounts(Model):
    """Studies that the gateways follow."""

    open: Count = Field(default=0, description="Studies that are not complete.")


MOST_MESSAGE_CHARACTERS: Final = 512


def _cut(message: object) -> object:
    """Return a sentence of a gateway as far as a status has room for it."""
    return message[:MOST_MESSAGE_CHARACTERS] if isinstance(message, str) else message


class LastError(Model):
    """The last error of a destination."""

    reason: Annotated[str, Field(max_length=128)] = Field(description="Why, in one word.")
    status: int | None = Field(default=None, ge=0, le=65535, description="HTTP status or DICOM failure reason.")
    message: Annotated[str, BeforeValidator(_cut), Field(max_length=MOST_MESSAGE_CHARACTERS)] = Field(
        default="", description="What happened, and what to do, in one sentence."
    )
    time: Time = Field(description="Time of the error.")


class DestinationStatus(Deliveries):
    """The deliveries to one destination."""

    kind: Annotated[str, Field(max_length=63)] = Field(description="Kind of the destination.")
    name: Name = Field(description="Name of the destination.")
    last_error: LastError | None = Field(default=None, description="The last error.")
    paused_reason: Annotated[str, Field(max_length=128)] | None = Field(
        default=None,
        description=(
            "Why the destination refuses every delivery because of its configuration, in one word. Absent while it "
            "does not."
        ),
    )
    paused_time: Time | None = Field(default=None, description="Time since when it refuses every delivery.")
    not_ready_reason: Annotated[str, Field(max_length=128)] | None = Field(
        default=None,
        description=(
            "Why the destination does not work, as the gateway's last test found, in one word. Absent while it works. "
            "The conditions of the CloudTarget give details."
        ),
    )


class ClaimState(StrEnum):
    """State of a claim."""

    PENDING = "Pending"
    BOUND = "Bound"
    LOST = "Lost"
    TERMINATING = "Terminating"


Amount = Annotated[str, Field(max_length=32)]


class ClaimStatus(Model):
    """The claim of a spool."""

    name: Name = Field(description="Name of the PersistentVolumeClaim.")
    state: ClaimState = Field(
        description=(
            "Pending: the claim has no volume yet. Bound: it has a volume. Lost: its volume is gone. Terminating: it "
            "is being deleted, and its volume is removed when its pod stops."
        )
    )
    requested: Amount = Field(description="Requested size.")
    capacity: Amount | None = Field(default=None, description="Size of the volume. Absent without a volume.")
    storage_class_name: Name | None = Field(default=None, description="Requested storage class.")
    left_over: bool = Field(
        default=False,
        description=(
            "Whether no pod of the route uses the claim: the route was scaled down, or the claim belongs to a deleted "
            "route with this name."
        ),
    )


class DicomRouteStatus(Model):
    """State of a route."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="The metadata.generation that this status describes."
    )
    conditions: Conditions = Field(default=[], description="Conditions of the route: see docs/conditions.md.")
    endpoints: Annotated[list[Endpoint], Field(max_length=64, json_schema_extra=keyed_by("listener", "address"))] = (
        Field(default=[], description="Addresses for modalities.")
    )
    admin_certificate_sha256: Annotated[str, Field(max_length=64)] | None = Field(
        default=None,
        alias="adminCertificateSHA256",
        description=(
            "SHA-256 of the certificate of the gateways' admin API, in hexadecimal. Clients know the gateways by it."
        ),
    )
    claims: Annotated[list[ClaimStatus], Field(max_length=16, json_schema_extra=keyed_by("name"))] = Field(
        default=[], description="Claims with the route's label. The claims of its pods come first."
    )
    instances: Instances | None = Field(default=None, description="Instances by outcome.")
    deliveries: Deliveries | None = Field(default=None, description="Deliveries by state.")
    studies: StudyCounts | None = Field(
        default=None, description="Studies that are followed; absent where the route does not say when one is complete."
    )
    oldest_owed_time: Time | None = Field(default=None, description="Time when the oldest owed instance was received.")
    observed_time: Time | None = Field(default=None, description="Time when the numbers in this status last changed.")
    destinations: Annotated[
        list[DestinationStatus], Field(max_length=1024, json_schema_extra=keyed_by("kind", "name"))
    ] = Field(default=[], description="Deliveries by destination.")
