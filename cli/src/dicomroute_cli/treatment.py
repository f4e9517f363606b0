"""What a recipe would make of an instance, attribute by attribute: for somebody who writes a rule, on this machine."""

import io
import os
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Final, cast

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag

from dicomroute_gateway.configuration.recipe import Recipe, Transcode, Transform
from dicomroute_gateway.prepare.failures import TranscodingFailed, TreatmentFailed
from dicomroute_gateway.prepare.transcode import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    transcode,
)
from dicomroute_gateway.prepare.transform import Came, Source, transform
from dicomroute_gateway.rules.changes import compile_transform

from .part10 import InstanceFile

_IN_MEMORY_BYTES: Final = 64 << 20
_SHOWN_CHARACTERS: Final = 64
_PIXELS: Final = 0x7FE00000


def differences(instance: InstanceFile, recipe: Recipe, came: Came) -> list[dict[str, Any]] | str:
    """Return what a recipe changes, each attribute with its values before and after; a sentence where it cannot.

    Sequences are compared whole, pixels not at all.
    """
    before = _copy(_blocks(instance))
    syntax = instance.transfer_syntax_uid
    if syntax in (EXPLICIT_VR_BIG_ENDIAN, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN):
        before, syntax = _copy(transcode(before, _length(before), syntax, EXPLICIT_VR_LITTLE_ENDIAN)), ""
    after = before
    for step in recipe.steps:
        try:
            match step:
                case Transform():
                    source = Source(syntax, _length(after), _stream(after), _reader(after))
                    after = _copy(transform(source, compile_transform(step), came))
                case Transcode():
                    pass  # no value changes
        except (TranscodingFailed, TreatmentFailed) as error:
            return str(error)
    return list(_compared(_parsed(before, syntax), _parsed(after, syntax)))


def _compared(before: Dataset, after: Dataset) -> Iterator[dict[str, Any]]:
    for tag in sorted(before.keys() | after.keys()):
        came, now = before.get(tag), after.get(tag)
        if came != now:
            element = came or now
            assert element is not None
            yield {"attribute": _name(tag, element.keyword), "before": _shown(came), "after": _shown(now)}


def _name(tag: BaseTag, keyword: str) -> str:
    return keyword or f"({tag.group:04X},{tag.element:04X})"


def _shown(element: Any) -> str | None:
    """Return the value of an element for a person; None where there is none."""
    if element is None:
        return None
    text = f"{len(element.value)} items" if element.VR == "SQ" else str(element.value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _parsed(file: BinaryIO, syntax: str) -> Dataset:
    file.seek(0)
    return read_dataset(
        file, syntax == IMPLICIT_VR_LITTLE_ENDIAN, True, stop_when=lambda tag, vr, length: tag >= _PIXELS
    )


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
