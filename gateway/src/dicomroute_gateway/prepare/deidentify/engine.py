"""Writes a data set de-identified, in a stream, all depths alike (PS3.15 annex E). Pure but for the file it reads.

The result is Explicit VR Little Endian, or the compressed transfer syntax that the pixels are in. Sequences have an
undefined length, group lengths are left out: equal data sets give equal bytes.
"""

import struct
from collections.abc import Iterator
from typing import Final

from dicomroute_gateway.configuration.profile import Region
from dicomroute_gateway.prepare.elements import (
    BLOCK_BYTES,
    EXPLICIT,
    ITEM,
    ITEM_END,
    SEQUENCE_END,
    UNDEFINED,
    Elements,
    header_of,
)
from dicomroute_gateway.reasons import Reason

from .additions import additions
from .attributes import CODE_PARTS, Attributes
from .frames import whole_frames
from .level import NestingLevel
from .masks import Masks, masks_of
from .plan import Action, Plan
from .private import PrivateGroup
from .residual import Residue
from .subject import PIXELS, Subject
from .syntaxes import FRAMES, Frames
from .values import VRS, padded
from .withheld import Withheld

_EXTENDED_OFFSETS: Final = (0x7FE00001, 0x7FE00002, 0x7FE00003)
_SIGNATURES: Final = 0xFFFA
_ITEM: Final = struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
_ITEM_END: Final = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
_SEQUENCE_END: Final = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
_PHOTOMETRIC_INTERPRETATION: Final = 0x00280004
_PLANAR_CONFIGURATION: Final = 0x00280006
_IMAGE: Final = frozenset((_PHOTOMETRIC_INTERPRETATION, _PLANAR_CONFIGURATION))
_MOST_VALUE_BYTES: Final = 64 << 20
"""Of one value other than pixels: it is held in memory, as it has to be looked at whole."""
_MOST_BYTES: Final = 256 << 20
"""Of all values other than pixels of one instance."""


class Writing:
    """One data set on its way. `regions` of native pixels are blackened; None, and their bytes are those that came."""

    def __init__(
        self,
        elements: Elements,
        plan: Plan,
        subject: Subject,
        transfer_syntax_uid: str,
        regions: tuple[Region, ...] | None,
    ) -> None:
        self._elements = elements
        self._plan = plan
        self._subject = subject
        self._frames = FRAMES.get(transfer_syntax_uid)
        self._regions = regions
        self._image: dict[int, bytes] = {}
        self._attributes = Attributes(plan, subject)
        self.residue = Residue(plan, subject)
        self._additions = additions(plan, masks=bool(regions))
        sop_class = subject.text(0x00080016)
        self._levels = [NestingLevel(sop_class, sop_class in plan.table.required)]
        self._out = bytearray()
        self._written = 0

    def data_set(self) -> Iterator[bytes]:
        """Yield the data set. Raises Withheld, TranscodingFailed, and what reading raises."""
        elements = self._elements
        while (found := elements.header()) is not None:
            tag, vr, size = found
            if tag in (ITEM_END, SEQUENCE_END):
                self._leave(tag)
            elif tag == ITEM:
                self._enter_item(tag, size)
            elif tag in PIXELS:
                yield from self._pixels(tag, vr, size)
            else:
                self._element(tag, vr, size)
            if len(self._out) >= BLOCK_BYTES:
                yield self._taken()
        self._before(1 << 32)
        yield self._taken()

    def _taken(self) -> bytes:
        taken = bytes(self._out)
        self._out.clear()
        return taken

    def _leave(self, tag: int) -> None:
        if tag == ITEM_END:
            self._before(1 << 32)
        self._levels.pop()
        self._out += _ITEM_END if tag == ITEM_END else _SEQUENCE_END

    def _enter_item(self, tag: int, size: int) -> None:
        self._elements.enter(tag, "", size)
        sequence = self._levels[-1]
        self._levels.append(NestingLevel(sequence.place, True, sequence.is_dummy))
        self._out += _ITEM

    def _element(self, tag: int, vr: str, size: int) -> None:
        """Write what becomes of an element of a data set."""
        group = tag >> 16
        if self._elements.level.is_sequence:
            raise Withheld(Reason.CANNOT_BE_READ, "a sequence has something but an item in it")
        if vr not in VRS:
            raise Withheld(Reason.CANNOT_BE_READ, f"({group:04X},{tag & 0xFFFF:04X}) has a VR that does not exist")
        self._before(tag)
        if group & 1:
            self._private(tag, vr, size)
            return
        if tag & 0xFFFF == 0 or group <= 0x0006 or group >= _SIGNATURES or 0x5000 <= group <= 0x50FF:
            self._drop(tag, vr, size)
            return
        if 0x6000 <= group <= 0x60FF or (len(self._levels) == 1 and tag in self._additions):
            self._drop(tag, vr, size)
            return
        if tag in _EXTENDED_OFFSETS and self._frames in (Frames.JPEG, Frames.JPEG_2000):
            self._drop(tag, vr, size)
            return
        level = self._levels[-1]
        known = self._attributes.vr(tag, vr)
        if known == "SQ" or size == UNDEFINED:
            self._sequence(tag, vr, size)
            return
        action = self._attributes.action(tag, known, level)
        if action is Action.REMOVE and known != "PN":
            self._drop(tag, vr, size)
            return
        value = self._value(size)
        if known == "PN":
            self.residue.person(value)
        if tag in CODE_PARTS and action is Action.KEEP:
            level.codes[tag] = (known if vr == "UN" else vr, value)
            return
        if len(self._levels) == 1 and tag in _IMAGE:
            self._image[tag] = value
        written = self._attributes.written(tag, known, value, action, level)
        if written is None:
            return
        as_vr = known if vr == "UN" else vr
        if level.codes:
            level.beside_codes.append((tag, as_vr, written))
        else:
            self._write(tag, as_vr, written)

    def _value(self, size: int) -> bytes:
        if size > _MOST_VALUE_BYTES:
            raise Withheld(Reason.CANNOT_BE_READ, f"a value of {size} bytes is longer than can be looked at")
        return self._elements.value(size)

    def _write(self, tag: int, vr: str, value: bytes) -> None:
        value = padded(vr, value)
        self._written += len(value)
        if self._written > _MOST_BYTES:
            raise Withheld(Reason.CANNOT_BE_READ, "its values are longer together than can be looked at")
        self.residue.written(vr, value)
        self._out += header_of(tag, vr, len(value), EXPLICIT) + value

    def _sequence(self, tag: int, vr: str, size: int) -> None:
        """Go into a sequence that stays, beyond one that does not."""
        level = self._levels[-1]
        action = self._attributes.sequence_action(tag, level)
        if action is Action.REMOVE or (vr not in ("SQ", "UN") and size != UNDEFINED):
            self._drop(tag, vr, size)
            return
        self._write_code(level)
        if action is Action.EMPTY:
            self._drop(tag, vr, size)
            self._out += header_of(tag, "SQ", 0, EXPLICIT)
            return
        if vr == "UN" and size != UNDEFINED:
            self._elements.enter_unknown(size)
        else:
            self._elements.enter(tag, vr, size)
        self._out += header_of(tag, "SQ", UNDEFINED, EXPLICIT)
        self._levels.append(NestingLevel(f"{tag:08X}", True, level.is_dummy or action is Action.DUMMY))

    def _private(self, tag: int, vr: str, size: int) -> None:
        """Keep a private element that is known to be safe; nothing else of odd groups."""
        level = self._levels[-1]
        if level.private is None or level.private.group != tag >> 16:
            level.private = PrivateGroup(tag >> 16)
        if size == UNDEFINED or vr == "SQ" or not level.private.wants(self._plan, tag, size) or level.is_dummy:
            self._drop(tag, vr, size)
            return
        level.private.take(self._plan, tag, self._elements.value(size))

    def _before(self, tag: int) -> None:
        """Write what waits and has its place before a tag."""
        level = self._levels[-1]
        if not 0x00080100 <= tag <= 0x00080120:
            self._write_code(level)
        if level.private is not None and level.private.group != tag >> 16:
            private, level.private = level.private, None
            for one, vr, value in private.kept():
                self._write(one, vr, value)
        if len(self._levels) == 1:
            while self._additions and (first := min(self._additions)) < tag:
                self._out += self._additions.pop(first)

    def _write_code(self, level: NestingLevel) -> None:
        """Write the parts of a code that wait to be judged together, and what stands between them, by tag."""
        if level.codes:
            codes, level.codes = level.codes, {}
            beside, level.beside_codes = level.beside_codes, []
            for one, vr, value in sorted([*self._attributes.coded(codes), *beside]):
                self._write(one, vr, value)

    def _drop(self, tag: int, vr: str, size: int) -> None:
        """Go beyond an element with all that is in it."""
        elements = self._elements
        if size != UNDEFINED:
            elements.discard(size)
            return
        depth = int(elements.enter(tag, vr, size))
        while depth:
            found = elements.header()
            if found is None:
                return
            inner, inner_vr, length = found
            if inner in (ITEM_END, SEQUENCE_END):
                depth -= 1
            elif inner in PIXELS and length == UNDEFINED:
                while (fragment := elements.fragment()) is not None:
                    elements.discard(fragment)
            elif elements.enter(inner, inner_vr, length):
                depth += 1
            else:
                elements.discard(length)

    def _pixels(self, tag: int, vr: str, size: int) -> Iterator[bytes]:
        """Copy pixels: they are not looked at but for what is to be masked, and for comments in compressed ones."""
        if len(self._levels) > 1:
            raise Withheld(Reason.MAY_SHOW_NAMES, "it has pixels within a sequence that stays")
        self._before(tag)
        if size != UNDEFINED:
            if self._frames is not None:
                raise Withheld(Reason.CANNOT_BE_READ, "its pixels are not encapsulated")
            self._out += header_of(tag, vr, size, EXPLICIT)
            yield self._taken()
            blocks = self._elements.blocks(size)
            masks = self._masks()
            yield from blocks if masks is None else masks.blocks(blocks)
            return
        if self._frames is None or self._regions:
            raise Withheld(Reason.CANNOT_BE_READ, "its pixels are encapsulated in a native transfer syntax")
        self._out += header_of(tag, "OB", UNDEFINED, EXPLICIT)
        if self._frames is Frames.RLE:
            while (length := self._elements.fragment()) is not None:
                self._out += struct.pack("<HHI", 0xFFFE, 0xE000, length)
                yield self._taken()
                yield from self._elements.blocks(length)
        else:
            yield from self._cleaned_frames(self._frames)
        self._out += _SEQUENCE_END

    def _masks(self) -> Masks | None:
        """Return what is done to native pixels, by what the data set says of them as it is read."""
        photometric = self._image.get(_PHOTOMETRIC_INTERPRETATION, b"").decode("latin-1").strip(" \0")
        planar = int.from_bytes(self._image.get(_PLANAR_CONFIGURATION, b"\0\0"), "little")
        return masks_of(self._subject, self._regions or (), photometric, planar)

    def _cleaned_frames(self, kind: Frames) -> Iterator[bytes]:
        table = self._elements.fragment()
        if table is None:
            raise Withheld(Reason.CANNOT_BE_READ, "its pixels have no Basic Offset Table (PS3.5 A.4)")
        content = self._elements.value(table)
        offsets = [one for (one,) in struct.iter_unpack("<I", content[: len(content) // 4 * 4])]
        self._out += struct.pack("<HHI", 0xFFFE, 0xE000, 0)
        yield self._taken()
        for frame in whole_frames(self._fragments(), offsets, self._subject.frames, kind):
            yield struct.pack("<HHI", 0xFFFE, 0xE000, len(frame)) + frame

    def _fragments(self) -> Iterator[bytes]:
        while (length := self._elements.fragment()) is not None:
            if length > _MOST_VALUE_BYTES * 4:
                raise Withheld(Reason.CANNOT_BE_READ, f"a frame of {length} bytes is longer than can be looked at")
            yield self._elements.value(length)
