"""Attributes of an entity as text, whatever they came in: a data set, DICOM JSON or an index. Pure.

Text, because matching is defined on text (PS3.4 C.2.2.2), and because a number that passes through a float is another
number: 70.50 is not 70.5.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """Query/Retrieve Level (0008,0052), as it is written (PS3.4 C.6.1.1 and C.6.2.1), the highest first."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


@dataclass(frozen=True, slots=True)
class Element:
    """One attribute: its VR, and its values without what pads them, or the items of a sequence.

    Numbers are as IS and DS are written, also those of binary VRs; AT has eight hexadecimal digits. A name has its
    component groups as `A=I=P`, without delimiters at the end. No value at all: the attribute is there and empty.
    """

    vr: str
    values: tuple[str, ...] = ()
    items: tuple["Attributes", ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it has neither a value nor an item with something in it."""
        return not any(self.values) and not any(self.items)

    @property
    def text(self) -> str:
        """The first value, "" where there is none."""
        return self.values[0] if self.values else ""


Attributes = Mapping[int, Element]
"""By tag (group << 16 | element)."""
