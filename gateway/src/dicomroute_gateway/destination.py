"""A destination as rules, records, metrics and people know it: its kind and its name, written KIND/NAME.

It is text all the way, so that a record is read and a delivery is counted without an object made for each
(docs/adr/0026-destinations-and-reasons.md); mypy tells it from other text. It is put together and taken apart here and
nowhere else.
"""

from enum import StrEnum
from typing import NewType

Destination = NewType("Destination", str)
"""KIND/NAME. Sorted by kind, then by name."""


class DestinationKind(StrEnum):
    """The kinds of object that a rule may name as a destination."""

    CLOUD_TARGET = "CloudTarget"
    DICOM_NODE = "DicomNode"


def destination_named(kind: str, name: str) -> Destination:
    """Return the destination of this kind and name."""
    return Destination(f"{kind}/{name}")


def kind_of(one: Destination) -> str:
    """Return its kind; a record of another release may have one that is no DestinationKind."""
    return one.partition("/")[0]


def name_of(one: Destination) -> str:
    """Return its name."""
    return one.partition("/")[2]
