"""Renders the claims of the spool: what a StatefulSet says of them for ever, and how those that exist grow."""

from dicomroute_operator.api.gateway import Spool
from dicomroute_operator.api.inputs import Claim, RouteInputs
from dicomroute_operator.api.quantity import quantity_bytes

from . import names
from .objects import Manifest


def claim_templates(inputs: RouteInputs, default_class: str) -> list[Manifest]:
    """Return the claim templates of the StatefulSet.

    They can never be changed, so that those of a StatefulSet that exists are repeated as they are; a size that has
    grown since reaches the claims themselves.
    """
    spool = inputs.route.spec.gateway.spool
    if inputs.existing.claim_templates:
        return [dict(template) for template in inputs.existing.claim_templates]
    storage_class = storage_class_of(spool, default_class)
    spec: Manifest = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": spool.size}}}
    if storage_class is not None:
        spec["storageClassName"] = storage_class
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "spool", "labels": _labels(inputs)},
            "spec": spec,
        }
    ]


def storage_class_of(spool: Spool, default_class: str) -> str | None:
    """Return the storage class of a new claim; None is the cluster's default."""
    return spool.storage_class_name if spool.storage_class_name is not None else default_class or None


def claims(inputs: RouteInputs) -> tuple[Manifest, ...]:
    """Return the claims that exist and have to change: to the label of this route, or to a larger size.

    One that is as it should be is left alone: the scheduler writes to it too.
    """
    return tuple(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": claim.name,
                "namespace": inputs.route.metadata.namespace,
                "labels": _labels(inputs),
            },
            "spec": {"resources": {"requests": {"storage": _size(inputs, claim)}}},
        }
        for claim in inputs.existing.claims
        if claim.route_uid != inputs.route.metadata.uid or _size(inputs, claim) != claim.size
    )


def _labels(inputs: RouteInputs) -> dict[str, str]:
    meta = inputs.route.metadata
    return {names.ROUTE_LABEL: meta.name, names.ROUTE_UID_LABEL: meta.uid}


def _size(inputs: RouteInputs, claim: Claim) -> str:
    """Return the larger of the two sizes: an adopted claim may be larger than its new route asks for."""
    wanted = inputs.route.spec.gateway.spool.size
    return wanted if quantity_bytes(wanted) > quantity_bytes(claim.size) else claim.size
