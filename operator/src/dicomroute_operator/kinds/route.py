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
        Column("Endpoint", "string", ".status.endpoints[0].address", "Address for modalities."),
        Column("Received", "integer", ".status.instances.receivedTotal", "Instances received so far."),
        Column("Owed", "integer", ".status.instances.owed", "Instances not yet delivered to every destination."),
        Column("DeadLettered", "integer", ".status.deliveries.deadLettered", "Deliveries that a destination refused."),
        Column("OpenStudies", "integer", ".status.studies.open", "Studies that are not complete.", 1),
        Column("Mode", "string", ".spec.mode", "What the route does as a whole.", 1),
        AGE,
    ),
)
