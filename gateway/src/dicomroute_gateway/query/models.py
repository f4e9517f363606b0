"""The information models of queries and retrievals, and what an identifier holds in each (PS3.4 C.4, C.6). Pure."""

from dataclasses import replace
from enum import Enum
from typing import Final

from pydicom._dicom_dict import DicomDictionary

from dicomroute_gateway.catalogue.keys import KEPT, MODALITIES_IN_STUDY, MODALITY, UNIQUE_KEYS
from dicomroute_gateway.decoded import Attributes, Element, Level

from .identifier import Identifier, IdentifierInvalid

_LEVELS: Final = list(Level)
_AE_TITLE: Final = 16


class Model(Enum):
    """An information model: its levels, the highest first."""

    PATIENT_ROOT = (Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE)
    STUDY_ROOT = (Level.STUDY, Level.SERIES, Level.IMAGE)


FIND_MODELS: Final = {
    "1.2.840.10008.5.1.4.1.2.1.1": Model.PATIENT_ROOT,
    "1.2.840.10008.5.1.4.1.2.2.1": Model.STUDY_ROOT,
}
"""The C-FIND SOP classes (PS3.4 C.6.1.3 and C.6.2.3); Patient/Study Only is retired."""
MOVE_MODELS: Final = {
    "1.2.840.10008.5.1.4.1.2.1.2": Model.PATIENT_ROOT,
    "1.2.840.10008.5.1.4.1.2.2.2": Model.STUDY_ROOT,
}
GET_MODELS: Final = {
    "1.2.840.10008.5.1.4.1.2.1.3": Model.PATIENT_ROOT,
    "1.2.840.10008.5.1.4.1.2.2.3": Model.STUDY_ROOT,
}


OF_LEVELS_ABOVE: Final = {
    level: frozenset(tag for above in _LEVELS[: _LEVELS.index(level)] for tag in KEPT[above])
    if level in (Level.SERIES, Level.IMAGE)
    else frozenset[int]()
    for level in _LEVELS
}
"""The usual attributes of the patient and the study of a series, and of the series of an instance."""


def keyword_of(tag: int) -> str:
    """Return the keyword of an attribute (PS3.6), its tag where it has none."""
    entry = DicomDictionary.get(tag)
    return entry[4] if entry and entry[4] else f"{tag:08X}"


def level_of(model: Model, identifier: Identifier) -> Level:
    """Return the level of an identifier. Raises IdentifierInvalid when the model does not have it."""
    if not identifier.level:
        raise IdentifierInvalid("QueryRetrieveLevel is missing")
    try:
        level = Level(identifier.level)
    except ValueError:
        raise IdentifierInvalid("QueryRetrieveLevel is none of PATIENT, STUDY, SERIES, IMAGE") from None
    if level not in model.value:
        raise IdentifierInvalid(f"the Study Root model has no level {level}")
    return level


def levels_above(model: Model, level: Level) -> list[Level]:
    """Return the levels of a model above one of them, the highest first."""
    return list(model.value[: model.value.index(level)])


def query_keys(model: Model, level: Level, identifier: Identifier, *, is_relational: bool) -> dict[int, Element]:
    """Return the keys of a C-FIND identifier as archives are asked for them.

    A hierarchical request has one value in the unique key of each level above (PS3.4 C.4.1.2.1); a relational one may
    leave them out. The modality of a study is that of any of its series.

    Raises IdentifierInvalid.
    """
    keys = dict(identifier.keys)
    for above in levels_above(model, level):
        tag = UNIQUE_KEYS[above]
        values = [value for value in keys[tag].values if value] if tag in keys else []
        if not is_relational and len(values) != 1:
            what = "is missing" if not values else "has several values"
            raise IdentifierInvalid(f"{keyword_of(tag)} {what}: relational is not agreed")
        if not is_relational and any(one in values[0] for one in "*?"):
            raise IdentifierInvalid(f"{keyword_of(tag)} has wild cards above the query level")
    for tag, key in keys.items():
        if key.vr == "SQ" and len(key.items) > 1:
            raise IdentifierInvalid(f"{keyword_of(tag)} has several items")
    below = [UNIQUE_KEYS[one] for one in _LEVELS[_LEVELS.index(level) + 1 :]]
    if any(not keys[tag].is_empty for tag in below if tag in keys):
        raise IdentifierInvalid("a unique key below the query level has a value")
    if level is Level.STUDY and MODALITY in keys:
        asked = keys.pop(MODALITY)
        if MODALITIES_IN_STUDY not in keys or keys[MODALITIES_IN_STUDY].is_empty:
            keys[MODALITIES_IN_STUDY] = replace(asked, vr="CS")
    return keys


def unique_keys(level: Level, entity: Attributes) -> tuple[str, ...] | None:
    """Return what tells an entity from others of its level; None where it lacks that, so that it cannot be told."""
    if level is Level.PATIENT:
        tags = [UNIQUE_KEYS[Level.PATIENT]]
    else:
        tags = [UNIQUE_KEYS[one] for one in _LEVELS[1 : _LEVELS.index(level) + 1]]
    found = tuple(entity[tag].text if tag in entity else "" for tag in tags)
    return found if all(found) else None
