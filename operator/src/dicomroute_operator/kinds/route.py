"""DicomRoute. It has a reconciler of its own (`reconcile.route`): much is made of it."""

from typing import Final

from dicomroute_operator.api.route import DicomRoute

from .kind import AGE, READY, REASON, Column, Kind

DICOM_ROUTE: Final = Kind(
    DicomRoute,
    "dicomroutes",
    "droute",
    (
        READY,
        REASON,
        Column("Endpoint", "string", ".status.endpoints[0].address", "Where modalities connect."),
        Column("Received", "integer", ".status.instances.receivedTotal", "Instances ever received."),
        Column("Owed", "integer", ".status.instances.owed", "Instances that somebody is still to get."),
        Column("DeadLettered", "integer", ".status.deliveries.deadLettered", "Deliveries that were refused."),
        Column("Mode", "string", ".spec.mode", "What the route does as a whole.", 1),
        AGE,
    ),
)
