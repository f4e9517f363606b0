"""What is told of an entity that matches: the identifier of a response, the answers of two archives made one. Pure."""

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from dicomroute_gateway.catalogue import keys
from dicomroute_gateway.catalogue.keys import MODALITIES_IN_STUDY, MODALITY, UNIQUE_KEYS
from dicomroute_gateway.decoded import Attributes, Element, Level

from .identifier import QUERY_RETRIEVE_LEVEL
from .matching import Matcher, is_universal, matching_items
from .models import Model, levels_above

RETRIEVE_AE_TITLE: Final = 0x00080054
INSTANCE_AVAILABILITY: Final = 0x00080056
_OURS: Final = {RETRIEVE_AE_TITLE: "AE", INSTANCE_AVAILABILITY: "CS"}
_ONLINE: Final = "ONLINE"
_COUNTS: Final = frozenset(
    (
        keys.STUDIES_OF_PATIENT,
        keys.SERIES_OF_PATIENT,
        keys.INSTANCES_OF_PATIENT,
        keys.SERIES_OF_STUDY,
        keys.INSTANCES_OF_STUDY,
        keys.INSTANCES_OF_SERIES,
    )
)
_UNITED: Final = (MODALITIES_IN_STUDY, keys.SOP_CLASSES_IN_STUDY)
_BULK: Final = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))


def without_ours(asked: Attributes) -> dict[int, Element]:
    """Return the keys that are the archives' to match: where an instance can be had is the gateway's to say."""
    return {tag: key for tag, key in asked.items() if tag not in _OURS}


def response(model: Model, level: Level, asked: Attributes, entity: Attributes, called_ae_title: str) -> Attributes:
    """Return the identifier of a response (PS3.4 C.4.1.1.3.2): every attribute asked for, be it empty, the unique keys
    of the level and of those above, and from whom instances can be had.
    """
    answer = {tag: _told(key, entity.get(tag)) for tag, key in asked.items() if key.vr not in _BULK}
    if level is Level.STUDY and MODALITY in asked:
        answer[MODALITY] = _modality(asked[MODALITY], entity)
    for one in (*levels_above(model, level), level):
        tag = UNIQUE_KEYS[one]
        found = entity.get(tag)
        answer[tag] = found if found is not None and not found.is_empty else asked.get(tag, Element(keys.VRS[tag]))
    answer[QUERY_RETRIEVE_LEVEL] = Element("CS", (str(level),))
    answer[RETRIEVE_AE_TITLE] = Element("AE", (called_ae_title,))
    if INSTANCE_AVAILABILITY in asked:
        answer[INSTANCE_AVAILABILITY] = Element("CS", (_ONLINE,))
    return answer


def lacks(asked: Attributes, entity: Attributes, known: Collection[int] | None) -> bool:
    """Return whether an attribute was asked for that the archive does not have of any such entity.

    `known` are those that it has, None where it says so with each entity.
    """
    return any(tag not in (entity if known is None else known) for tag in asked if tag not in _OURS and tag != MODALITY)


def merged(first: Attributes, second: Attributes) -> Attributes:
    """Return one entity of what two archives say of it: the first one's word, the greater counts, all modalities."""
    together = {**second, **{tag: element for tag, element in first.items() if not element.is_empty}}
    for tag in _COUNTS & first.keys() & second.keys():
        together[tag] = max(first[tag], second[tag], key=lambda one: int(one.text) if one.text.isdecimal() else -1)
    for tag in _UNITED:
        values = [value for one in (first, second) if tag in one for value in one[tag].values if value]
        if values:
            together[tag] = Element(together[tag].vr, tuple(dict.fromkeys(values)))
    return together


def _told(key: Element, found: Element | None) -> Element:
    """Return an attribute as it is told; of a sequence the items that match, with what was asked of them."""
    if found is None:
        return Element(key.vr)
    if key.vr != "SQ":
        return replace(found, vr=key.vr)
    items = matching_items(key, found)
    wanted = key.items[0] if key.items else {}
    if not wanted:
        return Element("SQ", (), items)
    return Element("SQ", (), tuple({tag: _told(one, item.get(tag)) for tag, one in wanted.items()} for item in items))


def _modality(key: Element, entity: Attributes) -> Element:
    """Return the modality of a study for one who takes it for an attribute of studies: one of those looked for."""
    found = entity[MODALITIES_IN_STUDY].values if MODALITIES_IN_STUDY in entity else ()
    matching = (
        found if is_universal(key) else [one for one in found if Matcher({0: key}).matches({0: Element("CS", (one,))})]
    )
    return Element("CS", tuple(matching[:1]))
