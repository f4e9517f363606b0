"""Where in a data set the writing is."""

from dataclasses import dataclass, field

from .private import PrivateGroup


@dataclass(slots=True)
class NestingLevel:
    """A data set, an item's or the whole, or a sequence, and what of it waits to be written.

    `place` is the SOP Class UID at the top, and the tag of its sequence in an item. In a dummy all text is replaced.
    """

    place: str
    is_known_place: bool
    is_dummy: bool = False
    private: PrivateGroup | None = None
    codes: dict[int, tuple[str, bytes]] = field(default_factory=dict)
    beside_codes: list[tuple[int, str, bytes]] = field(default_factory=list)
    """What stands between the parts of a code, such as its Context Identifier (PS3.3 8.8)."""
