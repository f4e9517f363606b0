"""Where the top-level elements of a data set are, so that some are written anew and all others copied as they are."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Final

from .elements import BLOCK_BYTES, PIXEL_DATA, UNDEFINED, Elements, Encoding
from .failures import TranscodingFailed

_MOST_ELEMENTS: Final = 100_000


@dataclass(frozen=True, slots=True)
class ElementPlace:
    """An element: its tag and VR, and where its header, its value and what follows it begin, in bytes."""

    tag: int
    vr: str
    start: int
    value: int
    end: int


def places(file: BinaryIO, length: int, encoding: Encoding) -> list[ElementPlace]:
    """Return the places of the top-level elements of the data set that begins where `file` stands.

    Raises TranscodingFailed for what is no data set of `length` bytes in that encoding, or has its elements in another
    order than that of their tags: nobody can say which of two is meant.
    """
    elements, found = Elements(file, length, encoding), list[ElementPlace]()
    while True:
        start = elements.offset
        header = elements.header()
        if header is None:
            return found
        tag, vr, size = header
        value = elements.offset
        if size != UNDEFINED:
            if value + size > length:
                raise TranscodingFailed("an element reaches beyond the data set")
            elements.skip(size)
        elif tag == PIXEL_DATA and vr != "SQ":
            elements.skip_fragments()
        else:
            _walk(elements, tag, vr)
        if found and tag <= found[-1].tag:
            raise TranscodingFailed("its elements do not ascend by tag (PS3.5 7.1)")
        if len(found) == _MOST_ELEMENTS:
            raise TranscodingFailed(f"it has more than {_MOST_ELEMENTS} elements")
        found.append(ElementPlace(tag, vr, start, value, elements.offset))


def _walk(elements: Elements, tag: int, vr: str) -> None:
    """Go beyond a sequence without a length."""
    elements.enter(tag, vr, UNDEFINED)
    while not elements.is_top:
        header = elements.header()
        if header is None:
            raise TranscodingFailed("a sequence without its end")
        tag, vr, size = header
        if vr or tag >> 16 != 0xFFFE:
            if not elements.enter(tag, vr, size):
                elements.skip(size)
        elif tag == 0xFFFEE000:
            elements.enter(tag, vr, size)


def rewritten(
    found: Iterable[ElementPlace], changes: Mapping[int, bytes], read: Callable[[int, int], bytes]
) -> Iterator[bytes]:
    """Yield a data set in which the elements of `changes`, by tag, are written so; empty: left out.

    `read` returns bytes of the data set by place and length. Elements that were not there stand where their tags
    belong. Group lengths (gggg,0000) of changed groups are left out: they would no longer be true.
    """
    waiting = sorted(tag for tag, now in changes.items() if now)
    groups = {tag >> 16 for tag in changes}
    begin = end = 0
    for place in found:
        is_left = place.tag in changes or (place.tag & 0xFFFF == 0 and place.tag >> 16 in groups)
        is_before = bool(waiting) and waiting[0] <= place.tag
        if is_left or is_before:
            yield from _copied(begin, end, read)
            while waiting and waiting[0] <= place.tag:
                yield changes[waiting.pop(0)]
            begin = place.end if is_left else place.start
        end = place.end
    yield from _copied(begin, end, read)
    for tag in waiting:
        yield changes[tag]


def _copied(begin: int, end: int, read: Callable[[int, int], bytes]) -> Iterator[bytes]:
    while begin < end:
        block = read(begin, min(BLOCK_BYTES, end - begin))
        if not block:
            raise TranscodingFailed("the data set is cut off")
        yield block
        begin += len(block)
