"""What differs between two data sets, attribute by attribute, at all depths: for a person. Pure but for the files."""

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Final

from pydicom.datadict import keyword_for_tag

from dicomroute_gateway.prepare.elements import ITEM, ITEM_END, SEQUENCE_END, UNDEFINED, Elements, Encoding
from dicomroute_gateway.prepare.failures import TranscodingFailed
from dicomroute_gateway.rules.attributes import ATTRIBUTES, ValueUnusable, value_of
from dicomroute_gateway.rules.head import MAX_VALUE_BYTES, RawElement

_SHOWN_CHARACTERS: Final = 64
_PIXELS: Final = 0x7FE00000
_CHARACTER_SET: Final = 0x00080005
_MOST_ELEMENTS: Final = 100_000

Place = tuple[int, ...]
"""Where an element is: its tag, behind tag and item number of each sequence that it is in; items are counted from 0."""


def elements_of(file: BinaryIO, length: int, encoding: Encoding) -> dict[Place, RawElement]:
    """Return the elements of the data set that begins where a file stands, but its pixels; sequences have no value.

    Raises TranscodingFailed, also for more elements than anybody reads.
    """
    elements, found = Elements(file, length, encoding), dict[Place, RawElement]()
    within: list[int] = []
    items: list[int] = []
    while (header := elements.header()) is not None:
        tag, vr, size = header
        if tag in (ITEM_END, SEQUENCE_END):
            within.pop()
            if tag == SEQUENCE_END:
                items.pop()
        elif tag == ITEM and elements.enter(tag, vr, size):
            within.append(items[-1])
            items[-1] += 1
        elif tag >= _PIXELS and elements.is_top:
            break
        elif tag >= _PIXELS and size == UNDEFINED:  # of a small image within
            elements.skip_fragments()
        elif elements.enter(tag, vr, size):
            found[*within, tag] = RawElement("SQ", b"")
            within.append(tag)
            items.append(0)
        else:
            value = elements.value(min(size, MAX_VALUE_BYTES))
            elements.skip(size - len(value))
            found[*within, tag] = RawElement(vr, value, size > MAX_VALUE_BYTES)
        if len(found) > _MOST_ELEMENTS:
            raise TranscodingFailed(f"it has more than {_MOST_ELEMENTS} elements, too many to be shown")
    return found


def compared(before: Mapping[Place, RawElement], after: Mapping[Place, RawElement]) -> Iterator[dict[str, Any]]:
    """Yield what differs, with its values before and after, None where there is none.

    A sequence, an item or a value that only one side has is yielded once, without what is in it.
    """
    whole: Place | None = None
    for place in sorted(before.keys() | after.keys()):
        if whole is not None and place[: len(whole)] == whole:
            continue
        ours, theirs = before.get(place), after.get(place)
        if ours is not None and theirs is not None:
            if _value(ours) == _value(theirs):
                continue
        else:
            whole = place
        yield {"attribute": _name(place), "before": _shown(place, before), "after": _shown(place, after)}


def _value(element: RawElement) -> tuple[bytes, bool]:
    return element.value.rstrip(b" \0"), element.is_truncated


def _name(place: Place) -> str:
    names = [keyword_for_tag(tag) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})" for tag in place[::2]]
    return ".".join([*(f"{name}[{item}]" for name, item in zip(names, place[1::2], strict=False)), names[-1]])


def _shown(place: Place, elements: Mapping[Place, RawElement]) -> str | None:
    """Return the value of an element for a person; None where there is none."""
    element, tag = elements.get(place), place[-1]
    if element is None:
        return None
    if element.vr == "SQ":
        return "a sequence"
    attribute = ATTRIBUTES.get(keyword_for_tag(tag))
    character_set = elements.get((*place[:-1], _CHARACTER_SET)) or elements.get((_CHARACTER_SET,))
    level = {tag: element} if character_set is None else {_CHARACTER_SET: character_set, tag: element}
    try:
        found = None if attribute is None else value_of(attribute, level)
    except ValueUnusable:
        found = None
    if found is None and element.value:
        return f"{len(element.value)} bytes"
    text = "\\".join(map(str, found)) if isinstance(found, list) else str("" if found is None else found)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
