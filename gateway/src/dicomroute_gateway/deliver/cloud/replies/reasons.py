"""What Failure Reasons (0008,1197) mean, one table a provider. Pure.

The standard's codes are those of PS3.18 table I.2-2 and PS3.4 table B.2-1. What a provider documents beside them, or
otherwise than they do, is in its own table, which is asked first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from dicomroute_gateway.configuration.destinations import AnswerCodes, CloudTargetDestination, Provider
from dicomroute_gateway.deliver.outcome import Verdict
from dicomroute_gateway.reasons import Reason


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a failure reason says of an instance, and the word that a person is shown."""

    verdict: Verdict
    name: Reason


@dataclass(frozen=True, slots=True)
class Reading:
    """How the answers of a target are read.

    `conflict_may_be_duplicate`: a conflict (409) that its body does not explain may be an instance of the same UID
    with other content.
    """

    codes: Mapping[int, Meaning] = field(default_factory=dict)
    conflict_may_be_duplicate: bool = False

    def meaning(self, reason: int) -> Meaning:
        """Return what a failure reason means; one that nobody knows is doubtful."""
        found = self.codes.get(reason) or _STANDARD.get(reason)
        if found is not None:
            return found
        for mask, prefix, meaning in _STANDARD_RANGES:
            if reason & mask == prefix:
                return meaning
        return PROCESSING_FAILURE


PROCESSING_FAILURE: Final = Meaning(Verdict.DOUBTFUL, Reason.PROCESSING_FAILURE)
_EXISTS: Final = Meaning(Verdict.DUPLICATE, Reason.INSTANCE_EXISTS)

_STANDARD: Final[Mapping[int, Meaning]] = {
    0x0110: PROCESSING_FAILURE,
    0x0111: _EXISTS,  # Duplicate SOP Instance (PS3.7 annex C)
    0x0122: Meaning(Verdict.REFUSED, Reason.SOP_CLASS_NOT_SUPPORTED),
    0x0124: Meaning(Verdict.RETRY, Reason.NOT_AUTHORIZED),  # (PS3.7 annex C); credentials never dead-letter
    0xC122: Meaning(Verdict.REFUSED, Reason.TRANSFER_SYNTAX_NOT_SUPPORTED),
    # Microsoft's numbers; no other server is known to give them another meaning.
    0xB00E: _EXISTS,
    0xB00F: Meaning(Verdict.RETRY, Reason.BEING_CREATED),
}
_STANDARD_RANGES: Final = (
    (0xFF00, 0xA700, Meaning(Verdict.RETRY, Reason.OUT_OF_RESOURCES)),
    (0xFF00, 0xA900, Meaning(Verdict.REFUSED, Reason.DATA_SET_DOES_NOT_MATCH_SOP_CLASS)),
    (0xF000, 0xC000, Meaning(Verdict.REFUSED, Reason.CANNOT_UNDERSTAND)),
)

_READINGS: Final[Mapping[Provider, Reading]] = {
    Provider.AZURE: Reading(
        {
            0x0111: Meaning(Verdict.RETRY, Reason.BLOB_NOT_FOUND),
            0xA900: Meaning(Verdict.REFUSED, Reason.VALIDATION_FAILED),
            0xA901: Meaning(Verdict.REFUSED, Reason.STUDY_MISMATCH),
        }
    ),
    # An identical instance is stored again with success; a 409 says neither of its two meanings by a code.
    Provider.GOOGLE: Reading(conflict_may_be_duplicate=True),
    Provider.AWS: Reading(),
    Provider.ORTHANC: Reading(),
    Provider.DCM4CHEE: Reading({0xA922: Meaning(Verdict.REFUSED, Reason.BULK_DATA_MISSING)}),
    Provider.GENERIC: Reading(),
}


def reading(target: CloudTargetDestination) -> Reading:
    """Return how the answers of a target are read: as its provider documents them, or as its manifest says."""
    known = _READINGS[target.provider]
    overridden = _overridden(target.answers)
    return Reading({**known.codes, **overridden}, known.conflict_may_be_duplicate) if overridden else known


def _overridden(answers: AnswerCodes) -> dict[int, Meaning]:
    classes = (
        (answers.permanent_reasons, Meaning(Verdict.REFUSED, Reason.REFUSED)),
        (answers.transient_reasons, Meaning(Verdict.RETRY, Reason.REFUSED_FOR_NOW)),
        (answers.duplicate_reasons, _EXISTS),
    )
    return {reason: meaning for reasons, meaning in classes for reason in reasons}
