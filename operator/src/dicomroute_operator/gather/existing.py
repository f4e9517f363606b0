"""Reads from objects as they are what a route already has in the cluster."""

from collections.abc import Iterable, Mapping
from typing import Any

from dicomroute_operator.api.inputs import Claim, exclusive, may_share_address
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.render import names

Object = dict[str, Any]


def claims_of(route: DicomRoute, claims: Iterable[Object]) -> tuple[Claim, ...]:
    """Return those claims that the route's pods would use, by their names, whoever they belonged to."""
    wanted = {names.claim(route.metadata.name, ordinal) for ordinal in range(max(1, route.spec.gateway.replicas))}
    return tuple(
        Claim(
            name=claim["metadata"]["name"],
            route_uid=claim["metadata"].get("labels", {}).get(names.ROUTE_UID_LABEL, ""),
            size=claim["spec"]["resources"]["requests"]["storage"],
        )
        for claim in sorted(claims, key=lambda one: str(one["metadata"]["name"]))
        if claim["metadata"]["name"] in wanted
    )


def claim_templates_of(stateful_set: Object | None) -> tuple[Mapping[str, Any], ...]:
    """Return the claim templates of a StatefulSet, without what the API server has added."""
    if stateful_set is None:
        return ()
    return tuple(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {key: one["metadata"][key] for key in ("name", "labels") if key in one["metadata"]},
            "spec": {
                key: one["spec"][key] for key in ("accessModes", "resources", "storageClassName") if key in one["spec"]
            },
        }
        for one in stateful_set["spec"].get("volumeClaimTemplates", [])
    )


def image_of(stateful_set: Object | None) -> str:
    """Return the image that was asked for a StatefulSet, or nothing without one.

    A webhook that knows mirrors may run another in its place. A release that did not write down what it asked for left
    the image alone.
    """
    if stateful_set is None:
        return ""
    asked = stateful_set["metadata"].get("annotations", {}).get(names.IMAGE_ANNOTATION)
    return str(asked or stateful_set["spec"]["template"]["spec"]["containers"][0]["image"])


def is_rolled_out(stateful_set: Object | None) -> bool:
    """Whether every pod of a StatefulSet is of its newest version and ready."""
    if stateful_set is None:
        return False
    status, wanted = stateful_set.get("status", {}), stateful_set["spec"].get("replicas", 1)
    return bool(
        status.get("observedGeneration") == stateful_set["metadata"].get("generation")
        and status.get("updatedReplicas", 0) == wanted
        and status.get("readyReplicas", 0) == wanted
    )


def rivals_of(route: DicomRoute, routes: Iterable[DicomRoute]) -> dict[str, str]:
    """Return what older routes of the cluster have for themselves, to the name of the oldest that asks for it."""
    if not exclusive(route):
        return {}
    older = sorted((one for one in routes if _age(one) < _age(route)), key=_age, reverse=True)
    return {
        claim: f"{one.metadata.namespace}/{one.metadata.name}"
        for one in older
        for _, claim in exclusive(one)
        if not (claim.startswith("address ") and may_share_address(route, one))
    }


def _age(route: DicomRoute) -> tuple[str, str, str]:
    """Older routes come first, then those with the smaller name, as the Gateway API has it."""
    meta = route.metadata
    return meta.creation_timestamp, meta.namespace, meta.name
