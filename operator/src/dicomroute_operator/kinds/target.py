"""CloudTarget: nothing is made of it; its status says whether gateways reach it, and whether it knows them."""

from collections.abc import Mapping
from typing import Final

from dicomroute_operator.api.conditions import ResolvedRefs
from dicomroute_operator.api.inputs import RouteInputs
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.api.target import CloudTarget, CloudTargetStatus
from dicomroute_operator.checks.target import check_target
from dicomroute_operator.status.target import target_status

from .kind import AGE, READY, REASON, Column, Kind, Seen


def _concerns(route: DicomRoute, name: str, _labels: Mapping[str, str]) -> bool:
    return any((one.kind, one.name) == (CloudTarget.kind, name) for one in RouteInputs(route).called())


def _status(target: CloudTarget, seen: Seen) -> CloudTargetStatus | None:
    if seen.is_of_another:  # of a target that routes of another operator use, that one hears
        return None
    return target_status(target, check_target(target, seen.machine_identities), seen.said(), seen.now)


CLOUD_TARGET: Final = Kind(
    CloudTarget,
    "cloudtargets",
    "ctarget",
    (
        READY,
        REASON,
        Column("URL", "string", ".spec.url", "Base URL of the DICOMweb service."),
        Column("Auth", "string", ".spec.auth.type", "How requests are authenticated.", 1),
        AGE,
    ),
    concerns=_concerns,
    findings=check_target,
    status=_status,
    not_found=ResolvedRefs.TARGET_NOT_FOUND,
)
