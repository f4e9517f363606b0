"""The spool as an archive: what it holds at this moment, by its catalogue."""

from collections.abc import Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Final

from dicomroute_gateway.catalogue import keys
from dicomroute_gateway.catalogue.feed import Catalogue
from dicomroute_gateway.catalogue.index import Damaged, Index
from dicomroute_gateway.catalogue.keys import UNIQUE_KEYS, known_at
from dicomroute_gateway.decoded import Attributes, Element, Level
from dicomroute_gateway.reasons import Reason
from dicomroute_gateway.spool.records import Received
from dicomroute_gateway.spool.spool import Spool

from .archive import (
    ArchiveUnreachable,
    Check,
    Fetched,
    IndexIncomplete,
    InstanceReference,
    NotFetched,
    Query,
    Scope,
)
from .matching import Matcher, has_wild_card

NAME: Final = "Spool"
_PAGE: Final = 200
_SETTLE_SECONDS: Final = 1.0
"""How long a request waits for what was committed before it to be in the catalogue."""
_UIDS: Final = {
    keys.STUDY_INSTANCE_UID: attrgetter("study_instance_uid"),
    keys.SERIES_INSTANCE_UID: attrgetter("series_instance_uid"),
    keys.SOP_INSTANCE_UID: attrgetter("sop_instance_uid"),
}
"""The unique keys that are known of an instance before it is in the catalogue."""
_BEING_BUILT: Final = "the index of the spool is being built: retry"


class SpoolArchive:
    """Answers from what the spool holds."""

    name = NAME
    required = True

    def __init__(self, spool: Spool, catalogue: Catalogue) -> None:
        self._spool = spool
        self._catalogue = catalogue

    def known_keys(self, level: Level) -> frozenset[int] | None:
        """Return what the catalogue keeps of entities of a level."""
        return known_at(level)

    def find(self, query: Query) -> Iterator[Sequence[Attributes]]:
        """Yield what matches. Raises ArchiveFailed, and what the check of the query raises."""
        known = known_at(query.level)
        matched = {tag: key for tag, key in query.keys.items() if tag in known}
        counted = keys.COMPUTED[query.level]
        kept = {tag: key for tag, key in matched.items() if tag not in counted}
        matcher = Matcher(kept, has_combined_date_time=query.has_combined_date_time)
        of_counted = Matcher({tag: key for tag, key in matched.items() if tag in counted})
        named = {tag: key for tag, key in matched.items() if tag in UNIQUE_KEYS.values() and not has_wild_card(key)}
        is_complete = self._settle(named)  # if not, what there is is told first
        index, place = self._index(), -1
        while True:
            query.check()
            try:
                page = index.candidates(query.level, named, _PAGE, place)
                found = []
                for _place, entity in page:
                    if matcher.matches(entity):
                        whole = {**entity, **_computed(index, query.level, entity, query.keys)}
                        if of_counted.matches(whole):
                            found.append(whole)
            except Damaged as error:
                raise self._damaged(error) from error
            if not page:
                break
            place = page[-1][0]
            yield found
        if not is_complete:
            raise IndexIncomplete(_BEING_BUILT)

    def instances(self, scope: Scope, check: Check, timeout_seconds: float) -> Iterator[Sequence[InstanceReference]]:
        """Yield the instances in a scope. Raises ArchiveFailed, and what `check` raises."""
        named = {
            keys.PATIENT_ID: Element("LO", (scope.patient_id,)),
            keys.STUDY_INSTANCE_UID: Element("UI", scope.study_instance_uids),
            keys.SERIES_INSTANCE_UID: Element("UI", scope.series_instance_uids),
            keys.SOP_INSTANCE_UID: Element("UI", scope.sop_instance_uids),
        }
        wanted = Matcher(named)
        is_complete = self._settle(named)  # if not, what there is is told first
        missing = set(scope.sop_instance_uids)
        index, place = self._index(), -1
        while True:
            check()
            try:
                page = index.locate(named, _PAGE, place)
            except Damaged as error:
                raise self._damaged(error) from error
            if not page:
                break
            place = page[-1].id
            found = [
                InstanceReference(
                    one.study_instance_uid,
                    one.series_instance_uid,
                    one.sop_instance_uid,
                    one.sop_class_uid,
                    (one.transfer_syntax_uid,),
                    one.id,
                )
                for one in page
                # Lists that are too long for a statement are matched here.
                if wanted.matches(
                    {
                        keys.PATIENT_ID: named[keys.PATIENT_ID],
                        keys.STUDY_INSTANCE_UID: Element("UI", (one.study_instance_uid,)),
                        keys.SERIES_INSTANCE_UID: Element("UI", (one.series_instance_uid,)),
                        keys.SOP_INSTANCE_UID: Element("UI", (one.sop_instance_uid,)),
                    }
                )
            ]
            missing.difference_update(one.sop_instance_uid for one in found)
            yield found
        has_all_named = scope.sop_instance_uids and not missing
        if not is_complete and not has_all_named:
            raise IndexIncomplete(_BEING_BUILT)

    def fetch(
        self, references: Sequence[InstanceReference], folder: Path, check: Check, timeout_seconds: float
    ) -> Iterator[Fetched | NotFetched]:
        """Yield instances where they are: nothing is copied. Raises what `check` raises."""
        for reference in references:
            check()
            received = self._spool.received(reference.spooled) if reference.spooled is not None else None
            if received is None:
                yield NotFetched(reference, "NoLongerInSpool")
                continue
            file = self._spool.stored(received)
            fault = file.fault()
            if fault is not None:
                yield NotFetched(reference, fault.reason)
            else:
                yield Fetched(reference, received.transfer_syntax_uid, received.length, file)

    def _settle(self, named: Attributes) -> bool:
        """Return whether the catalogue has what was committed before, as far as it can have these unique keys."""
        wanted = {tag: frozenset(named[tag].values) - {""} for tag in _UIDS if tag in named}

        def concerns(received: Received) -> bool:
            return all(_UIDS[tag](received) in uids for tag, uids in wanted.items() if uids)

        return self._catalogue.settle(_SETTLE_SECONDS, concerns)

    def _index(self) -> Index:
        index = self._catalogue.index
        if index is None:
            raise IndexIncomplete(_BEING_BUILT)
        return index

    def _damaged(self, error: Damaged) -> ArchiveUnreachable:
        self._catalogue.damaged(error)
        return ArchiveUnreachable(Reason.INDEX_DAMAGED, "the index of the spool was damaged and is being rebuilt")


def _computed(index: Index, level: Level, entity: Attributes, asked: Attributes) -> dict[int, Element]:
    """Return what is asked of a whole entity and is not kept but counted."""
    wanted = keys.COMPUTED[level].keys() & asked.keys()
    if not wanted:
        return {}
    unique_key = entity[UNIQUE_KEYS[level]].text
    found: dict[int, tuple[str, ...]] = {}
    if keys.MODALITIES_IN_STUDY in wanted:
        found[keys.MODALITIES_IN_STUDY] = tuple(index.modalities(unique_key))
    if keys.SOP_CLASSES_IN_STUDY in wanted:
        found[keys.SOP_CLASSES_IN_STUDY] = tuple(index.sop_classes(unique_key))
    if wanted - found.keys():
        studies, series, instances = map(str, index.counts(level, unique_key))
        found |= {
            keys.STUDIES_OF_PATIENT: (studies,),
            keys.SERIES_OF_PATIENT: (series,),
            keys.INSTANCES_OF_PATIENT: (instances,),
            keys.SERIES_OF_STUDY: (series,),
            keys.INSTANCES_OF_STUDY: (instances,),
            keys.INSTANCES_OF_SERIES: (instances,),
        }
    return {tag: Element(keys.COMPUTED[level][tag], found[tag]) for tag in wanted}
