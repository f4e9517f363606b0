"""DeidentificationProfile: nothing is made of it; its status says what it comes to."""

from collections.abc import Mapping
from typing import Final

from dicomroute_operator.api.conditions import ResolvedRefs
from dicomroute_operator.api.profile import DeidentificationProfile, DeidentificationProfileStatus
from dicomroute_operator.api.route import DicomRoute
from dicomroute_operator.checks.profile import check_profile
from dicomroute_operator.status.conditions import first_of_each_type, settle
from dicomroute_operator.status.progress import with_progress

from .kind import AGE, Column, Kind, Seen


def _concerns(route: DicomRoute, name: str, _labels: Mapping[str, str]) -> bool:
    return any(rule.deidentify is not None and rule.deidentify.name == name for rule in route.spec.rules)


def _status(profile: DeidentificationProfile, seen: Seen) -> DeidentificationProfileStatus:
    before = profile.status.conditions if profile.status is not None else []
    generation, stamp = profile.metadata.generation, seen.now.strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = settle(with_progress(first_of_each_type(check_profile(profile))), before, generation, stamp)
    return DeidentificationProfileStatus(observed_generation=generation, conditions=conditions)


DEIDENTIFICATION_PROFILE: Final = Kind(
    DeidentificationProfile,
    "deidentificationprofiles",
    "dprofile",
    (
        Column("Edition", "string", ".spec.edition", "Edition of PS3.15."),
        Column("Options", "string", ".spec.options", "Options in addition to the Basic Profile."),
        Column("Hold", "boolean", ".spec.hold", "Whether the profile withholds everything."),
        AGE,
    ),
    concerns=_concerns,
    findings=check_profile,
    status=_status,
    not_found=ResolvedRefs.PROFILE_NOT_FOUND,
)
