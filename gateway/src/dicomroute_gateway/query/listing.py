"""Lists what is in the scope of a retrieval at an origin server, with as few searches as it takes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from dicomroute_gateway.decoded import Attributes, Element, Level

from .archive import Check, InstanceReference, Scope

_PATIENT_ID: Final = 0x00100020
_STUDY: Final = 0x0020000D
_SERIES: Final = 0x0020000E
_SOP_INSTANCE: Final = 0x00080018
_SOP_CLASS: Final = 0x00080016
_AVAILABLE_TRANSFER_SYNTAXES: Final = 0x00083002

Matches = Callable[[Level, Attributes, Check, float], Iterator[Sequence[Attributes]]]
"""Searches for what matches keys at a level, within a time-out a page."""
Remember = Callable[[tuple[str, ...], int], None]
"""Notes how many instances a study, or a series in it, has."""


class Listing:
    """Lists the instances in a scope."""

    def __init__(self, matches: Matches, remember: Remember, check: Check, timeout_seconds: float) -> None:
        self._matches = matches
        self._remember = remember
        self._check = check
        self._timeout_seconds = timeout_seconds

    def pages(self, scope: Scope) -> Iterator[Sequence[InstanceReference]]:
        """Yield them page by page."""
        named = tuple(map(frozenset, (scope.study_instance_uids, scope.series_instance_uids, scope.sop_instance_uids)))
        for study, series in self._places(scope):
            for page in self._of(study, series, scope):
                yield [
                    one for one in page if all(not of or uid in of for of, uid in zip(named, _uids(one), strict=True))
                ]

    def _places(self, scope: Scope) -> Iterator[tuple[str, str]]:
        """Yield the studies and series to look into; "" for all there are."""
        studies, series = scope.study_instance_uids, scope.series_instance_uids
        if scope.patient_id:
            yield from ((study, "") for study in self._of_patient(scope.patient_id, studies))
        elif len(studies) == 1 and series:
            yield from ((studies[0], one) for one in series)
        elif studies:
            yield from ((study, "") for study in studies)
        elif series:
            for found in self._search(Level.SERIES, {_SERIES: Element("UI", series)}):
                yield found[_STUDY].text, found[_SERIES].text
        else:
            yield "", ""

    def _of_patient(self, patient_id: str, studies: Sequence[str]) -> Iterator[str]:
        keys = {_PATIENT_ID: Element("LO", (patient_id,)), _STUDY: Element("UI", tuple(studies))}
        for found in self._search(Level.STUDY, keys):
            is_theirs = _PATIENT_ID in found and found[_PATIENT_ID].text.strip() == patient_id.strip()
            if is_theirs and (not studies or found[_STUDY].text in studies):
                yield found[_STUDY].text

    def _of(self, study: str, series: str, scope: Scope) -> Iterator[Sequence[InstanceReference]]:
        """Yield the instances of a study or series; of all, those that are named."""
        uids = scope.sop_instance_uids
        keys = {_SOP_CLASS: Element("UI")}
        keys |= {tag: Element("UI", (uid,)) for tag, uid in ((_STUDY, study), (_SERIES, series)) if uid}
        # Of more than a few named ones, all that there are take fewer requests.
        is_named = bool(uids) and (not study or len(uids) == 1)
        if is_named:
            keys[_SOP_INSTANCE] = Element("UI", uids)
        counts: dict[tuple[str, str], int] = {}
        for page in self._matches(Level.IMAGE, keys, self._check, self._timeout_seconds):
            found = [_reference(one) for one in page]
            for one in found:
                of_series = (one.study_instance_uid, one.series_instance_uid)
                counts[of_series] = counts.get(of_series, 0) + 1
            yield found
        if study and not is_named:
            for of_series, count in counts.items():
                self._remember(of_series, count)
            if not series:
                self._remember((study,), sum(counts.values()))

    def _search(self, level: Level, keys: Attributes) -> Iterable[Attributes]:
        for page in self._matches(level, keys, self._check, self._timeout_seconds):
            yield from page


def _reference(match: Attributes) -> InstanceReference:
    syntaxes = match.get(_AVAILABLE_TRANSFER_SYNTAXES)
    return InstanceReference(
        match[_STUDY].text,
        match[_SERIES].text,
        match[_SOP_INSTANCE].text,
        match[_SOP_CLASS].text if _SOP_CLASS in match else "",
        syntaxes.values if syntaxes is not None else (),
    )


def _uids(one: InstanceReference) -> tuple[str, str, str]:
    return one.study_instance_uid, one.series_instance_uid, one.sop_instance_uid
