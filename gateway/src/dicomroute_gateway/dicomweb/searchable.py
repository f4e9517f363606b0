"""What a provider's origin server matches, and how it is to be asked (PS3.18 8.3.4 and 10.6). Pure.

HTTP 200 does not say which keys a server used, and one that mistakes a key answers that there is nothing. So a key is
sent only where this table says that the server matches it; all others are matched by whoever asks, who matches
everything again anyway. What is sent may let the server answer with too much, and not with too little:

- Numbers (IS, DS) and times are not sent: servers disagree on what is equal.
- Of a person's name the longest run of letters is sent, anywhere in the name: which component group a key means, and
  what trailing delimiters mean, is not for the server to say (PS3.4 C.2.2.2.4). A server of no known provider whose
  names are matched with regard to case may still find too little.
- Debian 12's Orthanc does not decode percent signs: a value that needs one finds nothing there.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Final
from urllib.parse import quote

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword

from dicomroute_gateway.configuration.destinations import Provider

MOST_UIDS: Final = 20
"""How many UIDs go into one request where a server matches lists: URLs of more than 2000 bytes are refused by some."""


class Resource(StrEnum):
    """What is searched for, as paths name it."""

    STUDIES = "studies"
    SERIES = "series"
    INSTANCES = "instances"


class Names(Enum):
    """How a server matches person names."""

    NOT_SENT = "not sent"
    WILD = "with wild cards"
    FUZZY = "by the beginnings of words"
    """With fuzzymatching=true; not by parts of words."""


_IDENTIFYING_STUDIES: Final = frozenset(
    ("AccessionNumber", "PatientID", "PatientName", "ReferringPhysicianName", "StudyDate", "StudyInstanceUID")
)
"""What every server matches that matches anything."""
_STUDY: Final = _IDENTIFYING_STUDIES | {"ModalitiesInStudy", "StudyID"}
"""What every origin server shall match (PS3.18 table 10.6.1-5), but for times and numbers."""
_SERIES: Final = frozenset(("Modality", "SeriesInstanceUID", "PerformedProcedureStepStartDate"))
_INSTANCES: Final = frozenset(("SOPClassUID", "SOPInstanceUID"))


@dataclass(frozen=True, slots=True)
class Searching:
    """How the servers of one provider search.

    `keys` are the keywords that are matched at each resource. `decodes`: whether percent-encoded values are understood.
    `lists`: whether several UIDs are, with commas between them. `is_relational`: whether series and instances can be
    searched without their study. `open_ranges`: whether a range may have one end alone. `most` is how many answers are
    asked for at once. `never_included` are keywords for which the server refuses a whole request.
    """

    keys: Mapping[Resource, frozenset[str]]
    names: Names = Names.WILD
    has_wild_cards: bool = True
    decodes: bool = True
    lists: bool = True
    is_relational: bool = True
    open_ranges: bool = True
    most: int = 500
    never_included: Collection[str] = ()


def _levels(study: frozenset[str], series: frozenset[str], instances: frozenset[str]) -> dict[Resource, frozenset[str]]:
    """Return the keys of each resource: those of the levels above are matched at the ones below too (PS3.18 10.6.1)."""
    return {
        Resource.STUDIES: study,
        Resource.SERIES: study | series,
        Resource.INSTANCES: study | series | instances,
    }


_BY_THE_STANDARD: Final = Searching(_levels(_STUDY, _SERIES, _INSTANCES))

SEARCHING: Final[Mapping[Provider, Searching]] = {
    Provider.GENERIC: _BY_THE_STANDARD,
    Provider.DCM4CHEE: _BY_THE_STANDARD,
    Provider.ORTHANC: Searching(_levels(_STUDY, _SERIES, _INSTANCES), decodes=False),
    Provider.AZURE: Searching(
        _levels(
            _IDENTIFYING_STUDIES | {"ModalitiesInStudy", "PatientBirthDate", "StudyDescription"},
            _SERIES,
            frozenset(("SOPInstanceUID",)),
        ),
        names=Names.FUZZY,
        has_wild_cards=False,
        lists=False,
        most=200,
    ),
    Provider.GOOGLE: Searching(
        _levels(
            _IDENTIFYING_STUDIES,
            frozenset(("Modality", "SeriesInstanceUID")),
            frozenset(("SOPInstanceUID",)),
        ),
        names=Names.FUZZY,
        has_wild_cards=False,
        lists=False,
        open_ranges=False,
        most=1000,
        never_included=("AvailableTransferSyntaxUID",),
    ),
    Provider.AWS: Searching(
        {
            Resource.STUDIES: _STUDY,
            Resource.SERIES: frozenset(("Modality", "SeriesInstanceUID")),
            Resource.INSTANCES: frozenset(("SOPInstanceUID",)),
        },
        names=Names.NOT_SENT,
        has_wild_cards=False,
        lists=False,
        is_relational=False,
        open_ranges=False,
        most=500,
    ),
}

_WILD: Final = re.compile(r"[*?]")
_UNRESERVED: Final = re.compile(r"[0-9A-Za-z._~-]+")
_UIDS: Final = re.compile(r"[0-9]+(\.[0-9]+)*")
_DATE: Final = r"[0-9]{8}"
_RANGE: Final = re.compile(rf"({_DATE})?-({_DATE})?")
_FIRST_DATE, _LAST_DATE = "18000101", "29991231"
_LETTERS: Final = re.compile(r"[^*?^=\\\s.,;'\"-]+")
_FIRST_WORD: Final = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched for: `keys` and `included` by keyword; values as a C-FIND has them (PS3.4 C.2.2.2).

    A study, and a series in it, are named where the search is within them.
    """

    resource: Resource
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)
    included: Sequence[str] = ()


def path(search: Search, studies: str) -> str:
    """Return the path of a search; `studies` is that of all studies, as in /studies."""
    if not search.study_instance_uid:
        return studies.removesuffix("studies") + search.resource
    within = f"{studies}/{search.study_instance_uid}"
    if search.series_instance_uid:
        within += f"/series/{search.series_instance_uid}"
    return f"{within}/{search.resource}" if search.resource is not Resource.STUDIES else studies


def parameters(search: Search, searching: Searching, *, included: bool = True) -> list[str]:
    """Return the parameters of a search, NAME=VALUE, encoded: what is matched, and what is to be in the answer."""
    found, fuzzy = [], False
    for keyword, value in search.keys.items():
        said = _sent(keyword, value, search.resource, searching)
        if said is not None:
            found.append(f"{keyword}={quote(said, safe='*?,')}")
            fuzzy = fuzzy or (searching.names is Names.FUZZY and dictionary_VR(keyword) == "PN")
    if fuzzy:
        found.append("fuzzymatching=true")
    if included:
        wanted = dict.fromkeys((*search.included, *search.keys))
        found += [f"includefield={_hexadecimal(one)}" for one in wanted if one not in searching.never_included]
    return found


def is_sent(keyword: str, value: str, resource: Resource, searching: Searching) -> bool:
    """Return whether a server is left to match a key."""
    return _sent(keyword, value, resource, searching) is not None


def _sent(keyword: str, value: str, resource: Resource, searching: Searching) -> str | None:
    """Return what is sent of a key, None where it is not for the server to match."""
    if not value or keyword not in searching.keys[resource]:
        return None
    vr = dictionary_VR(keyword)
    match vr:
        case "UI":
            sent = _uids(value, searching)
        case "DA":
            sent = _dates(value, searching)
        case "PN":
            sent = _name(value, searching)
        case _:
            sent = _text(value, searching)
    if sent is None or (not searching.decodes and not _UNRESERVED.fullmatch(sent.translate(_KEPT))):
        return None
    return sent


_KEPT: Final = str.maketrans("*?,", "...")
"""Characters that need no percent sign, though they are not unreserved."""


def _uids(value: str, searching: Searching) -> str | None:
    uids = value.split("\\")
    if not all(_UIDS.fullmatch(uid) for uid in uids) or len(uids) > (MOST_UIDS if searching.lists else 1):
        return None
    return ",".join(uids)


def _dates(value: str, searching: Searching) -> str | None:
    if re.fullmatch(_DATE, value):
        return value
    found = _RANGE.fullmatch(value)
    if not found or value == "-":
        return None
    if searching.open_ranges:
        return value
    return f"{found[1] or _FIRST_DATE}-{found[2] or _LAST_DATE}"


def _text(value: str, searching: Searching) -> str | None:
    if "\\" in value or "," in value or value != value.strip() or not value.isprintable():
        return None
    if _WILD.search(value):
        return value if searching.has_wild_cards and value.strip("*") else None
    return value


def _name(value: str, searching: Searching) -> str | None:
    match searching.names:
        case Names.WILD:
            runs = [run for run in _LETTERS.findall(value) if searching.decodes or run.isascii()]
            return f"*{max(runs, key=len)}*" if runs else None
        case Names.FUZZY:
            word = _FIRST_WORD.match(value)
            return word[0] if word else None
        case Names.NOT_SENT:
            return None


def _hexadecimal(keyword: str) -> str:
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    return f"{tag:08X}"


def keyword_of(tag: int) -> str:
    """Return the keyword of an attribute of the standard, "" for another."""
    return keyword_for_tag(tag)
