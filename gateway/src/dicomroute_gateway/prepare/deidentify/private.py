"""Private elements that are known to be safe, by creator, group and element (PS3.15 E.3.10, PS3.5 7.8). Pure."""

from collections.abc import Iterator
from typing import Final

from dicomroute_gateway.configuration.profile import Option

from .plan import Plan
from .values import is_proper

_MOST_VALUE_BYTES: Final = 1 << 16
_MOST_CREATOR_BYTES: Final = 64


class PrivateGroup:
    """An odd group of one data set: what of it is kept, with the creators that it needs and no others."""

    def __init__(self, group: int) -> None:
        self.group = group
        self._creators: dict[int, bytes] = {}
        self._values: list[tuple[int, str, bytes]] = []

    def wants(self, plan: Plan, tag: int, size: int) -> bool:
        """Return whether an element's value is needed, to be kept or as the creator of others."""
        if Option.RETAIN_SAFE_PRIVATE not in plan.options:
            return False
        if 0x10 <= tag & 0xFFFF <= 0xFF:
            return size <= _MOST_CREATOR_BYTES
        return size <= _MOST_VALUE_BYTES and self._vr(plan, tag) is not None

    def take(self, plan: Plan, tag: int, value: bytes) -> None:
        """Keep an element that is wanted, unless its value is not what its VR says."""
        element = tag & 0xFFFF
        if element <= 0xFF:
            self._creators[element] = value
            return
        vr = self._vr(plan, tag)
        if vr is not None and is_proper(vr, value):
            self._values.append((tag, vr, value))

    def kept(self) -> Iterator[tuple[int, str, bytes]]:
        """Yield tag, VR and value of what is kept, in order."""
        blocks = {tag >> 8 & 0xFF for tag, _, _ in self._values}
        for element in sorted(blocks & self._creators.keys()):
            yield self.group << 16 | element, "LO", self._creators[element]
        yield from sorted(self._values)

    def _vr(self, plan: Plan, tag: int) -> str | None:
        creator = self._creators.get(tag >> 8 & 0xFF)
        if creator is None or tag & 0xFFFF < 0x1000:
            return None
        return plan.table.safe_private.get((creator.strip(b" \0"), self.group, tag & 0xFF))
