"""What the claims of a route's spool are like, and what of it a person should know."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from dicomroute_operator.api.conditions import Programmed
from dicomroute_operator.api.meta import Condition
from dicomroute_operator.api.quantity import quantity_bytes
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.api.route_status import ClaimState, ClaimStatus
from dicomroute_operator.api.spool_conditions import SpoolAtRisk, SpoolResizing
from dicomroute_operator.render import names
from dicomroute_operator.render.claims import storage_class_of

from .conditions import condition
from .observed import RouteSeen

Claim = dict[str, Any]

_RESIZE_FAILED: Final = ("ControllerResizeError", "NodeResizeError")
MOST_CLAIMS: Final = 16


def claim_statuses(route: DicomRoute, seen: RouteSeen) -> list[ClaimStatus]:
    """Return how the claims that carry the route's label are, those that its pods use first."""
    used = _used(route)
    claims = sorted(seen.claims, key=lambda one: (one["metadata"]["name"] not in used, one["metadata"]["name"]))
    return [_status(route, claim, used) for claim in claims[:MOST_CLAIMS]]


def claim_conditions(route: DicomRoute, seen: RouteSeen, owed: int | None) -> list[Condition]:
    """Return what is wrong with the claims; `owed` instances are on them, None: nobody knows."""
    found = [*_at_risk(route, seen, owed), *_resizing(route, seen)]
    return list({one.type: one for one in reversed(found)}.values())  # the first of each type


def class_changed(route: DicomRoute, seen: RouteSeen) -> Condition | None:
    """Return what to do where the class of a spool was mistyped: what a StatefulSet says of its claims never changes.

    It may have been corrected by another name or by none, which is the default.
    The operator may delete neither StatefulSets nor claims, which hold what was acknowledged.
    """
    wanted = storage_class_of(route.spec.gateway.spool, seen.default_storage_class)
    name = route.metadata.name
    templates = seen.stateful_set["spec"].get("volumeClaimTemplates", []) if seen.stateful_set is not None else []
    made_for = next((one["spec"].get("storageClassName") for one in templates), None)
    if not templates or made_for == wanted:
        return None
    if any(claim.get("status", {}).get("capacity") for claim in seen.claims):
        return None  # a claim that was adopted stays of the class that it has
    message = (
        f"the claim was created for {_class(made_for)}, has no volume, and cannot be changed: run `kubectl "
        f"-n {route.metadata.namespace} delete --wait=false statefulset/{names.gateway(name)} "
        f"pvc/{names.claim(name, 0)}`, and the operator creates both again with {_class(wanted)}; nothing is lost"
    )
    return condition(Programmed.SPOOL_CLASS_CHANGED, False, message)


def _class(name: str | None) -> str:
    return f"the storage class {name}" if name is not None else "the cluster's default storage class"


def _status(route: DicomRoute, claim: Claim, used: set[str]) -> ClaimStatus:
    spec, status, meta = claim["spec"], claim.get("status", {}), claim["metadata"]
    state = ClaimState.TERMINATING if meta.get("deletionTimestamp") else ClaimState(status.get("phase", "Pending"))
    return ClaimStatus(
        name=meta["name"],
        state=state,
        requested=str(spec["resources"]["requests"]["storage"]),
        capacity=str(found) if (found := status.get("capacity", {}).get("storage")) else None,
        storage_class_name=spec.get("storageClassName"),
        left_over=meta["name"] not in used or not _is_of(route, claim),
    )


def _at_risk(route: DicomRoute, seen: RouteSeen, owed: int | None) -> Iterator[Condition]:
    used = _used(route)
    for claim in seen.claims:
        meta, is_used = claim["metadata"], claim["metadata"]["name"] in used
        if meta.get("deletionTimestamp") and owed != 0:
            many = "an unknown number of instances" if owed is None else f"{owed} instances"
            message = (
                f"the claim {meta['name']} is being deleted while {many} in it are still owed. The cluster removes its "
                "volume as soon as its pod stops, for whatever reason. The deletion cannot be undone: set the reclaim "
                "policy of its volume to Retain now, and let the route deliver. See docs/runbooks/spool-claim.md"
            )
            yield condition(SpoolAtRisk.CLAIM_TERMINATING, True, message)
        elif claim.get("status", {}).get("phase") == "Lost":
            message = f"the claim {meta['name']} has lost its volume{seen.sentence_of(claim)}"
            yield condition(SpoolAtRisk.CLAIM_LOST, True, message)
        elif not is_used and _is_of(route, claim):
            message = (
                f"the claim {meta['name']} belongs to a pod that the route no longer has, and may contain instances "
                "that were never delivered: see docs/runbooks/spool-claim.md"
            )
            yield condition(SpoolAtRisk.CLAIM_LEFT_OVER, True, message)


def _resizing(route: DicomRoute, seen: RouteSeen) -> Iterator[Condition]:
    wanted = route.spec.gateway.spool.size
    for claim in seen.claims:
        name, status = claim["metadata"]["name"], claim.get("status", {})
        requested = claim["spec"]["resources"]["requests"]["storage"]
        capacity = status.get("capacity", {}).get("storage")
        if name not in _used(route) or not capacity:
            continue
        sizes = f"the claim {name} asks for {requested} and its volume has {capacity}"
        told = {one.get("type"): one.get("message", "") for one in status.get("conditions", [])}
        failed = next((kind for kind in _RESIZE_FAILED if kind in told), None)
        if seen.apply_error and quantity_bytes(wanted) > quantity_bytes(str(requested)):
            message = (
                f"the spool should have {wanted}, but the claim {name} stays at {requested}, because its storage class "
                f"does not allow expansion: set gateway.spool.size to {capacity}, or to the size of the claim, or use "
                "a new route with another class. The condition Programmed contains the API server's message"
            )
            yield condition(SpoolResizing.CANNOT_GROW, True, message)
        elif quantity_bytes(str(requested)) <= quantity_bytes(str(capacity)):
            continue
        elif failed is not None:
            yield condition(SpoolResizing.RESIZE_FAILED, True, f"{sizes}: {told[failed] or seen.sentence_of(claim)}")
        elif "FileSystemResizePending" in told:
            message = (
                f"{sizes}: the Kubernetes node grows the file system at the next start of the pod: restart the pod"
            )
            yield condition(SpoolResizing.FILE_SYSTEM_RESIZE_PENDING, True, message)
        else:
            message = (
                f"{sizes}: the volume is waiting to be resized{seen.sentence_of(claim)}. Some storage resizes a volume "
                "only while no pod uses it: in that case set gateway.replicas to 0 and back"
            )
            yield condition(SpoolResizing.RESIZE_PENDING, True, message)


def _used(route: DicomRoute) -> set[str]:
    return {names.claim(route.metadata.name, ordinal) for ordinal in range(max(1, route.spec.gateway.replicas))}


def _is_of(route: DicomRoute, claim: Claim) -> bool:
    return bool(claim["metadata"].get("labels", {}).get(names.ROUTE_UID_LABEL) == route.metadata.uid)


def troubled_claims(claims: Sequence[Claim]) -> list[Claim]:
    """Return the claims that something keeps from being what they should be."""

    def is_troubled(claim: Claim) -> bool:
        status = claim.get("status", {})
        capacity = status.get("capacity", {}).get("storage")
        requested = claim["spec"]["resources"]["requests"]["storage"]
        return bool(
            status.get("phase") != "Bound"
            or (capacity and quantity_bytes(str(requested)) > quantity_bytes(str(capacity)))
        )

    return [claim for claim in claims if is_troubled(claim)]
