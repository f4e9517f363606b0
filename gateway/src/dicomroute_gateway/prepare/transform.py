"""Changes attributes of a data set and copies all else byte for byte (the step `Transform` of a recipe).

What was changed is kept in the Original Attributes Sequence (0400,0561), as PS3.3 C.12.1.1.9 has it: the elements of
the top level as they were, a sequence whole where something in it was changed. Equal data sets of equal associations
give equal bytes. Pure but for the file it reads.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO, Final

from dicomroute_gateway.configuration.recipe import ChangeKind
from dicomroute_gateway.reasons import Reason
from dicomroute_gateway.rules.attributes import ValueUnusable
from dicomroute_gateway.rules.changes import CompiledChange, CompiledTransform
from dicomroute_gateway.rules.expression import EvaluationError
from dicomroute_gateway.rules.head import HeadError, scan
from dicomroute_gateway.rules.paths import PathStep
from dicomroute_gateway.rules.routing import attribute_values

from .elements import EXPLICIT, IMPLICIT, ITEM, UNDEFINED, Encoding, header_of
from .failures import TreatmentFailed
from .items import ItemChange, changed_in_items
from .places import ElementPlace, places, rewritten
from .transcode import IMPLICIT_VR_LITTLE_ENDIAN
from .values import ValueUnwritable, value_bytes

TRANSFORM_FAILED: Final = Reason.TRANSFORM_FAILED
_CHARACTER_SET: Final = 0x00080005
_ORIGINAL_ATTRIBUTES: Final = 0x04000561
_MODIFIED_ATTRIBUTES: Final = 0x04000550
_MODIFICATION_TIME: Final = 0x04000562
_MODIFYING_SYSTEM: Final = 0x04000563
_SOURCE_OF_PREVIOUS: Final = 0x04000564
_REASON: Final = 0x04000565
_MOST_VALUE_BYTES: Final = 64 << 20
"""How long an element may be that is read whole."""
_SEQUENCE_END: Final = b"\xfe\xff\xdd\xe0\0\0\0\0"


@dataclass(frozen=True, slots=True)
class Came:
    """How an instance came: the facts of its association, by `rules.attributes.ASSOCIATION_FACTS`, and when.

    `time` is in seconds since 1970; it is what is written as the time of the modification.
    """

    association: Mapping[str, str]
    time: float


@dataclass(frozen=True, slots=True)
class Source:
    """A data set of `length` bytes: `stream` returns a file that stands at its beginning, `read` bytes by place."""

    transfer_syntax_uid: str
    length: int
    stream: Callable[[], BinaryIO]
    read: Callable[[int, int], bytes]


def transform(source: Source, transform: CompiledTransform, came: Came) -> Iterator[bytes]:
    """Yield a data set with changes; its transfer syntax is a little endian one, and stays.

    Raises TreatmentFailed where a change cannot be made, TranscodingFailed where the bytes are no such data set, and
    what reading it raises.
    """
    changing = _Changing(source, came)
    values = _values(source, transform, came)
    for index, change in enumerate(transform.changes):
        changing.make(change, values[index])
    changing.record()
    yield from rewritten(changing.places, changing.changes, source.read)


def _values(source: Source, transform: CompiledTransform, came: Came) -> dict[int, list[str | int | float]]:
    """Return what the expressions answer, by the place of their change."""
    wanted = {attribute.tag for attribute in transform.attributes} | {_CHARACTER_SET}
    try:
        elements = scan(source.read, source.transfer_syntax_uid, wanted)
    except HeadError as error:
        raise TreatmentFailed(TRANSFORM_FAILED, str(error)) from error
    answers = {}
    for index, change in enumerate(transform.changes):
        answers[index] = list[str | int | float]()
        if change.value is not None:
            try:
                known = attribute_values(change.value.attributes, elements, "<", source.transfer_syntax_uid)
                answers[index] = change.value.evaluate(known, came.association)
            except (ValueUnusable, EvaluationError) as error:
                raise _failed(change, str(error)) from error
    return answers


class _Changing:
    """One data set that is being changed."""

    def __init__(self, source: Source, came: Came) -> None:
        self._source = source
        self._came = came
        is_implicit = source.transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN
        self._encoding: Encoding = IMPLICIT if is_implicit else EXPLICIT
        self.places = places(source.stream(), source.length, self._encoding)
        self.changes: dict[int, bytes] = {}
        """Elements as they are written, by tag; empty where one is left out."""
        self._by_tag: dict[int, ElementPlace] = {place.tag: place for place in self.places}
        self._recorded: set[int] = set()
        self._character_set = self._value_of(_CHARACTER_SET)

    def make(self, change: CompiledChange, values: list[str | int | float]) -> None:
        """Make one change. Raises TreatmentFailed."""
        if change.path.is_nested:
            self._in_sequence(change, values)
            return
        step, is_new = change.path.top, change.kind in (ChangeKind.SET, ChangeKind.COPY)
        tag = self._tag_of(step, reserve=is_new)
        if tag is None or (not is_new and self._now(tag) is None):
            return
        if change.kind is ChangeKind.REMOVE:
            self._put(change, tag, b"")
            return
        value = self._encoded(change, values, self._character_set)
        self._put(change, tag, header_of(tag, change.path.vr, len(value), self._encoding) + value)

    def record(self) -> None:
        """Note in the data set what was changed, where that is wanted and something was there before."""
        before = b"".join(self._original(tag) for tag in sorted(self._recorded | self._creators()))
        if not self._recorded:
            return
        time = datetime.fromtimestamp(self._came.time, UTC).strftime("%Y%m%d%H%M%S.%f+0000")
        noted = self._item(
            self._element(_MODIFIED_ATTRIBUTES, "SQ", self._item(before))
            + self._element(_MODIFICATION_TIME, "DT", time.encode())
            + self._element(_MODIFYING_SYSTEM, "LO", b"dicomroute")
            + self._element(_SOURCE_OF_PREVIOUS, "LO", b"")
            + self._element(_REASON, "CS", b"COERCE")
        )
        known = self._by_tag.get(_ORIGINAL_ATTRIBUTES)
        items = b"" if known is None else self._source.read(known.value, known.end - known.value)
        if known is not None and self._has_no_length(known):
            items = items.removesuffix(_SEQUENCE_END)
        self.changes[_ORIGINAL_ATTRIBUTES] = self._element(_ORIGINAL_ATTRIBUTES, "SQ", items + noted)

    def _put(self, change: CompiledChange, tag: int, now: bytes) -> None:
        """Let an element be written so; one that is as it was is not changed."""
        if now == (self._original(tag) if tag in self._by_tag else b""):
            self.changes.pop(tag, None)
            self._recorded.discard(tag)
            return
        self.changes[tag] = now
        if change.record and tag in self._by_tag:
            self._recorded.add(tag)

    def _now(self, tag: int) -> bytes | None:
        """Return an element as it is by now, None where there is none."""
        if tag in self.changes:
            return self.changes[tag] or None
        return self._original(tag) if tag in self._by_tag else None

    def _original(self, tag: int) -> bytes:
        place = self._by_tag[tag]
        if place.end - place.start > _MOST_VALUE_BYTES:
            raise TreatmentFailed(TRANSFORM_FAILED, f"{tag:08X} is longer than {_MOST_VALUE_BYTES} bytes")
        return self._source.read(place.start, place.end - place.start)

    def _value_of(self, tag: int) -> bytes:
        place = self._by_tag.get(tag)
        if place is None or place.end - place.value > _MOST_VALUE_BYTES:
            return b""
        return self._source.read(place.value, place.end - place.value)

    def _encoded(self, change: CompiledChange, values: list[str | int | float], character_set: bytes) -> bytes:
        try:
            return value_bytes(change.path.vr, values, character_set)
        except ValueUnwritable as error:
            raise _failed(change, str(error)) from error

    def _in_sequence(self, change: CompiledChange, values: list[str | int | float]) -> None:
        tag = self._tag_of(change.path.top, reserve=False)
        known = None if tag is None else self._now(tag)
        if tag is None or known is None:
            return

        def encoded(character_set: bytes | None) -> bytes:
            used = self._character_set if character_set is None else character_set
            return self._encoded(change, values, used)

        now = changed_in_items(known, self._encoding, ItemChange(change.kind, change.path, encoded))
        self._put(change, tag, now)

    def _tag_of(self, step: PathStep, *, reserve: bool) -> int | None:
        """Return the tag of an attribute of the top level; None for a private one whose creator has no block."""
        if not step.creator:
            return step.tag
        group, wanted, free = step.tag & 0xFFFF0000, step.creator.encode("ascii", "replace"), 0
        for tag in range(group | 0x10, group | 0x100):
            if self._now(tag) is None:
                free = free or tag
            elif self._creator_at(tag) == wanted:
                return group | (tag & 0xFF) << 8 | step.tag & 0xFF
        if not reserve or not free:
            return None
        self.changes[free] = self._element(free, "LO", wanted)
        return group | (free & 0xFF) << 8 | step.tag & 0xFF

    def _creator_at(self, tag: int) -> bytes:
        """Return the creator that a block of private elements is reserved for."""
        if tag in self.changes:
            known = self.changes[tag]
            return known[len(header_of(tag, "LO", 0, self._encoding)) :].rstrip(b" \0")
        return self._value_of(tag).strip(b" \0")

    def _creators(self) -> set[int]:
        """Return the creators of recorded private elements: they say what those are."""
        private = (tag for tag in self._recorded if tag >> 16 & 1 and tag & 0xFFFF >= 0x1000)
        wanted = {tag & 0xFFFF0000 | (tag & 0xFF00) >> 8 for tag in private}
        return {tag for tag in wanted if tag in self._by_tag}

    def _has_no_length(self, place: ElementPlace) -> bool:
        header = self._source.read(place.start, place.value - place.start)
        return header[-4:] == UNDEFINED.to_bytes(4, "little")

    def _element(self, tag: int, vr: str, value: bytes) -> bytes:
        padded = value + b" " * (len(value) % 2)
        return header_of(tag, vr, len(padded), self._encoding) + padded

    def _item(self, elements: bytes) -> bytes:
        return header_of(ITEM, "", len(elements), IMPLICIT) + elements


def _failed(change: CompiledChange, why: str) -> TreatmentFailed:
    return TreatmentFailed(TRANSFORM_FAILED, f"{change.kind.lower()} {change.path.text}: {why}")
