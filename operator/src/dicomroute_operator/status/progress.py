"""Whether the newest version of a manifest is in effect, in the words of kstatus: for machines that wait for it."""

from collections.abc import Sequence
from typing import Final

from dicomroute_operator.api.conditions import Accepted, Programmed, Ready, Reconciling, Stalled
from dicomroute_operator.api.meta import Condition

from .conditions import condition

_ON_THE_WAY: Final = frozenset(
    (
        *((Programmed.__name__, str(reason)) for reason in (Programmed.PENDING, Programmed.STATUS_STALE)),
        *((Ready.__name__, str(reason)) for reason in (Ready.STARTING, Ready.TERMINATING, Ready.POD_MISSING)),
    )
)

_NOTE: Final = "this version of the manifest is not in effect"


def with_progress(conditions: Sequence[Condition]) -> list[Condition]:
    """Return the conditions with one that says whether the manifest is in effect, if it is not; and Ready says so too.

    A route that receives by an older version is Ready: who reads that alone is told in its message.
    """
    stalled = next((one for one in conditions if _stalls(one)), None)
    if stalled is not None:
        short = f"{_NOTE}: {stalled.type} is False, {stalled.reason}"
        message = f"{short}: {stalled.message}"
        return [*(_noted(one, short) for one in conditions), condition(Stalled.NOT_IN_EFFECT, True, message)]
    awaited = next((one for one in conditions if (one.type, one.reason) in _ON_THE_WAY), None)
    if awaited is not None:
        return [*conditions, condition(Reconciling.PROGRESSING, True, f"{awaited.type}: {awaited.message}")]
    return list(conditions)


def _stalls(one: Condition) -> bool:
    if one.status != "False" or (one.type, one.reason) in _ON_THE_WAY:
        return False
    return one.type in (Accepted.__name__, Programmed.__name__)


def _noted(one: Condition, sentence: str) -> Condition:
    if one.type != Ready.__name__ or one.status != "True":
        return one
    said, _, _ = one.message.partition(f"; {_NOTE}")  # of a condition that stays as it was known
    return one.model_copy(update={"message": f"{said}; {sentence}"})
