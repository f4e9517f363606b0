"""What becomes of an instance as a whole: what may carry names in pixels or documents is withheld by default. Pure.

Rules of the profile come first, the first that fits counts. Burned In Annotation (0028,0301) NO is not believed for
ultrasound, secondary captures and photographs, as devices write it without looking.
"""

import itertools
from collections.abc import Collection
from typing import Final

from dicomroute_gateway.configuration.profile import ObjectAction, ObjectRule, Option, Region
from dicomroute_gateway.reasons import Reason

from .plan import Plan
from .subject import Subject
from .withheld import Withheld

_ROOT: Final = "1.2.840.10008.5.1.4.1.1."
_PASSED: Final = frozenset(
    _ROOT + one
    for one in (
        *("1", "1.1", "1.1.1", "1.2", "1.2.1", "1.3", "1.3.1", "2", "2.1", "2.2", "4", "4.1", "4.2", "4.3", "4.4"),
        *("12.1", "12.1.1", "12.2", "12.2.1", "12.3", "13.1.1", "13.1.2", "13.1.3", "13.1.4", "13.1.5", "14.1"),
        *("14.2", "20", "30", "66.1", "66.2", "66.3", "66.4", "66.5", "67", "68.1", "68.2", "128", "130"),
        *("128.1", "77.1.5.4", "77.1.5.7", "77.1.5.8", "481.1", "481.2", "481.3", "481.4", "481.5", "481.6", "481.7"),
        *("481.8", "481.9", "481.10", "481.11", "481.12", "481.13", "481.14", "481.15", "481.16", "481.17"),
        *("481.18", "481.19", "481.20", "481.21", "481.23", "77.1.6"),
    )
)
"""SOP classes whose pixels and values come from a detector or an algorithm; text is in attributes alone."""
_REPORTS: Final = _ROOT + "88."
_PRESENTATIONS: Final = _ROOT + "11."
_UNBELIEVED: Final = (_ROOT + "3.1", _ROOT + "6.1", _ROOT + "6.2", _ROOT + "7", _ROOT + "77.1.")
_SCREENS: Final = frozenset(("SCREEN SAVE", "SCREENSAVE", "SAVE", "REPORT", "DOSE", "DOSE_INFO", "LABEL", "OVERVIEW"))


def judge(plan: Plan, subject: Subject) -> tuple[Region, ...] | None:
    """Return the regions to mask, None to pass the pixels as they are. Raises Withheld."""
    profile = plan.profile
    if profile.hold:
        raise Withheld(Reason.ON_HOLD, f"profile {profile.name} is on hold: set hold to false to continue")
    rule = next((one for one in profile.objects if _fits(one, subject)), None)
    if rule is None:
        _by_default(plan, subject)
        return None
    if rule.action is ObjectAction.QUARANTINE:
        raise Withheld(Reason.QUARANTINED_BY_RULE, f"object rule {rule.name} withholds the instance")
    if rule.action is ObjectAction.PASS:
        return None
    regions = list(rule.regions)
    if rule.outside_ultrasound_regions:
        regions += _outside(subject, rule.name)
    return tuple(regions)


def _by_default(plan: Plan, subject: Subject) -> None:
    sop_class = subject.text(0x00080016)
    hint = "add an object rule for such instances to the profile"
    if subject.text(0x00280301).upper() == "YES":
        raise Withheld(Reason.MAY_SHOW_NAMES, f"Burned In Annotation (0028,0301) is YES: {hint}")
    if sop_class.startswith(_UNBELIEVED) and sop_class not in _PASSED:
        raise Withheld(Reason.MAY_SHOW_NAMES, f"pixels of SOP class {sop_class} often show names: {hint}")
    if _SCREENS & {one.upper() for one in subject.texts(0x00080008)}:
        raise Withheld(Reason.MAY_SHOW_NAMES, f"Image Type (0008,0008) is that of a screen or label: {hint}")
    if subject.text(0x0008103E).casefold() == "dose report":
        raise Withheld(Reason.MAY_SHOW_NAMES, f"Series Description (0008,103E) is that of a screen: {hint}")
    if sop_class.startswith(_REPORTS) and _has(plan, Option.CLEAN_STRUCTURED_CONTENT):
        return
    if sop_class.startswith(_PRESENTATIONS) and _has(plan, Option.CLEAN_GRAPHICS):
        return
    if sop_class not in _PASSED:
        name = f"SOP class {sop_class}" if sop_class else "an instance without SOP Class UID (0008,0016)"
        raise Withheld(Reason.MAY_CONTAIN_NAMES, f"{name} may contain names in text, sound or documents: {hint}")


def _has(plan: Plan, option: Option) -> bool:
    return option in plan.options


def _fits(rule: ObjectRule, subject: Subject) -> bool:
    """Return whether all conditions of a rule hold; one that names nothing always does."""
    return (
        _is_one_of(subject.text(0x00080016), rule.sop_class_uids)
        and _is_one_of(subject.text(0x00080060), rule.modalities)
        and _is_one_of(subject.text(0x00080070), rule.manufacturers)
        and _is_one_of(subject.text(0x00081090), rule.models)
        and (not rule.image_types or bool(set(rule.image_types) & set(subject.texts(0x00080008))))
        and rule.rows in (0, subject.number(0x00280010))
        and rule.columns in (0, subject.number(0x00280011))
    )


def _is_one_of(value: str, values: Collection[str]) -> bool:
    return not values or value in values


def _outside(subject: Subject, rule: str) -> list[Region]:
    """Return rectangles that cover all but the ultrasound regions (PS3.3 C.8.5.5). Raises Withheld without any."""
    columns, rows = subject.number(0x00280011), subject.number(0x00280010)
    inner = [
        (left, top, min(right + 1, columns), min(bottom + 1, rows))
        for left, top, right, bottom in subject.ultrasound_regions
        if left <= right and top <= bottom and left < columns and top < rows
    ]
    if not inner:
        raise Withheld(
            Reason.CANNOT_BE_MASKED,
            f"object rule {rule} keeps ultrasound regions, but the instance has no Sequence of Ultrasound Regions "
            "(0018,6011)",
        )
    found = []
    edges = sorted({0, rows, *(one[1] for one in inner), *(one[3] for one in inner)})
    for top, bottom in itertools.pairwise(edges):
        at = 0
        for left, _, right, _ in sorted(one for one in inner if one[1] <= top and one[3] >= bottom):
            if left > at:
                found.append(Region(left=at, top=top, width=left - at, height=bottom - top))
            at = max(at, right)
        if at < columns:
            found.append(Region(left=at, top=top, width=columns - at, height=bottom - top))
    return found
