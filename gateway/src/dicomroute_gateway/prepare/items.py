"""Changes an attribute in the items of a sequence, with all else in it as it came."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.tag import BaseTag

from dicomroute_gateway.configuration.recipe import ChangeKind
from dicomroute_gateway.rules.paths import AttributePath, PathStep

from .elements import Encoding
from .failures import TranscodingFailed, TreatmentFailed

_CHARACTER_SET: Final = 0x00080005


@dataclass(frozen=True, slots=True)
class ItemChange:
    """A change in a sequence. `encoded` returns the value that is written; it is given an item's own character set.

    That is the raw value of its (0008,0005); None for an item without one.
    """

    kind: ChangeKind
    path: AttributePath
    encoded: Callable[[bytes | None], bytes]


def changed_in_items(element: bytes, encoding: Encoding, change: ItemChange) -> bytes:
    """Return a sequence, header and all, with a change in its items; the same bytes where nothing in it is meant.

    Raises TranscodingFailed, and what `encoded` raises.
    """
    try:
        holder = read_dataset(io.BytesIO(element), not encoding.is_explicit, True, bytelength=len(element))
        if not _change(holder, change.path.steps, change, encoding):
            return element
        written = DicomBytesIO()
        written.is_little_endian, written.is_implicit_VR = True, not encoding.is_explicit
        write_dataset(written, holder)
    except TreatmentFailed:
        raise
    except Exception as error:  # the library raises whatever a stranger's bytes make of it
        raise TranscodingFailed(f"a sequence cannot be read: {type(error).__name__}") from error
    return bytes(written.getvalue())


def _change(data_set: Dataset, steps: tuple[PathStep, ...], change: ItemChange, encoding: Encoding) -> bool:
    """Change what a path means from here on; return whether anything was."""
    step = steps[0]
    is_new = len(steps) == 1 and change.kind in (ChangeKind.SET, ChangeKind.COPY)
    tag = _tag_of(data_set, step, reserve=is_new)
    if tag is None or (tag not in data_set and not is_new):
        return False
    if len(steps) > 1:
        sequence = data_set[tag]
        if sequence.VR != "SQ":
            return False
        items = [item for index, item in enumerate(sequence.value) if step.index in (None, index)]
        return sum(_change(item, steps[1:], change, encoding) for item in items) > 0
    if change.kind is ChangeKind.REMOVE:
        del data_set[tag]
        return True
    known = data_set.get_item(_CHARACTER_SET) if _CHARACTER_SET in data_set else None
    value = change.encoded(_raw(known) if known is not None else None)
    vr = change.path.vr if encoding.is_explicit else None
    data_set[tag] = RawDataElement(tag, vr, len(value), value, 0, not encoding.is_explicit, True, True)
    return True


def _raw(element: object) -> bytes:
    value = getattr(element, "value", b"")
    if isinstance(value, bytes):
        return value
    return "\\".join([value] if isinstance(value, str) else map(str, value or ())).encode("latin-1")


def _tag_of(data_set: Dataset, step: PathStep, *, reserve: bool) -> BaseTag | None:
    """Return the tag of an attribute; None for a private one whose creator has no block."""
    if not step.creator:
        return BaseTag(step.tag)
    try:
        block = data_set.private_block(step.tag >> 16, step.creator, create=reserve)
    except KeyError:
        return None
    return block.get_tag(step.tag & 0xFF)
