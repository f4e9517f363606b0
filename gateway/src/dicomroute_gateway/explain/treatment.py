"""What a recipe would make of an instance, attribute by attribute: for somebody who writes a rule."""

import io
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO, Final, cast

from pydicom.datadict import keyword_for_tag

from dicomroute_gateway.configuration.recipe import Deidentify, Recipe, Transcode, Transform
from dicomroute_gateway.prepare.elements import EXPLICIT, IMPLICIT
from dicomroute_gateway.prepare.failures import TranscodingFailed, TreatmentFailed
from dicomroute_gateway.prepare.places import places
from dicomroute_gateway.prepare.transcode import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    transcode,
)
from dicomroute_gateway.prepare.transform import Came, Source, transform
from dicomroute_gateway.rules.attributes import ATTRIBUTES, ValueUnusable, value_of
from dicomroute_gateway.rules.changes import compile_transform
from dicomroute_gateway.rules.head import MAX_VALUE_BYTES, RawElement

from .instance import InstanceFile

_IN_MEMORY_BYTES: Final = 64 << 20
_SHOWN_CHARACTERS: Final = 64
_PIXELS: Final = 0x7FE00000


def differences(instance: InstanceFile, recipe: Recipe, came: Came) -> list[dict[str, Any]] | str:
    """Return what a recipe changes, each attribute with its values before and after; a sentence where it cannot.

    Sequences are compared whole, pixels not at all.
    """
    before, syntax = _copy(_blocks(instance)), instance.transfer_syntax_uid
    try:
        if syntax in (EXPLICIT_VR_BIG_ENDIAN, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN):
            before = _copy(transcode(before, _length(before), syntax, EXPLICIT_VR_LITTLE_ENDIAN))
            syntax = EXPLICIT_VR_LITTLE_ENDIAN
        after = before
        for step in recipe.steps:
            match step:
                case Transform():
                    source = Source(syntax, _length(after), _stream(after), _reader(after))
                    after = _copy(transform(source, compile_transform(step), came))
                case Transcode():
                    pass  # no value changes
                case Deidentify():
                    name = step.profile.name
                    return f"de-identified by profile {name}: `dicomroute deidentify --profile {name}` shows the result"
        return list(_compared(_elements(before, syntax), _elements(after, syntax)))
    except (TranscodingFailed, TreatmentFailed) as error:
        return str(error)


def _elements(file: BinaryIO, syntax: str) -> dict[int, RawElement]:
    """Return the top-level elements of a data set but its pixels, by tag."""
    encoding = IMPLICIT if syntax == IMPLICIT_VR_LITTLE_ENDIAN else EXPLICIT
    found, read = dict[int, RawElement](), _reader(file)
    for place in places(_stream(file)(), _length(file), encoding):
        if place.tag < _PIXELS:
            value = read(place.value, min(place.end - place.value, MAX_VALUE_BYTES))
            found[place.tag] = RawElement(place.vr, value, place.end - place.value > MAX_VALUE_BYTES)
    return found


def _compared(before: Mapping[int, RawElement], after: Mapping[int, RawElement]) -> Iterator[dict[str, Any]]:
    for tag in sorted(before.keys() | after.keys()):
        if before.get(tag) != after.get(tag):
            name = keyword_for_tag(tag) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
            yield {"attribute": name, "before": _shown(tag, before), "after": _shown(tag, after)}


def _shown(tag: int, elements: Mapping[int, RawElement]) -> str | None:
    """Return the value of an element for a person; None where there is none."""
    element = elements.get(tag)
    if element is None:
        return None
    attribute = ATTRIBUTES.get(keyword_for_tag(tag))
    try:
        found = None if attribute is None else value_of(attribute, elements)
    except ValueUnusable:
        found = None
    if found is None and element.value:
        return "a sequence" if element.vr == "SQ" else f"{len(element.value)} bytes"
    text = "\\".join(map(str, found)) if isinstance(found, list) else str("" if found is None else found)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _blocks(instance: InstanceFile) -> Iterator[bytes]:
    offset = 0
    while block := instance.read(offset, 1 << 20):
        yield block
        offset += len(block)


def _copy(blocks: Iterable[bytes]) -> BinaryIO:
    """Return a file of its own with these bytes, in memory while it is small."""
    file = cast(BinaryIO, tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES))  # noqa: SIM115
    for block in blocks:
        file.write(block)
    file.seek(0)
    return file


def _length(file: BinaryIO) -> int:
    at = file.tell()
    length = file.seek(0, io.SEEK_END)
    file.seek(at)
    return length


def _stream(file: BinaryIO) -> Any:
    def begin() -> BinaryIO:
        file.seek(0)
        return file

    return begin


def _reader(file: BinaryIO) -> Any:
    def read(offset: int, length: int) -> bytes:
        file.seek(offset, os.SEEK_SET)
        return file.read(length)

    return read
