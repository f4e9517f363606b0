"""The archive of a CloudTarget: queries by QIDO-RS, instances by WADO-RS (PS3.18 10.4 and 10.6)."""

from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog
from pydicom.datadict import keyword_for_tag

from dicomroute_gateway.decoded import Attributes, Element, Level
from dicomroute_gateway.dicomweb import resources
from dicomroute_gateway.dicomweb.client import Client, CredentialFault, TransportFailed
from dicomroute_gateway.dicomweb.qido import Origin, Pages, SearchFailed
from dicomroute_gateway.dicomweb.searchable import MOST_UIDS, SEARCHING, Resource, Search
from dicomroute_gateway.dicomweb.wado import Into, Patience
from dicomroute_gateway.reasons import Reason
from dicomroute_gateway.spool.fetched import FetchedFiles

from .archive import (
    ArchiveIncapable,
    ArchiveRefused,
    ArchiveUnreachable,
    Check,
    Fetched,
    InstanceReference,
    NotFetched,
    Query,
    Scope,
    TooManyCandidates,
)
from .fetching import Errand, Fetching
from .listing import Listing
from .loop import QueryLoop

_PATIENT_ID: Final = 0x00100020
_STUDY: Final = 0x0020000D
_SERIES: Final = 0x0020000E
_SOP_INSTANCE: Final = 0x00080018
_MODALITIES_IN_STUDY: Final = 0x00080061
_UNIQUE: Final = (_STUDY, _SERIES, _SOP_INSTANCE)
_STUDIES_OF_PATIENT: Final = 0x00201200
_SUMS: Final = {0x00201202: 0x00201206, 0x00201204: 0x00201208}
"""What a patient has of series and instances, by what a study has of them."""
_OURS: Final = frozenset((0x00080054, 0x00080056, 0x00081190, 0x00880130, 0x00880140))
"""Retrieve AE Title, Instance Availability, Retrieve URL and media: of an answer, these are the gateway's to say."""
_RESOURCE: Final = {Level.STUDY: Resource.STUDIES, Level.SERIES: Resource.SERIES, Level.IMAGE: Resource.INSTANCES}
_DEPTH: Final = {Level.PATIENT: 0, Level.STUDY: 1, Level.SERIES: 2, Level.IMAGE: 3}
_MOST_TOTALS: Final = 10_000

T = TypeVar("T")
log = structlog.get_logger(__name__)


class CloudTargetArchive:
    """Asks one origin server: a request under way goes on with what was configured when it began."""

    def __init__(
        self, name: str, origin: Origin, secrets: Path, loop: QueryLoop, files: FetchedFiles, *, required: bool = True
    ) -> None:
        self.name = name
        self.required = required
        self._origin = origin
        self._client = Client(secrets)
        self._loop = loop
        self._files = files
        self._totals: OrderedDict[tuple[str, ...], int] = OrderedDict()
        """How many instances a study or a series had when it was listed last, as far as that is known."""

    def configure(self, origin: Origin, *, required: bool) -> None:
        """Take over how the server is configured now."""
        self._origin, self.required = origin, required

    async def close(self) -> None:
        """End its connections. Runs in the loop."""
        await self._client.close()

    def known_keys(self, level: Level) -> frozenset[int] | None:
        """Return None: what an origin server has, it says with each answer."""
        return None

    def find(self, query: Query) -> Iterator[Sequence[Attributes]]:
        """Yield the matches page by page; see Archive.find."""
        if query.level is Level.PATIENT:
            yield from self._patients(query)
            return
        taken = 0
        for page in self.matches(query.level, query.keys, query.check, query.timeout_seconds):
            yield page[: query.max_candidates - taken]
            taken += len(page)
            _raise_if_more(taken, query.max_candidates)

    def instances(self, scope: Scope, check: Check, timeout_seconds: float) -> Iterator[Sequence[InstanceReference]]:
        """Yield the instances in a scope page by page; see Archive.instances."""
        is_relational = SEARCHING[self._origin.provider].is_relational
        if not is_relational and not scope.study_instance_uids and not scope.patient_id:
            sentence = f"{self.name}: it lists instances only within a study, and the request names none"
            raise ArchiveIncapable(Reason.NOT_RELATIONAL, sentence)
        listing = Listing(self.matches, self._remember, check, timeout_seconds)
        given: set[str] = set()
        for page in listing.pages(scope):
            new = [one for one in page if one.sop_instance_uid not in given]
            given.update(one.sop_instance_uid for one in new)
            yield new

    def fetch(
        self, references: Sequence[InstanceReference], folder: Path, check: Check, timeout_seconds: float
    ) -> Iterator[Fetched | NotFetched]:
        """Yield each instance once it is whole; see Archive.fetch."""
        origin = self._origin
        errands, impossible = self._errands(origin, references)
        yield from (NotFetched(one, "UIDInvalid") for one in impossible)
        patience = Patience(timeout_seconds, timeout_seconds)
        fetching = self._ask(self._started(origin, errands, Into(self._files, folder), patience), check)
        try:
            while (one := self._ask(fetching.next(), check)) is not None:
                yield one
        finally:
            self._loop.run(fetching.close(), _go_on)

    async def _started(self, origin: Origin, errands: Sequence[Errand], into: Into, patience: Patience) -> Fetching:
        fetching = Fetching(self._client, origin, errands, into, patience)
        await fetching.start()
        return fetching

    # -- searches --------------------------------------------------------------------------------------------

    def matches(
        self, level: Level, keys: Attributes, check: Check, timeout_seconds: float
    ) -> Iterator[Sequence[Attributes]]:
        """Yield what matches, and perhaps more, page by page, each entity once."""
        seen: set[str] = set()
        unique = _UNIQUE[_DEPTH[level] - 1]
        for search in self._searches(level, keys, check, timeout_seconds):
            for page in self.pages(search, check, timeout_seconds):
                new = [one for one in page if one[unique].text not in seen]
                seen.update(one[unique].text for one in new)
                yield new

    def _searches(self, level: Level, keys: Attributes, check: Check, timeout_seconds: float) -> Iterator[Search]:
        """Yield the searches that a query needs: mostly one.

        More are needed where a server takes no list of UIDs, for several modalities, of which any may match, and where
        it searches series and instances within their study alone.
        """
        searching = SEARCHING[self._origin.provider]
        study, series = _single(keys, _STUDY), _single(keys, _SERIES)
        if level is Level.STUDY:
            study = ""
        if level is not Level.IMAGE or not study:
            series = ""
        sent = {tag: one for tag, one in keys.items() if one.vr != "SQ" and tag not in _OURS}
        within = [tag for tag, uid in ((_STUDY, study), (_SERIES, series)) if uid]
        sent = {tag: one for tag, one in sent.items() if tag not in within}
        if (
            not searching.is_relational
            and level is not Level.STUDY
            and not (study and (series or level is Level.SERIES))
        ):
            yield from self._walk(level, keys, sent, check, timeout_seconds)
            return
        for values in _apart(sent, _UNIQUE[_DEPTH[level] - 1], MOST_UIDS if searching.lists else 1):
            yield Search(_RESOURCE[level], study, series, values, _included(keys))

    def _walk(
        self, level: Level, keys: Attributes, sent: Attributes, check: Check, timeout_seconds: float
    ) -> Iterator[Search]:
        """Yield a search within each entity of the level above."""
        above = Level.STUDY if level is Level.SERIES else Level.SERIES
        of_above = {tag: one for tag, one in keys.items() if tag not in _UNIQUE[_DEPTH[above] :]}
        for page in self.matches(above, of_above, check, timeout_seconds):
            for entity in page:
                series = entity[_SERIES].text if above is Level.SERIES else ""
                for values in _apart(sent, _UNIQUE[_DEPTH[level] - 1], 1):
                    yield Search(_RESOURCE[level], entity[_STUDY].text, series, values, _included(keys))

    def pages(self, search: Search, check: Check, timeout_seconds: float) -> Iterator[Sequence[Attributes]]:
        """Yield what one search finds, page by page. Raises ArchiveFailed, and what `check` raises."""
        pages = Pages(self._client, self._origin, search, timeout_seconds)
        while True:
            page = self._ask(pages.page(), check)
            if page.without_key:
                log.warning("query.answers_without_key", archive=self.name, answers=page.without_key)
            if page.is_last:
                return
            yield page.matches

    def _patients(self, query: Query) -> Iterator[Sequence[Attributes]]:
        """Yield the patients of the studies that match: there is no patient resource (PS3.18 10.6).

        What they have in all is known when every study is.
        """
        counted = [tag for tag in (_STUDIES_OF_PATIENT, *_SUMS) if tag in query.keys]
        keys = {**query.keys, **{_SUMS[tag]: Element("IS") for tag in counted if tag in _SUMS}}
        keys = {tag: one for tag, one in keys.items() if tag not in counted}
        patients: dict[str, dict[int, Element]] = {}
        counts: dict[str, dict[int, int | None]] = {}
        taken = 0
        for page in self.matches(Level.STUDY, keys, query.check, query.timeout_seconds):
            new = []
            for study in page:
                patient_id = study[_PATIENT_ID].text if _PATIENT_ID in study else ""
                if not patient_id:
                    continue
                if patient_id not in patients:
                    patients[patient_id] = {tag: one for tag, one in study.items() if tag >> 16 == 0x0010}
                    counts[patient_id] = dict.fromkeys(counted, 0)
                    new.append(patients[patient_id])
                _count(counts[patient_id], study)
            yield [] if counted else new
            taken += len(page)
            _raise_if_more(taken, query.max_candidates)
        for patient_id, counts_of_one in counts.items():
            known = {tag: Element("IS", (str(count),)) for tag, count in counts_of_one.items() if count is not None}
            patients[patient_id].update(known)
        if counted:
            yield list(patients.values())

    # -- retrievals ------------------------------------------------------------------------------------------

    def _remember(self, of: tuple[str, ...], count: int) -> None:
        """Note how many instances a study, or a series in it, has."""
        self._totals[of] = count
        self._totals.move_to_end(of)
        while len(self._totals) > _MOST_TOTALS:
            self._totals.popitem(last=False)

    def _errands(
        self, origin: Origin, references: Sequence[InstanceReference]
    ) -> tuple[list[Errand], list[InstanceReference]]:
        """Return how to get instances with the fewest requests, and those of which a UID cannot be part of a path.

        A study, or a series, is retrieved as a whole where all of it is wanted and the server has such a resource.
        """
        has_wholes = SEARCHING[origin.provider].is_relational
        errands, impossible = list[Errand](), list[InstanceReference]()

        def add(of: tuple[str, ...], wanted: Sequence[InstanceReference]) -> bool:
            path, singly = resources.below(origin, *of), tuple(_singly(origin, wanted))
            is_whole = len(wanted) > 1 and self._totals.get(of) == len(wanted)
            if path is not None and has_wholes and is_whole:
                errands.append(Errand(path, of[0], tuple(wanted), singly))
                return True
            if len(of) == 2:
                errands.extend(singly)
                possible = {errand.references[0] for errand in singly}
                impossible.extend(one for one in wanted if one not in possible)
            return False

        for study, of_study in _grouped(references, lambda one: one.study_instance_uid).items():
            if not add((study,), of_study):
                for series, of_series in _grouped(of_study, lambda one: one.series_instance_uid).items():
                    add((study, series), of_series)
        return errands, impossible

    def _ask(self, coroutine: Coroutine[Any, Any, T], check: Check) -> T:
        """Return what a request comes to. Raises ArchiveFailed, and what `check` raises."""
        try:
            return self._loop.run(coroutine, check)
        except SearchFailed as error:
            if error.reason == Reason.TOO_BROAD:
                raise TooManyCandidates(str(error)) from error
            failed = ArchiveUnreachable if error.status >= 500 or error.status == 429 else ArchiveRefused
            raise failed(error.reason, f"{self.name}: {error}") from error
        except CredentialFault as error:
            raise ArchiveRefused(error.reason, f"{self.name}: {error}") from error
        except TransportFailed as error:
            raise ArchiveUnreachable(error.reason, f"{self.name}: {error}") from error


def _go_on() -> None:
    """Let what ends things end."""


def _raise_if_more(taken: int, most: int) -> None:
    if taken > most:
        raise TooManyCandidates(f"more than {most} candidates to check: narrow the query")


def _single(keys: Attributes, tag: int) -> str:
    """Return the one UID that a key names, "" where it names none, or several."""
    values = keys[tag].values if tag in keys else ()
    return values[0] if len(values) == 1 else ""


def _included(keys: Attributes) -> tuple[str, ...]:
    return tuple(
        keyword for tag in keys if tag not in _OURS and tag not in _UNIQUE and (keyword := keyword_for_tag(tag))
    )


def _apart(keys: Attributes, unique: int, most: int) -> Iterator[Mapping[str, str]]:
    """Yield the keys of each search, by keyword: with `most` UIDs of the level at once, and one modality."""
    named = {keyword_for_tag(tag): "\\".join(one.values) for tag, one in keys.items() if keyword_for_tag(tag)}
    uids = keys[unique].values if unique in keys else ()
    modalities = keys[_MODALITIES_IN_STUDY].values if _MODALITIES_IN_STUDY in keys else ()
    for start in range(0, max(1, len(uids)), most):
        if uids:
            named[keyword_for_tag(unique)] = "\\".join(uids[start : start + most])
        for modality in modalities or ("",):
            if modality:
                named[keyword_for_tag(_MODALITIES_IN_STUDY)] = modality
            yield dict(named)


def _count(counts: dict[int, int | None], study: Attributes) -> None:
    """Add what a study has to what its patient has; None where a study does not say."""
    for tag, count in counts.items():
        of_study = study.get(_SUMS[tag]) if tag in _SUMS else Element("IS", ("1",))
        known = of_study is not None and of_study.text.isdecimal()
        counts[tag] = count + int(of_study.text) if known and count is not None and of_study is not None else None


def _grouped(
    references: Sequence[InstanceReference], key: Callable[[InstanceReference], str]
) -> dict[str, list[InstanceReference]]:
    groups: dict[str, list[InstanceReference]] = {}
    for one in references:
        groups.setdefault(key(one), []).append(one)
    return groups


def _singly(origin: Origin, references: Sequence[InstanceReference]) -> Iterator[Errand]:
    for one in references:
        path = resources.instance(origin, one)
        if path is not None:
            yield Errand(path, one.study_instance_uid, (one,))
